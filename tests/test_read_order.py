"""Reading order on pages that are laid out here, so that the right order is known."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ocr.read.order import Layout, arrange

LATIN = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor".split()
ARABIC = "النص الطويل يقرأ من اليمين إلى اليسار في سطور".split()


@dataclass
class Laid:
    """Boxes in the order in which they are to be read."""

    polygons: list[NDArray[np.float32]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def add(self, left: float, top: float, width: float, height: float, text: str) -> None:
        right, bottom = left + width, top + height
        self.polygons.append(np.array(((left, top), (right, top), (right, bottom), (left, bottom)), np.float32))
        self.texts.append(text)

    def mirrored(self, width: float) -> Laid:
        return Laid(
            [(quad * (-1, 1) + (width, 0))[[1, 0, 3, 2]].astype(np.float32) for quad in self.polygons], self.texts
        )

    def turned(self, degrees: float) -> Laid:
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        turn = np.array(((cos, -sin), (sin, cos)))
        return Laid([(quad @ turn.T + 400).astype(np.float32) for quad in self.polygons], self.texts)


def tau(order: list[int]) -> float:
    """Kendall's rank correlation of an order with 0, 1, 2, …, by looking at every pair."""
    assert sorted(order) == list(range(len(order)))
    pairs = list(combinations(order, 2))
    return sum(1 if one < other else -1 for one, other in pairs) / len(pairs)


def ordered(laid: Laid, rng: np.random.Generator) -> tuple[float, Layout]:
    """How well shuffled boxes are put into order again."""
    shuffle = rng.permutation(len(laid.texts))
    layout = arrange([laid.polygons[n] for n in shuffle], [laid.texts[n] for n in shuffle])
    return tau([int(shuffle[n]) for n in layout.order]), layout


def paragraph(
    laid: Laid,
    rng: np.random.Generator,
    left: float,
    top: float,
    width: float,
    size: float,
    words: list[str],
    by_word: bool,
) -> float:
    """Lines of running text with an indent, ragged or not, and a short last line; the y below."""
    count = int(rng.integers(3, 9))
    ragged = rng.random() < 0.5
    pitch = size * rng.uniform(1.25, 1.6)
    for number in range(count):
        start = left + (size * 1.5 if number == 0 else 0)
        reach = left + width * (rng.uniform(0.8, 1) if ragged else 1)
        if number == count - 1:
            reach = left + width * rng.uniform(0.3, 1)
        wobble = rng.uniform(-0.06, 0.06) * size
        if not by_word:
            laid.add(start, top + wobble, reach - start, size, " ".join(words[:4]))
        else:
            x = start
            while x < reach - size:
                wide = min(size * rng.uniform(1, 4), reach - x)
                laid.add(
                    x,
                    top + wobble + rng.uniform(-0.08, 0.08) * size,
                    wide,
                    size * rng.uniform(0.8, 1.05),
                    str(rng.choice(words)),
                )
                x += wide + size * rng.uniform(0.25, 0.6)
        top += pitch
    return top


def columns(rng: np.random.Generator, count: int, words: list[str], by_word: bool) -> Laid:
    laid = Laid()
    size, gap = rng.uniform(14, 24), rng.uniform(24, 60)
    width = size * rng.uniform(14, 22)
    whole = count * width + (count - 1) * gap
    laid.add(whole * 0.2, 0, whole * 0.6, size * 2, words[0] + " " + words[1])
    top = size * 3.2
    for column in range(count):
        left, at = column * (width + gap), top + (rng.uniform(0, size) if rng.random() < 0.5 else 0)
        for _ in range(int(rng.integers(2, 4))):
            at = paragraph(laid, rng, left, at, width, size, words, by_word) + size * rng.uniform(0, 1)
    return laid


def table(rng: np.random.Generator, words: list[str]) -> Laid:
    laid = Laid()
    size = rng.uniform(14, 24)
    widths = rng.uniform(4, 10, int(rng.integers(2, 6))) * size
    top = 0.0
    pitch = size * rng.uniform(1.3, 2.5)
    for row in range(int(rng.integers(4, 15))):
        x = 0.0
        for number, width in enumerate(widths.tolist()):
            wide = width * rng.uniform(0.3, 0.85)
            # Numbers stand at the right of their column; some cells are empty.
            left = x + (width * 0.85 - wide if number == len(widths) - 1 else 0)
            if row == 0 or number == 0 or rng.random() < 0.85:
                laid.add(left, top + rng.uniform(-0.06, 0.06) * size, wide, size, str(rng.choice(words)))
            x += width + size * 1.5
        top += pitch
    return laid


def receipt(rng: np.random.Generator, words: list[str]) -> Laid:
    """A head in the middle, items with prices at the right, totals, a foot."""
    laid = Laid()
    size, width = 20.0, 520.0
    top = 0.0

    def line(left: float, wide: float) -> None:
        laid.add(left, top + rng.uniform(-1, 1), wide, size, str(rng.choice(words)))

    for _ in range(4):
        wide = rng.uniform(150, 500)
        line((width - wide) / 2, wide)
        top += 26
    for _ in range(int(rng.integers(5, 20))):
        line(0, rng.uniform(80, 380))
        wide = rng.uniform(40, 80)
        line(width - wide, wide)
        top += 26
    for _ in range(3):
        line(200, rng.uniform(60, 120))
        wide = rng.uniform(40, 80)
        line(width - wide, wide)
        top += 30
    line(100, 320)
    return laid


LAYOUTS = ("two columns", "two columns of words", "three columns", "table", "receipt")


def laid_out(name: str, rng: np.random.Generator, words: list[str]) -> Laid:
    if name == "table":
        return table(rng, words)
    if name == "receipt":
        return receipt(rng, words)
    return columns(rng, 3 if name.startswith("three") else 2, words, "words" in name)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("rtl", [False, True])
def test_order_of_generated_pages(name: str, rtl: bool) -> None:
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        laid = laid_out(name, rng, ARABIC if rtl else LATIN)
        if rtl:
            laid = laid.mirrored(1000)
        laid = laid.turned(rng.uniform(-4, 4))
        correlation, layout = ordered(laid, rng)
        assert layout.direction == ("rtl" if rtl else "ltr")
        found.append(correlation)
    print(name, rtl, np.mean(found), min(found), [n for n, c in enumerate(found) if c < 0.95])
    assert np.mean(found) >= 0.98
    assert np.mean(np.array(found) >= 0.95) >= 0.95
