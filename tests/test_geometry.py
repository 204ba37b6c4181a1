from __future__ import annotations

import math
import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.geometry import (
    Projective,
    Warp,
    arc,
    bow,
    elastic,
    quad,
    rotation,
    scaling,
    shear,
    stretch,
    translation,
    wave,
)

WIDTH, HEIGHT = 160, 40
KINDS = {
    "translation": translation(3.3, -2.1),
    "scaling": scaling(1.1, 0.9, (80, 20)),
    "rotation": rotation(0.1, (80, 20)),
    "shear": shear(-0.2, 0.03, (80, 20)),
    "quad": quad([[0, 0], [160, 0], [160, 40], [0, 40]], [[6, 3], [150, -2], [157, 44], [2, 36]]),
    "wave y": wave(2.5, 70, 0.4),
    "wave x": wave(2.0, 50, 1.1, axis="x"),
    "bow": bow(70, 80, 6),
    "arc up": arc(80, 25, 140),
    "arc down": arc(80, 25, -140),
    "stretch x": stretch([0, 50, 160], [0, 62, 155]),
    "stretch y": stretch([0, 15, 40], [1, 18, 39], axis="y"),
    "elastic": elastic(np.random.default_rng(3), WIDTH, HEIGHT, 1.0, 16),
}


def number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


STEPS = st.one_of(
    st.builds(translation, number(-30, 30), number(-30, 30)),
    st.builds(lambda a, b: scaling(a, b, (80, 20)), number(0.5, 2), number(0.5, 2)),
    st.builds(lambda a: rotation(a, (80, 20)), number(-0.5, 0.5)),
    st.builds(lambda a: shear(a, 0.0, (80, 20)), number(-0.5, 0.5)),
    st.builds(
        lambda d: quad([[0, 0], [160, 0], [160, 40], [0, 40]], np.array([[0, 0], [160, 0], [160, 40], [0, 40]]) + d),
        st.lists(st.tuples(number(-6, 6), number(-6, 6)), min_size=4, max_size=4),
    ),
    st.builds(wave, number(-4, 4), number(15, 200), number(0, 7), st.sampled_from(["x", "y"])),
    st.builds(bow, number(0, 160), number(60, 120), number(-8, 8)),
    st.builds(arc, number(60, 100), number(0, 40), st.sampled_from([-400.0, -300.0, 300.0, 1000.0])),
    st.builds(lambda a: stretch([0, 60, 160], [0, a, 150]), number(50, 70)),
    st.builds(
        lambda seed, s: elastic(np.random.default_rng(seed), WIDTH, HEIGHT, s, 16), st.integers(0, 99), number(0, 1.2)
    ),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(steps=st.lists(STEPS, max_size=4), points=st.lists(st.tuples(number(0, WIDTH), number(0, HEIGHT)), min_size=1))
def test_inverse_undoes_forward(steps: list[Warp], points: list[tuple[float, float]]) -> None:
    warp = Warp()
    for step in steps:
        warp = warp.then(step)
    source = np.array(points)
    assert np.abs(warp.inverse(warp.forward(source)) - source).max() < 1e-3


def test_points_keep_their_shape_and_are_float32() -> None:
    points = np.zeros((5, 4, 2))
    for warp in (Warp(), KINDS["quad"], KINDS["arc up"].then(KINDS["wave y"])):
        assert warp.forward(points).shape == (5, 4, 2)
        assert warp.forward(points).dtype == np.float32
        assert warp.inverse(np.zeros(2)).shape == (2,)
        assert warp.forward(np.zeros((0, 4, 2))).shape == (0, 4, 2)


def test_known_positions() -> None:
    assert rotation(math.pi / 2, (10, 10)).forward([20, 10]) == pytest.approx([10, 20])
    assert shear(-0.5, 0.0, (0, 20)).forward([5, 10]) == pytest.approx([10, 10])
    assert scaling(2, centre=(10, 10)).forward([12, 9]) == pytest.approx([14, 8])
    assert bow(50, 50, 8).forward([[50, 20], [0, 20], [100, 20]]) == pytest.approx(
        np.array([[50, 12], [0, 20], [100, 20]])
    )
    assert wave(3, 40).forward([10, 5]) == pytest.approx([10, 8])
    assert wave(3, 40, axis="x").forward([5, 10]) == pytest.approx([8, 10])
    assert stretch([0, 10], [0, 20]).forward([[5, 1], [12, 1], [-3, 1]]) == pytest.approx(
        np.array([[10, 1], [22, 1], [-3, 1]])
    )
    # A quarter of a circle of radius 100 about (50, 120): the line's end lies level with the centre.
    assert arc(50, 20, 100).forward([50 + 50 * math.pi, 20]) == pytest.approx([150, 120], abs=1e-3)
    assert arc(50, 20, -100).forward([50 + 50 * math.pi, 20]) == pytest.approx([150, -80], abs=1e-3)
    # Above the line of a hill is farther from the centre.
    assert arc(50, 20, 100).forward([50 + 50 * math.pi, 10]) == pytest.approx([160, 120], abs=1e-3)


def test_arc_turns_glyphs_and_keeps_lengths_on_its_line() -> None:
    line = np.stack([np.linspace(0, 160, 2001), np.full(2001, 25.0)], 1)
    bent = arc(80, 25, 90).forward(line).astype(float)
    assert np.linalg.norm(np.diff(bent, axis=0), axis=1).sum() == pytest.approx(160, abs=0.01)
    foot, top = arc(80, 25, 90).forward([[150, 25], [150, 15]])
    assert math.atan2(top[0] - foot[0], foot[1] - top[1]) == pytest.approx(70 / 90, abs=1e-4)


def test_elastic_strength_is_its_root_mean_square_displacement() -> None:
    grid = np.stack(np.meshgrid(np.arange(0.0, 400), np.arange(0.0, 400)), -1)
    squares = [
        np.square(elastic(np.random.default_rng(seed), 400, 400, 1.5, 10).forward(grid) - grid).sum(-1).mean()
        for seed in range(12)
    ]
    assert math.sqrt(np.mean(squares)) == pytest.approx(1.5, rel=0.1)


def test_elastic_depends_on_the_generator_alone() -> None:
    points = np.random.default_rng(1).random((20, 2)) * 40
    first, again = (elastic(np.random.default_rng(5), 160, 40, 1, 12).forward(points) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, elastic(np.random.default_rng(6), 160, 40, 1, 12).forward(points))


def test_projective_steps_merge() -> None:
    a, b = KINDS["quad"], KINDS["rotation"]
    both = a.then(b)
    assert len(both.steps) == 1
    assert both.matrix is not None and a.matrix is not None and b.matrix is not None
    np.testing.assert_allclose(both.matrix, b.matrix @ a.matrix)
    points = np.random.default_rng(0).random((30, 2)) * 100
    np.testing.assert_allclose(both.forward(points), b.forward(a.forward(points)), atol=1e-3)
    assert len(a.then(KINDS["wave y"]).then(a).then(b).steps) == 3
    assert a.then(KINDS["wave y"]).matrix is None
    identity = Warp().matrix
    assert identity is not None and np.array_equal(identity, np.eye(3))
    assert Warp().then(Projective(np.eye(3))).matrix is not None


@pytest.mark.parametrize("kind", KINDS)
def test_the_inverted_warp_swaps_the_directions(kind: str) -> None:
    warp = KINDS[kind].then(KINDS["quad"])
    points = np.random.default_rng(1).random((30, 2)) * 20 + 40
    np.testing.assert_allclose(warp.inverted().forward(points), warp.inverse(points), rtol=1e-5)
    np.testing.assert_allclose(warp.inverted().inverse(points), warp.forward(points), rtol=1e-5)


def test_warps_do_not_change_and_survive_pickling() -> None:
    warp = KINDS["quad"].then(KINDS["wave y"])
    with pytest.raises(AttributeError):
        warp.steps = ()
    with pytest.raises(ValueError, match="read-only"):
        KINDS["quad"].matrix[0, 0] = 2  # type: ignore[index]
    assert np.array_equal(pickle.loads(pickle.dumps(warp)).forward([[3, 4]]), warp.forward([[3, 4]]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: scaling(0),
        lambda: shear(1, 1),
        lambda: quad([[0, 0], [1, 0], [2, 0], [3, 0]], [[0, 0], [1, 0], [1, 1], [0, 1]]),
        lambda: quad([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 0], [1, 0], [2, 0], [0, 1]]),
        lambda: Projective(np.eye(2)),
        lambda: stretch([0, 1, 1], [0, 1, 2]),
        lambda: stretch([0, 1], [0, 1, 2]),
        lambda: stretch([0], [0]),
        lambda: arc(0, 0, 0),
    ],
)
def test_what_cannot_be_inverted_is_refused(make: object) -> None:
    with pytest.raises(ValueError):
        make()  # type: ignore[operator]


def picture() -> np.ndarray:
    noise = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2.5)


def brute_force(warp: Warp, image: np.ndarray, border: float | None) -> np.ndarray:
    """Pixel by pixel, bilinear, from the definition of pixel centres."""
    height, width = image.shape
    out = np.zeros(image.shape)
    for j in range(height):
        for i in range(width):
            x, y = warp.inverse([i + 0.5, j + 0.5]).astype(float) - 0.5
            left, top = math.floor(x), math.floor(y)
            for dy in (0, 1):
                for dx in (0, 1):
                    weight = (1 - abs(x - left - dx)) * (1 - abs(y - top - dy))
                    row, column = top + dy, left + dx
                    if border is None:
                        value = image[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
                    else:
                        inside = 0 <= row < height and 0 <= column < width
                        value = image[row, column] if inside else border
                    out[j, i] += weight * float(value)
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_apply_equals_brute_force(kind: str) -> None:
    image = picture()
    border = None if kind != "arc up" else 200.0
    error = np.abs(KINDS[kind].apply(image, border=border) - brute_force(KINDS[kind], image, border))
    assert error.mean() < 0.6
    assert error.max() < 12


@settings(max_examples=60, deadline=None, derandomize=True)
@given(steps=st.lists(STEPS, min_size=1, max_size=3), x=number(20, 140), y=number(8, 32))
def test_a_dot_lands_where_its_point_does(steps: list[Warp], x: float, y: float) -> None:
    warp = Warp()
    for step in steps:
        warp = warp.then(step)
    grid = np.stack(np.meshgrid(np.arange(200) + 0.5, np.arange(90) + 0.5), -1)
    dot = (255 * np.exp(-np.square(grid - (x + 20, y + 25)).sum(-1) / (2 * 1.5**2))).astype(np.uint8)
    framed = translation(-20, -25).then(warp).then(translation(60, 60))
    target = framed.forward([x + 20, y + 25])
    moved = framed.apply(dot, (300, 180), border=0).astype(float)
    if moved.sum() == 0 or not (12 < target[0] < 288 and 12 < target[1] < 168):
        return
    centres = np.stack(np.meshgrid(np.arange(300) + 0.5, np.arange(180) + 0.5), -1)
    centroid = (centres * moved[..., None]).sum((0, 1)) / moved.sum()
    # The centroid of the moved dot, from where its pixels go and how much the map enlarges them there.
    places = framed.forward(grid).astype(float)
    (xx, xy), (yx, yy) = (np.gradient(places[..., k], axis=(1, 0)) for k in (0, 1))
    weight = dot * np.abs(xx * yy - xy * yx)
    assert np.abs(centroid - (places * weight[..., None]).sum((0, 1)) / weight.sum()).max() < 0.15
    assert np.abs(centroid - target).max() < 0.6


@pytest.mark.parametrize("kind", ["quad", "rotation", "wave y"])
@pytest.mark.parametrize("shape", [(40, 160), (40, 160, 1), (40, 160, 2), (40, 160, 3), (40, 160, 4)])
def test_channels_are_warped_alike_and_kept(kind: str, shape: tuple[int, ...]) -> None:
    image = cv2.blur(np.random.default_rng(0).integers(0, 256, shape, np.uint8), (7, 7)).reshape(shape)
    before = image.copy()
    out = KINDS[kind].apply(image, (100, 50), border=9)
    assert out.shape == (50, 100, *shape[2:])
    assert out.dtype == np.uint8
    assert np.array_equal(image, before)
    if len(shape) == 3:
        for channel in range(shape[2]):
            single = KINDS[kind].apply(np.ascontiguousarray(image[..., channel]), (100, 50), border=9)
            assert np.abs(out[..., channel].astype(int) - single).max() <= 4  # OpenCV has one rounding for each number


def test_border_value_per_channel() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    for warp in (translation(20, 0), translation(20, 0).then(wave(1, 30))):
        assert np.array_equal(warp.apply(image, border=(1, 2, 3))[0, 0], [1, 2, 3])
        assert np.array_equal(warp.apply(image + 7)[0, 0], [7, 7, 7])


def test_identity_and_whole_pixels_are_exact() -> None:
    image = np.random.default_rng(0).integers(0, 256, (33, 57, 3), np.uint8)
    assert np.array_equal(Warp().apply(image), image)
    moved = translation(5, -3).then(wave(0, 30)).apply(image, border=0)
    assert np.array_equal(moved[:-3, 5:], image[3:, :-5])
    assert np.array_equal(wave(0, 30).apply(np.ones((1, 1), np.uint8)), np.ones((1, 1), np.uint8))
