"""Decoding of CTC outputs (Graves et al., 2006)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLANK = 0


@dataclass(frozen=True)
class Path:
    """What was read along the time steps of one picture.

    Attributes:
        classes: one per unit, none of them the blank.
        confidences: per unit, the highest probability along its run.
        steps: per unit, the first time step of its run.
    """

    classes: list[int]
    confidences: list[float]
    steps: list[int]

    @property
    def score(self) -> float:
        """The mean of the confidences; 0 where nothing was read."""
        return sum(self.confidences) / len(self.confidences) if self.confidences else 0.0


def greedy(probabilities: NDArray[np.float32]) -> Path:
    """The likeliest class of each step, runs joined, blanks taken out.

    Args:
        probabilities: T × classes.
    """
    best = probabilities.argmax(1)
    if not len(best):
        return Path([], [], [])
    starts = np.flatnonzero(np.append(True, best[1:] != best[:-1]))
    highest = np.maximum.reduceat(probabilities[np.arange(len(best)), best], starts)
    read = best[starts] != BLANK
    return Path(best[starts][read].tolist(), highest[read].tolist(), starts[read].tolist())
