"""From crops to texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.infer.backends import Backend
from ocr.order import as_read
from ocr.postprocess.ctc import decode


@dataclass(frozen=True)
class Reading:
    """What was read in a picture.

    Attributes:
        text: in logical order, in the dictionary's spelling.
        confidence: 0 to 1, the mean over the units; 0 where nothing was read.
        units: the dictionary's entries that make the text, in its order.
        confidences: one per unit.
    """

    text: str
    confidence: float
    units: list[str]
    confidences: list[float]


class Recogniser:
    """Reads crops of words and lines.

    A crop's padded width follows from the crop alone, and only crops of one padded width share a batch: what is read
    does not depend on what else is there.

    Args:
        backend: what runs the network.
        max_batch_pixels: of a batch, padding included; bounds the memory that the network takes. A wider picture is
            read by itself.
    """

    def __init__(self, backend: Backend, max_batch_pixels: int = 32 * 4096) -> None:
        self.spec = backend.spec
        self._known = frozenset(self.spec.units)
        self._backend = backend
        self._max_pixels = max_batch_pixels

    def read(self, images: Sequence[NDArray[np.uint8]]) -> list[Reading]:
        """Read crops, in order.

        Args:
            images: `uint8`, H × W × 3 (BGR) or H × W (grey).

        Raises:
            ScriptoriumError: an array of another shape or type.
        """
        preprocess = self.spec.preprocess
        pictures = []
        by_width: dict[int, list[int]] = defaultdict(list)
        for number, image in enumerate(images):
            _check(image, number)
            picture = preprocess(image)
            by_width[preprocess.padded_width(picture.shape[1])].append(number)
            pictures.append(picture)
        found: dict[int, Reading] = {}
        for width, numbers in sorted(by_width.items()):
            size = max(1, self._max_pixels // (width * preprocess.height))
            for start in range(0, len(numbers), size):
                chosen = numbers[start : start + size]
                batch = preprocess.stack([pictures[number] for number in chosen], width)
                for number, probabilities in zip(chosen, self._backend.run(batch), strict=True):
                    found[number] = self._reading(probabilities)
        return [found[number] for number in range(len(pictures))]

    def _reading(self, probabilities: NDArray[np.float32]) -> Reading:
        path = decode(probabilities, self.spec.decoder)
        placed = as_read([self.spec.units[number - 1] for number in path.classes], self._known)
        units = [unit for _, unit in placed]
        return Reading("".join(units), path.score, units, [path.confidences[at] for at, _ in placed])


def _check(image: Any, number: int) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise ScriptoriumError(f"picture {number}: is {kind}; give an array of uint8")
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)) or not image.size:
        shape = " × ".join(map(str, image.shape))
        raise ScriptoriumError(f"picture {number}: is {shape}; give height × width or height × width × 3")
