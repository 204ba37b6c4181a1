"""Optics, sensor, and what the file went through: blur, noise, sharpening, scaling, JPEG."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from augment import banks
from augment.pixel import (
    Image,
    LengthRange,
    PixelOp,
    PositiveRange,
    QualityRange,
    Range,
    Share,
    ShareRange,
    draw,
    draw_whole,
    pixel_op,
)

Kernel = NDArray[np.float32]


@functools.lru_cache(512)
def _gaussian(steps: int) -> Kernel:
    """A one-dimensional kernel for sigma = steps / 32."""
    sigma = steps / 32
    return np.asarray(cv2.getGaussianKernel(2 * math.ceil(2.5 * sigma) + 1, sigma, cv2.CV_32F), np.float32)


def gaussian_blur(image: Image, sigma: float) -> Image:
    """Blur by a Gaussian of `sigma` pixels (rounded to 1/32, cut at 2.5 sigma), the edge repeated."""
    kernel = _gaussian(max(1, round(sigma * 32)))
    # With its 8-bit Gaussian OpenCV is slower beyond five taps.
    return np.asarray(cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE), np.uint8)


@pixel_op("blur")
class Blur(PixelOp):
    """Gaussian blur: a soft lens, a low-resolution original scaled up.

    Attributes:
        sigma: standard deviation in pixels.
    """

    sigma: PositiveRange = (0.4, 1.6)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Blur by one draw of `sigma`."""
        return gaussian_blur(image, draw(self.sigma, rng))


@pixel_op("scatter")
class Scatter(PixelOp):
    """Light that strays in lens, film or the paper itself: beside ink the ground is a little darker, for some way.

    A part of every point's light spreads wide, the rest stays sharp: veiling glare, halation, and what printers know as
    optical dot gain (Yule & Nielsen 1951, "The penetration of light into paper and its effect on halftone
    reproduction").

    Attributes:
        amount: share of the light that spreads.
        sigma: standard deviation of its spread in pixels.
    """

    amount: ShareRange = (0.05, 0.25)
    sigma: PositiveRange = (1.5, 4.0)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Blend with a blurred copy."""
        amount = draw(self.amount, rng)
        blurred = gaussian_blur(image, draw(self.sigma, rng))
        return np.asarray(cv2.addWeighted(image, 1.0 - amount, blurred, amount, 0.0), np.uint8)


@functools.lru_cache(256)
def _disc(steps: int) -> Kernel:
    """A disc of radius steps / 8, each entry the share of its pixel that the disc covers."""
    radius = steps / 8
    half = math.ceil(radius - 0.5)
    fine = (np.arange((2 * half + 1) * 16) + 0.5) / 16 - half - 0.5
    inside = np.add.outer(fine * fine, fine * fine) <= radius * radius
    kernel = inside.reshape(2 * half + 1, 16, 2 * half + 1, 16).mean((1, 3))
    return np.asarray(kernel / kernel.sum(), np.float32)


@pixel_op("defocus")
class Defocus(PixelOp):
    """A lens out of focus: every point becomes a disc.

    Attributes:
        radius: of the disc, in pixels (rounded to 1/8).
    """

    radius: PositiveRange = (0.8, 2.0)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Blur by a disc of one draw of `radius`."""
        kernel = _disc(max(5, round(draw(self.radius, rng) * 8)))
        return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE), np.uint8)


@functools.lru_cache(1024)
def _streak(steps: int, direction: int) -> Kernel:
    """An even line of length steps / 2 at angle direction · pi / 24, with at most two taps in each row or column."""
    length, angle = steps / 2, direction * math.pi / 24
    cos, sin = math.cos(angle), math.sin(angle)
    flat = abs(cos) >= abs(sin)
    slope = sin / cos if flat else cos / sin
    reach = length * max(abs(cos), abs(sin)) / 2
    half = math.ceil(max(reach - 0.5, 0.0))
    kernel = np.zeros((2 * half + 3, 2 * half + 1))  # one row more on each side for the second tap
    for column in range(-half, half + 1):
        weight = min(column + 0.5, reach) - max(column - 0.5, -reach)
        row = math.floor(column * slope)
        part = column * slope - row
        kernel[half + 1 + row, half + column] += weight * (1 - part)
        kernel[half + 2 + row, half + column] += weight * part
    kernel[np.abs(kernel) < 1e-6] = 0  # taps of no weight cost time
    kernel /= kernel.sum()
    return np.asarray(kernel if flat else kernel.T, np.float32, order="C")


@pixel_op("motion")
class Motion(PixelOp):
    """A camera or an object that moved during the exposure.

    Attributes:
        length: of the path in pixels (rounded to 1/2).
        angle: of the path in degrees (rounded to 7.5).
    """

    length: PositiveRange = (2.0, 5.0)
    angle: Range = (0.0, 180.0)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Blur along a line of one draw of `length` and `angle`."""
        kernel = _streak(max(2, round(draw(self.length, rng) * 2)), round(draw(self.angle, rng) / 7.5) % 24)
        return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE), np.uint8)


@pixel_op("noise")
class Noise(PixelOp):
    """Additive normal noise of one strength everywhere.

    Attributes:
        sigma: standard deviation in grey levels (0 to 255); strengths beyond 40 are reached at clipped tails.
        colour: share of images whose channels have noise of their own; else it is grey.
        coarse: share of images whose noise spreads over neighbours, as after scaling or demosaicing.
    """

    sigma: LengthRange = (2.0, 16.0)
    colour: Share = 0.6
    coarse: Share = 0.4

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Add a window of noise scaled to one draw of `sigma`."""
        height, width = image.shape[:2]
        coarse = rng.random() < self.coarse
        if rng.random() < self.colour:
            noise = banks.window(banks.grain() if coarse else banks.white(), height, width, rng)
        else:
            noise = banks.window(banks.grain_grey() if coarse else banks.white_grey(), height, width, rng)
            noise = cv2.cvtColor(noise, cv2.COLOR_GRAY2BGR)
        scale = draw(self.sigma, rng) / banks.SPREAD
        if rng.random() < 0.5:
            scale = -scale
        return np.asarray(cv2.addWeighted(image, 1.0, noise, scale, -128.0 * scale), np.uint8)


_LEVELS = np.arange(256, dtype=np.float32)


@pixel_op("sensor")
class Sensor(PixelOp):
    """Noise of an image sensor: a floor from reading it out, and photon noise that grows as the root of the light.

    Attributes:
        floor: standard deviation of the read-out noise in grey levels.
        shot: standard deviation of the photon noise at white, in grey levels.
    """

    floor: LengthRange = (0.5, 6.0)
    shot: LengthRange = (2.0, 18.0)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Add noise whose strength depends on the pixel."""
        floor, shot = draw(self.floor, rng), draw(self.shot, rng)
        gain = np.sqrt(_LEVELS * (shot * shot / 255.0) + floor * floor)
        gains = cv2.LUT(image, np.rint(gain * 64.0).clip(0, 32767).astype(np.int16))
        noise = banks.window(banks.signed(), image.shape[0], image.shape[1], rng)
        noise = cv2.multiply(gains, noise, scale=1.0 / (64.0 * banks.SPREAD))
        return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)


@pixel_op("sharpen")
class Sharpen(PixelOp):
    """Unsharp masking, with the halos that phone cameras leave around strokes.

    Attributes:
        amount: how much of the detail is added again.
        sigma: width of the halo in pixels.
    """

    amount: LengthRange = (0.5, 2.0)
    sigma: PositiveRange = (0.6, 1.4)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Add the difference from a blurred copy."""
        amount = draw(self.amount, rng)
        blurred = gaussian_blur(image, draw(self.sigma, rng))
        return np.asarray(cv2.addWeighted(image, 1.0 + amount, blurred, -amount, 0.0), np.uint8)


@pixel_op("downscale")
class Downscale(PixelOp):
    """Text that was small in its photo: scaled down and up again to the same size.

    Attributes:
        factor: by how much both sides shrink; the shorter side keeps one pixel at least.
        aliased: share of images shrunk by bilinear interpolation without averaging first.
        nearest: share of images enlarged by repeating pixels; the others by linear or cubic interpolation.
    """

    factor: PositiveRange = (1.2, 2.4)
    aliased: Share = 0.3
    nearest: Share = 0.1

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Scale down by one draw of `factor`, and up again."""
        height, width = image.shape[:2]
        factor = max(1.0, draw(self.factor, rng))
        size = (max(1, round(width / factor)), max(1, round(height / factor)))
        small = image
        if rng.random() >= self.aliased:
            # A box of odd size before bilinear sampling is close to averaging by area, at half its price.
            box = 2 * round((factor - 0.5) / 2) + 1
            small = np.asarray(cv2.blur(image, (box, box), borderType=cv2.BORDER_REPLICATE), np.uint8)
        small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        how = rng.random()
        if how < self.nearest:
            up = cv2.INTER_NEAREST_EXACT
        else:
            up = cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(small, (width, height), interpolation=up), np.uint8)


@pixel_op("jpeg")
class Jpeg(PixelOp):
    """Encoding as JPEG and decoding again.

    Attributes:
        quality: 1 to 100, libjpeg's scale.
    """

    quality: QualityRange = (25, 85)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Encode by one draw of `quality`, and decode."""
        quality = draw_whole(self.quality, rng)
        encoded = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
        return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
