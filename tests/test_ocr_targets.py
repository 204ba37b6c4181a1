"""Targets of detectors against exact geometry."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ocr.data.targets import db_targets, shrink_distance, signed_distance


def rectangle(x: float, y: float, width: float, height: float, degrees: float = 0.0) -> NDArray[np.float32]:
    return cv2.boxPoints(((x, y), (width, height), degrees)).astype(np.float32)


def centres(height: int, width: int) -> NDArray[np.object_]:
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.asarray(shapely.points(x, y))


points = st.tuples(st.floats(-10, 50), st.floats(-10, 50))


@settings(max_examples=150, deadline=None)
@given(st.lists(points, min_size=3, max_size=8), st.floats(0, 20))
def test_distances_are_those_of_shapely(corners: list[tuple[float, float]], reach: float) -> None:
    polygon = np.array(corners, np.float32)
    exact = shapely.Polygon(polygon)
    assume(exact.is_valid and exact.area > 1)  # where edges cross, shapely has no inside
    box, field = signed_distance(polygon, 40, 36, reach)
    around = centres(40, 36)[box]
    expected = shapely.distance(exact.exterior, around) * np.where(shapely.contains(exact, around), 1, -1)
    assert field.shape == expected.shape
    near = np.abs(expected) <= reach
    near |= expected > 0
    np.testing.assert_allclose(np.abs(field)[near], np.abs(expected)[near], atol=2e-3)
    clear = np.abs(expected) > 2e-3
    assert ((field > 0) == (expected > 0))[clear].all()
    # nothing inside is outside the part given
    whole = shapely.contains(exact, centres(40, 36))
    whole[box] = False
    assert not whole.any()


def test_a_polygon_elsewhere_gives_nothing() -> None:
    assert signed_distance(rectangle(-50, 10, 20, 10), 40, 40, 5)[1].size == 0
    targets = db_targets([rectangle(-50, 10, 20, 10), rectangle(20, 90, 20, 10)], [False, True], 40, 40)
    assert not targets.shrunk.any() and targets.counted.all() and not targets.bordered.any()


def test_an_upright_rectangle_by_hand() -> None:
    # 60 × 20: area 1,200, perimeter 160, so edges move by 1200 * 0.84 / 160 = 6.3
    polygon = rectangle(50, 30, 60, 20)
    assert shrink_distance(polygon, 0.4) == pytest.approx(6.3)
    targets = db_targets([polygon], [False], 64, 100)
    expected = np.zeros((64, 100), np.uint8)
    expected[27:33, 27:73] = 1  # centres from 20 + 6.3 to 80 - 6.3, and from 20 + 6.3 to 40 - 6.3
    expected[26:34, 26:74] = np.maximum(expected[26:34, 26:74], 0)
    rows, columns = np.nonzero(targets.shrunk)
    assert (columns.min(), columns.max()) == (26, 73) and (rows.min(), rows.max()) == (26, 33)
    assert targets.counted.all()
    # on the middle row the border falls evenly from the left edge, x = 20
    for column in range(14, 27):
        level = 255 * max(0.0, 1 - abs(column + 0.5 - 20) / 6.3)
        assert targets.border[30, column] == pytest.approx(level, abs=2.5)
    assert targets.bordered[30, 14] and not targets.bordered[30, 13]
    assert targets.bordered[30, 50] and targets.border[30, 50] == 0


def test_turned_texts_against_exact_offsets() -> None:
    rng = np.random.default_rng(5)
    overlaps = []
    for _ in range(60):
        width, height = rng.uniform(30, 160), rng.uniform(12, 40)
        polygon = rectangle(*rng.uniform(90, 110, 2), width, height, rng.uniform(-45, 45))
        polygon += rng.uniform(-2, 2, (4, 2)).astype(np.float32)
        distance = shrink_distance(polygon, 0.4)
        targets = db_targets([polygon], [False], 200, 200)
        exact = shapely.Polygon(polygon)
        around = centres(200, 200)
        for found, shape in (
            (targets.shrunk, exact.buffer(-distance)),
            (targets.bordered, exact.buffer(distance, quad_segs=32)),
        ):
            expected = shapely.contains(shape, around)
            overlaps.append((expected & (found > 0)).sum() / (expected | (found > 0)).sum())
    assert np.mean(overlaps) >= 0.99 and min(overlaps) >= 0.95


def test_what_is_ignored_or_too_small_teaches_nothing() -> None:
    texts = [rectangle(30, 20, 40, 16), rectangle(80, 20, 30, 16), rectangle(30, 50, 40, 6)]
    targets = db_targets(texts, [False, True, False], 64, 100)
    assert targets.shrunk[20, 30] == 1 and targets.counted[20, 30] == 1
    assert targets.shrunk[20, 80] == 0 and targets.counted[20, 80] == 0 and not targets.bordered[20, 80]
    assert targets.counted[50, 30] == 0 and not targets.bordered[50, 30]
    # an ignored text across another leaves what that one teaches
    across = db_targets([texts[0], rectangle(30, 20, 90, 30)], [False, True], 64, 100)
    assert across.counted[across.shrunk > 0].all() and across.counted[20, 60] == 0


def test_direction_and_repeated_corners_do_not_matter() -> None:
    polygon = rectangle(50, 30, 60, 20, 10)
    expected = db_targets([polygon], [False], 64, 100)
    for other in (polygon[::-1].copy(), np.repeat(polygon, 2, axis=0), np.roll(polygon, 1, axis=0)):
        found = db_targets([other], [False], 64, 100)
        np.testing.assert_array_equal(found.shrunk, expected.shrunk)
        np.testing.assert_array_equal(found.bordered, expected.bordered)


def test_polygons_without_area_are_left_out() -> None:
    line = np.array([[10, 10], [50, 10], [90, 10]], np.float32)
    point = np.full((4, 2), 20, np.float32)
    targets = db_targets([line, point], [False, False], 64, 100)
    assert not targets.shrunk.any() and targets.counted.all()
