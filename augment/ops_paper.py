"""Paper, ink, printers and scanners: bleeding, fading, print heads, streaks, folds, dirt, thresholds."""

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


def ink_is_dark(image: Image) -> bool:
    """Whether the ink is darker than its ground: the ground is the greater part, so it holds the median."""
    sample = image[::2, ::3, 1]
    # The median is not below the mean just where no more than half of the values are.
    return bool(2 * np.count_nonzero(sample < cv2.mean(image)[1]) <= sample.size)


@functools.lru_cache(16)
def _square(size: int) -> NDArray[np.uint8]:
    return np.ones((size, size), np.uint8)


_WIDEST = 20  # pixels; no stroke of interest is wider
_CROSS = np.asarray(cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), np.uint8)


def _toward_ground(image: Image, weight: NDArray[np.uint8]) -> Image:
    """Blend ink toward the ground around it: weight 0 keeps, 255 removes; height × width × 3."""
    # Local extreme over more than a stroke's width; of whole pages no stroke is a ninth as wide.
    box = _square(2 * min(max(1, round(min(image.shape[:2]) / 9)), _WIDEST) + 1)
    if ink_is_dark(image):
        lost = cv2.multiply(cv2.subtract(cv2.dilate(image, box), image), weight, scale=1.0 / 255.0)
        return np.asarray(cv2.add(image, lost), np.uint8)
    lost = cv2.multiply(cv2.subtract(image, cv2.erode(image, box)), weight, scale=1.0 / 255.0)
    return np.asarray(cv2.subtract(image, lost), np.uint8)


@pixel_op("bleed")
class Bleed(PixelOp):
    """Ink that spread into the paper, or light letters that glow: strokes grow by up to a pixel.

    Attributes:
        amount: weight of the grown strokes; 1 adds a full pixel on every side.
    """

    amount: ShareRange = (0.3, 0.9)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Blend with the local minimum of dark ink, or the maximum of light ink."""
        amount = draw(self.amount, rng)
        grown = cv2.erode(image, _CROSS) if ink_is_dark(image) else cv2.dilate(image, _CROSS)
        return np.asarray(cv2.addWeighted(grown, amount, image, 1.0 - amount, 0.0), np.uint8)


@pixel_op("fade")
class Fade(PixelOp):
    """Ink that faded or wore off, unevenly: it turns toward the ground around it.

    Attributes:
        strength: share of the ink's contrast that is lost where it faded most.
        patchy: how much of the strength varies from place to place; 0 fades everywhere alike.
    """

    strength: ShareRange = (0.2, 0.65)
    patchy: ShareRange = (0.0, 1.0)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Blend by a cloudy weight."""
        height, width = image.shape[:2]
        strength, patchy = draw(self.strength, rng), draw(self.patchy, rng)
        field = banks.clouds(height, width, min(height, width) * (0.3 + rng.random()), rng)
        weight = cv2.convertScaleAbs(field, alpha=strength * patchy, beta=255.0 * strength * (1.0 - patchy))
        return _toward_ground(image, np.asarray(cv2.cvtColor(weight, cv2.COLOR_GRAY2BGR), np.uint8))


@pixel_op("thermal")
class Thermal(PixelOp):
    """A worn thermal or ribbon printer: pale ink in bands, grainy strokes, columns of dead dots.

    Attributes:
        strength: share of the ink's contrast that is lost on average.
        bands: how much it varies from row to row, as the paper moves unevenly.
        grain: how much it varies from dot to dot.
        dead: columns, 1 px wide, that print nothing.
    """

    strength: ShareRange = (0.05, 0.45)
    bands: ShareRange = (0.0, 0.2)
    grain: ShareRange = (0.05, 0.3)
    dead: CountRange = (0, 2)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Blend ink toward the ground row by row and dot by dot."""
        height, width = image.shape[:2]
        strength, bands, grain = draw(self.strength, rng), draw(self.bands, rng), draw(self.grain, rng)
        period, phase = 2.0 + 6.0 * rng.random(), 2.0 * math.pi * rng.random()
        rows = np.sin(np.arange(height) * (2.0 * math.pi / period) + phase)
        rows = np.minimum(np.maximum(rows * (255.0 * bands) + 255.0 * strength, 0.0), 255.0)
        weight = np.empty((height, width), np.uint8)
        weight[:] = rows[:, None].astype(np.uint8)
        scale = 2.0 * grain
        dots = banks.window(banks.grain_grey(), height, width, rng)
        weight = np.asarray(cv2.addWeighted(weight, 1.0, dots, scale, -128.0 * scale), np.uint8)
        for _ in range(draw_whole(self.dead, rng)):
            weight[:, int(rng.random() * width)] = 255
        return _toward_ground(image, np.asarray(cv2.cvtColor(weight, cv2.COLOR_GRAY2BGR), np.uint8))


@pixel_op("streaks")
class Streaks(PixelOp):
    """Lines of a scanner, copier, fax or screen, darker or brighter than their surround, over paper and ink alike.

    Attributes:
        strength: by how much a line differs, as a share of brightness.
        count: lines, at random places, 1 or 2 px wide.
        periodic: share of images with a regular pattern instead, every 2 to 5 px.
        vertical: share of images whose lines run from top to bottom.
    """

    strength: ShareRange = (0.08, 0.4)
    count: CountRange = (1, 4)
    periodic: Share = 0.3
    vertical: Share = 0.4

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Multiply by a profile that is constant along the lines."""
        height, width = image.shape[:2]
        vertical = rng.random() < self.vertical
        extent = width if vertical else height
        level = draw(self.strength, rng)
        line = round(128.0 * (1.0 + (level if rng.random() < 0.4 else -level)))
        profile = np.full(extent, 128, np.uint8)
        if rng.random() < self.periodic:
            period = 2 + int(rng.random() * 4)
            profile[int(rng.random() * period) :: period] = (line + 128) // 2  # many lines: each half as strong
        else:
            for _ in range(draw_whole(self.count, rng)):
                start = int(rng.random() * extent)
                profile[start : start + 1 + int(rng.random() * 2)] = line
        field = np.empty((height, width, 3), np.uint8)
        field[:] = profile[None, :, None] if vertical else profile[:, None, None]
        return np.asarray(cv2.multiply(image, field, scale=1.0 / 128.0), np.uint8)


@pixel_op("fold")
class Fold(PixelOp):
    """A crease in paper: one side lies in weaker light, and the crease itself is worn bright or dark.

    Attributes:
        shade: how much darker one side is, as a share.
        crease: how much the crease differs, as a share; brighter or darker.
        width: of the crease in pixels.
    """

    shade: ShareRange = (0.03, 0.25)
    crease: ShareRange = (0.1, 0.5)
    width: CountRange = (1, 2)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Draw both sides and the crease into one field, and multiply."""
        height, width = image.shape[:2]
        # Creases run across a line of text or along it, seldom in between.
        angle = (rng.random() - 0.5) * 0.5 + (math.pi / 2 if rng.random() < 0.6 else 0.0)
        cos, sin = math.cos(angle), math.sin(angle)
        x, y = width * rng.random(), height * rng.random()
        far = float(width + height)
        dark = round(128.0 * (1.0 - draw(self.shade, rng)))
        crease = draw(self.crease, rng)
        line = round(128.0 * (1.0 + (crease if rng.random() < 0.5 else -crease)))
        start = (round(16 * (x - far * cos)), round(16 * (y - far * sin)))
        end = (round(16 * (x + far * cos)), round(16 * (y + far * sin)))
        side = (round(-16 * far * sin), round(16 * far * cos))
        field = np.full((height, width), 128, np.uint8)
        polygon = np.array((start, end, (end[0] + side[0], end[1] + side[1]), (start[0] + side[0], start[1] + side[1])))
        cv2.fillConvexPoly(field, polygon, dark, cv2.LINE_AA, 4)
        cv2.line(field, start, end, line, max(1, draw_whole(self.width, rng)), cv2.LINE_AA, 4)
        return np.asarray(cv2.multiply(image, cv2.cvtColor(field, cv2.COLOR_GRAY2BGR), scale=1.0 / 128.0), np.uint8)


@pixel_op("specks")
class Specks(PixelOp):
    """Dirt and dropped dots: small specks of black or white (salt and pepper), as on copies and bad scans.

    Attributes:
        share: of the pixels that are covered.
        light: share of the specks that are white, drawn for each image.
        large: share of the specks that are 2 × 2 px instead of 1.
    """

    share: ShareRange = (0.002, 0.02)
    light: ShareRange = (0.0, 1.0)
    large: ShareRange = (0.0, 0.5)

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Set random pixels."""
        height, width = image.shape[:2]
        large = draw(self.large, rng)
        # A speck covers 1 + 3 large pixels on average.
        count = max(1, round(draw(self.share, rng) * height * width / (1.0 + 3.0 * large)))
        draws = rng.random((4, count), np.float32)
        rows = (draws[0] * height).astype(np.intp)
        columns = (draws[1] * width).astype(np.intp)
        values = np.where(draws[2] < draw(self.light, rng), np.uint8(255), np.uint8(0))[:, None]
        out = image.copy()
        out[rows, columns] = values
        if large > 0.0:
            wide = draws[3] < large
            rows, columns, values = rows[wide], columns[wide], values[wide]
            below, right = np.minimum(rows + 1, height - 1), np.minimum(columns + 1, width - 1)
            out[below, columns] = values
            out[rows, right] = values
            out[below, right] = values
        return out


@pixel_op("binarise")
class Binarise(PixelOp):
    """A fax or a black-and-white scan: thresholded at twice the resolution, then shrunk, so that edges stay ragged.

    Attributes:
        offset: grey levels by which the threshold differs from Otsu's.
        noise: standard deviation in grey levels of the noise before thresholding.
        adaptive: share of images thresholded against the local mean instead, beyond which ink must stand out.
    """

    offset: Range = (-25.0, 25.0)
    noise: LengthRange = (0.0, 20.0)
    adaptive: Share = 0.2

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Threshold the luminance."""
        height, width = image.shape[:2]
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        level = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0]
        large = np.asarray(cv2.resize(grey, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR), np.uint8)
        sigma = draw(self.noise, rng)
        scale = sigma / banks.SPREAD
        noise = banks.window(banks.grain_grey(), 2 * height, 2 * width, rng)
        large = np.asarray(cv2.addWeighted(large, 1.0, noise, scale, -128.0 * scale), np.uint8)
        offset = draw(self.offset, rng)
        if rng.random() < self.adaptive:
            box = 2 * (min(height, width) // 2) + 3
            margin = 12.0 + 1.5 * sigma  # keeps an even ground clean
            mean = cv2.blur(large, (box, box), borderType=cv2.BORDER_REPLICATE)
            level_here = cv2.addWeighted(mean, 1.0, mean, 0.0, -margin if ink_is_dark(image) else margin)
            black = cv2.compare(large, level_here, cv2.CMP_GT)
        else:
            black = cv2.threshold(large, level + offset, 255, cv2.THRESH_BINARY)[1]
        small = cv2.resize(black, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_GRAY2BGR), np.uint8)


_STAMP_INKS = ((40.0, 30.0, 200.0), (180.0, 60.0, 30.0), (150.0, 45.0, 110.0))  # red, blue, violet
_SUBPIXEL = 4  # bits of the fraction in coordinates


@pixel_op("stamp")
class Stamp(PixelOp):
    """A rubber stamp over a part of the image, worn and translucent: a ring or a box with what looks like writing.

    Attributes:
        size: half the height of the stamp, over the image's shorter side; of large ones only a part is seen.
        opacity: of its ink, which darkens what is under it.
        worn: share of its surface where the ink is missing.
        box: share of stamps that are boxes; the others are rings, some with a star.
    """

    size: PositiveRange = (0.5, 2.0)
    opacity: ShareRange = (0.25, 0.7)
    worn: ShareRange = (0.0, 0.5)
    box: Share = 0.35

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Draw the stamp's coverage, wear it, and multiply by its colour."""
        height, width = image.shape[:2]
        side = min(height, width)
        radius = max(draw(self.size, rng) * side, 4.0)
        # Part of it lies upon the image.
        x, y = width * rng.random(), height / 2 + (rng.random() - 0.5) * (height + radius)
        boxed = rng.random() < self.box
        angle = (rng.random() - 0.5) * 0.6
        thick = max(1, round(radius * (0.04 + 0.06 * rng.random())))
        mask = np.zeros((height, width), np.uint8)
        if boxed:
            wide = radius * (1.2 + 2.0 * rng.random())
            for inset in (1.0, 0.85)[: 1 + int(rng.random() * 2)]:
                half = wide - (1 - inset) * radius, radius * inset
                corners = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1))) * half
                _lines(mask, [_placed(corners, x, y, angle)], True, thick)
            rows = 1 + int(rng.random() * 3)
            letter = 1.4 * radius / rows
            count = max(1, int(1.7 * wide / letter))
            for row in range(rows):
                down = (row - (rows - 1) / 2) * letter
                cells = ((column - (count - 1) / 2) * letter for column in range(count))
                strokes = [s * letter * 0.36 + (across, down) for across in cells for s in _scribble(rng)]
                _lines(mask, [_placed(stroke, x, y, angle) for stroke in strokes], False, thick)
        else:
            for share in (1.0, 0.55)[: 1 + int(rng.random() * 2)]:
                turn = np.arange(0.0, 2 * math.pi, math.pi / 24)[:, None]
                circle = np.concatenate((np.cos(turn), np.sin(turn)), 1) * (radius * share)
                _lines(mask, [_placed(circle, x, y, 0.0)], True, thick)
            letter = radius * 0.32
            count = 5 + int(rng.random() * 8)
            for number in range(count):
                along = angle + (number - (count - 1) / 2) * 0.42
                strokes = [s * letter * 0.36 + (0.0, -0.77 * radius) for s in _scribble(rng)]
                _lines(mask, [_placed(stroke, x, y, along) for stroke in strokes], False, thick)
            if rng.random() < 0.5:
                corner = np.arange(10)
                reach = np.where(corner % 2, 0.13, 0.35) * radius
                star = np.stack((reach * np.sin(corner * math.pi / 5), -reach * np.cos(corner * math.pi / 5)), 1)
                cv2.fillPoly(mask, [_fixed(_placed(star, x, y, angle))], 255, cv2.LINE_AA, _SUBPIXEL)
        field = banks.clouds(height, width, radius * (0.1 + 0.4 * rng.random()), rng)
        edge = 255.0 * draw(self.worn, rng)
        # Where the field is below the edge the ink is gone, softly.
        kept = cv2.convertScaleAbs(
            np.maximum(field, np.uint8(edge)), alpha=5.0, beta=-5.0 * edge + (edge < 1.0) * 255.0
        )
        mask = np.asarray(cv2.multiply(mask, kept, scale=draw(self.opacity, rng) / 255.0), np.uint8)
        ink = _STAMP_INKS[int(rng.random() * len(_STAMP_INKS))]
        shares = cv2.merge([cv2.convertScaleAbs(mask, alpha=1.0 - tone / 255.0) for tone in ink])
        return np.asarray(cv2.multiply(image, cv2.bitwise_not(shares), scale=1.0 / 255.0), np.uint8)


def _scribble(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """A few strokes from -1 to 1, as of a letter."""
    return [rng.random((2 + int(rng.random() * 2), 2)) * 2.0 - 1.0 for _ in range(2 + int(rng.random() * 2))]


def _placed(points: NDArray[np.float64], x: float, y: float, angle: float) -> NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    placed: NDArray[np.float64] = points @ np.array(((c, s), (-s, c))) + (x, y)
    return placed


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.asarray(np.rint(points * (1 << _SUBPIXEL)), np.int32)


def _lines(mask: NDArray[np.uint8], lines: list[NDArray[np.float64]], closed: bool, thick: int) -> None:
    cv2.polylines(mask, [_fixed(line) for line in lines], closed, 255, thick, cv2.LINE_AA, _SUBPIXEL)
