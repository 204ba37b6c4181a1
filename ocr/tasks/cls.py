"""How pictures stand: lines on their head, pages on their side."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ocr.config import ClsConfig
from ocr.data.cls import ClsBatch, TurnPreparer, open_pictures, turned
from ocr.data.sampler import Endless, Passes, Stream, build_plan
from ocr.data.sources import FileSource, Source
from ocr.engine.distributed import Group
from ocr.engine.transfer import Transfer, begin_by_name
from ocr.infer import direction
from ocr.infer.direction import ClsModelBackend
from ocr.models.cls import build_classifier
from ocr.spec import ClsSpec
from ocr.tasks.base import Batches, Evaluation, Task, gathered, prepared_ahead, versions

_TOGETHER = 32  # pictures in memory


def _alike(index: int) -> int:
    """All views are of one width."""
    return 1


class Direction(Task):
    """The direction task of a configuration.

    Args:
        config: see `ClsConfig`.
        group: the processes that train together.
        log: where lines for people go.
        data: open the training data; without it there is only evaluation.

    Raises:
        ScriptoriumError: the configuration or the data cannot be used.
    """

    spec: ClsSpec

    def __init__(self, config: ClsConfig, group: Group, log: Callable[[str], None], *, data: bool = True) -> None:
        import paddle

        self.config, self._log = config, log
        paddle.seed(config.Global.seed)
        # The optimiser's state is stored by the parameters' unique names: they must not depend on what was made before.
        with paddle.utils.unique_name.guard():
            self.model = build_classifier(
                config.Architecture,
                len(config.PostProcess.label_list),
                config.Preprocess.channels,
            )
        self.spec = ClsSpec(
            name=config.Global.name,
            architecture=config.Architecture.model_dump(mode="json"),
            preprocess=config.Preprocess,
            postprocess=config.PostProcess,
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
        self._preparer = TurnPreparer(
            self.sources,
            config.Train.views,
            config.Preprocess,
            config.PostProcess,
            config.Train.augment,
            config.Global.seed,
        )

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
        """See `Task.keep`: views as the network took them, and by how many degrees they were turned."""
        import cv2

        folder.mkdir(parents=True, exist_ok=True)
        lines = []
        for number, (image, chosen, key) in enumerate(zip(batch.images, batch.classes, batch.keys, strict=True)):
            cv2.imwrite(str(folder / f"{number:04d}.png"), image)
            lines.append(f"{number:04d}.png\t{self.spec.postprocess.label_list[chosen]}\t{key}\n")
        (folder / "labels.tsv").write_text("".join(lines), encoding="utf-8")

    def evaluate(self) -> Evaluation | None:
        """See `Task.evaluate`."""
        if not self.config.Eval.sources:
            return None
        return evaluate(direction.Direction(ClsModelBackend(self.model, self.spec)), self.config)


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
