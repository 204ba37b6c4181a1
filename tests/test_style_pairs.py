"""Pairs of texts in one look: what they share, where letters lie, and the parts they are made of."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from synth.recipe import Recipe
from synth.render.line import Ink
from synth.style.pairs import GROUND, Pair, Pairs, aligned, fitted, on_ground, pair_recipe, skeleton

pytestmark = pytest.mark.usefixtures("own_cache", "one_scan")

PARTS = ("style", "ink", "target", "skeleton", "text", "background", "fused", "mask", "polygons")


def recipe(tmp_path: Path, fonts: list[Path], text: str, name: str = "clean", *overrides: str) -> Recipe:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(text, encoding="utf-8")
    return Recipe.load(name, corpus=corpus, overrides=overrides, fonts={"paths": [str(path) for path in fonts]})


LATIN = "Harbour\nwindow\nmany\nFive\nold\n"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, dejavu: list[Path]) -> Pairs:
    return Pairs(recipe(tmp_path_factory.mktemp("pairs"), dejavu, LATIN, "scene"))


def test_a_pair_follows_from_recipe_seed_and_index(scene: Pairs) -> None:
    again = pickle.loads(pickle.dumps(scene))
    later = [again[index] for index in (7, 3)]
    for index, pair in zip((7, 3), later, strict=True):
        for part in PARTS:
            np.testing.assert_array_equal(getattr(scene[index], part), getattr(pair, part))
    assert scene[3].label == later[1].label and scene[3].style_label == later[1].style_label
    assert not np.array_equal(scene[4].style, scene[5].style)
    other = Pairs(scene.recipe.model_copy(update={"seed": 1}))
    assert any(not np.array_equal(other[index].style, scene[index].style) for index in range(3))


def test_parts_are_of_one_size(scene: Pairs) -> None:
    for index in range(8):
        pair = scene[index]
        size = pair.mask.shape
        assert size[0] == 32 and pair.target.shape == pair.skeleton.shape == pair.ink.shape == size
        assert pair.style.shape == pair.text.shape == pair.background.shape == pair.fused.shape == (*size, 3)
        assert pair.polygons.shape == (len(pair.units), 4, 2) and "".join(pair.units) == pair.label
        assert all(getattr(pair, part).dtype == np.uint8 for part in PARTS[:-1])


def flat(tmp_path: Path, dejavu: list[Path]) -> Pairs:
    """One flat ink on one flat ground, nothing else."""
    look = ("colour.ink_coloured=1", "colour.coloured=1", "colour.contrast=[90, 200]", "colour.luminance=[60, 200]")
    return Pairs(recipe(tmp_path, dejavu, LATIN, "clean", *look, "colour.saturation=[0.4, 0.8]"))


def test_both_texts_have_one_ink_on_one_ground(tmp_path: Path, dejavu: list[Path]) -> None:
    pairs = flat(tmp_path, dejavu)
    grounds = set()
    for index in range(6):
        pair = pairs[index]
        ground = pair.background[0, 0]
        assert (pair.background == ground).all()
        np.testing.assert_array_equal(
            pair.fused[pair.mask == 0], np.broadcast_to(ground, (int((pair.mask == 0).sum()), 3))
        )
        assert (pair.text[pair.mask == 0] == GROUND).all()
        inks = pair.fused[pair.mask == 255].astype(int)
        assert np.ptp(inks, axis=0).max() <= 2
        np.testing.assert_allclose(pair.text[pair.mask == 255], inks, atol=2)
        # The style has the very same ink somewhere, and its ground.
        apart = np.abs(pair.style.astype(int) - inks[0]).max(axis=2)
        assert (apart[pair.ink == 255] <= 3).all() and (
            np.abs(pair.style.astype(int) - ground).max(axis=2)[pair.ink == 0] <= 1
        ).all()
        grounds.add(tuple(ground.tolist()))
    assert len(grounds) > 3


def test_plain_letters_lie_where_styled_ones_do(tmp_path: Path, dejavu: list[Path]) -> None:
    pairs = Pairs(recipe(tmp_path, dejavu, "HIO\nHOHI\n", "clean", "geometry.shear={p: 1, slant: [0.2, 0.2]}"))
    for index in range(4):
        pair = pairs[index]
        plain = GROUND - pair.target.astype(int)
        for ink in (plain, pair.mask.astype(int)):
            inside = np.zeros(ink.shape, np.uint8)
            for polygon in pair.polygons:
                cv2.fillConvexPoly(inside, np.round(polygon).astype(np.int32), 1)
            grown = cv2.dilate(inside, np.ones((3, 3), np.uint8))
            assert ink[grown == 1].sum() > 0.995 * ink.sum()
            for polygon in pair.polygons:
                (left, top), (right, bottom) = polygon.min(0), polygon.max(0)
                assert ink[int(top) : int(bottom) + 1, int(left) : int(right) + 1].max() > 100
        middle = pair.skeleton > 0
        assert 0 < middle.sum() < 0.6 * (pair.mask >= 128).sum() and (pair.mask[middle] >= 128).all()


@pytest.mark.parametrize("text", ["Ωμέγα\nνερό\n", "مدرسة\nكتاب\nلا\n", "שלום\nבית\n"])
def test_scripts(tmp_path: Path, dejavu: list[Path], text: str) -> None:
    pairs = Pairs(recipe(tmp_path, dejavu, text, "document", "corpus.template_share=0"))
    letters = set(text) | {" "}
    for index in range(3):
        pair = pairs[index]
        assert set(pair.label) <= letters and set(pair.style_label) <= letters
        # More ink of one where there is more of the other: they show the same letters.
        plain = (GROUND - pair.target.astype(float)).sum(0)
        assert np.corrcoef(plain, pair.mask.astype(float).sum(0))[0, 1] > 0.6


def test_what_no_look_has_is_left_out(tmp_path: Path, dejavu: list[Path]) -> None:
    full = recipe(
        *(tmp_path, dejavu, LATIN, "scene"),
        *("geometry.elastic.p=1", "surroundings.above=1", "ink.underline=1", "layout.jitter_share=1"),
        *("layout.margin_x=[-0.5, 0.3]", "layout.vertical.p=1", "layout.curve.p=0", "layout.seal.p=0"),
    )
    kept = pair_recipe(full)
    assert kept.geometry.elastic.p == kept.surroundings.above == kept.ink.underline == kept.layout.jitter_share == 0
    assert kept.layout.vertical.p == 0 and kept.layout.margin_x == (0.0, 0.3)
    assert kept.geometry.shear == full.geometry.shear and kept.degrade == full.degrade
    with pytest.raises(ScriptoriumError, match="draws pages; pairs of texts want one that draws lines"):
        pair_recipe(Recipe.load("pages", corpus=tmp_path / "corpus.txt"))


def test_what_cannot_be_drawn(tmp_path: Path, dejavu: list[Path]) -> None:
    pairs = Pairs(recipe(tmp_path, dejavu, LATIN, "clean", "legibility.contrast=255"))
    with pytest.raises(ScriptoriumError, match="pair 0: 200 attempts were refused, the last one for: contrast under"):
        pairs[0]
    with pytest.raises(IndexError):
        pairs[-1]


# -- parts -----------------------------------------------------------------------------------------------------------


@given(own=st.integers(1, 20), width=st.integers(1, 90))
def test_fitted_goes_on_as_its_mirror_image(own: int, width: int) -> None:
    picture = np.arange(own, dtype=np.uint8)[None, :, None].repeat(2, 0).repeat(3, 2)
    found = fitted(picture, width)
    assert found.shape == (2, width, 3) and found.flags.c_contiguous
    both = np.concatenate([picture, picture[:, ::-1]], 1)
    np.testing.assert_array_equal(found, np.tile(both, (1, 46 * 2 // own + 1, 1))[:, :width])


def ink(mask: NDArray[Any], boxes: list[tuple[float, float, float, float]], baseline: float) -> Ink:
    count = len(boxes)
    blank = np.array([right <= left for left, _, right, _ in boxes])
    return Ink(mask.astype(np.uint8), np.array(boxes, np.float32), np.zeros(count, bool), blank, baseline, 20)


def bars(places: list[tuple[int, int]], rows: int, width: int, baseline: float) -> Ink:
    mask = np.zeros((rows, width), np.uint8)
    for left, right in places:
        mask[:, left:right] = 255
    return ink(mask, [(left, 0, right, rows) for left, right in places], baseline)


def test_letters_are_moved_to_where_others_are() -> None:
    plain = bars([(0, 10), (12, 30), (40, 50)], 20, 50, 15)
    styled = bars([(0, 16), (22, 36), (44, 60)], 40, 60, 30)
    found = aligned(plain, styled)
    assert found.shape == (40, 60)
    # Gaps and bars lie where those of the styled letters do.
    assert (found[:, 17:21] == 0).all() and (found[:, 37:43] == 0).all()
    assert (found[1:-1, 1:15] > 250).all() and (found[1:-1, 23:35] > 250).all() and (found[1:-1, 45:59] > 250).all()
    # In any order of units, as from right to left.
    backwards = [
        ink(each.mask, [tuple(box) for box in each.boxes[::-1].tolist()], each.baseline) for each in (plain, styled)
    ]
    np.testing.assert_array_equal(aligned(*backwards), found)
    # Baselines meet: what stands below that of the one stands below that of the other.
    marked = plain.mask.copy()
    marked[15:] = 0
    low = aligned(ink(marked, [tuple(box) for box in plain.boxes.tolist()], 15), styled)
    assert (low[1:29, 5] > 250).all() and (low[31:, 5] == 0).all()
    # Nothing drips down from the baseline: what is a pixel thick there is no thicker than it may be.
    thin = bars([(0, 10), (12, 30), (40, 50)], 16, 50, 15)
    assert (aligned(thin, styled)[35:] == 0).all()
    # The same face moves nothing.
    np.testing.assert_array_equal(aligned(styled, styled), styled.mask)


def test_a_bar_in_the_place_of_a_broad_letter_stays_a_bar() -> None:
    found = aligned(bars([(0, 4), (10, 20)], 10, 20, 8), bars([(0, 30), (40, 50)], 10, 50, 8))[5]
    assert (found > 127).sum() == pytest.approx(1.6 * 4 + 10, abs=2)
    assert (found[13:17] > 250).all() and (found[:10] == 0).all() and (found[20:38] == 0).all()
    # And one that is to be narrow is squeezed no further than that.
    found = aligned(bars([(0, 16), (30, 40)], 10, 40, 8), bars([(8, 12), (30, 40)], 10, 40, 8))[5]
    assert (found > 127).sum() == pytest.approx(10 + 10, abs=2)


def test_units_in_another_order_do_not_tear_the_line() -> None:
    plain = bars([(0, 10), (20, 30), (10, 20)], 10, 30, 8)
    styled = bars([(0, 10), (10, 20), (20, 30)], 10, 30, 8)
    assert (aligned(plain, styled) == 255).all()


def test_on_ground_is_black_on_grey() -> None:
    assert on_ground(np.array([[0, 255, 128]], np.uint8)).tolist() == [[GROUND, 0, 63]]


@given(
    st.lists(
        st.tuples(st.integers(4, 60), st.integers(4, 36), st.integers(4, 60), st.integers(4, 36), st.integers(3, 6)),
        min_size=1,
        max_size=4,
    )
)
def test_skeletons_are_thin_and_whole(lines: list[tuple[int, int, int, int, int]]) -> None:
    mask = np.zeros((40, 64), np.uint8)
    for x0, y0, x1, y1, thick in lines:
        cv2.line(mask, (x0, y0), (x1, y1), 255, thick)
    found = skeleton(mask)
    assert set(np.unique(found)) <= {0, 255} and (mask[found > 0] == 255).all() and (found > 0).any()
    assert cv2.connectedComponents(found, connectivity=8)[0] == cv2.connectedComponents(mask, connectivity=8)[0]
    # Nowhere a full square of three pixels a side is left.
    assert cv2.erode(found, np.ones((3, 3), np.uint8), borderValue=0).max() == 0


def test_the_skeleton_of_a_bar_is_its_middle() -> None:
    mask = np.zeros((9, 30), np.uint8)
    mask[2:7, 3:27] = 200
    found = skeleton(mask)
    assert (found[4, 6:24] == 255).all() and found.sum() == 255 * (found[4] == 255).sum()
    assert skeleton(np.full((5, 5), 127, np.uint8)).sum() == 0


def test_pairs_name_both_texts(scene: Pairs) -> None:
    pair = scene[0]
    assert isinstance(pair, Pair) and pair.label and pair.style_label
