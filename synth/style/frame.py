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
_NEAR: Final = 0.15  # radians around the slope in which its parts stand
_PLAIN: Final = 1.3
_NARROWING: Final = 0.36  # of the height that a line may lose from its middle to an end, seen from the side


@dataclass(slots=True)
class Frame:
    """The straight box around a line of text; see the attributes of `Style` of the same names."""

    quad: NDArray[np.float32]
    angle: float
    height: float
    baseline: float


def frame(mask: Image, slope: float | None = None) -> Frame:
    """The box of a line.

    Lines of text have most ink between the baseline and the height of small letters, or hang from a head line: of all
    turns and narrowings that one is right which makes the sharpest steps in the ink's profile along the line (Postl
    1986, "Detection of linear oblique structures and skew scan in digitized documents", extended to perspective).

    Args:
        mask: height × width; ink where it is 128 or more, some of it at least.
        slope: of the line through the middles of its parts, where there are enough of them.
    """
    rows, columns = np.nonzero(mask >= 128)
    step = max(1, len(rows) // _POINTS)
    x = columns[::step] + 0.5
    y = rows[::step] + 0.5
    cx, cy = float(x.mean()), float(y.mean())
    x, y = x - cx, y - cy
    wide, high = float(np.ptp(columns)) + 1, float(np.ptp(rows)) + 1
    angle = narrowing = 0.0
    if wide > 1.2 * high:
        middle, reach = (0.0, _STEEPEST) if slope is None else (math.atan(slope), _NEAR)
        angle = _best([(middle + float(a), 0.0) for a in np.linspace(-reach, reach, 21)], x, y)[0]
        angle = _best([(angle + float(a), 0.0) for a in np.linspace(-0.045, 0.045, 7)], x, y)[0]
        pairs = [
            (angle + float(a), float(n)) for n in np.linspace(-_NARROWING, _NARROWING, 7) for a in (-0.04, 0.0, 0.04)
        ]
        turned, narrowed = _best(pairs, x, y)
        # Letters of unlike heights look like perspective: it must be plain to be believed.
        if _sharpness(x, y, turned, narrowed) > _PLAIN * _sharpness(x, y, angle, 0.0):
            angle, narrowing = turned, narrowed
    return _box(columns + 0.5 - cx, rows + 0.5 - cy, cx, cy, angle, narrowing)


def _best(pairs: list[tuple[float, float]], x: NDArray[Any], y: NDArray[Any]) -> tuple[float, float]:
    return max(pairs, key=lambda pair: _sharpness(x, y, *pair))


def _along(x: NDArray[Any], y: NDArray[Any], angle: float, narrowing: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Coordinates along the line and at right angles to it, made even where the line narrows."""
    c, s = math.cos(angle), math.sin(angle)
    u, v = x * c + y * s, y * c - x * s
    half = max(float(np.abs(u).max()), 1e-6)
    return u, v / (1 - narrowing * u / half)


def _sharpness(x: NDArray[Any], y: NDArray[Any], angle: float, narrowing: float) -> float:
    _, v = _along(x, y, angle, narrowing)
    low, high = v.min(), v.max()
    size = max(high - low, 1e-6)
    bins = int(min(max(size, 8), 64))
    profile = np.bincount(((v - low) * ((bins - 1e-6) / size)).astype(np.intp), minlength=bins) / len(v)
    steps = np.diff(profile, prepend=0.0, append=0.0) * bins
    # For each pixel of height, so that a flatter box is better; a turn costs a little.
    sharp = float(steps @ steps)
    return sharp / (bins * float(size)) * (1 - 0.5 * abs(angle) - 0.5 * abs(narrowing))


def _box(x: NDArray[Any], y: NDArray[Any], cx: float, cy: float, angle: float, narrowing: float) -> Frame:
    u, v = _along(x, y, angle, narrowing)
    half = max(float(np.abs(u).max()), 1e-6)
    left, right = float(u.min()) - 0.5, float(u.max()) + 0.5
    # Of rows, those with next to nothing are specks.
    top, bottom = (float(q) for q in np.quantile(v, (0.002, 0.998)))
    top, bottom = top - 0.5, bottom + 0.5
    c, s = math.cos(angle), math.sin(angle)
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
