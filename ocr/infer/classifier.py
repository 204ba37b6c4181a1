"""Classifiers of pictures, whatever runs them; several views of a picture vote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ocr.engine import checkpoint as store
from ocr.infer.backends import NETWORKS, ONNX, ClsOnnxBackend, ClsPaddleBackend, give_weights, scores_of, start_paddle
from ocr.spec import ClassifierSpec

_TINY = 1e-6  # of a probability: one view cannot outvote all others

S = TypeVar("S", bound=ClassifierSpec)
_S_co = TypeVar("_S_co", bound=ClassifierSpec, covariant=True)


class ClsBackend(Protocol[_S_co]):
    """A network that tells of what class views are."""

    @property
    def spec(self) -> _S_co:
        """See `ClassifierSpec`."""
        ...

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of the classes.

        Args:
            images: N × H × W × C, as `ClsPreprocess` gives them.

        Returns:
            N × classes, adding up to 1.
        """
        ...


class ClsModelBackend(Generic[S]):
    """A network as it is trained.

    Args:
        model: a network of `ocr.models.cls`; run in evaluation mode, then left as it was.
        spec: what goes with it.
    """

    def __init__(self, model: Any, spec: S) -> None:
        self.spec = spec
        self._model = model

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `ClsBackend`."""
        from paddle.nn import functional as F

        with scores_of(self._model, self.spec.preprocess.normalise(images)) as scores:
            found: NDArray[np.float32] = F.softmax(scores, axis=-1).numpy()
        return found


class Classifier(Generic[S]):
    """Tells of what class pictures are, from the views that the spec says; their probabilities are multiplied.

    Args:
        backend: see `ClsBackend`.
        thresh: probability from which the likeliest class counts; None: the spec's.
        max_batch_pixels: of the views that go through the network together; bounds the memory.
    """

    def __init__(self, backend: ClsBackend[S], thresh: float | None = None, max_batch_pixels: int = 1 << 20) -> None:
        self.spec = backend.spec
        self.thresh = backend.spec.postprocess.thresh if thresh is None else thresh
        self._backend = backend
        size = self.spec.preprocess
        self._together = max(1, max_batch_pixels // (size.height * size.width))

    def probabilities(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """Probabilities of the classes in the spec's `label_list`: pictures × classes.

        Args:
            images: `uint8`, H × W × 3 (BGR) or H × W (grey).
        """
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


def open_network(path: str | Path, kind: type[S], threads: int = 0) -> ClsBackend[S]:
    """A classifier's network ready to use, whatever form it has.

    Args:
        path: a run directory (its best or newest checkpoint), a checkpoint, or an exported model.
        kind: of spec that it must have.
        threads: of the network; 0: all cores.

    Raises:
        ScriptoriumError: there is no such classifier, it is broken, or what runs it is not installed.
    """
    folder = store.resolve(path)
    spec = kind.load(folder)
    if (folder / ONNX).is_file():
        return ClsOnnxBackend(folder, kind, threads)
    if any((folder / name).is_file() for name in NETWORKS):
        return ClsPaddleBackend(folder, kind, threads)
    start_paddle(threads)
    return ClsModelBackend(load_classifier(folder, spec), spec)


def load_classifier(folder: Path, spec: ClassifierSpec) -> Any:
    """The network of a checkpoint, in evaluation mode with the weights to predict with.

    Raises:
        ScriptoriumError: no checkpoint, a broken one, or weights that do not fit its architecture.
    """
    import paddle

    from ocr.config import ClassifierArchitecture
    from ocr.models.cls import build_classifier

    _, weights = store.load_model(folder)
    with paddle.utils.unique_name.guard():
        model = build_classifier(
            ClassifierArchitecture(**spec.architecture),
            len(spec.postprocess.label_list),
            spec.preprocess.channels,
        )
    give_weights(model, weights, folder)
    return model
