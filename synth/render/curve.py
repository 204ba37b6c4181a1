"""Lines along a path, drawn from outlines.

A line is laid out straight first, in em, and then moved: in scripts whose letters stand alone (`LOOSE`) each cluster
rigidly, to the arc length of its middle, turned as the path is there; in all others, whose letters join, every point by
itself, (x, y) → path(x) + y · normal, so that joins and head lines bend without a seam. The path is where the middle of
the line's height runs, so that letters close up on one side of it no more than they part on the other.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.recipe import CurvedLine
from synth.render.line import INKLESS, Ink, NoInk, Stamp, end_clusters, unit_parts
from synth.render.outline import Outline, OutlineCache, fill
from synth.render.path import Floats, Path, arc, cubic, straight, wave
from synth.render.shape import LOOSE, Run

OUTLINE_POINTS = 16
"""Points on each of the two long sides of a line's polygon."""

BEYOND = 1.0
"""How far in em a path goes on past the text."""

BESIDE = 0.45
"""Room in em around a line in which what is printed beside it is kept."""

_FAR = math.inf
_PAPER = 0.45  # of a stamp's size: how far beyond it the print is drawn that it is on
_PALER = 0.55  # a second impression against the first
_ROUND = 0.9  # of a circle that text may fill
_TALL = 1.3  # a path's radius over the line's height, at least
_HALF_ANGLE = 1.5  # radians of an arc on either side: letters do not hang
_FLATTENINGS = 12
_SIDES = np.linspace(0.0, 1.0, 5)  # where the sides of a box are looked at
_TWICE = np.tile(_SIDES, 2)
_STRAIGHTEST = 1e-6  # curvature of what counts as straight
# Smooth random shifts along a line: of cosines, of unit variance in the mean.
_PLACES = np.linspace(0.0, 1.0, 33)
_SWAYS = np.cos(np.arange(4)[:, None] * (_PLACES * math.pi)) / math.sqrt(2.5)


@dataclass(slots=True)
class Laid:
    """A line laid out straight; lengths in em, y downwards from the baseline.

    Attributes:
        outlines: of the glyphs that have ink.
        origins: those glyphs × 3: x, y, size.
        owners: the cluster that each of them belongs to.
        clusters: as in `Placed`.
        bent: for each cluster, whether it is bent rather than turned.
        length: from the first pen position to the last.
        top: of the ink.
        bottom: of the ink.
    """

    outlines: list[Outline]
    origins: Floats
    owners: NDArray[np.intp]
    clusters: list[list[Any]]
    bent: NDArray[np.bool_]
    length: float
    top: float
    bottom: float

    @property
    def height(self) -> float:
        """Of the ink."""
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        """Of the ink's height: where the path runs."""
        return (self.top + self.bottom) / 2


def lay_line(
    runs: Sequence[Run],
    cache: OutlineCache,
    *,
    spacing: float = 0.0,
    jitter: Sequence[tuple[float, float]] | None = None,
) -> Laid:
    """Lay shaped runs out from left to right; arguments as for `draw_line`.

    Raises:
        NoInk: there is none at all; names no unit.
    """
    outlines: list[Outline] = []
    origins: list[tuple[float, float, float]] = []
    owners: list[int] = []
    clusters: list[list[Any]] = []
    bent: list[bool] = []
    pen, count = 0.0, 0
    for run in runs:
        face, loose = run.face, run.script in LOOSE
        gap = spacing if loose else 0.0
        wiggle = jitter if loose else None
        size, rise = 1.0, 0.0
        first, start = len(clusters), -1
        scale = 1 / face.upem
        for glyph, begins, advance, x_offset, y_offset in zip(
            run.glyphs, run.clusters, run.advances, run.x_offsets, run.y_offsets, strict=True
        ):
            begun = begins != start
            if begun:
                if start >= 0:
                    pen += gap
                start = begins
                if wiggle is not None:
                    rise, size = wiggle[count % len(wiggle)]
                    scale = size / face.upem
                    count += 1
                clusters.append([start, 0, pen, pen, _FAR, _FAR, -_FAR, -_FAR, glyph, scale, run])
                bent.append(not loose)
            cluster = clusters[-1]
            if not begun:
                cluster[8] = -1
            outline = cache.get(face, glyph, not loose)
            if outline is not None:
                x, y = pen + x_offset * scale, -rise - y_offset * scale
                left, bottom, right, top = outline.box
                cluster[4] = min(cluster[4], x + left * size)
                cluster[5] = min(cluster[5], y - top * size)
                cluster[6] = max(cluster[6], x + right * size)
                cluster[7] = max(cluster[7], y - bottom * size)
                outlines.append(outline)
                origins.append((x, y, size))
                owners.append(len(clusters) - 1)
            pen += advance * scale
            cluster[3] = pen
        pen += gap
        end_clusters(clusters[first:], run)
    if not outlines:
        raise NoInk("")
    top, bottom = min(cluster[5] for cluster in clusters), max(cluster[7] for cluster in clusters)
    return Laid(outlines, np.array(origins), np.array(owners), clusters, np.array(bent), pen, top, bottom)


@dataclass(slots=True)
class Shapes:
    """Polygons to be filled; lengths in em, y downwards.

    Attributes:
        points: of all contours, n × 2.
        ends: for each contour the number of its last point.
        wholes: for each glyph, or other shape, the number of its last contour.
    """

    points: Floats
    ends: NDArray[np.intp]
    wholes: NDArray[np.intp]

    def placed(self, size: float, x: float, y: float, angle: float = 0.0) -> Shapes:
        """`size` times as large, turned clockwise by `angle` radians about the origin, and moved."""
        c, s = size * math.cos(angle), size * math.sin(angle)
        return Shapes(self.points @ np.array(((c, s), (-s, c))) + (x, y), self.ends, self.wholes)

    def drawn(self, ppem: int, origin: NDArray[Any], width: int, height: int) -> NDArray[np.uint8]:
        """Their coverage in a picture, height × width, whose top-left corner is `origin`, in pixels."""
        return fill(self.points * ppem - origin, self.ends, self.wholes, width, height)

    @classmethod
    def joined(cls, several: Sequence[Shapes]) -> Shapes:
        """All in one; at least one."""
        counts = list(accumulate((len(shapes.points) for shapes in several[:-1]), initial=0))
        contours = list(accumulate((len(shapes.ends) for shapes in several[:-1]), initial=0))
        return cls(
            np.concatenate([shapes.points for shapes in several]),
            np.concatenate([shapes.ends + count for shapes, count in zip(several, counts, strict=True)]),
            np.concatenate([shapes.wholes + count for shapes, count in zip(several, contours, strict=True)]),
        )


@dataclass(slots=True)
class Page:
    """Lines of print, one text again and again; lengths in em.

    Attributes:
        row: the text, its top-left corner at the origin.
        length: from one text to the next in a row.
        step: from one row to the next.
        angle: radians that the rows are turned clockwise.
        shift: where a row begins, (x, y).
    """

    row: Shapes
    length: float
    step: float
    angle: float
    shift: tuple[float, float]

    def drawn(self, ppem: int, begins: Floats, grows: Floats, down: Floats) -> NDArray[Any]:
        """Coverage of pixels, height × width, each column along a line of its own; lengths in em.

        Args:
            ppem: pixels per em.
            begins: 2 × width: where each of these lines begins, (x, y).
            grows: 2 × width: by how much (x, y) grow along it.
            down: height: how far along it each pixel's centre is.
        """
        tile = self.row.drawn(ppem, np.zeros(2), max(round(self.length * ppem), 1), max(round(self.step * ppem), 1))
        c, s = math.cos(self.angle), math.sin(self.angle)
        back = np.array(((c, s), (-s, c))) * ppem
        begin = (back @ (begins - np.array(self.shift)[:, None]) - 0.5).astype(np.float32)
        grow, along = (back @ grows).astype(np.float32), down.astype(np.float32)[:, None]
        columns, rows = (along * grow[k] + begin[k] for k in (0, 1))
        return cv2.remap(tile, columns, rows, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP)


@dataclass(slots=True)
class Prints:
    """What is printed beside a line; lengths in em.

    Attributes:
        shapes: by the same stamp.
        bars: likewise, upright rectangles: left, top, right, bottom.
        under: on the paper before; None: nothing.
        double: how far away a second, paler impression is, (x, y); None: there is none.
        colour: of the stamp's ink: blue, green, red.
    """

    shapes: Shapes | None
    bars: list[tuple[float, float, float, float]]
    under: Page | None
    double: tuple[float, float] | None
    colour: tuple[float, float, float]

    @property
    def corners(self) -> Floats:
        """Points, n × 2, between which all of it lies."""
        bars = np.array(self.bars).reshape(-1, 2)
        return bars if self.shapes is None else np.concatenate((self.shapes.points, bars))

    def drawn(self, line: NDArray[np.uint8], ppem: int, origin: NDArray[Any], pad: int, path: Path | None) -> Stamp:
        """Drawn beside a line.

        Args:
            line: its mask, with `pad` pixels of room on all sides.
            ppem: pixels per em.
            origin: of that mask, in pixels.
            pad: room in pixels.
            path: that the line was straightened along; None: it was not.
        """
        height, width = line.shape
        mask: Any = np.zeros_like(line) if self.shapes is None else self.shapes.drawn(ppem, origin, width, height)
        x, y = origin.tolist()
        for left, top, right, bottom in self.bars:
            _lay_bar(mask, left * ppem - x, top * ppem - y, right * ppem - x, bottom * ppem - y)
        if self.double is not None:
            again = np.array(((1.0, 0.0, self.double[0] * ppem), (0.0, 1.0, self.double[1] * ppem)))
            paler = cv2.warpAffine(cv2.max(mask, line), again, (width, height))
            mask = cv2.max(mask, cv2.convertScaleAbs(paler, alpha=_PALER))
        if self.under is None:
            return Stamp(mask, None, pad, self.colour)
        columns, rows = (np.arange(width) + 0.5 + x) / ppem, (np.arange(height) + 0.5 + y) / ppem
        begins, grows = np.zeros((2, width)), np.zeros((2, width))
        if path is None:
            begins[0], grows[1] = columns, 1.0
        else:
            begins[0], begins[1], angle = path.at(columns)
            grows[0], grows[1] = -np.sin(angle), np.cos(angle)
        return Stamp(mask, self.under.drawn(ppem, begins, grows, rows), pad, self.colour)


def _lay_bar(mask: NDArray[np.uint8], left: float, top: float, right: float, bottom: float) -> None:
    """Cover what lies between four edges, in pixels, parts of pixels included."""
    height, width = mask.shape
    left, right = max(left, 0.0), min(right, float(width))
    top, bottom = max(top, 0.0), min(bottom, float(height))
    if left < right and top < bottom:
        across, down = _covered(left, right), _covered(top, bottom)
        view = mask[int(top) : int(top) + len(down), int(left) : int(left) + len(across)]
        np.maximum(view, (down[:, None] * (across * 255)).astype(np.uint8), out=view)


def _reach(points: Floats, ppem: int) -> tuple[NDArray[np.intp], int, int]:
    """The corner, width and height in pixels of the picture of points in em."""
    x, y = points.T
    left, top = math.floor(float(x.min()) * ppem), math.floor(float(y.min()) * ppem)
    right, bottom = math.ceil(float(x.max()) * ppem), math.ceil(float(y.max()) * ppem)
    return np.array((left, top)), right - left, bottom - top


def _covered(start: float, stop: float) -> NDArray[np.float32]:
    """What a line from `start` to `stop` covers of each pixel that it touches, from the first one on."""
    first, last = int(start), math.ceil(stop)
    covered = np.ones(last - first, np.float32)
    covered[0] -= start - first
    covered[-1] -= last - stop
    return covered


@dataclass(slots=True)
class Along:
    """A line moved onto a path; lengths in em.

    Attributes:
        shapes: its glyphs.
        quads: units × 4 × 2, clockwise from each unit's own top-left: around its ink, turned as the path is there.
        shared: see `Ink`.
        blank: see `Ink`.
        outline: 2 · `OUTLINE_POINTS` × 2: around the whole line, along its top and back along its bottom.
    """

    shapes: Shapes
    quads: Floats
    shared: NDArray[np.bool_]
    blank: NDArray[np.bool_]
    outline: Floats

    def size(self, height: int, stamp: Prints | None) -> int:
        """Pixels per em at which all of it is about so many pixels high."""
        y = self.shapes.points[:, 1] if stamp is None else np.concatenate((self.shapes.points, stamp.corners))[:, 1]
        return math.ceil(height / max(float(np.ptp(y)), 1.0))

    def drawn(self, ppem: int, stamp: Prints | None = None) -> Ink:
        """Its ink.

        Args:
            ppem: pixels per em.
            stamp: what is printed with it; the mask then has room for all of it, and edges that do not touch the ink.
        """
        points = self.shapes.points
        origin, width, height = _reach(points if stamp is None else np.concatenate((points, stamp.corners)), ppem)
        # What it is printed on goes on beyond it.
        pad = 0 if stamp is None else ppem if stamp.under is None else math.ceil(_PAPER * max(width, height))
        quads = (self.quads * ppem - origin).astype(np.float32)
        boxes = np.concatenate((quads.min(1), quads.max(1)), 1).clip(0, (width, height, width, height))
        outline = (self.outline * ppem - origin).astype(np.float32)
        mask = self.shapes.drawn(ppem, origin - pad, width + 2 * pad, height + 2 * pad)
        ink = Ink(mask, boxes, self.shared, self.blank, float(height), ppem, quads=quads, outline=outline)
        if stamp is not None:
            ink.stamp = stamp.drawn(mask, ppem, origin - pad, pad, None)
            ink.mask = np.ascontiguousarray(mask[pad : pad + height, pad : pad + width])
        return ink


class _Mover:
    """Moves points of a line onto a path."""

    def __init__(self, laid: Laid, path: Path) -> None:
        self._path, self._bent, self._middle = path, laid.bent, laid.middle
        self._any_bent = bool(laid.bent.any())
        self.pens = np.array([(cluster[2] + cluster[3]) / 2 for cluster in laid.clusters])
        self._poses = np.empty((5, len(self.pens)))
        self._poses[0], self._poses[1], turn = path.at(self.pens)
        self._poses[2], self._poses[3], self._poses[4] = np.cos(turn), np.sin(turn), self.pens

    def __call__(self, x: Floats, y: Floats, cluster: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Where points of clusters, whose number is given along the first axis, come to lie."""
        px, py, cos, sin, base = self._poses[:, cluster].reshape(5, len(x), *(1,) * (x.ndim - 1))
        along, down = x - base, y - self._middle
        turned = px + along * cos - down * sin, py + along * sin + down * cos
        if not self._any_bent:
            return turned
        px, py, angle = self._path.at(x)
        bent = self._bent[cluster].reshape(base.shape)
        px, py = px - down * np.sin(angle), py + down * np.cos(angle)
        return np.where(bent, px, turned[0]), np.where(bent, py, turned[1])


class _Straightener:
    """Moves points of a line to where they are when it has been moved onto a path and that was straightened again.

    That is their arc length, and how far below the path they lie. Letters that were turned whole bend with the path's
    curvature at their middle.

    Args:
        laid: the line.
        path: the path.
        slack: standard deviation in em by which the line's top and bottom were taken to be elsewhere.
        rng: source of that.
    """

    def __init__(self, laid: Laid, path: Path, slack: float, rng: np.random.Generator) -> None:
        self._middle, self._half = laid.middle, laid.height / 2
        pens = np.array([(cluster[2] + cluster[3]) / 2 for cluster in laid.clusters])
        curvature = path.curvature(pens)
        # What was bent with the path is as it was.
        curvature[laid.bent | (np.abs(curvature) < _STRAIGHTEST)] = _STRAIGHTEST
        self._poses = np.stack((pens, 1 / curvature))
        self._s = _PLACES * laid.length
        self._sways = (rng.standard_normal((2, len(_SWAYS))) * slack) @ _SWAYS if slack else None

    def __call__(self, x: Floats, y: Floats, cluster: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Where points of clusters, whose number is given along the first axis, come to lie."""
        base, radius = self._poses[:, cluster].reshape(2, len(x), *(1,) * (x.ndim - 1))
        sign = np.sign(radius)
        along, up = x - base, radius - (y - self._middle)
        s = base + radius * np.arctan2(along * sign, up * sign)
        return self.swayed(s, radius - sign * np.hypot(along, up))

    def swayed(self, s: Floats, down: Floats) -> tuple[Floats, Floats]:
        """The same points when top and bottom are taken to be where they are not."""
        if self._sways is None:
            return s, down
        top, bottom = (np.interp(s, self._s, sway) for sway in self._sways)
        return s, (down - (top + bottom) / 2) / (1 + (bottom - top) / (2 * self._half))


def glyphs_along(laid: Laid, path: Path) -> Shapes:
    """The glyphs of a line on a path, its first pen position at arc length 0."""
    return _glyphs(laid, _Mover(laid, path))


def _glyphs(laid: Laid, moved: _Mover | _Straightener) -> Shapes:
    sizes = [len(outline.points) for outline in laid.outlines]
    x0, y0, scale = np.repeat(laid.origins, sizes, axis=0).T
    raw = np.concatenate([outline.points for outline in laid.outlines])
    points = np.empty((len(raw), 2))
    owners = np.repeat(laid.owners, sizes)
    points[:, 0], points[:, 1] = moved(x0 + raw[:, 0] * scale, y0 - raw[:, 1] * scale, owners)
    offsets = accumulate(sizes[:-1], initial=0)
    ends = np.concatenate([outline.ends + offset for outline, offset in zip(laid.outlines, offsets, strict=True)])
    return Shapes(points, ends, np.cumsum([len(outline.ends) for outline in laid.outlines]) - 1)


@dataclass(slots=True)
class _Rims:
    """Points around what each unit has of each cluster, moved.

    Attributes:
        x: parts × points.
        y: likewise.
        first: for each unit that has parts the number of its first.
        present: the number of that unit.
        shared: units.
        blank: units.
        centres: for each unit that has parts the pen position that stands for it.
        lost: units that have none, in order: they stand where the one before does.
    """

    x: Floats
    y: Floats
    first: NDArray[np.intp]
    present: NDArray[np.intp]
    shared: NDArray[np.bool_]
    blank: NDArray[np.bool_]
    centres: Floats
    lost: list[int]


def _rims(laid: Laid, moved: _Mover | _Straightener, units: Sequence[str]) -> _Rims:
    """Raises NoInk: a unit that is not blank has no ink."""
    starts = list(accumulate(map(len, units[:-1]), initial=0))
    blank = [unit.isspace() for unit in units]
    parts = np.array(sorted(unit_parts(starts, blank, laid.clusters, laid.top, laid.bottom)), np.float64)
    unit, cluster = parts[:, 0].astype(np.intp), parts[:, 1].astype(np.intp)
    left, right = parts[:, 2], parts[:, 4]
    # Along the top and the bottom of each box.
    x = left[:, None] + (right - left)[:, None] * _TWICE
    x, y = moved(x, np.repeat(parts[:, 3:6:2], len(_SIDES), axis=1), cluster)
    first = np.concatenate(((0,), np.flatnonzero(unit[1:] != unit[:-1]) + 1))
    present = unit[first]
    shared = np.zeros(len(units), np.bool_)
    shared[present] = np.logical_or.reduceat(parts[:, 6] > 0, first)
    lost = sorted(set(range(len(units))).difference(present.tolist())) if len(present) < len(units) else []
    for k in lost:
        if not k or not INKLESS.issuperset(units[k]):
            raise NoInk(units[k])
        shared[k], blank[k] = True, blank[k - 1]
    owners = [laid.clusters[number] for number in cluster[first].tolist()]
    pens = np.array([(owner[2] + owner[3]) / 2 for owner in owners])
    centres = np.where(laid.bent[cluster[first]], (left + right)[first] / 2, pens)
    return _Rims(x, y, first, present, shared, np.array(blank), centres, lost)


def move_along(laid: Laid, path: Path, units: Sequence[str]) -> Along:
    """Move a line onto a path, its first pen position to arc length 0.

    Raises:
        NoInk: a unit that is not blank has no ink.
    """
    moved = _Mover(laid, path)
    shapes = _glyphs(laid, moved)
    rims = _rims(laid, moved, units)
    _, _, angle = path.at(rims.centres)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    # In each unit's own direction its box, turned back.
    many = np.diff(rims.first, append=len(rims.x))
    c, s = np.repeat(cos, many, axis=0), np.repeat(sin, many, axis=0)
    left, top, right, bottom = _boxes(rims, rims.x * c + rims.y * s, rims.y * c - rims.x * s).T
    along, down = np.array((left, right, right, left)).T, np.array((top, top, bottom, bottom)).T
    quads = np.empty((len(units), 4, 2))
    quads[rims.present, :, 0] = along * cos - down * sin
    quads[rims.present, :, 1] = along * sin + down * cos
    for k in rims.lost:
        quads[k] = quads[k - 1]

    inked = [cluster for cluster in laid.clusters if cluster[6] > cluster[4]]
    # Letters that are turned whole stand out of the band between two curves, by the height of their bows, and at its
    # ends, by what they are wider than the curve there.
    wide = max((c[6] - c[4] for c, b in zip(laid.clusters, laid.bent, strict=True) if not b), default=0.0)
    half = laid.height / 2
    inner = max(path.tightest - half, wide, 1e-3)
    spill = wide / 2 * half / inner
    s = np.linspace(min(c[4] for c in inked) - spill, max(c[6] for c in inked) + spill, OUTLINE_POINTS)
    # And the polygon's legs cut off the bows of the curve between them.
    leg = (s[-1] - s[0]) / (OUTLINE_POINTS - 1)
    half += wide * wide / (8 * inner) + leg * leg / (8 * path.tightest)
    outline = np.concatenate((path.offset(s, -half), path.offset(s[::-1], half)))
    return Along(shapes, quads, rims.shared, rims.blank, outline)


def _boxes(rims: _Rims, x: Floats, y: Floats) -> Floats:
    """Left, top, right and bottom of each unit that has parts."""
    boxes = np.empty((len(rims.first), 4))
    boxes[:, 0], boxes[:, 1] = np.minimum.reduceat(x.min(1), rims.first), np.minimum.reduceat(y.min(1), rims.first)
    boxes[:, 2], boxes[:, 3] = np.maximum.reduceat(x.max(1), rims.first), np.maximum.reduceat(y.max(1), rims.first)
    return boxes


@dataclass(slots=True)
class Straightened:
    """A line that was moved onto a path, and that straightened again; x is the arc length, y how far below the path.

    Attributes:
        shapes: its glyphs.
        boxes: units × 4: left, top, right, bottom.
        shared: see `Ink`.
        blank: see `Ink`.
        baseline: y of it, about.
        path: the path.
    """

    shapes: Shapes
    boxes: Floats
    shared: NDArray[np.bool_]
    blank: NDArray[np.bool_]
    baseline: float
    path: Path

    def drawn(self, ppem: int, stamp: Prints | None = None) -> Ink:
        """Its ink.

        Args:
            ppem: pixels per em.
            stamp: what is printed beside it, in the same coordinates.
        """
        pad = 0 if stamp is None else math.ceil(BESIDE * ppem)
        origin, width, height = _reach(self.shapes.points, ppem)
        mask = self.shapes.drawn(ppem, origin - pad, width + 2 * pad, height + 2 * pad)
        boxes = (self.boxes * ppem - np.tile(origin, 2)).astype(np.float32)
        ink = Ink(mask, boxes, self.shared, self.blank, self.baseline * ppem - float(origin[1]), ppem)
        if stamp is not None:
            ink.stamp = stamp.drawn(mask, ppem, origin - pad, pad, self.path)
            ink.mask = np.ascontiguousarray(mask[pad : pad + height, pad : pad + width])
        return ink


def straighten(laid: Laid, path: Path, units: Sequence[str], slack: float, rng: np.random.Generator) -> Straightened:
    """Where a line is once it has been moved onto a path and that was straightened by a polygon found around it.

    That is worked out on the outlines: no pixel is interpolated.

    Args:
        laid: the line.
        path: the path.
        units: the line cut into units.
        slack: standard deviation in em by which top and bottom of the polygon are off, more here and less there.
        rng: source of that.

    Raises:
        NoInk: a unit that is not blank has no ink.
    """
    moved = _Straightener(laid, path, slack, rng)
    rims = _rims(laid, moved, units)
    boxes = np.empty((len(units), 4))
    boxes[rims.present] = _boxes(rims, rims.x, rims.y)
    for k in rims.lost:
        boxes[k] = boxes[k - 1]
    return Straightened(_glyphs(laid, moved), boxes, rims.shared, rims.blank, -laid.middle, path)


class TooLong(Exception):
    """A text that does not fit its curve even when it is shrunk as far as may be."""


def choose_path(config: CurvedLine, laid: Laid, rng: np.random.Generator) -> Path:
    """A random path for a line laid out.

    Raises:
        TooLong: longer than the circle, and more than `smallest` would have to be shrunk.
    """
    length = laid.length
    tightest = max(config.tightest, _TALL * laid.height)
    kinds = [kind for kind, weight in config.kinds.items() if weight]
    weights = list(accumulate(config.kinds[kind] for kind in kinds))
    kind = kinds[min(bisect_right(weights, rng.random() * weights[-1]), len(kinds) - 1)]
    sign = -1 if rng.random() < config.valley else 1
    if kind == "arc":
        return arc(length, sign * max(_radius(length, between(config.rise, rng)), tightest), BEYOND)
    if kind == "circle":
        radius = fitting(length / (2 * math.pi * _ROUND), max(between(config.radius, rng), tightest), config.smallest)
        return arc(length, sign * radius, BEYOND)
    if kind == "wave":
        wavelength = between(config.wavelength, rng)
        steepest = (wavelength / (2 * math.pi)) ** 2 / tightest
        amplitude = min(between(config.amplitude, rng), steepest)
        return wave(length, amplitude, wavelength, 2 * math.pi * rng.random(), BEYOND)
    if config.controls:
        controls = np.array(config.controls[int(rng.random() * len(config.controls))])
    else:
        a, b = between(config.rise, rng), between(config.rise, rng)
        # A bow, or an S, whose ends are not level.
        ways = np.array((0.0, -sign * a, sign * b if rng.random() < 0.5 else -sign * b, (rng.random() - 0.5) * a))
        controls = np.stack((np.array((0.0, 0.35, 0.65, 1.0)), ways * (1.4 / max(length, 1e-3))), 1)
    chord = controls[0] + (controls[3] - controls[0]) * np.array((0.0, 1 / 3, 2 / 3, 1.0))[:, None]
    for _ in range(_FLATTENINGS):
        with suppress(ValueError):
            path = cubic(controls, length)
            if path.tightest >= tightest and not path.crosses(laid.height / 2):
                return path
        controls = chord + (controls - chord) * 0.75
    return straight(length)


def fitting(needed: float, given: float, smallest: float) -> float:
    """A size in em of what text of a size that needs `needed` is to fit into: `given`, or more when the text shrinks.

    Raises:
        TooLong: the text would have to be smaller than `smallest` times its size.
    """
    if needed * smallest > given:
        raise TooLong
    return max(needed, given)


def between(pair: tuple[float, float], rng: np.random.Generator) -> float:
    """One draw from a range."""
    return pair[0] + (pair[1] - pair[0]) * rng.random()


def _radius(length: float, rise: float) -> float:
    """The radius of an arc of a length whose middle is `rise` above its ends, or of nearly half a circle."""
    # rise / length = (1 - cos t) / 2t, t being half the angle: it grows up to 2.33.
    low, high = 1e-3, _HALF_ANGLE
    for _ in range(40):
        t = (low + high) / 2
        if (1 - math.cos(t)) / (2 * t) * length < rise:
            low = t
        else:
            high = t
    return length / (2 * low)
