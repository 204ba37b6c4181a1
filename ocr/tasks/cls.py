"""Classifiers: how pictures stand (lines on their head, pages on their side), and of what kind lines are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from augment.training import TrainingAugment
from ocr.config import ClsConfig, KindConfig
from ocr.data.cls import ClsBatch, KindPreparer, Preparer, TurnPreparer, open_pictures, turned
from ocr.data.sampler import Endless, Passes, Stream, build_plan
from ocr.data.sources import FileSource, Source
from ocr.engine.distributed import Group
from ocr.engine.transfer import Transfer, begin_by_name
from ocr.infer import direction
from ocr.infer.classifier import ClsModelBackend
from ocr.infer.kind import Kinds
from ocr.models.cls import build_classifier
from ocr.spec import ClsSpec, KindSpec
from ocr.tasks.base import Batches, Evaluation, Task, gathered, prepared_ahead, versions

_TOGETHER = 32  # pictures in memory

_C = TypeVar("_C", ClsConfig, KindConfig)


def _alike(index: int) -> int:
    """All views are of one width."""
    return 1


class Classification(Task, Generic[_C]):
    """What the tasks of classifiers share.

    Args:
        config: see `ClsConfig` and `KindConfig`.
        group: the processes that train together.
        log: where lines for people go.
        data: open the training data; without it there is only evaluation.

    Raises:
        ScriptoriumError: the configuration or the data cannot be used.
    """

    spec: ClsSpec | KindSpec

    def __init__(self, config: _C, group: Group, log: Callable[[str], None], *, data: bool = True) -> None:
        import paddle

        self.config: _C = config
        self._log = log
        paddle.seed(config.Global.seed)
        # The optimiser's state is stored by the parameters' unique names: they must not depend on what was made before.
        with paddle.utils.unique_name.guard():
            self.model = build_classifier(
                config.Architecture,
                len(config.PostProcess.label_list),
                config.Preprocess.channels,
            )
        self.spec = self._described(
            name=config.Global.name,
            architecture=config.Architecture.model_dump(mode="json"),
            preprocess=config.Preprocess,
            versions=versions(),
        )
        if data:
            self._open_data(group)

    def _open_data(self, group: Group) -> None:
        config = self.config
        self.sources: list[Source] = []
        streams: list[Stream] = []
        for number, source_config in enumerate(config.Train.sources):
            # Streams of their own, as for recognisers.
            seed = (number + 1) * 2**32 + config.Global.seed
            source = open_pictures(source_config, seed, config.Preprocess.height)
            self.sources.append(source)
            if isinstance(source, FileSource):
                count = len(source)
                self._log(f"source   {source.name}: {count:,} pictures")
                streams.append(Passes(np.arange(count), np.ones(count, np.int64), config.Global.seed, number))
            else:
                self._log(f"source   {source.name}: drawn while training")
                streams.append(Endless(_alike))
        self.plan = build_plan(
            config.Train.sampler,
            [source.name for source in self.sources],
            streams,
            config.Train.loader.batch_size_per_card,
            config.Preprocess.height,
            config.Global.seed,
            rank=group.rank,
            size=group.size,
        )
        self.steps_per_epoch = self.plan.steps_per_epoch
        self._preparer = self._prepared(self.sources)

    @abstractmethod
    def _described(self, **facts: Any) -> ClsSpec | KindSpec:
        """The spec, from what those of all classifiers have."""

    @abstractmethod
    def _prepared(self, sources: Sequence[Source]) -> Preparer:
        """What makes batches of the training sources."""

    def begin_from(self, path: Path) -> Transfer:
        """Begin from the weights of another run, or from a recogniser's or detector's: the backbone is matched.

        Raises:
            ScriptoriumError: no model there, or less than half of it fits.
        """
        return begin_by_name(self.model, path, self.config.Global.allow_partial)

    def batches(self, start: int) -> AbstractContextManager[Batches]:
        """See `Task.batches`."""
        return prepared_ahead(self.plan.batch, self._preparer, self.sources, self.config.Train.loader, start, self._log)

    def loss(self, batch: ClsBatch) -> tuple[Any, int]:
        """See `Task.loss`."""
        import paddle
        from paddle.nn import functional as F

        scores = self.model(paddle.to_tensor(self.config.Preprocess.normalise(batch.images)))
        count = scores.shape[1]
        goal = np.full((len(batch.classes), count), self.config.Loss.label_smoothing / count, np.float32)
        goal[np.arange(len(goal)), batch.classes] += 1 - self.config.Loss.label_smoothing
        return -(F.log_softmax(scores) * paddle.to_tensor(goal)).sum(axis=1).mean(), len(batch.keys)

    def keep(self, batch: ClsBatch, folder: Path) -> None:
        """See `Task.keep`: views as the network took them, and their classes."""
        import cv2

        folder.mkdir(parents=True, exist_ok=True)
        lines = []
        for number, (image, chosen, key) in enumerate(zip(batch.images, batch.classes, batch.keys, strict=True)):
            cv2.imwrite(str(folder / f"{number:04d}.png"), image)
            lines.append(f"{number:04d}.png\t{self.spec.postprocess.label_list[chosen]}\t{key}\n")
        (folder / "labels.tsv").write_text("".join(lines), encoding="utf-8")


class Direction(Classification[ClsConfig]):
    """The direction task of a configuration; arguments and errors: see `Classification`."""

    spec: ClsSpec

    def _described(self, **facts: Any) -> ClsSpec:
        return ClsSpec(**facts, postprocess=self.config.PostProcess)

    def _prepared(self, sources: Sequence[Source]) -> Preparer:
        config = self.config
        return TurnPreparer(
            sources,
            config.Train.views,
            config.Preprocess,
            config.PostProcess,
            config.Train.augment,
            config.Global.seed,
        )

    def evaluate(self) -> Evaluation | None:
        """See `Task.evaluate`."""
        if not self.config.Eval.sources:
            return None
        return evaluate(direction.Direction(ClsModelBackend(self.model, self.spec)), self.config)


class Kind(Classification[KindConfig]):
    """The task of kinds of lines of a configuration; arguments and errors: see `Classification`."""

    spec: KindSpec

    def _described(self, **facts: Any) -> KindSpec:
        return KindSpec(**facts, postprocess=self.config.PostProcess)

    def _prepared(self, sources: Sequence[Source]) -> Preparer:
        config = self.config
        classes = [config.PostProcess.label_list.index(source.kind) for source in config.Train.sources]
        augment = None if config.Train.augment is None else TrainingAugment(config.Train.augment, "Train.augment")
        return KindPreparer(sources, config.Preprocess, classes, augment, config.Global.seed)

    def evaluate(self) -> Evaluation | None:
        """See `Task.evaluate`."""
        if not self.config.Eval.sources:
            return None
        return evaluate_kinds(Kinds(ClsModelBackend(self.model, self.spec)), self.config)


@dataclass
class Counts:
    """What was found of one data set, each of whose pictures was shown in every direction.

    Attributes:
        pictures: of the set.
        shown: pictures × directions.
        right: times that the likeliest direction was the right one.
        upright: times that the picture stood upright after it was turned, or not, by `thresh`.
        spoilt: upright pictures that were turned.
        wrong: name of the picture and the degrees by which it was turned, where the likeliest direction was wrong.
    """

    pictures: int
    shown: int
    right: int
    upright: int
    spoilt: int
    wrong: list[tuple[str, int]]

    def result(self) -> dict[str, float]:
        """Shares: acc, upright; and spoilt, of the pictures that stood upright."""
        return {
            "acc": self.right / self.shown,
            "upright": self.upright / self.shown,
            "spoilt": self.spoilt / self.pictures,
        }


def evaluate(turner: direction.Direction, config: ClsConfig) -> Evaluation:
    """Show all evaluation pictures, which stand upright, in every direction.

    Raises:
        BrokenSample: a picture cannot be read: the figures would mean nothing.

    Returns:
        Figures of each source (`name/acc`, …; without the name where there is one source) and, of several, their mean;
        `details` holds `Counts` by source name.
    """
    found: dict[str, Counts] = {}
    degrees = turner.spec.postprocess.label_list
    for source_config in config.Eval.sources:
        source = open_pictures(source_config)
        assert isinstance(source, FileSource)
        counts = found[source.name] = Counts(len(source), 0, 0, 0, 0, [])
        for first in range(0, len(source), _TOGETHER):
            numbers = range(first, min(first + _TOGETHER, len(source)))
            shown = [(number, by) for number in numbers for by in degrees]
            images = {number: source.sample(number).image for number in numbers}
            rows = turner.probabilities([turned(images[number], by) for number, by in shown])
            for (number, by), row in zip(shown, rows, strict=True):
                best = degrees[int(row.argmax())]
                done = best if row.max() >= turner.thresh else 0
                counts.shown += 1
                counts.right += best == by
                counts.upright += done == by
                counts.spoilt += by == 0 and done != 0
                if best != by:
                    counts.wrong.append((source.key(number), by))
        source.close()
    figures = gathered({name: counts.result() for name, counts in found.items()}, ("acc", "upright", "spoilt"))
    return Evaluation(figures, figures[config.Metric.main_indicator], True, found)


@dataclass
class KindCounts:
    """What was found of one data set.

    Attributes:
        kind: of its lines, a number in `label_list`.
        likeliest: how often each kind was the likeliest.
        chosen: and how often each was as probable as `thresh`.
    """

    kind: int
    likeliest: NDArray[np.int64]
    chosen: NDArray[np.int64]

    @property
    def lines(self) -> int:
        """Of the set."""
        return int(self.likeliest.sum())

    def result(self) -> dict[str, float]:
        """Shares: acc, the likeliest kind was right; chosen, and as probable as `thresh`; wrong, another one was."""
        right = int(self.chosen[self.kind])
        return {
            "acc": int(self.likeliest[self.kind]) / self.lines,
            "chosen": right / self.lines,
            "wrong": (int(self.chosen.sum()) - right) / self.lines,
        }


def evaluate_kinds(kinds: Kinds, config: KindConfig) -> Evaluation:
    """Look at all evaluation lines.

    Raises:
        ScriptoriumError: a source is of a kind that the classifier does not know.
        BrokenSample: a picture cannot be read: the figures would mean nothing.

    Returns:
        Figures as `evaluate` gives them: acc, chosen, wrong; `details` holds `KindCounts` by source name.
    """
    found: dict[str, KindCounts] = {}
    names = kinds.names
    for source_config in config.Eval.sources:
        if source_config.kind not in names:
            raise ScriptoriumError(
                f"source {source_config.name}: is of kind {source_config.kind}; the classifier {kinds.spec.name} tells "
                f"{', '.join(names)}"
            )
        source = open_pictures(source_config)
        assert isinstance(source, FileSource)
        likeliest, chosen = np.zeros((2, len(names)), np.int64)
        for first in range(0, len(source), _TOGETHER):
            numbers = range(first, min(first + _TOGETHER, len(source)))
            rows = kinds.probabilities([source.sample(number).image for number in numbers])
            best = rows.argmax(1)
            likeliest += np.bincount(best, minlength=len(names))
            chosen += np.bincount(best[rows.max(1) >= kinds.thresh], minlength=len(names))
        found[source.name] = KindCounts(names.index(source_config.kind), likeliest, chosen)
        source.close()
    figures = gathered({name: counts.result() for name, counts in found.items()}, ("acc", "chosen", "wrong"))
    return Evaluation(figures, figures[config.Metric.main_indicator], True, found)
