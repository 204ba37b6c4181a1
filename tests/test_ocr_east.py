"""EAST: rotated boxes, loss, locality-aware suppression against shapely, a run from pages to figures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import shapely
from det_runs import check_export, check_run
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ocr.data.targets import east_targets, upright_rectangle
from ocr.postprocess.east import EASTPostProcess, east_boxes, locality_aware_nms, overlap


def rotated(x: float, y: float, w: float, h: float, degrees: float) -> NDArray[np.float32]:
    return np.asarray(cv2.boxPoints(((x, y), (w, h), degrees)), np.float32)


def iou(one: NDArray[Any], other: NDArray[Any]) -> float:
    a, b = shapely.Polygon(one), shapely.Polygon(other)
    return float(a.intersection(b).area / a.union(b).area)


# -- targets -------------------------------------------------------------------------------------------------------


@given(st.floats(-180, 180), st.floats(12, 90), st.floats(12, 90))
@settings(max_examples=60)
def test_rectangles_stand_upright(degrees: float, w: float, h: float) -> None:
    quad = rotated(100, 90, w, h, degrees)
    centre, width, height, angle = upright_rectangle(quad)
    assert -math.pi / 4 <= angle < math.pi / 4
    np.testing.assert_allclose(centre, (100, 90), atol=1e-2)
    again = cv2.boxPoints(((100, 90), (width, height), math.degrees(angle)))
    assert iou(quad, again) > 0.99


def test_targets_pixel_by_pixel() -> None:
    quads = [rotated(90, 60, 120, 48, 12), rotated(100, 190, 40, 96, -20), rotated(230, 130, 60, 60, 30)]
    targets = east_targets(quads, [False] * 3, 256, 288)
    assert targets.score.shape == (64, 72) and targets.geometry.shape == (5, 64, 72)
    seen = np.zeros(3, int)
    for row in range(64):
        for column in range(72):
            point = np.array((4 * column + 2, 4 * row + 2), float)
            inside = []
            for number, quad in enumerate(quads):
                side = min(math.dist(quad[0], quad[1]), math.dist(quad[1], quad[2]))
                shape = shapely.Polygon(quad)
                deep = shape.contains(shapely.Point(point)) and shape.exterior.distance(shapely.Point(point))
                if deep and deep > 0.3 * side + 1e-3:
                    inside.append(number)
                elif deep and abs(deep - 0.3 * side) <= 1e-3:
                    inside.append(-1)
            if -1 in inside:
                continue
            assert targets.score[row, column] == bool(inside)
            if inside:
                seen[inside[0]] += 1
                top, right, bottom, left, angle = targets.geometry[:, row, column].astype(float)
                along = np.array((math.cos(angle), math.sin(angle)))
                down = np.array((-math.sin(angle), math.cos(angle)))
                corners = [point + 4 * (along * x + down * y) for x in (-left, right) for y in (-top, bottom)]
                box = np.stack([corners[0], corners[2], corners[3], corners[1]])
                assert iou(box, quads[inside[0]]) > 0.999
    assert seen.min() > 20


def test_ignored_and_small_texts_do_not_count() -> None:
    box = rotated(80, 60, 80, 40, 0)
    ignored = east_targets([box], [True], 128, 160)
    assert not ignored.score.any() and (ignored.counted == 0).sum() == 20 * 10
    small = east_targets([box], [False], 128, 160, min_side=41)
    assert not small.score.any() and (small.counted == 0).sum() == 20 * 10
    thin = east_targets([rotated(82, 60, 80, 5, 0)], [False], 128, 160, min_side=0)
    assert not thin.score.any() and (thin.counted == 0).any()
    beyond = east_targets([rotated(500, 500, 80, 40, 0), rotated(0, 0, 80, 40, 0)], [False] * 2, 128, 160)
    assert beyond.score[:3, :5].any() and beyond.score[6:].sum() == 0
    across = east_targets([box, rotated(100, 70, 80, 40, 0)], [False, True], 128, 160)
    assert across.counted[across.score > 0].all() and not across.counted.all()


# -- boxes ---------------------------------------------------------------------------------------------------------


def maps_of(quads: list[NDArray[np.float32]], height: int, width: int, score: float = 0.95) -> NDArray[np.float32]:
    """What a perfect network would say."""
    targets = east_targets(quads, [False] * len(quads), height, width)
    maps = np.zeros((6, height // 4, width // 4), np.float32)
    maps[0] = targets.score * np.float32(score)
    maps[1:5] = np.log(np.maximum(targets.geometry[:4], 1e-3))
    maps[5] = targets.geometry[4]
    return maps


def test_boxes_of_drawn_maps() -> None:
    quads = [rotated(90, 60, 120, 48, 12), rotated(100, 190, 40, 96, -20), rotated(230, 130, 60, 60, 30)]
    found = east_boxes(maps_of(quads, 256, 288), EASTPostProcess(), 128, 576)
    assert len(found) == 3
    for quad in quads:
        best = max(found, key=lambda one: iou(one.polygon, quad * (2, 0.5)))
        assert iou(best.polygon, quad * (2, 0.5)) > 0.98
        assert best.score == pytest.approx(0.95, abs=1e-5)
        first, second = best.polygon[0], best.polygon[1]
        assert first[0] < second[0]  # begins at the left
    assert east_boxes(maps_of(quads, 256, 288), EASTPostProcess(score_thresh=0.96), 128, 576) == []
    few = east_boxes(maps_of(quads, 256, 288), EASTPostProcess(max_candidates=1), 128, 576)
    assert len(few) == 1
    far = maps_of(quads, 256, 288)
    far[1:5] = 50  # of a network that has gone astray
    assert all(np.isfinite(one.polygon).all() for one in east_boxes(far, EASTPostProcess(), 256, 288))


def suppressed(quads: NDArray[np.float64], scores: NDArray[np.float64], thresh: float) -> list[tuple[Any, float, int]]:
    """Algorithm 1 of the paper with shapely, as plainly as can be."""
    merged: list[tuple[Any, float, int]] = []
    for quad, score in zip(quads, scores, strict=True):
        if merged and iou(merged[-1][0], quad) > thresh:
            last, weight, count = merged.pop()
            merged.append(((last * weight + quad * score) / (weight + score), weight + score, count + 1))
        else:
            merged.append((quad, score, 1))
    kept: list[tuple[Any, float, int]] = []
    for one in sorted(merged, key=lambda one: -one[1]):
        if all(iou(one[0], other[0]) <= thresh for other in kept):
            kept.append(one)
    return kept


@given(st.integers(0, 10**6), st.floats(0.1, 0.7))
@settings(max_examples=40)
def test_suppression_is_that_of_the_paper(seed: int, thresh: float) -> None:
    rng = np.random.default_rng(seed)
    texts = rng.uniform(20, 180, (4, 2))
    quads, scores = [], []
    for _ in range(40):
        x, y = texts[rng.integers(4)] + rng.normal(0, 3, 2)
        quads.append(rotated(x, y, 60 + rng.normal(0, 4), 20 + rng.normal(0, 2), rng.normal(0, 4)))
        scores.append(rng.uniform(0.5, 1))
    given_quads, given_scores = np.array(quads, np.float64), np.array(scores)
    boxes, weights, counts = locality_aware_nms(given_quads, given_scores, thresh)
    expected = suppressed(given_quads, given_scores, thresh)
    assert counts.sum() <= 40
    assert len(boxes) == len(expected)
    for box, weight, count, (quad, total, members) in zip(boxes, weights, counts, expected, strict=True):
        np.testing.assert_allclose(box, quad, atol=1e-6)
        assert weight == pytest.approx(total) and count == members


@given(st.integers(0, 10**6))
@settings(max_examples=60)
def test_overlap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = (
        rotated(*(5000 + rng.uniform(0, 40, 2)), *rng.uniform(5, 60, 2), rng.uniform(-90, 90)).astype(np.float64)
        for _ in range(2)
    )
    assert overlap(one, other) == pytest.approx(iou(one, other), abs=1e-6)
    assert overlap(one, one) == pytest.approx(1) == overlap(one, one[::-1] + 1e-9)
    assert overlap(one, one + 500) == 0
    assert overlap(np.zeros((4, 2)), np.zeros((4, 2))) == 0


def test_no_boxes() -> None:
    boxes, weights, counts = locality_aware_nms(np.zeros((0, 4, 2)), np.zeros(0), 0.2)
    assert boxes.shape == (0, 4, 2) and not len(weights) and not len(counts)
    assert east_boxes(np.zeros((6, 8, 8), np.float32), EASTPostProcess(), 32, 32) == []


# -- training ------------------------------------------------------------------------------------------------------


def test_loss_by_hand() -> None:
    paddle = pytest.importorskip("paddle")
    from ocr.losses.det import east_loss

    rng = np.random.default_rng(2)
    scores = rng.normal(size=(2, 6, 4, 5)).astype(np.float32)
    text = (rng.random((2, 4, 5)) < 0.3).astype(np.uint8)
    counted = np.ones((2, 4, 5), np.uint8)
    geometry = rng.uniform(0.5, 6, (2, 5, 4, 5)).astype(np.float32)
    geometry[:, 4] = rng.uniform(-0.7, 0.7, (2, 4, 5))
    keys = {"geometry_weight": 2.0, "angle_weight": 10.0, "ohem_ratio": 1e9}
    found = east_loss(lambda x: paddle.to_tensor(scores), None, text, counted, geometry, **keys)
    p = 1 / (1 + np.exp(-scores[:, 0].astype(np.float64)))
    cross = -np.log(np.where(text > 0, p, 1 - p)).mean()
    parts = []
    for n, y, x in zip(*np.nonzero(text), strict=True):
        t, r, b, l = np.exp(scores[n, 1:5, y, x].astype(float))  # noqa: E741
        theta = (1 / (1 + math.exp(-scores[n, 5, y, x])) - 0.5) * math.pi / 2
        # In the axes of the known box, as though both had its angle.
        kt, kr, kb, kl, known = geometry[n, :, y, x].astype(float)
        mine, its = shapely.box(-l, -t, r, b), shapely.box(-kl, -kt, kr, kb)
        parts.append(-math.log(mine.intersection(its).area / mine.union(its).area) + 10 * (1 - math.cos(theta - known)))
    assert float(found) == pytest.approx(cross + 2 * np.mean(parts), rel=1e-4)
    none = np.zeros_like(text)
    empty = east_loss(lambda x: paddle.to_tensor(scores), None, none, counted, geometry, **keys)
    assert float(empty) == pytest.approx(-np.log(1 - p).mean(), rel=1e-5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("east")


def test_a_run_learns_and_is_exported(folder: Path, ocr: Any) -> None:
    pytest.importorskip("paddle")
    check_run(folder, "EAST", 100, 10, ocr)
    check_export(folder, "paddle")
    pytest.importorskip("paddle2onnx")
    pytest.importorskip("onnxruntime")
    check_export(folder, "onnx")


def test_large_pages_go_through_in_tiles() -> None:
    """Maps of a quarter of the resolution are put together without a seam."""
    from ocr.infer.detector import Detector
    from ocr.spec import DetPreprocess, DetSpec

    quads = [rotated(300 + 700 * column, 150 + 400 * row, 260, 60, 5) for row in range(4) for column in range(2)]

    class Drawn:
        """Knows the page by its pixels: each one's colours say where it is."""

        spec = DetSpec(architecture={}, preprocess=DetPreprocess(limit_side_len=8192), postprocess=EASTPostProcess())

        def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
            self.calls = getattr(self, "calls", 0) + 1
            _, height, width, _ = images.shape
            x, y = int(images[0, 0, 0, 0]) * 8, int(images[0, 0, 0, 1]) * 8
            return whole[None, :, y // 4 : (y + height) // 4, x // 4 : (x + width) // 4]

    page = np.zeros((1598, 1403, 3), np.uint8)
    page[..., 0] = np.arange(1403) // 8
    page[..., 1] = (np.arange(1598) // 8)[:, None]
    whole = maps_of(quads, 1792, 1792)
    backend = Drawn()
    tiled = Detector(backend, tile=768).find(page)
    assert backend.calls > 1 and len(tiled) == len(quads)
    assert all(max(iou(quad, one.polygon) for one in tiled) > 0.98 for quad in quads)
