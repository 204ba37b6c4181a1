"""Do two sets of crops look alike? Measures on a common scale, distances, and a classifier that tells sets apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.float64]
"""Crops × measures."""

LEVELS = np.linspace(0.04, 0.96, 13)
"""Quantiles at which distributions are compared."""

_BINS = 24
_ROUNDS = 60
_RATE = 0.2
_FOLDS = 5
_LEAST = 4  # crops on either side of a split
_RIDGE = 1.0


class Scale:
    """Each measure by its rank among what is known: half real crops, half others.

    Ranks make measures of all kinds comparable, and a difference counts for as much as crops lie between. Values in
    between known ones are interpolated; ties get their middle rank.

    Args:
        real: real crops.
        other: made ones, from a wider range.
    """

    def __init__(self, real: Rows, other: Rows) -> None:
        self._points: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        for a, b in zip(real.T, other.T, strict=True):
            values = np.unique(np.concatenate((a, b)))
            ranks = 0.5 * (_middle_rank(a, values) + _middle_rank(b, values))
            # Beyond all that is known, far is still further.
            reach = max(float(np.ptp(values)), 1e-6)
            values = np.concatenate((values[:1] - reach, values, values[-1:] + reach))
            self._points.append((values, np.concatenate(((-0.1,), ranks, (1.1,)))))

    def __call__(self, rows: Rows) -> Rows:
        """Ranks of measures, about 0 to 1, crops × measures."""
        columns = [np.interp(column, *points) for column, points in zip(rows.T, self._points, strict=True)]
        return np.stack(columns, 1)


def _middle_rank(known: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.sort(known)
    below, upto = np.searchsorted(known, values, "left"), np.searchsorted(known, values, "right")
    return np.asarray((below + upto) / (2 * len(known)))


def quantiles(ranks: Rows) -> NDArray[np.float64]:
    """Levels × measures."""
    return np.asarray(np.quantile(ranks, LEVELS, axis=0))


def distances(first: Rows, second: Rows) -> NDArray[np.float64]:
    """Of each measure the root mean square difference of the two sets' quantiles (a Wasserstein distance)."""
    return np.asarray(np.sqrt(((quantiles(first) - quantiles(second)) ** 2).mean(0)))


@dataclass(frozen=True, slots=True)
class Likeness:
    """How well two sets of crops can be told apart.

    Attributes:
        auc: area under the curve of a classifier on crops that it was not trained on; 0.5: not at all, 1: always.
        error: its standard error.
        importance: of each measure, its share of what the classifier found.
    """

    auc: float
    error: float
    importance: NDArray[np.float64]


def tell_apart(real: Rows, made: Rows, rng: np.random.Generator) -> Likeness:
    """Train a classifier to tell two sets apart, in five parts, each told by what the others taught.

    The classifier is gradient boosting of trees with three splits on binned measures (Friedman 2001); the error is that
    of DeLong et al. 1988, "Comparing the areas under two or more correlated ROC curves".

    Args:
        real, made: crops × measures; five of each or more.
        rng: shuffles the crops into parts.
    """
    rows = np.concatenate((real, made))
    truth = np.repeat((0.0, 1.0), (len(real), len(made)))
    binned = _binned(rows)
    fold = np.empty(len(rows), np.intp)
    for start, count in ((0, len(real)), (len(real), len(made))):
        fold[start : start + count] = rng.permutation(np.arange(count) % _FOLDS)
    scores = np.empty(len(rows))
    gains = np.zeros(rows.shape[1])
    for k in range(_FOLDS):
        out = fold == k
        scores[out] = _boosted(binned[~out], truth[~out], binned[out], gains)
    auc, error = _area(scores[: len(real)], scores[len(real) :])
    return Likeness(auc, error, gains / max(float(gains.sum()), 1e-12))


def _binned(rows: Rows) -> NDArray[np.intp]:
    """Each measure's values in up to `_BINS` groups of about as many crops each."""
    columns = []
    for column in rows.T:
        edges = np.unique(np.quantile(column, np.linspace(0, 1, _BINS + 1)[1:-1]))
        columns.append(np.searchsorted(edges, column, "left"))
    return np.stack(columns, 1)


def _boosted(
    binned: NDArray[np.intp], truth: NDArray[np.float64], others: NDArray[np.intp], gains: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Log odds of `others`; what splits on each measure have brought is added to `gains`."""
    score, told = np.zeros(len(binned)), np.zeros(len(others))
    everyone = np.arange(len(binned))
    for _ in range(_ROUNDS):
        chance = 1 / (1 + np.exp(-score))
        slope, bend = truth - chance, chance * (1 - chance)
        root = _split(binned, slope, bend, everyone)
        if root is None:
            break
        measure, edge, gain = root
        gains[measure] += gain
        for side in (0, 1):
            here = everyone[(binned[:, measure] > edge) == side]
            there = np.flatnonzero((others[:, measure] > edge) == side)
            leaves = [(here, there)]
            branch = _split(binned, slope, bend, here)
            if branch is not None:
                inner, cut, gain = branch
                gains[inner] += gain
                leaves = [
                    (here[(binned[here, inner] > cut) == half], there[(others[there, inner] > cut) == half])
                    for half in (0, 1)
                ]
            for inside, outside in leaves:
                step = _RATE * slope[inside].sum() / (bend[inside].sum() + _RIDGE)
                score[inside] += step
                told[outside] += step
    return told


def _split(
    binned: NDArray[np.intp], slope: NDArray[np.float64], bend: NDArray[np.float64], here: NDArray[np.intp]
) -> tuple[int, int, float] | None:
    """The measure, the last bin of the lower side, and the gain of the best split of some crops."""
    if len(here) < 2 * _LEAST:
        return None
    measures = binned.shape[1]
    places = (binned[here] + np.arange(measures) * _BINS).ravel()
    size = measures * _BINS
    slopes, bends, counts = (
        np.bincount(places, np.repeat(values, measures), size).reshape(measures, _BINS).cumsum(1)
        for values in (slope[here], bend[here], np.ones(len(here)))
    )
    total, weight, count = slopes[:, -1:], bends[:, -1:], counts[:, -1:]
    gain = slopes**2 / (bends + _RIDGE) + (total - slopes) ** 2 / (weight - bends + _RIDGE)
    gain -= total**2 / (weight + _RIDGE)
    gain[(counts < _LEAST) | (count - counts < _LEAST)] = 0
    best = int(gain.argmax())
    if gain.flat[best] <= 1e-9:
        return None
    return best // _BINS, best % _BINS, float(gain.flat[best])


def _area(low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[float, float]:
    """The share of pairs in which `high` is above `low`, ties half, and its standard error."""
    above = (high[:, None] > low[None]) + 0.5 * (high[:, None] == low[None])
    error = math.sqrt(above.mean(1).var(ddof=1) / len(high) + above.mean(0).var(ddof=1) / len(low))
    return float(above.mean()), error
