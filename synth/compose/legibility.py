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

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from synth.recipe import Legibility

UNDER_CONTRAST, OVER_NOISE, STROKES_LOST = "contrast under the floor", "noise over the floor", "strokes lost"
"""Reasons why a text is refused."""

_ROWS, _COLUMNS = 4, 2
_PART = 1 / 16
_STRIP = 1 << 16  # pixels measured at once: the sums then stay in the processor's cache

Measures = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Of each unit: contrast in grey levels, signed (positive: ink brighter than its surround), ratio and evenness;
contrast and ratio are zero where no ink is left."""


def unit_contrast(grey: NDArray[np.uint8], coverage: NDArray[np.uint8], boxes: NDArray[np.intp]) -> Measures:
    """Contrast, ratio and evenness of each unit, as defined above.

    Args:
        grey: height × width, the decoded image.
        coverage: height × width, the ink's coverage, 0 to 255.
        boxes: units × 4: first column, first row, end column, end row of each unit; within the image, not empty.
    """
    return unit_contrasts([grey], [coverage], [len(boxes)], boxes)


def judged(
    grey: NDArray[Any], coverage: NDArray[Any], polygons: NDArray[np.float32], floor: Legibility
) -> tuple[str, float]:
    """Why a text cannot be read, empty where it can; and the least contrast of its units, grey levels.

    Args:
        grey: height × width, the decoded image.
        coverage: height × width, the ink's coverage, 0 to 255.
        polygons: units × 4 × 2 in pixels, of the units that have ink.
        floor: what all of them must reach.
    """
    if not len(polygons):
        return UNDER_CONTRAST, 0.0
    ends = np.array((grey.shape[1], grey.shape[0]), np.float32)
    low = np.clip(polygons.min(1) - np.float32(0.5), 0, ends - 1).astype(np.intp)
    high = np.clip(polygons.max(1) + np.float32(1.5), 1, ends).astype(np.intp)
    contrasts, ratios, evenness = unit_contrast(grey, coverage, np.concatenate((low, high), 1))
    contrast = float(np.abs(contrasts).min())
    reason = ""
    if contrast < floor.contrast:
        reason = UNDER_CONTRAST
    elif ratios.min() < floor.ratio:
        reason = OVER_NOISE
    elif evenness.min() < floor.evenness:
        reason = STROKES_LOST
    return reason, round(min(contrast, 255.0), 1)


def unit_contrasts(
    greys: Sequence[NDArray[np.uint8]],
    coverages: Sequence[NDArray[np.uint8]],
    counts: Sequence[int],
    boxes: NDArray[np.intp],
) -> Measures:
    """The same for several images of one height; what the others are makes no difference to the result.

    Args:
        greys: images as `unit_contrast` takes them.
        coverages: their ink.
        counts: how many units each image has.
        boxes: units × 4, of all images in turn, each in its own image's pixels.
    """
    if not greys:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    ends = [0, *accumulate(counts)]
    room = max(1, _STRIP // greys[0].shape[0])
    parts: list[Measures] = []
    first = 0
    while first < len(greys):
        last, width = first + 1, greys[first].shape[1]
        while last < len(greys) and width + greys[last].shape[1] <= room:
            width += greys[last].shape[1]
            last += 1
        parts.append(
            _measured(greys[first:last], coverages[first:last], counts[first:last], boxes[ends[first] : ends[last]])
        )
        first = last
    if len(parts) == 1:
        return parts[0]
    contrast, ratio, evenness = (np.concatenate(part) for part in zip(*parts, strict=True))
    return contrast, ratio, evenness


def _strip(images: Sequence[NDArray[np.uint8]], pad: int) -> NDArray[np.uint8]:
    """Images side by side, each mirrored at its edges as far as a window reaches, and so independent of the next."""
    return np.asarray(
        cv2.hconcat([cv2.copyMakeBorder(image, 0, 0, pad, pad, cv2.BORDER_REFLECT_101) for image in images])
    )


def _measured(
    greys: Sequence[NDArray[np.uint8]],
    coverages: Sequence[NDArray[np.uint8]],
    counts: Sequence[int],
    boxes: NDArray[np.intp],
) -> Measures:
    side = greys[0].shape[0] // 4 | 1
    pad = side // 2 + 1  # one column more, so that a box may end at the right edge
    grey, coverage = _strip(greys, pad), _strip(coverages, pad)
    starts = [pad, *accumulate((image.shape[1] + 2 * pad for image in greys[:-1]), initial=pad)][1:]
    g = cv2.subtract(grey, cv2.blur(grey, (side, side)), dtype=cv2.CV_32F)
    m = cv2.subtract(coverage, cv2.blur(coverage, (side, side)), dtype=cv2.CV_32F)
    # Sums over boxes from summed-area tables of the three products, one under the other. Each image has a table of its
    # own, as sums of 32 bits (four times as fast as of 64) are rounded by what stands to the left and above.
    height, width = grey.shape
    products = np.empty((3 * height, width), np.float32)
    cv2.multiply(g, g, products[:height])
    cv2.multiply(m, m, products[height : 2 * height])
    cv2.multiply(g, m, products[2 * height :])
    table = np.empty((3 * height + 1, width), np.float32)
    for start, image in zip(starts, greys, strict=True):
        end = start + image.shape[1]
        cv2.integral(products[:, start:end], table[:, start : end + 1], cv2.CV_32F)
    x0, y0, x1, y1 = boxes.T
    shift = np.repeat(starts, counts)
    x0, x1 = x0 + shift, x1 + shift
    # Within the image, so that halves are rounded the same wherever it stands.
    x = x0[:, None] + (x1 - x0)[:, None] * _FROM_LEFT // _COLUMNS
    y = y0[:, None] + (y1 - y0)[:, None] * _FROM_TOP // _ROWS
    rows = y[:, None, :, None] + _PRODUCTS[:, None, None] * height
    corners = table[rows, x[:, None, None, :]].astype(np.float64)
    strips = corners[:, :, 1:] - corners[:, :, :-1]
    gg, mm, gm = (strips[..., -1] - strips[..., 0]).sum(2).T
    # Without ink there is no covariance either, and the quotient is zero.
    slope = gm / np.maximum(mm, 65.0)
    signal = slope * gm
    parts = strips[:, 1:, :, 1:] - strips[:, 1:, :, :-1]
    part_mm, part_gm = parts[:, 0], parts[:, 1]
    # cᵢ/c, where the part has ink enough to tell; the small number keeps the quotient of nothing by nothing quiet.
    kept = part_gm * np.sign(gm)[:, None, None] / np.maximum(part_mm * np.abs(slope)[:, None, None], 1e-6)
    evenness = np.where(part_mm >= _PART * mm[:, None, None], kept, 1.0).min((1, 2))
    # A grey level of rounding noise is always there.
    rest = np.maximum(gg - signal, 0.0) + (x1 - x0) * (y1 - y0)
    highest = coverage.max(0)
    peak = np.maximum.reduceat(highest, np.stack((x0, x1), 1).ravel())[::2] if len(boxes) else np.zeros(0)
    return slope * peak, np.sqrt(np.maximum(signal, 0.0) / rest), evenness


_FROM_LEFT = np.arange(_COLUMNS + 1)
_FROM_TOP = np.arange(_ROWS + 1)
_PRODUCTS = np.arange(3)
