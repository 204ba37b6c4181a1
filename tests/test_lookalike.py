"""Look-alikes: references compare outlines with fontTools, and all pairs of pictures one by one."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from font_maker import save_font
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.ttLib import TTFont

from synth.fonts import lookalike
from synth.fonts.index import FaceInfo, scan
from synth.fonts.lookalike import NEAR, LookAlikes, find, write_sheet
from synth.render.line import GlyphCache

pytestmark = pytest.mark.usefixtures("own_cache")

LATIN = "".join(map(chr, (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x180))))
GREEK, CYRILLIC = "".join(map(chr, range(0x391, 0x3CA))).replace("\u03a2", ""), "".join(map(chr, range(0x400, 0x460)))


@pytest.fixture(scope="module")
def sans(dejavu: list[Path], own_cache: Path) -> FaceInfo:
    return scan(dejavu[:1]).faces[0]


def groups(found: LookAlikes) -> set[frozenset[str]]:
    return {frozenset(group.units) for group in found.same}


def test_same_outlines_are_the_same_picture(sans: FaceInfo, dejavu: list[Path]) -> None:
    units = LATIN + GREEK + CYRILLIC
    font = TTFont(dejavu[0])
    names, glyphs = font.getBestCmap(), font.getGlyphSet()
    outlines: defaultdict[str, set[str]] = defaultdict(set)
    for unit in units:
        pen = DecomposingRecordingPen(glyphs)
        glyphs[names[ord(unit)]].draw(pen)
        contours: list[list[object]] = []
        for step in pen.value:
            if step[0] == "moveTo":
                contours.append([])
            contours[-1].append(step)
        outlines[repr(sorted(map(repr, contours)))].add(unit)
    expected = {frozenset(group) for group in outlines.values() if len(group) > 1}
    assert {"A", "Α", "А"} in expected and {"H", "Η", "Н"} in expected
    assert groups(find(units, [sans])) == expected


def test_near_pairs_are_those_of_comparing_all(sans: FaceInfo) -> None:
    units = (LATIN + CYRILLIC)[::2] + "ÈЀèѐĔĚıו"
    drawer = lookalike._Drawer(sans, GlyphCache())
    firsts: dict[bytes, str] = {}
    for unit in units:
        picture = drawer.draw(unit, joined=False)
        assert picture is not None
        firsts.setdefault(picture.digest(), unit)
    pictures = {unit: drawer.draw(unit, joined=False) for unit in firsts.values()}
    expected = set()
    names = list(pictures)
    for number, a in enumerate(names):
        for b in names[number + 1 :]:
            one, other = pictures[a], pictures[b]
            assert one is not None and other is not None
            if lookalike.compare(one, other) < NEAR:
                expected.add((a, b))
    assert ("È", "Ѐ") in expected and ("Ĕ", "Ě") in expected
    found = find(list(dict.fromkeys(units)), [sans])
    assert {pair.units for pair in found.near} == expected
    assert [pair.distance for pair in found.near] == sorted(pair.distance for pair in found.near)


def test_size_and_height_count(sans: FaceInfo) -> None:
    # the same shapes elsewhere on the line, or in another size
    found = find(list(",'oOcCxX.·-_"), [sans])
    assert not found.same and not found.near
    assert found.compared == 12 and not found.undrawn


def test_distance() -> None:
    # a window of 5 × 5 pixels: what differs is a block of 3 × 3, then one of 6 × 6
    plain = np.zeros((20, 20), np.uint8)
    plain[:, :2] = plain[:, -2:] = 255
    for size, distance in ((3, 9 / 25), (6, 1.0)):
        other = plain.copy()
        other[5 : 5 + size, 6 : 6 + size] = 255
        a, b = lookalike._Picture(plain, 20), lookalike._Picture(other, 20)
        assert lookalike.compare(a, b) == pytest.approx(distance, abs=0.01)
        assert lookalike.compare(a, a) == 0
    # one row lower: rows of 1 × 5 pixels differ
    assert lookalike.compare(lookalike._Picture(plain, 20), lookalike._Picture(plain, 21)) > 0
    # a column to the right is where it may stand
    moved = np.roll(plain, 1, 1)
    assert lookalike.compare(lookalike._Picture(plain, 20), lookalike._Picture(moved, 20)) <= 2 / 5


def test_joined_forms(sans: FaceInfo) -> None:
    found = find(["ك", "ک", "ي", "ى", "ی", "ب", "ا"], [sans])
    # by themselves ى and ی have no dots, between others ي and ی have two
    assert {(group.units, group.view is not None and group.view.joined) for group in found.same} == {
        (("ك", "ک"), True),
        (("ي", "ی"), True),
        (("ى", "ی"), False),
    }
    assert all(group.view is not None and group.view.face == sans for group in found.same)
    assert {group.view.name for group in found.same if group.view} == {"DejaVu Sans Book", "DejaVu Sans Book, joined"}


def test_marks_blanks_and_what_has_no_ink(sans: FaceInfo) -> None:
    found = find(["\u0301", "\u0341", "\u0300", "\u0323", " ", "\u3000", "\u200c", "\u4e00", "a"], [sans])
    # U+0341 is U+0301 in NFC
    assert groups(found) == {frozenset({"\u0301", "\u0341"}), frozenset({" ", "\u3000"})}
    assert found.inkless == ("\u200c",)
    assert found.undrawn == {"\u4e00": "no font has U+4E00"}
    text = found.text()
    assert "◌\u0301 U+0301   ◌\u0341 U+0341" in text and "(blank)" in text and "no font has U+4E00" in text


def test_units_are_drawn_in_normal_form(tmp_path: Path) -> None:
    info = scan([save_font(tmp_path / "han.ttf", "\u8c48\u4e00")]).faces[0]
    # the font lacks U+F900, which NFC makes U+8C48
    found = find(["\uf900", "\u4e00"], [info])
    assert not found.undrawn and found.compared == 2


def test_units_are_compared_where_a_face_has_both(tmp_path: Path) -> None:
    shared = {"α": "one", "β": "one", "γ": "two"}
    faces = scan(
        [
            save_font(tmp_path / "one.ttf", shared, family="One"),
            save_font(tmp_path / "two.ttf", {"д": "one", "е": "one", "ж": "two"}, family="Two"),
        ]
    ).faces
    found = find("αβγдеж", faces)
    assert groups(found) == {frozenset("αβ"), frozenset("де")}
    assert [face.family for face in found.faces] == ["One", "Two"]


def test_groups_within_groups_are_left_out(tmp_path: Path) -> None:
    faces = scan(
        [
            save_font(tmp_path / "one.ttf", {"α": "one", "β": "one", "γ": "two", "д": "three"}, family="One"),
            save_font(tmp_path / "two.ttf", {"α": "one", "β": "one", "γ": "one", "д": "two"}, family="Two"),
        ]
    ).faces
    found = find("αβγд", faces)
    assert [(group.units, group.view and group.view.name) for group in found.same] == [(("α", "β", "γ"), "Two Regular")]


def test_near_pairs_are_near_in_every_face(tmp_path: Path) -> None:
    # rectangles: a and b differ by a thousandth of an em in both fonts; c is far from them in the second
    first = {"a": "a", "b": "b", "c": "c"}
    second = {"a": "a", "b": "b", **{chr(0xE000 + n): f"p{n}" for n in range(200)}, "c": "c"}
    faces = scan(
        [
            save_font(tmp_path / "one.ttf", first, family="One"),
            save_font(tmp_path / "two.ttf", second, family="Two"),
        ]
    ).faces
    assert {pair.units for pair in find("abc", faces[:1]).near} == {("a", "b"), ("a", "c"), ("b", "c")}
    assert {pair.units for pair in find("abc", faces).near} == {("a", "b")}


def test_plain_faces_come_first(tmp_path: Path) -> None:
    faces = scan(
        [
            save_font(tmp_path / "bold.ttf", "abcdef", family="Black", weight=900),
            save_font(tmp_path / "one.ttf", "abc", family="One"),
            save_font(tmp_path / "two.ttf", "abc", family="Two"),
        ]
    ).faces
    assert [face.family for face in find("abcdef", faces).faces] == ["One", "Two", "Black"]


def test_fonts_of_pixels_come_last(tmp_path: Path, dejavu: list[Path], sans: FaceInfo) -> None:
    # all that DejaVu Sans has here and more, in rectangles
    blocks = scan([save_font(tmp_path / "blocks.ttf", "BCDOS\ue000\ue001", family="Blocks")]).faces
    found = find("BCDOS\ue000", [*blocks, *scan(dejavu).faces])
    assert [face.family for face in found.faces] == ["DejaVu Sans", "DejaVu Serif", "Blocks"]


def test_without_fonts_or_units(sans: FaceInfo) -> None:
    assert find("ab", []).undrawn == {"a": "no font has U+0061", "b": "no font has U+0062"}
    found = find([], [sans])
    assert not found.same and found.compared == 0 and "no font" in found.text()


def test_sheet(sans: FaceInfo, tmp_path: Path) -> None:
    found = find(["A", "Α", "È", "Ѐ", " ", "\u3000", "<", "\u4e00"], [sans])
    write_sheet(found, tmp_path / "sheet.html", "Look-alikes in <mine>")
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 4
    assert "Look-alikes in &lt;mine&gt;" in page and "GREEK CAPITAL LETTER ALPHA" in page
    assert "no font has U+4E00" in page
