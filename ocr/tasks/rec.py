"""Recognition of text lines and words."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from augment.errors import ScriptoriumError
from augment.training import TrainingAugment
from ocr.codec import Codec
from ocr.config import Config, SourceConfig
from ocr.data.loader import Loader
from ocr.data.prepare import Batch, Preparer
from ocr.data.sampler import Plan, build_plan
from ocr.data.sources import Limits, Source, open_source
from ocr.engine import checkpoint as store
from ocr.engine.distributed import Group
from ocr.engine.trainer import arrays
from ocr.engine.transfer import Transfer, check_share, transfer
from ocr.infer.recogniser import ModelBackend, Recogniser
from ocr.losses.ctc import CTCLoss
from ocr.metrics.recognition import RecognitionMetric
from ocr.models.build import build_model
from ocr.spec import ModelSpec
from ocr.tasks.base import Evaluation, Task
from synth.text.charset import Charset

_LIBRARIES = ("scriptorium", "paddlepaddle", "paddlepaddle-gpu", "numpy", "opencv-python-headless")
_CHUNK = 1024  # evaluation pictures held in memory at a time


class Recognition(Task):
    """The recognition task of a configuration.

    Args:
        config: see `Config`.
        group: the processes that train together.
        log: where lines for people go.
        data: open the training data; without it there is only evaluation.

    Raises:
        ScriptoriumError: the configuration, the dictionary or the data cannot be used.
    """

    def __init__(self, config: Config, group: Group, log: Callable[[str], None], *, data: bool = True) -> None:
        import paddle

        self.config, self._group = config, group
        settings = config.Global
        self.charset = Charset.from_file(settings.character_dict_path, space=settings.use_space_char)
        self.codec = Codec(self.charset)
        paddle.seed(settings.seed)
        # The optimiser's state is stored by the parameters' unique names: they must not depend on what was made before.
        with paddle.utils.unique_name.guard():
            self.model = build_model(config.Architecture, self.codec.classes, config.Preprocess.channels)
        self._loss = CTCLoss()
        self.spec = ModelSpec(
            name=settings.name,
            architecture=config.Architecture.model_dump(mode="json"),
            preprocess=config.Preprocess,
            decoder=config.PostProcess,
            units=self.charset.units,
            time_stride=self.model.time_stride,
            versions=_versions(),
        )
        if config.Preprocess.width_step % self.model.time_stride:
            raise ScriptoriumError(
                f"Preprocess.width_step: {config.Preprocess.width_step} is no multiple of the network's "
                f"{self.model.time_stride} pixels per time step"
            )
        self.sources: list[Source] = []
        if data:
            limits = Limits(
                codec=self.codec,
                preprocess=config.Preprocess,
                time_stride=self.model.time_stride,
                max_text_length=settings.max_text_length,
                max_wh_ratio=settings.max_wh_ratio,
            )
            self.sources = [open_source(source, limits, settings.seed) for source in config.Train.sources]
            self.plan: Plan = build_plan(config.Train, self.sources, settings.seed, group.rank, group.size)
            self.steps_per_epoch = self.plan.steps_per_epoch
            augment = None if config.Train.augment is None else TrainingAugment(config.Train.augment)
            self._preparer = Preparer(config.Preprocess, self.codec, augment, settings.seed)
        self._log = log

    def begin_from(self, path: Path) -> Transfer:
        """Begin from the weights of another run.

        Raises:
            ScriptoriumError: no model there, or less than half of it fits.
        """
        folder = store.resolve(path)
        spec, weights = store.load_model(folder)
        merged, found = transfer(
            arrays(self.model.state_dict()), weights, self.model.class_axes(), self.codec.row_map(spec.units)
        )
        check_share(found, str(folder), self.config.Global.allow_partial)
        import paddle

        self.model.set_state_dict({name: paddle.to_tensor(value) for name, value in merged.items()})
        return found

    @contextmanager
    def batches(self, start: int) -> Iterator[Loader]:
        loader = self.config.Train.loader
        with contextlib.closing(
            Loader(self.plan, self._preparer, self.sources, loader.num_workers, loader.prefetch, start=start)
        ) as batches:
            yield batches

    def loss(self, batch: Batch) -> tuple[Any, int]:
        import paddle

        images = paddle.to_tensor(normalised(batch.images, self.config))
        steps = batch.widths // self.model.time_stride
        found = self._loss(self.model(images), batch.labels, batch.lengths, steps)
        return found, len(batch.texts)

    def keep(self, batch: Batch, folder: Path) -> None:
        import cv2

        folder.mkdir(parents=True, exist_ok=True)
        for number, (image, text, key) in enumerate(zip(batch.images, batch.texts, batch.keys, strict=True)):
            cv2.imwrite(str(folder / f"{number:04d}.png"), image)
            with (folder / "labels.tsv").open("a", encoding="utf-8") as file:
                file.write(f"{number:04d}.png\t{text}\t{key}\n")

    def evaluate(self) -> Evaluation | None:
        sources = self.config.Eval.sources
        if not sources:
            return None
        reader = Recogniser(ModelBackend(self.model, self.spec))
        return evaluate(reader, sources, self.config)


def evaluate(reader: Recogniser, sources: tuple[SourceConfig, ...], config: Config) -> Evaluation:
    """Read all of the evaluation sources and compare with their raw labels; nothing is left out.

    Returns:
        Figures of each source (`name/acc`, …; without the name where there is one source) and, of several, their mean; `details` holds
        a `RecognitionMetric` by source name.
    """
    settings = config.Metric
    metrics: dict[str, RecognitionMetric] = {}
    for source_config in sources:
        source = open_source(source_config, None, config.Global.seed)
        metric = metrics[source_config.name] = RecognitionMetric(
            settings.fold_case, settings.fold_punctuation, settings.ignore_space
        )
        for first in range(0, len(source), _CHUNK):
            samples = [source.sample(i) for i in range(first, min(first + _CHUNK, len(source)))]
            readings = reader.read([sample.image for sample in samples])
            for sample, reading in zip(samples, readings, strict=True):
                metric.add(reading.text, sample.text, confidence=reading.confidence, key=sample.key)
    figures: dict[str, float] = {}
    results = {name: metric.result() for name, metric in metrics.items()}
    names = ("acc", "cer", "norm_edit_dis")
    for kind in names:
        values = [float(result[kind]) for result in results.values()]
        if len(results) > 1:
            figures |= {f"{name}/{kind}": value for name, value in zip(results, values, strict=True)}
        figures[kind] = float(np.mean(values))
    main = settings.main_indicator
    return Evaluation(figures, figures[main], main != "cer", metrics)


def normalised(images: Any, config: Config) -> Any:
    """`uint8` N × H × W × C as the network takes them: `float32` N × C × H × W."""
    preprocess = config.Preprocess
    floats = np.transpose(images, (0, 3, 1, 2)).astype(np.float32)
    floats -= np.float32(preprocess.mean)
    floats /= np.float32(preprocess.scale)
    return floats


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
