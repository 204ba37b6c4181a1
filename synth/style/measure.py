"""What a crop of one line looks like, in numbers: tones, strokes, sharpness, noise, compression, margins, geometry.

All functions are pure, draw no random numbers, and take a crop as OpenCV has it and, where it matters, the coverage of
its ink; `quick_mask` finds one. `measure` gives all numbers at once for a third of what they cost one by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.style.style import Colour, Image

Mask: TypeAlias = NDArray[Any]
"""`uint8`, height × width, coverage of ink from 0 to 255."""

GroundKind: TypeAlias = Literal["flat", "gradient", "paper", "stains", "ruled", "clutter"]

ONE_COLOUR = "one colour"
NO_TEXT = "no text found"
TOO_SMALL = "too small"

_SMALLEST = 6  # pixels of a side
_FAINTEST = 10.0  # grey levels between ink and ground
_WIDEST = 40  # heights; of longer lines, the middle is measured


class Unmeasurable(Exception):
    """A crop on which no ink can be told from its ground; its text says why."""


@dataclass(frozen=True, slots=True)
class Measures:
    """The look of a crop.

    Attributes:
        luminance: of the ground, 0 to 255.
        contrast: luminance of ink against ground, always positive.
        darker: 1 where ink is darker than the ground, else 0.
        ground_chroma, ink_chroma: largest less smallest channel of either's middle colour, 0 to 255.
        stroke: width of strokes in heights of the text.
        blur: standard deviation in pixels of the point spread that edges show; see `blur_sigma`.
        halo: what is left of the contrast 2 to 3 pixels beside the ink: above 0 after blur, below after sharpening.
        ringing: how much that varies, as a share of the contrast, as it does beside edges in JPEG.
        noise: standard deviation of the ground in grey levels from pixel to pixel.
        texture: the same over 5 × 5 pixels, beside a smooth change of light.
        light: range of that smooth change along the crop and across it together, in grey levels.
        ink_texture: standard deviation of the ink's luminance along the middle of strokes, as a share of the contrast.
        fading: standard deviation from letter to letter, likewise.
        left, top, right, bottom: margins of the crop around the text, in heights of the text; 0 where it is cut.
        angle: of the line in degrees, clockwise.
        slant: of the letters, horizontal shift for each pixel up.
        spacing: mean gap between letters, in heights of the text.
        above, below: share of the width in which something else reaches into the crop.
        aspect: width of the text over its height for each unit of its label; 0 without a label.
    """

    luminance: float
    contrast: float
    darker: float
    ground_chroma: float
    ink_chroma: float
    stroke: float
    blur: float
    halo: float
    ringing: float
    noise: float
    texture: float
    light: float
    ink_texture: float
    fading: float
    left: float
    top: float
    right: float
    bottom: float
    angle: float
    slant: float
    spacing: float
    above: float
    below: float
    aspect: float

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The measures in order."""
        return tuple(field.name for field in fields(cls))

    def row(self) -> NDArray[np.float64]:
        """All measures as an array, in the order of `names`, in steps of what can be told (`_STEPS`)."""
        return np.array([round(getattr(self, name) / step) * step for name, step in _STEPS.items()])


# Differences below are of no use to anybody, such as the hundredth of a grey level that JPEG leaves on white.
_STEPS = {
    "luminance": 3.0,
    "contrast": 3.0,
    "darker": 1.0,
    "ground_chroma": 3.0,
    "ink_chroma": 3.0,
    "stroke": 0.005,
    "blur": 0.05,
    "halo": 0.01,
    "ringing": 0.01,
    "noise": 0.25,
    "texture": 0.25,
    "light": 1.0,
    "ink_texture": 0.02,
    "fading": 0.02,
    "left": 0.02,
    "top": 0.02,
    "right": 0.02,
    "bottom": 0.02,
    "angle": 0.25,
    "slant": 0.02,
    "spacing": 0.01,
    "above": 0.05,
    "below": 0.05,
    "aspect": 0.02,
}


def measure(image: Image, mask: Mask | None = None, units: int = 0) -> Measures:
    """All measures of a crop.

    Args:
        image: height × width × 3.
        mask: coverage of its ink; None: `quick_mask` finds it.
        units: of its label, where it is known.

    Raises:
        Unmeasurable: one colour, no text, or a side below 6 pixels.
    """
    crop = _Crop(image, mask)
    left, top, right, bottom = crop.margins
    above, below = crop.beside
    halo, ringing = crop.halo
    ink, ground = crop.colours
    return Measures(
        luminance=crop.luminance,
        contrast=crop.level,
        darker=float(crop.darker),
        ground_chroma=max(ground) - min(ground),
        ink_chroma=max(ink) - min(ink),
        stroke=crop.stroke / crop.text_height,
        blur=crop.blur,
        halo=halo,
        ringing=ringing,
        noise=crop.noise,
        texture=crop.texture,
        light=crop.light,
        ink_texture=crop.ink_texture,
        fading=crop.fading,
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        angle=math.degrees(crop.angle),
        slant=crop.slant,
        spacing=crop.spacing,
        above=above,
        below=below,
        aspect=(crop.box[2] - crop.box[0]) / crop.text_height / units if units else 0.0,
    )


def quick_mask(image: Image) -> Mask:
    """Coverage of the ink of a crop's own line, by thresholds against a smooth ground; either may be the darker.

    Ground and ink are told apart by Otsu's threshold (Otsu 1979), after a surface of second order fitted to the ground
    has been subtracted. Ink is the class whose strokes are thinner and that keeps off the edges. Parts of other lines
    at the top and bottom edges, rules and specks are left out.

    Args:
        image: height × width × 3.

    Raises:
        Unmeasurable: as `measure`.
    """
    return _Crop(image, None).coverage


def is_darker(image: Image, mask: Mask) -> bool:
    """Whether ink is darker than the ground. Raises Unmeasurable as `measure`."""
    return _Crop(image, mask).darker


def contrast(image: Image, mask: Mask) -> float:
    """Luminance of the middle of strokes against the ground, always positive. Raises Unmeasurable as `measure`."""
    return _Crop(image, mask).level


def colours(image: Image, mask: Mask) -> tuple[Colour, Colour]:
    """The middle colours of ink and ground. Raises Unmeasurable as `measure`."""
    return _Crop(image, mask).colours


def stroke_width(mask: Mask) -> float:
    """Width of strokes in pixels: twice the area over the length of the outline, both by coverage.

    A soft edge counts like a sharp one, so that blur narrower than the strokes makes no difference. Raises Unmeasurable
    where there is no ink.
    """
    return _stroke_width(_inked(mask))


def blur_sigma(image: Image, mask: Mask) -> float:
    """Standard deviation in pixels of the normal point spread that edges show, beside that of the pixels themselves.

    From the steepest step of each edge against the height of the edge (as in Elder & Zucker 1998, "Local scale control
    for edge detection and blur estimation"). About 0.2 to 3; strokes thinner than twice the spread seem sharper than
    they are. Raises Unmeasurable as `measure`.
    """
    return _Crop(image, mask).blur


def noise_sigma(image: Image, mask: Mask) -> float:
    """Standard deviation of the ground's noise in grey levels, from its second differences (Immerkær 1996).

    Smooth textures leave it as it is; noise that spreads over neighbours seems weaker. Raises Unmeasurable as
    `measure`.
    """
    return _Crop(image, mask).noise


def texture_strength(image: Image, mask: Mask) -> float:
    """Standard deviation of the ground in grey levels over 5 × 5 pixels, beside light. Raises Unmeasurable."""
    return _Crop(image, mask).texture


def light_range(image: Image, mask: Mask) -> float:
    """By how many grey levels the ground's light changes over the crop. Raises Unmeasurable as `measure`."""
    return _Crop(image, mask).light


def ground_kind(image: Image, mask: Mask) -> GroundKind:
    """What the ground looks like: the background of a recipe that is nearest. Raises Unmeasurable as `measure`."""
    return _Crop(image, mask).kind


def ink_texture(image: Image, mask: Mask) -> float:
    """Standard deviation of luminance along the middle of strokes over the contrast. Raises Unmeasurable."""
    return _Crop(image, mask).ink_texture


def text_box(mask: Mask) -> tuple[int, int, int, int]:
    """First column and row of the ink, end column and row. Raises Unmeasurable where there is none."""
    x, y, width, height = cv2.boundingRect((_inked(mask) >= _HALF).astype(np.uint8))
    return x, y, x + width, y + height


def margins(mask: Mask) -> tuple[float, float, float, float]:
    """Left, top, right, bottom around the ink, in heights of its box; 0 where ink is cut by the edge."""
    left, top, right, bottom = text_box(mask)
    high = bottom - top
    return left / high, top / high, (mask.shape[1] - right) / high, (mask.shape[0] - bottom) / high


def line_angle(mask: Mask) -> float:
    """Angle of the line in radians, clockwise: the one at which rows are fullest and emptiest.

    Found up to a rise of 0.9 heights over the line's length, and up to 17°. Raises Unmeasurable where there is no ink.
    """
    return _angle(_inked(mask))


def slant(mask: Mask) -> float:
    """Horizontal shift for each pixel up that makes strokes upright; from -0.5 to 0.5. Raises Unmeasurable."""
    mask = _inked(mask)
    return _slant(mask, _angle(mask))


def jpeg_quality(image: Image) -> int:
    """Quality by which a crop was last saved as JPEG; 100 where nothing shows it.

    Of the 8 × 8 blocks from the top left corner on, the transform's coefficients are multiples of one of libjpeg's
    tables (Fan & de Queiroz 2003, "Identification of bitmap compression history"). Crops scaled or cut off the grid
    afterwards, or without detail, show none; nor does a quality above 95, at which nothing is lost.

    Args:
        image: height × width × 3, as it was saved.
    """
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    rows, columns = grey.shape[0] // 8, min(grey.shape[1] // 8, 96)
    if not rows or not columns:
        return 100
    blocks = grey[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)
    dct = _dct()
    found = dct @ (blocks.reshape(-1, 8, 8).astype(np.float64) - 128.0) @ dct.T
    # Clipped pixels are no longer what the coefficients say.
    clipped = ((blocks == 0) | (blocks == 255)).any((2, 3)).reshape(-1)
    found = np.abs(found[~clipped]).reshape(-1, 64)[:, 1:]
    told = found > 1.5
    coefficient, found = np.nonzero(told)[1], found[told]
    best, quality = 3.0, 100
    for number, table in zip(_QUALITIES, _tables(), strict=True):
        steps = table[1:][coefficient]
        asked = steps >= 4
        count = int(np.count_nonzero(asked))
        if count < 12:
            continue
        steps, values = steps[asked], found[asked]
        hit = np.abs(values - steps * np.round(values / steps)) < 1.0
        chance = np.minimum(2.0 / steps, 1.0)
        score = (np.count_nonzero(hit) - chance.sum()) / math.sqrt(max(float((chance * (1 - chance)).sum()), 1e-9))
        if np.count_nonzero(hit) >= 0.8 * count and score > best:
            best, quality = score, number
    return quality


# -- one crop -------------------------------------------------------------------------------------------------------

_HALF = 128
_STROKE_TILTS = np.arange(-0.5, 0.501, 0.05)
_LINE_STEPS = np.linspace(-1.0, 1.0, 33)
_POINTS = 500  # of the ink that angles are found by
_SOME = 1000  # pixels that middle values and the light are found by
_NOISE = np.array(((1, -2, 1), (-2, 4, -2), (1, -2, 1)), np.float32)
_SQUARE = {size: np.ones((size, size), np.uint8) for size in (3, 5)}
_QUALITIES = range(5, 97)


class _Crop:
    """A crop and what has been found on it so far."""

    def __init__(self, image: Image, mask: Mask | None) -> None:
        if min(image.shape[:2]) < _SMALLEST:
            raise Unmeasurable(TOO_SMALL)
        reach = _WIDEST * image.shape[0]
        if image.shape[1] > reach:
            start = (image.shape[1] - reach) // 2
            image = image[:, start : start + reach]
            mask = None if mask is None else mask[:, start : start + reach]
        self.image = image
        self.grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        if mask is None:
            self._find()
        else:
            self._take(mask)

    def _find(self) -> None:
        grey = self.grey
        low, high, _, _ = cv2.minMaxLoc(grey)
        if high - low < _FAINTEST:
            raise Unmeasurable(ONE_COLOUR)
        threshold, dark = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)
        self.darker = _thinner(dark)
        ink = dark if self.darker else 1 - dark
        self._subtract(ink, 1)
        # Against the level ground, faint and unevenly lit letters come out as well as others.
        rest = np.clip(self.rest, 0, 255).astype(np.uint8)
        threshold, ink = cv2.threshold(rest, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        if threshold < _FAINTEST / 2:
            raise Unmeasurable(NO_TEXT)
        if _thinner(ink):
            self._subtract(ink)
            rest = np.clip(self.rest, 0, 255).astype(np.uint8)
            threshold, ink = cv2.threshold(rest, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        self._sort(ink)
        self._level()
        near = cv2.dilate(self.ink, _SQUARE[3])
        covered = np.clip(self.rest * np.float32(255 / self.level), 0, 255)
        self.coverage = np.where(near > 0, covered, 0).astype(np.uint8)

    def _take(self, mask: Mask) -> None:
        ink = (mask >= _HALF).astype(np.uint8)
        if not ink.any() or ink.all():
            raise Unmeasurable(NO_TEXT)
        away = cv2.dilate(ink, _SQUARE[3]) == 0
        ground = self.grey[away] if away.any() else self.grey[ink == 0]
        self.darker = bool(self.grey[ink > 0].mean() < ground.mean())
        self._subtract((mask > 0).astype(np.uint8) if (mask == 0).any() else ink)
        self._sort(ink, all_of_it=True)
        self._level()
        self.coverage = mask

    def _subtract(self, ink: Mask, passes: int = 2) -> None:
        """Set `rest`, by how much pixels are darker than the ground's light (brighter, of bright ink)."""
        height, width = self.grey.shape
        ground = cv2.erode(1 - ink, _SQUARE[3])
        if np.count_nonzero(ground) < 0.05 * ground.size:
            ground = 1 - ink
        places = _some(ground)
        if not len(places):
            raise Unmeasurable(NO_TEXT)
        rows, columns = np.divmod(places, width)
        values = self.grey.ravel()[places].astype(np.float64)
        x, y = columns / width * 2 - 1, rows / height * 2 - 1
        terms = np.ones((len(x), 4))
        terms[:, 1], terms[:, 2], terms[:, 3] = x, y, x * x
        kept = np.ones(len(x), bool)
        weights: NDArray[Any] = np.zeros(4)
        for left in reversed(range(passes)):
            part = terms[kept]
            # The ridge keeps crops with little ground from bending it out of reason.
            square = part.T @ part + np.diag((0.0, 1.0, 1.0, 1.0)) * (0.02 * len(part))
            weights = np.linalg.solve(square, part.T @ values[kept])
            if not left:
                break
            away = np.abs(values - terms @ weights)
            kept = away <= max(2.5 * float(np.median(away)) * 1.4826, 4.0)
        self._weights = weights
        across, down = np.arange(width) / width * 2 - 1, np.arange(height) / height * 2 - 1
        row = (weights[1] * across + weights[3] * across * across).astype(np.float32)
        column = (weights[0] + weights[2] * down).astype(np.float32)
        self._row, self._column = row, column
        field = column[:, None] + row[None]
        self.rest = field - self.grey if self.darker else self.grey - field

    def _sort(self, ink: Mask, all_of_it: bool = False) -> None:
        """Set `ink`, the line's own, and `other`: neighbouring lines, rules and specks."""
        height, width = ink.shape
        count, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
        _, top, wide, high, area = stats.T
        if all_of_it:
            stray = np.zeros(count, bool)
            alien = stray.copy()
        else:
            # Dots and commas at an edge lie within the height of letters, parts of other lines do not.
            letters = (high > 0.35 * height) & (wide < width)
            head = float(np.percentile(top[letters], 20)) if letters.any() else height / 2
            foot = float(np.median((top + high)[letters])) if letters.any() else height / 2
            slack = 0.05 * height
            at_edge = ((top == 0) & (top + high <= head + slack)) | ((top + high == height) & (top >= foot - slack))
            rule = (wide > 0.75 * width) & (high < 0.2 * height) & (width > 3 * height)
            stray = area < max(2.0, 0.0025 * height * height)
            alien = (at_edge | rule) & ~stray
        alien[0] = stray[0] = False
        own = ~(alien | stray)
        own[0] = False
        if not own.any():
            raise Unmeasurable(NO_TEXT)
        self.labels, self.own = labels, own
        self.ink = own[labels].astype(np.uint8)
        self._any = ink
        halves = alien & (top + high / 2 < height / 2), alien & (top + high / 2 >= height / 2)
        self.beside = tuple(float(np.minimum(wide[half].sum() / width, 1.0)) if half.any() else 0.0 for half in halves)

    def _level(self) -> None:
        """Set `level`, the contrast, and `middle`, where the middle of strokes is."""
        distance = cv2.distanceTransform(self.ink, cv2.DIST_L2, 3)
        middle = (self.ink > 0) & (distance >= cv2.dilate(distance, _SQUARE[3]) - 1e-3)
        values = self.rest[middle]
        self.middle = middle
        # Ends and dots are weaker than the strokes they belong to.
        self.level = float(np.percentile(values, 60))
        if self.level < _FAINTEST / 2:
            raise Unmeasurable(NO_TEXT)

    @cached_property
    def ground(self) -> NDArray[np.bool_]:
        """The ground, 2 pixels and more from any ink as far as there is enough of that."""
        for size in (5, 3):
            away = np.asarray(cv2.dilate(self._any, _SQUARE[size]) == 0)
            if np.count_nonzero(away) >= 48:
                return away
        return np.asarray(self._any == 0)

    @cached_property
    def luminance(self) -> float:
        places = _some(self.ground)
        return float(np.median(self.grey.ravel()[places])) if len(places) else float(self._weights[0])

    @cached_property
    def colours(self) -> tuple[Colour, Colour]:
        if self.image.ndim == 2:
            tone, light = float(np.median(self.grey[self.middle])), self.luminance
            return (tone, tone, tone), (light, light, light)
        ground = self.ground if self.ground.any() else self._any == 0
        strong = self.middle & (self.rest >= 0.6 * self.level)
        pixels = self.image.reshape(-1, 3)
        ink, paper = (np.median(pixels[_some(where)], axis=0).tolist() for where in (strong, ground))
        return (ink[0], ink[1], ink[2]), (paper[0], paper[1], paper[2])

    @cached_property
    def box(self) -> tuple[int, int, int, int]:
        x, y, width, height = cv2.boundingRect(self.ink)
        return x, y, x + width, y + height

    @cached_property
    def text_height(self) -> float:
        return float(self.box[3] - self.box[1])

    @cached_property
    def margins(self) -> tuple[float, float, float, float]:
        left, top, right, bottom = self.box
        height, width = self.ink.shape
        high = self.text_height
        return left / high, top / high, (width - right) / high, (height - bottom) / high

    @cached_property
    def stroke(self) -> float:
        return _stroke_width(np.where(cv2.dilate(self.ink, _SQUARE[3]) > 0, self.coverage, 0).astype(np.uint8))

    @cached_property
    def blur(self) -> float:
        steps: list[NDArray[Any]] = []
        near = cv2.dilate(self.ink, _SQUARE[3]) > 0
        for plane, where in ((self.rest, near), (self.rest.T, near.T)):
            plane = np.ascontiguousarray(plane)
            step = np.abs(np.diff(plane, axis=1))
            window = np.ones((1, _WINDOW), np.uint8)
            rise = cv2.dilate(plane, window) - cv2.erode(plane, window)
            rise = np.maximum(rise[:, 1:], rise[:, :-1])
            most = cv2.dilate(step, np.ones((1, 3), np.uint8))
            edge = where[:, 1:] & (step >= most) & (rise >= 0.6 * self.level)
            steps.append((step / np.maximum(rise, 1e-3))[edge])
        found = np.concatenate(steps)
        if len(found) < 4:
            return 0.0
        widths, sigmas, ratios = _stroke_table()
        at = min(max(int(np.searchsorted(widths, self.stroke)), 1), len(widths) - 1)
        part = min(max((self.stroke - widths[at - 1]) / (widths[at] - widths[at - 1]), 0.0), 1.0)
        steep = -float(np.percentile(found, _STEEP))
        thin, thick = (float(np.interp(steep, -ratios[k], sigmas[k])) for k in (at - 1, at))
        return float(thin + part * (thick - thin))

    @cached_property
    def halo(self) -> tuple[float, float]:
        """What is left of the contrast 2 to 3 pixels from the ink, and its deviation."""
        near = cv2.dilate(self._any, _SQUARE[3])
        ring = (cv2.dilate(near, _SQUARE[5]) > 0) & (near == 0)
        if np.count_nonzero(ring) < 8:
            return 0.0, 0.0
        values = self.rest[ring] / self.level
        return float(values.mean()), float(values.std())

    @cached_property
    def noise(self) -> float:
        if not self.ground.any():
            return 0.0
        inner = cv2.erode(self.ground.astype(np.uint8), _SQUARE[3], borderValue=0) > 0
        second = cv2.filter2D(self.grey, cv2.CV_32F, _NOISE)[inner if np.count_nonzero(inner) >= 16 else self.ground]
        return float(np.abs(second).mean()) * math.sqrt(math.pi / 2) / 6

    @cached_property
    def _smooth(self) -> NDArray[Any]:
        """What the ground is beside its light, means over 5 × 5 pixels of ground."""
        away = self.ground.astype(np.float32)
        share = cv2.blur(away, (5, 5))
        mean = cv2.blur(self.rest * away, (5, 5)) / np.maximum(share, 1e-3)
        return np.asarray(mean)

    @cached_property
    def texture(self) -> float:
        return float(self._smooth[self.ground].std()) if self.ground.any() else 0.0

    @cached_property
    def light(self) -> float:
        return float(np.ptp(self._row) + np.ptp(self._column))

    @cached_property
    def kind(self) -> GroundKind:
        values = np.where(self.ground, self._smooth, 0)
        share = np.maximum(self.ground.sum(1), 1)
        rows = (values.sum(1) / share)[self.ground.sum(1) > 0.3 * self.ground.shape[1]]
        if self.texture > 14:
            return "clutter"
        if len(rows) > 4 and rows.std() > 2.5 and rows.std() > 0.75 * self.texture:
            return "ruled"
        if self.light > 12 and self.light > 3 * self.texture:
            return "gradient"
        if self.texture > 5:
            return "stains"
        return "paper" if max(self.texture, self.noise) > 1.2 else "flat"

    @cached_property
    def ink_texture(self) -> float:
        return float(self.rest[self.middle].std()) / self.level

    @cached_property
    def fading(self) -> float:
        labels = self.labels[self.middle]
        count = np.bincount(labels, minlength=len(self.own))
        means = np.bincount(labels, self.rest[self.middle], len(self.own))[count >= 3] / count[count >= 3]
        return float(means.std()) / self.level if len(means) > 1 else 0.0

    @cached_property
    def angle(self) -> float:
        return _angle(self.coverage)

    @cached_property
    def slant(self) -> float:
        return _slant(self.coverage, self.angle)

    @cached_property
    def spacing(self) -> float:
        left, top, right, bottom = self.box
        inked = self.ink[top:bottom, left:right].any(0)
        edges = np.flatnonzero(np.diff(inked.astype(np.int8)))
        # The first edge ends a letter, the second begins the next.
        gaps = np.diff(edges)[::2] / self.text_height
        # Those between words are wider.
        return float(gaps[gaps <= 2 * np.median(gaps)].mean()) if len(gaps) else 0.0


def _some(where: NDArray[Any]) -> NDArray[np.intp]:
    """Flat places of pixels that are set, evenly thinned to some 1,000."""
    places = np.flatnonzero(where)
    return places[:: max(1, len(places) // _SOME)]


def _thinner(first: Mask) -> bool:
    """Whether the first of two classes, 1 against 0, is ink: it is thinner and keeps off the edges."""
    second = 1 - first
    # By the chessboard: fast, and near enough.
    thick = [float(cv2.mean(cv2.distanceTransform(part, cv2.DIST_C, 3), part)[0]) for part in (first, second)]
    edge = np.concatenate((first[0], first[-1], first[1:-1, 0], first[1:-1, -1])).mean()
    return math.log(max(thick[0], 0.5) / max(thick[1], 0.5)) + 2.0 * (float(edge) - 0.5) < 0


def _inked(mask: Mask) -> Mask:
    if not (mask >= _HALF).any():
        raise Unmeasurable(NO_TEXT)
    return mask


def _stroke_width(mask: Mask) -> float:
    cover = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0).astype(np.float32)
    across = cover[:-1, 1:] - cover[:-1, :-1]
    down = cover[1:, :-1] - cover[:-1, :-1]
    outline = float(cv2.magnitude(across, down).sum())
    return 2.0 * float(cover.sum()) / max(outline, 1e-3)


def _points(mask: Mask) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Places of the ink from its middle, evenly thinned."""
    places = np.flatnonzero(mask >= _HALF)
    rows, columns = np.divmod(places[:: max(1, len(places) // _POINTS)], mask.shape[1])
    x, y = columns.astype(np.float32), rows.astype(np.float32)
    return x - x.mean(), y - y.mean()


def _fullest(along: NDArray[np.float32], across: NDArray[np.float32], tilts: NDArray[Any]) -> float:
    """The tilt for which `along - tilt · across` falls into the fewest, fullest bins, a pixel wide."""
    places = along[None] - tilts.astype(np.float32)[:, None] * across[None]
    low = float(places.min())
    size = int(places.max() - low) + 3
    places -= low
    below = places.astype(np.int64)
    part = (places - below).astype(np.float64)
    below += np.arange(len(tilts))[:, None] * size
    total = size * len(tilts)
    counts = np.bincount(below.ravel(), (1 - part).ravel(), total) + np.bincount(below.ravel() + 1, part.ravel(), total)
    energy = (counts.reshape(len(tilts), size) ** 2).sum(1)
    # A tie, as of a single dot, is upright.
    energy *= 1 - 0.02 * (tilts / max(float(np.abs(tilts).max()), 1e-9)) ** 2
    best = int(energy.argmax())
    tilt = float(tilts[best])
    if 0 < best < len(tilts) - 1:
        before, here, after = energy[best - 1 : best + 2].tolist()
        bend = before - 2 * here + after
        if bend < 0:
            tilt += 0.5 * (before - after) / bend * float(tilts[1] - tilts[0])
    return tilt


def _angle(mask: Mask) -> float:
    x, y = _points(mask)
    most = min(0.3, 0.9 * mask.shape[0] / max(float(np.ptp(x)), 1.0))
    return math.atan(_fullest(y, x, _LINE_STEPS * most))


def _slant(mask: Mask, angle: float) -> float:
    # Only edges that are more upright than flat tell how letters lean.
    across = np.abs(np.diff(mask.astype(np.int16), axis=1, append=0))
    down = np.abs(np.diff(mask.astype(np.int16), axis=0, append=0))
    upright = ((across >= 64) & (across > 2 * down)).astype(np.uint8) * 255
    if not upright.any():
        return 0.0
    x, y = _points(upright)
    # Upright again: columns of a turned line lean by its angle.
    tilt = math.tan(angle)
    x, y = x + y * np.float32(tilt), y - x * np.float32(tilt)
    return -_fullest(x, y, _STROKE_TILTS)


_WINDOW = 7
_STEEP = 70  # per cent of edges that are less steep: slanted ones seem softer


@cache
def _stroke_table() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """How steep the edges of blurred strokes are.

    Returns:
        Widths as `_stroke_width` finds them, n; sigmas, n × m; the steepest step over the height of an edge at each, as
        `_STEEP` of all phases have it, n × m.
    """
    seen = np.array((1.0, 1.4, 1.8, 2.2, 2.7, 3.3, 4.0, 5.0, 6.5, 9.0))
    sigmas, ratios = [], []
    for width in seen.tolist():
        # A stroke much thinner than the spread is seen as wide as that: it cannot be softer.
        most = min(4.0, 0.385 * width)
        row = np.linspace(0.0, most, 33)
        sigmas.append(row)
        steep = [_steepness(sigma, _true_width(width, sigma)) for sigma in row.tolist()]
        ratios.append(np.minimum.accumulate(steep))
    return seen, np.array(sigmas), np.array(ratios)


def _true_width(seen: float, sigma: float) -> float:
    """Width of a stroke that is seen `seen` wide after blur: its peak has sunk, its area has not."""
    width = seen
    for _ in range(60):
        width = 0.5 * (width + seen * math.erf(width / (2 * math.sqrt(2) * max(sigma, 1e-3))))
    return max(width, 0.05)


def _steepness(sigma: float, width: float) -> float:
    """The steepest step from pixel to pixel over the height of the edge, of a blurred stroke at all phases."""
    sigma = max(sigma, 1e-3)
    borders = np.arange(-15.0, 17.0)
    shares = []
    for phase in np.linspace(-0.5, 0.5, 17).tolist():
        # The integral of the stroke's two edges up to each pixel's border.
        up, down = (_ramp((borders - place) / sigma) * sigma for place in (phase - width, phase))
        pixels = np.diff(up - down)
        steps = np.abs(np.diff(pixels))
        at = int(steps.argmax())
        half = _WINDOW // 2
        rise = max(float(np.ptp(pixels[k - half : k + half + 1])) for k in (at, at + 1))
        shares.append(float(steps[at]) / rise)
    return float(np.percentile(shares, _STEEP))


def _ramp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The integral of the normal distribution function."""
    below = np.array([0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x.tolist()])
    return np.asarray(x * below + np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi))


@cache
def _dct() -> NDArray[np.float64]:
    """The orthonormal cosine transform of 8 values."""
    k = np.arange(8)
    basis = np.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    return np.asarray(basis)


@cache
def _tables() -> NDArray[np.float64]:
    """libjpeg's luminance tables for `_QUALITIES`, as it writes them, row by row."""
    black = np.zeros((8, 8), np.uint8)
    tables = []
    for quality in _QUALITIES:
        file = cv2.imencode(".jpg", black, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes()
        zigzag = np.frombuffer(file, np.uint8, 64, file.index(b"\xff\xdb") + 5)
        table = np.zeros(64)
        table[_zigzag()] = zigzag
        tables.append(table)
    return np.array(tables)


@cache
def _zigzag() -> list[int]:
    """Places in a block, row by row, in the order of ITU-T T.81, figure A.6."""
    cells = [(row, column) for row in range(8) for column in range(8)]
    cells.sort(key=lambda cell: (sum(cell), cell[0] if sum(cell) % 2 else cell[1]))
    return [8 * row + column for row, column in cells]
