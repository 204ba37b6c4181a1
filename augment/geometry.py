"""The one place for warps: exact maps forward and back, composed, and applied to an image in a single remap.

Coordinates are (x, y) in pixels with y downwards. The centre of the pixel in column i, row j lies at
(i + 0.5, j + 0.5), so the polygon of a box over columns 3 to 5 reaches from x = 3.0 to x = 6.0. OpenCV's own maps put
pixel centres at integers; the difference is dealt with here and nowhere else.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Profile: TypeAlias = Callable[[Floats], Floats]
Axis: TypeAlias = Literal["x", "y"]

_CELL: Final = 4  # px between the nodes at which Warp.apply evaluates the inverse map exactly
_FAR: Final = 1e5  # px; beyond its outer knots a stretch goes on with slope one as far as this


class Step(Protocol):
    """One exactly invertible map of the plane, on separate `float64` arrays of x and of y of any one shape."""

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map source coordinates to target coordinates."""
        ...

    def inverse(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map target coordinates back to source coordinates."""
        ...


Coefficients: TypeAlias = tuple[float, float, float, float, float, float, float, float, float]
"""A 3 × 3 matrix row by row; with matrices this small, plain numbers cost less than arrays."""


def _project(matrix: Coefficients, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    a, b, c, d, e, f, g, h, i = matrix
    if g == 0.0 and h == 0.0:
        if i != 1.0:
            a, b, c, d, e, f = a / i, b / i, c / i, d / i, e / i, f / i
        return a * x + b * y + c, d * x + e * y + f
    w = 1.0 / (g * x + h * y + i)
    return (a * x + b * y + c) * w, (d * x + e * y + f) * w


def _product(after: Coefficients, before: Coefficients) -> Coefficients:
    a, b, c, d, e, f, g, h, i = after
    j, k, l_, m, n, o, p, q, r = before
    return (
        a * j + b * m + c * p, a * k + b * n + c * q, a * l_ + b * o + c * r,
        d * j + e * m + f * p, d * k + e * n + f * q, d * l_ + e * o + f * r,
        g * j + h * m + i * p, g * k + h * n + i * q, g * l_ + h * o + i * r,
    )  # fmt: skip


class Projective:
    """A 3 × 3 homogeneous matrix acting on (x, y, 1).

    Args:
        matrix: 3 × 3, or its nine numbers row by row as a tuple.

    Raises:
        ValueError: the matrix is not 3 × 3 or cannot be inverted.
    """

    __slots__ = ("coefficients",)

    def __init__(self, matrix: ArrayLike | Coefficients) -> None:
        if isinstance(matrix, tuple) and len(matrix) == 9:
            self.coefficients: Coefficients = matrix
        else:
            array = np.asarray(matrix, np.float64)
            if array.shape != (3, 3):
                raise ValueError(f"a projective matrix is 3 × 3, not {array.shape}")
            a, b, c, d, e, f, g, h, i = array.ravel().tolist()
            self.coefficients = (a, b, c, d, e, f, g, h, i)
        a, b, c, d, e, f, g, h, i = self.coefficients
        determinant = a * (e * i - f * h) + b * (f * g - d * i) + c * (d * h - e * g)
        if not abs(determinant) > 1e-12:
            raise ValueError("a projective step that cannot be inverted: its points lie on one line")

    @property
    def matrix(self) -> Floats:
        """The 3 × 3 matrix, read-only."""
        matrix = np.array(self.coefficients).reshape(3, 3)
        matrix.flags.writeable = False
        return matrix

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map source coordinates to target coordinates."""
        return _project(self.coefficients, x, y)

    def inverse(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map target coordinates back to source coordinates."""
        return _project(self._adjugate(), x, y)

    def inverted(self) -> Projective:
        """The step that undoes this one."""
        return Projective(self._adjugate())

    def _adjugate(self) -> Coefficients:
        # The inverse up to scale, at a tenth of the cost of numpy.linalg.inv.
        a, b, c, d, e, f, g, h, i = self.coefficients
        return (
            e * i - f * h, c * h - b * i, b * f - c * e,
            f * g - d * i, a * i - c * g, c * d - a * f,
            d * h - e * g, b * g - a * h, a * e - b * d,
        )  # fmt: skip


class _Inverted:
    """Another step the other way round."""

    __slots__ = ("forward", "inverse")

    def __init__(self, step: Step) -> None:
        self.forward = step.inverse
        self.inverse = step.forward


class Sine:
    """The profile `amplitude * sin(2 pi t / wavelength + phase)`; amplitude and wavelength in pixels."""

    __slots__ = ("amplitude", "phase", "rate")

    def __init__(self, amplitude: float, wavelength: float, phase: float) -> None:
        self.amplitude = amplitude
        self.rate = 2.0 * math.pi / wavelength
        self.phase = phase

    def __call__(self, t: Floats) -> Floats:
        """The displacement at `t`."""
        wave: Floats = self.amplitude * np.sin(t * self.rate + self.phase)
        return wave


class Parabola:
    """The profile that is `height` at `centre` and 0 at `half` pixels on either side of it, going on below 0."""

    __slots__ = ("centre", "height", "scale")

    def __init__(self, centre: float, half: float, height: float) -> None:
        self.centre = centre
        self.scale = height / (half * half)
        self.height = height

    def __call__(self, t: Floats) -> Floats:
        """The displacement at `t`."""
        u = t - self.centre
        return self.height - self.scale * u * u


class Shift:
    """Moves points along one direction by a function of their position across it.

    A point's position across, `t = x cos(angle) + y sin(angle)`, does not change when the point moves along
    `(-sin(angle), cos(angle))`, so subtracting the same displacement is the exact inverse. Angle 0 moves y by a
    function of x, angle -pi/2 moves x by a function of -y.
    """

    __slots__ = ("cos", "profile", "sin")

    def __init__(self, profile: Profile, angle: float = 0.0) -> None:
        self.profile = profile
        self.cos = math.cos(angle)
        self.sin = math.sin(angle)

    def _moved(self, x: Floats, y: Floats, sign: float) -> tuple[Floats, Floats]:
        if self.sin == 0.0:
            return x, y + sign * self.cos * self.profile(x * self.cos)
        d = self.profile(x * self.cos + y * self.sin)
        return x - (sign * self.sin) * d, y + (sign * self.cos) * d

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map source coordinates to target coordinates."""
        return self._moved(x, y, 1.0)

    def inverse(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map target coordinates back to source coordinates."""
        return self._moved(x, y, -1.0)


class Stretch:
    """A monotone map of one coordinate: piecewise linear through the knots, slope one beyond them.

    Pass many knots for a smooth one. The inverse is the same interpolation with the knots' roles exchanged.

    Raises:
        ValueError: fewer than two knots, unequal numbers of them, or knots that do not increase.
    """

    __slots__ = ("along_x", "source", "target")

    def __init__(self, source: ArrayLike, target: ArrayLike, axis: Axis = "x") -> None:
        self.source = self._knots(source)
        self.target = self._knots(target)
        if self.source.size != self.target.size:
            raise ValueError("a stretch has as many source knots as target knots")
        self.along_x = axis == "x"

    @staticmethod
    def _knots(values: ArrayLike) -> Floats:
        inner = np.asarray(values, np.float64)
        knots = np.empty(inner.size + 2)
        knots[1:-1] = inner
        knots[0] = knots[1] - _FAR
        knots[-1] = knots[-2] + _FAR
        if inner.size < 2 or not bool((knots[1:] > knots[:-1]).all()):
            raise ValueError("the knots of a stretch are two or more, and increase")
        return knots

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map source coordinates to target coordinates."""
        if self.along_x:
            return np.interp(x, self.source, self.target), y
        return x, np.interp(y, self.source, self.target)

    def inverse(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map target coordinates back to source coordinates."""
        if self.along_x:
            return np.interp(x, self.target, self.source), y
        return x, np.interp(y, self.target, self.source)


class Bend:
    """Bends the horizontal line through `(x, y)` along a circle that touches it there; glyphs turn with it.

    Lengths along that line are kept. A positive radius puts the circle's centre below (a hill), a negative one above
    (a valley). Exact both ways for points nearer to the line than the radius is long, and nearer to `x` than pi radii.

    Raises:
        ValueError: the radius is zero.
    """

    __slots__ = ("radius", "x", "y")

    def __init__(self, x: float, y: float, radius: float) -> None:
        if radius == 0.0:
            raise ValueError("the radius of a bend is not zero")
        self.x = x
        self.y = y
        self.radius = radius

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map source coordinates to target coordinates."""
        angle = (x - self.x) / self.radius
        reach = (self.y + self.radius) - y
        return self.x + reach * np.sin(angle), (self.y + self.radius) - reach * np.cos(angle)

    def inverse(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map target coordinates back to source coordinates."""
        sign = math.copysign(1.0, self.radius)
        across = sign * (x - self.x)
        up = sign * ((self.y + self.radius) - y)
        return (
            self.x + self.radius * np.arctan2(across, up),
            (self.y + self.radius) - sign * np.sqrt(across * across + up * up),
        )


@functools.cache
def _catmull_rom(segments: int) -> tuple[Floats, Floats]:
    """Positions 0..segments in steps of 1/8, and the matrix from segments + 1 values to the spline through them."""
    matrix = np.zeros((8 * segments + 1, segments + 1))
    for row in range(len(matrix)):
        knot = min(row // 8, segments - 1)
        t = row / 8 - knot
        weights = (
            ((2 - t) * t - 1) * t / 2,
            ((3 * t - 5) * t * t + 2) / 2,
            ((4 - 3 * t) * t + 1) * t / 2,
            (t - 1) * t * t / 2,
        )
        for offset, weight in enumerate(weights, -1):
            matrix[row, min(max(knot + offset, 0), segments)] += weight
    return np.arange(8 * segments + 1) / 8, matrix


class Borders:
    """Moves the top and the bottom border of a picture at control points; what lies between follows linearly.

    The deformation of text by control points on its borders: Luo et al., "Learn to Augment" (2020), with a spline in
    place of moving least squares, so that it is inverted exactly. Points move down or up first, by what holds at their
    x, and then along, by what holds at their new y. Beyond the borders and their ends displacements go on unchanged.

    Args:
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        top: n + 1 × 2, displacements (x, y) in pixels of control points evenly spaced along the top border, n ≥ 1. They
            are those of whatever comes to lie at the control points.
        bottom: n + 1 × 2, likewise.

    Raises:
        ValueError: shapes that differ, or displacements so unlike that the picture would be folded. Below 0.3 of both
            the height and the distance of control points they never are.
    """

    __slots__ = ("_knots", "_shifts", "height")

    def __init__(self, width: float, height: float, top: ArrayLike, bottom: ArrayLike) -> None:
        both = np.stack((np.asarray(top, np.float64), np.asarray(bottom, np.float64)))
        segments = both.shape[1] - 1
        if both.ndim != 3 or both.shape[2] != 2 or segments < 1:
            raise ValueError(f"control points on borders are two or more, each (x, y), not {both.shape[1:]}")
        positions, spline = _catmull_rom(segments)
        self.height = height
        self._knots: Floats = positions * (width / segments)
        # (x, y) × (top, bottom) × knots
        self._shifts: Floats = np.ascontiguousarray((spline @ both).transpose(2, 0, 1))
        folded = (self._knots[1:] - self._knots[:-1]) <= (self._shifts[0, :, 1:] - self._shifts[0, :, :-1])
        if folded.any() or float((self._shifts[1, 1] - self._shifts[1, 0]).max()) >= height:
            raise ValueError("displacements of the borders would fold the picture")

    def _across(self, x: Floats) -> tuple[Floats, Floats]:
        top, bottom = self._shifts[1]
        return np.interp(x, self._knots, top), np.interp(x, self._knots, bottom)

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map source coordinates to target coordinates."""
        top, bottom = self._across(x)
        inside = (y + top) / (1.0 - (bottom - top) / self.height)
        y = np.where(inside < 0.0, y + top, np.where(inside > self.height, y + bottom, inside))
        part = np.clip(y / self.height, 0.0, 1.0)[..., None]
        moved = self._knots
        # Where the knots lay before they moved, in the row of each point.
        knots = moved - self._shifts[0, 0] * (1.0 - part) - self._shifts[0, 1] * part
        here = x[..., None]
        left = np.clip((knots <= here).sum(-1, keepdims=True) - 1, 0, moved.size - 2)
        from_x, to_x = np.take_along_axis(knots, left, -1), np.take_along_axis(knots, left + 1, -1)
        within = moved[left] + (here - from_x) * ((moved[left + 1] - moved[left]) / (to_x - from_x))
        within = np.where(here < knots[..., :1], here - knots[..., :1] + moved[0], within)
        within = np.where(here > knots[..., -1:], here - knots[..., -1:] + moved[-1], within)
        return within[..., 0], y

    def inverse(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map target coordinates back to source coordinates."""
        part = np.clip(y / self.height, 0.0, 1.0)
        top, bottom = self._shifts[0]
        left = np.interp(x, self._knots, top)
        x = x - left - part * (np.interp(x, self._knots, bottom) - left)
        above, below = self._across(x)
        return x, y - above - part * (below - above)


class Ribbon:
    """Straightens the band between two lines: its top becomes y = 0, its bottom y = `height`.

    Strip by strip: points at equal places on both lines are joined by straight legs, and the strip between two legs is
    mapped bilinearly onto a rectangle as wide as the strip is in its middle, so that the letters keep their widths.
    Both lines are splines (Catmull-Rom) through the points given. Past its ends the band goes on straight; above and
    below, the legs do, as far as they do not meet.

    Args:
        top: n × 2, n ≥ 2, (x, y) in pixels along the top of the text, from its beginning.
        bottom: n × 2, likewise.
        width: of the straight band; that in the middle of the bent one unless given.
        height: of the straight band; the mean length of the legs unless given.

    Attributes:
        width: of the straight band, pixels.
        height: of the straight band, pixels.

    Raises:
        ValueError: lines of other shapes, or a band without length or height.
    """

    __slots__ = ("_ends", "_strips", "_turn", "_x", "height", "width")

    def __init__(
        self, top: ArrayLike, bottom: ArrayLike, width: float | None = None, height: float | None = None
    ) -> None:
        above, below = np.asarray(top, np.float64), np.asarray(bottom, np.float64)
        if above.ndim != 2 or above.shape != below.shape or above.shape[1] != 2 or len(above) < 2:
            raise ValueError(f"a band has two points or more on either side, not {above.shape} and {below.shape}")
        _, spline = _catmull_rom(len(above) + 1)
        # One point more at either end, on the parabola through the three there, keeps the bend up to the end.
        bends = np.array(((3.0, -3.0, 1.0) if len(above) > 2 else (2.0, -1.0),))
        sides = ((bends @ side[: bends.size], side, bends @ side[: -bends.size - 1 : -1]) for side in (above, below))
        both = np.stack([spline[8:-8] @ np.concatenate(side) for side in sides])
        legs = np.hypot(*np.diff(both.mean(0), axis=0).T)
        tall = float(np.hypot(*(both[1] - both[0]).T).mean())
        if not (legs > 0).all() or not tall > 0:
            raise ValueError("a band without length or height cannot be straightened")
        length = float(legs.sum())
        self.width = length if width is None else width
        self.height = tall if height is None else height
        x = np.concatenate(((-_FAR,), np.cumsum(np.concatenate(((0.0,), legs))), (length + _FAR,)))
        self._x: Floats = x * (self.width / length)
        middle = both.mean(0)
        first = both[:, :1] - (middle[1] - middle[0]) * (_FAR / legs[0])
        last = both[:, -1:] + (middle[-1] - middle[-2]) * (_FAR / legs[-1])
        self._ends: Floats = np.concatenate((first, both, last), axis=1)
        f, g = np.diff(both, axis=1).mean(0), both[1, :-1] - both[0, :-1]
        self._turn = math.copysign(1.0, float(_cross(f, g).sum()))
        # A strip is p + a f + b g + a b h with a along it and b down, both from 0 to 1.
        p, g = self._ends[0], self._ends[1] - self._ends[0]
        self._strips: Floats = np.stack((p[:-1], np.diff(p, axis=0), g[:-1], np.diff(g, axis=0)))

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map source coordinates to target coordinates: those of the nearest strip for points outside the band."""
        shape = x.shape
        points = np.stack((np.ravel(x), np.ravel(y)), -1)
        # From the nearest of every second strip on, by as many strips as the point lies away from it.
        middles = self._ends[:, 1:-1:2].mean(0)
        away = points[:, None] - middles
        strip = 1 + 2 * np.argmin((away * away).sum(-1), axis=1)
        last = self._strips.shape[1] - 1
        for _ in range(8):
            along, down = self._within(strip, points)
            outside = (along < -1e-9) | (along > 1 + 1e-9)
            further = np.clip(strip + np.where(outside, np.clip(np.floor(along), -8, 8), 0).astype(np.intp), 0, last)
            if np.array_equal(further, strip):
                break
            strip = further
        else:
            along, down = self._within(strip, points)
        left = self._x[strip]
        out = left + along * (self._x[strip + 1] - left)
        return out.reshape(shape), (down * self.height).reshape(shape)

    def _within(self, strip: NDArray[np.intp], points: Floats) -> tuple[Floats, Floats]:
        """Where points lie in strips: along and down."""
        p, f, g, h = self._strips[:, strip]
        d = points - p
        c2, c1, c0 = _cross(h, g), _cross(f, g) + _cross(d, h), _cross(d, f)
        # (d - b g) × (f + b h) = 0; the root's sign is that of the map's determinant there, the same all over the band.
        root = self._turn * np.sqrt(np.maximum(c1 * c1 - 4 * c2 * c0, 0.0))
        near = c1 * root >= 0  # each form of the root where it does not lose digits
        down = np.where(near, -2 * c0, root - c1) / np.where(near, c1 + root, 2 * c2)
        side = f + down[:, None] * h
        along = ((d - down[:, None] * g) * side).sum(1) / (side * side).sum(1)
        return along, down

    def inverse(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map target coordinates back to source coordinates."""
        part = y / self.height
        (top_x, top_y), (bottom_x, bottom_y) = self._ends[0].T, self._ends[1].T
        across, down = np.interp(x, self._x, top_x), np.interp(x, self._x, top_y)
        return (
            across + part * (np.interp(x, self._x, bottom_x) - across),
            down + part * (np.interp(x, self._x, bottom_y) - down),
        )


def _cross(a: Floats, b: Floats) -> Floats:
    crossed: Floats = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return crossed


class Polar:
    """Unrolls a ring: the angle about a centre becomes x, the distance from it y.

    Args:
        x: of the centre.
        y: of the centre.
        top: distance in pixels that becomes y = 0: of the outer circle for text that is read from outside the ring.
        bottom: distance that becomes y = `height`: of the inner circle then; the outer one for text that stands on it.
        start: direction in radians that becomes x = 0; 0 is to the right, pi / 2 down.
        sweep: radians that make the width, clockwise on the screen for positive ones; not more than a full turn.
        width: of the result, in pixels.
        height: of the result, in pixels.

    Raises:
        ValueError: no ring, no angle, or more than a full turn.
    """

    __slots__ = ("_angle", "_bottom", "_height", "_start", "_sweep", "_top", "_width", "_x", "_y")

    def __init__(
        self, x: float, y: float, top: float, bottom: float, start: float, sweep: float, width: float, height: float
    ) -> None:
        if top == bottom or min(top, bottom) < 0:
            raise ValueError(f"a ring lies between two different circles, not {top:g} and {bottom:g} pixels")
        if not 0 < abs(sweep) <= 2 * math.pi + 1e-9:
            raise ValueError(f"a ring is unrolled over an angle up to a full turn, not {sweep:g} radians")
        self._x, self._y, self._top, self._bottom = x, y, top, bottom
        self._start, self._sweep, self._width, self._height = start, sweep, width, height

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map source coordinates to target coordinates; angles are taken within half a turn of the middle."""
        dx, dy = x - self._x, y - self._y
        middle = self._start + self._sweep / 2
        away = np.arctan2(dy, dx) - middle
        away -= 2 * math.pi * np.round(away / (2 * math.pi))
        along = (away / self._sweep + 0.5) * self._width
        return along, (np.hypot(dx, dy) - self._top) * (self._height / (self._bottom - self._top))

    def inverse(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map target coordinates back to source coordinates."""
        angle = self._start + x * (self._sweep / self._width)
        reach = self._top + y * ((self._bottom - self._top) / self._height)
        return self._x + reach * np.cos(angle), self._y + reach * np.sin(angle)


class Warp:
    """An immutable chain of steps; `Warp()` is the identity.

    Consecutive projective steps are merged into one matrix.
    """

    __slots__ = ("steps",)

    steps: tuple[Step, ...]

    def __init__(self, *steps: Step) -> None:
        merged: list[Step] = []
        product: Coefficients | None = None  # of the projective steps since the last other one
        for step in steps:
            if isinstance(step, Projective):
                product = step.coefficients if product is None else _product(step.coefficients, product)
                continue
            if product is not None:
                merged.append(Projective(product))
                product = None
            merged.append(step)
        if product is not None:
            merged.append(Projective(product))
        object.__setattr__(self, "steps", tuple(merged))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Warp does not change; use then()")

    def __reduce__(self) -> tuple[Any, ...]:
        return Warp, self.steps

    def then(self, after: Warp | Step) -> Warp:
        """The warp that does this one first and `after` next."""
        return Warp(*self.steps, *(after.steps if isinstance(after, Warp) else (after,)))

    def inverted(self) -> Warp:
        """The warp that undoes this one."""
        return Warp(
            *(step.inverted() if isinstance(step, Projective) else _Inverted(step) for step in reversed(self.steps))
        )

    def forward(self, points: ArrayLike) -> NDArray[np.float32]:
        """Where points of the source come to lie: (..., 2) in, `float32` (..., 2) out."""
        array = np.asarray(points, np.float64)
        coefficients = self.coefficients
        if coefficients is not None and array.size:
            flat = cv2.perspectiveTransform(array.reshape(-1, 1, 2), np.array(coefficients).reshape(3, 3))
            return flat.reshape(array.shape).astype(np.float32)
        x, y = array[..., 0], array[..., 1]
        for step in self.steps:
            x, y = step.forward(x, y)
        moved = np.empty(array.shape, np.float32)
        moved[..., 0] = x
        moved[..., 1] = y
        return moved

    def inverse(self, points: ArrayLike) -> NDArray[np.float32]:
        """Where points of the target came from: (..., 2) in, `float32` (..., 2) out."""
        array = np.asarray(points, np.float64)
        x, y = array[..., 0], array[..., 1]
        for step in reversed(self.steps):
            x, y = step.inverse(x, y)
        moved = np.empty(array.shape, np.float32)
        moved[..., 0] = x
        moved[..., 1] = y
        return moved

    @property
    def coefficients(self) -> Coefficients | None:
        """The matrix, row by row, of a purely projective warp (the identity included), else None."""
        if not self.steps:
            return (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
        first = self.steps[0]
        return first.coefficients if len(self.steps) == 1 and isinstance(first, Projective) else None

    @property
    def matrix(self) -> Floats | None:
        """The 3 × 3 matrix of a purely projective warp (the identity included), else None."""
        coefficients = self.coefficients
        return None if coefficients is None else Projective(coefficients).matrix

    def apply(
        self,
        image: NDArray[Any],
        size: tuple[int, int] | None = None,
        border: float | Sequence[float] | None = None,
        interpolation: int = cv2.INTER_LINEAR,
    ) -> NDArray[Any]:
        """Warp an image in one interpolation.

        There is no anti-aliasing: a warp that shrinks the image much below half its size loses detail, so draw near
        the final size or shrink by area first. With steps that are not projective the map is exact every 4 pixels and
        linear in between: off by at most twice its second derivative (0.03 px for a wave of 4 px every 100 px), and
        beside a stretch's knot by at most its change of slope in pixels.

        Args:
            image: height × width or height × width × 1 to 4, any depth that OpenCV remaps; shorter than 32767 px.
            size: (width, height) of the result; that of `image` unless given.
            border: the value outside the source, one for all channels or one per channel; None repeats its edge.
            interpolation: an OpenCV interpolation flag.

        Returns:
            height × width (× channels) with the depth and number of channels of `image`.
        """
        width, height = size or (image.shape[1], image.shape[0])
        mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
        value = (0.0,) if border is None else (border,) * 4 if isinstance(border, (int, float)) else tuple(border)
        coefficients = self.coefficients
        if coefficients is not None:
            a, b, c, d, e, f, g, h, i = coefficients
            # From pixel centres at integer + 0.5 to OpenCV's: shift by 0.5, map, shift back.
            c, f, i = c + 0.5 * (a + b), f + 0.5 * (d + e), i + 0.5 * (g + h)
            if g == 0.0 and h == 0.0:
                half = 0.5 * i
                affine = np.array(((a / i, b / i, (c - half) / i), (d / i, e / i, (f - half) / i)))
                warped = cv2.warpAffine(image, affine, (width, height), None, interpolation, mode, value)
            else:
                rows = (
                    (a - 0.5 * g, b - 0.5 * h, c - 0.5 * i),
                    (d - 0.5 * g, e - 0.5 * h, f - 0.5 * i),
                    (g, h, i),
                )
                warped = cv2.warpPerspective(image, np.array(rows), (width, height), None, interpolation, mode, value)
        else:
            # The stubs do not know that the second map may be absent.
            warped = cv2.remap(image, self.map(width, height), None, interpolation, None, mode, value)  # type: ignore[call-overload]
        return warped[:, :, None] if image.ndim == 3 and warped.ndim == 2 else warped

    def map(self, width: int, height: int) -> NDArray[np.float32]:
        """Where the pixels of a picture come from, as `cv2.remap` takes it: `apply` says how exactly.

        Returns:
            height × width × 2: for each pixel the (x, y) in the source that comes to lie at its centre, less 0.5.
        """
        x, y = _nodes(width, height)
        for step in reversed(self.steps):
            x, y = step.inverse(x, y)
        coarse = np.empty((*x.shape, 2), np.float32)
        coarse[..., 0] = x
        coarse[..., 1] = y
        coarse -= 0.5
        dense = cv2.resize(coarse, None, None, _CELL, _CELL, cv2.INTER_LINEAR)
        return np.asarray(dense[_CELL : _CELL + height, _CELL : _CELL + width], np.float32)


def _nodes(width: int, height: int) -> tuple[Floats, Floats]:
    """The x and y of the coarse grid's nodes: centres of cells, from one cell before the image to one after it."""
    columns, rows = -(-width // _CELL) + 2, -(-height // _CELL) + 2
    x, y = _grid(max(512, 1 << columns.bit_length()), max(16, 1 << rows.bit_length()))
    return x[:rows, :columns], y[:rows, :columns]


@functools.lru_cache(16)
def _grid(columns: int, rows: int) -> tuple[Floats, Floats]:
    # cv2.resize puts sample k of the coarse grid at the centre of its cell.
    x, y = np.meshgrid((np.arange(columns) - 0.5) * _CELL, (np.arange(rows) - 0.5) * _CELL)
    x.flags.writeable = False
    y.flags.writeable = False
    return x, y


def translation(dx: float, dy: float) -> Warp:
    """Move by (dx, dy) pixels."""
    return Warp(Projective((1.0, 0.0, dx, 0.0, 1.0, dy, 0.0, 0.0, 1.0)))


def scaling(sx: float, sy: float | None = None, centre: tuple[float, float] = (0.0, 0.0)) -> Warp:
    """Scale by the factors `sx` and `sy` (`sy` = `sx` unless given) about `centre`.

    Raises:
        ValueError: a factor is zero.
    """
    sy = sx if sy is None else sy
    x, y = centre
    return Warp(Projective((sx, 0.0, x - sx * x, 0.0, sy, y - sy * y, 0.0, 0.0, 1.0)))


def rotation(angle: float, centre: tuple[float, float] = (0.0, 0.0)) -> Warp:
    """Turn by `angle` radians about `centre`, clockwise on the screen for positive angles."""
    x, y = centre
    c, s = math.cos(angle), math.sin(angle)
    return Warp(Projective((c, -s, x - c * x + s * y, s, c, y - s * x - c * y, 0.0, 0.0, 1.0)))


def shear(kx: float, ky: float = 0.0, centre: tuple[float, float] = (0.0, 0.0)) -> Warp:
    """Add `kx` times the height over `centre` to x (negative: leans right as italics do), and `ky` times x to y.

    Raises:
        ValueError: kx * ky is 1, which would flatten everything onto a line.
    """
    x, y = centre
    return Warp(Projective((1.0, kx, -kx * y, ky, 1.0, -ky * x, 0.0, 0.0, 1.0)))


def quad(source: ArrayLike, target: ArrayLike) -> Warp:
    """The perspective that takes four points to four points, each 4 × 2.

    Raises:
        ValueError: three of the four points lie on one line.
    """
    return Warp(Projective(cv2.getPerspectiveTransform(np.asarray(source, np.float32), np.asarray(target, np.float32))))


def wave(amplitude: float, wavelength: float, phase: float = 0.0, axis: Axis = "y") -> Warp:
    """Move y (or x) by a sine of the other coordinate; amplitude and wavelength in pixels, phase in radians."""
    if axis == "y":
        return Warp(Shift(Sine(amplitude, wavelength, phase)))
    return Warp(Shift(Sine(amplitude, -wavelength, phase), -math.pi / 2))


def bow(centre: float, half: float, height: float) -> Warp:
    """Move y by a parabola of x: up by `height` at `centre`, nothing at `half` px to either side; glyphs stay upright.

    A negative height sags.
    """
    return Warp(Shift(Parabola(centre, half, -height)))


def arc(x: float, y: float, radius: float) -> Warp:
    """Bend the line through `(x, y)` along a circle, glyphs turning with it: see `Bend`.

    Raises:
        ValueError: the radius is zero.
    """
    return Warp(Bend(x, y, radius))


def stretch(source: ArrayLike, target: ArrayLike, axis: Axis = "x") -> Warp:
    """Move coordinates `source` to `target` along one axis, linearly in between: see `Stretch`.

    Raises:
        ValueError: fewer than two knots, unequal numbers of them, or knots that do not increase.
    """
    return Warp(Stretch(source, target, axis))


def borders(width: float, height: float, top: ArrayLike, bottom: ArrayLike) -> Warp:
    """Move the borders of a `width` × `height` picture at control points: see `Borders`.

    Raises:
        ValueError: see `Borders`.
    """
    return Warp(Borders(width, height, top, bottom))


def ribbon(top: ArrayLike, bottom: ArrayLike, width: float | None = None, height: float | None = None) -> Warp:
    """Straighten the band between two lines: see `Ribbon`.

    Raises:
        ValueError: see `Ribbon`.
    """
    return Warp(Ribbon(top, bottom, width, height))


def polar(
    x: float, y: float, top: float, bottom: float, start: float, sweep: float, width: float, height: float
) -> Warp:
    """Unroll a ring: see `Polar`.

    Raises:
        ValueError: see `Polar`.
    """
    return Warp(Polar(x, y, top, bottom, start, sweep, width, height))


def rectify(
    image: NDArray[Any],
    polygon: ArrayLike,
    height: int,
    margin: float = 0.0,
    border: float | Sequence[float] | None = None,
) -> NDArray[Any]:
    """Cut a curved line out by its polygon, straightened, strip by strip (`Ribbon`).

    Args:
        image: height × width or height × width × 1 to 4, as `Warp.apply` takes it.
        polygon: 2n × 2, n ≥ 2, (x, y) in pixels, clockwise from the text's own top-left: n points along its top, then
            n along its bottom, back.
        height: of the result in pixels.
        margin: room around the polygon on all sides, as a share of its height.
        border: the value outside the image; None repeats its edge.

    Returns:
        `height` × width (× channels).

    Raises:
        ValueError: another shape of polygon, or one without length or height.
    """
    points = np.asarray(polygon, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 4 or len(points) % 2:
        raise ValueError(f"the polygon of a line has as many points on its top as on its bottom, not {points.shape}")
    n = len(points) // 2
    top, bottom = points[:n], points[: n - 1 : -1]
    tall = Ribbon(top, bottom).height * (1 + 2 * margin)
    factor = tall / height
    if factor > 1.5:
        # Warps have no anti-aliasing.
        rows, columns = image.shape[:2]
        size = (max(round(columns / factor), 1), max(round(rows / factor), 1))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        shrunk = np.array((size[0] / columns, size[1] / rows))
        top, bottom = top * shrunk, bottom * shrunk
    band = Ribbon(top, bottom)
    scale = height / (band.height * (1 + 2 * margin))
    edge = margin * band.height
    width = max(round((band.width + 2 * edge) * scale), 1)
    return Warp(band).then(translation(edge, edge)).then(scaling(scale)).apply(image, (width, height), border)


_PLACES: Final = 64  # tried for the ends of a band, all around
_NEAR: Final = np.linspace(-1.0, 1.0, 9)  # of the distance between two of them, then
_LEGS: Final = np.linspace(0.1, 0.9, 9)  # where sides are compared: legs near an end grow short as the end slips off
_DENSE: Final = 128  # points on a side


def band(outline: ArrayLike) -> NDArray[np.float32]:
    """The outline of a bent line of text as `rectify` takes it: its long sides, from the beginning of the text.

    An outline that a detector gives begins anywhere and has rounded corners, so the ends are looked for as a whole: a
    band of the outline's length around and area is so and so high; of all ways to take two ends of that height out of
    the outline the one is best that leaves two sides which lie nearest to each other at equal shares of their lengths.

    Up is towards the top of the picture and the beginning at the left; a line whose ends lie above each other begins at
    the upper one.

    Args:
        outline: N × 2, N ≥ 3, (x, y) in pixels, in either direction.

    Returns:
        2n × 2, 2 ≤ n ≤ 17, clockwise from the text's own top-left: n points along its top, n along its bottom, back.

    Raises:
        ValueError: another shape, or an outline without an area.
    """
    points = np.asarray(outline, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise ValueError(f"an outline has three points or more, not {points.shape}")
    points = points[np.hypot(*(points - np.roll(points, 1, 0)).T) > 1e-9]
    area = float(_cross(points, np.roll(points, -1, 0)).sum()) / 2 if len(points) > 2 else 0.0
    if not abs(area) > 1e-6:
        raise ValueError("an outline without an area has no sides")
    if area < 0:
        points, area = points[::-1], -area
    closed = np.concatenate((points, points[:1]))
    at = np.concatenate(((0.0,), np.cumsum(np.hypot(*np.diff(closed, axis=0).T))))
    around = float(at[-1])
    # Height and length are the roots of t² - (around / 2) t + area.
    height = around / 4 - math.sqrt(max(around * around / 16 - area, 0.0))

    def outlined(where: Floats) -> Floats:
        where = where % around
        return np.stack((np.interp(where, at, closed[:, 0]), np.interp(where, at, closed[:, 1])), -1)

    def nearest(first: Floats, second: Floats) -> int:
        """Which of some pairs of ends, given by their middles, leaves the nearest sides."""
        one = second - first - height
        other = around - 2 * height - one
        above = outlined((first + height / 2)[:, None] + one[:, None] * _LEGS)
        below = outlined((first - height / 2)[:, None] - other[:, None] * _LEGS)
        legs = np.hypot(*np.moveaxis(above - below, -1, 0)).mean(-1)
        # Of a ring as tight as letters bear, the inner side is a third of the outer one.
        legs[np.minimum(one, other) < 0.2 * (around - 2 * height)] = np.inf
        return int(np.argmin(legs))

    step = around / _PLACES
    one, other = np.triu_indices(_PLACES, 1)
    first, second = (np.asarray(places * step, np.float64) for places in (one, other))
    best = nearest(first, second)
    more = [np.asarray(axis.ravel() * step, np.float64) for axis in np.meshgrid(_NEAR, _NEAR)]
    first, second = first[best] + more[0], second[best] + more[1]
    best = nearest(first, second)
    begin, end = float(first[best]), float(second[best])

    def between(start: float, stop: float) -> Floats:
        return outlined(np.linspace(start, stop, _DENSE))

    def middle_line(above: Floats, below: Floats) -> tuple[Floats, Floats]:
        """Halfway between two sides, and how far along it each point lies."""
        middle = (above + below) / 2
        return middle, np.concatenate(((0.0,), np.cumsum(np.hypot(*np.diff(middle, axis=0).T))))

    half = height / 2
    middle, along = middle_line(between(begin + half, end - half), between(begin - half, end + half - around))
    inwards = [
        np.array([np.interp(x, along, middle[:, k]) for k in range(2)])
        for x in (0.8 * height, along[-1] - 0.8 * height)
    ]
    corners: list[float] = []
    for place, tip, inner in ((begin, middle[0], inwards[0]), (end, middle[-1], inwards[1])):
        # Each corner is what lies furthest out and to its side, near the end.
        ux, uy = ((tip - inner) / max(float(np.hypot(*(tip - inner))), 1e-9)).tolist()
        for sign in (-1.0, 1.0):
            window = place + sign * np.linspace(0.0, height, _DENSE)
            out = outlined(window) @ np.array((ux - sign * uy, uy + sign * ux))
            corners.append(float(window[int(np.argmax(out))]))
    above, below = between(corners[1], corners[2]), between(corners[0], corners[3] - around)
    middle, along = middle_line(above, below)
    count = int(min(max(round(float(along[-1]) / height), 1), 16)) + 1
    wanted = np.linspace(0.0, along[-1], count)
    centres = np.stack([np.interp(wanted, along, middle[:, axis]) for axis in range(2)], -1)
    # Outside a bend a side is longer: legs stand upright where they meet each side at its point nearest to the middle.
    top, bottom = (_nearest_along(side, centres) for side in (above, below))
    sides = np.concatenate((top, bottom[::-1])).astype(np.float32)
    dx, dy = (centres[-1] - centres[0]).tolist()
    backwards = dy < 0 if runs_down(sides) else dx < 0
    return np.roll(sides, count, 0) if backwards else sides


def runs_down(sides: NDArray[np.float32]) -> bool:
    """Whether the ends of a line lie above each other, as those of a column do; `sides` as of `band`."""
    half = len(sides) // 2
    first, last = sides[[0, -1]], sides[[half - 1, half]]
    dx, dy = map(float, (last - first).mean(0))
    height = (math.dist(*first.tolist()) + math.dist(*last.tolist())) / 2
    return abs(dx) * math.hypot(dx, dy) < height * abs(dy)


def _nearest_along(side: Floats, centres: Floats) -> Floats:
    """Of each centre the nearest point of a side, never back; the ends are the side's own."""
    away = ((side[None] - centres[:, None]) ** 2).sum(-1)
    places = np.maximum.accumulate(away.argmin(1))
    places[0], places[-1] = 0, len(side) - 1
    return np.asarray(side[places], np.float64)


def elastic(rng: np.random.Generator, width: float, height: float, strength: float, cell: float) -> Warp:
    """A random smooth distortion of a `width` × `height` picture, exactly invertible.

    Four waves in directions spread about the circle, each moving points along its crests only: every one depends on
    nothing but the coordinate that it leaves alone, so it is inverted exactly, unlike a field of random displacements.

    Args:
        rng: source of directions, wavelengths and phases.
        width: of the picture, in pixels; wavelengths do not go much beyond the picture.
        height: of the picture, in pixels.
        strength: root-mean-square displacement in pixels.
        cell: size in pixels of what moves together; wavelengths lie between 2 and 5 cells.
    """
    draws = rng.random(9).tolist()
    start = draws[8] * math.pi
    amplitude = strength * math.sqrt(0.5)  # four waves of mean square a²/2 in all directions: a² · 2 = strength²
    longest = 2.0 * max(width, height, cell)
    return Warp(
        *(
            Shift(
                Sine(amplitude, min(cell * (2.0 + 3.0 * draws[k]), longest), draws[4 + k] * 2.0 * math.pi),
                start + k * math.pi / 4,
            )
            for k in range(4)
        )
    )
