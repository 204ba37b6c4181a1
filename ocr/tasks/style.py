"""Networks that give texts another look, after pairs that the generator of `synth` draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.config import Perceptual, SourceConfig, StyleConfig
from ocr.data.sampler import Endless, build_plan
from ocr.data.style import PairPreparer, PairSource, StyleBatch, windowed
from ocr.engine import checkpoint as store
from ocr.engine.distributed import Group
from ocr.engine.transfer import Transfer, begin_by_name
from ocr.infer.backends import NETWORKS, ONNX, load_network
from ocr.infer.style import Restyler, StyleModelBackend
from ocr.losses.style import Perception, Targets, style_loss
from ocr.metrics.style import psnr, ssim
from ocr.models.style import build_style
from ocr.spec import StyleSpec
from ocr.tasks.base import Batches, Evaluation, Task, gathered, prepared_ahead, versions
from synth.style.pairs import Pair

_EVALUATION = 2**31 - 1  # what its streams' seeds are counted down from: training counts up from 0


def _alike(index: int) -> int:
    """All pictures are of one width."""
    return 1


class StyleTransfer(Task):
    """The task of a configuration.

    Generator and discriminators are one model with one loss and one optimiser: see `ocr.losses.style.style_loss`. Other
    rates for one side are a matter of `Optimizer.lr_factors`.

    Args:
        config: see `StyleConfig`.
        group: the processes that train together.
        log: where lines for people go.
        data: open the training data; without it there is only evaluation.

    Raises:
        ScriptoriumError: the configuration or the data cannot be used.
    """

    spec: StyleSpec

    def __init__(self, config: StyleConfig, group: Group, log: Callable[[str], None], *, data: bool = True) -> None:
        import paddle

        self.config, self._log = config, log
        paddle.seed(config.Global.seed)
        # The optimiser's state is stored by the parameters' unique names: they must not depend on what was made before.
        with paddle.utils.unique_name.guard():
            self.model = build_style(config.Architecture)
        self.spec = StyleSpec(
            name=config.Global.name,
            architecture=config.Architecture.model_dump(mode="json"),
            preprocess=config.Preprocess,
            versions=versions(),
        )
        perceptual = config.Loss.perceptual
        self._perception = None if perceptual is None or not data else _perception(perceptual)
        self._unseen: list[tuple[str, list[Pair]]] | None = None
        if data:
            self._open_data(group)

    def _open_data(self, group: Group) -> None:
        config = self.config
        # Streams of their own, as for recognisers.
        self.sources = [
            PairSource(source, (number + 1) * 2**32 + config.Global.seed, config.Preprocess.height)
            for number, source in enumerate(config.Train.sources)
        ]
        for source in self.sources:
            self._log(f"source   {source.name}: drawn while training")
        self.plan = build_plan(
            config.Train.sampler,
            [source.name for source in self.sources],
            [Endless(_alike) for _ in self.sources],
            config.Train.loader.batch_size_per_card,
            config.Preprocess.height,
            config.Global.seed,
            rank=group.rank,
            size=group.size,
        )
        self.steps_per_epoch = self.plan.steps_per_epoch
        self._preparer = PairPreparer(self.sources, config.Train.width, config.Global.seed)

    def begin_from(self, path: Path) -> Transfer:
        """Begin from the weights of another run.

        Raises:
            ScriptoriumError: no model there, or less than half of it fits.
        """
        return begin_by_name(self.model, path, self.config.Global.allow_partial)

    def batches(self, start: int) -> AbstractContextManager[Batches]:
        """See `Task.batches`."""
        return prepared_ahead(self.plan.batch, self._preparer, self.sources, self.config.Train.loader, start, self._log)

    def loss(self, batch: StyleBatch) -> tuple[Any, int]:
        """See `Task.loss`."""
        targets = self._targets(batch)
        made = self.model(targets.images)
        return style_loss(self.model, made, targets, self.config.Loss, self._perception), len(batch.keys)

    def _targets(self, batch: StyleBatch) -> Targets:
        import paddle

        def tensor(name: str, *, share: bool = False) -> Any:
            values = self.config.Preprocess.normalise(getattr(batch, name))
            return paddle.to_tensor((values + 1) / 2 if share else values)

        return Targets(
            tensor("images"),
            tensor("ink", share=True),
            tensor("skeleton", share=True),
            tensor("text"),
            tensor("mask", share=True),
            tensor("background"),
            tensor("fused"),
        )

    def keep(self, batch: StyleBatch, folder: Path) -> None:
        """See `Task.keep`: of each pair, its pictures one below the other."""
        import cv2

        folder.mkdir(parents=True, exist_ok=True)
        for number in range(len(batch.keys)):
            cv2.imwrite(str(folder / f"{number:04d}.png"), np.concatenate(shown(batch, number)))
        lines = [f"{number:04d}.png\t{key}\n" for number, key in enumerate(batch.keys)]
        (folder / "pairs.tsv").write_text("".join(lines), encoding="utf-8")

    def evaluate(self) -> Evaluation | None:
        """See `Task.evaluate`."""
        if not self.config.Eval.sources:
            return None
        if self._unseen is None:  # drawn once, for all evaluations of a run
            self._unseen = unseen_pairs(self.config)
        return evaluate(Restyler(StyleModelBackend(self.model, self.spec)), self._unseen, self.config)


def _perception(config: Perceptual) -> Perception:
    folder = store.resolve(config.model)
    if any((folder / name).is_file() for name in (*NETWORKS, ONNX)):
        raise ScriptoriumError(
            f"Loss.perceptual.model: {config.model} is an exported model, whose features cannot be looked at; name the "
            "run directory or the checkpoint that it was made from"
        )
    network, spec = load_network(folder)
    return Perception(network, spec.preprocess)


def shown(batch: StyleBatch, number: int) -> list[NDArray[np.uint8]]:
    """The pictures of a pair, H × W × 3: look, its letters' coverage, plain text, then of the new letters middle
    lines, colours and coverage, then background and whole."""
    images = batch.images[number]
    parts = (
        images[..., :3],
        batch.ink[number],
        images[..., 3:],
        batch.skeleton[number],
        batch.text[number],
        batch.mask[number],
    )
    pictures = (*parts, batch.background[number], batch.fused[number])
    return [np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3))) for picture in pictures]


def unseen_pairs(config: StyleConfig) -> list[tuple[str, list[Pair]]]:
    """The pairs of the configuration's `Eval` sources, by name, at widths that the network takes as they are.

    Raises:
        ScriptoriumError: a source cannot be used.
    """

    def drawn(number: int, config_: SourceConfig) -> list[Pair]:
        source = PairSource(config_, _EVALUATION - number, config.Preprocess.height)
        pairs = (source.pair(index) for index in range(config.Eval.pairs))
        return [windowed(pair, config.Preprocess.padded_width(pair.mask.shape[1])) for pair in pairs]

    return [(source.name, drawn(number, source)) for number, source in enumerate(config.Eval.sources)]


@dataclass
class Likeness:
    """How near the pictures made of a data set's pairs are to what they should be.

    Attributes:
        ssim, psnr: one a pair; psnr in decibels.
    """

    ssim: list[float]
    psnr: list[float]

    def result(self) -> dict[str, float]:
        """The means, by name."""
        return {"ssim": float(np.mean(self.ssim)), "psnr": float(np.mean(self.psnr))}


def evaluate(restyler: Restyler, unseen: Sequence[tuple[str, list[Pair]]], config: StyleConfig) -> Evaluation:
    """Give the second texts of pairs the look of the first, and compare.

    Returns:
        Figures of each source (`name/ssim`, …; without the name where there is one source) and, of several, their mean;
        `details` holds `Likeness` by source name.
    """
    found: dict[str, Likeness] = {}
    for name, pairs in unseen:
        made = restyler.restyle([pair.style for pair in pairs], [pair.target for pair in pairs])
        found[name] = Likeness(
            [ssim(one.image, np.asarray(pair.fused, np.uint8)) for one, pair in zip(made, pairs, strict=True)],
            [psnr(one.image, np.asarray(pair.fused, np.uint8)) for one, pair in zip(made, pairs, strict=True)],
        )
    figures = gathered({name: likeness.result() for name, likeness in found.items()}, ("ssim", "psnr"))
    return Evaluation(figures, figures[config.Metric.main_indicator], True, found)
