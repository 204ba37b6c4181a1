"""Texts in another look, from trained networks: what `synth.style.engine` asks for."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.infer.backends import (
    NETWORKS,
    ONNX,
    StyleOnnxBackend,
    StylePaddleBackend,
    give_weights,
    scores_of,
    start_paddle,
)
from ocr.spec import StyleSpec
from synth.style.engine import Patch
from synth.style.pairs import GROUND, fitted


class StyleBackend(Protocol):
    """A network that gives texts another look.

    Attributes:
        spec: see `StyleSpec`.
    """

    spec: StyleSpec

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pictures of texts in another look.

        Args:
            images: N × H × W × 4: blue, green and red of the look, grey of the plain text; W a multiple of 8.

        Returns:
            N × 7 × H × W: the picture (blue, green, red, -1 to 1), its letters alone (likewise), their coverage (0 to
            1).
        """
        ...


class StyleModelBackend:
    """A network as it is trained.

    Args:
        model: of `ocr.models.style`; run in evaluation mode, then left as it was.
        spec: what goes with it.
    """

    def __init__(self, model: Any, spec: StyleSpec) -> None:
        self.spec = spec
        self._model = model

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `StyleBackend`."""
        import paddle

        with scores_of(self._model, self.spec.preprocess.normalise(images)) as made:
            found: NDArray[np.float32] = paddle.concat([made.fused, made.text, made.mask], axis=1).numpy()
        return found


class Restyler:
    """Gives texts the look of pictures.

    Args:
        backend: see `StyleBackend`.
        max_batch_pixels: of what goes through the network together; bounds the memory.
    """

    def __init__(self, backend: StyleBackend, max_batch_pixels: int = 32 * 4096) -> None:
        self.height = backend.spec.preprocess.height
        self._preprocess = backend.spec.preprocess
        self._backend = backend
        self._max_pixels = max_batch_pixels

    def restyle(self, styles: Sequence[NDArray[Any]], targets: Sequence[NDArray[Any]]) -> list[Patch]:
        """See `StyleEngine.restyle`.

        Raises:
            ScriptoriumError: pictures of another height or kind.
        """
        by_width: dict[int, list[int]] = defaultdict(list)
        for number, (style, target) in enumerate(zip(styles, targets, strict=True)):
            self._check(style, target, number)
            by_width[self._preprocess.padded_width(target.shape[1])].append(number)
        found: dict[int, Patch] = {}
        for width, numbers in sorted(by_width.items()):
            size = max(1, self._max_pixels // (width * self.height))
            for start in range(0, len(numbers), size):
                chosen = numbers[start : start + size]
                made = self._backend.run(np.stack([self._joined(styles[k], targets[k], width) for k in chosen]))
                for number, row in zip(chosen, made, strict=True):
                    found[number] = _patch(row[:, :, : targets[number].shape[1]])
        return [found[number] for number in range(len(targets))]

    def _joined(self, style: NDArray[Any], target: NDArray[Any], width: int) -> NDArray[np.uint8]:
        room = width - target.shape[1]
        plain = cv2.copyMakeBorder(target, 0, 0, 0, room, cv2.BORDER_CONSTANT, value=GROUND)
        return np.concatenate([fitted(style, width), plain[..., None]], axis=2)

    def _check(self, style: NDArray[Any], target: NDArray[Any], number: int) -> None:
        for name, image, ndim in (("style", style, 3), ("target", target, 2)):
            if image.dtype != np.uint8 or image.ndim != ndim or (ndim == 3 and image.shape[2] != 3) or not image.size:
                wanted = "height × width × 3" if ndim == 3 else "height × width"
                raise ScriptoriumError(
                    f"{name} {number}: is {' × '.join(map(str, image.shape))} of {image.dtype}; give {wanted} of uint8"
                )
            if image.shape[0] != self.height:
                raise ScriptoriumError(
                    f"{name} {number}: is {image.shape[0]} pixels high; this model takes {self.height}"
                )


def _patch(row: NDArray[np.float32]) -> Patch:
    colours = np.clip(np.rint(row[:6] * 127.5 + 127.5), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    mask = np.clip(np.rint(row[6] * 255), 0, 255).astype(np.uint8)
    return Patch(np.ascontiguousarray(colours[..., :3]), np.ascontiguousarray(colours[..., 3:]), mask)


def open_restyler(path: Path, threads: int = 0) -> Restyler:
    """A network ready to use, whatever form it has.

    Args:
        path: a run directory (its best or newest checkpoint), a checkpoint, or an exported model.
        threads: of the network; 0: all cores.

    Raises:
        ScriptoriumError: there is no such network, it is broken, or what runs it is not installed.
    """
    from ocr.engine import checkpoint as store

    folder = store.resolve(path)
    spec = StyleSpec.load(folder)
    backend: StyleBackend
    if (folder / ONNX).is_file():
        backend = StyleOnnxBackend(folder, threads)
    elif any((folder / name).is_file() for name in NETWORKS):
        backend = StylePaddleBackend(folder, threads)
    else:
        start_paddle(threads)
        backend = StyleModelBackend(load_generator(folder)[0], spec)
    return Restyler(backend)


class Engine:
    """A trained network as a `synth.style.engine.StyleEngine`; it is opened when it is first asked for something.

    Args:
        path: see `open_restyler`.
        threads: of the network; 0: all cores.

    Raises:
        ScriptoriumError: there is no such network.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        from ocr.engine import checkpoint as store

        self._folder, self._threads = store.resolve(path), threads
        self.height: int = StyleSpec.load(self._folder).preprocess.height
        self.digest = _digest(self._folder)
        self._restyler: Restyler | None = None

    def restyle(self, styles: Sequence[NDArray[Any]], targets: Sequence[NDArray[Any]]) -> list[Patch]:
        """See `StyleEngine.restyle`. Raises as `open_restyler` and `Restyler.restyle`."""
        if self._restyler is None:
            self._restyler = open_restyler(self._folder, self._threads)
        return self._restyler.restyle(styles, targets)


def load_generator(path: Path) -> tuple[Any, StyleSpec]:
    """The network of a run or checkpoint, in evaluation mode with the weights to predict with, and its spec.

    Raises:
        ScriptoriumError: no such network there, a broken one, or weights that do not fit its architecture.
    """
    import paddle

    from ocr.config import StyleArchitecture
    from ocr.engine import checkpoint as store
    from ocr.models.style import build_style

    folder = store.resolve(path)
    spec = StyleSpec.load(folder)
    _, weights = store.load_model(folder)
    with paddle.utils.unique_name.guard():
        model = build_style(StyleArchitecture(**spec.architecture))
    give_weights(model, weights, folder)
    return model, spec


def _digest(folder: Path) -> str:
    """Of all that the patches depend on: the files of the network, those of training's state left out."""
    found = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name.startswith("inference.") or path.name in ("ema.npz", "model.npz"):
            found.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
