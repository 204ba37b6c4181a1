"""New text in the look of a real crop: a style made ready for an image height, and one sample's variation of it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augment import banks, geometry
from augment.errors import ScriptoriumError
from augment.ops_camera import gaussian_blur
from synth.compose.colour import Colour, luminance, with_luminance
from synth.compose.composer import Ground, Mask, grown, padded, shifted
from synth.handwriting.extract import strokes
from synth.recipe import Styles as Settings
from synth.render.line import Ink
from synth.render.shape import LOOSE, script_of
from synth.style.store import Store
from synth.style.style import Image, Outline, Shadow, Style

Margins: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""

_CAPITAL = 0.7  # em that most letters stand above the line on which they stand
_STRETCH = 256  # samples that share a few styles, where a store has many: as for pictures, each is decoded once
_SHOWN = 48
_ROOM = 0.6  # heights of the text above and below it that are kept of a crop: more would leave the text too small
_NARROWEST, _WIDEST = -0.05, 1.0  # margins at the sides, heights of the image
_CLOSEST = -0.04  # margins above and below, heights of the text
_LINE = 6.0  # heights from which a crop is as high as its line, whatever letters that has; words are cut closely
_WORD = 4.0  # heights to which texts turn as freely as words do
_SLOPE = 1.1  # a turned line rises by at most this many times its own height
_CORNER = 0.15  # heights by which perspective may shift a corner
_STILL = (0.006, 0.02, 0.012)  # radians, tangent, heights below which nothing is turned, slanted, seen from the side
# Middle stroke widths, em, and slant of 500 faces for Latin, by what their tables say.
_STROKES = (0.05, 0.08, 0.105)
_WEIGHTS = ((1, 400), (300, 500), (400, 700), (600, 1000))
_ITALIC = 0.14
_THINNED, _GROWN = 0.7, 1.35  # of its width that a stroke has at least and at most: else counters fill in
_SHARP = 0.5  # standard deviation in pixels of the spread that drawing has itself, beside that of pixels
_COARSE = 1.25  # pixels from which the crop's own are seen in the picture
_LOSSLESS = 96  # JPEG quality from which nothing is seen of it
_GREY = 4.0  # levels by which the channels of a grey may differ
_EVEN = 73.6  # standard deviation of what is even over 0 to 255
_FEATHER = 0.1  # heights over which copies of a background run into each other
_OVERLAP = 0.5  # heights in which the seam of two patches is looked for
_PLACES = 8  # tried for each patch
_MOST = 1.6  # times that blurred ink is made up for what blur takes from thin strokes
_CLEAR = 1.7  # times the legibility floor that ink and ground differ at least; so many times more if painted again


@dataclass(frozen=True, slots=True)
class Look:
    """A style made ready for images of one height; lengths in their pixels unless it says otherwise.

    Attributes:
        name: of the store and of the crop.
        ground: rows × columns × 3, the crop without its text, at most twice as high as the image.
        mean: colour of the ground where the text stands.
        columns: width of the ground at the image's height.
        margins: around the text.
        height: of the text at right angles to its line.
        wide: length of the line, in heights of the text.
        baseline, slant, darker, ink, gradient, texture, outline, shadow, quality: as `Style` has them.
        angle: of the line in radians.
        corners: 4 × 2, by how much perspective shifts the corners of the line's box, in heights of the text.
        em: size of the type, about.
        stroke: width of strokes, em.
        scale: pixels for one of the crop.
        blur: standard deviation of the point spread, in pixels of the crop.
        noise: standard deviation of what the ink has of it.
        font: the nearest face, if known.
    """

    name: str
    ground: Image
    mean: Colour
    columns: float
    margins: Margins
    height: float
    wide: float
    baseline: float
    angle: float
    slant: float
    corners: NDArray[np.float64]
    em: float
    stroke: float
    darker: bool
    ink: Colour
    gradient: tuple[Colour, Colour]
    texture: float
    outline: Outline | None
    shadow: Shadow | None
    scale: float
    blur: float
    noise: float
    quality: int
    font: str


def look_of(style: Style, height: int, name: str = "") -> Look:
    """Make a style ready for images `height` pixels high."""
    rows, columns = style.background.shape[:2]
    quad = np.asarray(style.quad, np.float64)
    (x0, y0), (x1, y1) = quad.min(0).tolist(), quad.max(0).tolist()
    top = max(0, math.floor(y0 - _ROOM * style.height))
    bottom = min(rows, math.ceil(y1 + _ROOM * style.height))
    scale = height / (bottom - top)
    ground = style.background[top:bottom]
    if bottom - top > 2 * height:
        size = (max(1, round(2 * scale * columns)), 2 * height)
        ground = cv2.resize(ground, size, interpolation=cv2.INTER_AREA)
    inside = style.background[max(0, round(y0)) : max(1, round(y1)), max(0, round(x0)) : max(1, round(x1))]
    b, g, r, _ = cv2.mean(inside if inside.size else style.background)
    low, high = _NARROWEST * height, _WIDEST * height
    left, right = (min(max(margin * scale, low), high) for margin in (x0, columns - x1))
    above, below = (max(margin * scale, low) for margin in (y0 - top, bottom - y1))
    angle, corners = _apart(quad)
    # Letters that stand on the line reach as high as capitals; whether there are others, the baseline tells.
    em = style.height * min(max(style.baseline, 0.5), 1.0) / _CAPITAL
    return Look(
        name=name or style.name,
        ground=np.ascontiguousarray(ground),
        mean=(b, g, r),
        columns=columns * scale,
        margins=(left, above, right, below),
        height=style.height * scale,
        wide=float(np.linalg.norm(quad[1] - quad[0] + quad[2] - quad[3])) / 2 / style.height,
        baseline=style.baseline,
        angle=angle,
        slant=style.slant,
        corners=corners,
        em=em * scale,
        stroke=_unblurred(style.stroke, style.blur) / em,
        darker=style.darker,
        ink=style.ink,
        gradient=style.gradient,
        texture=style.texture,
        outline=style.outline,
        shadow=style.shadow,
        scale=scale,
        blur=style.blur,
        noise=style.noise * min(scale, 1.0),
        quality=style.quality,
        font=style.font,
    )


def _apart(quad: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """The angle of a line's box, and what perspective does to its corners beside that, in heights of the box.

    Slant is measured apart: none is left in the corners.
    """
    along = (quad[1] + quad[2] - quad[0] - quad[3]) / 2
    angle = math.atan2(along[1], along[0])
    c, s = math.cos(angle), math.sin(angle)
    straight = (quad - quad.mean(0)) @ np.array(((c, -s), (s, c)))
    x, y = straight.T
    wide, high = (x[1] + x[2] - x[0] - x[3]) / 2, (y[2] + y[3] - y[0] - y[1]) / 2
    box = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1))) * (wide / 2, high / 2)
    corners = (straight - box) / max(high, 1e-3)
    lean = (corners[0, 0] + corners[1, 0] - corners[2, 0] - corners[3, 0]) / 4
    corners[:, 0] -= lean * np.array((1, 1, -1, -1))
    return angle, np.clip(corners, -_CORNER, _CORNER)


def _unblurred(stroke: float, sigma: float) -> float:
    """Width of strokes that look `stroke` pixels wide, at the height of their own middle, after a blur."""
    wide = stroke
    for _ in range(8):
        wide = stroke * _left_by(sigma, wide)
    return max(wide, 0.3 * stroke)


def _left_by(sigma: float, stroke: float) -> float:
    """What a normal blur leaves of the ink in the middle of a stroke, 0 to 1."""
    return math.erf(stroke / (2 * math.sqrt(2) * sigma)) if sigma > 0.1 else 1.0


class Styles:
    """The styles of a recipe; each is read when it is first drawn, and kept.

    Of many styles, a stretch of samples shows only a few (`turn_to`), so that few are read for each.

    Args:
        config: the recipe's `styles` section.
        height: of images.
        floor: contrast in grey levels that all units must have.
        seed: chooses the styles of each stretch.
        max_bytes: what styles made ready may hold.

    Attributes:
        stores: where they come from.

    Raises:
        ScriptoriumError: a store that is missing, broken, or empty.
    """

    def __init__(self, config: Settings, height: int, floor: float, seed: int = 0, max_bytes: int = 64 << 20) -> None:
        self._config, self._height, self._floor = config, height, floor
        self._seed, self._max = seed, max_bytes
        self.stores = [Store(path) for path in config.stores]
        for store in self.stores:
            if not len(store):
                raise ScriptoriumError(
                    f"{store.folder}: holds no style; extract some: synth style extract CROPS --output DIR"
                )
        self._places = [(store, number) for store in self.stores for number in range(len(store))]
        # Even a doubtful style is drawn now and then: it is in the store because it passed.
        self._sums = list(accumulate(max(float(c), 0.01) for store in self.stores for c in store.confidences))
        self._held: OrderedDict[int, Look] = OrderedDict()
        self._bytes = 0
        self._stretch = -1
        self._shown: list[int] | None = None

    def __len__(self) -> int:
        return len(self._places)

    def digests(self) -> list[dict[str, str]]:
        """Name and SHA-256 of each store, for the manifest."""
        return [{"name": store.folder.resolve().name, "sha256": store.digest} for store in self.stores]

    def turn_to(self, index: int) -> None:
        """Show the styles of the stretch of samples that `index` lies in: a function of seed and index alone."""
        stretch = index // _STRETCH
        if stretch != self._stretch and len(self) > _SHOWN:
            rng = np.random.default_rng([self._seed, stretch])
            self._shown = [self._number(share) for share in rng.random(_SHOWN).tolist()]
        self._stretch = stretch

    def draw(self, rng: np.random.Generator) -> Variation:
        """A variation of one of the styles shown, the surer ones more often."""
        share = rng.random()
        number = self._number(share) if self._shown is None else self._shown[int(share * len(self._shown))]
        return Variation(self.look(number), self._config, self._height, self._floor, rng)

    def _number(self, share: float) -> int:
        return bisect_right(self._sums, share * self._sums[-1], 0, len(self._sums) - 1)

    def look(self, number: int) -> Look:
        """One of all styles, made ready."""
        look = self._held.get(number)
        if look is not None:
            self._held.move_to_end(number)
            return look
        store, place = self._places[number]
        style = store[place]
        # Names of files need not be text.
        name = f"{store.folder.name}/{style.name}".encode(errors="backslashreplace").decode()
        look = self._held[number] = look_of(style, self._height, name)
        self._bytes += look.ground.nbytes
        while self._bytes > self._max and len(self._held) > 1:
            self._bytes -= self._held.popitem(last=False)[1].ground.nbytes
        return look


class Variation:
    """A style as one sample shows it: everything as measured, and `styles.vary` around that.

    Its steps come in the composer's order: `fit` and `shape`, `strokes`, `lay`, `paint`, and `degrade`.

    Args:
        look: the style.
        config: the recipe's `styles` section.
        height: of the image.
        floor: contrast in grey levels that all units must have.
        rng: draws how it differs.
    """

    def __init__(self, look: Look, config: Settings, height: int, floor: float, rng: np.random.Generator) -> None:
        self.look, self._config, self._height = look, config, height
        vary = config.vary
        draws: list[float] = (rng.standard_normal(15) * vary).tolist()
        self._margins = tuple(margin + 0.12 * look.height * d for margin, d in zip(look.margins, draws, strict=False))
        # Long lines are cut from pages that lie straight.
        calm = min(1.0, _WORD / look.wide)
        self._angle = look.angle + math.radians(2.5) * calm * draws[4]
        self.slant = look.slant + 0.1 * draws[5]
        self._corners = look.corners
        if vary:
            self._corners = look.corners + 0.05 * calm * np.array(draws[6:14]).reshape(4, 2)
        self.stroke = look.stroke * math.exp(0.25 * max(-2.0, min(draws[14], 2.0)))
        self._spans: list[tuple[int, int]] = []
        self._gains: Colour = (1.0, 1.0, 1.0)
        self._shift = 0.0
        self._ink: Colour = look.ink
        self._pixel = look.scale
        self._least = floor

    # -- letters ----------------------------------------------------------------------------------------------

    @property
    def weights(self) -> tuple[int, int]:
        """The weights (OS/2) of faces that may have strokes as wide as these."""
        return _WEIGHTS[bisect_right(_STROKES, self.stroke)]

    @property
    def italic(self) -> bool:
        """Whether the letters lean as those of italic faces do."""
        return self.slant > 0.7 * _ITALIC

    def suits(self, mask: Mask, ppem: int) -> float:
        """How far a face is from the style, by a text drawn in it: 0 to 1 where changed strokes make up for that."""
        width = strokes(mask)[0] / ppem
        return abs(math.log(max(width, 1e-3) / max(self.stroke, 1e-3))) / math.log(_GROWN)

    def take_face(self, italic: bool) -> None:
        """Slant an italic face only by what its letters lack."""
        if italic:
            self.slant -= _ITALIC

    def strokes(self, ink: Ink) -> tuple[Mask | None, Mask | None]:
        """The ink with strokes as wide as the style's, and the ring around it if there is one; see `Composer`."""
        now = strokes(ink.mask)[0]
        target = min(max(self.stroke * ink.ppem, _THINNED * now), _GROWN * now)
        growth = (target - now) / 2
        if abs(growth) < 0.25:
            growth = 0.0
        ring = 0.0
        if self.look.outline is not None:
            ring = max(self.look.outline.width * self.look.height / self.look.em * ink.ppem, 0.7)
        if not growth and not ring:
            return None, None
        pad = math.ceil(max(growth, 0.0) + ring) + 1
        mask = padded(ink.mask, pad)
        if growth:
            mask = grown(mask, growth)
        return mask, cv2.subtract(grown(mask, ring), mask) if ring else None

    # -- shape ------------------------------------------------------------------------------------------------

    def shape(self, ink: Ink) -> geometry.Warp:
        """Slant, perspective and turn of the line, in the ink's own coordinates."""
        height, width = ink.mask.shape
        middle = (width / 2, height / 2)
        steps: list[geometry.Step] = []
        angle, slant, corner = _STILL
        if abs(self.slant) > slant:
            steps += geometry.shear(-self.slant, 0.0, middle).steps
        if np.abs(self._corners).max() > corner:
            # A shorter line shows less of it, and the corners of a narrow letter must not change places.
            wide = width / height
            most = (min(_CORNER, 0.25 * wide), _CORNER)
            shifts = np.clip(self._corners * min(1.0, wide / self.look.wide), np.negative(most), most) * height
            box = np.array(((0, 0), (width, 0), (width, height), (0, height)))
            steps += geometry.quad(box, box + shifts).steps
        if abs(self._angle) > angle:
            steepest = math.atan2(_SLOPE * height, width)
            steps += geometry.rotation(max(-steepest, min(steepest, self._angle)), middle).steps
        return geometry.Warp(*steps)

    def fit(self, ink: Ink, shape: geometry.Warp) -> Margins:
        """Margins in pixels.

        A crop that holds a line is as high as all letters of its type, so that a text without tall letters gets the
        more room, and stands on the same line.
        """
        left, top, right, bottom = (
            max(margin, _NARROWEST * self._height if k % 2 == 0 else _CLOSEST * self.look.height)
            for k, margin in enumerate(self._margins)
        )
        room = self._height - top - bottom
        if room < 0.3 * self._height:
            top, bottom = (margin * 0.7 * self._height / (top + bottom) for margin in (top, bottom))
            room = self._height - top - bottom
        if self.look.wide >= _LINE and not shape.steps:
            rows = ink.mask.shape[0]
            size = min(room, self.look.em / ink.ppem * rows)
            if size < 0.95 * room:
                stands = top + self.look.baseline * room
                above = min(max(stands - size * ink.baseline / rows, top), top + room - size)
                return left, above, right, self._height - above - size
        return left, top, right, bottom

    # -- ground -----------------------------------------------------------------------------------------------

    def lay(
        self,
        width: int,
        polygons: NDArray[np.float32],
        blank: NDArray[np.bool_],
        units: Sequence[str],
        rng: np.random.Generator,
    ) -> Image:
        """The style's own ground, `width` pixels wide, and the colours of ground and ink for this picture.

        Args:
            width: of the picture.
            polygons: units × 4 × 2, where its letters lie.
            blank: units without ink.
            units: of the text.
            rng: draws light, colours, and which part is seen.
        """
        look, vary = self.look, self._config.vary
        zoom = 1.0 + 0.25 * vary * rng.random()
        rows = max(self._height, round(self._height * zoom))
        size = (max(2, round(look.columns * zoom)), rows)
        smaller = size[0] < look.ground.shape[1]
        tile = cv2.resize(look.ground, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        top = int(rng.random() * (rows - self._height + 1))
        tile = tile[top : top + self._height]
        first, last = float(polygons[..., 0].min()), float(polygons[..., 0].max())
        if width <= tile.shape[1]:
            start = int(rng.random() * (tile.shape[1] - width + 1))
            image = tile[:, start : start + width]
            self._spans = [(round(first), round(last))]
        elif self._config.long == "extended":
            image = _extended(tile, width, rng)
            self._spans = [(round(first), round(last))]
        else:
            seams = _seams(polygons, blank, units, 0.05 * self._height)
            image, self._spans = self._joined(tile, width, zoom, seams, rng)
        image = np.ascontiguousarray(image)
        return self._lit(image, rng) if vary else image

    def _joined(
        self, tile: Image, width: int, zoom: float, seams: Sequence[float], rng: np.random.Generator
    ) -> tuple[Image, list[tuple[int, int]]]:
        """Copies of the ground side by side, each under a piece of the text; where the pieces lie."""
        height, columns = tile.shape[:2]
        feather = max(1, round(_FEATHER * height))
        # Of the copies between, only the part where text stood is used, and a little more.
        room = 0.1 * height
        inner = max(feather, round(max(self.look.margins[0], 0.0) * zoom - room))
        outer = min(columns, columns - round(max(self.look.margins[2], 0.0) * zoom - room))
        if outer - inner < 0.5 * height:
            inner, outer = min(feather, columns // 4), columns
        image: Image = np.empty((height, width, 3), np.uint8)
        spans: list[tuple[int, int]] = []
        at, source = 0, 0
        while True:
            rest = width - at
            if rest <= columns - source:
                end, source = width, columns - rest
            else:
                reached = [seam for seam in seams if at + 0.3 * height < seam <= at + outer - source]
                later = [seam for seam in seams if seam > at + outer - source]
                end = round(reached[-1]) if reached else round(later[0]) if later else width
                end = min(end, width)
            back = min(feather, source, at)
            need = end - at + back
            piece = tile[:, source - back :]
            if need > piece.shape[1]:
                # A word that no seam may cut.
                piece = _extended(piece, need, rng)
            _feathered(image, at - back, piece[:, :need], back)
            spans.append((at, end))
            if end >= width:
                return image, spans
            at, source = end, inner

    def _lit(self, image: Image, rng: np.random.Generator) -> Image:
        """The ground in a little more or less light, of a little another colour; the same for the ink."""
        vary = self._config.vary
        look = self.look
        draws = rng.standard_normal(6).tolist()
        light, share = math.exp(0.15 * vary * draws[0]), 0.35 * vary * draws[1]
        # What was scanned in grey stays so.
        hue = 0.08 * vary * min(max(_chroma(look.mean), _chroma(look.ink)) / 40, 1.0)
        b, g, r = (light * math.exp(hue * d) for d in draws[2:5])
        self._gains, self._shift = (b, g, r), 25.0 * vary * draws[5]
        # Nearer to the ground, or further away.
        share = math.exp(max(-0.4, min(share, 0.6)))
        (b0, g0, r0), (b1, g1, r1) = look.mean, look.ink
        self._ink = b0 + (b1 - b0) * share, g0 + (g1 - g0) * share, r0 + (r1 - r0) * share
        gains: Any = (b, g, r, 0.0)
        shift: Any = (self._shift, self._shift, self._shift, 0.0)
        return cv2.add(cv2.multiply(image, gains), shift)

    # -- paint ------------------------------------------------------------------------------------------------

    def paint(
        self,
        ground: Ground,
        alpha: Mask,
        ring: Mask | None,
        lines: tuple[float, float],
        em: float,
        rng: np.random.Generator,
    ) -> None:
        """Lay shadow, rim and ink over the ground, all as sharp as the crop.

        Args:
            ground: what is painted on.
            alpha: coverage of the strokes.
            ring: around the letters.
            lines: top and bottom of the text, pixels.
            em: size of its type, pixels.
            rng: draws noise.
        """
        look = self.look
        # Letters with much above and below them are smaller in a picture of the same height: as if seen from farther
        # off, but not less sharply.
        self._pixel = look.scale * min(em / look.em, 1.0)
        blur = look.blur * self._pixel * math.exp(0.3 * self._config.vary * float(rng.standard_normal()))
        sigma = math.sqrt(max(blur * blur - _SHARP * _SHARP, 0.0))
        # The ink's colour was measured in the middle of strokes, of which blur had taken its part already.
        left = _left_by(sigma, max(self.stroke * em, 0.5))
        made_up = min(1 / left, _MOST)
        colour = self._legible(ground.image(), left * made_up)
        whole = alpha if ring is None else cv2.max(alpha, ring)
        if sigma > 0.2:
            alpha = cv2.convertScaleAbs(gaussian_blur(alpha, sigma), alpha=made_up)
            whole = alpha if ring is None else gaussian_blur(np.asarray(whole), sigma)
        if look.shadow is not None:
            cast = shifted(whole, look.shadow.x * look.height, look.shadow.y * look.height)
            ground.lay((0.0, 0.0, 0.0), cast, look.shadow.strength)
        if look.outline is not None:
            ground.lay(self._toned(look.outline.colour), whole, 1.0)
        ground.lay_image(self._inked(alpha.shape[0], alpha.shape[1], colour, lines, em, rng), alpha, 1.0)

    def _legible(self, ground: Image, seen: float) -> Colour:
        """The ink's colour, its luminance changed where it would differ too little from a ground's to be read.

        What is painted once more was refused, and differs more.
        """
        colour = self._toned(self._ink)
        b, g, r, _ = cv2.mean(ground)
        tone, under = luminance(colour), luminance((b, g, r))
        self._least *= _CLEAR
        least = self._least / max(seen, 0.3)
        if abs(tone - under) >= least:
            return colour
        darker = self.look.darker if 0 <= under + (-least if self.look.darker else least) <= 255 else under > 127
        return with_luminance(colour, under - least if darker else under + least)

    def _toned(self, colour: Colour) -> Colour:
        b, g, r = (min(max(c * gain + self._shift, 0.0), 255.0) for c, gain in zip(colour, self._gains, strict=True))
        return b, g, r

    def _inked(
        self,
        height: int,
        width: int,
        colour: Colour,
        lines: tuple[float, float],
        em: float,
        rng: np.random.Generator,
    ) -> Image:
        """What the ink looks like everywhere, height × width × 3."""
        look = self.look
        along, down = np.array(look.gradient) * self._gains
        x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
        u = np.zeros(width)
        for start, stop in self._spans:
            u[max(start, 0) : stop] = (x[max(start, 0) : stop] - start) / max(stop - start, 1) - 0.5
        v = np.clip((y - lines[0]) / max(lines[1] - lines[0], 1.0), 0, 1) - 0.5
        image = (v[:, None, None] * down + (u[:, None] * along + np.array(colour))).astype(np.float32)
        fine = min(look.noise, look.texture)
        rough = math.sqrt(look.texture**2 - fine**2)
        if rough > 1:
            blots = banks.clouds(height, width, 2 * self.stroke * em, rng).astype(np.float32)
            image += ((blots - 127.5) * np.float32(rough / _EVEN))[..., None]
        if fine > 0.5:
            noise = banks.window(banks.grain_grey(), height, width, rng).astype(np.float32)
            image += ((noise - 128) * np.float32(fine / banks.SPREAD))[..., None]
        return np.asarray(np.clip(image, 0, 255).astype(np.uint8))

    # -- what the file went through ---------------------------------------------------------------------------

    def degrade(self, image: Image, rng: np.random.Generator) -> Image:
        """Save a picture, height × width × 3, as the crop was saved: in its own pixels if they were larger, as JPEG."""
        pixel, quality = self._pixel, self.look.quality
        height, width = image.shape[:2]
        coarse = pixel > _COARSE
        if coarse:
            size = (max(4, round(width / pixel)), max(4, round(height / pixel)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        if quality < _LOSSLESS:
            # Scaling down takes most of what blocks show.
            lost = (100 - quality - 15 * self._config.vary * float(rng.standard_normal())) * min(pixel, 1.0)
            wanted = int(min(max(100 - lost, 10), 98))
            file = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, wanted))[1]
            image = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR))
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR) if coarse else image


def _chroma(colour: Colour) -> float:
    return max(max(colour) - min(colour) - _GREY, 0.0)


def _seams(
    polygons: NDArray[np.float32], blank: NDArray[np.bool_], units: Sequence[str], overlap: float
) -> list[float]:
    """Where a line may be cut, from left to right: in the middle of spaces, and between letters that stand alone."""
    left, right = polygons[..., 0].min(1).tolist(), polygons[..., 0].max(1).tolist()
    spaces: list[bool] = blank.tolist()
    alone = [script_of(unit[0]) in LOOSE for unit in units]
    seams: list[float] = []
    for k in range(len(units) - 1):
        if spaces[k]:
            seams.append((left[k] + right[k]) / 2)
        elif not spaces[k + 1] and alone[k] and alone[k + 1]:
            first, second = (k, k + 1) if left[k] + right[k] < left[k + 1] + right[k + 1] else (k + 1, k)
            # Two units of one cluster have one box.
            if right[first] - left[second] < overlap:
                seams.append((right[first] + left[second]) / 2)
    return sorted(seams)


def _feathered(image: Image, at: int, piece: Image, overlap: int) -> None:
    """Put a piece on an image at a column; over `overlap` columns it comes in gradually."""
    width = piece.shape[1]
    if overlap:
        share = ((np.arange(overlap) + 0.5) / overlap).astype(np.float32)[None, :, None]
        before = image[:, at : at + overlap].astype(np.float32)
        image[:, at : at + overlap] = before + (piece[:, :overlap] - before) * share + 0.5
    image[:, at + overlap : at + width] = piece[:, overlap:]


def _extended(tile: Image, width: int, rng: np.random.Generator) -> Image:
    """A ground made longer: its left end, patches from all of it, its right end.

    Each patch is the best of a few in the overlap with what is there, and joined to it along the seam of least
    difference (Efros & Freeman 2001, "Image quilting for texture synthesis and transfer").
    """
    height, columns = tile.shape[:2]
    overlap = max(1, min(round(_OVERLAP * height), columns // 3))
    result: Image = np.empty((height, width, 3), np.uint8)
    longest = max(overlap + 1, columns // 2)
    last = width - longest + overlap  # where the seam of the last patch, the tile's right end, is over
    at = min(max(3 * columns // 4, overlap), last)
    result[:, :at] = tile[:, :at]
    while at < last:
        length = min(longest, last + overlap - at)
        edge = result[:, at - overlap : at].astype(np.int16)
        places = (rng.random(_PLACES) * (columns - length + 1)).astype(np.intp).tolist()
        costs = [np.abs(tile[:, x : x + overlap].astype(np.int16) - edge) for x in places]
        sums = [int(cost.sum(dtype=np.int64)) for cost in costs]
        best = sums.index(min(sums))
        x = places[best]
        _quilted(result, at, tile[:, x : x + length], costs[best])
        at += length - overlap
    edge = result[:, at - overlap : at].astype(np.int16)
    end = tile[:, columns - longest :]
    _quilted(result, at, end, np.abs(end[:, :overlap].astype(np.int16) - edge))
    return result


def _quilted(result: Image, at: int, patch: Image, cost: NDArray[np.int16]) -> None:
    """Join a patch to what ends at a column, along the seam of least cost (height × overlap × 3) from top to bottom."""
    height, overlap = cost.shape[:2]
    costs = cost.sum(2, dtype=np.int64)
    paths = costs.copy()
    for row in range(1, height):
        above = paths[row - 1]
        least = above.copy()
        np.minimum(least[1:], above[:-1], out=least[1:])
        np.minimum(least[:-1], above[1:], out=least[:-1])
        paths[row] += least
    seam = np.empty(height, np.intp)
    seam[-1] = int(paths[-1].argmin())
    for row in range(height - 2, -1, -1):
        low = max(seam[row + 1] - 1, 0)
        seam[row] = low + int(paths[row, low : seam[row + 1] + 2].argmin())
    # From the seam on the patch, softened by a pixel.
    share = np.clip(np.arange(overlap)[None] - seam[:, None] + 0.5, 0, 1)[..., None]
    before: Any = result[:, at - overlap : at].astype(np.float64)
    result[:, at - overlap : at] = before + (patch[:, :overlap] - before) * share + 0.5
    result[:, at : at + patch.shape[1] - overlap] = patch[:, overlap:]
