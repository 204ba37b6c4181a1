"""Can it be read? Ink against its surround over local noise, for every unit, on the decoded image.

Both the grey image g and the coverage m (0..1) with which the ink was drawn are freed of all that is wider than a
letter's strokes, by subtracting their mean over a window of a quarter of the image's height: lighting and shadows do
not count, strokes do. Over a unit's box, g is then fitted by c·m:

    c        = Σgm / Σm²
    contrast = |c| · max m                  grey levels between ink and surround, as they arrived
    ratio    = |c|·√Σm² / √Σ(g - c·m)²      the ink's signal over whatever else is there: noise, texture, neighbours

with the greatest coverage taken before the means are subtracted, and over the box's columns. A unit is legible when
both reach their floor. Blur takes from c and adds to the rest, filled counters and lost strokes add to the rest, a dot
that covers no pixel well has little contrast; a flat print on a flat ground has a ratio above 5.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def unit_contrast(
    grey: NDArray[np.uint8], coverage: NDArray[np.uint8], boxes: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Contrast and ratio of each unit, as defined above.

    Args:
        grey: height × width, the decoded image.
        coverage: height × width, the ink's coverage, 0 to 255.
        boxes: units × 4: first column, first row, end column, end row of each unit; within the image, not empty.

    Returns:
        contrast in grey levels, signed (positive: ink brighter than its surround), and ratio; both zero where no ink
        is left.
    """
    window = (grey.shape[0] // 4 | 1, grey.shape[0] // 4 | 1)
    g = cv2.subtract(grey, cv2.blur(grey, window), dtype=cv2.CV_32F)
    m = cv2.subtract(coverage, cv2.blur(coverage, window), dtype=cv2.CV_32F)
    x0, y0, x1, y1 = boxes.T
    # Sums over boxes from a summed-area table of the three products at once.
    table = cv2.integral(cv2.merge((cv2.multiply(g, g), cv2.multiply(m, m), cv2.multiply(g, m))))
    gg, mm, gm = (table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0]).T
    # Without ink there is no covariance either, and the quotient is zero.
    slope = gm / np.maximum(mm, 65.0)
    signal = slope * gm
    # A grey level of rounding noise is always there.
    rest = np.maximum(gg - signal, 0.0) + (x1 - x0) * (y1 - y0)
    # One column more, so that a box may end at the right edge.
    highest = cv2.copyMakeBorder(cv2.reduce(coverage, 0, cv2.REDUCE_MAX), 0, 0, 0, 1, cv2.BORDER_CONSTANT, value=0)
    peak = np.maximum.reduceat(highest[0], boxes[:, 0::2].ravel())[::2]
    return slope * peak, np.sqrt(np.maximum(signal, 0.0) / rest)
