"""What was read on a page: texts in lines in blocks, in the order of reading, and where the words of a text stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import numpy as np
import regex
from numpy.typing import NDArray

from ocr.data.targets import Polygon
from ocr.postprocess.db import clockwise
from ocr.read.order import Direction, Layout
from synth.text.bidi import levels
from synth.text.units import split_units

# Scripts that write no space between words.
_SOLID: Final = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]")
_TOUCHING: Final = 0.3  # heights between two texts that a solid script writes together
_SPACE: Final = 0.5  # width of a space, in clusters


@dataclass(frozen=True)
class Text:
    """A text that was found and read.

    Attributes:
        polygon: `float32`, N × 2, in pixels of the upright page, clockwise from the top left.
        score: of the detector, 0 to 1.
        text: in logical order; empty where nothing was read.
        confidence: of the recogniser, 0 to 1.
        recogniser: which one read it; empty where there is one only.
        turned: it runs downwards, and was read after a quarter turn.
    """

    polygon: Polygon
    score: float
    text: str = ""
    confidence: float = 0.0
    recogniser: str = ""
    turned: bool = False

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in pixels."""
        return box_of([self])

    @property
    def quad(self) -> NDArray[np.float32]:
        """Four corners, the first one where the text's first line of ink begins at its top, then along the text."""
        quad = self.polygon if len(self.polygon) == 4 else clockwise(cv2.boxPoints(cv2.minAreaRect(self.polygon)))
        return np.roll(quad, -1, 0) if self.turned else quad


@dataclass(frozen=True)
class Word:
    """A part of a text between spaces; of one in letters of both directions, a part that stands together.

    Attributes:
        text: of it.
        quad: 4 × 2 pixels, as `Text.quad`. Recognisers do not say where letters stand: each grapheme cluster is
            taken for as wide as any other, a space for half as wide.
        clusters: of grapheme, as they stand from left to right.
        start, end: of it in its text, as shares of the length from its visual left.
        gap: share of the length that a space at its right takes.
    """

    text: str
    quad: NDArray[np.float32]
    clusters: tuple[str, ...]
    start: float
    end: float
    gap: float


@dataclass(frozen=True)
class TextLine:
    """Texts that follow each other on a line, in reading order."""

    texts: tuple[Text, ...]
    direction: Direction

    @property
    def text(self) -> str:
        """All texts of the line, with spaces where the script writes them."""
        found = ""
        before: Text | None = None
        for text in self.texts:
            if not text.text:
                continue
            if before is not None and not _written_together(before, text):
                found += " "
            found += text.text
            before = text
        return found


@dataclass(frozen=True)
class PageReading:
    """What a page says.

    Attributes:
        height, width: of the upright page, in pixels.
        blocks: in reading order, lines that stand below each other.
        direction: of most letters.
        vertical: lines run downwards.
        turn: quarter turns counter-clockwise that made the picture upright.
        dropped: texts that were read with too little confidence and are not in the blocks.
        seconds: that each stage took.
    """

    height: int
    width: int
    blocks: tuple[tuple[TextLine, ...], ...]
    direction: Direction = "ltr"
    vertical: bool = False
    turn: int = 0
    dropped: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def lines(self) -> list[TextLine]:
        """All lines, in reading order."""
        return [line for block in self.blocks for line in block]

    @property
    def texts(self) -> list[Text]:
        """All texts, in reading order."""
        return [text for line in self.lines for text in line.texts]

    @property
    def text(self) -> str:
        """Lines, with an empty one between blocks."""
        blocks = ("\n".join(filter(None, (line.text for line in block))) for block in self.blocks)
        return "\n\n".join(filter(None, blocks))

    def in_picture(self, polygon: Polygon) -> Polygon:
        """A polygon of the upright page in pixels of the picture as it was given."""
        height, width = self.height, self.width
        for _ in range(self.turn % 4):
            # Of the counter-clockwise turn that brought (x, y) to (y, width before - x).
            polygon = np.stack((height - polygon[:, 1], polygon[:, 0]), 1).astype(np.float32)
            height, width = width, height
        return polygon


def laid_out(texts: Sequence[Text], layout: Layout) -> tuple[tuple[TextLine, ...], ...]:
    """Texts, numbered as the layout numbers them, as blocks of lines."""
    return tuple(
        tuple(TextLine(tuple(texts[member] for member in line.members), line.direction) for line in block)
        for block in layout.blocks
    )


def box_of(texts: Sequence[Text]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of several texts together, in pixels."""
    least = np.min([text.polygon.min(0) for text in texts], 0)
    most = np.max([text.polygon.max(0) for text in texts], 0)
    return float(least[0]), float(least[1]), float(most[0]), float(most[1])


def words(text: Text) -> Iterator[Word]:
    """The words of a text, in logical order, and where they stand; see `Word`."""
    clusters = split_units(text.text, "grapheme")
    order = visual_order(clusters, text.text)
    widths = np.array([_SPACE if cluster.isspace() else 1.0 for cluster in clusters])
    ends = np.empty(len(clusters))
    ends[order] = np.cumsum(widths[order])
    starts = ends - widths
    place = np.empty(len(clusters), np.int64)
    place[order] = np.arange(len(clusters))
    whole = float(widths.sum())
    corner, right, _, below = text.quad
    along, down = right - corner, below - corner
    at = 0
    while at < len(clusters):
        if clusters[at].isspace():
            at += 1
            continue
        end = at
        while end < len(clusters) and not clusters[end].isspace():
            end += 1
        for piece in _pieces(range(at, end), place):
            start, stop = float(starts[piece].min()) / whole, float(ends[piece].max()) / whole
            following = order[place[piece[-1]] + 1 :][:1]
            gap = sum(float(widths[number]) for number in following if clusters[number].isspace())
            first, last = corner + along * np.float32(start), corner + along * np.float32(stop)
            yield Word(
                "".join(clusters[number] for number in sorted(piece)),
                np.stack((first, last, last + down, first + down)),
                tuple(clusters[number] for number in piece),
                start,
                stop,
                gap / whole,
            )
        at = end


def _pieces(word: range, place: NDArray[np.int64]) -> list[list[int]]:
    """Parts of a word that stand together: letters of both directions may have other words between them."""
    pieces: list[list[int]] = []
    for number in sorted(word, key=lambda number: int(place[number])):
        if pieces and place[number] == place[pieces[-1][-1]] + 1:
            pieces[-1].append(number)
        else:
            pieces.append([number])
    return sorted(pieces, key=min)


def visual_order(clusters: Sequence[str], text: str) -> list[int]:
    """Numbers of a line's grapheme clusters from left to right (rule L2 of UAX #9)."""
    by_code_point, _ = levels(text)
    found: list[int] = []
    at = 0
    for cluster in clusters:
        found.append(by_code_point[at])
        at += len(cluster)
    order = list(range(len(clusters)))
    for level in range(max(found, default=0), 0, -1):
        start = 0
        while start < len(order):
            end = start
            while end < len(order) and found[order[end]] >= level:
                end += 1
            order[start:end] = order[start:end][::-1]
            start = max(end, start + 1)
    return order


def _written_together(one: Text, other: Text) -> bool:
    if not (_SOLID.match(one.text[-1]) and _SOLID.match(other.text[0])):
        return False
    left, top, right, bottom = one.box
    start, above, end, below = other.box
    if one.turned and other.turned:
        return above - bottom <= _TOUCHING * min(right - left, end - start)
    return start - right <= _TOUCHING * min(bottom - top, below - above)


def as_json(page: PageReading) -> dict[str, Any]:
    """A page as plain data: size, and blocks of lines of texts with polygons."""
    return {
        "height": page.height,
        "width": page.width,
        "turn": page.turn,
        "direction": page.direction,
        "vertical": page.vertical,
        "dropped": page.dropped,
        "text": page.text,
        "blocks": [
            [
                {"text": line.text, "direction": line.direction, "texts": list(map(_text_json, line.texts))}
                for line in block
            ]
            for block in page.blocks
        ],
    }


def _text_json(text: Text) -> dict[str, Any]:
    found: dict[str, Any] = {
        "text": text.text,
        "confidence": round(text.confidence, 4),
        "score": round(text.score, 4),
        "polygon": np.round(text.polygon, 1).astype(float).tolist(),
    }
    if text.recogniser:
        found["recogniser"] = text.recogniser
    return found
