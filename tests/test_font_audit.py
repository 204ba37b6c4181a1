from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Done
from font_maker import font_bytes, make_font, save_font
from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st

from augment.errors import ScriptoriumError
from synth.fonts.audit import _CELL, _COLUMNS, _ROWS, Audit, Wanted, _Look, _twins, audit, hints
from synth.fonts.index import FaceInfo, scan
from synth.recipe import Recipe

pytestmark = pytest.mark.usefixtures("own_cache")


def faces(folder: Path) -> tuple[FaceInfo, ...]:
    return scan([folder]).faces


def wanted(units: str | list[str], *lines: str) -> Wanted:
    return Wanted(dict.fromkeys(units, 1), lines, "wanted")


def keep(path: Path, font: TTFont) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(font_bytes(font))


def verdicts(result: Audit) -> dict[str, tuple[float, tuple[str, ...]]]:
    return {verdict.face.family: (verdict.share, verdict.missing) for verdict in result.verdicts}


# -- what is drawn ----------------------------------------------------------------------------------------------------


def test_what_a_face_lacks_is_named_and_counts_by_frequency(tmp_path: Path) -> None:
    save_font(tmp_path / "all.ttf", "ABCD", family="All")
    save_font(tmp_path / "three.ttf", "ABC", family="Three")
    save_font(tmp_path / "none.ttf", "xyz", family="None")
    result = audit(faces(tmp_path), Wanted({"A": 5, "B": 3, "C": 1, "D": 1, "É": 1}, (), "wanted"))
    assert verdicts(result) == {
        "All": (pytest.approx(10 / 11), ("É",)),
        "Three": (pytest.approx(9 / 11), ("D", "É")),
        "None": (0.0, ("A", "B", "C", "D", "É")),
    }
    assert [verdict.face.family for verdict in result.verdicts] == ["All", "Three", "None"]
    assert result.nowhere == ("É",)
    text = result.text()
    assert "lacks 2: D (U+0044) É (U+00C9)" in text and "in no face: É (U+00C9)" in text
    assert "1 face draws none of its letters" in text


def test_the_suggested_set_adds_who_alone_draws_a_unit(tmp_path: Path) -> None:
    save_font(tmp_path / "most.ttf", "ABCDEFGHIJ", family="Most")
    save_font(tmp_path / "rare.ttf", "ABÉ", family="Rare")
    save_font(tmp_path / "poor.ttf", "AB", family="Poor")
    counts = {**dict.fromkeys("ABCDEFGHIJ", 100), "É": 1}
    assert audit(faces(tmp_path), Wanted(counts, (), "wanted")).suggested == ("Most", "Rare")


def test_digits_and_punctuation_may_come_from_another_face(tmp_path: Path) -> None:
    save_font(tmp_path / "letters.ttf", "ABC", family="Letters")
    save_font(tmp_path / "digits.ttf", "123", family="Digits")
    result = audit(faces(tmp_path), wanted("ABC123"))
    assert [(v.face.family, v.share, v.letters, v.good) for v in result.verdicts] == [
        ("Letters", 0.5, 1.0, True),
        ("Digits", 0.5, 0.0, False),
    ]
    assert result.suggested == ("Digits", "Letters")


def test_letters_that_need_shaping_are_not_enough_without_the_tables(tmp_path: Path) -> None:
    save_font(tmp_path / "bare.ttf", "कखग", family="Bare")
    (verdict,) = audit(faces(tmp_path), wanted(["क", "ख"])).verdicts
    assert (verdict.share, verdict.unshaped, verdict.good) == (0.0, ("Deva",), False)
    assert "does not shape Deva: no working GSUB or GPOS for" in audit(faces(tmp_path), wanted(["क"])).text()


def test_a_mark_that_is_not_placed_is_found(tmp_path: Path) -> None:
    # With a GPOS table HarfBuzz leaves marks to the font; this one has no anchors, so its mark stays where the pen is.
    for name, feature in (
        ("Apart", "feature kern { pos A A -10; } kern;"),
        (
            "Placed",
            "markClass uni0323 <anchor 100 0> @below;"
            "feature mark { pos base A <anchor 100 0> mark @below; pos base B <anchor 100 0> mark @below; } mark;",
        ),
    ):
        font = make_font({"A": "A", "B": "B", "\u0323": "uni0323"}, family=name)
        addOpenTypeFeaturesFromString(font, feature)
        keep(tmp_path / f"{name}.ttf", font)
    found = {v.face.family: v.broken for v in audit(faces(tmp_path), wanted(["A", "A\u0323"])).verdicts}
    assert found == {"Apart": (("A\u0323", "a mark stands apart from its base"),), "Placed": ()}


def test_a_mark_alone_is_tried_on_a_letter(dejavu: list[Path]) -> None:
    (verdict,) = audit(faces(dejavu[0]), wanted(["a", "\u0301", "\u0323"])).verdicts
    assert verdict.share == 1 and not verdict.broken


def test_lines_are_tried_whole(dejavu: list[Path]) -> None:
    (verdict,) = audit(faces(dejavu[0]), wanted(["ا", "ب", "\u064e"], "با", "ab")).verdicts
    assert verdict.share == 1 and verdict.lines_broken == 0


def test_private_use_counts_where_a_font_draws_it(tmp_path: Path) -> None:
    save_font(tmp_path / "mufi.ttf", "ab\ue5b3", family="Mufi")
    save_font(tmp_path / "plain.ttf", "ab", family="Plain")
    result = audit(faces(tmp_path), wanted(["a", "b", "\ue5b3"]))
    assert verdicts(result)["Mufi"] == (1.0, ())
    assert verdicts(result)["Plain"][1] == ("\ue5b3",) and not result.nowhere


# -- what it looks like -----------------------------------------------------------------------------------------------


def test_faces_that_look_the_same_are_told(tmp_path: Path) -> None:
    letters = "ABCDEFGHIJKLMNOP"
    save_font(tmp_path / "one.ttf", letters, family="One")
    save_font(tmp_path / "copy.otf", letters, family="Copy", cff=True)
    save_font(tmp_path / "other.ttf", "0123456789абвгдежзийклмнопрстуфхцч" + letters, family="Other")  # wider
    result = audit(faces(tmp_path), wanted(list(letters)))
    twins = {v.face.family: v.twin_of.family if v.twin_of else None for v in result.verdicts}
    assert sorted(twins.values(), key=str) == ["Copy", None, None] and twins["Other"] is None
    assert len(result.suggested) == 2 and "Other" in result.suggested
    assert "1 face looks like another" in result.text()


def test_weights_of_a_family_are_no_twins(dejavu: list[Path]) -> None:
    found = scan([dejavu[0].parent]).faces
    text = [face for face in found if face.family in ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono")]
    assert len(text) > 6
    result = audit(text, wanted(list("abcdefghijklmnopqrstuvwxyzABCDEFG")))
    assert not any(verdict.twin_of for verdict in result.verdicts)
    stroke = {(v.face.family, v.face.style): v.stroke for v in result.verdicts}
    assert stroke["DejaVu Sans", "Bold"] > 1.5 * stroke["DejaVu Sans", "Book"] > 0.05


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_twins_are_those_that_comparing_all_pixels_finds(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, (5, _ROWS, _COLUMNS)).astype(np.uint8)
    looks = []
    for _ in range(count):
        noise = rng.integers(0, int(rng.choice([1, 8, 30])) + 1, base.shape)
        pictures = np.clip(base.astype(int) + noise, 0, 255).astype(np.uint8)
        cells = pictures.reshape(5, _ROWS // _CELL, _CELL, _COLUMNS // _CELL, _CELL).sum((2, 4), dtype=np.int32)
        looks.append(_Look(pictures, cells.reshape(5, -1), np.ones(5, bool), 0.1))
    expected: list[int | None] = []
    for number, look in enumerate(looks):
        same = [
            other
            for other in range(number)
            if expected[other] is None
            and np.abs(looks[other].pictures.astype(int) - look.pictures.astype(int)).sum()
            <= 0.03 * (int(looks[other].pictures.sum(dtype=int)) + int(look.pictures.sum(dtype=int)))
        ]
        expected.append(same[0] if same else None)
    assert _twins(looks) == expected


def test_hints_come_from_the_tables_and_the_name(tmp_path: Path) -> None:
    bold = make_font("ABCabc", family="Bold", weight=700)
    hand = make_font("ABCabc", family="Quill")
    hand["OS/2"].panose.bFamilyType = 3
    narrow = make_font("ABCabc", family="Narrow")
    narrow["OS/2"].usWidthClass = 3
    ornate = make_font("ABCabc", family="Ornate")
    ornate["OS/2"].sFamilyClass = 9 << 8
    for font in (bold, hand, narrow, ornate, make_font("ABCabc", family="Old Brush")):
        keep(tmp_path / f"{font['name'].getDebugName(1)}.ttf", font)
    assert {face.family: hints(face) for face in faces(tmp_path)} == {
        "Bold": ("bold",),
        "Quill": ("like handwriting",),
        "Narrow": ("narrow",),
        "Ornate": ("decorative",),
        "Old Brush": ("like handwriting",),
    }


# -- texts and dictionaries, the command ------------------------------------------------------------------------------


def test_wanted_from_texts_and_from_a_dictionary(tmp_path: Path) -> None:
    texts = tmp_path / "a.txt"
    texts.write_text("क्षि क क\nab\n", encoding="utf-8")
    found = Wanted.of_corpora([texts])
    assert found.units == {"क": 2, "a": 1, "b": 1, "क्षि": 1} and found.lines == ("क्षि क क", "ab")
    assert found.scripts == ("Deva", "Latn")
    dictionary = tmp_path / "d.txt"
    dictionary.write_text("a\n\u09dc\n \n", encoding="utf-8")
    assert list(Wanted.of_charset(dictionary).units) == ["a", "\u09a1\u09bc"]


def test_what_cannot_be_audited(tmp_path: Path, dejavu: list[Path]) -> None:
    with pytest.raises(ScriptoriumError, match="no usable font found"):
        audit([], wanted("a"))
    blank = tmp_path / "blank.txt"
    blank.write_text("\u00a0\u3000 x\n", encoding="utf-8")
    (tmp_path / "one.txt").write_text("x\n", encoding="utf-8")
    assert Wanted.of_corpora([blank]).units == {"x": 1}
    empty = audit(faces(dejavu[0]), wanted(["ಕ"]))
    assert empty.suggested == () and "suggested: none; get more with `synth fonts install SCRIPT`" in empty.text()
    with pytest.raises(ScriptoriumError, match="not written: no font to suggest"):
        empty.write_recipe(tmp_path / "r.yml", [], "document")


def test_the_command(synth: Callable[..., Done], tmp_path: Path, dejavu: list[Path]) -> None:
    texts = tmp_path / "a.txt"
    texts.write_text("Two words\nשלום\n", encoding="utf-8")
    made = tmp_path / "fonts.yml"
    done = synth("fonts", "audit", *dejavu, "--corpus", texts, "--output", made)
    assert done.code == 0 and "good  100.0%  DejaVu Sans Book" in done.out
    assert "DejaVu Serif Bold" in done.out and "lacks 4: " in done.out
    recipe = Recipe.load(made)
    assert recipe.fonts.families == ("DejaVu Sans",) and recipe.fonts.paths == tuple(dejavu)
    assert recipe.degrade == Recipe.load("document").degrade
    assert "give either --charset FILE or --corpus FILE" in synth("fonts", "audit", *dejavu).error
    assert "no such font file or folder" in synth("fonts", "audit", tmp_path / "x", "--corpus", texts).error
    unknown = synth("fonts", "audit", *dejavu, "--corpus", texts, "--output", made, "--base", "documnt").error
    assert "did you mean document?" in unknown
