"""Models that read without the training code: Paddle's inference format, and ONNX.

An exported folder holds `spec.json` and the network: `inference.json` (Paddle 3) or `inference.pdmodel` (Paddle 2) with
`inference.pdiparams`, or `inference.onnx`. Its input is the normalised picture, `float32` N × C × height × any width;
its output the probabilities (the softmax is inside), N × T × classes. Before the folder appears under its name, it is
compared with the network that it came from.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from augment.errors import ScriptoriumError
from ocr.engine import checkpoint as store
from ocr.infer.backends import ONNX, STEM, Backend, ModelBackend, OnnxBackend, PaddleBackend, load_network
from ocr.spec import ModelSpec

_TOLERANCE = 1e-4  # a wrong conversion is further away; rounding in deep networks comes near 1e-5
_OPSET = 17


class _Reader(nn.Layer):
    def __init__(self, model: nn.Layer) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Any) -> Any:
        return F.softmax(self.model(images), axis=-1)


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
    network, spec = load_network(store.resolve(model))
    with _new_folder(output) as aside:
        _save(network, spec, aside)
        spec.save(aside)
        _compare(ModelBackend(network, spec), PaddleBackend(aside))
    return output


def export_onnx(model: Path, output: Path) -> Path:
    """Write a model in ONNX format, through Paddle's; arguments, result and errors as in `export_paddle`."""
    network, spec = load_network(store.resolve(model))
    try:
        import onnxruntime  # noqa: F401
        import paddle2onnx
    except ImportError as error:
        raise ScriptoriumError(
            f"export to ONNX needs {error.name}; install it, with Paddle 3, by: pip install scriptorium[onnx]"
        ) from None
    with _new_folder(output) as aside, tempfile.TemporaryDirectory() as scratch:
        files = _save(network, spec, Path(scratch))
        try:
            with _quiet():
                # Without a file name it returns the network, and leaves out a step that installs packages.
                converted = paddle2onnx.export(*map(str, files), opset_version=_OPSET)
        except Exception as error:  # it raises anything, and says why on standard error only
            raise ScriptoriumError(f"{model}: paddle2onnx cannot convert it; export it with --format paddle") from error
        (aside / ONNX).write_bytes(converted)
        spec.save(aside)
        _compare(ModelBackend(network, spec), OnnxBackend(aside))
    return output


def _save(network: nn.Layer, spec: ModelSpec, folder: Path) -> tuple[Path, Path]:
    """Write the network and its parameters; the two files."""
    preprocess = spec.preprocess
    reader = _Reader(network)
    reader.eval()
    shape = [None, preprocess.channels, preprocess.height, None]
    images = paddle.static.InputSpec(shape, "float32", "images")
    with _quiet():
        paddle.jit.save(paddle.jit.to_static(reader, input_spec=[images], full_graph=True), str(folder / STEM))
    network_file = next(path for path in folder.iterdir() if path.suffix in (".json", ".pdmodel"))
    return network_file, network_file.with_suffix(".pdiparams")


def _compare(one: Backend, other: Backend) -> None:
    """Make sure that two backends agree at several widths and sizes of batch."""
    preprocess = one.spec.preprocess
    rng = np.random.default_rng(0)
    for number, width in ((1, preprocess.width_step), (3, preprocess.padded_width(4 * preprocess.height)), (2, 640)):
        shape = (number, preprocess.height, preprocess.padded_width(width), preprocess.channels)
        images = rng.integers(0, 256, shape, np.uint8)
        expected, found = one.run(images), other.run(images)
        apart = float(np.abs(expected - found).max()) if expected.shape == found.shape else float("inf")
        if not apart <= _TOLERANCE:
            raise ScriptoriumError(
                f"the exported network's probabilities are {apart:.2g} away from the network's at {shape[2]} pixels of "
                f"width, more than {_TOLERANCE:g}; nothing was written; please report it with your configuration"
            )


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
