"""Texts of a page into lines of ink: faces by role, line breaking, justification."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.compose import Refused
from synth.fonts.audit import hints
from synth.fonts.book import FontBook, Uncovered
from synth.fonts.face import Face
from synth.fonts.index import FaceInfo
from synth.handwriting.reference import looks_written
from synth.pages.settings import Page
from synth.recipe import Case, CorpusFile, Recipe
from synth.render.line import GlyphCache, NoInk, draw_line
from synth.render.shape import Run, Undrawable, script_of, shape_line
from synth.render.vertical import draw_column, shape_column
from synth.text import bidi
from synth.text.charset import Charset
from synth.text.source import Drawn, TextSource
from synth.text.template import Template
from synth.text.units import split_units

# Written without spaces between words: a line may end after any unit.
_UNSPACED = frozenset({"Hani", "Hira", "Kana", "Bopo", "Thai", "Laoo", "Khmr", "Mymr", "Tibt", "Yiii", "Tale", "Lana"})
_TRIES = 12  # of faces until one is plain, of texts until one can be drawn
_WIDEST_SPACE = 1.2  # em that justifying may add to a space
_BOLD = 600
_RARE = 0.002  # of a corpus's characters: a face for a page may lack what is rarer


@dataclass(slots=True)
class Line:
    """A line of ink that knows its text.

    Attributes:
        mask: `uint8`, height × width, coverage, cut to the ink; of a column, as it stands.
        text: what it shows.
        units: of `text`.
        boxes: `float32`, units × 4: left, top, right, bottom in pixels of `mask`.
        blank: `bool`, units: those without ink.
        baseline: y in pixels of `mask`; of a column, x of its middle.
        ppem: pixels per em.
        upright: a column.
    """

    mask: NDArray[np.uint8]
    text: str
    units: list[str]
    boxes: NDArray[np.float32]
    blank: NDArray[np.bool_]
    baseline: float
    ppem: int
    upright: bool = False

    @property
    def width(self) -> int:
        """Of the ink, pixels."""
        return int(self.mask.shape[1])

    @property
    def height(self) -> int:
        """Of the ink, pixels."""
        return int(self.mask.shape[0])

    def scaled(self, x: float, y: float) -> Line:
        """The same, wider and higher by these factors."""
        width, height = max(round(self.width * x), 2), max(round(self.height * y), 2)
        x, y = width / self.width, height / self.height
        how = cv2.INTER_AREA if x * y < 1 else cv2.INTER_LINEAR
        mask = np.asarray(cv2.resize(self.mask, (width, height), interpolation=how), np.uint8)
        boxes = self.boxes * np.array((x, y, x, y), np.float32)
        return replace(self, mask=mask, boxes=boxes, baseline=self.baseline * y)

    def turned(self, quarters: int) -> NDArray[np.uint8]:
        """The mask turned clockwise by so many quarters."""
        return np.asarray(np.ascontiguousarray(np.rot90(self.mask, -quarters)), np.uint8)


@dataclass(frozen=True, slots=True)
class Type:
    """A face for a role on a page.

    Attributes:
        face: draws what it covers; other faces fill in.
        bit: of the face in the book.
    """

    face: Face
    bit: int


class Words:
    """A page's stream of words: pieces of the corpus, cut at spaces; what is not used can be put back."""

    def __init__(self, draw: Callable[[], Drawn]) -> None:
        self._draw = draw
        self._waiting: deque[str] = deque()
        self._unspaced = False

    @property
    def space(self) -> str:
        """What stands between two words: nothing where a script is written without spaces."""
        return "" if self._unspaced else " "

    def next(self) -> str:
        """One word."""
        while not self._waiting:
            text = self._draw().text
            self._unspaced = " " not in text and script_of(text[len(text) // 2]) in _UNSPACED
            self._waiting.extend(text.split())
        return self._waiting.popleft()

    def back(self, words: list[str]) -> None:
        """Put words back, to be the next ones."""
        self._waiting.extendleft(reversed(words))

    def phrase(self, count: int, most: int = 40) -> str:
        """`count` words, fewer where they would be longer than `most` characters."""
        text = self.next()
        for _ in range(count - 1):
            word = self.next()
            if len(text) + len(word) >= most:
                self.back([word])
                break
            text += self.space + word
        return text


@dataclass(frozen=True, slots=True)
class _Texts:
    """Where a page's texts come from.

    Attributes:
        source: of the texts.
        capitals: the same in capitals.
        common: faces that draw what is frequent in them, as bits.
    """

    source: TextSource
    capitals: TextSource
    common: int


class Typesetter:
    """Faces and texts of a recipe, for pages; built once per process. `begin` starts a page.

    The texts of a page come from one file of the corpus, as pages are in one language; those of a share of
    `page.mixed` from all of them.

    Args:
        recipe: its `corpus`, `fonts` and `page` sections are used.
        book: the faces.
        charset: the dictionary that texts keep to, if any.
    """

    def __init__(self, recipe: Recipe, book: FontBook, charset: Charset | None) -> None:
        self._corpus = recipe.corpus
        self._page: Page = recipe.page
        self._book, self._charset = book, charset
        self._cache = GlyphCache()
        self._fixed = sum(1 << number for number, info in enumerate(book.faces) if info.monospaced)
        self._heavy: dict[str, list[FaceInfo]] = {}
        for info in book.faces:
            if info.weight >= _BOLD and not info.italic:
                self._heavy.setdefault(info.family, []).append(info)
        files = [file for file in self._corpus.files if file.weight]
        self._parts = [self._texts((file,)) for file in files] if len(files) > 1 else []
        self._all = self._texts(self._corpus.files)
        self._weights = list(accumulate(file.weight for file in files))
        self._now = self._all
        self._patterns: dict[str, Template] = {}
        self._used: list[Type] = []
        self._rng: np.random.Generator
        self.words: Words
        self.rtl = False

    def begin(self, rng: np.random.Generator, capitals: bool = False) -> None:
        """Start a page: its texts and faces are drawn from `rng` alone."""
        self._rng = rng
        self._now = self._all
        if self._parts and rng.random() >= self._page.mixed:
            self._now = self._parts[
                bisect_right(self._weights, rng.random() * self._weights[-1], 0, len(self._parts) - 1)
            ]
        source = self._now.capitals if capitals else self._now.source
        self.words = Words(lambda: source.draw(rng))
        sample = self.words.phrase(4)
        self.words.back(sample.split())
        self.rtl = bidi.levels(sample, self._corpus.direction)[1] == 1
        self._used = []

    @property
    def fonts(self) -> list[str]:
        """Names of the page's faces, the first for its body."""
        return list(dict.fromkeys(used.face.name for used in self._used))

    def refusals(self) -> Iterator[str]:
        """Why texts were refused since this was asked last, a reason for each."""
        for texts in (self._all, *self._parts):
            for source in (texts.source, texts.capitals):
                yield from source.refusals.elements()
                source.refusals.clear()

    def _texts(self, files: tuple[CorpusFile, ...]) -> _Texts:
        corpus = self._corpus.model_copy(update={"files": files})
        upper = corpus.model_copy(update={"case": Case(as_is=0.1, upper=1.0)})
        source = TextSource(corpus, self._charset)
        return _Texts(source, TextSource(upper, self._charset), self._covering_most(source))

    def _covering_most(self, source: TextSource) -> int:
        """The faces that draw what is frequent in texts, and digits where any face draws both; as bits."""
        counts = source.characters()
        least = _RARE * sum(counts.values())
        bits = self._book.covering("".join(c for c, count in counts.items() if count > least))
        with_digits = bits & self._book.covering(self._corpus.digits + ".,:-/()")
        return with_digits or bits or -1

    # -- faces and texts --------------------------------------------------------------------------------------

    def type(self, *, fixed: bool = False, written: bool = False) -> Type:
        """A face that draws the page's next words: a plain one, but for a share of `page.display`.

        Args:
            fixed: a monospaced one, where there are some.
            written: one that looks written by hand, where one is met.

        Raises:
            Refused: none draws them.
        """
        rng = self._rng
        free = rng.random() < self._page.display
        found: Type | None = None
        for _ in range(_TRIES):
            words = [self.words.next() for _ in range(3)]
            self.words.back(words)
            try:
                among = self._now.common & (self._fixed if fixed else -1) or self._now.common
                face = self._book.choose("".join(words), rng, among)[0][0]
            except Uncovered:
                self.words.next()
                continue
            found = Type(face, self._book.bit(face.info))
            if looks_written(face.info) if written else free or _is_plain(face.info):
                break
        if found is None:
            raise Refused("no font")
        self._used.append(found)
        return found

    def bold(self, of: Type) -> Type:
        """A heavy face of the same family where there is one; else the face itself."""
        heavy = self._heavy.get(of.face.info.family)
        if not heavy:
            return of
        info = heavy[int(self._rng.random() * len(heavy))]
        return Type(self._book.open(info), self._book.bit(info))

    def pattern(self, pattern: str) -> str:
        """A text by a pattern; words of the corpus instead where the charset or the fonts lack its characters."""
        template = self._patterns.get(pattern)
        if template is None:
            template = self._patterns[pattern] = Template(pattern, self._corpus.digits)
        text = template.draw(self._rng)
        if (self._charset is not None and self._charset.missing(text)) or not self._book.covering(text):
            return self.words.next()
        return text

    # -- lines ------------------------------------------------------------------------------------------------

    def line(self, text: str, type_: Type, ppem: int, *, spacing: float = 0.0) -> Line:
        """A text on one line. Raises Refused where it cannot be drawn."""
        runs = self._shaped(text, type_)
        return self._drawn(text, runs, ppem, spacing)

    def short(self, text: str, type_: Type, ppem: int, length: float) -> Line | None:
        """As many of a text's words, from its beginning, as go on a line of `length` pixels; None where none does.

        Raises:
            Refused: it cannot be drawn.
        """
        runs = self._shaped(text, type_)
        reach = _reach(runs, len(text), ppem)
        fits = int(np.searchsorted(reach, length, "right"))
        if fits < len(text):
            cut = text.rfind(" ", 0, fits + 1)
            if cut <= 0:
                return None
            text = text[:cut]
            runs = self._cut(runs, text, type_)
        line = self._drawn(text, runs, ppem, 0.0)
        # Ink may reach beyond its advances.
        return line if line.width <= length else None

    def column(self, text: str, type_: Type, ppem: int, digits: int = 0) -> Line:
        """A text from top to bottom. Raises Refused where it cannot be drawn."""
        try:
            runs = shape_column(
                *(text, self._faces(text, type_)),
                language=self._corpus.language,
                direction=self._corpus.direction,
                digits=digits,
            )
            units = self._units(text)
            ink = draw_column(runs, units, ppem, self._cache)
        except (Undrawable, NoInk, Uncovered):
            raise Refused("text cannot be drawn") from None
        height = ink.mask.shape[0]
        left, top, right, bottom = ink.boxes.T
        # A column is drawn turned to the left.
        boxes = np.stack((height - bottom, left, height - top, right), 1)
        mask = np.asarray(cv2.rotate(ink.mask, cv2.ROTATE_90_CLOCKWISE), np.uint8)
        return Line(mask, text, units, boxes, ink.blank, height - ink.baseline + ppem / 2, ppem, True)

    def filled(self, type_: Type, ppem: int, length: float, *, justified: bool = False, upright: bool = False) -> Line:
        """As many of the page's next words as go on a line or into a column of `length` pixels; at least a part of one.

        Args:
            type_: face.
            ppem: pixels per em.
            length: room in pixels.
            justified: widen the spaces (the letters' gaps where there are none) so that the line is filled.
            upright: a column.

        Raises:
            Refused: no words can be drawn.
        """
        for _ in range(_TRIES):
            taken: list[str] = []
            size = 0
            wanted = max(4, int(length / (0.3 * ppem)) if self.words.space else int(length / (0.9 * ppem)) + 2)
            # Never more than about twice what fits: the rest goes back.
            while size < wanted and len(taken) < 64:
                taken.append(self.words.next())
                size += len(taken[-1]) + 1
            text = self.words.space.join(taken)
            try:
                if upright:
                    return self._filled_column(text, type_, ppem, length)
                return self._fitted(text, type_, ppem, length, justified)
            except (Undrawable, NoInk, Uncovered, Refused):
                continue
        raise Refused("text cannot be drawn")

    def _filled_column(self, text: str, type_: Type, ppem: int, length: float) -> Line:
        units = self._units(text)
        count = max(1, int(length / ppem))
        kept = "".join(units[:count]).strip()
        line = self.column(kept, type_, ppem, digits=2)
        while line.height > length and count > 1:
            count = max(1, min(count - 1, int(count * length / line.height)))
            kept = "".join(units[:count]).strip()
            line = self.column(kept, type_, ppem, digits=2)
        self.words.back("".join(units[count:]).split())
        return line

    def _fitted(self, text: str, type_: Type, ppem: int, length: float, justified: bool) -> Line:
        runs = self._shaped(text, type_)
        reach = _reach(runs, len(text), ppem)
        fits = int(np.searchsorted(reach, length, "right"))
        cut = self._break(text, fits) if fits < len(text) else len(text)
        kept = text[:cut].rstrip()
        self.words.back(text[cut:].split())
        if len(kept) < len(text):
            runs = self._cut(runs, kept, type_)
        spacing = 0.0
        room = length - float(reach[len(kept) - 1])
        if justified and room > 0:
            gaps = kept.count(" ")
            if gaps and room / gaps <= _WIDEST_SPACE * ppem:
                for run in runs:
                    widened = round(room / gaps * run.face.upem / ppem)
                    run.advances = [
                        advance + widened if kept[c] == " " else advance
                        for advance, c in zip(run.advances, run.clusters, strict=True)
                    ]
            elif not gaps and len(kept) > 2 and room < 0.3 * ppem * len(kept):
                spacing = room / (len(kept) - 1) / ppem
        return self._drawn(kept, runs, ppem, spacing)

    def _break(self, text: str, fits: int) -> int:
        """Where to end a line of which `fits` code points have room: at a space, else at a unit's boundary."""
        if self.words.space:
            space = text.rfind(" ", 0, fits + 1)
            if space > 0:
                return space
        ends = [0, *accumulate(map(len, split_units(text, "grapheme")))]
        return max([end for end in ends if end <= fits] or [0]) or ends[1]

    def _cut(self, runs: list[Run], kept: str, type_: Type) -> list[Run]:
        """The runs of a text's beginning, given those of the whole."""
        # In one direction a part of the glyphs will do; else the order of runs may change.
        if len(runs) == 1 and not runs[0].rtl:
            return [_part(runs[0], len(kept))]
        return self._shaped(kept, type_)

    def _shaped(self, text: str, type_: Type) -> list[Run]:
        try:
            return shape_line(
                text, self._faces(text, type_), language=self._corpus.language, direction=self._corpus.direction
            )
        except (Undrawable, Uncovered):
            raise Refused("text cannot be drawn") from None

    def _faces(self, text: str, type_: Type) -> list[tuple[Face, int, int]]:
        if self._book.covering(text) & type_.bit:
            return [(type_.face, 0, len(text))]
        # What the face lacks, the page's other faces draw, and so on all lines the same.
        parts: list[tuple[Face, int, int]] = []
        at = 0
        for cluster in split_units(text, "grapheme"):
            face = type_.face if cluster.isspace() else self._able(cluster, type_)
            if parts and (parts[-1][0] is face or cluster.isspace()):
                parts[-1] = (parts[-1][0], parts[-1][1], at + len(cluster))
            else:
                parts.append((face, at, at + len(cluster)))
            at += len(cluster)
        return parts

    def _able(self, cluster: str, type_: Type) -> Face:
        """The face that draws a cluster on a line of another: that face itself if it can."""
        able = self._book.covering(cluster)
        for used in (type_, *self._used):
            if able & used.bit:
                return used.face
        face = self._book.choose(cluster, self._rng, self._now.common)[0][0]
        self._used.append(Type(face, self._book.bit(face.info)))
        return face

    def _units(self, text: str) -> list[str]:
        return split_units(text, self._corpus.unit) if self._charset is None else self._charset.split(text)

    def _drawn(self, text: str, runs: list[Run], ppem: int, spacing: float) -> Line:
        units = self._units(text)
        try:
            ink = draw_line(runs, units, ppem, self._cache, spacing=spacing)
        except NoInk:
            raise Refused("text cannot be drawn") from None
        return Line(ink.mask, text, units, ink.boxes, ink.blank, ink.baseline, ppem)


def _reach(runs: list[Run], length: int, ppem: int) -> NDArray[np.float64]:
    """How far a text of `length` code points reaches after each of them, pixels."""
    advances = np.zeros(length)
    for run in runs:
        np.add.at(advances, run.clusters, np.asarray(run.advances) * (ppem / run.face.upem))
    return np.cumsum(advances)


def _part(run: Run, stop: int) -> Run:
    """What a run from left to right has of the first `stop` code points."""
    count = sum(cluster < stop for cluster in run.clusters)
    return replace(
        run,
        stop=stop,
        glyphs=run.glyphs[:count],
        clusters=run.clusters[:count],
        advances=run.advances[:count],
        x_offsets=run.x_offsets[:count],
        y_offsets=run.y_offsets[:count],
    )


@lru_cache(maxsize=4096)
def _is_plain(info: FaceInfo) -> bool:
    """Whether a face is one for running text, by what it says of itself."""
    return not (looks_written(info) or {"like handwriting", "decorative", "symbols"}.intersection(hints(info)))
