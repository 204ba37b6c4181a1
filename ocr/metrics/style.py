"""How alike pictures are: PSNR and SSIM."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """10 · log10(255² / mean squared difference) in decibels; 100 where they are the same, and at most.

    Args:
        one, other: of one shape.
    """
    error = float(np.square(one.astype(np.float64) - other).mean())
    return 100.0 if error <= 0 else min(100.0, 10 * float(np.log10(255**2 / error)))


def ssim(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """The structural similarity, -1 to 1, in its authors' setting: a Gaussian window of 11 pixels, σ = 1.5.

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity" (2004); on luma, the mean
    over all windows that lie in the picture.

    Args:
        one, other: `uint8`, H × W × 3 (BGR) or H × W, of one shape, 11 × 11 at least.

    Raises:
        ValueError: they are smaller.
    """
    x, y = (
        (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image).astype(np.float64)
        for image in (one, other)
    )
    if min(x.shape) < _WINDOW:
        raise ValueError(f"pictures must be at least {_WINDOW} × {_WINDOW}, not {x.shape[0]} × {x.shape[1]}")
    inner = _WINDOW // 2

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        smooth = cv2.GaussianBlur(values, (_WINDOW, _WINDOW), _SIGMA)
        return np.asarray(smooth[inner:-inner, inner:-inner], np.float64)

    mx, my = mean(x), mean(y)
    xx, yy, xy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    found = (2 * mx * my + _C1) * (2 * xy + _C2) / ((mx * mx + my * my + _C1) * (xx + yy + _C2))
    return float(found.mean())
