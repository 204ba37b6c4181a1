"""A crop without its text: the hole filled from around it, and the ground's own grain put back."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.style.style import Image

_SHIFTS: Final = 40  # tried to bring grain into the hole
_INNER: Final = 0.04  # of a crop: that much ground further from the hole will do
_POCKET: Final = 0.03  # of a square as high as the crop
_ENOUGH: Final = 0.12  # of the crop
_FINE: Final = 1.4  # pixels: what is coarser is interpolated and no grain
_LEAST: Final = 12  # pixels of ground that are something to go by


def reach(image: Image, mask: Image, most: int) -> int:
    """How many pixels around ink its traces go: blur, halo, outline, shadow.

    Args:
        image: height × width × 3.
        mask: height × width; ink where it is 128 or more.
        most: pixels, at most.

    Returns:
        The distance from which on the crop is no more uneven than further away.
    """
    distance = cv2.distanceTransform(np.where(mask >= 128, np.uint8(0), np.uint8(255)), cv2.DIST_L2, 3)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    slope = np.abs(cv2.Scharr(grey, cv2.CV_32F, 1, 0)) + np.abs(cv2.Scharr(grey, cv2.CV_32F, 0, 1))
    ring = np.minimum(np.ceil(distance), most + 3).astype(np.intp).ravel()
    counts = np.bincount(ring, minlength=most + 4)
    means = np.bincount(ring, slope.ravel(), minlength=most + 4) / np.maximum(counts, 1)
    edge = float(means[1:3].max())
    for d in range(2, most):
        beyond = counts[d + 1 :].sum()
        if beyond < _LEAST:
            return d
        further = float((means[d + 1 :] * counts[d + 1 :]).sum() / beyond)
        if means[d] <= max(1.25 * further, 0.06 * edge):
            return d
    return most


def fill(image: Image, hole: NDArray[np.bool_], rng: np.random.Generator) -> Image:
    """Paint over a part of an image from what surrounds it.

    Colours are interpolated by a pyramid of weighted means (push-pull: Gortler et al. 1996, "The lumigraph"), which
    leaves no streaks; then what the image has beside its smooth part is brought in by shifting it over the hole, so
    that noise, grain and the traces of compression go on.

    Args:
        image: height × width × 3.
        hole: height × width, true where it is to be painted over; not everywhere.
        rng: draws the shifts.
    """
    hole = hole | _pockets(~hole)
    known = (~hole).astype(np.float32)
    smooth: NDArray[Any] = _push_pull(image.astype(np.float32), known)
    # The same blur inside and outside: grain is what a neighbourhood's mean, of known pixels only, leaves.
    seen = image.astype(np.float32) * known[..., None]
    weight = cv2.GaussianBlur(known, (0, 0), _FINE, borderType=cv2.BORDER_REFLECT)
    local = cv2.GaussianBlur(seen, (0, 0), _FINE, borderType=cv2.BORDER_REFLECT)
    grain = (image - local / np.maximum(weight, 1e-3)[..., None]) * known[..., None]
    steady = _steady(grain, hole)
    result = smooth + _moved(grain, steady, hole, rng)
    filled = np.where(hole[..., None], result, image)
    return np.asarray(np.clip(filled + 0.5, 0, 255).astype(np.uint8))


def _pockets(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Small islands of ground between letters, where shadow and blur are: left out where there is enough beside."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(known.view(np.uint8), connectivity=4)
    area = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    small = area < _POCKET * known.shape[0] ** 2
    small[0] = False
    if not small.any() or area[1:][~small[1:]].sum() < _ENOUGH * known.size:
        return np.zeros_like(known)
    return np.asarray(small[labels])


def ghost(background: Image, mask: Image, hole: NDArray[np.bool_]) -> float:
    """How much of the text can still be seen in its background: levels between where ink was and just beside it."""
    inside = mask >= 128
    beside = hole & ~inside
    if inside.sum() < _LEAST or beside.sum() < _LEAST:
        return 0.0
    smooth = cv2.GaussianBlur(background, (0, 0), 1.0).astype(np.float32)
    wide = cv2.GaussianBlur(smooth, (0, 0), 8.0)
    left = smooth - wide
    return float(np.abs(left[inside].mean(0) - left[beside].mean(0)).max())


def _push_pull(image: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = known.shape
    if min(height, width) <= 2 or known.all():
        mean = (image * known[..., None]).sum((0, 1)) / max(float(known.sum()), 1e-6)
        return np.where(known[..., None] > 0, image, mean.astype(np.float32))
    half = ((width + 1) // 2, (height + 1) // 2)
    weight = cv2.pyrDown(known, dstsize=half)
    below = cv2.pyrDown(image * known[..., None], dstsize=half) / np.maximum(weight, 1e-6)[..., None]
    lower = _push_pull(np.asarray(below, np.float32), np.minimum(weight * 4, 1.0).astype(np.float32))
    upper = cv2.pyrUp(lower, dstsize=(width, height))
    return np.asarray(image * known[..., None] + upper * (1 - known)[..., None], np.float32)


def _steady(grain: NDArray[Any], hole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Known pixels whose grain is ordinary: borders of other things would be seen where they do not belong."""
    known = ~hole
    # Right beside the hole there are the last traces of what is painted over.
    inner = cv2.erode(known.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1) > 0
    if inner.mean() > _INNER:
        known = inner
    size = np.abs(grain).max(2)
    usual = float(np.median(size[known]))
    odd = ((size > 3 * usual + 2) & known).astype(np.uint8)
    return known & ~(cv2.dilate(odd, np.ones((3, 3), np.uint8)) > 0)


def _moved(
    grain: NDArray[Any], usable: NDArray[np.bool_], hole: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[Any]:
    """Grain for the hole: that of other places, shifted over it as patches."""
    height, width = hole.shape
    result = np.zeros_like(grain)
    left = hole.copy()
    if usable.sum() < _LEAST:
        return result
    reach_x, reach_y = min(width - 1, 3 * height), height - 1
    for number in range(_SHIFTS):
        # Up and down first a little, as grain differs between far places.
        share = min(1.0, 0.25 + number / 10)
        dx = int(rng.integers(-reach_x, reach_x + 1) * share)
        dy = int(rng.integers(-reach_y, reach_y + 1) * share)
        to = _overlap(dx, dy, height, width)
        source = _overlap(-dx, -dy, height, width)
        take = left[to] & usable[source]
        result[to][take] = grain[source][take]
        left[to] &= ~take
        if not left.any():
            break
    return result


def _overlap(dx: int, dy: int, height: int, width: int) -> Any:
    return slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0))
