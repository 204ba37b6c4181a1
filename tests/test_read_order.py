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

LATIN = [
    "lorem",
    "ipsum",
    "dolor",
    "sit",
    "amet",
    "consectetur",
    "adipiscing",
    "elit",
    "sed",
    "do",
    "eiusmod",
    "tempor",
]
ARABIC = ["النص", "الطويل", "يقرأ", "من", "اليمين", "إلى", "اليسار", "في", "سطور"]


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
    for seed in range(30):
        rng = np.random.default_rng(seed)
        laid = laid_out(name, rng, ARABIC if rtl else LATIN)
        if rtl:
            laid = laid.mirrored(1000)
        laid = laid.turned(rng.uniform(-4, 4))
        correlation, layout = ordered(laid, rng)
        assert layout.direction == ("rtl" if rtl else "ltr")
        found.append(correlation)
    assert np.mean(found) >= 0.99
    assert min(found) >= 0.95


def test_columns_of_vertical_writing() -> None:
    for text, rtl in (("縦書きの文章", True), ("ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ", False)):
        laid = Laid()
        for column in range(8):
            x = 400 - 50 * column if rtl else 50 * column
            # Upper and lower half of the page have columns of their own.
            laid.add(x, 0, 30, 280 if column < 7 else 150, text)
        for column in range(8):
            laid.add(400 - 50 * column if rtl else 50 * column, 330, 30, 250, text)
        for degrees in (-3, 0, 3):
            correlation, layout = ordered(laid.turned(degrees), np.random.default_rng(1))
            assert layout.vertical and correlation == 1.0


def test_words_that_run_against_the_line() -> None:
    """Seen from left to right: in Arabic, numbers one by one, Latin words as a group; and the other way round."""
    for seen, expected in (
        (["خمسة", "red", "green", "ثلاثة"], ["ثلاثة", "red", "green", "خمسة"]),
        (["10", "20", "رقم", "نص"], ["نص", "رقم", "20", "10"]),
        (["نص", "page", "5", "of", "رقم", "نص"], ["نص", "رقم", "page", "5", "of", "نص"]),
        (["see", "نص", "رقم", "there", "now"], ["see", "رقم", "نص", "there", "now"]),
    ):
        laid = Laid()
        for number, word in enumerate(seen):
            laid.add(60 * number, 0, 50, 20, word)
        layout = arrange(laid.polygons, laid.texts)
        assert [seen[number] for number in layout.order] == expected


def test_few_texts() -> None:
    assert arrange([], []) == Layout((), "ltr", False)
    laid = Laid()
    laid.add(5, 5, 0, 0, "")
    assert arrange(laid.polygons, laid.texts).order == [0]
    laid.add(5, 5, 0, 0, "")
    assert sorted(arrange(laid.polygons, laid.texts).order) == [0, 1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 60))
def test_every_text_comes_once_whatever_lies_where(seed: int, count: int) -> None:
    """Boxes thrown at random, upon each other too; their order does not depend on the order in which they come."""
    rng = np.random.default_rng(seed)
    polygons, texts = [], []
    for _ in range(count):
        centre, angle = rng.uniform(0, 500, 2), rng.uniform(-0.3, 0.3)
        along = np.array((math.cos(angle), math.sin(angle))) * rng.uniform(2, 150)
        down = np.array((-math.sin(angle), math.cos(angle))) * rng.uniform(2, 40)
        polygons.append(
            (centre + np.stack((-along - down, along - down, along + down, down - along))).astype(np.float32)
        )
        texts.append(str(rng.choice(["word", "كلمة", "12", ""])))
    first = arrange(polygons, texts).order
    assert sorted(first) == list(range(count))
    shuffle = rng.permutation(count)
    again = arrange([polygons[n] for n in shuffle], [texts[n] for n in shuffle]).order
    assert [int(shuffle[n]) for n in again] == first
