"""Seals and stamps: a line on a ring or in a box, with all that is printed beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

import numpy as np

from synth.recipe import SealLine
from synth.render.curve import BESIDE, BEYOND, Laid, Page, Prints, Shapes, between, fitting, glyphs_along
from synth.render.path import Floats, Path, ellipse, straight

_COLOURS = {
    "red": (40.0, 30.0, 205.0),
    "blue": (190.0, 70.0, 30.0),
    "violet": (160.0, 45.0, 120.0),
    "black": (30.0,) * 3,
}
_FILLED = 0.86  # of a ring, by one text or by two
_APART = 0.08  # of a ring, between two
_WIDEST = 0.5  # em between letters that are spaced out
_SMALLEST_LINE = 0.35  # of the size of the ring's text, for other lines
_LEADING = 1.25
_TALL = 1.3  # a ring's radius over the line's height, at least
_LEAST_RADIUS = 1.5  # em

Bar = tuple[float, float, float, float]
"""Left, top, right, bottom."""

Chosen = TypeVar("Chosen", bound=str)


@dataclass(slots=True)
class Seal:
    """A line as a stamp prints it.

    Attributes:
        laid: the line.
        path: what it is on.
        prints: what is printed beside it: where it is, or, if the line is to be straightened, by arc length and by how
            far below the path.
    """

    laid: Laid
    path: Path
    prints: Prints


def make_seal(
    config: SealLine, lay: Callable[[float], Laid], other: Callable[[], Laid | None], rng: np.random.Generator
) -> Seal:
    """A random stamp around a line.

    Args:
        config: how.
        lay: lays the line out, with that much more letter spacing in em.
        other: lays out another text; None where that does not go.
        rng: source of all choices.

    Raises:
        TooLong: for the ring, by more than it may be shrunk.
    """
    laid = lay(0.0)
    shape = _chosen(config.shapes, rng)
    if shape == "square":
        path = straight(laid.length)
        shapes, bars = _box(config, laid, other, rng)
    else:
        laid, path, shapes, bars = _ring(config, laid, lay, other, shape == "oval", rng)
    double = None
    if rng.random() < config.twice:
        angle, away = 2 * math.pi * rng.random(), 0.04 + 0.08 * rng.random()
        double = away * math.cos(angle), away * math.sin(angle)
    under = other() if rng.random() < config.over else None
    page = None if under is None else _page(under, rng)
    colour = _COLOURS[_chosen(config.colours, rng)]
    return Seal(laid, path, Prints(Shapes.joined(shapes) if shapes else None, bars, page, double, colour))


def _chosen(weights: Mapping[Chosen, float], rng: np.random.Generator) -> Chosen:
    names = [name for name, weight in weights.items() if weight]
    sums = list(accumulate(weights[name] for name in names))
    drawn = rng.random() * sums[-1]
    return next((name for name, total in zip(names, sums, strict=True) if drawn < total), names[-1])


def _ring(
    config: SealLine,
    laid: Laid,
    lay: Callable[[float], Laid],
    other: Callable[[], Laid | None],
    oval: bool,
    rng: np.random.Generator,
) -> tuple[Laid, Path, list[Shapes], list[Bar]]:
    """The line, spaced out if it is short; its path; and what else there is."""
    ratio = between(config.ratio, rng) if oval else 1.0
    # The circumference of an ellipse of half axes r · ratio and r, over that of a circle of radius r (Ramanujan).
    h = ((ratio - 1) / (ratio + 1)) ** 2
    longer = (1 + ratio) / 2 * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))
    radius = max(between(config.radius, rng) / math.sqrt(longer), _TALL * laid.height * ratio, _LEAST_RADIUS)
    radius = fitting(laid.length / (2 * math.pi * longer * _FILLED), radius, config.smallest)
    around = 2 * math.pi * radius * longer
    spread = between(config.spread, rng) * around
    if laid.length < spread and len(laid.clusters) > 1:
        laid = lay(min((spread - laid.length) / len(laid.clusters), _WIDEST))
    sign = -1 if rng.random() < config.valley else 1

    def path(length: float, up: int) -> Path:
        """The ring's centre at the origin."""
        return ellipse(length, up * radius * ratio, up * radius, BEYOND).moved(0.0, -up * radius)

    half, wider = laid.height / 2, radius * (ratio - 1)
    gap, thick = 0.12 + 0.25 * rng.random(), 0.04 + 0.09 * rng.random()
    inner = radius - half - 0.15
    lines: list[tuple[float, float]] = []  # between distances from the middle of the text, outwards
    if rng.random() < config.border:
        lines.append((half + gap, half + gap + thick))
        if rng.random() < config.double:
            if rng.random() < 0.5:
                # A finer line beside the border, or on the inner side of the text.
                lines.append((half + gap - 0.1, half + gap - 0.1 + thick / 3))
            elif inner > gap + 0.5:
                inner = radius - half - gap
                lines.append((-half - gap - thick / 2, -half - gap))
    if config.unwrap:
        # Nothing further away is seen.
        right = laid.length + BESIDE
        ways = [sorted((-sign * a, -sign * b)) for a, b in lines]
        return laid, path(laid.length, sign), [], [(-BESIDE, top, right, bottom) for top, bottom in ways]
    shapes = [_oval(wider, radius + a, radius + b) for a, b in lines]
    if rng.random() < config.opposite:
        opposite = other()
        if opposite is not None and laid.length + opposite.length < around * (_FILLED - _APART):
            shapes.append(glyphs_along(opposite, path(opposite.length, -sign)))
    low, high = config.lines
    within = [found for found in (other() for _ in range(low + int(rng.random() * (high - low + 1)))) if found]
    starred = rng.random() < config.star and inner > 0.5
    if starred:
        size = min(inner * (0.35 + 0.25 * rng.random()), 1.6) * (0.6 if within else 1.0)
        shapes.append(_star(size, -0.35 * inner if within else 0.0))
    top = (0.1 if starred else -0.45) * inner
    wide = 1.8 * (inner + wider)
    shapes += _stacked(within, top, 0.75 * inner, lambda y: wide * math.sqrt(max(1 - (y / inner) ** 2, 0.0)), rng)
    return laid, path(laid.length, sign), shapes, []


def _stacked(
    lines: Sequence[Laid], top: float, bottom: float, room: Callable[[float], float], rng: np.random.Generator
) -> list[Shapes]:
    """Lines one below the other between two heights, each as large as there is room for it across."""
    shapes: list[Shapes] = []
    if not lines:
        return shapes
    each = (bottom - top) / len(lines)
    for number, laid in enumerate(lines):
        y = top + each * (number + 0.5)
        reach = abs(y) + each / 2
        size = min(each / (laid.height * _LEADING), room(reach) / max(laid.length, 0.1), 1.0)
        size *= 0.75 + 0.25 * rng.random()
        if size >= _SMALLEST_LINE:
            shapes.append(glyphs_along(laid, straight(laid.length)).placed(size, -laid.length * size / 2, y))
    return shapes


def _box(
    config: SealLine, laid: Laid, other: Callable[[], Laid | None], rng: np.random.Generator
) -> tuple[list[Shapes], list[Bar]]:
    """A box around a line that begins at the origin, and around others above and below."""
    shapes: list[Shapes] = []
    x0, x1, y0, y1 = 0.0, laid.length, -laid.height / 2, laid.height / 2
    low, high = config.lines
    for _ in range(low + int(rng.random() * (high - low + 1))):
        more = other()
        if more is None:
            continue
        size = min((0.6 + 0.4 * rng.random()), 1.3 * laid.length / max(more.length, 0.1))
        if size < _SMALLEST_LINE:
            continue
        tall = more.height * size
        gap = 0.2 + 0.2 * rng.random()
        above = rng.random() < 0.5
        y = y0 - gap - tall / 2 if above else y1 + gap + tall / 2
        x = (laid.length - more.length * size) / 2
        shapes.append(glyphs_along(more, straight(more.length)).placed(size, x, y))
        x0, x1 = min(x0, x), max(x1, x + more.length * size)
        y0, y1 = (y - tall / 2, y1) if above else (y0, y + tall / 2)
    bars: list[Bar] = []
    gap, thick = 0.2 + 0.25 * rng.random(), 0.05 + 0.1 * rng.random()
    if rng.random() < config.border:
        bars += _frame(x0 - gap, y0 - gap, x1 + gap, y1 + gap, thick)
        if rng.random() < config.double:
            gap += thick + 0.1
            bars += _frame(x0 - gap, y0 - gap, x1 + gap, y1 + gap, thick / 2)
    return shapes, bars


def _page(under: Laid, rng: np.random.Generator) -> Page:
    """Print behind a stamp."""
    size, angle = 0.45 + 0.5 * rng.random(), (rng.random() - 0.5) * 0.5
    step, length = under.height * size * (1.3 + 0.7 * rng.random()), (under.length + 0.5) * size
    row = glyphs_along(under, straight(under.length)).placed(size, 0.0, under.height * size / 2)
    return Page(row, length, step, angle, (rng.random() * length, rng.random() * step))


def _oval(longer: float, inner: float, outer: float) -> Shapes:
    """A line around the origin: of a ring of radii `inner` to `outer`, `longer` to either side."""
    t = np.linspace(0, 2 * math.pi, 96, endpoint=False)
    one = np.stack((np.cos(t), np.sin(t)), 1)
    return _polygons(one * (outer + longer, outer), one[::-1] * (inner + longer, inner))


def _frame(x0: float, y0: float, x1: float, y1: float, thick: float) -> list[Bar]:
    """A box: bars outwards from four edges."""
    left, top, right, bottom = x0 - thick, y0 - thick, x1 + thick, y1 + thick
    return [(left, top, right, y0), (left, y1, right, bottom), (left, y0, x0, y1), (x1, y0, right, y1)]


def _star(radius: float, y: float) -> Shapes:
    """A five-pointed star about (0, y)."""
    t = np.arange(10) * (math.pi / 5) - math.pi / 2
    reach = np.where(np.arange(10) % 2, 0.382 * radius, radius)
    return _polygons(np.stack((reach * np.cos(t), y + reach * np.sin(t)), 1))


def _polygons(*contours: Floats) -> Shapes:
    ends = np.cumsum([len(contour) for contour in contours]) - 1
    return Shapes(np.concatenate(contours), ends, np.array([len(contours) - 1]))
