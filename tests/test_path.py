"""Paths by arc length, and straightening of what ran along one: there and back."""

from __future__ import annotations

import math
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from augment import geometry
from synth.render import path as paths
from synth.render.path import Path

lengths = st.floats(1.0, 30.0)
radii = st.floats(1.5, 20.0).flatmap(lambda r: st.sampled_from((r, -r)))


def walked(path: Path, start: float, stop: float) -> float:
    """The distance from one arc length to another, by many small steps."""
    x, y, _ = path.at(np.linspace(start, stop, 4001))
    return float(np.hypot(np.diff(x), np.diff(y)).sum())


# -- paths -------------------------------------------------------------------------------------------------------------


@example(length=30.0, radius=1.5, part=0.1875)
@example(length=29.0, radius=1.5, part=0.1875)
@given(lengths, radii, st.floats(0.0, 1.0))
def test_an_arc_lies_on_its_circle_and_is_as_long_as_asked(length, radius, part):
    path = paths.arc(length, radius, beyond=1.0)
    x, y, angle = (float(value) for value in path.at(np.array(part * length)))
    # Between its points a path is straight: it cuts the corner by the sagitta of a step's chord, and no more.
    step = (length + 2.0) / abs(radius) / paths._STEPS
    assert abs(radius) * math.cos(step / 2) - 1e-6 <= math.hypot(x, y - radius) <= abs(radius) + 1e-6
    assert angle == pytest.approx((part - 0.5) * length / radius, abs=2e-3 * (1 + length / abs(radius)))
    assert walked(path, 0.0, length) == pytest.approx(length, rel=2e-3)
    assert path.tightest == pytest.approx(abs(radius), rel=2e-3)
    assert path.curvature(np.array(part * length)) == pytest.approx(1 / radius, rel=2e-3)


def families(length: float) -> list[Path]:
    return [
        paths.straight(length),
        paths.arc(length, 3.0, 1.0),
        paths.arc(length, -3.0, 1.0),
        paths.ellipse(length, 5.0, 3.0, 1.0),
        paths.ellipse(length, -5.0, -3.0, 1.0),
        paths.wave(length, 0.3, 5.0, 1.0, 1.0),
        paths.cubic(((0, 0), (0.3, -0.2), (0.7, 0.3), (1, 0.1)), length),
    ]


@pytest.mark.parametrize("number", range(7))
@given(length=lengths)
def test_paths_go_by_arc_length_and_point_where_they_go(number, length):
    path = families(length)[number]
    s = np.linspace(0.0, length, 41)
    assert walked(path, 0.0, length) == pytest.approx(length, rel=5e-3)
    x, y, angle = path.at(s)
    step = 1e-3
    there_x, there_y, _ = path.at(s + step)
    # Between two samples direction and chord differ by no more than the path turns there.
    off = np.angle(np.exp(1j * (np.arctan2(there_y - y, there_x - x) - angle)))
    assert np.abs(off).max() < 0.1
    assert np.abs(np.diff(path.at(np.linspace(-1, length + 1, 400))[2])).max() < 0.6  # no leap by a whole turn


def test_an_ellipse_is_one():
    path = paths.ellipse(9.0, 5.0, 3.0)
    x, y, _ = path.at(np.linspace(0, 9, 50))
    assert np.allclose((x / 5) ** 2 + ((y - 3) / 3) ** 2, 1, atol=2e-3)
    assert float(path.at(np.array(4.5))[1]) == pytest.approx(0, abs=1e-4)  # its middle is the upper end
    valley = paths.ellipse(9.0, -5.0, -3.0)
    x, y, angle = valley.at(np.linspace(0, 9, 50))
    assert np.allclose((x / 5) ** 2 + ((y + 3) / 3) ** 2, 1, atol=2e-3)
    assert (np.diff(x) > 0).all() and angle[0] > 0 > angle[-1]  # down and up again


def test_an_ellipse_of_equal_axes_is_a_circle():
    circle, ellipse = paths.arc(10.0, 3.0), paths.ellipse(10.0, 3.0001, 3.0)
    s = np.linspace(0, 10, 30)
    for a, b in zip(circle.at(s), ellipse.at(s), strict=True):
        assert np.allclose(a, b, atol=5e-3)


def test_past_its_ends_a_path_goes_on_straight():
    path = paths.cubic(((0, 0), (0.3, -0.2), (0.7, 0.3), (1, 0.1)), 6.0)
    for end, away in ((0.0, -3.0), (6.0, 3.0)):
        x, y, angle = path.at(np.array((end, end + away)))
        assert angle[0] == pytest.approx(angle[1])
        assert x[1] - x[0] == pytest.approx(away * math.cos(angle[0]), abs=1e-6)
        assert y[1] - y[0] == pytest.approx(away * math.sin(angle[0]), abs=1e-6)


def test_offsets_lie_beside_the_path():
    path = paths.arc(8.0, 3.0)
    assert np.allclose(np.hypot(*(path.offset(np.linspace(0, 8, 20), 0.5) - (0, 3.0)).T), 2.5, atol=3e-3)
    moved = path.moved(2.0, -1.0)
    shift = moved.offset(np.linspace(0, 8, 5), -1.0) - path.offset(np.linspace(0, 8, 5), -1.0)
    assert np.allclose(shift, (2, -1))


def crossing(points: np.ndarray) -> bool:
    """By brute force: whether two legs of a polyline that are not neighbours meet."""
    legs = list(pairwise(points))
    for i in range(len(legs)):
        for j in range(i + 2, len(legs)):
            (p, q), (r, s) = legs[i], legs[j]
            matrix = np.array((q - p, r - s)).T
            if abs(np.linalg.det(matrix)) < 1e-12:
                continue
            t, u = np.linalg.solve(matrix, r - p)
            if 0 <= t <= 1 and 0 <= u <= 1:
                return True
    return False


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-1, 1)), min_size=2, max_size=2))
def test_curves_that_cross_themselves_are_refused(inner):
    controls = np.array(((0.0, 0.0), *((3 * x - 1, 2 * y) for x, y in inner), (1.0, 0.0)))
    t = np.linspace(0, 1, 41)[:, None]
    points = (1 - t) ** 3 * controls[0] + 3 * (1 - t) ** 2 * t * controls[1]
    points = points + 3 * (1 - t) * t**2 * controls[2] + t**3 * controls[3]
    try:
        paths.cubic(controls, 1.0)
        refused = False
    except ValueError:
        refused = True
    if refused != crossing(points):
        # Loops and cusps smaller than a step are met by one of the two only.
        legs = np.diff(points, axis=0)
        turns = np.abs(np.angle(np.exp(1j * np.diff(np.arctan2(legs[:, 1], legs[:, 0])))))
        assert turns.max() > 0.5


def test_a_band_crosses_before_its_middle_does():
    path = paths.arc(2 * math.pi * 3.0 * 0.95, 3.0)
    assert not path.crosses()
    assert Path(((0, 0), (2, 0), (2, 2), (1, 2), (1, -1))).crosses()
    hook = paths.cubic(((0, 0), (1.4, 0.0), (1.4, 0.3), (0, 0.3)), 10.0)
    assert not hook.crosses() and hook.crosses(2.0)


@pytest.mark.parametrize("points", [((0, 0),), ((0, 0), (0, 0)), ((0, 0, 0), (1, 1, 1)), ((0, 0), (1, 0), (1, 0))])
def test_what_is_no_path(points):
    with pytest.raises(ValueError, match="path"):
        Path(points)


# -- straightening -----------------------------------------------------------------------------------------------------


def band(path: Path, length: float, half: float, scale: float, points: int = 16) -> np.ndarray:
    """The polygon of a band around a path, in pixels, all of them positive."""
    s = np.linspace(0, length, points)
    return np.concatenate((path.offset(s, -half), path.offset(s[::-1], half))) * scale + 10 * scale


@pytest.mark.parametrize("number", range(7))
@given(length=st.floats(4.0, 14.0), u=st.floats(-0.02, 1.02), v=st.floats(-0.2, 1.2))
def test_a_ribbon_goes_there_and_back(number, length, u, v):
    polygon = band(families(length)[number], length, 0.5, 40)
    ribbon = geometry.ribbon(polygon[:16], polygon[:15:-1])
    step = ribbon.steps[0]
    there = np.array((u * step.width, v * step.height))
    back = ribbon.forward(ribbon.inverse(there))
    assert np.allclose(back, there, atol=0.02)


@given(length=st.floats(3.0, 14.0), u=st.floats(0, 1), v=st.floats(0, 1))
def test_a_ribbon_straightens_by_arc_length(length, u, v):
    path = paths.arc(length, 2.5, 1.0)
    polygon = band(path, length, 0.5, 40)
    ribbon = geometry.ribbon(polygon[:16], polygon[:15:-1])
    where = path.offset(np.array(u * length), v - 0.5) * 40 + 400
    assert np.allclose(ribbon.forward(where), (u * length * 40, v * 40), atol=0.6)


def test_a_mirrored_ribbon_is_straightened_too():
    polygon = band(paths.arc(8.0, 3.0), 8.0, 0.5, 40)
    ribbon = geometry.ribbon(polygon[:15:-1], polygon[:16])
    points = np.random.default_rng(0).random((200, 2)) * (300, 38)
    assert np.allclose(ribbon.forward(ribbon.inverse(points)), points, atol=0.02)


@given(st.floats(-3, 3), st.floats(0.3, 6.2), st.booleans(), st.booleans(), st.floats(0.01, 0.99), st.floats(-0.3, 1.3))
def test_polar_goes_there_and_back(start, sweep, turned, outside, u, v):
    top, bottom = (100.0, 60.0) if outside else (60.0, 100.0)
    polar = geometry.polar(50, 70, top, bottom, start, -sweep if turned else sweep, 300, 40)
    there = np.array((u * 300, v * 40))
    assert np.allclose(polar.forward(polar.inverse(there)), there, atol=0.01)
    x, y = polar.inverse(there)
    assert math.hypot(x - 50, y - 70) == pytest.approx(top + v * (bottom - top), abs=0.01)


def test_polar_and_ribbon_agree_on_a_ring():
    length, radius, scale = 12.0, 3.0, 40.0
    polygon = band(paths.arc(length, radius), length, 0.5, scale)
    ribbon = geometry.ribbon(polygon[:16], polygon[:15:-1])
    sweep = length / radius
    polar = geometry.polar(
        400, 400 + radius * scale, 3.5 * scale, 2.5 * scale, -math.pi / 2 - sweep / 2, sweep, length * scale, scale
    )
    points = np.random.default_rng(1).random((300, 2)) * (length * scale, scale)
    assert np.abs(ribbon.inverse(points) - polar.inverse(points)).max() < 1.0


@pytest.mark.parametrize(
    "arguments", [(5, 5, 0, 1, 10, 10), (5, -1, 0, 1, 10, 10), (5, 3, 0, 0, 10, 10), (5, 3, 0, 7, 10, 10)]
)
def test_what_is_no_ring(arguments):
    with pytest.raises(ValueError, match="ring"):
        geometry.polar(0, 0, *arguments)


@pytest.mark.parametrize(
    ("top", "bottom"),
    [
        (((0, 0),), ((0, 1),)),
        (((0, 0), (1, 0)), ((0, 1), (1, 1), (2, 1))),
        (((0, 0), (1, 0)), ((0, 0), (1, 0))),
        (((0, 0), (0, 0)), ((0, 1), (0, 1))),
    ],
)
def test_what_is_no_band(top, bottom):
    with pytest.raises(ValueError, match="band"):
        geometry.ribbon(top, bottom)


def checked(rows: int, columns: int) -> np.ndarray:
    """A picture with something to see everywhere, and smooth: noise of five pixels' size."""
    coarse = np.random.default_rng(2).random((rows // 5 + 2, columns // 5 + 2)).astype(np.float32)
    return (cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize("number", range(7))
def test_a_picture_bent_and_rectified_is_as_it_was(number):
    flat = checked(40, 480)
    length = 12.0
    polygon = band(families(length)[number], length, 0.5, 40)
    size = np.ceil(polygon.max(0)).astype(int) + 30
    bend = geometry.ribbon(polygon[:16], polygon[:15:-1], 480, 40).inverted()
    bent = bend.apply(flat, tuple(size.tolist()))
    back = geometry.rectify(bent, polygon, 40)
    assert back.shape[0] == 40 and back.shape[1] == pytest.approx(480, abs=5)
    back = cv2.resize(back, (480, 40))
    assert np.abs(back[3:-3, 6:-6].astype(int) - flat[3:-3, 6:-6]).mean() < 8


def test_rectify_scales_adds_margins_and_keeps_channels():
    image = cv2.cvtColor(checked(300, 700), cv2.COLOR_GRAY2BGR)
    box = np.array(((100, 100), (300, 100), (500, 100), (500, 200), (300, 200), (100, 200)), np.float32)
    same = geometry.rectify(image, box, 100)
    assert same.shape == (100, 400, 3) and np.abs(same.astype(int) - image[100:200, 100:500]).max() <= 1
    half = geometry.rectify(image, box, 50)
    small = cv2.resize(image[100:200, 100:500], None, None, 0.5, 0.5, interpolation=cv2.INTER_AREA)
    assert half.shape == (50, 200, 3) and np.abs(half.astype(int) - small).mean() < 3
    wide = geometry.rectify(image, box, 120, margin=0.1)
    assert wide.shape == (120, 420, 3) and np.abs(wide.astype(int) - image[90:210, 90:510]).max() <= 1


@pytest.mark.parametrize("points", [((0, 0), (1, 0)), ((0, 0), (1, 0), (1, 1)), ((0, 0),) * 6])
def test_what_cannot_be_rectified(points):
    with pytest.raises(ValueError, match=r"polygon|band"):
        geometry.rectify(np.zeros((10, 10), np.uint8), points, 10)


# -- sides of a bent line -------------------------------------------------------------------------------------------


def bent(kind: str, length: float, turn: float, bend: float, high: float = 24.0) -> tuple[np.ndarray, np.ndarray]:
    """Top and bottom of a line that is `length` heights long, along an arc or a wave, turned.

    With a `bend` of 1 an arc is as tight as letters bear, and a wave's crests have a radius of three heights.
    """
    t = np.linspace(-0.5, 0.5, 121) * length * high
    if kind == "arc":
        # No more than a ring with a gap.
        radius = max(1.3, length / 5.2) * high / bend
        middle = np.stack((radius * np.sin(t / radius), -radius * np.cos(t / radius)), -1)
    else:
        wave = length * high * 0.9
        crest = bend * wave * wave / (4 * math.pi**2 * 3 * high)
        middle = np.stack((t, crest * np.sin(2 * math.pi * t / wave)), -1)
    along = np.gradient(middle, axis=0)
    normal = np.stack((along[:, 1], -along[:, 0]), -1) / np.hypot(*along.T)[:, None]
    matrix = np.array(((math.cos(turn), -math.sin(turn)), (math.sin(turn), math.cos(turn))))
    top, bottom = ((middle + side * high / 2 * normal) @ matrix.T + 400 for side in (1, -1))
    return top, bottom


def corners(sides: np.ndarray) -> np.ndarray:
    half = len(sides) // 2
    return sides[[0, half - 1, half, -1]]


@given(
    st.sampled_from(["arc", "arc", "wave"]),
    st.floats(3.0, 14.0),
    st.floats(-1.2, 1.2),
    st.floats(0.1, 1.0),
    st.integers(0, 239),
    st.booleans(),
    st.floats(0.0, 0.03),
)
@settings(max_examples=60, deadline=None)
def test_long_sides_are_found_wherever_an_outline_begins(kind, length, turn, bend, start, reverse, rough):
    top, bottom = bent(kind, length, turn, bend)
    chord = (top[-1] + bottom[-1] - top[0] - bottom[0]) / 2
    # Ends that lie nearly above each other may be taken either way round.
    assume(chord[0] * math.hypot(*chord) > 1.5 * 24 * abs(chord[1]))
    outline = np.roll(np.concatenate((top, bottom[::-1])), start, 0)
    outline = outline[::-1] if reverse else outline
    outline = outline + np.random.default_rng(start).uniform(-rough, rough, outline.shape) * 24
    # A coarse outline, as detectors give them: points 0.15 heights apart, or more.
    step = math.ceil(0.15 * 120 / length) + start % 3
    sides = geometry.band(outline[::step])
    assert sides.dtype == np.float32 and len(sides) % 2 == 0 and 4 <= len(sides) <= 34
    away = np.hypot(*(corners(sides) - np.array((top[0], top[-1], bottom[-1], bottom[0]))).T)
    # A corner may be missing, and a rough one lie anywhere near it.
    least = 0.15 + step * length / 120
    assert away.max() < 24 * (least + 12 * rough), away / 24
    half = len(sides) // 2
    legs = np.hypot(*(sides[:half] - sides[: half - 1 : -1]).T)
    assert np.abs(legs / 24 - 1).max() < least + 6 * rough


@given(st.floats(2.5, 8.0), st.integers(0, 3))
@settings(max_examples=12, deadline=None)
def test_columns_begin_above(length, quarter):
    top, bottom = bent("arc", length, math.pi / 2 + (quarter - 1.5) * 0.05, 0.25)
    for outline in (np.concatenate((top, bottom[::-1])), np.concatenate((bottom, top[::-1]))):
        sides = geometry.band(outline)
        assert geometry.runs_down(sides)
        np.testing.assert_allclose(corners(sides), (top[0], top[-1], bottom[-1], bottom[0]), atol=2.5)


def test_a_ring_reads_from_left_to_right():
    """Above its middle letters stand outwards, below inwards: up is towards the top of the picture."""
    for turn, outer_on_top in ((0.0, True), (math.pi, False)):
        top, bottom = bent("arc", 5.0, turn, 0.999)
        first = top if outer_on_top else bottom[::-1]
        sides = geometry.band(np.concatenate((top, bottom[::-1])))
        np.testing.assert_allclose(sides[0], first[0], atol=2.5)
        assert sides[0, 0] < sides[len(sides) // 2 - 1, 0]


@pytest.mark.parametrize("outline", [np.zeros((2, 2)), np.zeros((5, 3)), np.ones((6, 2)), [(0, 0), (5, 5), (9, 9)]])
def test_outlines_without_sides(outline):
    with pytest.raises(ValueError, match="outline"):
        geometry.band(outline)
