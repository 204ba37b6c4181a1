"""Outlines of glyphs as polygons, and their filling once they are moved.

FreeType fills by the non-zero rule, so that contours that overlap (strokes of variable fonts, joined letters) have no
holes; OpenCV's fillPoly would leave some.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import cv2
import freetype
import freetype.raw as ft
import numpy as np
from numpy.typing import NDArray

from synth.fonts.face import Face

_TOLERANCE = 1 / 800  # em between a curve and its chords
_LONGEST = 1 / 16  # em; legs of an outline that is to be bent are no longer
_MOST_POINTS = 32_767  # of one outline: FreeType counts them in 16 bits
_TOGETHER = 4  # glyphs that are filled at once
_LONG = np.dtype("l")  # FT_Pos is C's long


@dataclass(slots=True)
class Outline:
    """A glyph as polygons, in em, y upwards; filled contours turn clockwise, holes the other way.

    Attributes:
        points: `float32`, n × 2.
        ends: for each contour the number of its last point.
        box: left, bottom, right, top.
    """

    points: NDArray[np.float32]
    ends: NDArray[np.intp]
    box: tuple[float, float, float, float]


class OutlineCache:
    """Outlines of glyphs, bounded by bytes; the faces met first go first."""

    def __init__(self, max_bytes: int = 64 << 20) -> None:
        self._faces: dict[tuple[str, bool], dict[int, Outline | None]] = {}
        self._bytes = 0
        self._max = max_bytes

    def get(self, face: Face, glyph: int, fine: bool) -> Outline | None:
        """The glyph's outline, or None when it has no ink; `fine` has no long legs, and may be bent."""
        held = self._faces.setdefault((face.key, fine), {})
        try:
            return held[glyph]
        except KeyError:
            pass
        made = held[glyph] = flattened(face, glyph, _LONGEST if fine else None)
        self._bytes += _size(made)
        if self._bytes > self._max:
            for key in list(self._faces):
                if self._bytes < self._max * 3 // 4:
                    break
                self._bytes -= sum(map(_size, self._faces.pop(key).values()))
        return made


def _size(outline: Outline | None) -> int:
    return 200 if outline is None else 700 + outline.points.nbytes + outline.ends.nbytes


def flattened(face: Face, glyph: int, longest: float | None = None) -> Outline | None:
    """A glyph's outline as polygons, or None when it has no ink.

    Args:
        face: the font.
        glyph: glyph id.
        longest: em beyond which legs are cut.
    """
    found = face.outline(glyph)
    if found is None:
        return None
    points, tags, ends = found
    points /= face.upem
    tolerance = _TOLERANCE
    while True:
        contours: list[NDArray[np.float64]] = []
        start = 0
        for end in ends:
            contour = _contour(points[start : end + 1], tags[start : end + 1], tolerance)
            start = end + 1
            if len(contour) > 2:
                contours.append(contour if longest is None else _cut(contour, longest))
        if sum(map(len, contours)) <= _MOST_POINTS:
            break
        # Rough letters, as of rust or brush, with curves by the thousand.
        tolerance, longest = 4 * tolerance, None
    if not contours:
        return None
    # PostScript outlines turn the other way: where two glyphs overlap, holes would come of it.
    if sum(map(_area, contours)) > 0:
        contours = [contour[::-1] for contour in contours]
    whole = np.concatenate(contours)
    (left, bottom), (right, top) = whole.min(0).tolist(), whole.max(0).tolist()
    return Outline(whole.astype(np.float32), np.cumsum([len(c) for c in contours]) - 1, (left, bottom, right, top))


def _area(contour: NDArray[np.float64]) -> float:
    """Signed area, positive for one that turns counter-clockwise where y grows upwards."""
    x, y = contour.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _contour(points: NDArray[np.float64], tags: NDArray[np.uint8], tolerance: float) -> NDArray[np.float64]:
    """One contour's curves as chords.

    Bits 0 and 1 of a tag: 1 a point of the curve, 0 the control point of a quadratic, 2 of a cubic Bézier curve
    (FreeType, FT_Outline). Between two quadratic control points lies a point of the curve.
    """
    kinds = tags & 3
    if (kinds == 1).all():
        return points
    if (kinds == 0).any():
        off = kinds == 0
        pairs = off & np.roll(off, -1)
        if pairs.any():
            middles = (points + np.roll(points, -1, 0)) / 2
            places = np.flatnonzero(pairs) + 1
            points = np.insert(points, places, middles[pairs], 0)
            kinds = np.insert(kinds, places, 1)
    on = np.flatnonzero(kinds == 1)
    if not len(on):
        return points[:0]
    # From the first point of the curve round to it again.
    points, kinds = np.roll(points, -on[0], 0), np.roll(kinds, -on[0])
    points = np.concatenate((points, points[:1]))
    on = np.append(np.flatnonzero(kinds == 1), len(kinds))
    parts: list[NDArray[np.float64]] = []
    for first, last in zip(on[:-1].tolist(), on[1:].tolist(), strict=True):
        piece = points[first : last + 1]
        if len(piece) == 2:
            parts.append(piece[:1])
            continue
        # The chords of n equal steps lie within |second difference| · degree (degree - 1) / (8 n²) of the curve.
        bend = float(np.abs(piece[:-2] - 2 * piece[1:-1] + piece[2:]).max()) * (2 if len(piece) == 3 else 6)
        steps = max(1, int(np.ceil(np.sqrt(bend / (8 * tolerance)))))
        t = (np.arange(steps) / steps)[:, None]
        u = 1 - t
        if len(piece) == 3:
            parts.append(u * u * piece[0] + 2 * u * t * piece[1] + t * t * piece[2])
        else:
            parts.append(u**3 * piece[0] + 3 * u * u * t * piece[1] + 3 * u * t * t * piece[2] + t**3 * piece[3])
    return np.concatenate(parts)


def _cut(contour: NDArray[np.float64], longest: float) -> NDArray[np.float64]:
    legs = np.roll(contour, -1, 0) - contour
    pieces = np.maximum(np.ceil(np.hypot(legs[:, 0], legs[:, 1]) / longest).astype(np.intp), 1)
    first = np.repeat(np.cumsum(pieces) - pieces, pieces)
    part = (np.arange(pieces.sum()) - first) / np.repeat(pieces, pieces)
    cut: NDArray[np.float64] = np.repeat(contour, pieces, 0) + np.repeat(legs, pieces, 0) * part[:, None]
    return cut


def fill(
    points: NDArray[np.float64], ends: NDArray[np.intp], glyphs: NDArray[np.intp], width: int, height: int
) -> NDArray[np.uint8]:
    """Coverage of glyphs, height × width, filled by the non-zero rule.

    Args:
        points: n × 2, (x, y) in pixels, y downwards from the mask's top-left corner; all of them within the mask.
        ends: for each contour, in order, the number of its last point.
        glyphs: for each glyph, in order, the number of its last contour.
        width: of the mask.
        height: of the mask.
    """
    mask = np.zeros((height, width), np.uint8)
    fixed = np.empty(points.shape, _LONG)
    np.rint(points[:, 0] * 64, out=fixed[:, 0], casting="unsafe")
    np.rint(points[:, 1] * -64, out=fixed[:, 1], casting="unsafe")
    # FreeType looks for each pixel's place in a list of those met in its row: a few glyphs at a time are drawn in a
    # fraction of the time of many.
    contours, begins = [0], [0]
    stops = (ends[glyphs] + 1).tolist()
    for number, contour in enumerate(glyphs.tolist()):
        last = number + 1 == len(stops)
        if last or number % _TOGETHER == _TOGETHER - 1 or stops[number + 1] - begins[-1] > _MOST_POINTS:
            contours.append(contour + 1)
            begins.append(stops[number])
    lows, highs = np.minimum.reduceat(fixed, begins[:-1]) >> 6, -(-np.maximum.reduceat(fixed, begins[:-1]) >> 6)
    tags = np.ones(max(map(int.__sub__, begins[1:], begins[:-1])), np.uint8)
    relative = np.empty(len(ends), np.int16)
    outline = ft.FT_Outline(tags=ctypes.cast(tags.ctypes.data, _BYTES))
    bitmap = ft.FT_Bitmap(num_grays=256, pixel_mode=freetype.FT_PIXEL_MODE_GRAY)
    for number, (x0, y0, x1, y1) in enumerate(np.concatenate((lows, highs), 1).tolist()):
        # Rows count downwards in the mask, y upwards in the outline.
        x0, x1, top, bottom = max(x0, 0), min(x1, width), max(-y1, 0), min(-y0, height)
        if x0 >= x1 or top >= bottom:
            continue
        first, stop = contours[number : number + 2]
        begin, end = begins[number : number + 2]
        fixed[begin:end] -= (x0 << 6, -bottom << 6)
        relative[first:stop] = ends[first:stop] - begin
        outline.n_contours, outline.n_points = stop - first, end - begin
        outline.points = ctypes.cast(fixed.ctypes.data + begin * fixed.strides[0], _VECTORS)
        outline.contours = ctypes.cast(relative.ctypes.data + first * 2, _SHORTS)
        part = np.zeros((bottom - top, x1 - x0), np.uint8)
        bitmap.rows, bitmap.width, bitmap.pitch = part.shape[0], part.shape[1], part.shape[1]
        bitmap.buffer = ctypes.cast(part.ctypes.data, _BYTES)
        if error := ft.FT_Outline_Get_Bitmap(freetype.get_handle(), ctypes.byref(outline), ctypes.byref(bitmap)):
            raise RuntimeError(f"FreeType cannot fill an outline (error {error})")
        view = mask[top:bottom, x0:x1]
        # Saturating: seams of joined letters close.
        cv2.add(view, part, view)
    return mask


_FIELDS = dict(ft.FT_Outline._fields_)
_VECTORS, _BYTES, _SHORTS = _FIELDS["points"], _FIELDS["tags"], _FIELDS["contours"]
