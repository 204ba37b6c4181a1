"""Boxes of a page: pure geometry. A box is (left, top, right, bottom) in pixels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

Box = tuple[float, float, float, float]


def inset(box: Box, x: float, y: float) -> Box:
    """A box without margins, given as shares of its width and height."""
    left, top, right, bottom = box
    dx, dy = x * (right - left), y * (bottom - top)
    return left + dx, top + dy, right - dx, bottom - dy


def columns_of(box: Box, count: int, gutter: float, rtl: bool = False) -> list[Box]:
    """`count` equal columns with gutters between them, in reading order."""
    left, top, right, bottom = box
    width = (right - left - gutter * (count - 1)) / count
    found = [(left + k * (width + gutter), top, left + k * (width + gutter) + width, bottom) for k in range(count)]
    return found[::-1] if rtl else found


def cut(box: Box, count: int, rng: np.random.Generator, least: float = 0.0) -> list[Box]:
    """A box cut into `count` unequal columns, or fewer so that none is narrower than `least`, from left to right."""
    left, top, right, bottom = box
    if least > 0:
        count = max(1, int(min(count, (right - left) / least)))
    shares = 0.5 + rng.random(count)
    edges = left + np.concatenate(([0.0], np.cumsum(shares / shares.sum()))) * (right - left)
    return [(float(a), top, float(b), bottom) for a, b in pairwise(edges)]
