"""Maps of differentiable binarization to boxes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ocr.postprocess.db import DBPostProcess, clockwise, db_boxes, unclipped


def drawn(shape: tuple[int, int], quads: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Coverage of polygons, drawn eight times as large."""
    large = np.zeros((shape[0] * 8, shape[1] * 8), np.uint8)
    for quad in quads:
        cv2.fillPoly(large, [np.round(quad * 8 - 0.5).astype(np.int32)], 255)
    return cv2.resize(large, shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def iou(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    a, b = shapely.Polygon(one), shapely.Polygon(two)
    return float(a.intersection(b).area / a.union(b).area)


def test_an_upright_box_grows_by_the_closed_form() -> None:
    probability = np.zeros((60, 120), np.float32)
    probability[20:30, 30:90] = 0.9
    [found] = db_boxes(probability, DBPostProcess(), 120, 240)
    # 60 × 10, so D = 600 * 1.5 / 140; the picture is twice as large as the map
    distance = 600 * 1.5 / 140
    expected = [[30 - distance, 20 - distance], [90 + distance, 20 - distance]]
    expected += [[90 + distance, 30 + distance], [30 - distance, 30 + distance]]
    np.testing.assert_allclose(found.polygon, np.array(expected) * 2, atol=1e-3)
    assert found.score == pytest.approx(0.9, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.floats(40, 120), st.floats(10, 30), st.floats(-60, 60), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_turned_boxes_come_back(width: float, height: float, degrees: float, x: float, y: float) -> None:
    quad = cv2.boxPoints(((100 + x, 100 + y), (width, height), degrees)).astype(np.float32)
    [found] = db_boxes(drawn((200, 200), [quad]), DBPostProcess(thresh=0.5, unclip_ratio=0), 200, 200)
    assert iou(found.polygon, quad) > 0.9
    distance = width * height * 1.5 / (2 * (width + height))
    grown = cv2.boxPoints(((100 + x, 100 + y), (width + 2 * distance, height + 2 * distance), degrees))
    [found] = db_boxes(drawn((200, 200), [quad]), DBPostProcess(thresh=0.5), 200, 200)
    assert iou(found.polygon, np.clip(grown, 0, 200)) > 0.93


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 9), st.integers(0, 10_000))
def test_polygons_grow_as_shapely_offsets_them(corners: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    polygon = (100 + rng.uniform(20, 60, (corners, 1)) * np.stack((np.cos(angles), np.sin(angles)), 1)).astype(
        np.float32
    )
    exact = shapely.Polygon(polygon)
    if not exact.is_valid or exact.area < 50:
        return
    found = unclipped(polygon, 1.5)
    assert found is not None
    expected = exact.buffer(exact.area * 1.5 / exact.length, quad_segs=64)
    ours = shapely.Polygon(found)
    assert ours.intersection(expected).area / ours.union(expected).area > 0.99
    x, y = found.T
    assert (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() > 0  # clockwise with y downwards


def test_a_bent_text_is_a_polygon() -> None:
    angles = np.linspace(np.pi * 1.2, np.pi * 1.8, 20)
    ring = [(100 + r * np.cos(a), 120 + r * np.sin(a)) for r, way in ((80, 1), (68, -1)) for a in angles[::way]]
    band = np.array(ring, np.float32)
    probability = drawn((200, 200), [band])
    config = DBPostProcess(box_type="poly", thresh=0.5, box_thresh=0.5, score_mode="slow", unclip_ratio=0.5)
    [found] = db_boxes(probability, config, 200, 200)
    exact = shapely.Polygon(band)
    assert iou(found.polygon, np.asarray(exact.buffer(exact.area * 0.5 / exact.length).exterior.coords)) > 0.9
    [box] = db_boxes(probability, config.model_copy(update={"box_type": "quad"}), 200, 200)
    assert shapely.Polygon(box.polygon).area > 2 * shapely.Polygon(found.polygon).area


def test_options() -> None:
    probability = np.zeros((60, 120), np.float32)
    probability[10:20, 10:60] = 0.9
    probability[40:50, 10:60] = 0.5
    probability[30:32, 80:100] = 0.9
    assert len(db_boxes(probability, DBPostProcess(), 60, 120)) == 1  # one too weak, one too thin
    assert len(db_boxes(probability, DBPostProcess(box_thresh=0.4), 60, 120)) == 2
    assert len(db_boxes(probability, DBPostProcess(min_size=1), 60, 120)) == 2
    assert db_boxes(probability, DBPostProcess(thresh=0.95), 60, 120) == []
    assert len(db_boxes(probability, DBPostProcess(box_thresh=0.4, max_candidates=1), 60, 120)) <= 1
    split = np.zeros((60, 120), np.float32)
    split[10:20, 10:60] = split[10:20, 61:110] = 0.9
    assert len(db_boxes(split, DBPostProcess(), 60, 120)) == 2
    assert len(db_boxes(split, DBPostProcess(use_dilation=True), 60, 120)) == 1


def test_boxes_stay_in_the_picture() -> None:
    probability = np.full((40, 80), 0.9, np.float32)
    for kind in ("quad", "poly"):
        [found] = db_boxes(probability, DBPostProcess(box_type=kind), 40, 80)  # type: ignore[arg-type]
        assert found.polygon.min() >= 0 and (found.polygon <= (80, 40)).all()
    assert db_boxes(np.zeros((40, 80), np.float32), DBPostProcess(), 40, 80) == []


def test_quads_begin_at_the_top_left() -> None:
    expected = np.array([[10, 12], [50, 10], [52, 30], [11, 33]], np.float32)
    for turn in range(4):
        np.testing.assert_array_equal(clockwise(np.roll(expected, turn, axis=0)), expected)
        np.testing.assert_array_equal(clockwise(np.roll(expected, turn, axis=0)[::-1]), expected)
