"""Flat regions of backgrounds: what they are, how they lie, the same in every window, and texts upon them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from synth.compose.background import Window
from synth.pages.regions import RegionMaps, find_regions
from synth.pages.scene import _Scene


def squares(height: int, width: int) -> NDArray[np.uint8]:
    """What nobody writes on."""
    board = np.add.outer(np.arange(height) // 12, np.arange(width) // 12) % 2
    return np.repeat((board * 255).astype(np.uint8)[..., None], 3, 2)


def boards() -> NDArray[np.uint8]:
    """A red and a blue board of equal luminance side by side, squares around them."""
    image = squares(320, 480)
    image[80:240, 80:240] = (40, 40, 160)
    image[80:240, 240:400] = (180, 75, 60)
    return image


def test_regions_are_flat_and_of_one_colour() -> None:
    found = find_regions(boards())
    assert found.cells.shape == (40, 60) and len(found.level) == len(found.plumb) == found.cells.max() + 1
    red, blue = found.cells[20, 20], found.cells[20, 40]
    assert red and blue and red != blue
    inside = np.zeros((40, 60), bool)
    inside[10:30, 10:50] = True
    assert not found.cells[~inside].any()
    # All of a board but its rim.
    assert (found.cells[12:28, 12:28] == red).all() and (found.cells[12:28, 33:48] == blue).all()
    assert np.unique(found.cells[10:30, 33:48]).size <= 2


def test_a_sky_is_one_region() -> None:
    sky = np.linspace(60, 230, 400)[:, None, None] * np.array((1.0, 0.8, 0.7)) + np.zeros((400, 600, 3))
    found = find_regions(np.asarray(sky, np.uint8))
    assert (found.cells == 1).mean() > 0.99
    assert (find_regions(np.full((400, 600), 90, np.uint8)).cells == 1).all()
    # Too small to be divided: no region, no error.
    assert find_regions(np.zeros((5, 9, 3), np.uint8)).cells.shape == (1, 1)


def test_the_same_picture_has_the_same_regions() -> None:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (7, 9, 3), np.uint8)
    image = np.asarray(cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC), np.uint8)
    first = find_regions(image)
    cv2.setRNGSeed(7)
    again = find_regions(image.copy())
    np.testing.assert_array_equal(first.cells, again.cells)
    assert first.level == again.level and first.plumb == again.plumb and first.cells.max() > 1


@pytest.mark.parametrize(("level", "plumb"), list(itertools.product((-0.2, 0.0, 0.15), (-0.18, 0.0, 0.2))))
def test_the_edges_of_a_board_say_how_it_lies(level: float, plumb: float) -> None:
    middle = np.array((320.0, 240.0))
    corners = np.array(((-200, -140), (200, -140), (200, 140), (-200, 140)), float)
    corners = corners @ np.array(((1, level), (plumb, 1))) + middle
    image = np.full((480, 640, 3), 60, np.uint8)
    cv2.fillPoly(image, [np.round(corners * 16).astype(np.int32)], (190, 200, 210), cv2.LINE_AA, 4)
    found = find_regions(image)
    number = int(found.cells[30, 40])
    assert number and found.level[number] == pytest.approx(level, abs=0.03)
    assert found.plumb[number] == pytest.approx(plumb, abs=0.03)
    # In a mirror it leans the other way; stretched to twice its width it climbs half as steeply.
    whole = Window(("pictures", 0), 0, 0, 480, 640, False)
    wide = found.seen(whole, 60, 160)
    assert wide.cells.shape == (60, 160) and wide.cells[30, 80] == number
    assert wide.level[number] == pytest.approx(found.level[number] / 2)
    assert wide.plumb[number] == pytest.approx(found.plumb[number] * 2)
    mirrored = found.seen(Window(whole.key, 0, 0, 480, 640, True), 60, 80)
    np.testing.assert_array_equal(mirrored.cells, found.cells[:, ::-1])
    assert mirrored.level[number] == -found.level[number]


def test_a_window_sees_its_part() -> None:
    found = find_regions(boards())
    window = Window(("pictures", 0), 40, 160, 160, 160, False)
    part = found.seen(window, 40, 40)  # twice as large
    np.testing.assert_array_equal(part.cells, found.cells[5:25, 20:40].repeat(2, 0).repeat(2, 1))


def test_maps_are_made_once_and_bounded() -> None:
    maps, looked = RegionMaps(), []

    def picture(number: int) -> NDArray[np.uint8]:
        looked.append(number)
        return np.full((64, 64, 3), number, np.uint8)

    for number in [0, 0, *range(100), 0]:
        maps.of(("pictures", number), lambda number=number: picture(number))  # type: ignore[misc]
    assert looked == [*range(100), 0]
    assert len(maps._held) == 64


def test_groups_lie_in_their_region() -> None:
    image = boards()
    regions, window = find_regions(image), Window(("pictures", 0), 0, 0, 320, 480, False)
    rim = np.array(((0, 0), (90, 0), (90, 30), (0, 30)), np.float32)
    seen = set()
    for seed in range(30):
        rng = np.random.default_rng(seed)
        scene = _Scene(image.copy(), np.zeros(image.shape[:2], np.uint8))
        scene.follow(regions, window)
        number = scene.region(90 * 30, rng)
        assert number
        place = scene.place(rim, False, 40.0, rng, number)
        assert place is not None
        x, y = place
        left = 80 if regions.cells[20, 20] == number else 240
        assert left - 14 <= x <= left + 84 and 66 <= y <= 224
        seen.add(number)
        # What is full has no room for more.
        scene.take(np.array(((left, 80), (left + 160, 80), (left + 160, 240), (left, 240)), np.float32), 0.0)
        assert scene.region(100 * 100, rng) != number
    assert len(seen) == 2
    # Larger than any board: no region, and nowhere calm enough.
    scene = _Scene(image, np.zeros(image.shape[:2], np.uint8))
    scene.follow(regions, window)
    assert scene.region(300 * 200, np.random.default_rng(0)) == 0
    assert scene.lean(0) == (0.0, 0.0)


def test_a_scene_without_a_picture_has_no_regions() -> None:
    scene = _Scene(np.full((80, 80, 3), 99, np.uint8), np.zeros((80, 80), np.uint8))
    rng: Any = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert scene.region(10, rng) == 0 and scene.lean(0) == (0.0, 0.0)
    assert rng.bit_generator.state == before and math.isfinite(scene._mean.max())
