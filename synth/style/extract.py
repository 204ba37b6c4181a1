"""One crop to its style: text from ground, both measured."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.compose.background import UnusablePicture, read_picture
from synth.style.frame import frame
from synth.style.ground import fill, ghost, reach
from synth.style.ink import luminance_of, middle_of, painted
from synth.style.mask import FLAT, Found, contrast, find_text
from synth.style.measure import Unmeasurable, jpeg_quality, measure, stroke_width
from synth.style.style import Image, Style

LOWEST: Final = 8
"""Pixels of height and width below which nothing can be measured."""

HIGHEST: Final = 128
"""Pixels of height that are kept of a crop."""

WIDEST: Final = 40
"""Heights of a crop that are looked at in width, at most."""

DOUBT: Final = 0.35
"""Confidence below which a crop is refused."""

UNREADABLE: Final = "cannot be read as a picture"
SMALL: Final = f"too small (less than {LOWEST} pixels high or wide)"
LONG: Final = f"too long (over {WIDEST} times as wide as high)"
NARROW: Final = "too narrow (a vertical line? turn it by 90 degrees)"
ONE_COLOUR: Final = "one colour"
NO_TEXT: Final = "no text found"
TWO_LINES: Final = "more than one line"
NO_GROUND: Final = "hardly any ground beside the text"
FAINT: Final = "ink and ground hardly differ"
DOUBTFUL: Final = "mask or background in doubt"

_BLOCKS: Final = 200
_GREY: Final = 20.0  # levels of luminance, by which ink and ground differ enough to be measured
_SEED: Final = 0x5374796C  # of the grain: the same crop has the same background every time
_GROUND: Final = 0.08  # of a crop that must be ground
_LEAST_CONTRAST: Final = 10.0  # levels
_LONGEST: Final = 1 << 14  # pixels of a picture that are read


class Unusable(Exception):
    """A crop that gives no style; `reason` is one of a few, and counted."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def extract(image: Image, name: str = "", label: str = "") -> Style:
    """Measure the look of a crop that shows one line of text.

    Args:
        image: `uint8`, height × width × 3, BGR.
        name: kept in the style.
        label: kept in the style.

    Raises:
        Unusable: no style can be taken from it.
    """
    whole, image = image, _kept(image)
    if contrast(image) < FLAT:
        raise Unusable(ONE_COLOUR)
    found = find_text(image)
    if found is None:
        raise Unusable(NO_TEXT)
    if found.lines > 1:
        raise Unusable(TWO_LINES)
    text = _at_size(found.text, image)
    strokes_mask = _at_size(found.strokes, image)
    if (text >= 128).sum() < 6:
        raise Unusable(NO_TEXT)
    lies = frame(text, found.parts / found.scale)
    most = max(3, round(0.3 * lies.height))
    hole = _hole(strokes_mask, reach(image, strokes_mask, most))
    background = fill(image, hole, np.random.Generator(np.random.PCG64(_SEED)))
    mask = _matte(image, background, text, hole)
    ink = painted(image, mask, background, lies.height, lies.angle)
    core = middle_of(mask)
    tone, ground = luminance_of(image[core]), luminance_of(background[core])
    way = np.median(image[core], axis=0) - np.median(background[core], axis=0)
    difference = float(np.linalg.norm(way))
    if difference < _LEAST_CONTRAST:
        raise Unusable(FAINT)
    try:
        measures = measure(_told_apart(image, tone - ground, way), mask)
    except Unmeasurable as problem:
        raise Unusable(str(problem)) from None
    confidence = _confidence(found, image, background, mask, hole, difference)
    if confidence < DOUBT:
        raise Unusable(DOUBTFUL, f"confidence {confidence:.2f}")
    return Style(
        name=name,
        image=image,
        mask=mask,
        background=background,
        ink=ink.ink,
        gradient=ink.gradient,
        texture=ink.texture,
        darker=tone < ground,
        outline=ink.outline,
        shadow=ink.shadow,
        quad=lies.quad,
        angle=lies.angle,
        slant=measures.slant,
        height=lies.height,
        baseline=lies.baseline,
        stroke=stroke_width(mask),
        margins=_margins(lies.quad, lies.height, image),
        blur=measures.blur,
        noise=measures.noise,
        # Of a crop that is scaled down nothing shows how it was saved.
        quality=jpeg_quality(image[:, : _blocks(image)]) if image.shape == whole.shape else 100,
        contrast=abs(tone - ground),
        label=label,
        font="",
        confidence=confidence,
    )


def _kept(image: Image) -> Image:
    height, width = image.shape[:2]
    if min(height, width) < LOWEST:
        raise Unusable(SMALL, f"{width}×{height}")
    if width > WIDEST * height:
        raise Unusable(LONG, f"{width}×{height}")
    if height <= HIGHEST:
        return np.ascontiguousarray(image)
    size = (max(1, round(width * HIGHEST / height)), HIGHEST)
    if size[0] < LOWEST:
        raise Unusable(NARROW, f"{width}×{height}")
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _told_apart(image: Image, tones: float, way: NDArray[np.float64]) -> Image:
    """The crop; where ink and ground differ in hue only, a grey one of what they differ in."""
    if abs(tones) >= _GREY:
        return image
    length = float(np.linalg.norm(way))
    along = image.astype(np.float32) @ (way / length).astype(np.float32)
    grey = np.clip(along - float(along.mean()) + 128, 0, 255).astype(np.uint8)
    three: Image = cv2.merge([grey, grey, grey])
    return three


def _blocks(image: Image) -> int:
    """Columns from the left that hold enough of JPEG's blocks to know its quality by."""
    rows = max(1, int(image.shape[0]) // 8)
    return 8 * max(1, _BLOCKS // rows)


def _at_size(mask: Image, image: Image) -> Image:
    height, width = image.shape[:2]
    if mask.shape == (height, width):
        return mask
    how = cv2.INTER_AREA if mask.shape[0] > height else cv2.INTER_LINEAR
    return cv2.resize(mask, (width, height), interpolation=how)


def _hole(mask: Image, away: int) -> NDArray[np.bool_]:
    """What is to be painted over: ink and what is less than `away` pixels from it, or less far where little is left."""
    ground = np.where(mask >= 96, np.uint8(0), np.uint8(255))
    distance = cv2.distanceTransform(ground, cv2.DIST_L2, 3)
    for limit in range(away, 1, -1):
        hole = distance <= limit + 0.5
        if (~hole).mean() >= _GROUND:
            return np.asarray(hole)
    raise Unusable(NO_GROUND)


def _matte(image: Image, background: Image, text: Image, hole: NDArray[np.bool_]) -> Image:
    """Coverage of the ink: how far each pixel near the text has gone from its ground's colour to that of the ink."""
    inked = text >= 128
    inner = cv2.distanceTransform(np.where(inked, np.uint8(255), np.uint8(0)), cv2.DIST_L2, 3)
    outer = cv2.distanceTransform(np.where(inked, np.uint8(0), np.uint8(255)), cv2.DIST_L2, 3)
    core = middle_of(text)
    weight = core.astype(np.float32)
    side = max(3.0, 0.15 * image.shape[0])
    spread = cv2.GaussianBlur(weight, (0, 0), side)
    near = cv2.GaussianBlur(image.astype(np.float32) * weight[..., None], (0, 0), side)
    whole = np.median(image[core], axis=0).astype(np.float32)
    ink = np.where((spread > 1e-4)[..., None], near / np.maximum(spread, 1e-4)[..., None], whole)
    ground = background.astype(np.float32)
    way = ink - ground
    length = (way * way).sum(2)
    share = ((image.astype(np.float32) - ground) * way).sum(2) / np.maximum(length, 1.0)
    # Where ink and ground are alike there is nothing to see; the mask stands as it was found.
    share = np.where(length > 15.0**2, share, text.astype(np.float32) / 255)
    share = np.where(inner > 1.5, np.maximum(share, 1.0), share)
    share = np.where((outer > 2.5) | ~hole, 0.0, share)
    share = np.where(inked, np.maximum(share, 0.35), share)
    return np.asarray(np.clip(share * 255 + 0.5, 0, 255).astype(np.uint8))


def _margins(quad: NDArray[Any], height: float, image: Image) -> tuple[float, float, float, float]:
    rows, columns = image.shape[:2]
    x, y = quad[:, 0], quad[:, 1]
    return (
        float(x[0] + x[3]) / 2 / height,
        float(y[0] + y[1]) / 2 / height,
        (columns - float(x[1] + x[2]) / 2) / height,
        (rows - float(y[2] + y[3]) / 2) / height,
    )


def _confidence(
    found: Found, image: Image, background: Image, mask: Image, hole: NDArray[np.bool_], difference: float
) -> float:
    left = ghost(background, mask, hole) / max(difference, 1.0)
    clean = math.exp(-((max(left - 0.05, 0.0) / 0.2) ** 2))
    ground = min(1.0, float((~hole).mean()) / 0.2)
    seen = min(1.0, difference / 30)
    return float(found.belief * clean**0.5 * ground**0.3 * seen**0.5)


def read_crop(path: Path) -> Image:
    """A picture file as height × width × 3; what is transparent lies on white.

    Raises:
        Unusable: it cannot be read.
    """
    try:
        return read_picture(path, _LONGEST)
    except UnusablePicture as problem:
        raise Unusable(UNREADABLE, str(problem)) from None
