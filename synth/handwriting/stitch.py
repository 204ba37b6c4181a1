"""Lines written with single characters: whose, which, how large, how close, and how the pen runs."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
import regex
import unicodedata2
from numpy.typing import NDArray

from augment import banks
from augment.errors import ScriptoriumError
from synth.fonts.book import FontBook
from synth.fonts.face import Face
from synth.fonts.index import scan
from synth.handwriting.extract import BANDS, BARE, profiles, strokes
from synth.handwriting.reference import JOINED, Box, Part, Reference, Setting, is_wide_punctuation, looks_written
from synth.handwriting.store import DOUBTED, Store
from synth.recipe import Fonts, Handwriting
from synth.render.line import GlyphCache, Ink, Placed, place_runs
from synth.render.shape import Undrawable, script_of, shape_line
from synth.shards.record import NO_CLASS
from synth.text import bidi
from synth.text.source import Drawn
from synth.text.ucd import BRACKETS
from synth.text.units import split_units

NOT_JOINED: Final = "letters that should join"
NONE_WRITTEN: Final = "no letter of the character sets in it"

_JITTER: Final = 2.5  # standard deviations at most
_TRIES: Final = 8  # writers looked at for one who has all letters
_FEW: Final = 4  # images of a class that say as much of how its letter leans as is known without any
_CANDIDATES: Final = 12  # images among which the nearest in stroke width and slant is taken
_STROKE_UNIT: Final = 0.25  # of the logarithm of stroke widths, and
_SLANT_UNIT: Final = 0.15  # of slants: what counts as the same distance
_EDGE: Final = 0.75  # pixels of a mask on each side that are soft edge, not ink
_FLAT: Final = (1.3, 3.0)  # width over height from which width has a say in a letter's size, and from which it decides
_SMALL: Final = 0.25  # em: below it both ways, width and height decide together
_TALLER: Final = 0.3  # em more than the reference's height, at most
_AGAIN: Final = 100.0  # distance added to the image used last: nobody writes a letter twice in the same way
_WIDEST: Final = 1.8  # of the reference's width or height, whichever is more
_ROWS: Final = np.arange(28) * 0.075 - 1.4  # em from the baseline, downwards: where neighbouring contours are compared
_OVERLAP: Final = 0.25  # of the narrower letter's width, that boxes may overlap by
_HEAD_GAP: Final = 0.25  # of the gap, where headlines join
_HEADLINE: Final = 0.15  # em above and below its place that a headline's end is looked for
_PEN: Final = 0.03  # em by which a stroke may be widened or thinned to the line's own
_DRAWN: Final = 4096  # letters by fonts kept
_MASKS: Final = 48 << 20  # bytes of masks kept
_RTL: Final = regex.compile(r"[\p{Bidi_Class=R}\p{Bidi_Class=AL}]")
_MIRRORED: Final = {a: b for a, m in BRACKETS.items() for b, n in BRACKETS.items() if m == -n} | {
    a: b for a, b in zip("<>«»‹›", "><»«›‹", strict=True)
}
_WRITTEN_AS: Final = {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-"}
"""Signs that a pen does not tell apart but by their size and place."""
_CLONES: Final = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0307": ".",
    "\u0327": ",",
    "\u0323": ".",
}


class Unwritable(Exception):
    """A text that cannot be written.

    Attributes:
        reason: `NO_CLASS`, `NOT_JOINED` or `NONE_WRITTEN`.
        characters: that are to blame.
    """

    def __init__(self, reason: str, characters: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.characters = characters


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A class's part in a letter: code points `start` to `stop`, and where the reference has it.

    Of each image of the class, `scales` has the em per pixel of its mask, so that it is as large as the reference's
    box, and `strokes` the logarithm of its stroke width in em.
    """

    start: int
    stop: int
    kind: int
    box: Box
    scales: NDArray[np.float32]
    strokes: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Way:
    """How a letter is written: with pieces, or, where there are none, `glyphs` by a font; `text` is then to be read."""

    text: str
    pieces: tuple[_Piece, ...] = ()
    glyphs: str = ""
    joins: tuple[bool, bool] = (False, False)
    headline: float = 0.0


@dataclass(slots=True)
class _Letter:
    """A letter of a line: code points `start` to `stop`; no way: a space."""

    start: int
    stop: int
    way: _Way | None
    images: list[int] = field(default_factory=list)
    face: Face | None = None


@dataclass(slots=True)
class Manuscript:
    """A text with all that it is to be written with.

    Attributes:
        drawn: the text, in the case in which it is written.
        letters: from left to right.
        store: name of the store that most of it is from.
        writer: who wrote it, as far as known.
        fonts: names of faces that draw what the stores lack.
    """

    drawn: Drawn
    letters: list[_Letter]
    store: str = ""
    writer: str = ""
    fonts: list[str] = field(default_factory=list)


class Hand:
    """Writes lines; see the recipe's `handwriting` section.

    Args:
        config: that section.
        book: fonts for sizes and places, and for what is missing unless the section names others.
        direction: base direction of lines.
        allowed: whether a text is within the dictionary; a letter of the other case must be.

    Raises:
        ScriptoriumError: a store that cannot be read, or holds nothing to write with.
    """

    def __init__(
        self,
        config: Handwriting,
        book: FontBook,
        *,
        direction: Literal["auto", "ltr", "rtl"] = "auto",
        allowed: Callable[[str], bool] = lambda text: True,
    ) -> None:
        self.stores = [Store(folder) for folder in config.chars]
        self._config = config
        self._direction = direction
        self._allowed = allowed
        preferred = _own_book([config.reference]) if config.reference is not None else None
        self._reference = Reference(book, preferred)
        self._fonts = _own_book(config.fonts) if config.fonts else book
        self._ways: dict[tuple[str, bool], _Way | None] = {}
        self._written: dict[str, list[int]] = {}
        self._faces: dict[int, Face] = {}
        self._drawn: dict[tuple[str, str, int], _Mark] = {}
        self._glyphs = GlyphCache(8 << 20)
        self._masks: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._bytes = 0
        self._gather()

    def _gather(self) -> None:
        """One index of all stores, sorted by class and writer."""
        self.classes = sorted({text for store in self.stores for text in store.classes})
        number = {text: k for k, text in enumerate(self.classes)}
        self._writers: list[tuple[int, str]] = []
        parts: list[NDArray[Any]] = []
        kinds: list[NDArray[Any]] = []
        authors: list[NDArray[Any]] = []
        origins: list[NDArray[Any]] = []
        for k, store in enumerate(self.stores):
            rows = store.index
            kept = np.arange(len(rows)) if self._config.suspects else np.flatnonzero(rows["suspect"] & DOUBTED == 0)
            rows = rows[kept]
            mine = np.array([number[text] for text in store.classes], np.int32)
            parts.append(rows)
            kinds.append(mine[rows["class"]])
            authors.append(np.where(rows["writer"] >= 0, rows["writer"] + len(self._writers), -1))
            origins.append(np.stack((np.full(len(kept), k), kept), axis=1))
            self._writers += [(k, name) for name in store.writers]
        kind, author = np.concatenate(kinds), np.concatenate(authors)
        order = np.lexsort((author, kind))
        if not len(order):
            raise ScriptoriumError(
                f"handwriting.chars: {', '.join(str(store.folder) for store in self.stores)}: all characters are "
                "suspect; look at `synth handwriting report`, or set handwriting.suspects: true"
            )
        self._index = np.concatenate(parts)[order]
        self._origin = np.concatenate(origins)[order]
        self._author: list[int] = author[order].tolist()
        starts = np.searchsorted(kind[order], np.arange(len(self.classes) + 1)).tolist()
        self._ranges: list[tuple[int, int]] = list(pairwise(starts))
        self._kind = {text: k for k, text in enumerate(self.classes) if starts[k + 1] > starts[k]}
        self._strokes = self._index["stroke"].copy()
        self._slants = _leaning(self._index["slant"], self._ranges)
        self._rows, self._columns = self._index["rows"].copy(), self._index["columns"].copy()
        self._edges = self._index["profiles"].copy()
        # Which classes each writer has, as bits.
        self._has: list[int] = [0] * len(self._writers)
        for k in self._kind.values():
            first, last = self._ranges[k]
            for who in set(self._author[first:last]) - {-1}:
                self._has[who] |= 1 << k

    def digests(self) -> list[dict[str, str]]:
        """Names and SHA-256 of the stores, for the manifest."""
        return [{"name": store.folder.name, "sha256": store.digest} for store in self.stores]

    # -- what is written --------------------------------------------------------------------------------------------

    def able(self, text: str, *, recase: bool = True) -> bool:
        """Whether a text can be written, with all that may stand in for missing classes."""
        return not self.lacking(text, recase=recase)[0]

    def covering(self, text: str) -> int:
        """1 if a dictionary's entry can be written, be it as a part of a class (a virama in a conjunct); else 0."""
        return int(self.able(text, recase=False) or any(text in name for name in self._kind))

    def lacking(self, text: str, *, recase: bool = True) -> tuple[str, str]:
        """Why a text cannot be written, and the characters to blame; empty if it can."""
        try:
            _needed(self._letters(text, recase))
        except Unwritable as problem:
            return problem.reason, problem.characters
        return "", ""

    def write(self, drawn: Drawn, rng: np.random.Generator, *, recase: bool = True) -> Manuscript:
        """Choose writer, images and fonts for a text.

        Args:
            drawn: the text.
            rng: chooses.
            recase: whether a letter may be written in the other case, and the text be changed so.

        Raises:
            Unwritable: some characters have no class, and nothing stands in for them; or fonts would stand in for all.
        """
        letters = self._letters(drawn.text, recase)
        needed = _needed(letters)
        inked = [letter for letter in letters if letter.way is not None]
        text = drawn.text
        if any(letter.way is not None and letter.way.text != text[letter.start : letter.stop] for letter in inked):
            # The label says what is written.
            drawn = _rewritten(drawn, letters)
        done = Manuscript(drawn, self._ordered(letters, drawn.text))
        piece, seed, who = self._writer(needed, rng)
        done.store = self.stores[int(self._origin[seed][0])].folder.name
        done.writer = self._writers[who][1] if who >= 0 else ""
        like = float(piece.strokes[seed - self._ranges[piece.kind][0]]), float(self._slants[seed])
        used: dict[int, int] = {}
        for letter in inked:
            assert letter.way is not None
            for piece in letter.way.pieces:
                used[piece.kind] = self._image(piece, who, like, used.get(piece.kind, -1), rng)
                letter.images.append(used[piece.kind])
        self._choose_faces(done, inked, rng)
        return done

    def _letters(self, text: str, recase: bool) -> list[_Letter]:
        """The letters of a text in logical order. Raises Unwritable."""
        levels = self._levels(text)
        letters: list[_Letter] = []
        lacking: list[str] = []
        at = 0
        for letter in split_units(text, "akshara"):
            stop = at + len(letter)
            if letter.isspace():
                letters.append(_Letter(at, stop, None))
            else:
                shown = _MIRRORED.get(letter, letter) if levels is not None and levels[at] & 1 else letter
                way = self._way(shown, recase)
                if way is None:
                    lacking.append(letter)
                elif shown != letter:
                    way = replace(way, text=letter)
                letters.append(_Letter(at, stop, way))
            at = stop
        if lacking:
            joined = [letter for letter in lacking if self._should_join(letter)]
            if joined:
                raise Unwritable(NOT_JOINED, "".join(sorted(set(joined))))
            # Of a conjunct, what has no class of its own; if all has one, it is the conjunct that lacks one.
            parts = ("".join(c for c in letter if c not in self._kind) or letter for letter in lacking)
            raise Unwritable(NO_CLASS, "".join(sorted(set("".join(parts)))))
        return letters

    def _levels(self, text: str) -> list[int] | None:
        if self._direction != "rtl" and (text.isascii() or not _RTL.search(text)):
            return None
        return bidi.levels(text, self._direction)[0]

    def _ordered(self, letters: list[_Letter], text: str) -> list[_Letter]:
        levels = self._levels(text)
        if levels is None:
            return letters
        return [letters[k] for k in bidi.visual_order([levels[letter.start] for letter in letters])]

    def _should_join(self, letter: str) -> bool:
        return (
            self._config.joined == "refuse"
            and script_of(letter[0]) in JOINED
            and unicodedata2.category(letter[0]).startswith("L")
        )

    def _way(self, letter: str, recase: bool) -> _Way | None:
        key = (letter, recase)
        if key not in self._ways:
            if len(self._ways) > 100_000:
                self._ways.clear()
            self._ways[key] = None if self._should_join(letter) else self._found(letter, recase)
        return self._ways[key]

    def _found(self, letter: str, recase: bool) -> _Way | None:
        """The way to write a letter: its class, or what the recipe lets stand in for it."""
        if (way := self._as_class(letter, letter)) is not None:
            return way
        for policy in self._config.missing:
            way = None
            if policy == "case":
                way = self._in_other_case(letter, recase)
            elif policy == "compose":
                way = self._composed(letter) or self._with_mark(letter)
                if way is None and letter in _WRITTEN_AS:
                    way = self._as_class(letter, _WRITTEN_AS[letter])
            elif self._able_faces(letter):
                way = _Way(letter, glyphs=letter)
            if way is not None:
                return way
        return None

    def _as_class(self, letter: str, shown: str) -> _Way | None:
        """`letter` written with the class of `shown`."""
        kind = self._kind.get(shown)
        if kind is None and (bare := shown.replace("\u200c", "").replace("\u200d", "")) != shown:
            kind = self._kind.get(bare)
        if kind is None:
            return None
        setting = self._reference.setting(letter) or _UNKNOWN
        piece = self._piece(0, len(letter), kind, setting.box)
        return _Way(letter, (piece,), joins=setting.joins, headline=setting.headline)

    def _in_other_case(self, letter: str, recase: bool) -> _Way | None:
        other = unicodedata2.normalize("NFC", letter.swapcase())
        if other == letter or len(other) != len(letter) or other not in self._kind:
            return None
        if self._reference.alike(letter, other):
            return self._as_class(letter, other)
        return self._as_class(other, other) if recase and self._allowed(other) else None

    def _composed(self, letter: str) -> _Way | None:
        """A letter of which the reference font sets several code points as glyphs of their own."""
        setting = self._reference.setting(letter)
        if setting is None or len(setting.parts) < 2:
            return None
        pieces: list[_Piece] = []
        for part in setting.parts:
            if part.around:
                if not (halves := self._halves(letter, setting, part)):
                    return None
                pieces += halves
                continue
            kind = self._kind_of_mark(letter[part.start : part.stop])
            if kind is not None:
                pieces.append(self._piece(part.start, part.stop, kind, part.box))
            elif part.start and (marks := self._marks_apart(letter, setting.parts[0].stop, part)):
                pieces += marks
            else:
                return None
        return _Way(letter, tuple(pieces), joins=setting.joins, headline=setting.headline)

    def _halves(self, letter: str, setting: Setting, part: Part) -> list[_Piece]:
        """A vowel sign on both sides of its letter, as what it is composed of (ো: ে, া); none if one lacks.

        An image of the whole sign would lie across the letter.
        """
        base = setting.parts[0]
        pieces: list[_Piece] = []
        for half in unicodedata2.normalize("NFD", letter[part.start : part.stop]):
            alone = self._reference.setting(letter[: base.stop] + half)
            kind = self._kind_of_mark(half)
            if kind is None or alone is None or [p.start for p in alone.parts] != [0, base.stop]:
                return []
            # With the other half, the letter stands further on.
            box, away = alone.parts[1].box, base.box.left - alone.parts[0].box.left
            box = box._replace(left=box.left + away, right=box.right + away)
            pieces.append(self._piece(part.start, part.stop, kind, box))
        return pieces if len(pieces) > 1 else []

    def _marks_apart(self, letter: str, base: int, part: Part) -> list[_Piece]:
        """Marks that the reference draws as one, each where it stands alone over the same base; none if one lacks."""
        pieces: list[_Piece] = []
        for at in range(part.start, part.stop):
            alone = self._reference.setting(letter[:base] + letter[at])
            kind = self._kind_of_mark(letter[at])
            if kind is None or alone is None or [p.start for p in alone.parts] != [0, base]:
                return []
            pieces.append(self._piece(at, at + 1, kind, alone.parts[1].box))
        return pieces

    def _with_mark(self, letter: str) -> _Way | None:
        """A precomposed letter written as what it is composed of."""
        decomposed = unicodedata2.normalize("NFD", letter)
        base = unicodedata2.normalize("NFC", decomposed[:-1])
        mark = decomposed[-1]
        # What stands above takes the dot's place.
        if len(decomposed) < 2 or (base in "ij" and unicodedata2.combining(mark) == 230):
            return None
        below, above = self._kind.get(base), self._kind_of_mark(mark)
        if below is None or above is None:
            return None
        setting, box = self._reference.setting(base), self._reference.mark(letter, base)
        if setting is None or box is None:
            return None
        count = len(letter)
        return _Way(letter, (self._piece(0, count, below, setting.box), self._piece(0, count, above, box)))

    def _kind_of_mark(self, text: str) -> int | None:
        """The class of a character or, where it is a mark, of what has its shape but stands alone."""
        for shown in (text, _spacing_clones().get(text, ""), _CLONES.get(text, "")):
            if (kind := self._kind.get(shown)) is not None:
                return kind
        return None

    # -- whose hand -------------------------------------------------------------------------------------------------

    def _writer(self, needed: Sequence[_Piece], rng: np.random.Generator) -> tuple[_Piece, int, int]:
        """A piece and its image to begin with, and its writer, who has as many of the classes as can be found.

        The writer is -1 if not known.
        """
        wanted = 0
        for piece in needed:
            wanted |= 1 << piece.kind
        best, most = (needed[0], 0, -1), -1
        for _ in range(_TRIES):
            piece = needed[int(rng.random() * len(needed))]
            first, last = self._ranges[piece.kind]
            seed = first + int(rng.random() * (last - first))
            who = self._author[seed]
            if who < 0:
                return piece, seed, who
            score = (self._has[who] & wanted).bit_count()
            if score > most:
                best, most = (piece, seed, who), score
            if score == wanted.bit_count():
                break
        return best

    def _image(
        self, piece: _Piece, who: int, like: tuple[float, float], last_used: int, rng: np.random.Generator
    ) -> int:
        first, last = self._ranges[piece.kind]
        if who >= 0:
            low, high = bisect_left(self._author, who, first, last), bisect_right(self._author, who, first, last)
            if high > low:
                pick = low + int(rng.random() * (high - low))
                # Nobody writes a letter twice in the same way.
                return low + (pick - low + 1) % (high - low) if pick == last_used else pick
        count = last - first
        tried = (rng.random(min(count, _CANDIDATES)) * count).astype(np.intp)
        away = ((piece.strokes[tried] - like[0]) / _STROKE_UNIT) ** 2
        away += ((self._slants[first + tried] - like[1]) / _SLANT_UNIT) ** 2
        away[tried == last_used - first] += _AGAIN
        return first + int(tried[away.argmin()])

    def _able_faces(self, letter: str) -> list[int]:
        """Faces that may draw a letter that has no class: those that look written by hand, by number."""
        if letter not in self._written:
            bits = -1
            for character in letter:
                bits &= self._fonts.able(character)
            numbers = [number for number in range(len(self._fonts.faces)) if bits >> number & 1]
            if not self._config.fonts:
                numbers = [number for number in numbers if looks_written(self._fonts.faces[number])]
            self._written[letter] = numbers
        return self._written[letter]

    def _choose_faces(self, done: Manuscript, inked: Sequence[_Letter], rng: np.random.Generator) -> None:
        by_font = [letter for letter in inked if letter.way is not None and not letter.way.pieces]
        if not by_font:
            return
        # As few as can be: each time the one that draws most of what is left.
        names: set[str] = set()
        while left := [letter for letter in by_font if letter.face is None]:
            votes = Counter(n for letter in left for n in self._able_faces(_glyphs(letter)))
            most = max(votes.values())
            best = sorted(number for number, count in votes.items() if count == most)
            number = best[int(rng.random() * len(best))]
            if number not in self._faces:
                self._faces[number] = self._fonts.open(self._fonts.faces[number])
            face = self._faces[number]
            names.add(face.name)
            for letter in left:
                if number in self._able_faces(_glyphs(letter)):
                    letter.face = face
        done.fonts = sorted(names)

    # -- ink --------------------------------------------------------------------------------------------------------

    def _piece(self, start: int, stop: int, kind: int, box: Box) -> _Piece:
        first, last = self._ranges[kind]
        rows, columns = self._rows[first:last], self._columns[first:last]
        tall, broad = np.maximum(rows - 2 * _EDGE, 1), np.maximum(columns - 2 * _EDGE, 1)
        height, width = max(box.bottom - box.top, 1e-3), max(box.right - box.left, 1e-3)
        if height < _SMALL and width < _SMALL:
            share = 0.5
        else:
            low, high = _FLAT
            share = min(max(math.log(width / height / low) / math.log(high / low), 0.0), 1.0)
        scales = (height / tall) ** (1 - share) * (width / broad) ** share
        scales = np.minimum(scales, np.minimum(_WIDEST * max(width, height) / broad, (height + _TALLER) / tall))
        strokes = np.log(np.maximum(self._strokes[first:last] * scales, 1e-4))
        return _Piece(start, stop, kind, box, scales.astype(np.float32), strokes.astype(np.float32))

    def _mask(self, image: int) -> NDArray[np.uint8]:
        mask = self._masks.get(image)
        if mask is None:
            store, number = self._origin[image].tolist()
            mask = self._masks[image] = self.stores[store].mask(number)
            self._bytes += mask.nbytes + 200
            while self._bytes > _MASKS and len(self._masks) > 1:
                self._bytes -= self._masks.popitem(last=False)[1].nbytes + 200
        else:
            self._masks.move_to_end(image)
        return mask

    def draw(self, done: Manuscript, ppem: int, rng: np.random.Generator, *, plain: bool = False) -> Ink:
        """Write a line.

        Args:
            done: of `write`.
            ppem: pixels per em.
            rng: for the jitter.
            plain: without any.
        """
        config = self._config
        count = len(done.letters)
        shifts = np.clip(rng.standard_normal((count, 3)), -_JITTER, _JITTER)
        shifts *= (0.0, 0.0, 0.0) if plain else (config.rise, config.size, config.slant)
        chances = rng.random(count + 6).tolist()
        wander = 0.0 if plain else config.drift
        phase, length = 2 * math.pi * chances[0], 8 + 16 * chances[1]
        low, high = config.gap
        middle = low + (high - low) * (0.5 if plain else chances[2])
        space = config.space[0] + (config.space[1] - config.space[0]) * (0.5 if plain else chances[3])

        marks: list[_Mark] = []
        firsts: list[int] = []
        for k, (letter, (rise, size, slant)) in enumerate(zip(done.letters, shifts.tolist(), strict=True)):
            if letter.way is not None:
                firsts.append(len(marks))
                rise += wander * math.sin(phase + 2 * math.pi * k / length)
                self._mark(marks, letter, ppem, (rise, 1.0 + size, slant))
        pen = float(np.median([mark.stroke for mark in marks]))
        for mark in marks:
            mark.press(pen, _PEN * ppem)
        left, right = _contours(marks, firsts, ppem)
        contacts = _contacts(left, right)
        line = Placed()
        x, end = 0.0, 0
        at, origin = -1, 0
        blanks: list[_Letter] = []
        before: _Way | None = None
        for letter, chance in zip(done.letters, chances[6:], strict=True):
            if letter.way is None:
                blanks.append(letter)
                continue
            at += 1
            joining = before is not None and not blanks and before.joins[1] and letter.way.joins[0]
            if at:
                gap = middle if plain else middle + 0.25 * (high - low) * (chance - 0.5)
                gap = _HEAD_GAP * gap if joining else gap + len(blanks) * space * (0.8 + 0.4 * chance)
                x += contacts[at - 1] + gap * ppem
            last, origin = origin, round(x)
            if joining:
                _join(line, right[at - 1, :-1] + last, left[at, :-1] + origin, pen, ppem, letter.way.headline)
            here = marks[firsts[at] : firsts[at + 1] if at + 1 < len(firsts) else len(marks)]
            for mark in here:
                mark.put(line, origin)
            _spread(line, blanks, end, min(mark.left for mark in here) + origin)
            end = max(mark.left + mark.mask.shape[1] for mark in here) + origin
            blanks, before = [], letter.way
        _spread(line, blanks, end, end + space * ppem)
        ink = line.ink(done.drawn.units, ppem)
        if not plain:
            self._run_dry(ink, ppem, rng)
        return ink

    def _mark(self, marks: list[_Mark], letter: _Letter, ppem: int, shift: tuple[float, float, float]) -> None:
        """Add the marks of a letter, sized and placed from its own origin."""
        rise, size, slant = shift
        way = letter.way
        assert way is not None
        if letter.face is not None:
            mark = self._by_font(letter.face, _glyphs(letter), max(4, round(ppem * size)))
            mask, x = _slanted(mark.mask, mark.left, slant)
            y = mark.top - round(rise * ppem)
            if is_wide_punctuation(way.glyphs) and (setting := self._reference.setting(way.glyphs)) is not None:
                y = round(((setting.box.top + setting.box.bottom) / 2 * size - rise) * ppem - mask.shape[0] / 2)
            marks.append(replace(mark, mask=mask, left=x, top=y, start=letter.start, stop=letter.stop))
            return
        main = max(
            way.pieces, key=lambda piece: (piece.box.right - piece.box.left) * (piece.box.bottom - piece.box.top)
        )
        middle, stretch = (main.box.left + main.box.right) / 2, 1.0
        if len(way.pieces) > 1:
            image = letter.images[way.pieces.index(main)]
            broad = float(self._columns[image] * main.scales[image - self._ranges[main.kind][0]])
            stretch = min(max(broad / max(main.box.right - main.box.left, 1e-3), 0.6), 1.6)
        for piece, image in zip(way.pieces, letter.images, strict=True):
            scale = float(piece.scales[image - self._ranges[piece.kind][0]]) * size * ppem
            mask = self._mask(image)
            rows, columns = mask.shape
            height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
            if (height, width) != (rows, columns):
                mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
                mask = cv2.resize(mask, (width, height), interpolation=mode).astype(np.uint8, copy=False)
            # Beside the main one lie the others as far as it is wide, and about its own middle each.
            x = (middle + ((piece.box.left + piece.box.right) / 2 - middle) * stretch) * ppem - width / 2
            y = ((piece.box.top + piece.box.bottom) / 2 * size - rise) * ppem - height / 2
            mask, left = _slanted(mask, round(x), slant)
            edges = self._edges[image]
            stroke = float(self._strokes[image]) * scale
            start, stop = letter.start + piece.start, letter.start + piece.stop
            marks.append(_Mark(mask, left, round(y), stroke, edges, start, stop))

    def _by_font(self, face: Face, text: str, ppem: int) -> _Mark:
        key = (face.key, text, ppem)
        if key in self._drawn:
            return self._drawn[key]
        line = Placed()
        try:
            place_runs(line, shape_line(text, [(face, 0, len(text))]), ppem, self._glyphs)
        except Undrawable:
            raise Unwritable(NO_CLASS, text) from None
        if not line.bitmaps:
            raise Unwritable(NO_CLASS, text)
        mask, left, top = line.coverage()
        if len(self._drawn) > _DRAWN:
            self._drawn.clear()
        mark = self._drawn[key] = _Mark(mask, left, top, strokes(mask)[0], profiles(mask), 0, len(text))
        return mark

    def _run_dry(self, ink: Ink, ppem: int, rng: np.random.Generator) -> None:
        """Let pressure and the flow of ink vary along the line."""
        chances = rng.random(2).tolist()
        (p0, p1), (f0, f1) = self._config.pressure, self._config.flow
        pressure, flow = p0 + (p1 - p0) * chances[0], f0 + (f1 - f0) * chances[1]
        height, width = ink.mask.shape
        if pressure > 0.02:
            clouds = banks.clouds(height, width, 0.7 * ppem, rng)
            weight = cv2.addWeighted(clouds, pressure, clouds, 0.0, 255 * (1 - pressure))
            ink.mask = cv2.multiply(ink.mask, weight, scale=1 / 255).astype(np.uint8, copy=False)
        if flow > 0.02:
            grain = banks.window(banks.grain_grey(), height, width, rng)
            # Mean 128, deviation 40: brighter than 1.5 deviations is as wet as it gets.
            weight = cv2.addWeighted(grain, 2 * flow, grain, 0.0, 255 - 376 * flow)
            ink.mask = cv2.multiply(ink.mask, weight, scale=1 / 255).astype(np.uint8, copy=False)


@dataclass(slots=True)
class _Mark:
    """Ink of a letter or of a part of it, from the letter's origin, and its profiles (`extract.profiles`)."""

    mask: NDArray[np.uint8]
    left: int
    top: int
    stroke: float
    edges: NDArray[np.uint8]
    start: int
    stop: int

    def press(self, pen: float, most: float) -> None:
        """Bring the strokes nearer to the width of the line's pen."""
        growth = min(max((pen - self.stroke) / 2, -most), most)
        if abs(growth) < 0.15:
            return
        if growth > 0:
            pad = math.ceil(growth)
            self.mask = cv2.copyMakeBorder(self.mask, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0).astype(
                np.uint8, copy=False
            )
            self.left -= pad
            self.top -= pad
        while abs(growth) > 1e-3:
            further = (cv2.dilate if growth > 0 else cv2.erode)(self.mask, _KERNEL)
            share = min(abs(growth), 1.0)
            # Thinned strokes must not break: of what is lost, half stays.
            share *= 1.0 if growth > 0 else 0.5
            self.mask = cv2.addWeighted(self.mask, 1 - share, further, share, 0).astype(np.uint8, copy=False)
            growth = math.copysign(max(abs(growth) - 1, 0.0), growth)

    def put(self, line: Placed, origin: int) -> None:
        """Place it on a line."""
        height, width = self.mask.shape
        x0, y0 = self.left + origin, self.top
        line.bitmaps.append((self.mask, x0, y0, x0 + width, y0 + height))
        line.add_cluster(self.start, self.stop, x0, x0 + width, (x0, y0, x0 + width, y0 + height))


_KERNEL = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_UNKNOWN: Final = Setting(Box(0.05, -0.7, 0.6, 0.0), (), (False, False), 0.0)


def _leaning(slants: NDArray[np.float32], ranges: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """Slants without what is their letters' own: a slash leans in every hand."""
    found = slants.copy()
    for first, last in ranges:
        count = last - first
        if count:
            found[first:last] -= np.float32(np.median(slants[first:last]) * (count / (count + _FEW)))
    return found


def _glyphs(letter: _Letter) -> str:
    return letter.way.glyphs if letter.way is not None else ""


def _own_book(paths: Sequence[Path]) -> FontBook:
    return FontBook(scan(paths).faces, Fonts())


def _needed(letters: Sequence[_Letter]) -> list[_Piece]:
    """All images that are to be chosen. Raises Unwritable: there are none, so that fonts would draw all of the text."""
    needed = [piece for letter in letters if letter.way is not None for piece in letter.way.pieces]
    if not needed:
        raise Unwritable(NONE_WRITTEN, "")
    return needed


def _rewritten(drawn: Drawn, letters: Sequence[_Letter]) -> Drawn:
    """A text with the letters that are written in the other case; none changes its length."""
    text = drawn.text
    text = "".join(text[x.start : x.stop] if x.way is None else x.way.text for x in letters)
    ends = [0, *accumulate(map(len, drawn.units))]
    return Drawn(text, [text[a:b] for a, b in pairwise(ends)], drawn.source)


@cache
def _spacing_clones() -> dict[str, str]:
    """Characters that are a combining mark over a space, by the mark."""
    found: dict[str, str] = {}
    for character in map(chr, range(0xA0, 0x3100)):
        shown = unicodedata2.normalize("NFKD", character)
        if len(shown) == 2 and shown[0] == " " and unicodedata2.combining(shown[1]):
            found.setdefault(shown[1], character)
    return found


def _slanted(mask: NDArray[np.uint8], left: int, slant: float) -> tuple[NDArray[np.uint8], int]:
    """A mask that leans to the right by `slant` for each pixel upwards about its middle, and its left."""
    height, width = mask.shape
    pad = math.ceil(abs(slant) * height / 2)
    if abs(slant) * height < 0.5:
        return mask, left
    matrix = np.array(((1.0, -slant, pad + slant * (height - 1) / 2), (0.0, 1.0, 0.0)))
    return cv2.warpAffine(mask, matrix, (width + 2 * pad, height)).astype(np.uint8, copy=False), left - pad


def _contours(
    marks: Sequence[_Mark], firsts: Sequence[int], ppem: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where each letter's ink begins and ends in each of `_ROWS`, from its origin; infinite where there is none.

    The last column is that of the letter as a whole.
    """
    edges = np.stack([mark.edges for mark in marks])
    boxes = np.array([(mark.left, mark.top, mark.mask.shape[1], mark.mask.shape[0]) for mark in marks], np.float64)
    x, y, width, height = boxes.T[:, :, None]
    band = np.floor((_ROWS * ppem - y) * (BANDS / height)).astype(np.intp)
    inside = (band >= 0) & (band < BANDS)
    found = np.take_along_axis(edges, np.where(inside, band, 0)[:, None], axis=2)
    inside &= found[:, 0] != BARE
    left = np.where(inside, x + found[:, 0] * width / 254, np.inf)
    right = np.where(inside, x + found[:, 1] * width / 254, -np.inf)
    left = np.minimum.reduceat(np.concatenate((left, x), axis=1), firsts)
    right = np.maximum.reduceat(np.concatenate((right, x + width), axis=1), firsts)
    return left, right


def _contacts(left: NDArray[np.float64], right: NDArray[np.float64]) -> list[float]:
    """From the origin of each letter to that of the next where their contours touch."""
    before = right[:-1, :-1]
    # A row up or down is no less near.
    reach = before.copy()
    np.maximum(reach[:, 1:], before[:, :-1], out=reach[:, 1:])
    np.maximum(reach[:, :-1], before[:, 1:], out=reach[:, :-1])
    touch = (reach - left[1:, :-1]).max(1)
    boxes = right[:-1, -1] - left[1:, -1]
    widths = right[:, -1] - left[:, -1]
    contacts: list[float] = np.clip(touch, boxes - _OVERLAP * np.minimum(widths[:-1], widths[1:]), boxes).tolist()
    return contacts


def _spread(line: Placed, blanks: Sequence[_Letter], start: float, stop: float) -> None:
    """Give spaces the room between two letters."""
    width = (stop - start) / max(len(blanks), 1)
    for k, blank in enumerate(blanks):
        line.add_cluster(blank.start, blank.stop, start + k * width, start + (k + 1) * width, None)


def _join(
    line: Placed, ends: NDArray[np.float64], starts: NDArray[np.float64], pen: float, ppem: int, headline: float
) -> None:
    """Draw the headline from where one letter's ends to where the next one's begins, if there is a gap.

    Args:
        line: takes the stroke.
        ends: of the ink of the letter before, in each of `_ROWS`.
        starts: of the ink of the letter behind.
        pen: width in pixels.
        ppem: pixels per em.
        headline: y in em.
    """
    near = np.flatnonzero(np.abs(_ROWS - headline) < _HEADLINE)
    last, first = near[ends[near].argmax()], near[starts[near].argmin()]
    x0, x1 = float(ends[last]), float(starts[first])
    if not 0 < x1 - x0 < ppem:
        return
    y0, y1 = _ROWS[last] * ppem, _ROWS[first] * ppem
    pad = math.ceil(pen) + 2
    left, top = math.floor(x0) - pad, math.floor(min(y0, y1)) - pad
    stroke = np.zeros((math.ceil(abs(y1 - y0)) + 2 * pad, math.ceil(x1 - x0) + 2 * pad), np.uint8)
    begin, end = ((round((x - left) * 16), round((y - top) * 16)) for x, y in ((x0 - 1, y0), (x1 + 1, y1)))
    cv2.line(stroke, begin, end, (255,), max(1, round(0.75 * pen)), cv2.LINE_AA, 4)
    line.bitmaps.append((stroke, left, top, left + stroke.shape[1], top + stroke.shape[0]))
