"""Shaped runs to ink: a coverage mask and a box for every unit."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.fonts.face import PHASES, Face, Glyph
from synth.render.shape import LOOSE, Run


class NoInk(Exception):
    """A unit that should show ink has none in this face; `unit` names it."""

    def __init__(self, unit: str) -> None:
        super().__init__(unit)
        self.unit = unit


@dataclass(slots=True)
class Stamp:
    """What a stamp prints beside the line, and what it is printed on.

    Attributes:
        mask: `uint8`, coverage, with `pad` pixels of room around the line's mask on all sides.
        under: likewise, of other ink that was there before; None: there is none.
        pad: room in pixels.
        colour: of the stamp's ink: blue, green, red.
    """

    mask: NDArray[np.uint8]
    under: NDArray[np.uint8] | None
    pad: int
    colour: tuple[float, float, float]


@dataclass(slots=True)
class Ink:
    """A line of text, drawn but not coloured.

    Attributes:
        mask: `uint8`, height × width, coverage; its edges touch the ink.
        boxes: `float32`, units × 4: left, top, right, bottom in pixels of `mask`.
        shared: `bool`, units: the box is that of a shaped cluster which several units share.
        blank: units that have no ink by nature (spaces).
        baseline: y of the baseline in pixels of `mask`.
        ppem: pixels per em.
        turned: `bool`, units: in a vertical line, which is drawn turned a quarter to the left, those that are so
            turned; None: none is.
    """

    mask: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    shared: NDArray[np.bool_]
    blank: NDArray[np.bool_]
    baseline: float
    ppem: int
    turned: NDArray[np.bool_] | None = None
    quads: NDArray[np.float32] | None = None
    outline: NDArray[np.float32] | None = None
    stamp: Stamp | None = None


# Joiners and variation selectors, Mongolian ones too: what they do is seen in other glyphs.
INKLESS = frozenset(map(chr, (0x034F, 0x200C, 0x200D, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10))))
_FAR = 1 << 30
TURNED = PHASES * PHASES  # added to the phase of a glyph that stands turned a quarter to the left
_KEYS = 2 * TURNED  # phases of a glyph, turned or not
_Drawn = tuple[NDArray[np.uint8], int, int, int, int]
"""A glyph's coverage and its left, top, right and bottom relative to the pen's pixel."""
_UNKNOWN: _Drawn = (np.zeros((0, 0), np.uint8), 0, 0, 0, 0)


class GlyphCache:
    """Rasterised glyphs, bounded by bytes; the faces and sizes met first go first.

    Attributes:
        bytes: what it holds.
    """

    def __init__(self, max_bytes: int = 96 << 20) -> None:
        self._faces: dict[tuple[str, int], dict[int, _Drawn | None]] = {}
        self.bytes = 0
        self._max = max_bytes

    def of(self, face: Face, ppem: int) -> dict[int, _Drawn | None]:
        """What is held of a face at a size: to look in before `get`. The keys are 2 · PHASES² · glyph + phase."""
        return self._faces.setdefault((face.key, ppem), {})

    def get(self, face: Face, glyph: int, ppem: int, phase: int) -> _Drawn | None:
        """The glyph's bitmap; `phase` is phase_x + PHASES * phase_y on the line, and TURNED more where it is turned."""
        held, key = self.of(face, ppem), glyph * _KEYS + phase
        try:
            return held[key]
        except KeyError:
            pass
        drawn = None
        made = _drawn(face, glyph, ppem, phase)
        if made is not None:
            bitmap, left, top = made
            drawn = bitmap, left, top, left + bitmap.shape[1], top + bitmap.shape[0]
        held[key] = drawn
        self.bytes += _size(drawn)
        if self.bytes > self._max:
            self._shrink()
        return drawn

    def _shrink(self) -> None:
        for key in list(self._faces):
            if self.bytes < self._max * 3 // 4:
                break
            self.bytes -= sum(map(_size, self._faces.pop(key).values()))


def _size(drawn: _Drawn | None) -> int:
    """Bytes that a glyph takes in the cache: its bitmap, and what Python needs for key, value and array."""
    return 200 if drawn is None else 450 + drawn[0].nbytes


def _drawn(face: Face, glyph: int, ppem: int, phase: int) -> Glyph | None:
    along, across = phase % PHASES, phase // PHASES % PHASES
    if phase < TURNED:
        return face.rasterise(glyph, ppem, along, across)
    # Turned to the left, right is up: a shift down by a part of a pixel is one to the left, from the next pixel on.
    drawn = face.rasterise(glyph, ppem, -across % PHASES, along)
    if drawn is None:
        return None
    bitmap, left, top = drawn
    left -= across > 0
    return cv2.rotate(bitmap, cv2.ROTATE_90_COUNTERCLOCKWISE).astype(np.uint8, copy=False), top, -left - bitmap.shape[1]


def draw_line(
    runs: Sequence[Run],
    units: Sequence[str],
    ppem: int,
    cache: GlyphCache,
    *,
    spacing: float = 0.0,
    jitter: Sequence[tuple[float, float]] | None = None,
) -> Ink:
    """Draw shaped runs from left to right.

    Args:
        runs: in visual order.
        units: the text cut into units, in logical order.
        ppem: pixels per em.
        cache: bitmaps drawn before.
        spacing: added between clusters, in em, in scripts whose letters stand alone (`LOOSE`) only.
        jitter: for each cluster in turn, taken cyclically: (rise in em, size factor); likewise in those scripts only.

    Raises:
        NoInk: a unit that is not blank has no ink.
    """
    line = Placed()
    place_runs(line, runs, ppem, cache, spacing=spacing, jitter=jitter)
    return line.ink(units, ppem)


@dataclass(slots=True)
class Placed:
    """Glyphs placed on a line that grows to the right; lengths in pixels, y downwards from the line.

    Attributes:
        pen: where the next glyph goes.
        bitmaps: coverage, left, top, right, bottom.
        clusters: first code point, end, pen before, pen after, left, top, right, bottom of the ink; glyph (-1 for
            several or none), pixels per font unit, run.
        count: of the clusters that jitter moved.
    """

    pen: float = 0.0
    bitmaps: list[tuple[NDArray[np.uint8], int, int, int, int]] = field(default_factory=list)
    clusters: list[list[Any]] = field(default_factory=list)
    count: int = 0

    def add_cluster(
        self, start: int, stop: int, before: float, after: float, box: tuple[int, int, int, int] | None
    ) -> None:
        """Note a cluster that is not of a font: its code points, the pen before and after it, its ink's box if any."""
        self.clusters.append([start, stop, before, after, *(box or (_FAR, _FAR, -_FAR, -_FAR)), -1, 0.0, None])

    def ink(self, units: Sequence[str], ppem: int) -> Ink:
        """The line as a mask, cut to its ink, with the boxes of its units.

        Raises:
            NoInk: a unit that is not blank has no ink.
        """
        if not self.bitmaps:
            raise NoInk("".join(units))
        mask, left, top = self.coverage()
        bottom, right = top + mask.shape[0], left + mask.shape[1]
        boxes, shared, blank = _unit_boxes(units, self.clusters, left, top, right, bottom)
        return Ink(mask, boxes, shared, blank, float(-top), ppem)

    def coverage(self) -> tuple[NDArray[np.uint8], int, int]:
        """The line as a mask, cut to its ink, and its left and top; there must be bitmaps."""
        _, lefts, tops, rights, bottoms = zip(*self.bitmaps, strict=True)
        left, top = min(lefts), min(tops)
        mask = np.zeros((max(bottoms) - top, max(rights) - left), np.uint8)
        edge = left
        for bitmap, x0, y0, x1, y1 in self.bitmaps:
            if x0 >= edge:
                mask[y0 - top : y1 - top, x0 - left : x1 - left] = bitmap
            else:
                # Saturating sum: seams of joined letters close, where a maximum would leave them grey.
                view = mask[y0 - top : y1 - top, x0 - left : x1 - left]
                cv2.add(view, bitmap, view)
            if x1 > edge:
                edge = x1
        return mask, left, top


def place_runs(
    line: Placed,
    runs: Sequence[Run],
    ppem: int,
    cache: GlyphCache,
    *,
    spacing: float = 0.0,
    jitter: Sequence[tuple[float, float]] | None = None,
    drop: float = 0.0,
) -> None:
    """Place shaped runs on a line from left to right, their baseline `drop` pixels below it; the rest as `draw_line`.

    Glyphs of runs that are set upright stand turned a quarter to the left, so that the line reads from top to bottom
    once it is turned back.
    """
    bitmaps, clusters = line.bitmaps, line.clusters
    pen, count = line.pen, line.count
    for run in runs:
        face = run.face
        known = cache.of(face, ppem)
        loose = run.script in LOOSE
        upright = run.setting == "upright"
        gap = spacing * ppem if loose else 0.0
        wiggle = jitter if loose else None
        base = 0.0 if upright else drop
        size, rise = ppem, base
        scale = ppem / face.upem
        first = len(clusters)
        start = -1
        for glyph, begins, advance, x_offset, y_offset in zip(
            run.glyphs, run.clusters, run.advances, run.x_offsets, run.y_offsets, strict=True
        ):
            begun = begins != start
            if begun:
                if start >= 0:
                    pen += gap
                start = begins
                if wiggle is not None:
                    up, factor = wiggle[count % len(wiggle)]
                    size = max(4, round(ppem * factor))
                    rise = base - up * ppem
                    scale = size / face.upem
                    known = cache.of(face, size)
                    count += 1
            if upright:
                # Along the line goes what is down in the column, and up what is right there.
                along, across = pen - y_offset * scale, rise - x_offset * scale
            else:
                along = pen + x_offset * scale if x_offset else pen
                across = rise - y_offset * scale if y_offset else rise
            column, row = int(along // 1), 0
            phase = int((along - column) * PHASES)
            if across:
                row = int(across // 1)
                phase += PHASES * int((across - row) * PHASES)
            if upright:
                phase += TURNED
            after = pen + advance * scale
            drawn = known.get(glyph * _KEYS + phase, _UNKNOWN)
            if drawn is _UNKNOWN:
                drawn = cache.get(face, glyph, size, phase)
            if drawn is None:
                x0 = y0 = _FAR
                x1 = y1 = -_FAR
            else:
                bitmap, x0, y0, x1, y1 = drawn
                x0 += column
                x1 += column
                y0 += row
                y1 += row
                bitmaps.append((bitmap, x0, y0, x1, y1))
            if begun:
                clusters.append([start, 0, pen, after, x0, y0, x1, y1, glyph, scale, run])
            else:
                cluster = clusters[-1]
                cluster[3] = after
                cluster[8] = -1
                if drawn is not None:
                    cluster[4:6] = min(cluster[4], x0), min(cluster[5], y0)
                    cluster[6:8] = max(cluster[6], x1), max(cluster[7], y1)
            pen = after
        pen += gap
        end_clusters(clusters[first:], run)
    line.pen, line.count = pen, count


def end_clusters(clusters: list[list[Any]], run: Run) -> None:
    """Note where the clusters of a run, as they stand from left to right, end: each at the next in logical order."""
    if run.rtl:
        clusters = clusters[::-1]
    for before, behind in pairwise(clusters):
        before[1] = behind[0]
    if clusters:
        clusters[-1][1] = run.stop


def _unit_boxes(
    units: Sequence[str],
    clusters: list[list[Any]],
    left: int,
    top: int,
    right: int,
    bottom: int,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    n = len(units)
    starts: list[int] = []
    at = 0
    for unit in units:
        starts.append(at)
        at += len(unit)
    blank = [unit.isspace() for unit in units]
    if len(clusters) == n:
        # Most lines of most scripts: one cluster for each unit, all of them from left to right or from right to left.
        ordered = clusters if clusters[0][0] == 0 else clusters[::-1]
        if [cluster[0] for cluster in ordered] == starts:
            flat: list[float] = []
            for space, (_, _, before, after, l_, t_, r_, b_, _, _, _) in zip(blank, ordered, strict=True):
                if space:
                    flat += (before - left, 0, after - left, bottom - top)
                elif r_ <= l_:
                    break
                else:
                    flat += (l_ - left, t_ - top, r_ - left, b_ - top)
            else:
                return np.array(flat, np.float32).reshape(n, 4), np.zeros(n, np.bool_), np.array(blank)
    inf = float("inf")
    rows: list[list[float]] = [[inf, inf, -inf, -inf] for _ in range(n)]
    shared = [False] * n
    for k, _, l_, t_, r_, b_, alike in unit_parts(starts, blank, clusters, top, bottom):
        _grow(rows[k], l_, t_, r_, b_)
        shared[k] = shared[k] or alike
    for k, row in enumerate(rows):
        if row[2] <= row[0]:
            if not k or not INKLESS.issuperset(units[k]):
                raise NoInk(units[k])
            # A code point of its own that is never drawn: it stands where the one before it does.
            rows[k], shared[k], blank[k] = rows[k - 1], True, blank[k - 1]
    boxes = np.array(rows, np.float32)
    boxes -= np.array((left, top, left, top), np.float32)
    return boxes, np.array(shared), np.array(blank)


Part = tuple[int, int, float, float, float, float, bool]
"""A unit, a cluster, left, top, right and bottom of what the unit has of the cluster, whether others share that."""


def unit_parts(
    starts: Sequence[int], blank: Sequence[bool], clusters: Sequence[Sequence[Any]], top: float, bottom: float
) -> list[Part]:
    """What each unit has of each cluster.

    Args:
        starts: the code point at which each unit begins.
        blank: of each unit, whether it has no ink by nature.
        clusters: as in `Placed`, in any unit of length.
        top: of the line, for blanks.
        bottom: of the line.
    """
    n = len(starts)
    parts: list[Part] = []
    for number, (c0, c1, before, after, l_, t_, r_, b_, glyph, scale, run) in enumerate(clusters):
        i = bisect_right(starts, c0) - 1
        j = i + 1
        while j < n and starts[j] < c1:
            j += 1
        if r_ < l_:  # no ink: a space has its advance; a joiner or selector adds nothing
            if all(blank[i:j]):
                w = (after - before) / (j - i)
                parts += [
                    (k, number, before + w * (k - i), top, before + w * (k - i + 1), bottom, False) for k in range(i, j)
                ]
        elif j == i + 1:
            parts.append((i, number, l_, t_, r_, b_, False))
        elif edges := _caret_edges(run, glyph, scale, j - i, before, l_, r_):
            parts += [(k, number, edges[k - i][0], t_, edges[k - i][1], b_, False) for k in range(i, j)]
        else:
            parts += [(k, number, l_, t_, r_, b_, True) for k in range(i, j)]
    return parts


def _grow(row: list[float], left: float, top: float, right: float, bottom: float) -> None:
    if left < row[0]:
        row[0] = left
    if top < row[1]:
        row[1] = top
    if right > row[2]:
        row[2] = right
    if bottom > row[3]:
        row[3] = bottom


def _caret_edges(
    run: Run | None, glyph: int, scale: float, parts: int, pen: float, left: float, right: float
) -> list[tuple[float, float]]:
    """Horizontal extents of the units of a ligature, in logical order; empty when the font gives no carets for it."""
    if run is None or glyph < 0:
        return []
    positions = run.face.carets.get(glyph)
    if positions is None or len(positions) != parts - 1:
        return []
    cuts = [left, *(min(max(pen + p * scale, left), right) for p in positions), right]
    if any(b - a < 1e-3 for a, b in pairwise(cuts)):
        return []
    edges = list(pairwise(cuts))
    return edges[::-1] if run.rtl else edges
