"""Models that read without the training code: Paddle's inference format, and ONNX.

An exported folder holds `spec.json` and the network: `inference.json` (Paddle 3) or `inference.pdmodel` (Paddle 2) with
`inference.pdiparams`, or `inference.onnx`. A recogniser's input is the normalised picture, `float32` N × C × height ×
any width; its output the probabilities (the softmax is inside), N × T × classes. A detector's input is N × C × H × W,
multiples of 32; its output the `maps` of its head (see `ocr.models.det`): of DB the probabilities, N × H × W; of PSE or
EAST N × maps × H / 4 × W / 4. A classifier's input is a view, N × C × height × width; its output the probabilities of
the classes, N × classes. The input of a network that gives texts another look is N × 4 × height × any multiple of 8:
the look and the plain text; its output N × 7 × height × width (see `ocr.infer.style`). Before the folder appears under
its name, it is compared with the network that it came from.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from augment.errors import ScriptoriumError
from ocr.engine import checkpoint as store
from ocr.infer.backends import (
    ONNX,
    STEM,
    Backend,
    ClsOnnxBackend,
    ClsPaddleBackend,
    MapOnnxBackend,
    MapPaddleBackend,
    ModelBackend,
    OnnxBackend,
    PaddleBackend,
    StyleOnnxBackend,
    StylePaddleBackend,
    load_network,
)
from ocr.infer.classifier import ClsBackend, ClsModelBackend, load_classifier
from ocr.infer.detector import MapBackend, MapModelBackend, load_detector
from ocr.infer.style import StyleBackend, StyleModelBackend, load_generator
from ocr.spec import AnySpec, ClsSpec, DetSpec, KindSpec, StyleSpec, load_spec

# A wrong conversion is further away; rounding in deep networks comes near 1e-5, at the steep borders of maps, and in
# the colours of pictures, 1e-4.
_TOLERANCE, _MAP_TOLERANCE = 1e-4, 1e-3
_OPSET = 17

_AnyBackend: TypeAlias = Backend | MapBackend | ClsBackend[ClsSpec | KindSpec] | StyleBackend
_PADDLE: dict[str, Callable[[Path], _AnyBackend]] = {
    "rec": PaddleBackend,
    "det": MapPaddleBackend,
    "cls": lambda folder: ClsPaddleBackend(folder, ClsSpec),
    "kind": lambda folder: ClsPaddleBackend(folder, KindSpec),
    "style": StylePaddleBackend,
}
_ONNX: dict[str, Callable[[Path], _AnyBackend]] = {
    "rec": OnnxBackend,
    "det": MapOnnxBackend,
    "cls": lambda folder: ClsOnnxBackend(folder, ClsSpec),
    "kind": lambda folder: ClsOnnxBackend(folder, KindSpec),
    "style": StyleOnnxBackend,
}


class _Reader(nn.Layer):
    def __init__(self, model: nn.Layer) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Any) -> Any:
        return F.softmax(self.model(images), axis=-1)


class _Finder(nn.Layer):
    def __init__(self, model: nn.Layer) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Any) -> Any:
        return self.model.head.maps(self.model(images))


class _Changer(nn.Layer):
    def __init__(self, model: nn.Layer) -> None:
        super().__init__()
        self.generator = model.generator

    def forward(self, images: Any) -> Any:
        made = self.generator(images)
        return paddle.concat([made[5], made[2], made[3]], axis=1)


def export_paddle(model: Path, output: Path) -> Path:
    """Write a model in Paddle's inference format.

    Args:
        model: a run directory (its best or newest checkpoint) or a checkpoint; the moving average of the weights is
            taken where there is one.
        output: a folder that does not exist yet or is empty.

    Returns:
        The folder.

    Raises:
        ScriptoriumError: no usable model, the folder is not empty or cannot be written, or what was written reads
            otherwise than the network.
    """
    network = _load(model)
    with _new_folder(output) as aside:
        _save(network, aside)
        network.spec.save(aside)
        _compare(network.backend, _PADDLE[network.spec.task](aside))
    return output


def export_onnx(model: Path, output: Path) -> Path:
    """Write a model in ONNX format, through Paddle's; arguments, result and errors as in `export_paddle`."""
    network = _load(model)
    try:
        import onnxruntime  # noqa: F401
        import paddle2onnx
    except ImportError as error:
        raise ScriptoriumError(
            f"export to ONNX needs {error.name}; install it, with Paddle 3, by: pip install scriptorium[onnx]"
        ) from None
    with _new_folder(output) as aside, tempfile.TemporaryDirectory() as scratch:
        files = _save(network, Path(scratch))
        try:
            with _quiet():
                # Without a file name it returns the network, and leaves out a step that installs packages.
                converted = paddle2onnx.export(*map(str, files), opset_version=_OPSET)
        except Exception as error:  # it raises anything, and says why on standard error only
            raise ScriptoriumError(f"{model}: paddle2onnx cannot convert it; export it with --format paddle") from error
        (aside / ONNX).write_bytes(converted)
        network.spec.save(aside)
        _compare(network.backend, _ONNX[network.spec.task](aside))
    return output


@dataclass(frozen=True)
class _Network:
    """A model to export: its spec, the layer that is written, its input's shape, and what it is compared with."""

    spec: AnySpec
    layer: nn.Layer
    shape: list[int | None]
    backend: _AnyBackend


def _load(path: Path) -> _Network:
    folder = store.resolve(path)
    kind = load_spec(folder)
    if isinstance(kind, ClsSpec | KindSpec):
        classifier, size = load_classifier(folder, kind), kind.preprocess
        shape: list[int | None] = [None, size.channels, size.height, size.width]
        return _Network(kind, _Reader(classifier), shape, ClsModelBackend(classifier, kind))
    if isinstance(kind, StyleSpec):
        changer, style = load_generator(folder)
        shape = [None, style.preprocess.channels, style.preprocess.height, None]
        return _Network(style, _Changer(changer), shape, StyleModelBackend(changer, style))
    if isinstance(kind, DetSpec):
        finder, det = load_detector(folder)
        return _Network(det, _Finder(finder), [None, det.preprocess.channels, None, None], MapModelBackend(finder, det))
    reader, spec = load_network(folder)
    shape = [None, spec.preprocess.channels, spec.preprocess.height, None]
    return _Network(spec, _Reader(reader), shape, ModelBackend(reader, spec))


def _save(network: _Network, folder: Path) -> tuple[Path, Path]:
    """Write the network and its parameters; the two files."""
    network.layer.eval()
    images = paddle.static.InputSpec(network.shape, "float32", "images")
    with _quiet():
        static = paddle.jit.to_static(network.layer, input_spec=[images], full_graph=True)
        paddle.jit.save(static, str(folder / STEM))
    network_file = next(path for path in folder.iterdir() if path.suffix in (".json", ".pdmodel"))
    return network_file, network_file.with_suffix(".pdiparams")


def _compare(one: _AnyBackend, other: _AnyBackend) -> None:
    """Make sure that two backends agree at several sizes of pictures and of batch."""
    rng = np.random.default_rng(0)
    channels = one.spec.preprocess.channels
    tolerance = _MAP_TOLERANCE if isinstance(one.spec, DetSpec | StyleSpec) else _TOLERANCE
    for number, height, width in _sizes(one.spec):
        images = rng.integers(0, 256, (number, height, width, channels), np.uint8)
        expected, found = one.run(images), other.run(images)
        apart = float(np.abs(expected - found).max()) if expected.shape == found.shape else float("inf")
        if not apart <= tolerance:
            raise ScriptoriumError(
                f"the exported network's results are {apart:.2g} away from the network's at {width} pixels of "
                f"width, more than {tolerance:g}; nothing was written; please report it with your configuration"
            )


def _sizes(spec: AnySpec) -> list[tuple[int, int, int]]:
    """Number, height and width of pictures to compare with."""
    if isinstance(spec, ClsSpec | KindSpec):
        return [(1, *spec.preprocess.smallest), (3, *spec.preprocess.smallest)]
    if isinstance(spec, DetSpec):
        height, width = spec.preprocess.smallest
        return [(1, height, width), (2, 3 * height, 5 * width), (1, 10 * height, 7 * width)]
    size = spec.preprocess
    widths = ((1, size.width_step), (3, size.padded_width(4 * size.height)), (2, size.padded_width(640)))
    return [(number, size.height, width) for number, width in widths]


@contextmanager
def _new_folder(output: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name only when nothing went wrong."""
    try:
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise ScriptoriumError(f"{output}: exists already; remove it, or name a new folder")
        output.parent.mkdir(parents=True, exist_ok=True)
        aside = output.parent / f".{output.name}.{os.getpid()}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        try:
            yield aside
            if output.exists():
                output.rmdir()
            aside.rename(output)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise ScriptoriumError(f"{output}: cannot be written ({error.strerror or error})") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what compiled code prints off the terminal."""
    kept = [os.dup(1), os.dup(2)]
    with Path(os.devnull).open("wb") as nothing:
        try:
            for number in (1, 2):
                os.dup2(nothing.fileno(), number)
            yield
        finally:
            for number, old in zip((1, 2), kept, strict=True):
                os.dup2(old, number)
                os.close(old)
