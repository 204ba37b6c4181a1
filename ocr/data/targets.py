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
        total += math.atan2(sine, before[4] * edge[4] + before[5] * edge[5])
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
        # Of the quarter of the plane beyond the corner, the part within reach.
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
