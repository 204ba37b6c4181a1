"""Light and tone: brightness, gamma, colour, shadows, glare, uneven lighting."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from augment import banks
from augment.pixel import (
    CountRange,
    Image,
    LengthRange,
    PixelOp,
    PositiveRange,
    Range,
    Share,
    ShareRange,
    draw,
    draw_whole,
    pixel_op,
)

Field = NDArray[np.float32]


@pixel_op("brightness_contrast")
class BrightnessContrast(PixelOp):
    """Exposure and contrast: values are stretched about the image's own mean, and moved.

    Attributes:
        contrast: factor; below 1 is hazy, above 1 is hard.
        brightness: grey levels added, as far as the mean stays between 30 and 225: cameras meter the light.
    """

    contrast: LengthRange = (0.45, 1.3)
    brightness: Range = (-55.0, 40.0)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Change by one draw of each."""
        contrast = draw(self.contrast, rng)
        mean = sum(cv2.mean(image)[:3]) / 3.0
        moved = mean + draw(self.brightness, rng)
        moved = min(max(moved, min(mean, 30.0)), max(mean, 225.0))
        offset = moved - mean * contrast
        return np.asarray(cv2.addWeighted(image, contrast, image, 0.0, offset), np.uint8)


@functools.lru_cache(512)
def _gamma_table(steps: int) -> Image:
    """The table of x ** gamma for gamma = 2 ** (steps / 32)."""
    return np.asarray(np.rint(255.0 * (np.arange(256) / 255.0) ** (2.0 ** (steps / 32))), np.uint8)


@pixel_op("gamma")
class Gamma(PixelOp):
    """A camera's or screen's tone curve: value ** gamma, with black and white kept.

    Attributes:
        gamma: the exponent, drawn evenly on a logarithmic scale (steps of 1/32 octave); above 1 darkens.
    """

    gamma: PositiveRange = (0.5, 2.0)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Look up one curve."""
        octave = draw((math.log2(self.gamma[0]), math.log2(self.gamma[1])), rng)
        return np.asarray(cv2.LUT(image, _gamma_table(round(octave * 32))), np.uint8)


@pixel_op("colour")
class Colour(PixelOp):
    """Colour of the light and of the camera: gain and offset for each channel, and saturation.

    Attributes:
        gain: factor for each channel, drawn separately.
        offset: grey levels added to each channel, drawn separately.
        saturation: factor of the distance from grey; 0 is grey, 1 unchanged.
    """

    gain: LengthRange = (0.8, 1.15)
    offset: Range = (-12.0, 12.0)
    saturation: LengthRange = (0.3, 1.5)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Mix the channels by one matrix."""
        s = draw(self.saturation, rng)
        grey = (0.114 * (1 - s), 0.587 * (1 - s), 0.299 * (1 - s))
        rows = []
        for channel in range(3):
            gain = draw(self.gain, rng)
            row = [gain * part for part in grey]
            row[channel] += gain * s
            row.append(draw(self.offset, rng))
            rows.append(row)
        return np.asarray(cv2.transform(image, np.array(rows)), np.uint8)


@pixel_op("grey")
class Grey(PixelOp):
    """A camera or scanner without colour."""

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Give all channels the luminance (ITU-R BT.601)."""
        return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)


@pixel_op("invert")
class Invert(PixelOp):
    """A negative."""

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Replace every value by 255 less it."""
        return np.asarray(cv2.bitwise_not(image), np.uint8)


@functools.lru_cache(256)
def _posterise_table(levels: int) -> NDArray[np.uint8]:
    steps = np.rint(np.arange(256) * ((levels - 1) / 255.0))
    return np.asarray(np.rint(steps * (255.0 / (levels - 1))), np.uint8)


@pixel_op("posterise")
class Posterise(PixelOp):
    """Few colours, as in GIFs and on poor displays.

    Attributes:
        levels: values that each channel keeps, evenly spaced; never fewer than 2.
    """

    levels: CountRange = (4, 16)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Round each channel to one draw of `levels`."""
        levels = min(max(draw_whole(self.levels, rng), 2), 256)
        return np.asarray(cv2.LUT(image, _posterise_table(levels)), np.uint8)


@functools.lru_cache(512)
def _centres(count: int, unit: int) -> Field:
    """Pixel centres from the middle of `count` pixels, in units of `unit` pixels."""
    return np.asarray((np.arange(count) + 0.5 - count / 2) / unit, np.float32)


def _ramp(height: int, width: int, rng: np.random.Generator) -> Field:
    """Distance of every pixel from a random line through the image, in units of its shorter side."""
    angle = 2.0 * math.pi * rng.random()
    cos, sin = math.cos(angle), math.sin(angle)
    unit = min(height, width)
    passes = (rng.random() - 0.5) * cos * width / unit + (rng.random() - 0.5) * sin * height / unit
    return np.asarray(np.add.outer(_centres(height, unit) * sin - passes, _centres(width, unit) * cos), np.float32)


def scale_by(image: Image, gain: NDArray[np.float32]) -> Image:
    """Multiply all channels by `gain`, height × width, from 0 up to just below 2."""
    field = cv2.cvtColor(cv2.convertScaleAbs(gain, alpha=128.0), cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.multiply(image, field, scale=1.0 / 128.0), np.uint8)


@pixel_op("shadow")
class Shadow(PixelOp):
    """A shadow with a soft edge: of something straight, or of a shape such as leaves or a hand.

    Attributes:
        strength: share of the light that is lost in the shadow's core.
        softness: width of the edge of a straight shadow, in units of the image's shorter side.
        blob: share of images with a shapeless shadow.
    """

    strength: ShareRange = (0.25, 0.65)
    softness: PositiveRange = (0.05, 0.8)
    blob: Share = 0.4

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Darken a part of the image."""
        height, width = image.shape[:2]
        strength = draw(self.strength, rng)
        if rng.random() < self.blob:
            size = min(height, width) * (0.8 + 2.0 * rng.random())
            table = _blob_table(round(strength * 64))
            field = cv2.LUT(banks.clouds(height, width, size, rng), table)
            return np.asarray(cv2.multiply(image, cv2.cvtColor(field, cv2.COLOR_GRAY2BGR), scale=1.0 / 128.0), np.uint8)
        gain = _ramp(height, width, rng)
        gain *= strength / draw(self.softness, rng)
        gain += 1.0 - strength / 2
        np.minimum(gain, 1.0, out=gain)
        np.maximum(gain, 1.0 - strength, out=gain)
        return scale_by(image, gain)


@functools.lru_cache(128)
def _blob_table(steps: int) -> NDArray[np.uint8]:
    """From a cloud's value to 128 times a gain: a shadow of steps / 64 over two fifths of the surface, soft-edged."""
    covered = np.clip((128.0 - np.arange(256)) / 60.0, 0.0, 1.0)
    return np.asarray(np.rint(128.0 * (1.0 - steps / 64 * covered)), np.uint8)


@pixel_op("glare")
class Glare(PixelOp):
    """A soft highlight on something glossy: light added in an oblong spot.

    Attributes:
        strength: grey levels added in the middle of the spot, as a share of white.
        size: half width of the spot across its length, in units of the image's shorter side.
        stretch: how many times longer than wide the spot is.
    """

    strength: ShareRange = (0.25, 0.7)
    size: PositiveRange = (0.2, 0.7)
    stretch: PositiveRange = (1.0, 5.0)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Add one spot."""
        height, width = image.shape[:2]
        unit = min(height, width)
        angle = math.pi * rng.random()
        cos, sin = math.cos(angle), math.sin(angle)
        across = draw(self.size, rng)
        along = across * draw(self.stretch, rng)
        x = _centres(width, unit) - (rng.random() - 0.5) * width / unit
        y = _centres(height, unit) - (rng.random() - 0.5) * height / unit
        u = np.add.outer(y * (sin / along), x * (cos / along))
        v = np.add.outer(y * (cos / across), x * (-sin / across))
        u *= u
        v *= v
        u += v
        u += 1.0
        np.multiply(u, u, out=u)  # 1 / (1 + r²)²: a core with a wide skirt, without an exponential
        np.divide(255.0 * draw(self.strength, rng), u, out=u)
        light = cv2.cvtColor(u.astype(np.uint8), cv2.COLOR_GRAY2BGR)
        return np.asarray(cv2.add(image, light), np.uint8)


@pixel_op("illumination")
class Illumination(PixelOp):
    """Uneven lighting: a slope of brightness across the image, and darker corners.

    Attributes:
        slope: how much brighter one side is than the middle (and the other side darker), as a share.
        vignette: share of the light lost in the corners.
    """

    slope: ShareRange = (0.05, 0.4)
    vignette: ShareRange = (0.0, 0.35)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Multiply by one smooth field."""
        height, width = image.shape[:2]
        angle = 2.0 * math.pi * rng.random()
        slope, corner = draw(self.slope, rng), draw(self.vignette, rng)
        across = _centres(width, width) * 2.0  # -1 .. 1
        down = _centres(height, height) * 2.0
        a, b, k = slope * math.cos(angle), slope * math.sin(angle), corner / 2.0
        return scale_by(image, np.add.outer((b - k * down) * down + 1.0, (a - k * across) * across))
