"""Texts of other pages on the squares that detectors learn from: where the ink lies, what it covers, what is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from det_runs import configuration, drawn_page, drawn_set
from numpy.typing import NDArray
from pydantic import ValidationError

from ocr.config import CopyPaste, Crop, SourceConfig
from ocr.data.det import Page, SquarePreparer, cut_square, paste_texts
from ocr.data.sampler import Draw, Planned
from ocr.data.sources import FileSource, open_source
from ocr.data.targets import db_targets
from ocr.spec import DetPreprocess

CROP = Crop(size=128, scale=(0.5, 1.5), degrees=20, min_side=4)
INK = (20, 60, 200)  # of the giver: red


def filled(polygons: list[NDArray[np.float32]], grow: float = 1.0) -> NDArray[np.uint8]:
    mask = np.zeros((128, 128), np.uint8)
    for polygon in polygons:
        middle = polygon.mean(0)
        points = middle + (polygon - middle) * grow
        cv2.fillPoly(mask, [np.round(points * 16 - 8).astype(np.int32)], 1, cv2.LINE_8, 4)
    return mask


def given(rng: np.random.Generator, **options: Any) -> Page:
    """A page whose bars are red instead of dark."""
    image, entries = drawn_page(rng, **options)
    ink = image[..., 2] < 100
    image[ink] = INK
    quads = [np.array(entry["points"], np.float32) for entry in entries]
    return Page(image, quads, ["text"] * len(quads), "giver")


def square(rng: np.random.Generator) -> tuple[NDArray[np.uint8], list[NDArray[np.float32]], list[bool]]:
    image, entries = drawn_page(rng, wide=(30, 60), high=(10, 18))
    quads = [np.array(entry["points"], np.float32) for entry in entries]
    return cut_square(Page(image, quads, ["text"] * len(quads), "p"), CROP, 127, rng)


def red(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (image[..., 2].astype(int) - image[..., 0]) > 90


def test_pasted_ink_is_in_its_polygons_and_nothing_is_covered() -> None:
    pasted = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        image, polygons, ignored = square(rng)
        before = image.copy()
        config = CopyPaste(p=1, count=(1, 4))
        found, all_, flags = paste_texts(image, polygons, ignored, given(rng), config, CROP, rng)
        np.testing.assert_array_equal(image, before)
        new = all_[len(polygons) :]
        assert len(new) <= 4 and flags == [*ignored, *[False] * len(new)]
        for one, other in zip(all_, polygons, strict=False):
            np.testing.assert_array_equal(one, other)
        # What was a text is one still, to the pixel, and none lies across another.
        old = filled(polygons).astype(bool)
        np.testing.assert_array_equal(found[old], before[old])
        assert not (filled(new) & filled(polygons)).any()
        assert sum(int(filled([one]).sum()) for one in new) == int(filled(new).sum())
        # Ink in all of a pasted polygon's middle, and none beyond its edge.
        ink = red(found)
        inner = filled(new, 0.75).astype(bool)
        assert not inner.any() or ink[inner].mean() > 0.99
        assert not ink[cv2.dilate(filled(new), np.ones((5, 5), np.uint8)) == 0].any()
        for polygon in new:
            assert polygon.min() >= 1 and polygon.max() <= 127
            assert min(cv2.minAreaRect(polygon)[1]) >= CROP.min_side
        pasted += len(new)
    assert pasted > 25


def test_no_ink_of_a_neighbour_comes_along() -> None:
    """Bars three pixels apart, of which one alone is a text for itself: the others' labels touch."""
    page = np.full((160, 200, 3), 220, np.uint8)
    quads = []
    for row, (left, right) in enumerate(((20, 90), (20, 90), (20, 90), (95, 190), (20, 90))):
        top = 20 + 24 * row
        page[top : top + 21, left:right] = INK
        quads.append(np.array(((left, top), (right, top), (right, top + 21), (left, top + 21)), np.float32))
    quads[1][:2] -= np.float32([0, 3])  # touches the first
    giver = Page(page, quads, ["a", "b", "c", "###", "e"], "giver")
    crop = Crop(size=128, scale=(1, 1), degrees=0, min_side=4)
    texts = set()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        blank = np.full((128, 128, 3), 220, np.uint8)
        found, polygons, _ = paste_texts(blank, [], [], giver, CopyPaste(p=1, count=(1, 1), around=(1, 1)), crop, rng)
        assert len(polygons) == 1
        texts |= {round(float(np.ptp(polygons[0][:, 0])))}
        # Ink of the others would be red far from the polygon.
        assert not red(found)[cv2.dilate(filled(polygons), np.ones((3, 3), np.uint8)) == 0].any()
    assert texts == {70}  # never the one to be ignored, which is wider


def test_texts_may_be_covered_where_asked_and_are_ignored_then() -> None:
    covered = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        image, polygons, ignored = square(rng)
        found, all_, flags = paste_texts(
            image, polygons, ignored, given(rng), CopyPaste(p=1, count=(3, 3), cover=1), CROP, rng
        )
        new = all_[len(polygons) :]
        assert not any(flags[len(polygons) :])
        for polygon, was, now in zip(polygons, ignored, flags, strict=False):
            inside = filled([polygon]).astype(bool)
            changed = bool((found[inside] != image[inside]).any())
            assert now or not changed
            assert not was or now
            if (filled([polygon], 0.9) & filled(new, 0.9)).any():
                assert now
                covered += 1
    assert covered > 5


def test_a_square_without_room_stays_as_it_is() -> None:
    rng = np.random.default_rng(1)
    image = np.full((128, 128, 3), 200, np.uint8)
    whole = np.array(((0, 0), (128, 0), (128, 128), (0, 128)), np.float32)
    found, polygons, ignored = paste_texts(image, [whole], [True], given(rng), CopyPaste(p=1), CROP, rng)
    np.testing.assert_array_equal(found, image)
    assert len(polygons) == 1 and ignored == [True]
    small = Crop(size=128, scale=(0.5, 0.5), min_side=40)
    found, polygons, _ = paste_texts(image, [], [], given(rng), CopyPaste(p=1), small, rng)
    assert not polygons


def preparer(folder: Path, copy_paste: CopyPaste | None) -> SquarePreparer:
    sources = []
    for number in range(2):
        path = folder / str(number)
        if not path.exists():
            drawn_set(path, 5, number)
        source = open_source(SourceConfig(name=str(number), path=path))
        assert isinstance(source, FileSource)
        sources.append(source)
    return SquarePreparer(sources, CROP, db_targets, DetPreprocess(), None, 7, copy_paste)


def test_batches_are_a_function_of_plan_and_seed(tmp_path: Path) -> None:
    draws = [Draw(number, index) for number in range(2) for index in range(4)]
    one = preparer(tmp_path, CopyPaste(p=0.7))(3, Planned(draws, 128))
    again = preparer(tmp_path, CopyPaste(p=0.7))(3, Planned(draws, 128))
    np.testing.assert_array_equal(one.images, again.images)
    assert one.pasted == again.pasted and sum(one.pasted) > 0
    # A square does not depend on what else is in the batch: two processes paste as one does.
    half = preparer(tmp_path, CopyPaste(p=0.7))(3, Planned(draws[5:], 128))
    np.testing.assert_array_equal(half.images, one.images[5:])
    np.testing.assert_array_equal(half.targets.core, one.targets.core[5:])
    # Squares that get none are those of a run without.
    none = preparer(tmp_path, None)(3, Planned(draws, 128))
    assert none.pasted == [0] * 8
    for number, count in enumerate(one.pasted):
        same = bool((none.images[number] == one.images[number]).all())
        assert same == (count == 0)
        more = (
            cv2.connectedComponents(one.targets.core[number])[0] - cv2.connectedComponents(none.targets.core[number])[0]
        )
        assert more == count


def test_a_broken_giver_leaves_the_square_alone(tmp_path: Path) -> None:
    made = preparer(tmp_path, CopyPaste(p=1))
    for number in range(1, 5):
        (tmp_path / "0" / f"{number}.png").write_bytes(b"no picture")
        (tmp_path / "1" / f"{number}.png").write_bytes(b"no picture")
    batch = made(0, Planned([Draw(0, 0), Draw(1, 0), Draw(1, 1)], 128))
    assert len(batch.keys) == 2 and len(batch.skipped) == 1


def test_show_batch_counts_what_was_pasted(tmp_path: Path, ocr: Any) -> None:
    file = configuration(tmp_path, "DB", 1)
    done = ocr(
        "show-batch",
        "-c",
        file,
        "-o",
        "Train.copy_paste.p=1",
        "Train.crop.scale=[0.3, 0.5]",
        "--output",
        tmp_path / "batch.png",
    )
    assert done.code == 0 and " pasted  " in done.out, done
    assert " pasted  " not in ocr("show-batch", "-c", file, "--output", tmp_path / "batch.png").out


@pytest.mark.parametrize("values", [{"p": 2}, {"count": (3, 1)}, {"around": (-1, 1)}, {"cover": -1}, {"counts": 1}])
def test_what_cannot_be_asked(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CopyPaste(**values)
