"""Curves that text runs along, by arc length.

A path leads from left to right; x grows to the right and y downwards, angles are those of its direction, in radians,
clockwise on the screen. Text begins at arc length 0.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_STEPS = 128  # between sampled points: of a half circle, chords are within 0.0001 radii of it
_BEYOND = 1e4  # how far a path goes on straight past its ends


class Path:
    """A curve through sampled points, linear between them in place and direction; past its ends it goes on straight.

    Args:
        points: n × 2, n ≥ 2, so close that the curve is smooth.
        start: the arc length at the first point.
        angles: n, the directions at the points; from the points themselves if not given.

    Raises:
        ValueError: fewer than two points, or two in one place.
    """

    __slots__ = ("_angles", "_s", "_x", "_y", "length")

    def __init__(self, points: ArrayLike, start: float = 0.0, angles: Floats | None = None) -> None:
        array = np.asarray(points, np.float64)
        if array.ndim != 2 or array.shape[1] != 2 or len(array) < 2:
            raise ValueError(f"a path has two points or more, each (x, y), not {array.shape}")
        legs = np.diff(array, axis=0)
        lengths = np.hypot(legs[:, 0], legs[:, 1])
        if not (lengths > 0).all():
            raise ValueError("a path does not stand still: two of its points are one")
        if angles is None:
            chords = np.arctan2(legs[:, 1], legs[:, 0])
            if float(np.ptp(chords)) > math.pi:
                chords = np.unwrap(chords)
            angles = np.empty(len(array))
            angles[1:-1] = (chords[1:] + chords[:-1]) / 2
            # A circle's direction turns as much over the half leg at its end as over that before it.
            angles[0] = (3 * chords[0] - chords[1]) / 2 if len(chords) > 1 else chords[0]
            angles[-1] = (3 * chords[-1] - chords[-2]) / 2 if len(chords) > 1 else chords[-1]
        n = len(array)
        s = np.empty(n + 2)
        s[1] = start
        np.cumsum(lengths, out=s[2:-1])
        s[2:-1] += start
        s[0], s[-1] = s[1] - _BEYOND, s[-2] + _BEYOND
        turns = np.empty(n + 2)
        turns[1:-1] = angles
        turns[0], turns[-1] = angles[0], angles[-1]
        places = np.empty((2, n + 2))
        places[:, 1:-1] = array.T
        for end, beside, sign in ((0, 1, -_BEYOND), (-1, -2, _BEYOND)):
            places[0, end] = places[0, beside] + sign * math.cos(turns[end])
            places[1, end] = places[1, beside] + sign * math.sin(turns[end])
        self._s, self._angles, (self._x, self._y) = s, turns, places
        self.length = float(s[-2])

    def at(self, s: Floats) -> tuple[Floats, Floats, Floats]:
        """x, y and direction at arc lengths, in arrays of the same shape."""
        return np.interp(s, self._s, self._x), np.interp(s, self._s, self._y), np.interp(s, self._s, self._angles)

    def curvature(self, s: Floats) -> Floats:
        """Radians per unit of length by which the path turns at arc lengths, clockwise for positive ones."""
        leg = np.clip(np.searchsorted(self._s, s) - 1, 1, len(self._s) - 3)
        turned: Floats = (self._angles[leg + 1] - self._angles[leg]) / (self._s[leg + 1] - self._s[leg])
        return turned

    def offset(self, s: Floats, down: Floats | float) -> Floats:
        """(..., 2): the points beside those at arc lengths `s`, `down` to the right of the direction of travel."""
        x, y, angle = self.at(s)
        return np.stack((x - down * np.sin(angle), y + down * np.cos(angle)), -1)

    def moved(self, x: float, y: float) -> Path:
        """The path elsewhere."""
        path = Path.__new__(Path)
        path._s, path._angles, path.length = self._s, self._angles, self.length
        path._x, path._y = self._x + x, self._y + y
        return path

    @property
    def points(self) -> Floats:
        """The sampled points, n × 2."""
        return np.stack((self._x[1:-1], self._y[1:-1]), 1)

    @property
    def tightest(self) -> float:
        """The least radius of curvature; infinite for a straight line."""
        turned = np.abs(np.diff(self._angles[1:-1])) / np.diff(self._s[1:-1])
        most = float(turned.max())
        return 1 / most if most > 1e-12 else math.inf

    def crosses(self, reach: float = 0.0) -> bool:
        """Whether the path, or the band that reaches so far to either side of it, comes upon itself."""
        if float(np.ptp(self._angles)) < math.pi and self.tightest > reach:
            return False  # it always gets on in one direction
        s = np.linspace(self._s[1], self.length, min(len(self._s) - 2, 65))
        if not reach:
            return _crosses(self.offset(s, 0.0))
        around = np.concatenate((self.offset(s, -reach), self.offset(s[::-1], reach)))
        return _crosses(np.concatenate((around, around[:1])))


def _crosses(points: Floats) -> bool:
    """Whether two legs of a polyline cross that are not neighbours; the first is one of the last where it is closed."""
    a, legs = points[:-1], np.diff(points, axis=0)
    away = a[None] - a[:, None]
    cross = legs[:, None, 0] * legs[None, :, 1] - legs[:, None, 1] * legs[None, :, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (away[..., 0] * legs[None, :, 1] - away[..., 1] * legs[None, :, 0]) / cross
        u = (away[..., 0] * legs[:, None, 1] - away[..., 1] * legs[:, None, 0]) / cross
    hit = (t >= 0) & (t <= 1) & (u >= 0) & (u <= 1)
    hit = np.triu(hit, 2)
    if (points[0] == points[-1]).all():
        hit[0, -1] = False
    return bool(hit.any())


def straight(length: float) -> Path:
    """A straight line."""
    return Path(((0.0, 0.0), (length, 0.0)))


def arc(length: float, radius: float, beyond: float = 0.0) -> Path:
    """An arc of a circle, its middle level at the origin.

    Args:
        length: along it.
        radius: of the circle; positive: a hill, the centre below; negative: a valley.
        beyond: how far it goes on, past the length, at both ends.
    """
    s = np.linspace(-beyond, length + beyond, _STEPS + 1)
    angles = (s - length / 2) / radius
    return Path(np.stack((radius * np.sin(angles), radius * (1 - np.cos(angles))), 1), -beyond, angles)


def ellipse(length: float, across: float, down: float, beyond: float = 0.0) -> Path:
    """A part of an ellipse about its upper end, a hill, or with negative half axes about its lower end, a valley.

    Args:
        length: along it.
        across: half axis to the sides.
        down: half axis up and down, of the same sign.
        beyond: how far it goes on at both ends.
    """
    if across == down:
        return arc(length, across, beyond)
    wide, sign = abs(across), math.copysign(1.0, down)
    # Round and round, for as far as anyone may ask.
    t = np.linspace(-2 * math.pi, 2 * math.pi, 4 * _STEPS + 1)
    x, y = wide * np.sin(t), down * (1 - np.cos(t))
    s = np.zeros(len(t))
    np.cumsum(np.hypot(x[1:] - x[:-1], y[1:] - y[:-1]), out=s[1:])
    at = np.interp(np.linspace(-length / 2 - beyond, length / 2 + beyond, _STEPS + 1), s - s[2 * _STEPS], t)
    angles = np.arctan2(down * np.sin(at), wide * np.cos(at))
    # arctan2 leaps where the direction does not.
    angles += 2 * math.pi * np.round((sign * at - angles) / (2 * math.pi))
    return Path(np.stack((wide * np.sin(at), down * (1 - np.cos(at))), 1), -beyond, angles)


def wave(length: float, amplitude: float, wavelength: float, phase: float = 0.0, beyond: float = 0.0) -> Path:
    """A sine along the horizontal; `phase` in radians, the rest as for `arc`."""
    x = np.linspace(-beyond, length + beyond, 2 * _STEPS + 1)
    t = x * (2 * math.pi / wavelength) + phase
    angles = np.arctan(np.cos(t) * (amplitude * 2 * math.pi / wavelength))
    return Path(np.stack((x, amplitude * np.sin(t)), 1), -beyond, angles)


def cubic(controls: ArrayLike, length: float) -> Path:
    """A cubic Bézier curve, scaled to a length.

    Args:
        controls: 4 × 2: first point, two that it bends towards, last point.
        length: along it.

    Raises:
        ValueError: the curve crosses itself, or is a point.
    """
    points = np.asarray(controls, np.float64)
    if points.shape != (4, 2):
        raise ValueError(f"a cubic curve has four control points, each (x, y), not {points.shape}")
    places = _BERNSTEIN @ points
    legs = np.diff(places, axis=0)
    path = Path(places * (length / max(float(np.hypot(legs[:, 0], legs[:, 1]).sum()), 1e-12)))
    if path.crosses():
        raise ValueError("the curve crosses itself; move its middle control points apart")
    return path


_T = np.linspace(0, 1, _STEPS // 2 + 1)
_BERNSTEIN = np.stack(((1 - _T) ** 3, 3 * (1 - _T) ** 2 * _T, 3 * (1 - _T) * _T**2, _T**3), 1)
