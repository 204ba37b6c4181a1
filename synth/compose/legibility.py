"""Can it be read? Ink against its surround over local noise, for every unit, on the decoded image.

Both the grey image g and the coverage m (0..1) with which the ink was drawn are freed of all that is wider than a
letter's strokes, by subtracting their mean over a window of a quarter of the image's height: lighting and shadows do
not count, strokes do. Over a unit's box, g is then fitted by c·m:

    c        = Σgm / Σm²
    contrast = |c| · max m                  grey levels between ink and surround, as they arrived
    ratio    = |c|·√Σm² / √Σ(g - c·m)²      the ink's signal over whatever else is there: noise, texture, neighbours
    evenness = min cᵢ/c                     what the worst part of the unit keeps of the contrast

with the greatest coverage taken before the means are subtracted, and over the box's columns; the parts are eighths of
the box, 4 rows of 2, as far as a part has a sixteenth of the unit's Σm² or more. A unit is legible when all three reach
their floor. Blur takes from c and adds to the rest, filled counters add to the rest, a dot that covers no pixel well
has little contrast, and a lost mark or hairline leaves a part of the unit with nothing; a flat print on a flat ground
has a ratio above 5 and an evenness near 1.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_ROWS, _COLUMNS = 4, 2
_PART = 1 / 16


def unit_contrast(
    grey: NDArray[np.uint8], coverage: NDArray[np.uint8], boxes: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Contrast, ratio and evenness of each unit, as defined above.

    Args:
        grey: height × width, the decoded image.
        coverage: height × width, the ink's coverage, 0 to 255.
        boxes: units × 4: first column, first row, end column, end row of each unit; within the image, not empty.

    Returns:
        contrast in grey levels, signed (positive: ink brighter than its surround), ratio and evenness; contrast and
        ratio are zero where no ink is left.
    """
    window = (grey.shape[0] // 4 | 1, grey.shape[0] // 4 | 1)
    g = cv2.subtract(grey, cv2.blur(grey, window), dtype=cv2.CV_32F)
    m = cv2.subtract(coverage, cv2.blur(coverage, window), dtype=cv2.CV_32F)
    # Sums over boxes from a summed-area table of the three products at once, at the corners of all parts.
    table = cv2.integral(cv2.merge((cv2.multiply(g, g), cv2.multiply(m, m), cv2.multiply(g, m))))
    x0, y0, x1, y1 = boxes.T
    x = (x0[:, None] * _FROM_LEFT[::-1] + x1[:, None] * _FROM_LEFT) // _COLUMNS
    y = (y0[:, None] * _FROM_TOP[::-1] + y1[:, None] * _FROM_TOP) // _ROWS
    corners = table[y[:, :, None], x[:, None, :]]
    gg, mm, gm = (corners[:, -1, -1] - corners[:, 0, -1] - corners[:, -1, 0] + corners[:, 0, 0]).T
    # Without ink there is no covariance either, and the quotient is zero.
    slope = gm / np.maximum(mm, 65.0)
    signal = slope * gm
    strips = corners[:, 1:, :, 1:] - corners[:, :-1, :, 1:]
    parts = strips[:, :, 1:] - strips[:, :, :-1]
    part_mm, part_gm = parts[..., 0], parts[..., 1]
    # cᵢ/c, where the part has ink enough to tell; the small number keeps the quotient of nothing by nothing quiet.
    kept = part_gm * np.sign(gm)[:, None, None] / np.maximum(part_mm * np.abs(slope)[:, None, None], 1e-6)
    evenness = np.where(part_mm >= _PART * mm[:, None, None], kept, 1.0).min((1, 2))
    # A grey level of rounding noise is always there.
    rest = np.maximum(gg - signal, 0.0) + (x1 - x0) * (y1 - y0)
    # One column more, so that a box may end at the right edge.
    highest = cv2.copyMakeBorder(cv2.reduce(coverage, 0, cv2.REDUCE_MAX), 0, 0, 0, 1, cv2.BORDER_CONSTANT, value=0)
    peak = np.maximum.reduceat(highest[0], boxes[:, 0::2].ravel())[::2]
    return slope * peak, np.sqrt(np.maximum(signal, 0.0) / rest), evenness


_FROM_LEFT = np.arange(_COLUMNS + 1)
_FROM_TOP = np.arange(_ROWS + 1)
