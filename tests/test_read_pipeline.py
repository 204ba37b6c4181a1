"""From a page to its texts: tiles, crops, turning, several recognisers, evaluation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from page_fakes import LETTERS, DarkBackend, RedReader, detector, page
from PIL import Image as Pillow

from augment import geometry
from augment.errors import ScriptoriumError
from ocr.infer.detector import Detector
from ocr.read.page import PageReading, Text
from ocr.read.reader import Reader, Router, _agreed, cut, upright

TWO_COLUMNS = [
    *((20, 20 + 30 * row, 150, 18, "abc"[row]) for row in range(3)),
    *((230, 20 + 30 * row, 150, 18, "def"[row]) for row in range(3)),
]


def reader(rec: Any = None, **options: Any) -> Reader:
    return Reader(detector(), Router({"": rec or RedReader()}), **options)


# -- tiles ---------------------------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_tiles_find_what_the_whole_page_has(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(400, 1500, 2))
    image = np.full((height, width, 3), 255, np.uint8)
    for _ in range(60):
        h, w = int(rng.integers(8, 40)), int(rng.integers(20, 900))
        y, x = int(rng.integers(-10, height)), int(rng.integers(-10, width))
        quad = cv2.boxPoints(((x, y), (w, h), float(rng.uniform(-20, 20))))
        cv2.fillPoly(image, [np.round(quad).astype(np.int32)], (30, 20, 10))
    one, other = Detector(DarkBackend(), 4096), Detector(DarkBackend(), 640)
    whole, tiled = one.find(image), other.find(image)
    assert len(whole) == len(tiled)
    for a, b in zip(whole, tiled, strict=True):
        np.testing.assert_array_equal(a.polygon, b.polygon)
        assert a.score == b.score
    backend = other._backend
    assert isinstance(backend, DarkBackend)
    assert max(max(shape[1:3]) for shape in backend.shapes) <= 640


def test_tiles_begin_on_the_grid_and_cover_everything() -> None:
    for tile in (544, 640, 1536):
        made = Detector(DarkBackend(), tile)
        for length in (*range(1, 70), *range(500, 5000, 37)):
            parts = made._parts(length)
            assert parts[0].first == 0 and parts[-1].last == length
            for part, following in zip(parts, [*parts[1:], None], strict=True):
                assert part.start % 32 == 0 and part.start <= part.first < part.last <= part.start + tile
                # Far from a tile's edge, but for the page's own.
                if following is not None:
                    assert part.last == following.first
                    assert part.start + tile - part.last >= 96 and following.first - following.start >= 96
    with pytest.raises(ValueError, match="tile must be"):
        Detector(DarkBackend(), 500)


def test_candidates_of_a_large_page_are_not_cut_off() -> None:
    image = np.full((1600, 1600, 3), 255, np.uint8)
    for row in range(60):
        for column in range(30):
            image[10 + 26 * row : 22 + 26 * row, 10 + 52 * column : 50 + 52 * column] = 0
    assert len(Detector(DarkBackend(), 640).find(image)) == 1800


# -- crops ---------------------------------------------------------------------------------------------------------


def test_an_upright_crop_is_the_picture_itself() -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    quad = np.array(((10, 20), (70, 20), (70, 50), (10, 50)), np.float32)
    np.testing.assert_array_equal(cut(image, quad), image[20:50, 10:70])
    np.testing.assert_array_equal(cut(image[..., 0], quad), image[20:50, 10:70, 0])


def test_a_turned_crop_is_what_was_turned() -> None:
    """Against a smooth picture whose values are known everywhere."""

    def level(x: Any, y: Any) -> Any:
        return 120 + 50 * np.sin(x / 15) + 40 * np.cos(y / 11)

    y, x = np.mgrid[:200, :300] + 0.5
    image = np.round(level(x, y)).astype(np.uint8)
    corner, angle, wide, high = np.array((80.0, 60.0)), 0.4, 100, 40
    along, down = np.array((np.cos(angle), np.sin(angle))), np.array((-np.sin(angle), np.cos(angle)))
    quad = np.stack((corner, corner + wide * along, corner + wide * along + high * down, corner + high * down))
    found = cut(image, quad.astype(np.float32))
    assert found.shape == (high, wide)
    rows, columns = np.mgrid[:high, :wide] + 0.5
    points = corner + columns[..., None] * along + rows[..., None] * down
    np.testing.assert_allclose(found, level(points[..., 0], points[..., 1]), atol=1.6)


def test_crops_that_reach_beyond_or_have_no_area() -> None:
    image = np.full((20, 20, 3), 7, np.uint8)
    for quad in (
        ((-5, -5), (30, -5), (30, 30), (-5, 30)),
        ((19, 19), (40, 19), (40, 40), (19, 40)),
        ((3, 3), (3, 3), (3, 3), (3, 3)),
        ((50, 50), (60, 50), (60, 60), (50, 60)),
        ((2, 2), (10, 2), (12, 8), (9, 12), (2, 10)),
    ):
        found = cut(image, np.array(quad, np.float32))
        assert found.size and (found == 7).all()


def written(high: int = 30, wide: int = 260) -> NDArray[np.uint8]:
    """Something with an up and a beginning, like a line of letters."""
    rng = np.random.default_rng(4)
    image = np.full((high, wide), 230, np.uint8)
    for x in range(4, wide - 12, 14):
        top = int(rng.integers(3, high // 2))
        cv2.rectangle(image, (x, top), (x + int(rng.integers(3, 10)), high - 5), 30, -1)
    return image


def bent_page(turn: float = 0.0, radius: float = 110.0) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The line along an arc on a page, and its outline as a detector finds it: of many points, from anywhere."""
    line = written()
    high, wide = line.shape
    warp = geometry.arc(wide / 2, high / 2, radius).then(geometry.translation(200 - wide / 2, 200 - high / 2))
    warp = warp.then(geometry.rotation(turn, (200, 200)))
    page = warp.apply(line, (400, 400), 230)
    t = np.linspace(0, 1, 40)
    rim = np.concatenate(
        (
            np.stack((t * wide, 0 * t), -1),
            np.stack((0 * t + wide, t * high), -1)[1::9],
            np.stack((wide - t * wide, 0 * t + high), -1),
            np.stack((0 * t, high - t * high), -1)[1::9],
        )
    )
    return np.asarray(page, np.uint8), np.roll(warp.forward(rim), 17, 0)


def alike(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Correlation of two pictures once they have the same size."""
    same = cv2.resize(other, one.shape[::-1], interpolation=cv2.INTER_AREA)
    return float(cv2.matchTemplate(one, same, cv2.TM_CCOEFF_NORMED)[0, 0])


@pytest.mark.parametrize(("turn", "radius"), [(0.0, 110.0), (0.5, 80.0), (-0.6, -120.0), (0.0, 260.0)])
def test_a_bent_text_is_straightened(turn: float, radius: float) -> None:
    image, outline = bent_page(turn, radius)
    found = cut(image, outline)
    assert found.shape[0] == pytest.approx(30, abs=2) and found.shape[1] == pytest.approx(260, rel=0.03)
    assert alike(written(), found) > 0.9
    back = cut(np.dstack([image] * 3), outline[::-1].copy())
    assert back.shape == (*found.shape, 3) and alike(found, back[..., 0]) > 0.97


def test_a_bent_column_stands_and_is_read_after_a_quarter_turn() -> None:
    image, outline = bent_page(np.pi / 2, 260.0)
    found = cut(image, outline)
    assert found.shape[0] > 4 * found.shape[1]
    assert alike(written(), upright(found, 1)) > 0.9


def test_a_straight_text_of_many_points_is_its_rectangle() -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    rounded = np.array(((12, 20), (68, 20), (70, 22), (70, 48), (68, 50), (12, 50), (10, 48), (10, 22)), np.float32)
    np.testing.assert_array_equal(cut(image, rounded), image[20:50, 10:70])
    # What is no band at all, too.
    cross = [(40, 5), (60, 5), (60, 30), (90, 30), (90, 50), (60, 50), (60, 75), (40, 75), (40, 50), (10, 50), (10, 30)]
    assert min(cut(image, np.array([*cross, (40, 30)], np.float32)).shape[:2]) > 60


# -- pages ---------------------------------------------------------------------------------------------------------


def test_texts_come_in_reading_order() -> None:
    found = reader().read(page(TWO_COLUMNS))
    assert [text.text for text in found.texts] == list("abcdef")
    assert [[line.text for line in block] for block in found.blocks] == [list("abc"), list("def")]
    assert found.text == "a\nb\nc\n\nd\ne\nf"
    assert (found.height, found.width, found.dropped, found.turn) == (300, 400, 0, 0)
    assert set(found.seconds) == {"detect", "crop", "recognise", "order"}
    np.testing.assert_allclose(found.texts[0].polygon, ((20, 20), (170, 20), (170, 38), (20, 38)), atol=1)


def test_tall_crops_are_turned_to_the_left() -> None:
    rec = RedReader()
    image = page([(50, 20, 20, 200, "a"), (100, 20, 20, 200, "b")])
    found = reader(rec).read(image)
    assert rec.seen == [(20, 200, 3)] * 2
    # Columns run from right to left.
    assert [text.text for text in found.texts] == ["b", "a"] and found.vertical
    assert all(text.turned for text in found.texts)
    first = found.texts[0].quad
    assert first[0].tolist() == pytest.approx([120, 20], abs=1) and first[1].tolist() == pytest.approx(
        [120, 220], abs=1
    )
    never = reader(RedReader(turn_ratio=0)).read(image)
    assert not any(text.turned for text in never.texts)


def test_what_is_read_without_confidence_is_dropped_and_counted() -> None:
    sure = {letter: (0.9 if letter in "abc" else 0.3) for letter in LETTERS}
    found = reader(RedReader(sure)).read(page(TWO_COLUMNS))
    assert [text.text for text in found.texts] == list("abc") and found.dropped == 3
    kept = reader(RedReader(sure), drop_score=0.0).read(page(TWO_COLUMNS))
    assert len(kept.texts) == 6 and kept.dropped == 0


def test_boxes_alone() -> None:
    found = Reader(detector()).read(page(TWO_COLUMNS))
    assert len(found.texts) == 6 and found.text == "" and found.dropped == 0
    assert [round(float(text.polygon[0, 0]) / 10) for text in found.texts] == [2, 2, 2, 23, 23, 23]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.full((1, 1), 255, np.uint8),
        np.full((50, 20000, 3), 255, np.uint8),
        np.full((20000, 50), 255, np.uint8),
        np.full((400, 300, 3), 255, np.uint8),
        np.zeros((400, 300, 3), np.uint8),
    ],
    ids=["1x1 black", "1x1 white", "20000x50", "50x20000", "white", "black"],
)
def test_odd_pages_are_read(image: Any) -> None:
    for limit in ({}, {"limit_side_len": 960}, {"limit_side_len": 736, "limit_type": "min"}):
        found = Reader(detector(**limit), Router({"": RedReader()})).read(image)
        assert len(found.texts) <= 1
        if image.all():
            assert found.texts == [] and found.text == ""


def test_arrays_that_are_no_pages() -> None:
    for image in (np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)):
        with pytest.raises(ScriptoriumError, match="a page is an array of uint8"):
            reader().read(image)  # type: ignore[arg-type]


class Turned:
    """Says what it was told."""

    thresh = 0.9

    def __init__(self, quarter: int) -> None:
        self.quarter = quarter

    def turns(self, images: Sequence[Any]) -> list[tuple[int, float]]:
        return [(self.quarter, 0.99) for _ in images]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(2, 0.95), (2, 0.99), (0, 0.6)], [True, True, True]),  # the last one follows
        ([(2, 0.95), (2, 0.99), (0, 0.95)], [True, True, False]),  # two of three are not enough, and it is sure
        ([(2, 0.95)] * 4 + [(0, 0.95), (0, 0.3)], [True] * 4 + [False, True]),
        ([(2, 0.95), (0, 0.6)], [True, False]),  # one line is no majority
        ([(0, 0.95)] * 3 + [(0, 0.2), (2, 0.91)], [False] * 4 + [True]),
        ([(0, 0.5)] * 3, [False] * 3),
        ([], []),
    ],
)
def test_unsure_lines_follow_the_others(found: list[tuple[int, float]], expected: list[bool]) -> None:
    assert _agreed(found, 0.9) == expected


@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
def test_a_turned_page_is_put_upright(quarter: int) -> None:
    image = page(TWO_COLUMNS)
    given_ = np.ascontiguousarray(np.rot90(image, -quarter))
    found = reader(page_turner=Turned(quarter)).read(given_)
    assert [text.text for text in found.texts] == list("abcdef")
    assert (found.height, found.width, found.turn) == (300, 400, quarter)
    for text in found.texts:
        back = found.in_picture(text.polygon)
        x, y = back.mean(0)
        assert given_[int(y), int(x), 2] == 5 + 10 * LETTERS.index(text.text)
    np.testing.assert_array_equal(upright(given_, found.turn), image)


def test_a_page_on_its_head_is_read_from_its_own_top() -> None:
    image = page(TWO_COLUMNS)
    found = reader(line_turner=Turned(2)).read(np.ascontiguousarray(np.rot90(image, 2)))
    assert [text.text for text in found.texts] == list("abcdef") and found.turn == 0
    assert found.texts[0].polygon[0].tolist() == pytest.approx([380, 280], abs=1)


def test_a_line_on_its_head_is_turned() -> None:
    rec = RedReader()
    image = page([(20, 20, 150, 20, "a")])
    image[22:38, 30:60] = 200
    found = reader(rec, line_turner=Turned(2)).read(image)
    start = found.texts[0].polygon[0]
    assert start.tolist() == pytest.approx([170, 40], abs=1)
    assert reader(line_turner=Turned(1)).read(image).texts[0].polygon[0].tolist() == pytest.approx([20, 20], abs=1)


# -- several recognisers -------------------------------------------------------------------------------------------


def test_the_surest_recogniser_is_believed() -> None:
    one = RedReader({"a": 0.9, "b": 0.6, "c": 0.8}, "one ")
    other = RedReader({"a": 0.7, "b": 0.95, "c": 0.8}, "other ")
    found = Reader(detector(), Router({"one": one, "other": other})).read(page(TWO_COLUMNS[:3]))  # type: ignore[dict-item]
    assert [text.text for text in found.texts] == ["one a", "other b", "one c"]
    assert [text.recogniser for text in found.texts] == ["one", "other", "one"]


class Choice:
    """Chooses by the letter that a bar reads as."""

    names = ("one", "other")

    def __init__(self, **chosen: str | None) -> None:
        self._chosen = chosen

    def choose(self, images: Sequence[Any]) -> list[str | None]:
        return [self._chosen[reading.text] for reading in RedReader().read(images)]


def test_a_chooser_spares_the_others() -> None:
    one, other = RedReader(0.1, prefix="1"), RedReader(0.9, prefix="2")
    router = Router({"one": one, "other": other}, Choice(a="one", b="other", c="one"))  # type: ignore[dict-item]
    crops = [page([(0, 0, 90, 30, letter)], 30, 90) for letter in "abc"]
    assert [(name, reading.text) for name, reading in router.read(crops)] == [
        ("one", "1a"),
        ("other", "2b"),
        ("one", "1c"),
    ]
    assert (len(one.seen), len(other.seen)) == (2, 1)
    assert router.read([]) == []


def test_without_a_choice_the_surest_is_believed() -> None:
    one = RedReader({"a": 0.3, "b": 0.9, "c": 0.2}, "1")
    other = RedReader({"a": 0.9, "b": 0.9, "c": 0.9}, "2")
    router = Router({"one": one, "other": other}, Choice(a="one", b=None, c=None))  # type: ignore[dict-item]
    found = router.read([page([(0, 0, 90, 30, letter)], 30, 90) for letter in "abc"])
    # Of equal ones the first; and the line that was chosen for is read by no other.
    assert [(name, reading.text) for name, reading in found] == [("one", "1a"), ("one", "1b"), ("other", "2c")]
    assert (len(one.seen), len(other.seen)) == (3, 2)


def test_a_chooser_and_the_recognisers_know_the_same_names() -> None:
    with pytest.raises(ScriptoriumError, match="no recogniser is named other; the chooser does not tell third, more;"):
        Router({"one": RedReader(), "third": RedReader(), "more": RedReader()}, Choice())  # type: ignore[dict-item]
    with pytest.raises(ScriptoriumError, match="are one: no recogniser is named other;"):
        Router({"one": RedReader()}, Choice())  # type: ignore[dict-item]
    for rec in (None, "somewhere", {"one": "somewhere"}, Router({"one": RedReader(), "other": RedReader()})):  # type: ignore[dict-item]
        with pytest.raises(ScriptoriumError, match="chooses among several recognisers"):
            Reader(detector(), rec, chooser=Choice())  # type: ignore[arg-type]


def test_a_reader_needs_recognisers_it_can_name() -> None:
    with pytest.raises(ScriptoriumError, match="names no recogniser"):
        Reader(detector(), {})


def test_pictures_of_all_kinds_are_taken(tmp_path: Path) -> None:
    image = page(TWO_COLUMNS)
    file = tmp_path / "page.png"
    cv2.imwrite(str(file), image)
    pillow = Pillow.fromarray(np.ascontiguousarray(image[..., ::-1]))
    for picture in (image, file, str(file), pillow):
        assert reader().read(picture).text.startswith("a\nb")


# -- evaluation ----------------------------------------------------------------------------------------------------


def label(bars: Sequence[tuple[int, int, int, int, str]]) -> str:
    entries = [
        {"transcription": text, "points": [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]} for x, y, w, h, text in bars
    ]
    return json.dumps(entries)


def test_evaluation_by_hand(tmp_path: Path) -> None:
    from ocr.read.evaluate import evaluate

    drawn = [(20, 20, 150, 18, "a"), (20, 60, 150, 18, "b"), (20, 100, 150, 18, "c"), (20, 140, 150, 18, "d")]
    cv2.imwrite(str(tmp_path / "1.png"), page(drawn))
    cv2.imwrite(str(tmp_path / "2.png"), page(drawn[:1]))
    labelled = [
        (20, 20, 150, 18, "A"),  # right, but for its case
        (20, 60, 150, 18, "x"),  # misread
        (20, 100, 60, 18, "c"),  # overlaps by 60 / 150: missed, and what was found is wrong
        (20, 140, 150, 18, "###"),  # ignored
        (250, 200, 100, 18, "y"),  # missed
    ]
    lines = [f"1.png\t{label(labelled)}\n", f"2.png\t{label(labelled[:1])}\n"]
    (tmp_path / "labels.tsv").write_text("".join(lines), encoding="utf-8")
    said: list[str] = []
    [result] = evaluate(reader(), [tmp_path], True, tmp_path / "out" / "reading.html", said.append)
    figures = result.metric.result()
    # Found: 3 + 1 that count, of them 2 + 1 match; labelled: 4 + 1. Read: 1 + 1.
    assert figures["precision"] == pytest.approx(3 / 4) and figures["recall"] == pytest.approx(3 / 5)
    assert figures["e2e_precision"] == pytest.approx(2 / 4) and figures["e2e_recall"] == pytest.approx(2 / 5)
    assert figures["e2e_hmean"] == pytest.approx(2 * 0.5 * 0.4 / 0.9)
    assert result.reading.result()["cer"] == pytest.approx(1 / 3)
    assert any("75.00%" in line and "60.00%" in line for line in said)
    html = (tmp_path / "out" / "reading.html").read_text(encoding="utf-8")
    for kind in ("misread 1", "missed 2", "found where nothing is labelled 1", "50.00 %", "1.png", "2.png"):
        assert kind in html
    [strict] = evaluate(reader(), [tmp_path / "labels.tsv"], False, tmp_path / "strict.html", said.append)
    assert strict.metric.result()["e2e_recall"] == 0.0


def test_evaluation_of_a_turned_page_is_in_its_own_pixels(tmp_path: Path) -> None:
    from ocr.read.evaluate import evaluate

    drawn = [(20, 20, 150, 18, "a"), (20, 60, 150, 18, "b")]
    image = np.ascontiguousarray(np.rot90(page(drawn), -1))
    cv2.imwrite(str(tmp_path / "1.png"), image)
    turned = [(300 - y - h, x, h, w, text) for x, y, w, h, text in drawn]
    (tmp_path / "labels.tsv").write_text(f"1.png\t{label(turned)}\n", encoding="utf-8")
    [result] = evaluate(reader(page_turner=Turned(1)), [tmp_path], True, tmp_path / "reading.html", lambda line: None)
    assert result.metric.result()["e2e_hmean"] == 1.0


def test_in_picture_of_an_unturned_page() -> None:
    polygon = np.array(((1, 2), (3, 2), (3, 4), (1, 4)), np.float32)
    assert PageReading(10, 20, ()).in_picture(polygon) is polygon
    assert Text(polygon, 1.0).box == (1, 2, 3, 4)
