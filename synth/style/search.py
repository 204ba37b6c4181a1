"""A recipe's parameters searched so that its samples measure like real crops.

Many samples are drawn, each with one value of every parameter: an operation applied or not, one contrast instead of a
range. For every real crop those that measure most like it are picked, and shares and ranges become those of the picked
ones: approximate Bayesian computation (Pritchard et al. 1999), whose posterior over all crops is the next prior, as in
the EM algorithm and the cross-entropy method (Rubinstein 1999). A parameter that makes no difference to what is
measured is picked as it was drawn, and stays.

What so many parameters at once leave unclear, a descent settles: one parameter after another is moved, and stays where
the distance to the real crops falls. All recipes are compared with the same random numbers.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from augment.pixel import dump_ops, parse_ops
from synth.pipeline import Pipeline
from synth.recipe import Recipe
from synth.sample import Sample
from synth.style.measure import Measures, Unmeasurable, measure
from synth.style.twosample import Rows, Scale

Values: TypeAlias = dict[str, Any]
"""A recipe as plain data."""

Key: TypeAlias = tuple[str, ...]

_TRIES = 1000  # samples of a round
_POOL = 240  # different texts among them: opening faces takes most of the time
_JUDGED = 160  # samples by which recipes are compared
_PICKED = 6  # samples for each crop
_MOVES = 350  # of the descent, each judged by `_JUDGED` samples
_GAIN = 0.005  # of the distance, below which a move is not worth its while
_EAGER = 2.5  # times what one step of EM would change shares, as in overrelaxed EM
_RARE, _COMMON = 0.1, 0.9  # between which a share is tried
_WIDER = 0.5  # half widths by which ranges are tried beyond their ends,
_BEYOND = 0.05  # and shares of all that a range may be
_LEVELS = np.linspace(0.06, 0.94, 9)  # quantiles at whose values distributions are compared
_REMEMBERED = 4096  # pictures whose measures are kept
_NAMES = Measures.names()


def _at(values: Any, key: Key) -> Any:
    for part in key:
        values = values[part]
    return values


def _put(values: Any, key: Key, value: Any) -> None:
    _at(values, key[:-1])[key[-1]] = value


@dataclass(frozen=True, slots=True)
class Share:
    """How often something is done."""

    key: Key

    def draw(self, values: Values, tried: Values, rng: np.random.Generator) -> float:
        """Do it or not in `tried`; 1 or 0."""
        done = float(rng.random() < self._odds(values))
        _put(tried, self.key, done)
        return done

    def _odds(self, values: Values) -> float:
        return min(max(float(_at(values, self.key)), _RARE), _COMMON)

    def learn(self, values: Values, drawn: NDArray[np.float64], picked: NDArray[np.intp]) -> None:
        """Change `values` to the share among what was picked, the odds of the trial allowed for."""
        now, odds = float(_at(values, self.key)), self._odds(values)
        if odds == _RARE:
            now = max(now, 0.02)  # what never happens would never begin
        elif odds == _COMMON:
            now = min(now, 0.98)
        share = float(drawn[picked].mean())
        done, left = now * (share / odds) ** _EAGER, (1 - now) * ((1 - share) / (1 - odds)) ** _EAGER
        _put(values, self.key, done / max(done + left, 1e-9))

    def moves(self, values: Values, step: float) -> list[Any]:
        """Other shares near the one that `values` has; `step` 1: far, 0: none."""
        now = float(_at(values, self.key))
        return [share for share in (min(now + 0.4 * step, 1.0), max(now - 0.4 * step, 0.0)) if share != now]


@dataclass(frozen=True, slots=True)
class Span:
    """A range.

    Attributes:
        key: where it stands.
        low, high: between which it is searched.
        log: whether steps are factors.
        share: what decides whether the range is used at all; empty: it always is.
    """

    key: Key
    low: float
    high: float
    log: bool = False
    share: Key = ()

    def _place(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def _value(self, place: float) -> float:
        place = min(max(place, 0.0), 1.0)
        return self.low * (self.high / self.low) ** place if self.log else self.low + (self.high - self.low) * place

    def _tried(self, values: Values) -> tuple[float, float]:
        low, high = (self._place(end) for end in _at(values, self.key))
        more = _WIDER * (high - low) / 2 + _BEYOND
        return max(low - more, 0.0), min(high + more, 1.0)

    def draw(self, values: Values, tried: Values, rng: np.random.Generator) -> float:
        """Take one value in `tried`; where it lies, 0 to 1."""
        low, high = self._tried(values)
        place = low + (high - low) * rng.random()
        value = self._value(place)
        whole = isinstance(_at(values, self.key)[0], int)
        _put(tried, self.key, [round(value) if whole else value] * 2)
        return place

    def learn(self, values: Values, drawn: NDArray[np.float64], picked: NDArray[np.intp]) -> None:
        """Change `values` towards the range of what was picked, as far as crops have made a difference.

        Args:
            values: the recipe.
            drawn: places of the samples in which the range was used; else not a number.
            picked: crops × samples.
        """
        found = drawn[picked]
        found = found[np.isfinite(found).sum(1) >= 3]
        if len(found) < 5:
            return
        low, high = self._tried(values)
        chance = (high - low) ** 2 / 12
        each = np.nanmean(found, 1)
        flat = found[np.isfinite(found)]
        # Picked by chance, their means over a crop's picks vary by this.
        alone = chance / np.isfinite(found).sum(1).mean()
        between = (float(each.var()) - alone) / max(chance - alone, 1e-9)
        narrower = 1 - float(flat.var()) / chance
        shifted = abs(float(flat.mean()) - (low + high) / 2) / ((high - low) / 2)
        told = min(max(2 * between, narrower, shifted), 1.0)
        old = [self._place(end) for end in _at(values, self.key)]
        new = np.quantile(flat, (0.06, 0.94)).tolist()
        middle, half = (new[0] + new[1]) / 2, (new[1] - new[0]) / 2 / 0.88
        ends = [self._value(o + told * (n - o)) for o, n in zip(old, (middle - half, middle + half), strict=True)]
        if isinstance(_at(values, self.key)[0], int):
            ends = [round(end) for end in ends]
        _put(values, self.key, ends)

    def moves(self, values: Values, step: float) -> list[Any]:
        """Ranges with one end moved, where the range is used at all; see `Share.moves`."""
        if self.share and not _at(values, self.share):
            return []
        now = _at(values, self.key)
        low, high = (self._place(end) for end in now)
        far = step * max(0.5 * (high - low), 0.1)
        found = []
        for ends in ((low + far, high), (low, high - far), (low - far, high), (low, high + far)):
            moved = [self._value(end) for end in sorted(ends)]
            found.append([round(end) for end in moved] if isinstance(now[0], int) else moved)
        return [ends for ends in found if ends != now]


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of several kinds, of which one is taken."""

    key: Key

    def _odds(self, values: Values) -> NDArray[np.float64]:
        weights = np.array([max(weight, 0.0) for weight in _at(values, self.key).values()])
        return np.asarray(0.7 * weights / weights.sum() + 0.3 / len(weights))

    def draw(self, values: Values, tried: Values, rng: np.random.Generator) -> float:
        """Take one kind in `tried`; its number."""
        odds = self._odds(values)
        chosen = int(np.searchsorted(odds.cumsum(), rng.random() * odds.sum()))
        _put(tried, self.key, {kind: float(k == chosen) for k, kind in enumerate(_at(values, self.key))})
        return float(chosen)

    def learn(self, values: Values, drawn: NDArray[np.float64], picked: NDArray[np.intp]) -> None:
        """Change `values` to the shares among what was picked, the odds of the trial allowed for."""
        kinds = _at(values, self.key)
        weights = np.array([max(weight, 0.0) for weight in kinds.values()])
        counts = np.bincount(drawn[picked].ravel().astype(np.intp), minlength=len(weights))
        picks = counts / max(counts.sum(), 1) / self._odds(values)
        found = picks**_EAGER * np.maximum(weights / weights.sum(), 0.02)
        _put(values, self.key, dict(zip(kinds, (found / max(found.sum(), 1e-9)).tolist(), strict=True)))

    def moves(self, values: Values, step: float) -> list[Any]:
        """Weights with one kind's share larger or smaller; see `Share.moves`."""
        kinds = _at(values, self.key)
        found = []
        for kind, weight in kinds.items():
            rest = sum(w for k, w in kinds.items() if k != kind)
            share = weight / (weight + rest)
            for other in (min(share + 0.3 * step, 1.0), max(share - 0.3 * step, 0.0)):
                if other != share and rest > 0:
                    found.append({k: other if k == kind else w / rest * (1 - other) for k, w in kinds.items()})
        return found


Parameter: TypeAlias = Share | Span | Weights

# Operations that are searched, in the order in which those that a recipe lacks are put in, with the keys to search.
_OPS: dict[str, tuple[tuple[str, float, float, bool], ...]] = {
    "bleed": (("amount", 0.0, 1.0, False),),
    "fade": (("strength", 0.0, 0.9, False),),
    "illumination": (("slope", 0.0, 0.8, False),),
    "brightness_contrast": (("contrast", 0.3, 1.5, False),),
    "blur": (("sigma", 0.15, 3.0, True),),
    "scatter": (("amount", 0.0, 0.5, False), ("sigma", 1.0, 6.0, True)),
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


# What takes parts of letters away or puts others beside them. The descent makes it rarer and weaker, never the reverse:
# it would bring uneven ink about by holes in it.
_HARMFUL: Final = frozenset(
    {"surroundings", "worn", "fade", "thermal", "streaks", "fold", "shadow", "specks", "binarise"}
)

# What can be read off measures, and is searched no further than by the descent; see `corrected`.
_READ_OFF: tuple[Parameter, ...] = (
    Span(("layout", "margin_x"), -0.1, 2.0),
    Span(("layout", "margin_y"), -0.15, 0.44),
    Span(("colour", "luminance"), 0.0, 255.0),
    Span(("colour", "contrast"), 5.0, 255.0),
    Span(("geometry", "rotation", "degrees"), -12.0, 12.0),
)


def parameters(recipe: Recipe, *, coloured: bool, aspect: bool) -> list[Parameter]:
    """What is searched of a recipe that `prepared` gave; what can be read off is not, see `corrected`.

    Args:
        recipe: the recipe.
        coloured: whether any real crop has colours.
        aspect: whether the width of letters is known of real crops.
    """
    found: list[Parameter] = [
        Share(("layout", "spacing_share")),
        Span(("layout", "spacing"), -0.05, 0.5, share=("layout", "spacing_share")),
        Share(("ink", "weight_share")),
        Span(("ink", "weight"), -0.08, 0.12, share=("ink", "weight_share")),
        Span(("ink", "opacity"), 0.3, 1.0),
        *(Share(("surroundings", side)) for side in ("above", "below", "beside", "rule")),
        Span(("background", "strength"), 0.0, 1.0),
    ]
    for section, name, key, low, high in (
        ("ink", "worn", "amount", 0.0, 0.7),
        ("ink", "textured", "strength", 0.0, 1.0),
        ("geometry", "shear", "slant", -0.4, 0.5),
    ):
        found += [Share((section, name, "p")), Span((section, name, key), low, high, share=(section, name, "p"))]
    if len(recipe.background.kinds) > 1:
        found.append(Weights(("background", "kinds")))
    if coloured:
        found += [Share(("colour", "coloured")), Share(("colour", "ink_coloured"))]
        found.append(Span(("colour", "saturation"), 0.0, 1.0))
    if aspect:
        found += [
            Share(("geometry", "stretch", "p")),
            Span(("geometry", "stretch", "factor"), 0.5, 2.0, True, ("geometry", "stretch", "p")),
        ]
    for name in recipe.degrade:
        share = ("degrade", name, "p")
        if name in _OPS or name in _SHARES:
            found.append(Share(share))
        found += [Span(("degrade", name, key), low, high, log, share) for key, low, high, log in _OPS.get(name, ())]
    if recipe.output.encoding == "jpeg":
        found.append(Span(("output", "quality"), 20, 100))
    return found


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

    def trial(self, values: Values, index: int) -> NDArray[np.float64] | None:
        """Measures of one sample of a recipe; None where it cannot be read, drawn or measured."""
        # Refused samples would be drawn again and again, and at last in black on white, whatever the recipe says.
        values["legibility"]["attempts"] = 1
        try:
            sample = self.samples(Recipe.from_values(values), [index])[0]
        except ScriptoriumError:
            return None
        finally:
            self._step(1)
        return None if sample.meta.get("plain") else self.row(sample)

    def try_rows(self, values: Values, indexes: Sequence[int]) -> Rows | None:
        """The same as `rows`; None where it raises."""
        try:
            return self.rows(values, indexes)
        except Refuted:
            return None

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
    """How many samples `search` draws at most that has so many rounds and recipes to begin from."""
    return _JUDGED * (starts + rounds + (_MOVES if rounds else 0)) + rounds * _TRIES


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
        self._real = self._below(real)

    def _below(self, rows: Rows) -> NDArray[np.float64]:
        edges = self._edges[None]
        return np.asarray(((rows[:, None] < edges) + 0.5 * (rows[:, None] == edges)).mean(0))

    def distance(self, rows: Rows) -> float:
        """Mean squared difference of the distribution functions."""
        return float(((self._below(rows) - self._real) ** 2).mean())


def search(
    simulator: Simulator,
    starts: Sequence[Values],
    searched: Sequence[Parameter],
    real: Rows,
    used: Sequence[int],
    rounds: int,
    rng: np.random.Generator,
) -> Values:
    """The recipe whose samples measure most like real crops, of some to begin from and one more for each round.

    Args:
        simulator: draws and measures.
        starts: recipes as `prepared` gives them; rounds go on from the last of them.
        searched: what may change, beside what `corrected` sets.
        real: measures of real crops.
        used: columns of the measures that count.
        rounds: of trial and learning.
        rng: draws the trials.

    Raises:
        ScriptoriumError: samples can be drawn with none of `starts`.
    """
    columns = list(used)
    found: list[tuple[Values, Rows]] = []
    for values in starts:
        if (rows := simulator.try_rows(values, range(_JUDGED))) is not None:
            found.append((values, rows))
    if not found:
        # What went wrong, the recipe itself says.
        simulator.samples(Recipe.from_values(starts[0]), range(_JUDGED))
        raise ScriptoriumError("no text can be told from its ground on most samples; give another --base")
    values, rows = found[-1]
    for _ in range(rounds):
        values = corrected(learnt(simulator, values, searched, real, columns, rng), real, rows)
        if (rows_now := simulator.try_rows(values, range(_JUDGED))) is None:
            break
        rows = rows_now
        found.append((values, rows))
    goal = Goal(real[:, columns], np.concatenate([made for _, made in found])[:, columns])
    best = min(found, key=lambda one: goal.distance(one[1][:, columns]))[0]
    return descended(simulator, best, [*_READ_OFF, *searched], goal, columns) if rounds else best


def descended(
    simulator: Simulator, values: Values, searched: Sequence[Parameter], goal: Goal, columns: Sequence[int]
) -> Values:
    """The recipe with one parameter after another moved to where its samples are nearer to the goal.

    Args:
        simulator: draws and measures.
        values: a recipe that samples can be drawn with.
        searched: what may move.
        goal: what is minimised.
        columns: of the measures that it compares.
    """

    def judged(values: Values) -> float:
        rows = simulator.try_rows(values, range(_JUDGED))
        return math.inf if rows is None else goal.distance(rows[:, list(columns)])

    left, step = _MOVES - 1, 1.0
    nearest = judged(values)
    while left > 0 and step > 0.2:
        for parameter in searched:
            moves = parameter.moves(values, step)
            if not _HARMFUL.isdisjoint(parameter.key):
                moves = [moved for moved in moves if np.max(moved) <= np.max(_at(values, parameter.key))]
            for moved in moves[:left]:
                left -= 1
                other = deepcopy(values)
                _put(other, parameter.key, moved)
                if (distance := judged(other)) < (1 - _GAIN) * nearest:
                    values, nearest = other, distance
        step /= 2
    return values


def learnt(
    simulator: Simulator,
    values: Values,
    searched: Sequence[Parameter],
    real: Rows,
    columns: Sequence[int],
    rng: np.random.Generator,
) -> Values:
    """One round: samples are tried around a recipe, those like real crops picked, and its parameters set to theirs."""
    tried: list[NDArray[np.float64]] = []
    draws: list[list[float]] = []
    for turn in range(_TRIES):
        trial = deepcopy(values)
        drawn = [parameter.draw(values, trial, rng) for parameter in searched]
        for k, parameter in enumerate(searched):
            if isinstance(parameter, Span) and parameter.share and not _at(trial, parameter.share):
                drawn[k] = math.nan
        row = simulator.trial(trial, turn % _POOL)
        if row is not None:
            tried.append(row)
            draws.append(drawn)
    if len(tried) < 10 * _PICKED:
        return values
    made, table = np.array(tried)[:, list(columns)], np.array(draws)
    scale = Scale(real[:, list(columns)], made)
    picked = _nearest(scale(real[:, list(columns)]), scale(made))
    values = deepcopy(values)
    before = deepcopy(values)
    for k, parameter in enumerate(searched):
        changed = deepcopy(before)
        parameter.learn(changed, table[:, k], picked)
        _put(values, parameter.key, _at(changed, parameter.key))
    return values


def _nearest(real: Rows, made: Rows) -> NDArray[np.intp]:
    """For each crop the samples that are nearest: crops × `_PICKED`."""
    away = (real**2).sum(1)[:, None] - 2 * real @ made.T + (made**2).sum(1)[None]
    return np.asarray(np.argsort(away, axis=1, kind="stable")[:, :_PICKED])


def corrected(values: Values, real: Rows, made: Rows) -> Values:
    """The recipe with the ranges that a measure speaks for moved by what samples lack of real crops.

    These are margins, luminance, contrast and rotation.

    Args:
        values: the recipe.
        real: measures of real crops, all columns.
        made: the same of samples with these ranges.
    """
    values = deepcopy(values)
    layout, colour, rotation = values["layout"], values["colour"], values["geometry"]["rotation"]
    sides = margins(real), margins(made)
    column = {name: (real[:, k], made[:, k]) for k, name in enumerate(_NAMES)}
    for section, key, share, low, high, (wanted, there) in (
        (layout, "margin_x", 0.05, -0.1, 2.0, tuple(side[:, [0, 2]].ravel() for side in sides)),
        (layout, "margin_y", 0.05, -0.15, 0.44, tuple(side[:, [1, 3]].ravel() for side in sides)),
        (colour, "luminance", 0.1, 0.0, 255.0, column["luminance"]),
        (colour, "contrast", 0.1, 5.0, 255.0, column["contrast"]),
        (rotation, "degrees", 0.1, -12.0, 12.0, column["angle"]),
    ):
        lacking = np.quantile(wanted, (share, 1 - share)) - np.quantile(there, (share, 1 - share))
        ends = np.clip(np.array(section[key]) + lacking, low, high)
        section[key] = sorted(ends.tolist())
    return values


def margins(rows: Rows) -> Rows:
    """Left, top, right and bottom margins over the height of the image."""
    sides = rows[:, [_NAMES.index(side) for side in ("left", "top", "right", "bottom")]]
    return np.asarray(sides / (1 + sides[:, 1:2] + sides[:, 3:4]))
