"""Detection of texts in pages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from augment.errors import ScriptoriumError
from ocr.config import DBLoss, DetConfig, EASTLoss, PSELoss
from ocr.data.det import DEFAULT_OPS, DetBatch, Draw, SquarePreparer, read_page
from ocr.data.sampler import Passes, build_plan
from ocr.data.sources import BrokenSample, FileSource, open_source
from ocr.data.targets import DBTargets, EASTTargets, PSETargets, db_targets, east_targets, pse_targets
from ocr.engine import checkpoint as store
from ocr.engine.distributed import Group
from ocr.engine.transfer import Transfer, begin_by_name
from ocr.infer.detector import Detector, MapModelBackend
from ocr.losses.det import db_loss, east_loss, pse_loss
from ocr.metrics.detection import DetectionMetric
from ocr.models.det import build_detector
from ocr.spec import DetSpec
from ocr.tasks.base import Batches, Evaluation, Task, gathered, prepared_ahead, versions


class Detection(Task):
    """The detection task of a configuration.

    Args:
        config: see `DetConfig`.
        group: the processes that train together.
        log: where lines for people go.
        data: open the training data; without it there is only evaluation.

    Raises:
        ScriptoriumError: the configuration or the data cannot be used.
    """

    spec: DetSpec

    def __init__(self, config: DetConfig, group: Group, log: Callable[[str], None], *, data: bool = True) -> None:
        import paddle

        self.config, self._log = config, log
        paddle.seed(config.Global.seed)
        # The optimiser's state is stored by the parameters' unique names: they must not depend on what was made before.
        with paddle.utils.unique_name.guard():
            self.model = build_detector(config.Architecture, config.Preprocess.channels)
        self.spec = DetSpec(
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
        self.sources: list[FileSource] = []
        streams = []
        for number, source_config in enumerate(config.Train.sources):
            source = open_source(source_config)
            assert isinstance(source, FileSource)
            self.sources.append(source)
            count = len(source)
            self._log(f"source   {source.name}: {count:,} pages")
            streams.append(Passes(np.arange(count), np.ones(count, np.int64), config.Global.seed, number))
            self._check_first(source)
        loader = config.Train.loader
        self.plan = build_plan(
            config.Train.sampler,
            [source.name for source in self.sources],
            streams,
            loader.batch_size_per_card,
            config.Train.crop.size,
            config.Global.seed,
            rank=group.rank,
            size=group.size,
        )
        self.steps_per_epoch = self.plan.steps_per_epoch
        ops = config.Train.augment
        self._preparer = SquarePreparer(
            self.sources,
            config.Train.crop,
            self._draw(),
            config.Preprocess,
            DEFAULT_OPS if ops == {} else ops,
            config.Global.seed,
            config.Train.copy_paste,
        )

    def _draw(self) -> Draw:
        ratio, least = self.config.Train.crop.shrink_ratio, self.config.Train.crop.min_side
        match self.config.Architecture.algorithm:
            case "PSE":
                return partial(pse_targets, kernels=self.model.head.kernels, shrink_ratio=ratio, min_side=least)
            case "EAST":
                return partial(east_targets, shrink_ratio=ratio, min_side=least)
            case _:
                return partial(db_targets, shrink_ratio=ratio, min_side=least)

    def _check_first(self, source: FileSource) -> None:
        """Labels of another kind are of no use at all: say so at once, not after so many batches."""
        try:
            read_page(source, 0)
        except BrokenSample as error:
            raise ScriptoriumError(
                f"source {source.name}: {error}; a detector wants label files with a path, a tab and "
                '[{"transcription": …, "points": …}, …]'
            ) from None

    def begin_from(self, path: Path) -> Transfer:
        """Begin from the weights of another run.

        Raises:
            ScriptoriumError: no model there, or less than half of it fits.
        """
        DetSpec.load(store.resolve(path))  # of a detector
        return begin_by_name(self.model, path, self.config.Global.allow_partial)

    def batches(self, start: int) -> AbstractContextManager[Batches]:
        """See `Task.batches`."""
        return prepared_ahead(self.plan.batch, self._preparer, self.sources, self.config.Train.loader, start, self._log)

    def loss(self, batch: DetBatch) -> tuple[Any, int]:
        """See `Task.loss`."""
        import paddle

        weights, targets = self.config.Loss, batch.targets
        images = paddle.to_tensor(self.config.Preprocess.normalise(batch.images))
        if isinstance(targets, PSETargets) and isinstance(weights, PSELoss):
            found = pse_loss(
                self.model,
                images,
                targets.kernels,
                targets.counted,
                text_weight=weights.text_weight,
                ohem_ratio=weights.ohem_ratio,
            )
        elif isinstance(targets, EASTTargets) and isinstance(weights, EASTLoss):
            found = east_loss(
                self.model,
                images,
                targets.score,
                targets.counted,
                targets.geometry,
                geometry_weight=weights.geometry_weight,
                angle_weight=weights.angle_weight,
                ohem_ratio=weights.ohem_ratio,
            )
        else:
            assert isinstance(targets, DBTargets) and isinstance(weights, DBLoss)
            found = db_loss(
                self.model,
                images,
                targets.shrunk,
                targets.counted,
                targets.border,
                targets.bordered,
                alpha=weights.alpha,
                beta=weights.beta,
                ohem_ratio=weights.ohem_ratio,
            )
        return found, len(batch.keys)

    def keep(self, batch: DetBatch, folder: Path) -> None:
        """See `Task.keep`: squares as the network took them, and what they were to teach."""
        import cv2

        folder.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(batch.images):
            cv2.imwrite(str(folder / f"{number:04d}.png"), image)
            cv2.imwrite(str(folder / f"{number:04d}-core.png"), batch.targets.core[number] * 255)
        lines = [f"{number:04d}.png\t{key}\n" for number, key in enumerate(batch.keys)]
        (folder / "keys.tsv").write_text("".join(lines), encoding="utf-8")

    def evaluate(self) -> Evaluation | None:
        """See `Task.evaluate`."""
        if not self.config.Eval.sources:
            return None
        return evaluate(Detector(MapModelBackend(self.model, self.spec)), self.config)


def evaluate(detector: Detector, config: DetConfig) -> Evaluation:
    """Find the texts of all evaluation pages and compare; nothing is left out.

    Raises:
        BrokenSample: a page or its label cannot be read: the figures would mean nothing.

    Returns:
        Figures of each source (`name/hmean`, …; without the name where there is one source) and, of several, their
        mean; `details` holds a `DetectionMetric` by source name.
    """
    metrics: dict[str, DetectionMetric] = {}
    for source_config in config.Eval.sources:
        source = open_source(source_config)
        assert isinstance(source, FileSource)
        metric = metrics[source.name] = DetectionMetric()
        for index in range(len(source)):
            page = read_page(source, index)
            found = detector.find(page.image)
            metric.add([one.polygon for one in found], page.polygons, page.texts, key=page.key)
        source.close()
    figures = gathered({name: metric.result() for name, metric in metrics.items()}, ("hmean", "precision", "recall"))
    return Evaluation(figures, figures[config.Metric.main_indicator], True, metrics)
