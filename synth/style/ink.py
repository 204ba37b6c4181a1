"""What letters are painted with: colour, how it changes, a rim around them, a shadow under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.compose.colour import luminance
from synth.style.style import Colour, Image, Outline, Shadow

_RIM: Final = 28.0  # levels by which a rim differs from ink, ground and all between
_RIM_SHARE: Final = 0.3  # of the ink's contrast; less is what sharpening does
_BEGINS: Final = 0.05  # of the text's height: a rim that begins further out is something else
_CAST: Final = 0.16  # of the ground's luminance that a shadow takes, at least
_FAR: Final = 0.16  # of the text's height to which a shadow or a rim reaches


@dataclass(slots=True)
class Painted:
    """The ink of a crop; see the attributes of `Style` of the same names."""

    ink: Colour
    gradient: tuple[Colour, Colour]
    texture: float
    outline: Outline | None
    shadow: Shadow | None


def painted(image: Image, mask: Image, background: Image, height: float, angle: float) -> Painted:
    """Measure the ink.

    Args:
        image: height × width × 3.
        mask: height × width; ink where it is 128 or more, some of it at least.
        background: height × width × 3, the same crop without text.
        height: of the text, in pixels.
        angle: of its line, in radians.
    """
    core = middle_of(mask)
    rows, columns = np.nonzero(core)
    pixels = image[rows, columns].astype(np.float64)
    ink = np.median(pixels, axis=0)
    c, s = np.cos(angle), np.sin(angle)
    u, v = columns * c + rows * s, rows * c - columns * s
    gradient, residue = _plane(pixels, u, v)
    grey = residue @ np.array((0.114, 0.587, 0.299))
    texture = 1.4826 * float(np.median(np.abs(grey - np.median(grey))))
    return Painted(
        _colour(ink),
        (_colour(gradient[0]), _colour(gradient[1])),
        texture,
        _outline(image, mask, background, ink, height),
        _shadow(image, mask, background, height),
    )


def middle_of(mask: Image) -> NDArray[np.bool_]:
    """The middle of strokes, where neither blur nor rim is seen: never empty where the mask is not."""
    inked = np.where(mask >= 128, np.uint8(255), np.uint8(0))
    distance = cv2.distanceTransform(inked, cv2.DIST_L2, 3)
    local = cv2.dilate(distance, np.ones((7, 7), np.uint8))
    return np.asarray((distance > 0) & (distance >= 0.75 * local))


def _plane(
    pixels: NDArray[np.float64], u: NDArray[Any], v: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Change of colour from end to end and from top to bottom (2 × 3), and what is left of the pixels beside it."""
    spans = np.array((max(float(np.ptp(u)), 1.0), max(float(np.ptp(v)), 1.0)))
    design = np.stack((np.ones(len(u)), (u - u.mean()) / spans[0], (v - v.mean()) / spans[1]), 1)
    # Few pixels say little of a change: a pull to none, as strong as twenty of them.
    pull = np.diag((0.0, 1.0, 1.0))
    weights = np.linalg.solve(design.T @ design + pull, design.T @ pixels)
    return weights[1:], pixels - design @ weights


def _outline(image: Image, mask: Image, background: Image, ink: NDArray[np.float64], height: float) -> Outline | None:
    distance = cv2.distanceTransform(np.where(mask >= 128, np.uint8(0), np.uint8(255)), cv2.DIST_L2, 3)
    most = max(2, round(_FAR * height))
    rim: list[NDArray[np.float64]] = []
    for d in range(1, most + 1):
        ring = (distance > d - 0.5) & (distance <= d + 0.5)
        if ring.sum() < 12:
            break
        here = image[ring].astype(np.float64)
        there = np.median(background[ring].astype(np.float64), axis=0)
        colour = np.median(here, axis=0)
        # Between ink and ground lies what blur makes of the two.
        way = there - ink
        length = float(np.linalg.norm(way))
        if length < 1:
            break
        share = float((colour - ink) @ way) / length**2
        nearest = ink + min(max(share, 0.0), 1.0) * way
        beside = float(np.linalg.norm(colour - nearest))
        even = float(np.linalg.norm(np.median(np.abs(here - colour), axis=0)))
        if beside > max(_RIM, _RIM_SHARE * length, 1.5 * even):
            rim.append(colour)
        elif rim or d > max(3, _BEGINS * height):
            break
    if not rim:
        return None
    return Outline(_colour(np.mean(rim, axis=0)), max(1.0, len(rim)) / max(height, 1.0))


def _shadow(image: Image, mask: Image, background: Image, height: float) -> Shadow | None:
    """Darkness on one side of the letters that is not on the other."""
    inked = mask >= 128
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    ground = cv2.cvtColor(background, cv2.COLOR_BGR2GRAY).astype(np.float32)
    near = cv2.dilate(inked.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    lost = np.where(near, 0.0, (ground - grey) / np.maximum(ground, 24.0)).astype(np.float32)
    best = (0.0, 0, 0)
    for far in sorted({2, max(2, round(0.06 * height)), max(3, round(0.1 * height)), max(3, round(_FAR * height))}):
        for dx, dy in ((1, 0), (1, 1), (0, 1), (-1, 1)):
            step = far if 0 in (dx, dy) else max(1, round(far * 0.7))
            there, against = _moved(inked, dx * step, dy * step), _moved(inked, -dx * step, -dy * step)
            one, other = (mask.view(np.uint8) for mask in (there & ~against & ~near, against & ~there & ~near))
            if min(cv2.countNonZero(one), cv2.countNonZero(other)) < 20:
                continue
            a, b = cv2.mean(lost, one)[0], cv2.mean(lost, other)[0]
            best = max(best, (a - max(b, 0.0), dx * step, dy * step), (b - max(a, 0.0), -dx * step, -dy * step))
    if best[0] < _CAST:
        return None
    return Shadow(best[1] / height, best[2] / height, min(1.0, best[0]))


def _moved(mask: NDArray[np.bool_], dx: int, dy: int) -> NDArray[np.bool_]:
    height, width = mask.shape
    result = np.zeros_like(mask)
    if abs(dx) < width and abs(dy) < height:
        result[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = mask[
            max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
        ]
    return result


def _colour(values: NDArray[np.float64]) -> Colour:
    b, g, r = (float(value) for value in values)
    return b, g, r


def luminance_of(pixels: NDArray[Any]) -> float:
    """Middle luminance of pixels, N × 3."""
    b, g, r = (float(value) for value in np.median(pixels, axis=0))
    return luminance((b, g, r))
