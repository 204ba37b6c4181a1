"""The order in which people read what stands on a page.

Texts that follow each other make lines, lines that stand below each other make blocks. Gaps on a line are of columns
where the lines beside them are long, or stand at heights of their own; else they are of a table, form or receipt, which
is read row by row. Blocks are sorted topologically, as Breuel, "High performance document layout analysis" (2003),
sorts lines: what is above comes before what is below it; of two side by side, the one on the side where the script
begins, unless something between them spans both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ocr.data.targets import Polygon
from synth.text.ucd import bidi_class

Direction = Literal["ltr", "rtl"]
Floats = NDArray[np.float64]

_TALL: Final = 1.5  # times as high as wide: a column of vertical writing
_COLUMN: Final = 3.0  # as a single letter never is
_SPACE: Final = 0.8  # heights of a gap between words; a wider one may be between columns
_SAME_ROW: Final = 0.5  # of the lower one's height in common: on one row
_COLUMN_ROWS: Final = 3  # lines beside a gap from which it may be one between columns
_LONG: Final = 7.0  # heights: lines that are longer are running text and no cells of a table
_ALIGNED: Final = 0.7  # share of the lines with a partner across the gap in a table
_LEADING: Final = 1.5  # heights of white between two lines of a block
_LIKE: Final = 1.7  # ratio of the heights of two lines of a block
_TOUCH: Final = 0.3  # of the lower one's height in common: lines that merely touch have less
_UNLIKE: Final = 2.5  # and of two texts on a row
_GUTTER: Final = 0.7  # heights: a narrower strip of white is none
_MONGOLIAN: Final = frozenset(map(chr, range(0x1800, 0x18B0)))


@dataclass(frozen=True)
class Line:
    """Texts that follow each other.

    Attributes:
        members: their numbers, in reading order.
        direction: of the line.
    """

    members: tuple[int, ...]
    direction: Direction


@dataclass(frozen=True)
class Layout:
    """A page in reading order.

    Attributes:
        blocks: of lines.
        direction: most letters'; where columns begin.
        vertical: lines run downwards.
    """

    blocks: tuple[tuple[Line, ...], ...]
    direction: Direction
    vertical: bool

    @property
    def order(self) -> list[int]:
        """The numbers of all texts, in reading order."""
        return [member for block in self.blocks for line in block for member in line.members]


def arrange(polygons: Sequence[Polygon], texts: Sequence[str]) -> Layout:
    """Find lines, blocks and their order.

    Args:
        polygons: `float32`, N × 2 each, in pixels.
        texts: of each, for the direction of the script; empty ones say nothing.
    """
    letters = [_letters(text) for text in texts]
    page = _side(letters, range(len(texts)), "ltr")
    if not len(polygons):
        return Layout((), page, False)
    vertical = _vertical(polygons, texts)
    boxes = _upright(polygons, vertical, texts)
    # In vertical writing lines run down, which counts as along; what the columns' order is has been dealt with above.
    base: Direction = "ltr" if vertical else page

    def along(members: Sequence[int]) -> Line:
        side = base if vertical else _side(letters, members, base)
        ordered = sorted(members, key=lambda number: boxes[number, 0] + boxes[number, 2], reverse=side == "rtl")
        return Line(tuple(_runs(ordered, letters, side)), side)

    lines = _lines([_parts(row, boxes) for row in _rows(boxes)], boxes)
    extents = np.array([_extent(boxes[list(line)]) for line in lines])
    blocks = _blocks(extents)
    order = _sorted(np.array([_extent(extents[block]) for block in blocks]), rtl=base == "rtl")
    found = []
    for number in order:
        within = sorted(blocks[number], key=lambda line: extents[line, 1] + extents[line, 3])
        found.append(tuple(along(lines[line]) for line in within))
    return Layout(tuple(found), page, vertical)


def _letters(text: str) -> tuple[int, int]:
    """How many letters of a text run to the right, and to the left."""
    if text.isascii():
        return sum(map(str.isalpha, text)), 0
    kinds = [bidi_class(character) for character in text]
    return kinds.count("L"), kinds.count("R") + kinds.count("AL")


def _side(letters: Sequence[tuple[int, int]], members: Sequence[int] | range, otherwise: Direction) -> Direction:
    right = sum(letters[number][0] for number in members)
    left = sum(letters[number][1] for number in members)
    if right == left:
        return otherwise
    return "rtl" if left > right else "ltr"


def _runs(ordered: list[int], letters: Sequence[tuple[int, int]], side: Direction) -> list[int]:
    """Turn round what runs against the line: words of the other direction with all that stands between them."""
    against = [
        (right > left) if side == "rtl" else (left > right) for right, left in (letters[number] for number in ordered)
    ]
    found: list[int] = []
    at = 0
    while at < len(ordered):
        if not against[at]:
            found.append(ordered[at])
            at += 1
            continue
        end = at + 1
        for later in range(at + 1, len(ordered)):
            right, left = letters[ordered[later]]
            if against[later]:
                end = later + 1
            elif right or left:
                break
        found += ordered[at:end][::-1]
        at = end
    return found


def _vertical(polygons: Sequence[Polygon], texts: Sequence[str]) -> bool:
    """Whether most of the page, by length of its lines, stands upright."""
    tall = wide = 0.0
    for polygon, text in zip(polygons, texts, strict=True):
        width, height = (polygon.max(0) - polygon.min(0)).tolist()
        if height >= _TALL * width:
            # A single letter may be high and narrow in horizontal writing, too.
            tall += height if len(text) != 1 or height >= _COLUMN * width else 0.0
        else:
            wide += width
    return tall > wide


def _upright(polygons: Sequence[Polygon], vertical: bool, texts: Sequence[str]) -> Floats:
    """Left, top, right and bottom of each polygon, once the page stands straight and lines run across."""
    tilt = _tilt(polygons, vertical)
    cos, sin = np.cos(-tilt), np.sin(-tilt)
    turn = np.array(((cos, -sin), (sin, cos)))
    boxes = np.array([_box(polygon.astype(np.float64) @ turn.T) for polygon in polygons])
    if not vertical:
        return boxes
    left, top, right, bottom = boxes.T
    whole = "".join(texts)
    if sum(map(_MONGOLIAN.__contains__, whole)) > len(whole) / 2:
        return np.stack((top, left, bottom, right), 1)  # columns from left to right
    return np.stack((top, -right, bottom, -left), 1)


def _box(points: Floats) -> Floats:
    """A box of a text's own length and height around its middle; the bounding box of one that is curved or steep."""
    if len(points) == 4:
        along, down = (points[1] + points[2] - points[0] - points[3]) / 2, (points[2:].sum(0) - points[:2].sum(0)) / 2
        if abs(along[0]) > abs(along[1]):
            half = np.array((np.hypot(*along), np.hypot(*down))) / 2
            middle = points.mean(0)
            return np.concatenate((middle - half, middle + half))
    return np.concatenate((points.min(0), points.max(0)))


def _tilt(polygons: Sequence[Polygon], vertical: bool) -> float:
    """By how much the page is turned, in radians: the middle of its long texts' angles, by length."""
    angles, weights = [], []
    for polygon in polygons:
        if len(polygon) != 4:
            continue
        along = polygon[1] + polygon[2] - polygon[0] - polygon[3]
        down = polygon[2] + polygon[3] - polygon[0] - polygon[1]
        side = down if vertical else along
        length, thickness = float(np.hypot(*side)) / 2, float(np.hypot(*(along if vertical else down))) / 2
        if length < 3 * thickness:
            continue
        angle = float(np.arctan2(-side[0], side[1]) if vertical else np.arctan2(side[1], side[0]))
        if abs(angle) < np.pi / 4:
            angles.append(angle)
            weights.append(length)
    if not angles:
        return 0.0
    order = np.argsort(angles)
    reached = np.cumsum(np.array(weights)[order])
    return float(np.array(angles)[order][np.searchsorted(reached, reached[-1] / 2)])


def _extent(boxes: Floats) -> Floats:
    return np.concatenate((boxes[:, :2].min(0), boxes[:, 2:].max(0)))


def _rows(boxes: Floats) -> list[list[int]]:
    """Chains of texts beside each other, each from left to right: neighbours are each other's nearest."""
    left, top, right, bottom = boxes.T
    height, middle = bottom - top, left + right
    after, before = np.full(len(boxes), -1), np.full(len(boxes), -1)
    for number in range(len(boxes)):
        common = np.minimum(bottom, bottom[number]) - np.maximum(top, top[number])
        lower, higher = np.minimum(height, height[number]), np.maximum(height, height[number])
        beside = (common >= _SAME_ROW * lower) & (higher <= _UNLIKE * lower)
        beside[number] = False
        # Equal middles are of texts that lie upon each other.
        later = np.flatnonzero(beside & (middle > middle[number]))
        earlier = np.flatnonzero(beside & (middle < middle[number]))
        if len(later):
            after[number] = later[np.argmin(left[later])]
        if len(earlier):
            before[number] = earlier[np.argmax(right[earlier])]
    rows = []
    for number in range(len(boxes)):
        if before[number] >= 0 and after[before[number]] == number:
            continue
        row = [number]
        while (following := int(after[row[-1]])) >= 0 and before[following] == row[-1]:
            row.append(following)
        rows.append(row)
    return rows


def _parts(row: list[int], boxes: Floats) -> list[list[int]]:
    """A row, cut where gaps are wider than a space."""
    parts = [row[:1]]
    for one, other in pairwise(row):
        height = min(boxes[one, 3] - boxes[one, 1], boxes[other, 3] - boxes[other, 1])
        if boxes[other, 0] - boxes[one, 2] > _SPACE * height:
            parts.append([])
        parts[-1].append(other)
    return parts


def _lines(rows: list[list[list[int]]], boxes: Floats) -> list[list[int]]:
    """Rows of parts, joined where the gap is none between columns."""
    extents = [np.array([_extent(boxes[part]) for part in row]) for row in rows]
    order = sorted(range(len(rows)), key=lambda row: float(extents[row][:, [1, 3]].mean()))
    verdicts: dict[tuple[int, int], bool] = {}
    for place, row in enumerate(order):
        for gap in range(len(rows[row]) - 1):
            if (row, gap) not in verdicts:
                gutter = _gutter(extents, order, place, gap)
                verdict = _between_columns(gutter, extents)
                for other, left, right in gutter:
                    if left is not None and right == left + 1:
                        verdicts.setdefault((other, left), verdict)
    lines = []
    for row, parts in enumerate(rows):
        lines.append(list(parts[0]))
        for gap, part in enumerate(parts[1:]):
            if verdicts[row, gap]:
                lines.append([])
            lines[-1] += part
    return lines


_Gutter = list[tuple[int, int | None, int | None]]


def _gutter(extents: list[Floats], order: list[int], place: int, gap: int) -> _Gutter:
    """The rows beside the strip of white that a gap is a part of.

    Returns:
        Of each row its number and the parts next to the strip, at its left and its right; None: there is none.
    """
    here = extents[order[place]]
    first, last = float(here[gap, 2]), float(here[gap + 1, 0])
    least = _GUTTER * float(min(here[gap, 3] - here[gap, 1], here[gap + 1, 3] - here[gap + 1, 1]))
    found: _Gutter = [(order[place], gap, gap + 1)]
    for way in (range(place - 1, -1, -1), range(place + 1, len(order))):
        for other in way:
            row = extents[order[other]]
            from_, to = first, last
            for start, _, end, _ in row.tolist():
                if end <= from_ or start >= to:
                    continue
                # What reaches into the strip leaves the wider of its sides.
                if start - from_ >= to - end:
                    to = start
                else:
                    from_ = end
            if to - from_ < least:
                break
            first, last = from_, to
            left = np.flatnonzero(row[:, 2] <= first)
            right = np.flatnonzero(row[:, 0] >= last)
            found.append((order[other], int(left[-1]) if len(left) else None, int(right[0]) if len(right) else None))
    return found


def _between_columns(gutter: _Gutter, extents: list[Floats]) -> bool:
    lefts = np.array([extents[row][left] for row, left, _ in gutter if left is not None])
    rights = np.array([extents[row][right] for row, _, right in gutter if right is not None])
    fewer = min(len(lefts), len(rights))
    if fewer < _COLUMN_ROWS:
        return False
    aligned = 0
    for row, left, right in gutter:
        if left is None or right is None:
            continue
        one, other = extents[row][left], extents[row][right]
        height = min(one[3] - one[1], other[3] - other[1])
        aligned += abs(one[1] + one[3] - other[1] - other[3]) < 0.5 * height  # a quarter between the middles
    if aligned < _ALIGNED * fewer:
        return True
    return all(np.median((side[:, 2] - side[:, 0]) / (side[:, 3] - side[:, 1])) >= _LONG for side in (lefts, rights))


def _blocks(lines: Floats) -> list[list[int]]:
    """Lines that stand below each other with nothing else beside them."""
    left, top, right, bottom = lines.T
    height, middle = bottom - top, top + bottom
    below, above = np.full(len(lines), -1), np.full(len(lines), -1)
    for number in range(len(lines)):
        overlapping = np.minimum(right, right[number]) > np.maximum(left, left[number])
        lower = np.flatnonzero(overlapping & (middle > middle[number]))
        if not len(lower):
            continue
        next_ = int(lower[np.argmin(middle[lower])])
        least, most = sorted((height[number], height[next_]))
        if most > _LIKE * least or top[next_] - bottom[number] > _LEADING * least:
            continue
        # Nothing else reaches into the box around both: no other column, and no other line of a wider one.
        from_x, to_x = min(left[number], left[next_]), max(right[number], right[next_])
        common = np.minimum(bottom, bottom[next_]) - np.maximum(top, top[number])
        inside = (right > from_x) & (left < to_x) & (common > _TOUCH * np.minimum(height, least))
        if inside.sum() == 2:
            below[number] = next_
            above[next_] = number
    blocks: list[list[int]] = []
    home: dict[int, list[int]] = {}
    for number in np.argsort(middle, kind="stable").tolist():
        block = home.get(number)
        if block is None:
            block = home[number] = []
            blocks.append(block)
        block.append(number)
        following = int(below[number])
        if following >= 0 and above[following] == number:
            home[following] = block
    return blocks


def _sorted(blocks: Floats, *, rtl: bool) -> list[int]:
    """The order of blocks, given as boxes: what has nothing before it, topmost first; loops are cut at their top."""
    if rtl:
        blocks = blocks[:, [2, 1, 0, 3]] * (-1.0, 1.0, -1.0, 1.0)
    left, top, right, bottom = blocks.T
    middle = top + bottom
    common = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    # Boxes that touch are beside each other.
    across = common > 0.1 * np.minimum((right - left)[:, None], right - left)
    higher = middle[:, None] < middle
    beside = ~across & (left[:, None] + right[:, None] < left + right)
    for third in range(len(blocks)):
        spans = across[third][:, None] & across[third]
        between = (middle[third] > np.minimum(middle[:, None], middle)) & (
            middle[third] < np.maximum(middle[:, None], middle)
        )
        beside &= ~(spans & between)
    first = (across & higher) | beside
    # Of blocks beside each other with something between that spans both, the higher one is first.
    first |= ~across & higher & ~beside & ~beside.T
    np.fill_diagonal(first, False)
    waiting = first.sum(0)
    order: list[int] = []
    open_ = set(range(len(blocks)))
    while open_:
        ready = min(open_, key=lambda number: (waiting[number], top[number], left[number]))
        order.append(ready)
        open_.remove(ready)
        waiting -= first[ready]
    return order
