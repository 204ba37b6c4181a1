"""Decoding of CTC outputs (Graves et al., 2006): the best path, or the best text by prefix beam search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ocr.spec import Decoder

BLANK = 0

PRUNE = 1e-3
"""Classes less probable than this at a time step are left out of the beam search there."""


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


def decode(probabilities: NDArray[np.float32], decoder: Decoder) -> Path:
    """Decode one picture as a model's `Decoder` says.

    Args:
        probabilities: T × classes, each row adding up to 1.
        decoder: see `ocr.spec.Decoder`.
    """
    return decode_batch(probabilities[None], decoder)[0]


def decode_batch(probabilities: NDArray[np.float32], decoder: Decoder) -> list[Path]:
    """Decode pictures of one width, N × T × classes, as a model's `Decoder` says."""
    if decoder.beam:
        return [beam(picture, decoder.beam) for picture in probabilities]
    return greedy_batch(probabilities)


def greedy(probabilities: NDArray[np.float32]) -> Path:
    """The likeliest class of each step, runs joined, blanks taken out.

    Args:
        probabilities: T × classes.
    """
    return greedy_batch(probabilities[None])[0]


def greedy_batch(probabilities: NDArray[np.float32]) -> list[Path]:
    """`greedy` of N pictures at once, N × T × classes: three times as fast for words."""
    return _joined(probabilities, probabilities.argmax(2))


def beam(probabilities: NDArray[np.float32], width: int) -> Path:
    """The likeliest text, which gathers the probability of all its alignments, as far as the beam finds it.

    Confidences and steps are those of the text's likeliest alignment: the same as `greedy` gives where both read the
    same.

    Args:
        probabilities: T × classes, each row adding up to 1.
        width: see `prefix_search`.
    """
    path = greedy(probabilities)
    # The best path is one alignment of its text; where that has more than half of the probability, no text has more.
    if probabilities.max(1).prod(dtype=np.float64) > 0.5:
        return path
    classes, _ = prefix_search(probabilities, width)[0]
    if classes == path.classes:
        return path
    return _joined(probabilities[None], align(probabilities, classes)[None])[0]


def prefix_search(
    probabilities: NDArray[np.float32], width: int, *, prune: float = PRUNE
) -> list[tuple[list[int], float]]:
    """The likeliest texts by prefix beam search (Hannun et al., 2014, without a language model).

    Args:
        probabilities: T × classes, each row adding up to 1.
        width: prefixes kept at each step, at least 1; also the most classes that extend them there.
        prune: classes less probable than this at a step are left out there, the likeliest never. With 0 and a width
            that no step exceeds, the search is exact.

    Returns:
        Up to `width` texts, likeliest first: their classes without blanks, and the natural logarithm of the
        probability of all alignments that the search has followed.
    """
    with np.errstate(divide="ignore"):
        logs = np.log(probabilities.astype(np.float64))
    # A prefix is a number: where its parent stands, and its last class. Number 0 is the empty one.
    parents, lasts = [-1], [BLANK]
    known: dict[tuple[int, int], int] = {}
    prefixes, last = [0], np.array([BLANK])
    # Logarithms of the probability of each prefix with a blank at its end, and with its last unit there.
    blank, unit = np.zeros(1), np.full(1, -np.inf)
    for row, candidates in zip(logs, _candidates(probabilities, width, prune), strict=True):
        either = np.logaddexp(blank, unit)
        stay_blank = either + row[BLANK]
        stay_unit = unit + np.where(last == BLANK, -np.inf, row[last])
        if not len(candidates):
            blank, unit = stay_blank, stay_unit
            continue
        # Without a blank between them, equal classes are one unit.
        extended = np.where(last[:, None] == candidates, blank[:, None], either[:, None]) + row[candidates]
        # A prefix that the beam holds already gains what its parent's extension is worth.
        place = {prefix: at for at, prefix in enumerate(prefixes)}
        parent = np.array([place.get(parents[prefix], -1) for prefix in prefixes])
        column = np.searchsorted(candidates, last).clip(max=len(candidates) - 1)
        (twice,) = np.nonzero((parent >= 0) & (candidates[column] == last))
        from_parent = parent[twice], column[twice]
        stay_unit[twice] = np.logaddexp(stay_unit[twice], extended[from_parent])
        extended[from_parent] = -np.inf

        scores = np.concatenate([np.logaddexp(stay_blank, stay_unit), extended.ravel()])
        best = np.argpartition(-scores, width - 1)[:width] if len(scores) > width else np.arange(len(scores))
        best = best[scores[best] > -np.inf]
        old, new = best[best < len(prefixes)], best[best >= len(prefixes)] - len(prefixes)
        origin, column = np.divmod(new, len(candidates))
        added = []
        for at, number in zip(origin.tolist(), candidates[column].tolist(), strict=True):
            key = prefixes[at], number
            if key not in known:
                known[key] = len(parents)
                parents.append(key[0])
                lasts.append(number)
            added.append(known[key])
        prefixes = [prefixes[at] for at in old.tolist()] + added
        last = np.concatenate([last[old], candidates[column]])
        blank = np.concatenate([stay_blank[old], np.full(len(new), -np.inf)])
        unit = np.concatenate([stay_unit[old], extended[origin, column]])
    either = np.logaddexp(blank, unit)
    texts = []
    for at in np.argsort(-either, kind="stable").tolist():
        prefix, classes = prefixes[at], []
        while prefix:
            classes.append(lasts[prefix])
            prefix = parents[prefix]
        texts.append((classes[::-1], float(either[at])))
    return texts


def align(probabilities: NDArray[np.float32], classes: list[int]) -> NDArray[np.intp]:
    """The likeliest alignment of a text (Viterbi): the class of each time step.

    Args:
        probabilities: T × classes.
        classes: the text, without blanks.

    Raises:
        ValueError: the text needs more steps than there are, or classes that have no probability where it needs them.
    """
    states = np.full(2 * len(classes) + 1, BLANK)
    states[1::2] = classes
    with np.errstate(divide="ignore"):
        emitted = np.log(probabilities[:, states].astype(np.float64))
    # A blank may be left out between units that differ.
    jumps = np.append([-np.inf, -np.inf], np.where((states[2:] != BLANK) & (states[2:] != states[:-2]), 0.0, -np.inf))
    came = np.zeros(emitted.shape, np.int8)
    best = np.append(emitted[0, :2], np.full(len(states) - 2, -np.inf)) if classes else emitted[0]
    columns = np.arange(len(states))
    for step in range(1, len(emitted)):
        options = np.full((3, len(states)), -np.inf)
        options[0] = best
        options[1, 1:] = best[:-1]
        options[2, 2:] = best[:-2] + jumps[2:]
        came[step] = options.argmax(0)
        best = options[came[step], columns] + emitted[step]
    at = len(states) - 1
    if classes and best[at - 1] > best[at]:
        at -= 1
    if best[at] == -np.inf:
        raise ValueError(f"{len(classes)} units cannot be aligned with {len(emitted)} time steps")
    path = np.empty(len(emitted), np.intp)
    for step in range(len(emitted) - 1, -1, -1):
        path[step] = states[at]
        at -= came[step, at]
    return path


def _joined(probabilities: NDArray[np.float32], alignments: NDArray[np.intp]) -> list[Path]:
    """What N alignments, N × T, read: runs joined, blanks taken out."""
    count, steps = alignments.shape
    if not alignments.size:
        return [Path([], [], []) for _ in range(count)]
    begins = np.ones((count, steps), bool)
    begins[:, 1:] = alignments[:, 1:] != alignments[:, :-1]
    starts = np.flatnonzero(begins)
    chances = np.take_along_axis(probabilities, alignments[:, :, None], 2)
    highest = np.maximum.reduceat(chances.ravel(), starts)
    classes = alignments.ravel()[starts]
    read = classes != BLANK
    starts, classes, highest = starts[read], classes[read], highest[read]
    bounds = np.searchsorted(starts, np.arange(count + 1) * steps).tolist()
    values = classes.tolist(), highest.tolist(), (starts % steps).tolist()
    return [Path(*(value[first:end] for value in values)) for first, end in pairwise(bounds)]


def _candidates(probabilities: NDArray[np.float32], width: int, prune: float) -> Iterator[NDArray[np.intp]]:
    """Per time step, the classes other than the blank that are worth following there, ascending."""
    kept = (probabilities >= prune) & (probabilities > 0)
    kept[np.arange(len(kept)), probabilities.argmax(1)] = True
    kept[:, BLANK] = False
    for row, keep in zip(probabilities, kept, strict=True):
        (classes,) = np.nonzero(keep)
        if len(classes) > width:
            classes = np.sort(classes[np.argpartition(row[classes], -width)[-width:]])
        yield classes
