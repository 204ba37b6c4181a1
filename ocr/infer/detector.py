"""Finding texts in pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ocr.infer.backends import give_weights, scores_of
from ocr.postprocess.db import Detection, db_boxes
from ocr.spec import DetSpec


class MapBackend(Protocol):
    """A network that gives probability maps.

    Attributes:
        spec: see `DetSpec`.
    """

    spec: DetSpec

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of shrunk texts.

        Args:
            images: N × H × W × C, as `DetPreprocess` gives them.

        Returns:
            N × H × W.
        """
        ...


class MapModelBackend:
    """A network as it is trained.

    Args:
        model: an `ocr.models.det.DetectionModel`; run in evaluation mode, then left as it was.
        spec: what goes with it.
    """

    def __init__(self, model: Any, spec: DetSpec) -> None:
        self.spec = spec
        self._model = model

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `MapBackend`."""
        from paddle.nn import functional as F

        with scores_of(self._model, self.spec.preprocess.normalise(images)) as scores:
            found: NDArray[np.float32] = F.sigmoid(scores).squeeze(1).numpy()
        return found


class Detector:
    """Finds texts with a network and its spec.

    Args:
        backend: see `MapBackend`.
    """

    def __init__(self, backend: MapBackend) -> None:
        self._backend = backend
        self.spec = backend.spec

    def find(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The texts of a page, polygons in its pixels.

        Args:
            image: `uint8`, H × W × 3 (BGR) or H × W (grey).
        """
        padded, (height, width) = self.spec.preprocess(image)
        [probability] = self._backend.run(padded[None])
        rows, columns = image.shape[:2]
        return db_boxes(np.ascontiguousarray(probability[:height, :width]), self.spec.postprocess, rows, columns)


def load_detector(path: Path) -> tuple[Any, DetSpec]:
    """The network of a run or checkpoint, in evaluation mode with the weights to predict with, and its spec.

    Raises:
        ScriptoriumError: no detector there, a broken one, or weights that do not fit its architecture.
    """
    import paddle

    from ocr.config import DetArchitecture
    from ocr.engine import checkpoint as store
    from ocr.models.det import build_detector

    folder = store.resolve(path)
    spec = DetSpec.load(folder)
    _, weights = store.load_model(folder)
    with paddle.utils.unique_name.guard():
        model = build_detector(DetArchitecture(**spec.architecture), spec.preprocess.channels)
    give_weights(model, weights, folder)
    return model, spec
