"""Finding texts in pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
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
        import paddle
        from paddle.nn import functional as F

        model = self._model
        training = model.training
        if training:
            model.eval()
        try:
            with paddle.no_grad():
                scores = model(paddle.to_tensor(self.spec.preprocess.normalise(images)))
                found: NDArray[np.float32] = F.sigmoid(scores).squeeze(1).numpy()
        finally:
            if training:
                model.train()
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
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if expected != {name: value.shape for name, value in weights.items()}:
        raise ScriptoriumError(f"{folder}: the weights are not those of the architecture in spec.json; name another")
    model.set_state_dict({name: paddle.to_tensor(value) for name, value in weights.items()})
    model.eval()
    return model, spec
