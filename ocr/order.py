"""Units of a line in the order in which a picture shows them, from left to right, and back.

CTC aligns classes with columns of the picture: the labels of right-to-left lines, which are in logical order, have to
be turned for it, and what it reads has to be turned back. A line with a right-to-left letter or an Arabic digit in it
counts as one of a right-to-left paragraph, for which way it runs is then seen from the picture's side, too.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final, NamedTuple

from synth.text.bidi import levels, visual_order
from synth.text.ucd import MIRRORED, bidi_class

_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})


class Placed(NamedTuple):
    """A unit in another order.

    Attributes:
        at: its place in the order that was given.
        unit: what it is there: brackets in right-to-left runs are their own mirror images.
    """

    at: int
    unit: str


def runs_left(text: str) -> bool:
    """Whether a text counts as one of a right-to-left paragraph."""
    return not text.isascii() and any(bidi_class(character) in _RIGHT_TO_LEFT for character in text)


def as_seen(units: Sequence[str], known: Container[str] | None = None) -> list[Placed]:
    """Units of a line from left to right (UAX #9, with L4; a unit goes as its first code point does).

    Args:
        units: in logical order.
        known: the dictionary; a bracket whose mirror image it lacks stays as it is. None: has all.
    """
    if not runs_left("".join(units)):
        return [Placed(at, unit) for at, unit in enumerate(units)]
    found = _levels(units)
    return _kept([_placed(units, at, found[at]) for at in visual_order(found)], units, known)


def as_read(seen: Sequence[str], known: Container[str] | None = None) -> list[Placed]:
    """Units in logical order: the inverse of `as_seen`.

    Where several orders look the same, the one that typed text has. Lines that mix digits, signs and letters of both
    directions closely may come back in another order that looks the same or nearly so.

    Args:
        seen: units from left to right.
        known: see `as_seen`.
    """
    if not runs_left("".join(seen)):
        return [Placed(at, unit) for at, unit in enumerate(seen)]
    candidates = [_turned_again(seen), _turned_whole(seen)]
    for candidate in candidates:
        if [unit for _, unit in as_seen([unit for _, unit in candidate])] == list(seen):
            return _kept(candidate, seen, known)
    return _kept(candidates[-1], seen, known)


def _kept(placed: list[Placed], units: Sequence[str], known: Container[str] | None) -> list[Placed]:
    if known is None:
        return placed
    return [one if one.unit in known else Placed(one.at, units[one.at]) for one in placed]


def _turned_whole(seen: Sequence[str]) -> list[Placed]:
    """Everything turned round, then what runs from left to right turned back: each sees what precedes it."""
    backwards = list(seen)[::-1]
    found = _levels([_mirrored(unit) for unit in backwards])
    order: list[Placed] = []
    start = 0
    for end in range(1, len(backwards) + 1):
        if end == len(backwards) or (found[end] & 1) != (found[start] & 1):
            places = range(start, end) if found[start] & 1 else range(end - 1, start - 1, -1)
            order += [Placed(len(backwards) - 1 - at, _placed(backwards, at, found[at]).unit) for at in places]
            start = end
    return order


def _turned_again(seen: Sequence[str]) -> list[Placed]:
    """What is seen taken for a text: the algorithm undoes itself but for what depends on what precedes."""
    found = _levels(seen)
    return [_placed(seen, at, found[at]) for at in visual_order(found)]


def _levels(units: Sequence[str]) -> list[int]:
    found, _ = levels("".join(units), "rtl")
    at, starts = 0, []
    for unit in units:
        starts.append(found[at])
        at += len(unit)
    return starts


def _placed(units: Sequence[str], at: int, level: int) -> Placed:
    return Placed(at, _mirrored(units[at]) if level & 1 else units[at])


def _mirrored(unit: str) -> str:
    return MIRRORED.get(unit, unit)
