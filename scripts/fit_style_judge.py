"""Weights by which `synth.style.mask` chooses among a crop's candidates and says how sure it is.

Run from the checkout: `python scripts/fit_style_judge.py [--count N]`. Draws crops of our own recipes, whose ink is
known, in several scripts, looks at all candidates of each, and fits the two tables of `synth/style/mask.py`: the first
so that candidates come in the order of their overlap with the ink (a softmax over each crop's candidates, Cao et al.
2007, "Learning to rank: from pairwise approach to listwise approach"), the second so that it gives the chance that the
first of them has an overlap of 0.65 or more (logistic regression). Two thirds of the crops fit, the others tell how
well; the printed tables are of all of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.compose.composer import Composed, Composer, Draft
from synth.data import data_file
from synth.pipeline import Pipeline
from synth.recipe import Recipe
from synth.style.mask import looked_at

Floats = NDArray[np.float64]

SETS = (
    ("scene", "en", 48, 0.35),
    ("scene", "en", 32, 0.15),
    ("scene", "ar", 48, 0.08),
    ("scene", "kn", 48, 0.08),
    ("scene", "hi", 48, 0.08),
    ("scene", "ja", 48, 0.08),
    ("lowres", "en", 32, 0.1),
    ("document", "en", 40, 0.08),
)
"""Recipe, corpus, height and share of the crops."""

GOOD = 0.65
SHARPNESS = 0.1  # of overlaps, in the softmax that is aimed at


class Watched(Composer):
    """Keeps the ink of the last picture."""

    ink: NDArray[Any]

    def finish(self, draft: Draft, inside: Floats | None) -> Composed:
        """As `Composer.finish`."""
        self.ink = draft.coverage if draft.strokes is None else draft.strokes
        return super().finish(draft, inside)


def crops(recipe: str, corpus: str, height: int, count: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Pictures and the coverage of their ink."""
    texts = data_file(f"corpora/{corpus}.txt")
    pipeline = Pipeline(Recipe.load(recipe, corpus=[Path(texts)], overrides=[f"layout.height={height}", "seed=5"]))
    composer = pipeline._composer = Watched(pipeline.recipe, pipeline._backgrounds)
    for number in range(count):
        image = pipeline.sample(number).image
        if image.shape[:2] == composer.ink.shape:
            yield (cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image), composer.ink


def table(count: int) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Of all candidates of all crops: what is seen, overlap with the ink, and the crop's number."""
    seen, overlaps, owners = [], [], []
    number = 0
    for recipe, corpus, height, share in SETS:
        for image, ink in crops(recipe, corpus, height, round(count * share)):
            for text, features in looked_at(image):
                there = cv2.resize(ink, text.shape[::-1], interpolation=cv2.INTER_LINEAR) >= 128
                either = (there | (text > 0)).sum()
                seen.append(features)
                overlaps.append(float((there & (text > 0)).sum() / max(either, 1)))
                owners.append(number)
            number += 1
        print(f"{recipe} {corpus} {height}: {number} crops so far", flush=True)
    x = np.array(seen)
    return np.hstack((x, x * x, np.ones((len(x), 1)))), np.array(overlaps), np.array(owners)


def logistic(x: Floats, y: Floats, pull: float) -> Floats:
    """Newton's method; `pull` keeps weights near 0."""
    weights = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-(x @ weights)))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + pull * np.eye(len(weights))
        weights -= np.linalg.solve(hessian, x.T @ (p - y) + pull * weights)
    return weights


def ordering(x: Floats, overlaps: Floats, owners: NDArray[np.intp]) -> Floats:
    """Adam on the cross entropy between the two softmaxes of each crop."""
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    sizes = np.diff(np.append(starts, len(owners)))

    def softmax(z: Floats) -> Floats:
        e = np.exp(z - z.max())
        return np.asarray(e / np.repeat(np.add.reduceat(e, starts), sizes))

    wanted = softmax(overlaps / SHARPNESS)
    weights = logistic(x, overlaps**2, 1.0)
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, 401):
        slope = x.T @ (softmax(x @ weights) - wanted) / len(starts) + 1e-3 * weights
        mean, square = 0.9 * mean + 0.1 * slope, 0.99 * square + 0.01 * slope * slope
        weights = weights - 0.05 * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
    return weights


def chosen(x: Floats, weights: Floats, owners: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first candidate of each crop."""
    order = np.lexsort((-(x @ weights), owners))
    return order[np.flatnonzero(np.diff(owners[order], prepend=-1))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1500, help="crops (1500)")
    count = parser.parse_args().count
    cv2.setNumThreads(1)
    x, overlaps, owners = table(count)
    held = owners % 3 == 0
    weights = ordering(x[~held], overlaps[~held], owners[~held])
    first = np.flatnonzero(held)[chosen(x[held], weights, owners[held])]
    most = np.maximum.reduceat(overlaps[held], np.flatnonzero(np.diff(owners[held], prepend=-1)))
    print(
        f"overlap of the first candidate, left-out crops: {overlaps[first].mean():.3f}; of the best {most.mean():.3f}"
    )
    choice = ordering(x, overlaps, owners)
    first = chosen(x, choice, owners)
    good = (overlaps[first] >= GOOD).astype(np.float64)
    belief = logistic(x[first], good, 3.0)
    sure = 1 / (1 + np.exp(-(x[first] @ belief)))
    for low in np.arange(0, 1, 0.2):
        here = (sure >= low) & (sure < low + 0.2)
        share = good[here].mean() if here.any() else 0
        print(f"belief {low:.1f} to {low + 0.2:.1f}: {here.sum()} crops, {share:.0%} good")
    for name, values in (("_CHOICE", choice), ("_BELIEF", belief)):
        print(f"{name}: Final = np.array((\n    {', '.join(f'{value:.2f}' for value in values)},\n))")


if __name__ == "__main__":
    main()
