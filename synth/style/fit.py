"""A recipe fitted to real crops: measured, matched where a measure says what a parameter should be, then searched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from synth.recipe import Recipe
from synth.style.crops import Crop
from synth.style.extract import Unusable, read_crop
from synth.style.measure import Measures, Unmeasurable, jpeg_quality, measure
from synth.style.search import Simulator, Values, decoded, margins, parameters, prepared, runs, search
from synth.style.style import Image
from synth.style.twosample import Likeness, Rows, tell_apart
from synth.text.units import split_units

FEWEST: Final = 20
"""Crops that a fit needs."""

MOST: Final = 600
"""Crops that are measured; of more, so many are chosen."""

_COMPARED: Final = 400  # samples by which recipes are compared at the end
_FRESH: Final = 1 << 20  # their indexes begin here: the search has not seen them
_SHOWN: Final = 24  # pictures that the report shows of each kind
_NAMES: Final = Measures.names()


@dataclass(frozen=True, slots=True)
class RealCrops:
    """What has been measured of real crops.

    Attributes:
        rows: crops × measures, at the height of the recipe's images.
        pictures: some of the crops, at that height.
        quality: of JPEG that the crops show as they are, 100 where they show none; in the middle of them.
        refused: crops that could not be measured, by reason.
        labelled: whether all that were measured had labels.
        left: crops that were not looked at, as there were too many.
    """

    rows: Rows
    pictures: list[Image]
    quality: int
    refused: Counter[str]
    labelled: bool
    left: int


@dataclass(frozen=True, slots=True)
class Fit:
    """What a fit has found.

    Attributes:
        base, recipe: before and after.
        real: the crops.
        rows: measures of samples of both.
        pictures: some of these samples, of both.
        likeness: of real crops and samples of both.
        used: columns of the measures that were compared.
        changes: key, old and new value of what differs, in the recipe's order.
    """

    base: Recipe
    recipe: Recipe
    real: RealCrops
    rows: tuple[Rows, Rows]
    pictures: tuple[list[Image], list[Image]]
    likeness: tuple[Likeness, Likeness]
    used: list[int]
    changes: list[tuple[str, Any, Any]]

    def of(self, base: Recipe) -> Fit:
        """The same with the corpus, fonts and hands of another recipe, as which the base had been drawn."""
        own = {key: value for key, value in base.to_values().items() if key in ("corpus", "fonts", "handwriting")}
        recipe = Recipe.from_values(self.recipe.to_values() | own)
        return replace(self, base=base, recipe=recipe, changes=differences(base, recipe))


def scaled(image: Image, height: int) -> Image:
    """A crop at a height, as the reader scales it: by area to less, linearly to more."""
    if image.shape[0] == height:
        return image
    width = max(round(image.shape[1] * height / image.shape[0]), 1)
    how = cv2.INTER_AREA if image.shape[0] > height else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=how)


def measure_crops(
    crops: Sequence[Crop],
    height: int,
    unit: str,
    rng: np.random.Generator,
    where: str = "",
    step: Callable[[int], Any] = lambda count: None,
) -> RealCrops:
    """Measure real crops at the height of a recipe's images.

    Args:
        crops: see `synth.style.crops.find_crops`.
        height: in pixels.
        unit: what labels are cut into, as `corpus.unit` of a recipe.
        rng: chooses crops where there are more than `MOST`, and those that are kept to be shown.
        where: the crops' origin, for messages.
        step: called after each crop with 1.

    Raises:
        ScriptoriumError: fewer than 20 of them can be measured.
    """
    left = max(len(crops) - MOST, 0)
    if left:
        crops = [crops[k] for k in sorted(rng.choice(len(crops), MOST, replace=False).tolist())]
    rows: list[NDArray[np.float64]] = []
    pictures: list[Image] = []
    qualities: list[int] = []
    refused: Counter[str] = Counter()
    labelled = True
    for crop in crops:
        step(1)
        try:
            image = read_crop(crop.path)
            small = scaled(image, height)
            units = len(split_units(crop.label, unit)) if crop.label else 0  # type: ignore[arg-type]
            rows.append(measure(small, units=units).row())
        except Unusable as problem:
            refused[problem.reason] += 1
            continue
        except Unmeasurable as problem:
            refused[str(problem)] += 1
            continue
        labelled = labelled and units > 0
        pictures.append(small)
        qualities.append(jpeg_quality(image))
    if len(rows) < FEWEST:
        why = ", ".join(f"{count:,} {reason}" for reason, count in refused.most_common())
        raise ScriptoriumError(
            f"{where}: {len(rows):,} of {len(crops):,} crops can be measured{f' ({why})' if why else ''}, and a fit "
            f"needs {FEWEST}; name more pictures of single lines of text"
        )
    chosen = rng.permutation(len(pictures))[:_SHOWN].tolist()
    quality = int(np.median(qualities))
    return RealCrops(np.array(rows), [pictures[k] for k in chosen], quality, refused, labelled, left)


def samples_drawn(rounds: int) -> int:
    """How many samples `fit` draws in its search."""
    return runs(rounds, 2)


def fit(
    base: Recipe, real: RealCrops, *, seed: int = 0, rounds: int = 3, step: Callable[[int], Any] = lambda count: None
) -> Fit:
    """Fit a recipe to crops.

    The corpus, fonts, the height and all that has no effect on what is measured stay as they are.

    Args:
        base: the recipe to start from, with a corpus.
        real: the crops.
        seed: of the search.
        rounds: of the search; 0 takes what measures say at once.
        step: called with the number of samples that have been drawn since.

    Raises:
        ScriptoriumError: nothing can be drawn with the recipe.
    """
    values = prepared(base).to_values()
    values["seed"] = seed
    simulator = Simulator(Recipe.from_values(values), step)
    used = [k for k, name in enumerate(_NAMES) if name != "aspect" or real.labelled]
    chromas = [_NAMES.index(name) for name in ("ground_chroma", "ink_chroma")]
    coloured = bool((real.rows[:, chromas] > 0).any())
    searched = parameters(Recipe.from_values(values), coloured=coloured, aspect=real.labelled)
    rng = np.random.default_rng(seed)
    starts = [values, matched(values, real.rows, coloured)]
    found = search(simulator, starts, searched, real.rows, used, rounds, rng)
    recipe = tidied(found, base, coloured)
    rows, pictures, likeness = [], [], []
    for one in (base, recipe):
        one_values = one.to_values() | {"seed": seed}
        drawn, shown = _drawn(simulator, Recipe.from_values(one_values))
        rows.append(drawn)
        pictures.append(shown)
        likeness.append(tell_apart(real.rows[:, used], drawn[:, used], rng))
    return Fit(
        base=base,
        recipe=recipe,
        real=real,
        rows=(rows[0], rows[1]),
        pictures=(pictures[0], pictures[1]),
        likeness=(likeness[0], likeness[1]),
        used=used,
        changes=differences(base, recipe),
    )


def matched(values: Values, real: Rows, coloured: bool) -> Values:
    """A recipe with what measures of real crops say at once about its parameters.

    Args:
        values: the recipe.
        real: measures of the crops.
        coloured: whether any crop has colours.
    """
    values = deepcopy(values)
    column = dict(zip(_NAMES, real.T, strict=True))

    def span(found: NDArray[np.float64], share: float = 0.03) -> list[float]:
        low, high = np.quantile(found, (share, 1 - share)).tolist()
        return [low, high]

    colour, layout, degrade = values["colour"], values["layout"], values["degrade"]
    colour["luminance"] = span(column["luminance"])
    colour["contrast"] = span(column["contrast"])
    colour["darker"] = float(column["darker"].mean())
    tinted = column["ground_chroma"] >= _TINT, column["ink_chroma"] >= 2 * _TINT
    colour["coloured"], colour["ink_coloured"] = (float(part.mean()) for part in tinted)
    if not coloured:
        degrade["grey"]["p"] = 1.0
    sides = margins(real)
    low, high = span(sides[:, [0, 2]], 0.05)
    # Small ones are more frequent, as the composer draws them.
    layout["margin_x"] = [low, low + (high - low) / 0.9]
    layout["margin_y"] = [min(end, 0.44) for end in span(sides[:, [1, 3]], 0.05)]
    # Ends that few crops reach would turn all of them, as ranges are drawn from evenly.
    low, high = span(column["angle"], 0.15)
    more = (high - low) * 0.15 / 0.7
    values["geometry"]["rotation"] |= {"p": 1.0, "degrees": [max(low - more, -12.0), min(high + more, 12.0)]}
    # Paler ink is in the contrast already.
    values["ink"]["opacity"] = [max(values["ink"]["opacity"][0], 0.85), 1.0]
    for side in ("above", "below"):
        values["surroundings"][side] = float((column[side] > 0.02).mean())
    return values


_TINT = 6.0  # levels between channels from which a colour is one


def tidied(values: Values, base: Recipe, coloured: bool) -> Recipe:
    """A searched recipe as people want to read it: short numbers, and as in the base what makes no difference."""
    plain = prepared(base).to_values()
    values |= {"seed": plain["seed"], "name": f"{base.name}-fitted"}
    _settle(values, plain)
    if not coloured:
        values["colour"] |= {key: plain["colour"][key] for key in ("saturation",)}
    values["degrade"] = {name: op for name, op in values["degrade"].items() if name in base.degrade or op["p"] > 0}
    return Recipe.from_values(values)


def _settle(values: Any, plain: Any) -> None:
    """Round a section's numbers; where its share is none, the rest is as in `plain`."""
    for key, value in values.items():
        before = plain[key]
        if isinstance(value, dict):
            _settle(value, before)
        elif isinstance(value, float):
            values[key] = _short(value, before)
        elif isinstance(value, list) and value and all(isinstance(end, float) for end in value):
            values[key] = [_short(end, old) for end, old in zip(value, before, strict=True)]
    if "p" in values:
        if values["p"] < _NEVER:
            values |= {**plain, "p": 0.0}
        elif values["p"] > 1 - _NEVER:
            values["p"] = 1.0


_NEVER = 0.004


def _short(value: float, before: Any) -> float:
    if isinstance(before, float | int) and abs(value - before) <= 2e-3 * max(abs(before), 0.1):
        return float(before)
    if abs(value) < _NEVER / 4:
        return 0.0
    return float(f"{value:.3g}")


def differences(base: Recipe, recipe: Recipe) -> list[tuple[str, Any, Any]]:
    """Key, old and new value of all but the name that differs between two recipes; None: no such operation."""
    found: list[tuple[str, Any, Any]] = []

    def compare(old: Any, new: Any, key: str) -> None:
        if isinstance(old, dict) and isinstance(new, dict):
            for name in [*old, *(name for name in new if name not in old)]:
                compare(old.get(name), new.get(name), f"{key}.{name}" if key else name)
        elif old != new and key != "name":
            found.append((key, old, new))

    compare(base.to_values(), recipe.to_values(), "")
    return found


def _drawn(simulator: Simulator, recipe: Recipe) -> tuple[Rows, list[Image]]:
    """Measures of samples that the search has not seen, and some of the pictures."""
    samples = simulator.samples(recipe, range(_FRESH, _FRESH + _COMPARED))
    rows = [row for row in map(simulator.row, samples) if row is not None]
    return np.array(rows), [decoded(sample) for sample in samples[:_SHOWN]]
