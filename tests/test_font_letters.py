from __future__ import annotations

import shutil
from pathlib import Path
from string import ascii_letters, ascii_lowercase, ascii_uppercase

import freetype
import numpy as np
import pytest
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont

from synth.fonts import letters
from synth.fonts.index import FontIndex, scan


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCRIPTORIUM_CACHE", str(tmp_path / "cache"))
    return tmp_path


def changed(source: Path, target: Path, glyphs: dict[str, str]) -> Path:
    """A font with other glyphs under some characters' codes, and without the names that would tell."""
    font = TTFont(source)
    for table in font["cmap"].tables:
        if table.isUnicode():
            table.cmap.update({ord(char): glyph for char, glyph in glyphs.items()})
    font["post"].formatType = 3.0
    font.save(target)
    return target


def scanned(path: Path, dejavu: list[Path]) -> FontIndex:
    """Of a folder with the font and a good one."""
    folder = path.parent / "fonts"
    folder.mkdir()
    shutil.copy(dejavu[1], folder / "good.ttf")
    shutil.move(path, folder / path.name)
    return scan([folder])


def test_text_faces_are_known_by_their_letters(dejavu: list[Path]) -> None:
    for path in dejavu:
        pictures, there = letters.shapes(freetype.Face(str(path)))
        assert there.all() and letters.known_share(pictures, there) > 0.95
        assert not letters.capitals_only(pictures, there)
        assert np.allclose(pictures.mean(1), 0, atol=1e-5) and np.allclose(np.linalg.norm(pictures, axis=1), 1)


@pytest.mark.parametrize(
    "others",
    ["אבגדהוזחטיכלמנסעפצקרשתךםןףאבגדהוזחטיכלמנסעפצקרשתךםןף", "♠♣♥♦♚♛♜♝♞♟☀☁☂☃☎☏☘☠☢☣☤☥☮☯☸☹♔♕♖♗♘♙✈✉✌✎✓✔✕✖✘✝✡✢✣✤✥✩❄❅❆"],
    ids=["Hebrew", "pictures"],
)
def test_other_things_under_the_codes_of_letters(here: Path, dejavu: list[Path], others: str) -> None:
    names = TTFont(dejavu[0]).getBestCmap()
    pairs = zip(ascii_letters, others, strict=False)
    glyphs = {char: names[ord(other)] for char, other in pairs if ord(other) in names}
    assert len(glyphs) >= 40
    found = scanned(changed(dejavu[0], here / "other.ttf", glyphs), dejavu)
    assert [face.path.name for face in found.faces] == ["good.ttf"]
    assert "under the codes of Latin letters" in found.rejected[0][1]


def test_letters_shifted_by_one(here: Path, dejavu: list[Path]) -> None:
    names = TTFont(dejavu[0]).getBestCmap()
    shifted = ascii_letters[1:] + ascii_letters[0]
    glyphs = {char: names[ord(other)] for char, other in zip(ascii_letters, shifted, strict=True)}
    assert scanned(changed(dejavu[0], here / "shifted.ttf", glyphs), dejavu).rejected


def test_small_capitals_are_no_small_letters(here: Path, dejavu: list[Path]) -> None:
    font = TTFont(dejavu[0])
    names = font.getBestCmap()
    small = {}
    for lower, upper in zip(ascii_lowercase, ascii_uppercase, strict=True):
        pen = TTGlyphPen(font.getGlyphSet())
        pen.addComponent(names[ord(upper)], (0.75, 0, 0, 0.75, 0, 0))
        font["glyf"][f"small{lower}"] = pen.glyph()
        font["hmtx"][f"small{lower}"] = (1100, 100)
        small[lower] = f"small{lower}"
    font.save(here / "before.ttf")
    face = next(
        face
        for face in scanned(changed(here / "before.ttf", here / "caps.ttf", small), dejavu).faces
        if face.path.name == "caps.ttf"
    )
    covered = [char for char in "AbÉézЯяß" if face.covers(ord(char))]
    assert covered == ["A", "É", "Я", "я"]


def test_few_letters_say_nothing(dejavu: list[Path]) -> None:
    pictures, there = letters.shapes(freetype.Face(str(dejavu[0])))
    there[19:] = False
    assert letters.known_share(pictures[::-1], there) == 1.0
    assert not letters.capitals_only(pictures, there)
