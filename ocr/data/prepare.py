"""From planned draws to the arrays that a step takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from augment.training import Join, TrainingAugment
from ocr.data.index import Limits
from ocr.data.sampler import Planned
from ocr.data.sources import BrokenSample, Live, Sample, Source, nfc
from ocr.order import runs_left
from synth.pipeline import Streams
from synth.text.charset import UnknownUnit

_JOIN = 2**62  # in the place of a sample: the random stream of a batch as a whole
_FAR = 2**40  # no source has so many samples, and no run draws so many
_TRIES = 20


@dataclass
class Batch:
    """What a training step takes.

    Attributes:
        images: `uint8` N × height × width × channels, padded at the right.
        steps: time steps that belong to each picture, N.
        labels: classes, `int32` N × longest, 0 beyond `lengths`.
        lengths: units in each label, N.
        texts: the labels.
        keys: names of the records.
        sources: number of the source of each.
        skipped: records that could not be used: number of the source, name, what is wrong.
    """

    images: NDArray[np.uint8]
    steps: NDArray[np.int32]
    labels: NDArray[np.int32]
    lengths: NDArray[np.int32]
    texts: list[str]
    keys: list[str]
    sources: list[int]
    skipped: list[tuple[int, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Item:
    source: int
    picture: NDArray[np.uint8]
    text: str
    classes: NDArray[np.int32]
    key: str


_Labelled: TypeAlias = tuple[Sample, NDArray[np.int32]]


class Preparer:
    """Reads, augments and stacks the samples of a batch; a pure function of the plan and the seed.

    May be pickled with its sources; that is how it comes into a worker process.

    Args:
        sources: as the draws number them.
        limits: see `Limits`.
        augment: None: pictures stay as they are.
        seed: of the run.
    """

    def __init__(self, sources: Sequence[Source], limits: Limits, augment: TrainingAugment | None, seed: int) -> None:
        self._sources, self._limits, self._augment = list(sources), limits, augment
        self._streams = Streams(seed)

    def __call__(self, step: int, planned: Planned) -> Batch:
        """The batch of a step.

        Records that cannot be read are left out and named in `Batch.skipped`: a batch never holds a sample that the
        plan does not have.

        Raises:
            ScriptoriumError: a recipe draws nothing that can be trained on.
        """
        items: list[_Item] = []
        skipped: list[tuple[int, str, str]] = []
        for number, draws in groupby(planned.draws, key=lambda draw: draw.source):
            indexes = [draw.index for draw in draws]
            source = self._sources[number]
            found = self._live(source, indexes) if isinstance(source, Live) else self._stored(source, indexes)
            for index, sample in zip(indexes, found, strict=True):
                if isinstance(sample, BrokenSample):
                    skipped.append((number, sample.key, sample.reason))
                else:
                    items.append(self._item(step, number, index, *sample, planned.height))
        return self._stacked(self._joined(step, items, planned.height), skipped)

    def _stored(self, source: Source, indexes: list[int]) -> Iterator[_Labelled | BrokenSample]:
        for index in indexes:
            try:
                sample = source.sample(index)
                yield sample, self._limits.classes(sample)
            except BrokenSample as error:
                yield error

    def _live(self, source: Live, indexes: list[int]) -> list[_Labelled]:
        """Samples of a recipe; in the place of one that training does not take comes another, far off in the stream."""
        found: dict[int, _Labelled] = {}
        left = indexes
        for attempt in range(_TRIES):
            for index, sample in zip(left, source.samples([index + attempt * _FAR for index in left]), strict=True):
                try:
                    found[index] = sample, self._limits.classes(sample)
                except BrokenSample as error:
                    last = error
            left = [index for index in left if index not in found]
            if not left:
                return [found[index] for index in indexes]
        raise ScriptoriumError(
            f"source {source.name}: {_TRIES} texts in a row cannot be trained on, the last: {last.reason}; "
            "let the recipe keep to the dictionary and to Global.max_text_length"
        )

    def _item(
        self, step: int, number: int, index: int, sample: Sample, classes: NDArray[np.int32], height: int
    ) -> _Item:
        limits, image = self._limits, sample.image
        if self._augment is not None:
            # By the sample, not by its place: two processes augment as one with the joint batch would.
            image = self._augment(image, self._streams.at(step, number * _FAR + index))
        picture = limits.preprocess(image, height)
        # A picture made so narrow that its label has no path stays as it was.
        if image is not sample.image and not limits.fits(classes, picture.shape[1]):
            picture = limits.preprocess(sample.image, height)
        return _Item(number, picture, nfc(sample.text), classes, sample.key)

    def _joined(self, step: int, items: list[_Item], height: int) -> list[_Item]:
        """With the probability of `join`, each sample of the batch together with the next of its source.

        All of a batch or none: they stay alike in width.
        """
        join = self._augment.join if self._augment is not None else None
        if join is None or not join.p or not items:
            return items
        rng = self._streams.at(step, _JOIN)
        if rng.random() >= join.p:
            return items
        return [self._pair(item, other, join, rng, height) for item, other in zip(items, _partners(items), strict=True)]

    def _pair(self, item: _Item, other: _Item, join: Join, rng: np.random.Generator, height: int) -> _Item:
        """Two samples as one; the first alone where that would be more than training takes, or of two directions."""
        limits = self._limits
        right_to_left = runs_left(item.text)
        if other is item or runs_left(other.text) != right_to_left:
            return item
        text = item.text + join.separator + other.text
        pictures = [item.picture, other.picture]
        picture = join(pictures[::-1] if right_to_left else pictures, rng)
        try:
            classes = limits.codec.encode(text)
        except UnknownUnit:  # the dictionary has no space
            return item
        width = picture.shape[1]
        narrow = width <= min(limits.max_wh_ratio * height, limits.preprocess.max_width)
        if len(classes) > limits.max_text_length or not narrow or not limits.fits(classes, width):
            return item
        return _Item(item.source, picture, text, classes, f"{item.key} + {other.key}")

    def _stacked(self, items: list[_Item], skipped: list[tuple[int, str, str]]) -> Batch:
        preprocess, stride = self._limits.preprocess, self._limits.time_stride
        widths = [preprocess.padded_width(item.picture.shape[1]) for item in items]
        lengths = np.array([len(item.classes) for item in items], np.int32)
        labels = np.zeros((len(items), int(lengths.max(initial=1))), np.int32)
        for row, item in zip(labels, items, strict=True):
            row[: len(item.classes)] = item.classes
        pictures = [item.picture for item in items]
        images = (
            preprocess.stack(pictures, max(widths)) if items else np.zeros((0, 0, 0, preprocess.channels), np.uint8)
        )
        return Batch(
            images,
            np.array(widths, np.int32) // stride,
            labels,
            lengths,
            [item.text for item in items],
            [item.key for item in items],
            [item.source for item in items],
            skipped,
        )


def _partners(items: list[_Item]) -> list[_Item]:
    """For each sample the next of its source; the first one for the last."""
    first = {item.source: item for item in reversed(items)}
    following = [*items[1:], items[0]]
    return [
        after if after.source == item.source and after is not items[0] else first[item.source]
        for item, after in zip(items, following, strict=True)
    ]
