"""How a line of text lies in its crop: turned, in perspective, leaning; where its letters stand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from synth.style.style import Image

_POINTS: Final = 2500  # of the ink that are looked at
_STEEPEST: Final = math.radians(42)
_COST: Final = 1.2  # of the sharpness, for each radian by which a line is turned from where it is expected
_SHORT: Final = 0.12  # radians by which a line may be turned that is as wide as high
_ENOUGH: Final = 3  # parts that say where a line goes
_SEVERAL: Final = 4  # and that say whether it is seen from the side
_PAIRED: Final = 60  # parts of which pairs are made
_NEAR: Final = 0.15  # radians around the slope in which they stand
_UNEVEN: Final = 0.08  # of their height by which most letters of one height differ, beside perspective
_PLAIN: Final = 0.06  # of the height: less is chance
_NARROWING: Final = 0.45  # of the height that a line may lose from its middle to an end, seen from the side


@dataclass(slots=True)
class Frame:
    """The straight box around a line of text; see the attributes of `Style` of the same names."""

    quad: NDArray[np.float32]
    angle: float
    height: float
    baseline: float


def frame(mask: Image, parts: NDArray[Any] | None = None) -> Frame:
    """The box of a line.

    Lines of text have most ink between the baseline and the height of small letters, or hang from a head line: that
    turn is right which makes the sharpest steps in the ink's profile along the line (Postl 1986, "Detection of linear
    oblique structures and skew scan in digitized documents"). Perspective shows where letters of one height become
    smaller along the line; with letters of several heights it is left out.

    Args:
        mask: height × width; ink where it is 128 or more, some of it at least.
        parts: boxes of the line's larger parts, N × 4: left, top, width, height; they say where the line goes, where
            there are enough of them.
    """
    rows, columns = np.nonzero(mask >= 128)
    cx, cy = float(columns.mean()) + 0.5, float(rows.mean()) + 0.5
    all_x, all_y = columns + 0.5 - cx, rows + 0.5 - cy
    step = max(1, len(rows) // _POINTS)
    x, y = all_x[::step], all_y[::step]
    wide, high = float(np.ptp(columns)) + 1, float(np.ptp(rows)) + 1
    angle = narrowing = 0.0
    if wide > 1.2 * high:
        # Of a short word the profile says little.
        middle, reach = 0.0, min(_STEEPEST, _SHORT * wide / high)
        if parts is not None and len(parts) >= _ENOUGH:
            at, size = parts[:, 0] + parts[:, 2] / 2 - cx, parts[:, 3]
            slope = trend(at, parts[:, 1] + size / 2)[0]
            middle, reach = math.atan(slope), _NEAR
            narrowing = _narrowing(at, size)
        if narrowing:
            angle = middle
        else:
            angle = _sharpest(middle, np.linspace(-reach, reach, 21), x, y)
            angle = _sharpest(middle, angle - middle + np.linspace(-0.045, 0.045, 7), x, y)
    return _box(all_x, all_y, cx, cy, angle, narrowing)


def trend(x: NDArray[Any], y: NDArray[Any]) -> tuple[float, float]:
    """A straight line through most of some points: the median of slopes between pairs (Theil 1950, Sen 1968).

    Returns:
        Its slope, 0 where all are at one place, and where it is at x = 0.
    """
    if len(x) > _PAIRED:
        x, y = x[:: len(x) // _PAIRED], y[:: len(y) // _PAIRED]
    i, j = np.triu_indices(len(x), 1)
    run = x[j] - x[i]
    far = np.abs(run) > 1
    slope = float(np.median((y[j] - y[i])[far] / run[far])) if far.any() else 0.0
    return slope, float(np.median(y - slope * x))


def _narrowing(at: NDArray[Any], size: NDArray[Any]) -> float:
    """By how much of its height a line of letters of one height is lower at its right end than in its middle."""
    slope, middle = trend(at, size)
    if (
        len(at) < _SEVERAL
        or middle <= 0
        or float(np.quantile(np.abs(size - middle - slope * at), 0.75)) > _UNEVEN * middle
    ):
        return 0.0
    half = float(np.abs(at).max())
    narrowing = -slope * half / middle
    return min(max(narrowing, -_NARROWING), _NARROWING) if abs(narrowing) > _PLAIN else 0.0


def _sharpest(middle: float, turns: NDArray[np.float64], x: NDArray[Any], y: NDArray[Any]) -> float:
    choice: list[float] = turns.tolist()
    return middle + max(choice, key=lambda turn: _sharpness(x, y, middle + turn) * (1 - _COST * abs(turn)))


def _sharpness(x: NDArray[Any], y: NDArray[Any], angle: float) -> float:
    v = y * math.cos(angle) - x * math.sin(angle)
    low = float(v.min())
    size = max(float(v.max()) - low, 1e-6)
    bins = int(min(max(size, 8), 64))
    profile = np.bincount(((v - low) * ((bins - 1e-6) / size)).astype(np.intp), minlength=bins) / len(v)
    steps = np.diff(profile, prepend=0.0, append=0.0) * bins
    # For each pixel of height, so that a flatter box is better.
    return float(steps @ steps) / float(bins * size)


def _box(x: NDArray[Any], y: NDArray[Any], cx: float, cy: float, angle: float, narrowing: float) -> Frame:
    c, s = math.cos(angle), math.sin(angle)
    u, v = x * c + y * s, y * c - x * s
    half = max(float(np.abs(u).max()), 1e-6)
    v = v / (1 - narrowing * u / half)
    left, right = float(u.min()) - 0.5, float(u.max()) + 0.5
    # Of rows, those with next to nothing are specks.
    top, bottom = (float(q) for q in np.quantile(v, (0.002, 0.998)))
    top, bottom = top - 0.5, bottom + 0.5
    corners = []
    for u0, v0 in ((left, top), (right, top), (right, bottom), (left, bottom)):
        v1 = v0 * (1 - narrowing * u0 / half)
        corners.append((cx + u0 * c - v1 * s, cy + u0 * s + v1 * c))
    size = max(bottom - top, 1.0)
    return Frame(np.array(corners, np.float32), angle, size, _baseline((v - top) / size, size))


def _baseline(v: NDArray[Any], size: float) -> float:
    """Where most ink ends, from the top (0) to the bottom (1): the steepest fall of the profile in the lower half."""
    bins = int(min(max(size, 8), 48))
    profile = np.bincount(np.clip(v * bins, 0, bins - 1).astype(np.intp), minlength=bins).astype(np.float64)
    smooth = np.convolve(profile, (0.25, 0.5, 0.25), "same")
    fall = smooth - np.append(smooth[1:], 0.0)
    first = int(0.55 * bins)
    # At the very end letters stand on the box itself.
    return min(1.0, (first + int(fall[first:].argmax()) + 1) / bins)
