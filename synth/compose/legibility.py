"""Can it be read? Ink against its surround over local noise, for every unit, on the decoded image.

Both the grey image g and the coverage m (0..1) with which the ink was drawn are freed of all that is wider than a
letter's strokes, by subtracting their mean over a window of a quarter of the image's height: lighting and shadows do
not count, strokes do. Over the columns that a unit spans, g is then fitted by c·m:

    contrast |c| = |Σgm| / Σm²              grey levels between ink and surround, as they arrived
    ratio        = |c|·√Σm² / √Σ(g - c·m)²  the ink's signal over whatever else is there: noise, texture, neighbours

A unit is legible when both reach their floor. Blur takes from c and adds to the rest, filled counters and lost strokes
add to the rest, a flat print on a flat ground has a ratio above 5.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def unit_contrast(
    grey: NDArray[np.uint8], coverage: NDArray[np.uint8], spans: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Contrast and ratio of each unit, as defined above.

    Args:
        grey: height × width, the decoded image.
        coverage: height × width, the ink's coverage, 0 to 255.
        spans: units × 2, first column and end column of each unit; at least one column wide.

    Returns:
        contrast in grey levels, signed (positive: ink brighter than its surround), and ratio; both zero where no ink
        is left.
    """
    height, width = grey.shape
    window = (height // 4 | 1, height // 4 | 1)
    g = cv2.subtract(grey, cv2.blur(grey, window), dtype=cv2.CV_32F)
    m = cv2.subtract(coverage, cv2.blur(coverage, window), dtype=cv2.CV_32F)
    planes = np.empty((3, height, width), np.float32)
    np.multiply(g, g, out=planes[0])
    np.multiply(m, m, out=planes[1])
    np.multiply(g, m, out=planes[2])
    # One column more, so that a span may end at the right edge.
    columns = np.zeros((3, width + 1), np.float64)
    # A product with ones sums columns several times as fast as a reduction over the middle axis.
    columns[:, :width] = (np.ones((1, height), np.float32) @ planes)[:, 0]
    gg, mm, gm = np.add.reduceat(columns, spans.ravel(), axis=1)[:, ::2]
    # Without ink there is no covariance either, and the quotient is zero.
    contrast = gm / np.maximum(mm, 65.0)
    signal = contrast * gm
    # A grey level of rounding noise is always there.
    rest = np.maximum(gg - signal, 0.0) + height * (spans[:, 1] - spans[:, 0])
    return contrast * 255, np.sqrt(np.maximum(signal, 0.0) / rest)
