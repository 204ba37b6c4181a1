"""How pictures stand: lines on their head, pages on their side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.infer.backends import NETWORKS, ONNX, ClsOnnxBackend, ClsPaddleBackend, give_weights, scores_of, start_paddle
from ocr.spec import ClsSpec

_TINY = 1e-6  # of a probability: one view cannot outvote all others


class ClsBackend(Protocol):
    """A network that tells the direction of views.

    Attributes:
        spec: see `ClsSpec`.
    """

    spec: ClsSpec

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of the directions.

        Args:
            images: N × H × W × C, as `ClsPreprocess` gives them.

        Returns:
            N × classes, adding up to 1.
        """
        ...


class ClsModelBackend:
    """A network as it is trained.

    Args:
        model: a network of `ocr.models.cls`; run in evaluation mode, then left as it was.
        spec: what goes with it.
    """

    def __init__(self, model: Any, spec: ClsSpec) -> None:
        self.spec = spec
        self._model = model

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `ClsBackend`."""
        from paddle.nn import functional as F

        with scores_of(self._model, self.spec.preprocess.normalise(images)) as scores:
            found: NDArray[np.float32] = F.softmax(scores, axis=-1).numpy()
        return found


class Direction:
    """Tells how pictures stand, from the views that the spec says; their probabilities are multiplied.

    Args:
        backend: see `ClsBackend`.
        thresh: probability from which a picture is turned; None: the spec's.
        max_batch_pixels: of the views that go through the network together; bounds the memory.
    """

    def __init__(self, backend: ClsBackend, thresh: float | None = None, max_batch_pixels: int = 1 << 20) -> None:
        self.spec = backend.spec
        self.thresh = backend.spec.postprocess.thresh if thresh is None else thresh
        self._backend = backend
        size = self.spec.preprocess
        self._together = max(1, max_batch_pixels // (size.height * size.width))

    def turns(self, images: Sequence[NDArray[np.uint8]]) -> list[tuple[int, float]]:
        """Quarter turns counter-clockwise, 0 to 3, that make each picture upright, and how probable that is.

        Where the likeliest direction is less probable than `thresh` the picture is to stay: no turns, with the
        probability that it stands upright.

        Args:
            images: `uint8`, H × W × 3 (BGR) or H × W (grey).
        """
        labels = self.spec.postprocess.label_list
        found = []
        for row in self.probabilities(images):
            best = int(row.argmax())
            if row[best] < self.thresh:
                best = labels.index(0)
            found.append((labels[best] // 90, float(row[best])))
        return found

    def probabilities(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """Probabilities of the directions in the spec's `label_list`: pictures × directions."""
        logs = np.zeros((len(images), len(self.spec.postprocess.label_list)))
        views: list[NDArray[np.uint8]] = []
        owners: list[int] = []
        for number, image in enumerate(images):
            for view in self.spec.preprocess(image):
                views.append(view)
                owners.append(number)
                if len(views) == self._together:
                    self._add(logs, views, owners)
                    views, owners = [], []
        if views:
            self._add(logs, views, owners)
        logs -= logs.max(1, keepdims=True, initial=-np.inf)
        found = np.exp(logs)
        return np.asarray(found / found.sum(1, keepdims=True), np.float64)

    def _add(self, logs: NDArray[np.float64], views: list[NDArray[np.uint8]], owners: list[int]) -> None:
        np.add.at(logs, owners, np.log(self._backend.run(np.stack(views)) + _TINY))


def open_turner(
    path: Path, kind: Literal["crop", "page"] | None = None, thresh: float | None = None, threads: int = 0
) -> Direction:
    """A direction classifier ready to use, whatever form it has.

    Args:
        path: a run directory (its best or newest checkpoint), a checkpoint, or an exported model.
        kind: what it must be for; None: for either.
        thresh: see `Direction`.
        threads: of the network; 0: all cores.

    Raises:
        ScriptoriumError: there is no classifier, it is broken or of the other kind, or what runs it is not installed.
    """
    from ocr.engine import checkpoint as store

    folder = store.resolve(path)
    spec = ClsSpec.load(folder)
    if kind not in (None, spec.preprocess.kind):
        raise ScriptoriumError(f"{folder}: was trained on pictures of kind {spec.preprocess.kind}; name one of {kind}")
    backend: ClsBackend
    if (folder / ONNX).is_file():
        backend = ClsOnnxBackend(folder, threads)
    elif any((folder / name).is_file() for name in NETWORKS):
        backend = ClsPaddleBackend(folder, threads)
    else:
        start_paddle(threads)
        backend = ClsModelBackend(load_classifier(folder)[0], spec)
    return Direction(backend, thresh)


def load_classifier(path: Path) -> tuple[Any, ClsSpec]:
    """The network of a run or checkpoint, in evaluation mode with the weights to predict with, and its spec.

    Raises:
        ScriptoriumError: no classifier there, a broken one, or weights that do not fit its architecture.
    """
    import paddle

    from ocr.config import ClsArchitecture
    from ocr.engine import checkpoint as store
    from ocr.models.cls import build_classifier

    folder = store.resolve(path)
    spec = ClsSpec.load(folder)
    _, weights = store.load_model(folder)
    with paddle.utils.unique_name.guard():
        model = build_classifier(
            ClsArchitecture(**spec.architecture),
            len(spec.postprocess.label_list),
            spec.preprocess.channels,
        )
    give_weights(model, weights, folder)
    return model, spec
