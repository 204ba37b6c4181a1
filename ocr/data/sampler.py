"""Which samples make which batch: a pure function of (seed, step, rank).

A source with an end is a stream of passes, each in an order of its own; a live one is the endless stream of its recipe.
Steps are planned in chunks. A chunk takes the next stretch of each stream, sorts it by width and cuts it into as many
groups as the chunk has steps; one permutation, the same for all sources, deals the groups to the steps. So a batch
holds similar widths, every sample comes once in a pass, and the counts per source are exact.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.config import Sampler

CHUNK = 32
"""Steps that are planned together: more bring the widths in a batch closer, fewer mix them better."""

_PASS, _DEAL, _HEIGHT, _EPOCH = range(4)


class Draw(NamedTuple):
    """One sample of a batch: number of the source, index in it."""

    source: int
    index: int  # type: ignore[assignment]  # nobody looks for a value in it


@dataclass(frozen=True)
class Planned:
    """A batch before it is read.

    Attributes:
        draws: its samples, those of one source in a row.
        height: of the pictures, pixels.
    """

    draws: list[Draw]
    height: int


class Stream(ABC):
    """The samples of one source in the order of training."""

    @abstractmethod
    def stretch(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Indexes of positions `start` to `stop`, and a measure of their widths."""


class Passes(Stream):
    """A source with an end, reshuffled in each pass.

    Args:
        indexes: the samples to use.
        widths: of these, in pixels.
        seed: of the run.
        number: of the source.
        easy_first: so many samples at the beginning of the first pass come narrow ones first.
    """

    def __init__(
        self,
        indexes: NDArray[np.int64],
        widths: NDArray[np.int64],
        seed: int,
        number: int,
        easy_first: int = 0,
    ) -> None:
        self._indexes, self._widths, self._easy_first = indexes, widths, easy_first
        self._seed, self._number = seed, number
        self._orders: dict[int, NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return len(self._indexes)

    def stretch(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """See `Stream.stretch`."""
        count = len(self._indexes)
        parts = []
        while start < stop:
            turn, at = divmod(start, count)
            part = self._order(turn)[at : at + stop - start]
            parts.append(part)
            start += len(part)
        chosen = np.concatenate(parts)
        return self._indexes[chosen], self._widths[chosen].astype(np.float64)

    def _order(self, turn: int) -> NDArray[np.int64]:
        if turn not in self._orders:
            order = _rng(self._seed, _PASS, self._number, turn).permutation(len(self._indexes))
            if turn == 0:
                first = order[: self._easy_first]
                order[: self._easy_first] = first[np.argsort(self._widths[first], kind="stable")]
            # A stretch may reach into the next pass.
            self._orders = {t: found for t, found in self._orders.items() if abs(t - turn) == 1} | {turn: order}
        return self._orders[turn]


class Endless(Stream):
    """A live source: position and index are one.

    Args:
        length: units of the text at an index.
    """

    def __init__(self, length: Callable[[int], int]) -> None:
        self._length = length

    def stretch(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """See `Stream.stretch`."""
        indexes = np.arange(start, stop)
        return indexes, np.array([self._length(int(index)) for index in indexes], np.float64)


class Plan(ABC):
    """Batches by step.

    Attributes:
        steps_per_epoch: how many batches make an epoch.
    """

    steps_per_epoch: int

    def __init__(self, heights: Sequence[int], seed: int, rank: int, size: int) -> None:
        self._heights, self._seed = tuple(heights), seed
        self._rank, self._size = rank, size
        self._chunk_at = -1
        self._chunk: list[list[Draw]] = []

    def batch(self, step: int) -> Planned:
        """The batch of a step, from 0, for this process."""
        chunk, at = self._locate(step)
        if chunk != self._chunk_at:
            self._chunk, self._chunk_at = self._deal(chunk), chunk
        return Planned(self._chunk[at], self._height(step))

    def _locate(self, step: int) -> tuple[int, int]:
        return divmod(step, CHUNK)

    @abstractmethod
    def _deal(self, chunk: int) -> list[list[Draw]]:
        """The batches of a chunk."""

    def _height(self, step: int) -> int:
        if len(self._heights) == 1:
            return self._heights[0]
        epoch, at = divmod(step, self.steps_per_epoch)
        # Every height as often as the others, in an order that each epoch draws anew, the same in all processes.
        block, within = divmod(at, len(self._heights))
        return self._heights[int(_rng(self._seed, _HEIGHT, epoch, block).permutation(len(self._heights))[within])]


_Epoch: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


class MixedBatch(Plan):
    """Exact counts per source in every batch.

    Args:
        streams: one per source.
        counts: samples of each source in the batch of one process.
        steps_per_epoch: see `Plan`.
        heights: that the batches take turns in.
        seed: of the run.
        rank, size: of this process, and how many there are.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        counts: Sequence[int],
        steps_per_epoch: int,
        heights: Sequence[int],
        seed: int,
        rank: int = 0,
        size: int = 1,
    ) -> None:
        super().__init__(heights, seed, rank, size)
        self._streams, self.counts, self.steps_per_epoch = streams, tuple(counts), steps_per_epoch

    def _deal(self, chunk: int) -> list[list[Draw]]:
        batches: list[list[Draw]] = [[] for _ in range(CHUNK)]
        steps = _rng(self._seed, _DEAL, chunk).permutation(CHUNK)
        for number, (stream, count) in enumerate(zip(self._streams, self.counts, strict=True)):
            wide = count * self._size
            indexes, widths = stream.stretch(chunk * CHUNK * wide, (chunk + 1) * CHUNK * wide)
            ordered = indexes[np.argsort(widths, kind="stable")].reshape(CHUNK, wide)
            # Processes wait for each other in every step: each takes every so-manyeth, so that their widths agree.
            for step, group in zip(steps, ordered[:, self._rank :: self._size], strict=True):
                batches[step] += [Draw(number, index) for index in group.tolist()]
        return batches


class Ratio(Plan):
    """Shares of each source per epoch.

    Args:
        streams: one per source, each with an end.
        shares: samples of each source in an epoch.
        batch: samples in the batch of one process.
        heights: that the batches take turns in.
        seed: of the run.
        rank, size: of this process, and how many there are.

    Attributes:
        left_out: samples at the end of each epoch that make no whole batch; other ones every time.

    Raises:
        ScriptoriumError: an epoch is smaller than a batch.
    """

    def __init__(
        self,
        streams: Sequence[Passes],
        shares: Sequence[int],
        batch: int,
        heights: Sequence[int],
        seed: int,
        rank: int = 0,
        size: int = 1,
    ) -> None:
        super().__init__(heights, seed, rank, size)
        self._streams, self.shares, self._wide = streams, tuple(shares), batch * size
        self.steps_per_epoch, self.left_out = divmod(sum(shares), self._wide)
        if not self.steps_per_epoch:
            raise ScriptoriumError(
                f"Train.sampler: an epoch has {sum(shares)} samples, less than a batch of {self._wide}; "
                "take a smaller Train.loader.batch_size_per_card or larger ratios"
            )
        self._per_epoch = -(-self.steps_per_epoch // CHUNK)
        self._epoch_at = -1
        self._epoch: _Epoch | None = None

    def _locate(self, step: int) -> tuple[int, int]:
        epoch, at = divmod(step, self.steps_per_epoch)
        chunk, within = divmod(at, CHUNK)
        return epoch * self._per_epoch + chunk, within

    def _shuffled(self, epoch: int) -> _Epoch:
        """Source, index and width of the samples of an epoch."""
        parts = []
        for number, (stream, share) in enumerate(zip(self._streams, self.shares, strict=True)):
            if share:
                indexes, widths = stream.stretch(epoch * share, (epoch + 1) * share)
                parts.append((np.full(share, number), indexes, widths))
        order = _rng(self._seed, _EPOCH, epoch).permutation(sum(self.shares))
        sources, indexes, widths = (np.concatenate(arrays)[order] for arrays in zip(*parts, strict=True))
        return sources, indexes, widths

    def _deal(self, chunk: int) -> list[list[Draw]]:
        epoch, within = divmod(chunk, self._per_epoch)
        if self._epoch is None or epoch != self._epoch_at:
            self._epoch, self._epoch_at = self._shuffled(epoch), epoch
        sources, indexes, widths = self._epoch
        first = within * CHUNK
        count = min(CHUNK, self.steps_per_epoch - first)
        span = slice(first * self._wide, (first + count) * self._wide)
        order = np.argsort(widths[span], kind="stable")
        groups = np.stack([sources[span][order], indexes[span][order]], 1).reshape(count, self._wide, 2)
        groups = groups[:, self._rank :: self._size]
        steps = _rng(self._seed, _DEAL, chunk).permutation(count)
        batches: list[list[Draw]] = [[]] * count
        for step, group in zip(steps, groups, strict=True):
            batches[step] = [Draw(*row) for row in group[np.argsort(group[:, 0], kind="stable")].tolist()]
        return batches


def build_plan(
    sampler: Sampler,
    names: Sequence[str],
    streams: Sequence[Stream],
    batch: int,
    height: int,
    seed: int,
    *,
    rank: int = 0,
    size: int = 1,
) -> MixedBatch | Ratio:
    """The plan that a configuration describes.

    Args:
        sampler: see `Sampler`.
        names: of the sources, in order.
        streams: of the sources.
        batch: samples in the batch of one process.
        height: of the pictures where the sampler names none.
        seed: of the run.
        rank, size: of this process, and how many there are.

    Raises:
        ScriptoriumError: an epoch has no length, or is smaller than a batch.
    """
    heights = sampler.heights or (height,)
    passes = [stream for stream in streams if isinstance(stream, Passes)]
    if sampler.name == "Ratio":
        if sampler.epoch_size:
            # Rounded where they end, so that together they are the epoch.
            ends = np.rint(np.cumsum(sampler.ratio_list) / sum(sampler.ratio_list) * sampler.epoch_size)
            shares = np.diff(ends, prepend=0).astype(int).tolist()
        else:
            shares = [round(len(stream) * ratio) for stream, ratio in zip(passes, sampler.ratio_list, strict=True)]
        return Ratio(passes, shares, batch, heights, seed, rank, size)
    mix = sampler.mix or {names[0]: 1}
    part = batch // sum(mix.values())
    counts = [mix[name] * part for name in names]
    if sampler.epoch_size:
        steps = max(1, sampler.epoch_size // (batch * size))
    elif passes:
        parts = [(s, c) for s, c in zip(streams, counts, strict=True) if isinstance(s, Passes)]
        steps = max(1, max(len(stream) // (count * size) for stream, count in parts))
    else:
        raise ScriptoriumError("Train.sampler.epoch_size: is missing; a recipe has no end, so say how long an epoch is")
    return MixedBatch(streams, counts, steps, heights, seed, rank, size)


def _rng(seed: int, *place: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=place)))
