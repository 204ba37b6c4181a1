"""Recognition of text lines and words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from augment.errors import ScriptoriumError
from augment.training import TrainingAugment
from ocr.codec import Codec
from ocr.config import Config, shipped
from ocr.data.index import BROKEN, UNKNOWN, Index, Limits
from ocr.data.prepare import Batch, Preparer
from ocr.data.sampler import Endless, Passes, Ratio, Stream, build_plan
from ocr.data.sources import BrokenSample, FileSource, Live, Sample, open_source
from ocr.engine import checkpoint as store
from ocr.engine.distributed import Group
from ocr.engine.trainer import arrays
from ocr.engine.transfer import Transfer, check_share, transfer
from ocr.infer.backends import ModelBackend
from ocr.infer.recogniser import Recogniser
from ocr.losses.rec import recognition_loss
from ocr.metrics.recognition import RecognitionMetric
from ocr.models.build import build_model
from ocr.spec import ModelSpec
from ocr.tasks.base import Batches, Evaluation, Task, gathered, prepared_ahead, versions
from synth.text.charset import Charset

_CHUNK = 1024  # evaluation pictures held in memory at a time
_SHOWN = 20
_FEW = 3
_TRIED = 128  # samples of a recipe


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

    spec: ModelSpec

    def __init__(self, config: Config, group: Group, log: Callable[[str], None], *, data: bool = True) -> None:
        import paddle

        self.config, self._group = config, group
        settings = config.Global
        self.charset = Charset.from_file(shipped(settings.character_dict_path), space=settings.use_space_char)
        self.codec = Codec(self.charset)
        paddle.seed(settings.seed)
        # The optimiser's state is stored by the parameters' unique names: they must not depend on what was made before.
        with paddle.utils.unique_name.guard():
            self.model = build_model(config.Architecture, self.codec.classes, config.Preprocess.channels)
        self.spec = ModelSpec(
            name=settings.name,
            architecture=config.Architecture.model_dump(mode="json"),
            preprocess=config.Preprocess,
            decoder=config.PostProcess,
            units=self.charset.units,
            time_stride=self.model.time_stride,
            versions=versions(),
        )
        if config.Preprocess.width_step % self.model.time_stride:
            raise ScriptoriumError(
                f"Preprocess.width_step: {config.Preprocess.width_step} is no multiple of the network's "
                f"{self.model.time_stride} pixels per time step"
            )
        self._log = log
        if data:
            self._open_data(group)

    def _open_data(self, group: Group) -> None:
        config, settings = self.config, self.config.Global
        limits = self.limits = training_limits(config, self.codec, self.model.time_stride)
        self.sources: list[FileSource | Live] = []
        streams: list[Stream] = []
        self.drops: dict[str, Counter[str]] = {}
        for number in range(len(config.Train.sources)):
            source = open_training_source(config, number)
            self.sources.append(source)
            if isinstance(source, Live):
                self._try(source, limits)
                streams.append(Endless(source.length))
                continue
            index = Index.of(source, self.codec)
            usable, drops = index.usable(limits)
            self.drops[source.name] = drops
            self._tell(source, len(usable), drops, index)
            widths = index.scaled_widths(config.Preprocess)[usable]
            streams.append(Passes(usable, widths, settings.seed, number, config.Train.sampler.easy_first))
        loader = config.Train.loader
        self.plan = build_plan(
            config.Train.sampler,
            [source.name for source in self.sources],
            streams,
            loader.batch_size_per_card,
            config.Preprocess.height,
            settings.seed,
            rank=group.rank,
            size=group.size,
        )
        if isinstance(self.plan, Ratio) and self.plan.left_out:
            self._log(
                f"sampler  {self.plan.left_out:,} samples at the end of an epoch make no whole batch, others each time"
            )
        self.steps_per_epoch = self.plan.steps_per_epoch
        augment = config.Train.augment
        chosen = None if augment is None else TrainingAugment(augment, "Train.augment")
        self._preparer = Preparer(self.sources, limits, chosen, settings.seed)

    def _tell(self, source: FileSource, usable: int, drops: Counter[str], index: Index) -> None:
        """Say what of a source is used. Raises ScriptoriumError where that is nothing, or too much is broken."""
        self._log(f"source   {source.name}: {usable:,} of {len(source):,} samples")
        for reason, count in drops.most_common():
            self._log(f"         {count:8,} dropped: {reason}{_examples(reason, index)}")
        if not usable:
            most = drops.most_common(1)[0][0] if drops else "it is empty"
            raise ScriptoriumError(
                f"source {source.name}: none of its {len(source):,} samples can be trained on (mostly: {most}); "
                "look at it with `ocr audit`"
            )
        index.check_broken(source.name)

    def _try(self, source: Live, limits: Limits) -> None:
        """Draw the first samples, and say how many training does not take.

        Raises:
            ScriptoriumError: it takes none, or the recipe, its fonts or corpora cannot be used.
        """
        drops: Counter[str] = Counter()
        for sample in source.samples(range(_TRIED)):
            try:
                limits.classes(sample)
            except BrokenSample as error:
                drops[error.reason] += 1
        self.drops[source.name] = drops
        self._log(f"source   {source.name}: drawn while training")
        for warning in source.warnings:
            self._log(f"warning  {source.name}: {warning}")
        for reason, count in drops.most_common(_FEW):
            self._log(f"         {count:8,} of the first {_TRIED} dropped, others drawn instead: {reason}")
        if drops.total() == _TRIED:
            raise ScriptoriumError(
                f"source {source.name}: none of the first {_TRIED} samples can be trained on (mostly: "
                f"{drops.most_common(1)[0][0]}); let the recipe keep to the dictionary and to Global.max_text_length"
            )

    def begin_from(self, path: Path) -> Transfer:
        """Begin from the weights of another run.

        Raises:
            ScriptoriumError: no model there, or less than half of it fits.
        """
        folder = store.resolve(path)
        spec, weights = store.load_model(folder)
        if not isinstance(spec, ModelSpec):
            spec = ModelSpec.load(folder)  # says that it is of another task
        state = self.model.state_dict()
        # Paddle gives each weight of a recurrent layer two names.
        first = {id(value): name for name, value in reversed(state.items())}
        again = {name for name, value in state.items() if first[id(value)] != name}
        own = arrays({name: value for name, value in state.items() if name not in again})
        given = {name: value for name, value in weights.items() if name not in again}
        merged, found = transfer(own, given, self.model.class_axes(), self.codec.row_map(spec.units))
        check_share(found, str(folder), self.config.Global.allow_partial)
        import paddle

        merged |= {name: merged[first[id(state[name])]] for name in again}
        self.model.set_state_dict({name: paddle.to_tensor(value) for name, value in merged.items()})
        return found

    def batches(self, start: int) -> AbstractContextManager[Batches]:
        """See `Task.batches`."""
        return prepared_ahead(self.plan.batch, self._preparer, self.sources, self.config.Train.loader, start, self._log)

    def loss(self, batch: Batch) -> tuple[Any, int]:
        """See `Task.loss`."""
        import paddle

        images = paddle.to_tensor(self.config.Preprocess.normalise(batch.images))
        weight = self.config.Loss.guide_weight
        found = recognition_loss(self.model, images, batch.labels, batch.lengths, batch.steps, weight)
        return found, len(batch.texts)

    def keep(self, batch: Batch, folder: Path) -> None:
        """See `Task.keep`: pictures as the network took them, and their labels."""
        import cv2

        folder.mkdir(parents=True, exist_ok=True)
        lines = []
        for number, (image, text, key) in enumerate(zip(batch.images, batch.texts, batch.keys, strict=True)):
            cv2.imwrite(str(folder / f"{number:04d}.png"), image)
            lines.append(f"{number:04d}.png\t{text}\t{key}\n")
        (folder / "labels.tsv").write_text("".join(lines), encoding="utf-8")

    def evaluate(self) -> Evaluation | None:
        """See `Task.evaluate`."""
        if not self.config.Eval.sources:
            return None
        return evaluate(Recogniser(ModelBackend(self.model, self.spec)), self.config)


def open_training_source(config: Config, number: int) -> FileSource | Live:
    """Source `number` of `Train.sources`. Raises ScriptoriumError: see `open_source`."""
    # Streams of their own: of other sources, of augmentation, of what `synth generate` makes with such a seed.
    seed = (number + 1) * 2**32 + config.Global.seed
    height = max(config.Train.sampler.heights or (config.Preprocess.height,))
    return open_source(config.Train.sources[number], seed, height, shipped(config.Global.character_dict_path))


def training_limits(config: Config, codec: Codec, time_stride: int) -> Limits:
    """What training takes, by a configuration."""
    return Limits(
        codec=codec,
        preprocess=config.Preprocess,
        time_stride=time_stride,
        max_text_length=config.Global.max_text_length,
        max_wh_ratio=config.Global.max_wh_ratio,
        least_height=min(config.Train.sampler.heights or (config.Preprocess.height,)),
    )


def evaluate(reader: Recogniser, config: Config) -> Evaluation:
    """Read all of the evaluation sources and compare with their raw labels; nothing is left out.

    A record that cannot be read counts as read wrongly.

    Returns:
        Figures of each source (`name/acc`, …; without the name where there is one source) and, of several, their mean;
        `details` holds a `RecognitionMetric` by source name.
    """
    settings = config.Metric
    metrics: dict[str, RecognitionMetric] = {}
    for source_config in config.Eval.sources:
        source = open_source(source_config)
        assert isinstance(source, FileSource)
        metric = metrics[source.name] = RecognitionMetric(
            settings.fold_case, settings.fold_punctuation, settings.ignore_space
        )
        for first in range(0, len(source), _CHUNK):
            numbers = range(first, min(first + _CHUNK, len(source)))
            found = [_sample_or_label(source, number) for number in numbers]
            readings = iter(reader.read([sample.image for sample in found if sample.image.size]))
            for number, sample in zip(numbers, found, strict=True):
                reading = next(readings) if sample.image.size else None
                # What no label has: a record that cannot be read is wrong even where its label is unknown.
                text, confidence = (reading.text, reading.confidence) if reading else ("\ufffd", 0.0)
                metric.add(text, sample.text, confidence=confidence, key=sample.key, index=number)
        source.close()
    figures = gathered({name: metric.result() for name, metric in metrics.items()}, ("acc", "cer", "norm_edit_dis"))
    main = settings.main_indicator
    return Evaluation(figures, figures[main], main != "cer", metrics)


def _sample_or_label(source: FileSource, number: int) -> Sample:
    """A sample; of one that cannot be read an empty picture with what is known of its label."""
    try:
        return source.sample(number)
    except BrokenSample:
        try:
            text = source.label(number)
        except BrokenSample:
            text = ""
        return Sample(np.zeros((0, 0, 3), np.uint8), text, source.key(number))


def _examples(reason: str, index: Index) -> str:
    if reason == UNKNOWN:
        shown = ", ".join(f"{unit} ({count:,})" for unit, count in index.missing.most_common(_SHOWN))
        return f": {shown}{', …' if len(index.missing) > _SHOWN else ''}"
    if reason == BROKEN:
        return ": " + "; ".join(f"{key} ({why})" for key, why in index.broken[:_FEW])
    return ""
