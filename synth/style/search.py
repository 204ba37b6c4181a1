"""A recipe's parameters searched so that its samples measure like real crops.

As in indirect inference by simulated moments (McFadden 1989; Gouriéroux, Monfort & Renault 1993): samples of many
settings around one tell how the distribution of every measure moves with each parameter; from that linear model damped
least squares within the parameters' bounds gives the next setting. Steps that do not help are not taken.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from augment.pixel import dump_ops, parse_ops
from synth.pipeline import Pipeline
from synth.recipe import Recipe
from synth.sample import Sample
from synth.style.measure import Unmeasurable, measure
from synth.style.twosample import Rows

Values: TypeAlias = dict[str, Any]
"""A recipe as plain data."""

Key: TypeAlias = tuple[str | int, ...]

Place: TypeAlias = NDArray[np.float64]
"""A setting of all knobs, each 0 to 1."""

_TRIES = 240  # settings around one that tell what parameters do, round by round
_EACH = 6  # samples of each
_POOL = 60  # different samples among these
_JUDGED = 240  # samples by which settings are compared
_DAMPINGS = (0.1, 0.5, 2.0)
_REACHES = (0.25, 0.18, 0.12)  # by how much parameters are moved at most
_LEVELS = np.linspace(0.06, 0.94, 7)  # quantiles at whose values distributions are compared
_REMEMBERED = 4096  # pictures whose measures are kept
_SELDOM = 1e-4  # a share so small that it never happens in a search, but draws the same random numbers


@dataclass(frozen=True, slots=True)
class Knob:
    """One number of a recipe.

    Attributes:
        key: where it stands.
        low, high: between which it is searched.
        log: whether steps are factors.
    """

    key: Key
    low: float
    high: float
    log: bool = False

    def get(self, values: Values) -> float:
        """Where it stands, 0 to 1."""
        value = min(max(float(_at(values, self.key)), self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def set(self, values: Values, place: float) -> None:
        """Change a recipe to it."""
        span = self.high - self.low
        value = self.low * (self.high / self.low) ** place if self.log else self.low + span * place
        owner = _at(values, self.key[:-1])
        owner[self.key[-1]] = round(value) if isinstance(owner[self.key[-1]], int) else value


def _at(values: Any, key: Key) -> Any:
    for part in key:
        values = values[part]
    return values


# Operations that are searched, in the order in which those that a recipe lacks are put in, with the keys to search.
_OPS: dict[str, tuple[tuple[str, float, float, bool], ...]] = {
    "bleed": (("amount", 0.0, 1.0, False),),
    "fade": (("strength", 0.0, 0.9, False),),
    "illumination": (("slope", 0.0, 0.8, False),),
    "brightness_contrast": (("contrast", 0.3, 1.5, False),),
    "blur": (("sigma", 0.15, 3.0, True),),
    "downscale": (("factor", 1.0, 3.0, False),),
    "sharpen": (("amount", 0.0, 3.0, False),),
    "noise": (("sigma", 0.3, 30.0, True),),
    "binarise": (("noise", 0.0, 20.0, False),),
    "jpeg": (("quality", 5.0, 97.0, False),),
    "grey": (),
}
# Those of which only the share is searched, where a recipe has them.
_SHARES = ("thermal", "streaks", "fold", "shadow", "specks", "gamma", "sensor")


def prepared(recipe: Recipe) -> Recipe:
    """The recipe with all operations that are searched; those that it lacks have a share of none."""
    values = recipe.to_values()
    degrade: dict[str, Any] = dict(values["degrade"])
    for position, name in enumerate(_OPS):
        if name in degrade:
            continue
        later = set(list(_OPS)[position + 1 :])
        whole = dump_ops(parse_ops({name: {"p": 0.0}}))[name]
        items = list(degrade.items())
        at = next((k for k, (other, _) in enumerate(items) if other in later), len(items))
        degrade = dict([*items[:at], (name, whole), *items[at:]])
    values["degrade"] = degrade
    return Recipe.from_values(values)


def knobs(recipe: Recipe, *, coloured: bool, aspect: bool) -> list[Knob]:
    """What is searched of a recipe that `prepared` gave.

    Args:
        recipe: the recipe.
        coloured: whether any real crop has colours.
        aspect: whether the width of letters is known of real crops.
    """

    def span(*key: str, low: float, high: float, log: bool = False) -> list[Knob]:
        return [Knob((*key, end), low, high, log) for end in (0, 1)]

    def share(*key: str) -> list[Knob]:
        return [Knob(key, _SELDOM, 1.0)]

    found = [
        *span("colour", "luminance", low=0, high=255),
        *span("colour", "contrast", low=0, high=255),
        *share("colour", "darker"),
        *span("layout", "margin_x", low=-0.1, high=2.0),
        *span("layout", "margin_y", low=-0.15, high=0.44),
        *span("layout", "spacing", low=-0.1, high=0.5),
        *share("layout", "spacing_share"),
        *span("ink", "weight", low=-0.08, high=0.12),
        *share("ink", "weight_share"),
        *span("ink", "opacity", low=0.3, high=1.0),
        *share("ink", "worn", "p"),
        *span("ink", "worn", "amount", low=0.0, high=0.7),
        *share("ink", "textured", "p"),
        *span("ink", "textured", "strength", low=0.0, high=1.0),
        *share("surroundings", "above"),
        *share("surroundings", "below"),
        *share("surroundings", "beside"),
        *share("surroundings", "rule"),
        *span("background", "strength", low=0.0, high=1.0),
        *share("geometry", "rotation", "p"),
        *span("geometry", "rotation", "degrees", low=-12, high=12),
        *share("geometry", "shear", "p"),
        *span("geometry", "shear", "slant", low=-0.4, high=0.5),
    ]
    kinds = recipe.background.kinds
    if len(kinds) > 1:
        found += [Knob(("background", "kinds", kind), _SELDOM, 1.0) for kind in kinds]
    if coloured:
        found += share("colour", "coloured") + share("colour", "ink_coloured")
        found += span("colour", "saturation", low=0.0, high=1.0)
    if aspect:
        found += share("geometry", "stretch", "p") + span("geometry", "stretch", "factor", low=0.5, high=2.0, log=True)
    for name in recipe.degrade:
        if name in _OPS or name in _SHARES:
            found.append(Knob(("degrade", name, "p"), 0.0, 1.0))
        for key, low, high, log in _OPS.get(name, ()):
            found += span("degrade", name, key, low=low, high=high, log=log)
    found += [Knob(("degrade", "noise", "coarse"), 0.0, 1.0)]
    if recipe.output.encoding == "jpeg":
        found += span("output", "quality", low=20, high=99)
    return found


def changed(values: Values, knobs: Sequence[Knob], place: Place) -> Values:
    """The recipe at a setting; ranges whose ends have crossed become their middle."""
    values = deepcopy(values)
    for knob, where in zip(knobs, place.tolist(), strict=True):
        knob.set(values, where)
    for low, high in pairwise(knobs):
        if high.key[-1] == 1 and low.key == (*high.key[:-1], 0):
            pair = _at(values, high.key[:-1])
            if pair[0] > pair[1]:
                middle = (pair[0] + pair[1]) / 2
                pair[:] = [round(middle) if isinstance(pair[0], int) else middle] * 2
    return values


class Refuted(Exception):
    """A setting that makes no samples, or none that can be measured."""


class Simulator:
    """Samples of changed recipes, measured.

    Args:
        recipe: see `prepared`; its seed decides the random numbers.
        step: called after each run with the number of samples drawn.

    Raises:
        ScriptoriumError: nothing can be drawn with the recipe.
    """

    def __init__(self, recipe: Recipe, step: Callable[[int], Any] = lambda count: None) -> None:
        self.pipeline = Pipeline(recipe)
        self._step = step
        self._known: OrderedDict[bytes, NDArray[np.float64] | None] = OrderedDict()

    def samples(self, recipe: Recipe, indexes: Sequence[int]) -> list[Sample]:
        """Samples of a changed recipe. Raises ScriptoriumError."""
        return self.pipeline.with_look(recipe).samples(indexes)

    def row(self, sample: Sample) -> NDArray[np.float64] | None:
        """Measures of a sample as it would be stored; None where it has none.

        With the same random numbers, most parameters leave most pictures as they are: those are not measured again.
        """
        if sample.encoded not in self._known:
            try:
                self._known[sample.encoded] = measure(decoded(sample), units=len(sample.units)).row()
            except Unmeasurable:
                self._known[sample.encoded] = None
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return self._known[sample.encoded]

    def rows(self, values: Values, indexes: Sequence[int]) -> Rows:
        """Measures of the samples of a recipe, of those that have some.

        Raises:
            Refuted: half of them or more have none.
        """
        try:
            rows = [self.row(sample) for sample in self.samples(Recipe.from_values(values), indexes)]
        except ScriptoriumError as error:
            raise Refuted(str(error)) from None
        finally:
            self._step(len(indexes))
        found = [row for row in rows if row is not None]
        if 2 * len(found) < len(indexes):
            raise Refuted("text can be told from its ground in less than half of the samples")
        return np.array(found)


def decoded(sample: Sample) -> NDArray[Any]:
    """The picture as it would be stored: height × width × 3."""
    return np.asarray(cv2.imdecode(np.frombuffer(sample.encoded, np.uint8), cv2.IMREAD_COLOR))


def runs(rounds: int, starts: int) -> int:
    """How many samples `search` draws that has so many rounds and settings to begin from."""
    return _JUDGED * starts + rounds * (_TRIES * _EACH + _JUDGED * (len(_DAMPINGS) + 1))


class Goal:
    """How far distributions of measures are from those of real crops.

    Distribution functions are compared at values of each measure that part what is known, half of it real and half
    made, into equal shares: that makes measures of all kinds comparable.

    Args:
        real: crops × measures.
        made: samples × measures.
    """

    def __init__(self, real: Rows, made: Rows) -> None:
        self._edges = np.concatenate((np.quantile(real, _LEVELS, axis=0), np.quantile(made, _LEVELS, axis=0)))
        self._real = self.below(real).mean(0)

    def below(self, rows: Rows) -> NDArray[np.float64]:
        """Where each sample lies: samples × all edges of all measures, 1 where it is below, ½ on an edge."""
        edges = self._edges[None]
        lies = (rows[:, None] < edges) + 0.5 * (rows[:, None] == edges)
        return np.asarray(lies.reshape(len(rows), -1), np.float64)

    def missed(self, rows: Rows) -> NDArray[np.float64]:
        """Differences of the distribution functions; their squares sum up to the mean over measures and edges."""
        return np.asarray((self.below(rows).mean(0) - self._real) / math.sqrt(self._edges.size))

    def effects(self, rows: Rows, moves: NDArray[np.float64]) -> NDArray[np.float64]:
        """How `missed` changes with each knob, by least squares: differences × knobs.

        Args:
            rows: measures of samples of many settings.
            moves: of each sample, by how much each knob had been moved.
        """
        seen = self.below(rows) / math.sqrt(self._edges.size)
        moves = moves - moves.mean(0)
        square = moves.T @ moves
        square += 0.05 * float(np.trace(square)) / max(len(square), 1) * np.eye(len(square))
        return np.asarray(np.linalg.solve(square, moves.T @ (seen - seen.mean(0))).T)


def search(
    simulator: Simulator,
    values: Values,
    knobs: Sequence[Knob],
    places: Sequence[Place],
    real: Rows,
    used: Sequence[int],
    rounds: int,
    rng: np.random.Generator,
) -> Place:
    """The setting whose samples measure most like real crops, as far as `rounds` rounds lead.

    Args:
        simulator: draws and measures.
        values: the recipe.
        knobs: what may change.
        places: to begin from: the best of them is taken.
        real: measures of real crops.
        used: columns of the measures that count.
        rounds: of a linear model and a step each.
        rng: moves the knobs.

    Raises:
        ScriptoriumError: samples can be drawn at none of `places`.
    """
    real = real[:, list(used)]

    def rows(place: Place, indexes: Sequence[int]) -> Rows | None:
        try:
            return simulator.rows(changed(values, knobs, place), indexes)[:, list(used)]
        except Refuted:
            return None

    judged = range(_JUDGED)
    found = [(place, here) for place in places if (here := rows(place, judged)) is not None]
    if not found:
        # What went wrong, the recipe itself says.
        simulator.samples(Recipe.from_values(changed(values, knobs, places[0])), judged)
        raise ScriptoriumError("no text can be told from its ground on most samples; give --base another recipe")
    place, here = _nearest(Goal(real, np.concatenate([made for _, made in found])), found)
    for number in range(rounds):
        goal = Goal(real, here)
        reach = _REACHES[min(number, len(_REACHES) - 1)]
        seen: list[Rows] = []
        moves: list[NDArray[np.float64]] = []
        for turn in range(_TRIES):
            moved = np.clip(place + reach * (2 * rng.random(len(place)) - 1), 0, 1)
            # The same few texts and faces again and again: opening others would take most of the time.
            first = turn * _EACH % _POOL
            if (tried := rows(moved, range(first, first + _EACH))) is not None:
                seen.append(tried)
                moves += [moved - place] * len(tried)
        if not seen:
            break
        effects = goal.effects(np.concatenate(seen), np.array(moves))
        missed = goal.missed(here)
        steps = [place, *(_damped(effects, missed, place, damping) for damping in _DAMPINGS)]
        found = [(step, made) for step in steps if (made := rows(step, judged)) is not None]
        if found:
            place, here = _nearest(goal, found)
    return place


def _nearest(goal: Goal, found: Sequence[tuple[Place, Rows]]) -> tuple[Place, Rows]:
    return min(found, key=lambda one: float((goal.missed(one[1]) ** 2).sum()))


def _damped(effects: NDArray[np.float64], missed: NDArray[np.float64], place: Place, damping: float) -> Place:
    """The setting that a linear model asks for, held back by `damping`; no knob beyond its bounds.

    Knobs that would leave their bounds are put on them, and the others solved for again.
    """
    free = np.ones(len(place), bool)
    step = np.zeros(len(place))
    hold = damping * float((effects**2).sum()) / max(len(place), 1) + 1e-9
    for _ in range(8):
        left = missed + effects[:, ~free] @ step[~free]
        part = effects[:, free]
        step[free] = np.linalg.solve(part.T @ part + hold * np.eye(int(free.sum())), -part.T @ left)
        beyond = free & ((place + step < 0) | (place + step > 1))
        if not beyond.any():
            break
        step[beyond] = np.clip(place + step, 0, 1)[beyond] - place[beyond]
        free &= ~beyond
    return np.asarray(np.clip(place + step, 0, 1))
