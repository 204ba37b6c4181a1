"""Pages of coloured bars instead of texts, and a detector and a recogniser that know them: no network is needed.

A bar is dark; its red level says what it reads as: ten levels a letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr.infer.detector import Detector
from ocr.infer.recogniser import Reading
from ocr.postprocess.db import DBPostProcess
from ocr.spec import DetPreprocess, DetSpec, Preprocess

Image = NDArray[np.uint8]
LETTERS = "abcdefghijkl"


def page(bars: Sequence[tuple[int, int, int, int, str]], height: int = 300, width: int = 400) -> Image:
    """A white page with bars: left, top, width, height and letter of each."""
    image = np.full((height, width, 3), 255, np.uint8)
    for left, top, wide, high, letter in bars:
        image[top : top + high, left : left + wide] = (0, 0, 5 + 10 * LETTERS.index(letter))
    return image


class DarkBackend:
    """Says 1 where a page is dark, 0 elsewhere; looks at no neighbours."""

    def __init__(self, **preprocess: Any) -> None:
        self.spec = DetSpec(
            architecture={},
            preprocess=DetPreprocess(**({"limit_side_len": 8192} | preprocess)),
            postprocess=DBPostProcess(unclip_ratio=0.0),
        )
        self.shapes: list[tuple[int, ...]] = []

    def run(self, images: Image) -> NDArray[np.float32]:
        self.shapes.append(images.shape)
        return (images.max(3) < 140).astype(np.float32)


def detector(tile: int = 1536, **preprocess: Any) -> Detector:
    return Detector(DarkBackend(**preprocess), tile)


class RedReader:
    """Reads a crop's red level; `confidence` is the same for all, or by letter."""

    def __init__(self, confidence: float | dict[str, float] = 0.9, prefix: str = "", turn_ratio: float = 1.5) -> None:
        self._confidence, self._prefix = confidence, prefix
        self.spec = type("Spec", (), {"preprocess": Preprocess(turn_ratio=turn_ratio)})
        self.seen: list[tuple[int, ...]] = []

    def read(self, images: Sequence[Image]) -> list[Reading]:
        return [self._one(image) for image in images]

    def _one(self, image: Image) -> Reading:
        self.seen.append(image.shape)
        height, width = image.shape[:2]
        level = int(np.median(image[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None, 2]))
        letter = LETTERS[min(max((level - 5) // 10, 0), len(LETTERS) - 1)]
        sure = self._confidence if isinstance(self._confidence, float) else self._confidence.get(letter, 0.1)
        return Reading(self._prefix + letter, sure, [letter], [sure])
