"""Training targets of detectors, drawn from one signed distance field for each polygon.

Coordinates are (x, y) in pixels; the pixel in column i, row j is judged by its centre (i + 0.5, j + 0.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Polygon: TypeAlias = NDArray[np.float32]
"""N × 2, N ≥ 3, in either direction."""

_STRAIGHT = 1e-6  # sine of a turn so slight that the wedge beyond the corner is a line, on both sides

_Box: TypeAlias = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class DBTargets:
    """What differentiable binarization learns (Liao et al., 2020, section 3.4); all `uint8`, height × width.

    Attributes:
        shrunk: 1 inside the shrunk polygons.
        counted: 0 where `shrunk` teaches nothing: in ignored polygons, and in those too small to shrink.
        border: 255 on a polygon's edge, falling to 0 at the shrink distance on either side.
        bordered: 1 where `border` teaches: within that distance of a polygon, and inside it.
    """

    shrunk: NDArray[np.uint8]
    counted: NDArray[np.uint8]
    border: NDArray[np.uint8]
    bordered: NDArray[np.uint8]

    @property
    def core(self) -> NDArray[np.uint8]:
        """What is to be found."""
        return self.shrunk


@dataclass(frozen=True, slots=True)
class PSETargets:
    """What PSENet learns (Wang et al., 2019, section 3.4), at a quarter of the resolution; `uint8`.

    Attributes:
        kernels: n × height × width, 1 inside the polygons, shrunk further from each map to the next.
        counted: height × width, 0 where nothing is taught: in ignored polygons, and in those too small to shrink.
    """

    kernels: NDArray[np.uint8]
    counted: NDArray[np.uint8]

    @property
    def core(self) -> NDArray[np.uint8]:
        """The smallest kernels."""
        return self.kernels[..., -1, :, :]


@dataclass(frozen=True, slots=True)
class EASTTargets:
    """What EAST learns (Zhou et al., 2017, section 3.3), at a quarter of the resolution.

    Attributes:
        score: `uint8`, height × width, 1 in the texts' shrunk rectangles.
        counted: `uint8`, height × width, 0 where `score` teaches nothing: in ignored polygons and too small ones.
        geometry: `float32`, 5 × height × width, where `score` is 1: distances to the rectangle's top, right, bottom and
            left side, in pixels of the map, and the angle in radians of its top side, clockwise from the horizontal,
            from -π/4 to less than π/4.
    """

    score: NDArray[np.uint8]
    counted: NDArray[np.uint8]
    geometry: NDArray[np.float32]

    @property
    def core(self) -> NDArray[np.uint8]:
        """What is to be found."""
        return self.score


Targets: TypeAlias = DBTargets | PSETargets | EASTTargets

STRIDE = 4
"""Pixels of the picture for each of the maps of PSE and EAST, in both directions."""


def shrink_distance(polygon: Polygon, ratio: float) -> float:
    """How far an edge moves inwards: area × (1 - ratio²) / perimeter (Vatti clipping, as in PSENet and DB)."""
    points = polygon.tolist()
    double = perimeter = 0.0
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        double += ax * by - ay * bx
        perimeter += math.hypot(bx - ax, by - ay)
    return abs(double) / 2 * (1 - ratio * ratio) / perimeter if perimeter else 0.0


def signed_distance(polygon: Polygon, height: int, width: int, reach: float) -> tuple[_Box, NDArray[np.float32]]:
    """Distance of pixel centres to a polygon's edge: positive inside, by the even-odd rule.

    Args:
        polygon: see `Polygon`.
        height, width: of the picture.
        reach: pixels around the polygon that are wanted.

    Returns:
        The part of the picture, rows and columns, and the distances in it, `float32`. Empty where the polygon lies
        outside.
    """
    points: list[list[float]] = polygon.tolist()
    across, down = zip(*points, strict=True)
    left, right = max(math.floor(min(across) - reach), 0), min(math.ceil(max(across) + reach), width)
    top, bottom = max(math.floor(min(down) - reach), 0), min(math.ceil(max(down) + reach), height)
    box = (slice(top, max(bottom, top)), slice(left, max(right, left)))
    shape = (max(bottom - top, 0), max(right - left, 0))
    if not min(shape):
        return box, np.zeros(shape, np.float32)
    x = np.arange(left, right, dtype=np.float32) + np.float32(0.5)
    y = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5)
    points = _without_repeats(points)
    if len(points) < 3:
        return box, np.full(shape, -np.inf, np.float32)
    edges = _edges(points)
    turns = [
        before[4] * edge[5] - before[5] * edge[4] for before, edge in zip(edges[-1:] + edges[:-1], edges, strict=True)
    ]
    # Turning one way only, and once around: a star turns twice.
    if (min(turns) >= 0 or max(turns) <= 0) and _turned_once(edges):
        return box, _convex_distance(edges, 1.0 if max(turns) > 0 else -1.0, x, y, reach)
    return box, _any_distance(edges, x, y)


_Edge: TypeAlias = tuple[float, float, float, float, float, float, float]
"""Its start, its end, its direction, its length."""


def _without_repeats(points: list[list[float]]) -> list[list[float]]:
    return [point for point, before in zip(points, points[-1:] + points[:-1], strict=True) if point != before]


def _edges(points: list[list[float]]) -> list[_Edge]:
    edges: list[_Edge] = []
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        length = math.hypot(bx - ax, by - ay)
        edges.append((ax, ay, bx, by, (bx - ax) / length, (by - ay) / length, length))
    return edges


def _turned_once(edges: list[_Edge]) -> bool:
    total = 0.0
    for before, edge in zip(edges[-1:] + edges[:-1], edges, strict=True):
        sine = before[4] * edge[5] - before[5] * edge[4]
        cosine = before[4] * edge[4] + before[5] * edge[5]
        if sine == 0 and cosine < 0:
            return False  # straight back: half a turn either way
        total += math.atan2(sine, cosine)
    return abs(total) < 3 * math.pi


def _convex_distance(
    edges: list[_Edge], sign: float, x: NDArray[np.float32], y: NDArray[np.float32], reach: float
) -> NDArray[np.float32]:
    """Inside, and beside an edge: the least distance to the edges' lines. Beyond a corner: that to the corner."""
    field: NDArray[np.float32] | None = None
    for ax, ay, _, _, dx, dy, _ in edges:
        beside = x * np.float32(-dy * sign) + (y * np.float32(dx * sign) + np.float32((ax * dy - ay * dx) * sign))
        field = beside if field is None else cv2.min(field, beside, field)  # type: ignore[assignment]
    assert field is not None
    if reach <= 0:
        return field
    left, top = float(x[0]), float(y[0, 0])
    for (_, _, cx, cy, dx, dy, _), (_, _, _, _, ex, ey, _) in zip(edges, edges[1:] + edges[:1], strict=True):
        if abs(dx * ey - dy * ex) < _STRAIGHT:
            continue
        # Of the wedge beyond the corner, the part within reach.
        columns = slice(max(int(cx - reach - left), 0), max(int(cx + reach - left) + 2, 0))
        rows = slice(max(int(cy - reach - top), 0), max(int(cy + reach - top) + 2, 0))
        px, py = x[columns] - np.float32(cx), y[rows] - np.float32(cy)
        if not px.size or not py.size:
            continue
        beyond = px * np.float32(dx) + py * np.float32(dy) >= 0
        beyond &= px * np.float32(ex) + py * np.float32(ey) <= 0
        part = field[rows, columns]
        np.copyto(part, -np.sqrt(px * px + py * py), where=beyond)
    return field


def _any_distance(edges: list[_Edge], x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """The distance to the nearest edge, and the even-odd rule for its sign."""
    shape = (len(y), len(x))
    nearest = np.full(shape, np.inf, np.float32)
    inside = np.zeros(shape, np.bool_)
    for ax, ay, _, by, dx, dy, length in edges:
        # In the edge's own axes: how far beyond its ends, and how far beside it.
        along = (x - (ax + length / 2 * dx)) * dx + (y - (ay + length / 2 * dy)) * dy
        beyond = np.maximum(np.abs(along) - length / 2, 0)
        beside = (y - ay) * dx - (x - ax) * dy
        inside ^= ((y >= ay) != (y >= by)) & ((beside > 0) == (by > ay))
        np.minimum(nearest, beyond * beyond + beside * beside, out=nearest)
    np.sqrt(nearest, out=nearest)
    np.negative(nearest, out=nearest, where=~inside)
    return nearest


_LEVELS = np.arange(256)
_CORE = (_LEVELS == 255).astype(np.uint8)
_NEAR = (_LEVELS > 1).astype(np.uint8)
_BORDER = (255 - np.abs(_LEVELS - 128) * (255 / 127)).clip(0, 255).astype(np.uint8)


def db_targets(
    polygons: Sequence[Polygon],
    ignored: Sequence[bool],
    height: int,
    width: int,
    *,
    shrink_ratio: float = 0.4,
    min_side: float = 8.0,
) -> DBTargets:
    """Draw the targets of a picture.

    Args:
        polygons: of the texts, in pixels of the picture.
        ignored: whether each is not to be learnt (`###`).
        height, width: of the picture.
        shrink_ratio: r of `shrink_distance`.
        min_side: polygons whose bounding box has a shorter side are ignored, as in PaddleOCR.
    """
    shrunk = np.zeros((height, width), np.uint8)
    counted = np.ones((height, width), np.uint8)
    border = np.zeros((height, width), np.uint8)
    bordered = np.zeros((height, width), np.uint8)
    for polygon, ignore in zip(polygons, ignored, strict=True):
        sides = polygon.max(0) - polygon.min(0)
        distance = shrink_distance(polygon, shrink_ratio)
        if ignore or sides.min() < min_side or distance <= 0:
            box, field = signed_distance(polygon, height, width, 0.0)
            counted[box][field > 0] = 0
            continue
        box, field = signed_distance(polygon, height, width, distance)
        if not field.size:
            continue
        # From -distance at 1 to distance at 255: all four maps can be looked up from this one.
        level = cv2.convertScaleAbs(np.maximum(field, -distance), alpha=127 / distance, beta=128)
        core = cv2.LUT(level, _CORE)
        if not core.any():
            counted[box][field > 0] = 0
            continue
        for whole, table in ((shrunk, core), (border, cv2.LUT(level, _BORDER)), (bordered, cv2.LUT(level, _NEAR))):
            view = whole[box]
            np.maximum(view, table, out=view)
    counted |= shrunk  # what a text teaches, an ignored one across it does not take away
    return DBTargets(shrunk, counted, border, bordered)


def pse_targets(
    polygons: Sequence[Polygon],
    ignored: Sequence[bool],
    height: int,
    width: int,
    *,
    kernels: int = 7,
    shrink_ratio: float = 0.5,
    min_side: float = 8.0,
) -> PSETargets:
    """Draw PSENet's targets of a picture.

    The i-th of n kernels, from 0, is shrunk by `shrink_distance` with the ratio 1 - (1 - shrink_ratio) × i / (n - 1).

    Args:
        polygons, ignored: as in `db_targets`.
        height, width: of the picture, multiples of 4.
        kernels: how many, the whole text among them, at least 2.
        shrink_ratio: of the last one.
        min_side: as in `db_targets`, in pixels of the picture.
    """
    shape = (height // STRIDE, width // STRIDE)
    ratios = [1 - (1 - shrink_ratio) * number / (kernels - 1) for number in range(kernels)]
    maps = np.zeros((kernels, *shape), np.uint8)
    counted = np.ones(shape, np.uint8)
    for polygon, ignore in zip(polygons, ignored, strict=True):
        small = polygon / np.float32(STRIDE)
        box, field = signed_distance(small, *shape, 0.0)
        sides = polygon.max(0) - polygon.min(0)
        # Distances from an edge at which a kernel begins.
        insets = [shrink_distance(small, ratio) for ratio in ratios]
        cores = [field > inset for inset in insets]
        if ignore or sides.min() < min_side or not cores[-1].any():
            counted[box][field > 0] = 0
            continue
        for whole, core in zip(maps, cores, strict=True):
            whole[box][core] = 1
    counted |= maps[0]  # what a text teaches, an ignored one across it does not take away
    return PSETargets(maps, counted)


def upright_rectangle(polygon: Polygon) -> tuple[NDArray[np.float64], float, float, float]:
    """The smallest rectangle around a polygon: centre, width, height, and the angle of its top side.

    The angle is in radians, clockwise (y points downwards) from the horizontal, from -π/4 to less than π/4: what runs
    down rather than across has a rectangle that is higher than wide.
    """
    (x, y), (width, height), degrees = cv2.minAreaRect(np.asarray(polygon, np.float32))
    while degrees >= 45:
        degrees, width, height = degrees - 90, height, width
    while degrees < -45:
        degrees, width, height = degrees + 90, height, width
    return np.array((x, y)), width, height, math.radians(degrees)


def east_targets(
    polygons: Sequence[Polygon],
    ignored: Sequence[bool],
    height: int,
    width: int,
    *,
    shrink_ratio: float = 0.4,
    min_side: float = 8.0,
) -> EASTTargets:
    """Draw EAST's targets of a picture, rotated boxes (RBOX).

    Each side of a text's rectangle moves inwards by (1 - shrink_ratio) / 2 of the shorter one: 0.3 of it as in the
    paper. Where rectangles overlap, the later text is learnt.

    Args:
        polygons, ignored: as in `db_targets`.
        height, width: of the picture, multiples of 4.
        shrink_ratio: how much of the shorter side is left.
        min_side: as in `db_targets`, in pixels of the picture.
    """
    rows, columns = height // STRIDE, width // STRIDE
    score = np.zeros((rows, columns), np.uint8)
    counted = np.ones((rows, columns), np.uint8)
    geometry = np.zeros((5, rows, columns), np.float32)
    for polygon, ignore in zip(polygons, ignored, strict=True):
        small = polygon / np.float32(STRIDE)
        sides = polygon.max(0) - polygon.min(0)
        middle, w, h, angle = upright_rectangle(small)
        reach = math.hypot(w, h) / 2
        left, top = (max(0, math.floor(value - reach)) for value in middle.tolist())
        box = (
            slice(top, min(rows, math.ceil(middle[1] + reach))),
            slice(left, min(columns, math.ceil(middle[0] + reach))),
        )
        x = np.arange(box[1].start, max(box[1].start, box[1].stop)) + 0.5 - middle[0]
        y = (np.arange(box[0].start, max(box[0].start, box[0].stop)) + 0.5 - middle[1])[:, None]
        along = x * math.cos(angle) + y * math.sin(angle)
        down = y * math.cos(angle) - x * math.sin(angle)
        inset = min(w, h) * (1 - shrink_ratio) / 2
        core = (np.abs(along) < w / 2 - inset) & (np.abs(down) < h / 2 - inset)
        if ignore or sides.min() < min_side or not core.any():
            within, field = signed_distance(small, rows, columns, 0.0)
            counted[within][field > 0] = 0
            continue
        score[box][core] = 1
        distances = (down + h / 2, w / 2 - along, h / 2 - down, along + w / 2)
        for whole, distance in zip(geometry, (*distances, np.full(core.shape, angle)), strict=True):
            whole[box][core] = distance[core]
    counted |= score
    return EASTTargets(score, counted, geometry)
