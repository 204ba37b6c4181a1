"""Where a font puts the parts of a letter: sizes, baseline, ascenders, marks, and what joins at a headline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import regex
import uharfbuzz as hb
import unicodedata2
from numpy.typing import NDArray

from synth.fonts.book import FontBook
from synth.fonts.face import Face
from synth.fonts.index import FaceInfo, sfnt_path
from synth.render.line import GlyphCache, Placed, place_runs
from synth.render.shape import Undrawable, script_of, shape_run

JOINED: Final = frozenset(
    {"Arab", "Syrc", "Mong", "Nkoo", "Mand", "Phag", "Adlm", "Rohg", "Mani", "Phlp", "Sogd", "Ougr"}
)
"""Scripts whose letters change their shape where they join: side by side, letters written alone look wrong."""

HEADLINED: Final = {"Deva": "क", "Beng": "ক", "Guru": "ਕ", "Tirh": "𑒏"}
"""Scripts whose letters hang from a line that joins them, and a letter whose top it is."""

_WIDE_PUNCTUATION: Final = regex.compile(r"[[\p{scx=Han}\p{scx=Hira}\uff00-\uff65]&&\p{P}]", regex.V1)
"""Punctuation of Han and kana, which fonts of other scripts have at other heights: 。 half way up, or at the top."""
_COMPANIONS: Final = ("\u306e\u8fd9", "\u306e", "\u4e00")  # of a face to set it by, the first that one has

_SIZE: Final = 64  # pixels per em at which shapes are compared
_BAND: Final = (0.05, 0.1)  # above and below the top of HEADLINED's letter, em: where a headline is looked for
_NEAR: Final = 0.03  # of a letter's ends, em, that a headline reaches where it joins
_ALIKE: Final = 0.9  # correlation of two letters' shapes from which one may stand for the other
_PROPORTION: Final = 1.25  # of their widths over heights, at most

_NAMED_SO: Final = re.compile(
    r"(?i)hand|(?<!In)script|cursive|brush|\bpen\b|marker|chalk|crayon|casual|callig|scrawl|scribble|comic|kaiti|xingkai"
    r"|dancing|caveat|pacifico|purisa|dekko|kalam|gochi|shadows into|reenie|indie flower|nanum ?(?:pen|brush)|yomogi"
    r"|klee"
)


class Box(NamedTuple):
    """Ink in em, from a letter's origin on the baseline; y downwards."""

    left: float
    top: float
    right: float
    bottom: float


class Part(NamedTuple):
    """Code points `start` to `stop` of a letter, and where the font has their ink.

    `around`: on both sides of the letter's first part, as the two halves of ো are.
    """

    start: int
    stop: int
    box: Box
    around: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """How a font sets a letter.

    Attributes:
        box: of all its ink.
        parts: what code points become glyphs of their own, in logical order.
        joins: whether a headline goes on to the left and to the right.
        headline: y of the headline, em; 0 where there is none.
    """

    box: Box
    parts: tuple[Part, ...]
    joins: tuple[bool, bool]
    headline: float


class Reference:
    """Settings of letters by plain faces.

    Args:
        book: fonts; for each letter the plainest that has it.
        preferred: others that come first.
    """

    def __init__(self, book: FontBook, preferred: FontBook | None = None) -> None:
        self._books = [
            (book, sorted(range(len(book.faces)), key=lambda number: (*_plainness(book.faces[number]), number)))
            for book in (preferred, book)
            if book is not None
        ]
        self._settings: dict[str, Setting | None] = {}
        self._headlines: dict[str, float] = {}

    def face(self, text: str) -> Face | None:
        """The face that says how a letter is set; None if no face has it."""
        companions = (*_COMPANIONS, "") if is_wide_punctuation(text) else ("",)
        for book, order in self._books:
            for companion in companions:
                bits = -1
                for character in text + companion:
                    bits &= book.able(character)
                if bits:
                    return next(book.open(book.faces[number]) for number in order if bits >> number & 1)
        return None

    def setting(self, text: str) -> Setting | None:
        """How a letter (an akshara or grapheme) is set; None if no face has it, or it has no ink."""
        if text not in self._settings:
            self._settings[text] = self._set(text)
        return self._settings[text]

    def _set(self, text: str) -> Setting | None:
        face = self.face(text)
        if face is None:
            return None
        shaped, advance = _shaped(face, text)
        parts: dict[int, Box] = {}
        glyphs: dict[int, list[Box]] = {}
        for cluster, box in shaped:
            if box is not None:
                glyphs.setdefault(cluster, []).append(box)
                parts[cluster] = _around(parts[cluster], box) if cluster in parts else box
        if not parts:
            return None
        starts = sorted(parts)
        stops = [*starts[1:], len(text)]
        first = parts[starts[0]]
        found = tuple(
            Part(a if k else 0, b, parts[a], k > 0 and _surrounds(glyphs[a], first))
            for k, (a, b) in enumerate(zip(starts, stops, strict=True))
        )
        whole = found[0].box
        for part in found[1:]:
            whole = _around(whole, part.box)
        joins, headline = self._headline(face, text, advance)
        return Setting(whole, found, joins, headline)

    def _headline(self, face: Face, text: str, advance: float) -> tuple[tuple[bool, bool], float]:
        letter = HEADLINED.get(script_of(text[0]))
        if letter is None or not unicodedata2.category(text[0]).startswith("L"):
            return (False, False), 0.0
        if face.key not in self._headlines:
            boxes = [box for _, box in _shaped(face, letter)[0] if box is not None]
            self._headlines[face.key] = min((box.top for box in boxes), default=0.0)
        top = self._headlines[face.key]
        drawn = _drawn(face, text)
        if drawn is None:
            return (False, False), top
        mask, left, above = drawn
        first, last = (round((top + away) * _SIZE) - above for away in (-_BAND[0], _BAND[1]))
        inked = np.flatnonzero(mask[max(first, 0) : max(last, 0)].max(0, initial=0) > 127)
        if not len(inked):
            return (False, False), top
        # A headline that joins goes from a glyph's origin to the next one's.
        near = _NEAR * _SIZE
        return (bool(left + inked[0] <= near), bool(left + inked[-1] + 1 >= advance * _SIZE - near)), top

    def alike(self, one: str, other: str) -> bool:
        """Whether two letters have one shape but for their size, such as c and C."""
        shapes = [self._shape(text) for text in (one, other)]
        if shapes[0] is None or shapes[1] is None:
            return False
        (first, broad), (second, narrow) = shapes[0], shapes[1]
        if max(broad, narrow) > _PROPORTION * min(broad, narrow):
            return False
        return float(np.corrcoef(first.ravel(), second.ravel())[0, 1]) > _ALIKE

    def _shape(self, text: str) -> tuple[NDArray[Any], float] | None:
        face = self.face(text)
        drawn = _drawn(face, text) if face is not None else None
        if drawn is None:
            return None
        mask = drawn[0]
        return cv2.resize(mask, (24, 24), interpolation=cv2.INTER_AREA), mask.shape[1] / mask.shape[0]

    def mark(self, composed: str, base: str) -> Box | None:
        """Where the marks of a precomposed letter are: what is there beside its base; None if that cannot be told."""
        face = self.face(composed + base)
        if face is None:
            return None
        whole, plain = _drawn(face, composed), _drawn(face, base)
        if whole is None or plain is None:
            return None
        mask, left, top = whole
        height, width = mask.shape
        under = np.zeros((height + 2 * _SIZE, width + 2 * _SIZE), np.uint8)
        y, x = plain[2] - top + _SIZE, plain[1] - left + _SIZE
        if min(x, y) < 0 or y + plain[0].shape[0] > under.shape[0] or x + plain[0].shape[1] > under.shape[1]:
            return None
        under[y : y + plain[0].shape[0], x : x + plain[0].shape[1]] = plain[0]
        under = cv2.dilate(under, np.ones((3, 3), np.uint8))[_SIZE:-_SIZE, _SIZE:-_SIZE].astype(np.uint8)
        added = cv2.subtract(mask, under) > 127
        rows, columns = np.flatnonzero(added.any(1)), np.flatnonzero(added.any(0))
        if len(rows) < 2 or float((under > 127).sum()) < 0.5 * float((plain[0] > 127).sum()):
            return None
        edges = (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)
        return Box(*(float(edge) / _SIZE for edge in edges))


def is_wide_punctuation(text: str) -> bool:
    """Whether a letter is punctuation of Han and kana."""
    return len(text) == 1 and _WIDE_PUNCTUATION.match(text) is not None


def _surrounds(glyphs: Sequence[Box], base: Box) -> bool:
    """Whether some glyphs stand before the middle of a base, others behind it."""
    middle = (base.left + base.right) / 2
    return any(box.right < middle for box in glyphs) and any((box.left + box.right) / 2 > middle for box in glyphs)


def _around(one: Box, other: Box) -> Box:
    return Box(
        min(one.left, other.left), min(one.top, other.top), max(one.right, other.right), max(one.bottom, other.bottom)
    )


def _shaped(face: Face, text: str) -> tuple[list[tuple[int, Box | None]], float]:
    """First code point and ink, from the text's origin, of each glyph that the font draws for it; and its advance."""
    buffer = hb.Buffer()
    buffer.add_str(text)
    buffer.guess_segment_properties()
    buffer.direction = "ltr"
    buffer.cluster_level = hb.BufferClusterLevel.CHARACTERS
    hb.shape(face.hb, buffer)
    found: list[tuple[int, Box | None]] = []
    pen = 0
    for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        extents = face.hb.get_glyph_extents(info.codepoint)
        box = None
        if extents is not None and extents.width and extents.height:
            x, y = pen + place.x_offset + extents.x_bearing, place.y_offset + extents.y_bearing
            box = Box(*(v / face.upem for v in (x, -y, x + extents.width, -y - extents.height)))
        found.append((info.cluster, box))
        pen += place.x_advance
    return found, pen / face.upem


def _drawn(face: Face, text: str) -> tuple[NDArray[np.uint8], int, int] | None:
    """Coverage of a text at _SIZE pixels per em, and its left and top from the origin."""
    line = Placed()
    try:
        run = shape_run(face, text, 0, len(text), rtl=False, script=script_of(text[0]))
    except Undrawable:
        return None
    place_runs(line, [run], _SIZE, GlyphCache())
    return line.coverage() if line.bitmaps else None


def _plainness(face: FaceInfo) -> tuple[bool, bool, bool, bool, int, bool, bool]:
    """Plain faces first, those without serifs before others."""
    fancy = _NAMED_SO.search(face.family) is not None
    plain = "Noto Sans" not in face.family, "Sans" not in face.family
    return fancy, face.italic, face.monospaced, bool(face.axes), abs(face.weight - 400), *plain


@lru_cache(maxsize=4096)
def looks_written(face: FaceInfo) -> bool:
    """Whether a face looks written by hand: by its name, PANOSE (family kind 3) or IBM family class (10, scripts)."""
    if _NAMED_SO.search(face.family):
        return True
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(sfnt_path(face), fontNumber=face.number, lazy=True) as font:
            table = font["OS/2"]
            return bool(table.panose.bFamilyType == 3 or table.sFamilyClass >> 8 == 10)
    except (TTLibError, KeyError, AttributeError, OSError):
        return False
