"""A training batch as a picture: what the network sees, and the labels it is to learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr import runtime
from ocr.config import AnyConfig, ClsConfig, Config, DetConfig, KindConfig, StyleConfig
from ocr.data.targets import DBTargets, PSETargets
from ocr.infer.draw import CaptionDrawer
from synth.report.preview import contact_sheet, write_whole
from synth.report.summary import counted

_SMALL = 64  # pictures up to this height are doubled
_RULER = 6  # pixels
_STEPS = np.array(((199, 140, 74), (238, 214, 186)), np.uint8)  # BGR: one time step, and the next
# BGR, of what is beyond a picture's own time steps.
_TINT, _HATCH = np.array((214, 226, 242), np.uint8), np.array((150, 176, 222), np.uint8)
_GAP = 8  # pixels between hatches
_LABEL, _FACTS = 26, 13  # pixels per em


# BGR: what a detector is to find, where that teaches nothing, and the edge that the border map stands for.
_CORE, _NOTHING, _EDGE = np.array((60, 170, 50)), np.array((150, 150, 150)), np.array((30, 120, 240))
_SEEN = 0.45  # how much of a colour is laid upon a picture


def show_batch(config: AnyConfig, step: int, output: Path) -> str:
    """Draw the batch of a training step, augmented and padded as the network gets it.

    Of a detector, squares are drawn with the shrunk texts that it is to find (green), the edges in its border map or
    the whole texts around the smallest kernels (orange) and, in grey, what is ignored. Of a classifier, views with the
    degrees by which they have been turned clockwise, or with their kind. Of a network that gives texts another look, of
    each pair the look, its letters' coverage, the plain text, middle lines, letters, their coverage, the background and
    the whole. Of a recogniser, below each picture are its time steps, as a ruler; what is beyond them, where only wider
    pictures of the batch reach, is hatched. Then comes the label, put together from the classes that the network is to
    learn.

    Args:
        config: of any of them.
        step: of the run, from 0, where each step takes one batch.
        output: the picture, a PNG.

    Returns:
        The same as lines for the terminal.

    Raises:
        ScriptoriumError: the configuration or the data cannot be trained on, or the picture not be written.
    """
    if output.suffix.lower() != ".png":
        raise ScriptoriumError(f"{output}: the picture is a PNG; name a file that ends in .png")
    settings = config.Global
    runtime.start(settings.threads, settings.processor_mend)
    runtime.import_paddle()
    if isinstance(config, ClsConfig | KindConfig):
        return _views(config, step, output)
    if isinstance(config, StyleConfig):
        return _pairs(config, step, output)
    return _squares(config, step, output) if isinstance(config, DetConfig) else _lines(config, step, output)


_C = TypeVar("_C", Config, DetConfig, ClsConfig, KindConfig, StyleConfig)


def _alone(config: _C) -> _C:
    """The configuration with batches prepared in this process."""
    loader = config.Train.loader.model_copy(update={"num_workers": 0})
    return config.model_copy(update={"Train": config.Train.model_copy(update={"loader": loader})})


def _written(cells: Sequence[NDArray[np.uint8]], lines: list[str], output: Path) -> str:
    """Write the picture; the lines for the terminal, with its name."""
    write_whole(output, cv2.imencode(".png", contact_sheet(cells))[1].tobytes())
    return "\n".join([*lines, f"picture  {output}"]) + "\n"


def _pairs(config: StyleConfig, step: int, output: Path) -> str:
    from ocr.engine.distributed import Group
    from ocr.tasks.style import StyleTransfer, shown

    lines: list[str] = []
    task = StyleTransfer(_alone(config), Group(), lines.append)
    with task.batches(step) as batches:
        batch = next(iter(batches))
    height, width = batch.images.shape[1:3]
    lines.append(f"batch    {step:,}: {counted(len(batch.keys), 'pair')} of {width} × {height} pixels")
    lines.append("shown    look, its coverage, plain text, middle lines, letters, their coverage, background, whole")
    return _written([np.concatenate(shown(batch, number)) for number in range(len(batch.keys))], lines, output)


def _views(config: ClsConfig | KindConfig, step: int, output: Path) -> str:
    from ocr.engine.distributed import Group
    from ocr.tasks.cls import Direction, Kind

    lines: list[str] = []
    task: Direction | Kind
    if isinstance(config, KindConfig):
        task = Kind(_alone(config), Group(), lines.append)
        names = list(config.PostProcess.label_list)
    else:
        task = Direction(_alone(config), Group(), lines.append)
        names = [f"{by}°" for by in config.PostProcess.label_list]
    longest = max(map(len, names))
    with task.batches(step) as batches:
        batch = next(iter(batches))
    height, width = config.Preprocess.smallest
    lines.append(f"batch    {step:,}: {counted(len(batch.keys), 'view')} of {width} × {height} pixels")
    lines += [f"skipped  {key}: {why}" for _, key, why in batch.skipped]
    drawer = CaptionDrawer()
    cells = []
    for number, (image, chosen, key) in enumerate(zip(batch.images, batch.classes, batch.keys, strict=True), 1):
        name = names[chosen]
        cells.append(
            drawer(np.ascontiguousarray(np.broadcast_to(image, (height, width, 3))), f"{number}: {name}", _FACTS)[0]
        )
        lines.append(f"{number:4}  {name:>{longest}}  {key}")
    return _written(cells, lines, output)


def _squares(config: DetConfig, step: int, output: Path) -> str:
    from ocr.engine.distributed import Group
    from ocr.tasks.det import Detection

    lines: list[str] = []
    task = Detection(_alone(config), Group(), lines.append)
    with task.batches(step) as batches:
        batch = next(iter(batches))
    size = config.Train.crop.size
    lines.append(f"batch    {step:,}: {counted(len(batch.keys), 'square')} of {size} × {size} pixels")
    lines += [f"skipped  {key}: {why}" for _, key, why in batch.skipped]
    drawer = CaptionDrawer()
    cells = []
    targets = batch.targets
    for number, key in enumerate(batch.keys):
        cell = np.broadcast_to(batch.images[number], (size, size, 3)).astype(np.float32)
        core = targets.core[number]
        shown = [(core > 0, _CORE), (targets.counted[number] == 0, _NOTHING)]
        if isinstance(targets, DBTargets):
            shown.append(((targets.border[number] > 127) & (targets.bordered[number] > 0), _EDGE))
        if isinstance(targets, PSETargets):
            shown.append((targets.kernels[number, 0] > core, _EDGE))
        stride = size // len(core)
        for where, colour in shown:
            large = where.repeat(stride, 0).repeat(stride, 1)
            cell[large] += (colour - cell[large]) * _SEEN
        texts = cv2.connectedComponents(core)[0] - 1
        drawn = np.round(cell).astype(np.uint8)
        cells.append(drawer(drawn, f"{number + 1}: {counted(texts, 'text')}", _FACTS)[0])
        pasted = f", {batch.pasted[number]} pasted" if batch.pasted[number] else ""
        lines.append(f"{number + 1:4}  {counted(texts, 'text'):>9}{pasted}  {key}")
    return _written(cells, lines, output)


def _lines(config: Config, step: int, output: Path) -> str:
    from ocr.engine.distributed import Group
    from ocr.tasks.rec import Recognition

    lines: list[str] = []
    task = Recognition(_alone(config), Group(), lines.append)
    with task.batches(step) as batches:
        batch = next(iter(batches))
    stride = task.spec.time_stride
    names = [source.name for source in task.sources]
    drawer = CaptionDrawer([path for source in config.Train.sources for path in source.fonts])
    height, width = batch.images.shape[1:3]
    lines.append(
        f"batch    {step:,}: {counted(len(batch.texts), 'picture')} of {width} × {height} pixels, "
        f"{counted(width // stride, 'time step')}"
    )
    rows: list[tuple[str, ...]] = [("", "source", "units", "steps", "record", "label")]
    cells = []
    undrawn = 0
    for number, image in enumerate(batch.images):
        count, steps = int(batch.lengths[number]), int(batch.steps[number])
        text = task.codec.decode(batch.labels[number, :count])
        source = names[batch.sources[number]]
        cell, drawn = drawer(_ruled(image, steps, stride), text, _LABEL)
        undrawn += not drawn
        facts = f"{number + 1} {source}: {counted(count, 'unit')}, {counted(steps, 'step')}"
        cells.append(drawer(cell, facts, _FACTS)[0])
        rows.append((f"{number + 1}", source, f"{count}", f"{steps}", batch.keys[number], text))
    lines += _table(rows)
    if undrawn:
        lines.append(f"fonts    none for {counted(undrawn, 'label')}; run `synth fonts install SCRIPT`")
    return _written(cells, lines, output)


def _ruled(image: NDArray[np.uint8], steps: int, stride: int) -> NDArray[np.uint8]:
    """A picture of a batch, H × W × channels, with its own time steps below it and the rest hatched; BGR."""
    factor = 2 if image.shape[0] <= _SMALL else 1
    # Doubled pixels stay what they are: smoothing would hide what is there to be seen.
    large = np.repeat(np.repeat(np.broadcast_to(image, (*image.shape[:2], 3)), factor, 0), factor, 1)
    height, width = large.shape[:2]
    stride *= factor
    own = min(steps * stride, width)
    across, down = np.meshgrid(np.arange(own, width), np.arange(height))
    large[:, own:] = np.where((across + down)[..., None] % _GAP < 1, _HATCH, _TINT)
    ruler = np.full((_RULER, width, 3), 255, np.uint8)
    ruler[:, :own] = _STEPS[np.arange(own) // stride % 2]
    return np.concatenate([large, ruler])


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns side by side, numbers to the right; the label comes last, for it may run from right to left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for number, source, units, steps, key, text in rows:
        parts = [
            number.rjust(widths[0]),
            source.ljust(widths[1]),
            units.rjust(widths[2]),
            steps.rjust(widths[3]),
            key.ljust(widths[4]),
        ]
        lines.append("  ".join([*parts, text]))
    return lines
