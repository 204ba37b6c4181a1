"""A page beside what was read on it."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr.infer.draw import CaptionDrawer
from ocr.read.page import PageReading, Text

_LONGEST: Final = 1600  # pixels of a page's side
_SHIFT: Final = 4  # bits behind the point in OpenCV's coordinates
# BGR; blocks take turns.
_COLOURS: Final = ((180, 90, 20), (40, 130, 30), (40, 60, 200), (150, 40, 150), (30, 120, 190), (130, 130, 20))
_EM: Final = 0.75  # of a text's height
_SMALLEST: Final = 6  # pixels per em


class PageDrawer:
    """Draws pages with outlines in a colour for each block, and beside them their texts where they stand."""

    def __init__(self) -> None:
        self._captions = CaptionDrawer()

    def __call__(self, image: NDArray[np.uint8], page: PageReading) -> tuple[NDArray[np.uint8], list[str]]:
        """A picture of a page.

        Args:
            image: the upright picture, H × W × 3 (BGR) or H × W (grey).
            page: what it says.

        Returns:
            BGR, twice as wide as the page, no side of which is above 1,600 pixels; and the texts that no font draws.
        """
        scale = min(1.0, _LONGEST / max(image.shape[:2]))
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        left = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        if left.ndim == 2:
            left = np.asarray(cv2.cvtColor(left, cv2.COLOR_GRAY2BGR), np.uint8)
        right = np.full((height, width, 3), 255, np.uint8)
        undrawn: list[str] = []
        number = 0
        for block_number, block in enumerate(page.blocks):
            colour = _COLOURS[block_number % len(_COLOURS)]
            for line in block:
                for text in line.texts:
                    number += 1
                    points = np.round((text.polygon * scale - 0.5) * (1 << _SHIFT)).astype(np.int32)
                    cv2.polylines(left, [points], True, colour, 1, cv2.LINE_AA, _SHIFT)
                    if not page_has_text(page):
                        _numbered(left, text, scale, number, colour)
                    elif text.text and not self._write(right, text, scale, colour):
                        undrawn.append(text.text)
        return np.concatenate((left, right), 1) if page_has_text(page) else left, undrawn

    def _write(self, canvas: NDArray[np.uint8], text: Text, scale: float, colour: tuple[int, int, int]) -> bool:
        quad = text.quad * np.float32(scale)
        long = float(np.hypot(*(quad[1] - quad[0])))
        high = float(np.hypot(*(quad[3] - quad[0])))
        ink = self._captions.ink(text.text, max(_SMALLEST, round(high * _EM)))
        if ink is None:
            return False
        # Set into its quadrilateral, not higher than it and as wide at most.
        rows, columns = ink.shape
        factor = min(1.0, long / columns, high / rows)
        wide, tall = columns * factor, rows * factor
        along, down = (quad[1] - quad[0]) / max(long, 1e-6), (quad[3] - quad[0]) / max(high, 1e-6)
        corner = quad[0] + down * ((high - tall) / 2)
        target = np.stack((corner, corner + along * wide, corner + down * tall)).astype(np.float32)
        if factor < 0.7:
            small = (max(1, round(wide)), max(1, round(tall)))
            ink = np.asarray(cv2.resize(ink, small, interpolation=cv2.INTER_AREA), np.uint8)
            rows, columns = ink.shape
        matrix = cv2.getAffineTransform(np.array(((0, 0), (columns, 0), (0, rows)), np.float32), target)
        x, y = (int(value) for value in np.floor(target.min(0)) - 1)
        fourth = target[1] + target[2] - target[0]
        far_x, far_y = (int(value) for value in np.ceil(np.maximum(target.max(0), fourth)) + 1)
        x, y, far_x, far_y = max(x, 0), max(y, 0), min(far_x, canvas.shape[1]), min(far_y, canvas.shape[0])
        if far_x <= x or far_y <= y:
            return True
        matrix[:, 2] -= (x, y)
        mask = cv2.warpAffine(ink, matrix, (far_x - x, far_y - y)).astype(np.float32)[..., None] / 255
        part = canvas[y:far_y, x:far_x]
        part[:] = np.round(part * (1 - mask) + np.array(colour, np.float32) * mask).astype(np.uint8)
        return True


def page_has_text(page: PageReading) -> bool:
    """Whether anything was read; not so where texts were only found."""
    return any(text.text for text in page.texts)


def _numbered(canvas: NDArray[np.uint8], text: Text, scale: float, number: int, colour: tuple[int, int, int]) -> None:
    x, y = (text.polygon[0] * scale).tolist()
    cv2.putText(canvas, str(number), (round(x), round(y) - 1), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
