"""Pairs of texts in one look, drawn while training, in batches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr.config import SourceConfig
from ocr.data.sampler import Planned
from ocr.data.sources import Sample, Source
from synth.pipeline import Streams
from synth.style.pairs import GROUND, Pair, Pairs, fitted

_FAR = 2**40  # no source has so many samples


class PairSource(Source):
    """A recipe drawn as pairs; pair i is that of the recipe's stream, so it never repeats.

    Args:
        config: a source with a recipe; its overrides come last.
        seed: of the stream, in the place of the recipe's own.
        height: of the pictures in pixels, in the place of the recipe's own.

    Raises:
        ScriptoriumError: the recipe, or what it names, cannot be used.
    """

    def __init__(self, config: SourceConfig, seed: int, height: int) -> None:
        from synth.recipe import Recipe

        assert config.recipe is not None
        self.name = config.name
        overrides = [f"seed={seed}", f"layout.height={height}", *config.overrides]
        if config.fonts:
            overrides.insert(0, "fonts.paths=" + json.dumps([str(path) for path in config.fonts]))
        self._pairs = Pairs(Recipe.load(config.recipe, corpus=config.corpus, overrides=overrides))

    def pair(self, index: int) -> Pair:
        """Pair `index`, from 0. Raises ScriptoriumError."""
        return self._pairs[index]

    def sample(self, index: int) -> Sample:
        """The whole of a pair's second text; see `Source.sample`."""
        pair = self.pair(index)
        return Sample(np.asarray(pair.fused, np.uint8), pair.label, f"{self.name}: pair {index}")


@dataclass
class StyleBatch:
    """What a training step takes: `uint8`, N × H × W × channels.

    Attributes:
        images: 4 channels: the look, and the plain text.
        ink, skeleton, mask: 1 channel.
        text, background, fused: 3 channels; see `Pair`.
        keys: names of the pairs.
        skipped: none ever: what cannot be drawn ends the run.
    """

    images: NDArray[np.uint8]
    ink: NDArray[np.uint8]
    skeleton: NDArray[np.uint8]
    text: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    background: NDArray[np.uint8]
    fused: NDArray[np.uint8]
    keys: list[str]
    skipped: list[tuple[int, str, str]] = field(default_factory=list)


def batch_of(pairs: Sequence[Pair], keys: Sequence[str]) -> StyleBatch:
    """A batch of pairs of one size."""

    def stacked(name: str) -> Any:
        found = np.stack([getattr(pair, name) for pair in pairs])
        return found[..., None] if found.ndim == 3 else found

    images = np.concatenate([stacked("style"), stacked("target")], axis=3)
    parts = {name: stacked(name) for name in ("ink", "skeleton", "text", "mask", "background", "fused")}
    return StyleBatch(images, **parts, keys=list(keys))


class PairPreparer:
    """Draws pairs and brings them to one width; a pure function of the plan and the seed.

    May be pickled with its sources; that is how it comes into a worker process.

    Args:
        sources: as the draws number them.
        width: of the pictures, pixels.
        seed: of the run.
    """

    def __init__(self, sources: Sequence[PairSource], width: int, seed: int) -> None:
        self._sources, self._width = list(sources), width
        self._streams = Streams(seed)

    def __call__(self, step: int, planned: Planned) -> StyleBatch:
        """The batch of a step. Raises ScriptoriumError: see `PairSource.pair`."""
        pairs, keys = [], []
        for number, index in planned.draws:
            source = self._sources[number]
            rng = self._streams.at(step, number * _FAR + index)
            pairs.append(windowed(source.pair(index), self._width, rng))
            keys.append(f"{source.name}: pair {index}")
        return batch_of(pairs, keys)


def windowed(pair: Pair, width: int, rng: np.random.Generator | None = None) -> Pair:
    """A pair at another width: beyond its own the look goes on as `fitted` says, without a second text.

    Args:
        pair: as `Pairs` gives it.
        width: pixels.
        rng: where a wider pair is cut; None: at the right.

    Returns:
        The pair; `units` and `polygons` are as before.
    """
    own = pair.mask.shape[1]
    start = int(rng.integers(own - width + 1)) if rng is not None and own > width else 0

    def cut(name: str, beyond: int | None) -> NDArray[Any]:
        part = getattr(pair, name)[:, start : start + width]
        if beyond is None or own >= width:
            return np.ascontiguousarray(fitted(part, width))
        shape = (part.shape[0], width - own, *part.shape[2:])
        return np.concatenate([part, np.full(shape, beyond, np.uint8)], axis=1)

    background = cut("background", None)
    fused = pair.fused[:, start : start + width]
    if own < width:
        fused = np.concatenate([fused, background[:, own:]], axis=1)
    return Pair(
        style=cut("style", None),
        ink=cut("ink", None),
        target=cut("target", GROUND),
        skeleton=cut("skeleton", 0),
        text=cut("text", GROUND),
        background=background,
        fused=np.ascontiguousarray(fused),
        mask=cut("mask", 0),
        label=pair.label,
        units=pair.units,
        polygons=pair.polygons,
        style_label=pair.style_label,
    )
