"""Shaped runs to ink: a coverage mask and a box for every unit."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.fonts.face import PHASES, Face
from synth.render.shape import LOOSE, Run


class NoInk(Exception):
    """A unit that should show ink has none in this face; `unit` names it."""

    def __init__(self, unit: str) -> None:
        super().__init__(unit)
        self.unit = unit


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
    """

    mask: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    shared: NDArray[np.bool_]
    blank: NDArray[np.bool_]
    baseline: float
    ppem: int


# Joiners and variation selectors: what they do is seen in other glyphs.
_INKLESS = frozenset("\u034f\u200c\u200d" + "".join(map(chr, range(0xFE00, 0xFE10))))
_FAR = 1 << 30
_Drawn = tuple[NDArray[np.uint8], int, int, int, int]
"""A glyph's coverage and its left, top, right and bottom relative to the pen's pixel."""
_UNKNOWN: _Drawn = (np.zeros((0, 0), np.uint8), 0, 0, 0, 0)
_PLACES = PHASES * PHASES


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
        """What is held of a face at a size: to look in before `draw`.

        The keys are glyph · PHASES² + phase_x + PHASES · phase_y.
        """
        return self._faces.setdefault((face.key, ppem), {})

    def draw(self, face: Face, glyph: int, ppem: int, phase: int) -> _Drawn | None:
        """Rasterise a glyph and hold it; `phase` is phase_x + PHASES · phase_y."""
        held, key = self.of(face, ppem), glyph * _PLACES + phase
        if key in held:  # where what `of` gave has been dropped in the meantime
            return held[key]
        made = face.rasterise(glyph, ppem, phase % PHASES, phase // PHASES)
        drawn = None
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
    placed: list[tuple[NDArray[np.uint8], int, int, int, int]] = []
    # One row per cluster: first code point, end, pen before, pen after, ink left, top, right, bottom; its glyph (-1 for
    # several), pixels per font unit, run.
    clusters: list[list[Any]] = []
    pen = 0.0
    count = 0
    left = top = _FAR
    right = bottom = -_FAR
    for run in runs:
        face = run.face
        known = cache.of(face, ppem)
        loose = run.script in LOOSE
        gap = spacing * ppem if loose else 0.0
        wiggle = jitter if loose else None
        size, rise = ppem, 0.0
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
                    rise = -up * ppem
                    scale = size / face.upem
                    known = cache.of(face, size)
                    count += 1
            x = pen + x_offset * scale if x_offset else pen
            column = int(x // 1)
            phase = int((x - column) * PHASES)
            line = 0
            if rise or y_offset:
                y = rise - y_offset * scale
                line = int(y // 1)
                phase += PHASES * int((y - line) * PHASES)
            after = pen + advance * scale
            drawn = known.get(glyph * _PLACES + phase, _UNKNOWN)
            if drawn is _UNKNOWN:
                drawn = cache.draw(face, glyph, size, phase)
            if drawn is None:
                x0 = y0 = _FAR
                x1 = y1 = -_FAR
            else:
                bitmap, x0, y0, x1, y1 = drawn
                x0 += column
                x1 += column
                if line:
                    y0 += line
                    y1 += line
                placed.append((bitmap, x0, y0, x1, y1))
                if x0 < left:
                    left = x0
                if y0 < top:
                    top = y0
                if x1 > right:
                    right = x1
                if y1 > bottom:
                    bottom = y1
            if begun:
                clusters.append([start, 0, pen, after, x0, y0, x1, y1, glyph, scale, run])
            else:
                row = clusters[-1]
                row[3] = after
                row[8] = -1
                if drawn is not None:
                    row[4:8] = min(row[4], x0), min(row[5], y0), max(row[6], x1), max(row[7], y1)
            pen = after
        pen += gap
        # A cluster reaches to the next one in logical order.
        here = clusters[first:]
        if run.rtl:
            here.reverse()
        for before, behind in pairwise(here):
            before[1] = behind[0]
        if here:
            here[-1][1] = run.stop
    if not placed:
        raise NoInk("".join(units))
    mask = np.zeros((bottom - top, right - left), np.uint8)
    edge = left
    for bitmap, x0, y0, x1, y1 in placed:
        if x0 >= edge:
            mask[y0 - top : y1 - top, x0 - left : x1 - left] = bitmap
        else:
            # Saturating sum: seams of joined letters close, where a maximum would leave them grey.
            view = mask[y0 - top : y1 - top, x0 - left : x1 - left]
            cv2.add(view, bitmap, view)
        if x1 > edge:
            edge = x1
    boxes, shared, blank = _unit_boxes(units, clusters, left, top, right, bottom)
    return Ink(mask, boxes, shared, blank, float(-top), ppem)


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
    for c0, c1, before, after, l_, t_, r_, b_, glyph, scale, run in clusters:
        i = bisect_right(starts, c0) - 1
        j = i + 1
        while j < n and starts[j] < c1:
            j += 1
        if r_ < l_:  # no ink: a space has its advance; a joiner or selector adds nothing
            if all(blank[i:j]):
                for k in range(i, j):
                    w = (after - before) / (j - i)
                    _grow(rows[k], before + w * (k - i), top, before + w * (k - i + 1), bottom)
            continue
        if j == i + 1:
            _grow(rows[i], l_, t_, r_, b_)
            continue
        edges = _caret_edges(run, glyph, scale, j - i, before, l_, r_)
        for k in range(i, j):
            if edges:
                _grow(rows[k], edges[k - i][0], t_, edges[k - i][1], b_)
            else:
                _grow(rows[k], l_, t_, r_, b_)
                shared[k] = True
    for k, row in enumerate(rows):
        if row[2] <= row[0]:
            if not k or not _INKLESS.issuperset(units[k]):
                raise NoInk(units[k])
            # A code point of its own that is never drawn: it stands where the one before it does.
            rows[k], shared[k], blank[k] = rows[k - 1], True, blank[k - 1]
    boxes = np.array(rows, np.float32)
    boxes -= np.array((left, top, left, top), np.float32)
    return boxes, np.array(shared), np.array(blank)


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
    run: Run, glyph: int, scale: float, parts: int, pen: float, left: float, right: float
) -> list[tuple[float, float]]:
    """Horizontal extents of the units of a ligature, in logical order; empty when the font gives no carets for it."""
    positions = run.face.carets.get(glyph) if glyph >= 0 else None
    if positions is None or len(positions) != parts - 1:
        return []
    cuts = [left, *(min(max(pen + p * scale, left), right) for p in positions), right]
    if any(b - a < 1e-3 for a, b in pairwise(cuts)):
        return []
    edges = list(pairwise(cuts))
    return edges[::-1] if run.rtl else edges
