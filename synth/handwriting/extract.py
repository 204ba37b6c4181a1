"""Images of characters to ink: paper made transparent, soft edges kept, and what is measured of the strokes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.handwriting.readers import Grey

LONGEST: Final = 128
"""Pixels of a stored mask's longer side, at most."""

BANDS: Final = 16
"""Rows that `profiles` divides a mask into."""

BARE: Final = 255
"""In a profile: no ink in this band."""

_WORKED_ON: Final = 512  # pixels of an image's longer side: photographs are scaled down to that first
_CONTRAST: Final = 24  # grey levels between ink and paper below which there is no ink
_UNEVEN: Final = 0.25  # of the contrast, by which paper varies across an image before one threshold will not do
_SAUVOLA: Final = 0.2  # k of Sauvola and Pietikäinen, "Adaptive document image binarization" (2000)
_SURE: Final = 0.5  # of a vote, to say that an image is inverted against the others of its set
_SMALLEST: Final = 4  # pixels


@dataclass(frozen=True)
class Paper:
    """What the images of a set have in common.

    Attributes:
        ink: darker or brighter than the paper.
        threshold: `otsu`: one level for an image; `sauvola`: one for each place, where paper is shaded.
    """

    ink: Literal["dark", "bright"]
    threshold: Literal["otsu", "sauvola"]


@dataclass(slots=True)
class Extracted:
    """The ink of one image.

    Attributes:
        mask: `uint8`, height × width, coverage, cut to the ink, `LONGEST` at most.
        left: of the mask in the image, in the mask's pixels; like all that follows.
        top: the same.
        width: of the image.
        height: of the image.
        stroke: width of the strokes.
        slant: how far strokes lean to the right for each pixel upwards.
        edge: largest share of one of the image's sides that is ink.
        inverted: ink and paper are the other way round than in the set.
    """

    mask: Grey
    left: float
    top: float
    width: float
    height: float
    stroke: float
    slant: float
    edge: float
    inverted: bool


def vote(image: Grey) -> float:
    """Whether paper is brighter than ink, from -1 (it is darker) to 1; by what lies at the sides and is more.

    0 where there is no contrast.
    """
    if min(image.shape) < 2 or int(image.max()) - int(image.min()) < _CONTRAST:
        return 0.0
    level, _ = cv2.threshold(image, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    bright = image > level
    sides = np.concatenate((bright[0], bright[-1], bright[:, 0], bright[:, -1]))
    return float(sides.mean() + bright.mean() - 1.0)


def judge(images: Iterable[Grey]) -> Paper:
    """What a set's images have in common, by some of them."""
    votes: list[float] = []
    spreads: list[float] = []
    for image in images:
        votes.append(vote(image))
        if votes[-1]:
            spreads.append(_shading(image if votes[-1] > 0 else cv2.bitwise_not(image)))
    uneven = bool(spreads) and float(np.quantile(spreads, 0.75)) > _UNEVEN
    return Paper("dark" if sum(np.sign(votes)) >= 0 else "bright", "sauvola" if uneven else "otsu")


def _shading(image: NDArray[Any]) -> float:
    """By how much the paper's level varies across an image, as a share of the contrast."""
    level, _ = cv2.threshold(image, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    paper: NDArray[Any] = (image > level).astype(np.float32)
    window = (max(3, image.shape[1] // 3), max(3, image.shape[0] // 3))
    weight = cv2.blur(paper, window)
    local = cv2.blur(paper * image, window) / np.maximum(weight, 1e-3)
    levels = local[weight > 0.2]
    if not len(levels) or not (image <= level).any():
        return 0.0
    low, high = np.quantile(levels, (0.05, 0.95))
    return float((high - low) / max(float(image[image > level].mean() - image[image <= level].mean()), 1.0))


def extract(image: Grey, paper: Paper) -> Extracted | None:
    """The ink of an image, height × width; None where there is none, or nothing else."""
    if min(image.shape) < _SMALLEST:
        return None
    longest = max(image.shape)
    if longest > _WORKED_ON:
        size = tuple(max(_SMALLEST, round(side * _WORKED_ON / longest)) for side in image.shape[::-1])
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    ballot = vote(image)
    usual = 1 if paper.ink == "dark" else -1
    inverted = ballot * usual < -_SURE
    dark = (paper.ink == "dark") != inverted
    grey = image if dark else cv2.bitwise_not(image).astype(np.uint8, copy=False)
    alpha = _coverage(grey, paper.threshold)
    if alpha is None or (alpha := _without_specks(alpha)) is None:
        return None
    rows, columns = np.flatnonzero(alpha.max(1) > 64), np.flatnonzero(alpha.max(0) > 64)
    if not len(rows):
        return None
    # A pixel more on each side keeps the soft edge.
    top, bottom = max(int(rows[0]) - 1, 0), min(int(rows[-1]) + 2, alpha.shape[0])
    left, right = max(int(columns[0]) - 1, 0), min(int(columns[-1]) + 2, alpha.shape[1])
    mask = np.ascontiguousarray(alpha[top:bottom, left:right])
    if float(mask.mean()) > 250 and mask.size > 0.9 * alpha.size:
        return None  # a frame full of ink
    sides = (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1])
    edge = max(float((side > 127).mean()) for side in sides)
    scale = min(1.0, LONGEST / max(mask.shape))
    if scale < 1:
        size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
        mask = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    stroke, slant = strokes(mask)
    height, width = alpha.shape
    return Extracted(mask, left * scale, top * scale, width * scale, height * scale, stroke, slant, edge, inverted)


def _coverage(grey: Grey, threshold: str) -> Grey | None:
    """Dark ink on bright paper to coverage: the paper's own level is 0, that of the ink 255, edges lie between."""
    if int(grey.max()) - int(grey.min()) < _CONTRAST:
        return None
    level, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    values = grey.astype(np.float32)
    if threshold == "sauvola":
        side = max(15, min(grey.shape) // 3) | 1
        mean = cv2.boxFilter(values, -1, (side, side), borderType=cv2.BORDER_REFLECT)
        square = cv2.sqrBoxFilter(values, cv2.CV_32F, (side, side), borderType=cv2.BORDER_REFLECT)
        spread = np.sqrt(np.maximum(square - mean * mean, 0.0))
        # The largest deviation of this image takes the place of 128, as faint pencil needs it.
        local = mean * (1 + _SAUVOLA * (spread / max(float(spread.max()), 1.0) - 1))
        below = values < local
        if not below.any():
            return None
        depth = max(float((local - values)[below].mean()), 4.0)
        coverage: NDArray[Any] = 0.5 + (local - values) / (2 * depth)
    else:
        ink, paper = values[grey <= level], values[grey > level]
        # Not the darkest, which are few, nor the mean, which would take soft and faint strokes for full ones.
        dark, bright = float(np.quantile(ink, 0.2)), float(paper.mean())
        if bright - dark < _CONTRAST:
            return None
        # Noise of the paper stays out, but soft edges stay in.
        clean = max(bright - 2 * float(paper.std()), level + 0.3 * (bright - level))
        coverage = (clean - values) / max(clean - dark, 1.0)
    return np.asarray(np.clip(coverage, 0, 1) * 255, np.uint8)


def _without_specks(alpha: Grey) -> Grey | None:
    count, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > 90).astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    areas = stats[:, cv2.CC_STAT_AREA]
    # The dot of an i is seldom a fiftieth of the ink; dust is less, and less than any pen can do.
    least = max(2.0, 5e-4 * alpha.size)
    kept = (areas >= least) | (areas > 0.05 * areas[1:].sum())
    kept[0] = False
    if not kept.any():
        return None
    # Haze goes as well, but for the soft edge of what stays.
    near = cv2.dilate(kept[labels].astype(np.uint8) * 255, np.ones((3, 3), np.uint8))
    return cv2.bitwise_and(alpha, near).astype(np.uint8, copy=False)


def strokes(mask: Grey) -> tuple[float, float]:
    """Width of the strokes in pixels and their slant, of a mask, height × width.

    The width is twice the area over the length of the contour. The slant is that of the contour's parts that are
    nearer to upright than to level.
    """
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0).astype(np.float32)
    across, down = padded[:-1, 1:] - padded[:-1, :-1], padded[1:, :-1] - padded[:-1, :-1]
    # Not by OpenCV, whose roots depend on where arrays lie in memory: whole numbers and single roots come out the same.
    contour = float(np.sqrt(across * across + down * down).sum(dtype=np.float64))
    x, y = cv2.Scharr(padded, cv2.CV_32F, 1, 0), cv2.Scharr(padded, cv2.CV_32F, 0, 1)
    upright = np.abs(x) > np.abs(y)
    xs, ys = x[upright], y[upright]
    weight = float((xs * xs).sum(dtype=np.float64))
    slant = float((xs * ys).sum(dtype=np.float64)) / weight if weight else 0.0
    return 2 * float(padded.sum(dtype=np.float64)) / max(contour, 1.0), slant


def profiles(mask: Grey) -> NDArray[np.uint8]:
    """Where ink begins and ends in each of BANDS bands of a mask, from top to bottom.

    Returns:
        2 × BANDS: leftmost and rightmost edge of the ink in 254ths of the width; BARE where there is none.
    """
    height, width = mask.shape
    inked = mask > 100
    bare = ~inked.any(1)
    # A row more, of no ink, so that the last band may end there. A row may reach into several bands.
    first, last = np.full(height + 1, width), np.full(height + 1, -1)
    first[:height] = np.where(bare, width, inked.argmax(1))
    last[:height] = np.where(bare, -1, width - inked[:, ::-1].argmax(1))
    edges = np.arange(BANDS + 1) * height
    ends = np.stack((edges[:-1] // BANDS, -(-edges[1:] // BANDS)), axis=1).ravel()
    left, right = np.minimum.reduceat(first, ends)[::2], np.maximum.reduceat(last, ends)[::2]
    found = np.rint(np.stack((left, right)) * (254 / width))
    found[:, right < 0] = BARE
    return np.asarray(found, np.uint8)
