"""Ink and surroundings to a picture: strokes and effects, one warp, surface, colours, blending."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augment import geometry
from synth.compose import Refused
from synth.compose.background import Backgrounds, Image, tinted
from synth.compose.colour import Colour, contrasting_luminance, is_grey, luminance, random_colour, with_luminance
from synth.recipe import Recipe
from synth.render.line import Ink, Stamp

if TYPE_CHECKING:
    from synth.style.draw import Variation

Mask: TypeAlias = NDArray[Any]
"""`uint8`, height × width; OpenCV's stubs do not promise more."""

KEPT_INK = 0.6  # a unit with less of its ink in the frame leaves the label
_PARTLY = 0.3  # what may at most be seen of a neighbouring letter or line
_SLIVER = 0.03  # of a unit's box outside the frame: too little to hold two fifths of the ink of a mark
_SLOPE = 1.1  # a turned line rises by at most this many times its own height


@dataclass(slots=True)
class Neighbours:
    """Ink that belongs to other lines or words and is seen in part."""

    above: Mask | None = None
    below: Mask | None = None
    before: Mask | None = None
    after: Mask | None = None
    letter: int = 8  # width in pixels of a letter of `before` and `after`


@dataclass(slots=True)
class Composed:
    """A picture before degradation.

    Attributes:
        image: height × width × 3, or height × width where all is grey.
        coverage: height × width: how the letters were drawn, without stroke changes or wear.
        outlined: further coverages by which outlined letters may be recognised: the ring alone, and ring and letter.
        polygons: units × 4 × 2.
        outline: of a curved line, n × 2; see `Ink.outline`.
        inside: share of each unit's ink that lies in the frame; None where all of it does.
        background: kind of the surface.
        exact: where the image is a flat ground and one flat ink laid over it by `coverage`, and nothing else: the
            luminance of the ink over that of the ground; else None.
    """

    image: Image
    coverage: Mask
    outlined: tuple[Mask, ...]
    polygons: NDArray[np.float32]
    inside: NDArray[np.float64] | None
    background: str
    exact: float | None
    outline: NDArray[np.float32] | None = None


@dataclass(slots=True)
class _Placed:
    """Where the line lies in the picture.

    Attributes:
        warp: from the ink's pixels to the picture's.
        straight: the same as (x scale, y scale, left, top) when nothing is turned, slanted or bent, and the picture's
            pixel rows fall on the ink's edges; else None.
        map: of `warp`, once drawn by one that is not projective.
        outline: of a curved line, in the picture.
    """

    warp: geometry.Warp
    straight: tuple[float, float, int, int] | None
    width: int
    height: int
    polygons: NDArray[np.float32]
    map: NDArray[np.float32] | None = None
    outline: NDArray[np.float32] | None = None

    def draw(self, mask: Mask, pad: int) -> Mask:
        """A mask in the picture; `pad` is the room around the ink that it has on all sides.

        Of several masks each is warped alone: OpenCV's warps of two and three channels are slower than as many of one.
        """
        if not pad and self.straight is not None:
            return self._resized(mask, self.straight)
        coefficients = self.warp.coefficients
        if coefficients is not None:
            warp = geometry.translation(-pad, -pad).then(self.warp) if pad else self.warp
            return _warped(mask, warp, coefficients, self.width, self.height)
        if self.map is None:
            self.map = self.warp.map(self.width, self.height)
        where = self.map + np.float32(pad) if pad else self.map
        # The stubs do not know that the second map may be absent.
        return cv2.remap(mask, where, None, cv2.INTER_LINEAR)  # type: ignore[call-overload,no-any-return]

    def seen(self, left: int, right: int, top: int, bottom: int) -> Mask:
        """Of a part of the ink 255 where a pixel's centre lies in the picture."""
        where = self.warp.inverted().then(geometry.translation(-left, -top)).map(right - left, bottom - top)
        return cv2.inRange(where, np.array((-0.5, -0.5)), np.array((self.width - 0.5, self.height - 0.5)))

    def _resized(self, mask: Mask, straight: tuple[float, float, int, int]) -> Mask:
        x_scale, y_scale, left, top = straight
        width, height = round(mask.shape[1] * x_scale), round(mask.shape[0] * y_scale)
        if (width, height) != mask.shape[::-1]:
            mode = cv2.INTER_AREA if y_scale < 0.7 else cv2.INTER_LINEAR
            mask = cv2.resize(mask, (width, height), interpolation=mode)
        right, bottom = self.width - left - width, self.height - top - height
        return cv2.copyMakeBorder(mask, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)


@dataclass(slots=True)
class Draft:
    """A picture on its way through the composer's stages; what a stage has not yet set is unset.

    Attributes:
        ink: the line.
        neighbours: what else may be seen.
        units: of the text.
        style: what the picture looks like; None: as the recipe says.
        margins: left, top, right, bottom in pixels.
        strokes: the ink where its weight changes; like `ring` with `pad` pixels of room around the ink, and like all
            three in the picture's pixels once drawn.
        ring: around outlined letters.
        around: what belongs to other lines, with an em of room around the ink.
        under: what a stamp is printed on, with its `Stamp.pad` of room.
    """

    ink: Ink
    neighbours: Neighbours | None
    units: Sequence[str] = ()
    style: Variation | None = None
    margins: tuple[float, float, float, float] = field(init=False)
    placed: _Placed = field(init=False)
    pad: int = 0
    strokes: Mask | None = None
    ring: Mask | None = None
    around: Mask | None = None
    under: Mask | None = None
    ground: Ground = field(init=False)
    coverage: Mask = field(init=False)

    @property
    def scale(self) -> float:
        """Pixels of the picture for one of the ink, about."""
        return float((self.placed.height - self.margins[1] - self.margins[3]) / max(self.ink.mask.shape[0], 1))


class Composer:
    """The composing stages of a recipe; built once per worker.

    `place`, `gather`, `lay_ground`, `draw`, `paint`, `insides` and `finish`, in this order, make a picture of a draft;
    they are apart so that many drafts can go through one of them before the next. `compose` takes one through all.
    """

    def __init__(self, recipe: Recipe, backgrounds: Backgrounds) -> None:
        self._recipe = recipe
        self._backgrounds = backgrounds

    def plain(self, ink: Ink, height: int) -> Composed:
        """Black on white, straight, whole: what every recipe falls back on."""
        margin = 0.12 * height
        placed = self._fit(ink, geometry.Warp(), height, (margin, margin, margin, margin))
        coverage = placed.draw(ink.mask, 0)
        return Composed(cv2.bitwise_not(coverage), coverage, (), placed.polygons, None, "flat", -255.0, placed.outline)

    def compose(self, ink: Ink, neighbours: Neighbours | None, rng: np.random.Generator) -> Composed:
        """One picture of `ink`.

        Raises:
            Refused: too wide for `layout.max_ratio`.
        """
        draft = Draft(ink, neighbours)
        self.place(draft, rng)
        self.gather(draft, rng)
        self.lay_ground(draft, rng)
        self.draw(draft)
        self.paint(draft, rng)
        return self.finish(draft, self.insides([draft])[0])

    def place(self, draft: Draft, rng: np.random.Generator) -> None:
        """Margins, warp and size. Raises Refused: too wide for `layout.max_ratio`."""
        height = self._recipe.layout.height
        if draft.style is not None:
            shape = draft.style.shape(draft.ink)
            draft.margins = draft.style.fit(draft.ink, shape)
            draft.placed = self._fit(draft.ink, shape, height, draft.margins)
            return
        draft.margins = self._margins(rng)
        if draft.ink.quads is not None:
            # What lies around a curve is its box: of that no letter is cut off by chance.
            left, top, right, bottom = draft.margins
            draft.margins = max(left, 0.0), max(top, 0.0), max(right, 0.0), max(bottom, 0.0)
        draft.placed = self._fit(draft.ink, self._shape(draft.ink, rng), height, draft.margins)

    def gather(self, draft: Draft, rng: np.random.Generator) -> None:
        """What is to be drawn: ink, changed strokes, outlines, and what stands around."""
        ink, style = draft.ink, draft.style
        draft.strokes, draft.ring = self._strokes(ink, rng) if style is None else style.strokes(ink)
        if draft.strokes is not None:
            draft.pad = (draft.strokes.shape[0] - ink.mask.shape[0]) // 2
        if ink.stamp is not None:
            _press(draft, ink.stamp)
        if style is None:
            draft.around = self._extras(ink, draft.neighbours, draft.scale, draft.margins, rng)

    def lay_ground(self, draft: Draft, rng: np.random.Generator) -> None:
        """The surface."""
        placed = draft.placed
        if draft.style is None:
            draft.ground = self._ground(placed.height, placed.width, rng)
        else:
            image = draft.style.lay(placed.width, placed.polygons, draft.ink.blank, draft.units, rng)
            draft.ground = Ground(placed.height, placed.width, draft.style.look.mean, image, "style")

    def draw(self, draft: Draft) -> None:
        """The masks in the picture; from here on they are of its size."""
        placed, ink = draft.placed, draft.ink
        draft.coverage = placed.draw(ink.mask, 0)
        if draft.strokes is not None:
            draft.strokes = placed.draw(draft.strokes, draft.pad)
        if draft.ring is not None:
            draft.ring = placed.draw(draft.ring, draft.pad)
        if draft.around is not None:
            draft.around = placed.draw(draft.around, ink.ppem)
        if draft.under is not None and ink.stamp is not None:
            draft.under = placed.draw(draft.under, ink.stamp.pad)

    def lay_picture(self, draft: Draft, picture: Image, like: Draft) -> None:
        """A picture as the surface, in the place of `lay_ground`; what paint goes by is the surface of `like`.

        Two drafts are painted alike where they share it, whatever they are painted on.
        """
        ground = Ground(draft.placed.height, draft.placed.width, _BLACK, picture, like.ground.kind)
        ground.luminance = like.ground.luminance
        draft.ground = ground

    def paint(self, draft: Draft, rng: np.random.Generator) -> None:
        """Ink and effects onto the surface."""
        if draft.style is not None:
            alpha = draft.coverage if draft.strokes is None else draft.strokes
            lines = draft.placed.polygons[..., 1]
            ends = float(lines.min()), float(lines.max())
            em = draft.scale * draft.ink.ppem
            draft.style.paint(draft.ground, alpha, draft.ring, ends, em, rng)
            return
        stamp = draft.ink.stamp
        if draft.under is not None:
            # In print, whose colour has nothing to do with the stamp's.
            tone = contrasting_luminance(draft.ground.luminance, 40, 160, self._recipe.colour.darker, rng)
            draft.ground.lay((tone, tone, tone), draft.under, 1.0)
        self.paint_in(draft, self.choose_ink(draft, rng, None if stamp is None else stamp.colour), rng)

    def choose_ink(self, draft: Draft, rng: np.random.Generator, stamp: Colour | None = None) -> Colour:
        """A colour that stands out from the surface; with the hue of `stamp` where that is given."""
        return self._ink_colour(draft.ground, rng, stamp)

    def paint_in(self, draft: Draft, colour: Colour, rng: np.random.Generator) -> None:
        """Ink of a colour, and effects, onto the surface."""
        alpha = draft.coverage if draft.strokes is None else draft.strokes
        self._paint(draft.ground, colour, alpha, draft.ring, draft.around, draft.scale * draft.ink.ppem, rng)

    def finish(self, draft: Draft, inside: NDArray[np.float64] | None) -> Composed:
        """The picture, with what `insides` found."""
        ground, placed, ring = draft.ground, draft.placed, draft.ring
        outlined = () if ring is None else (ring, cv2.max(ring, draft.coverage))
        exact = ground.contrast if draft.strokes is None else None
        outline = placed.outline
        return Composed(ground.image(), draft.coverage, outlined, placed.polygons, inside, ground.kind, exact, outline)

    # -- shape ------------------------------------------------------------------------------------------------

    def _margins(self, rng: np.random.Generator) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in pixels; small ones are more frequent, as in cropped words."""
        layout = self._recipe.layout
        height = layout.height
        (x0, x1), (y0, y1) = layout.margin_x, layout.margin_y
        a, b, c, d = rng.random(4).tolist()
        return (
            height * (x0 + (x1 - x0) * a * a),
            height * (y0 + (y1 - y0) * b),
            height * (x0 + (x1 - x0) * c * c),
            height * (y0 + (y1 - y0) * d),
        )

    def _shape(self, ink: Ink, rng: np.random.Generator) -> geometry.Warp:
        """The random warp of the line in its own coordinates, without the final fit."""
        config = self._recipe.geometry
        height, width = ink.mask.shape
        middle = (width / 2, height / 2)
        steps: list[geometry.Step] = []
        draw = rng.random
        stretched = 1.0
        if config.stretch.p and draw() < config.stretch.p:
            low, high = config.stretch.factor
            stretched = low * (high / low) ** draw()
            steps += geometry.scaling(stretched, 1.0).steps
            middle = (middle[0] * stretched, middle[1])
        reach = width * stretched
        if config.curve.p and ink.quads is None and draw() < config.curve.p:
            low, high = config.curve.bend
            rise = (low + (high - low) * draw()) * height
            # The arc's sagitta over half the line's length gives the radius; an arc of more than half a circle
            # would turn letters upside down.
            radius = max((reach * reach / 4 + rise * rise) / (2 * rise), reach / math.pi * 1.3, 1.2 * height)
            steps += geometry.arc(middle[0], middle[1], radius if draw() < 0.6 else -radius).steps
        if config.wave.p and draw() < config.wave.p:
            low, high = config.wave.amplitude
            length = max(reach, 2.0 * height) * (0.7 + 1.3 * draw())
            steps += geometry.wave((low + (high - low) * draw()) * height, length, 2 * math.pi * draw()).steps
        if config.elastic.p and draw() < config.elastic.p:
            low, high = config.elastic.strength
            steps += geometry.elastic(rng, reach, height, (low + (high - low) * draw()) * height, height * 0.6).steps
        if config.shear.p and draw() < config.shear.p:
            low, high = config.shear.slant
            steps += geometry.shear(-(low + (high - low) * draw()), 0.0, middle).steps
        if config.rotation.p and draw() < config.rotation.p:
            low, high = config.rotation.degrees
            angle = math.radians(low + (high - low) * draw())
            most = math.atan2(_SLOPE * height, reach)
            steps += geometry.rotation(max(-most, min(most, angle)), middle).steps
        if config.perspective.p and draw() < config.perspective.p:
            low, high = config.perspective.strength
            strength = (low + (high - low) * draw()) * height
            x0, y0 = middle[0] - reach / 2, middle[1] - height / 2
            x1, y1 = x0 + reach, y0 + height
            # The corners of a narrow letter must not change places.
            shifts = (rng.random((4, 2)) - 0.5) * (2 * min(strength, 0.25 * reach), 1.4 * strength)
            corners = np.array(((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
            steps += geometry.quad(corners, corners + shifts).steps
        return geometry.Warp(*steps)

    def _fit(self, ink: Ink, shape: geometry.Warp, height: int, margins: tuple[float, float, float, float]) -> _Placed:
        """Fit the shaped line into the picture between the margins (left, top, right, bottom)."""
        if not shape.steps and min(margins) >= 0 and ink.quads is None:
            return self._fit_straight(ink, height, margins)
        quads = ink.boxes[:, _CORNERS].reshape(-1, 4, 2) if ink.quads is None else ink.quads
        moved = shape.forward(quads)
        inked = moved[~ink.blank] if ink.blank.any() else moved
        flat = inked.reshape(-1, 2)
        outline = None if ink.outline is None else shape.forward(ink.outline)
        if outline is not None:
            flat = np.concatenate((flat, outline))
        if ink.stamp is not None and ink.quads is not None:
            # All of the seal is to be seen.
            rows, columns = ink.mask.shape
            corners = np.array(((0, 0), (columns, 0), (columns, rows), (0, rows)), np.float32)
            flat = np.concatenate((flat, shape.forward(corners)))
        (left, top), (right, bottom) = np.minimum.reduce(flat).tolist(), np.maximum.reduce(flat).tolist()
        scale = (height - margins[1] - margins[3]) / max(bottom - top, 1e-3)
        width = self._allowed(math.ceil((right - left) * scale + margins[0] + margins[2]), height)
        x, y = margins[0] - left * scale, margins[1] - top * scale
        moved *= np.float32(scale)
        moved += np.array((x, y), np.float32)
        if outline is not None:
            outline = outline * np.float32(scale) + np.array((x, y), np.float32)
        fit = geometry.Projective((scale, 0.0, x, 0.0, scale, y, 0.0, 0.0, 1.0))
        return _Placed(shape.then(fit), None, width, height, moved, None, outline)

    def _fit_straight(self, ink: Ink, height: int, margins: tuple[float, float, float, float]) -> _Placed:
        """The same without a warp: the mask's edges are put on pixel edges, so that it need only be resized."""
        rows, columns = ink.mask.shape
        left, top, right, bottom = (round(margin) for margin in margins)
        y_scale = max(height - top - bottom, 1) / rows
        text = max(round(columns * y_scale), 1)
        x_scale = text / columns
        width = self._allowed(left + text + right, height)
        polygons = (ink.boxes * np.array((x_scale, y_scale, x_scale, y_scale), np.float32))[:, _CORNERS]
        polygons += np.array((left, top) * 4, np.float32)
        fit = geometry.Projective((x_scale, 0.0, left, 0.0, y_scale, top, 0.0, 0.0, 1.0))
        straight = (x_scale, y_scale, left, top)
        return _Placed(geometry.Warp(fit), straight, width, height, polygons.reshape(-1, 4, 2))

    def _allowed(self, width: int, height: int) -> int:
        if width > self._recipe.layout.max_ratio * height:
            raise Refused("too wide")
        return max(width, 4)

    def insides(self, drafts: Sequence[Draft]) -> list[NDArray[np.float64] | None]:
        """Share of each unit's ink in the frame, for each draft once placed; None where all of it is.

        By the ink's pixels where more than a sliver of a unit's box lies outside.
        """
        shares: list[NDArray[np.float64] | None] = [None] * len(drafts)
        # The frame is laid around the polygons, so that only negative margins leave any of them outside.
        cut = [k for k, draft in enumerate(drafts) if min(draft.margins) < 0]
        if not cut:
            return shares
        inks, places = [drafts[k].ink for k in cut], [drafts[k].placed for k in cut]
        counts = [len(ink.boxes) for ink in inks]
        corners, boxes = np.concatenate([placed.polygons for placed in places]), np.concatenate([i.boxes for i in inks])
        frames = np.repeat(np.array([(p.width, p.height) for p in places], np.float32), counts, axis=0)
        low, high = corners.min(1), corners.max(1)
        beyond = (np.maximum(-low, high - frames) > (high - low) * np.float32(_SLIVER)).any(1)
        blank = np.concatenate([ink.blank for ink in inks])
        share = np.ones(len(boxes))
        if (beyond & blank).any():
            # A space has no ink: its middle counts.
            middle = corners.mean(1)
            share[beyond & blank] = ((middle >= 0) & (middle <= frames)).all(1)[beyond & blank]
        here = np.flatnonzero(beyond & ~blank)
        if len(here):
            owners = np.repeat(np.arange(len(cut)), counts)[here].tolist()
            masks, owned = [inks[k].mask for k in owners], [places[k] for k in owners]
            share[here] = _shares_seen(masks, owned, boxes[here], corners[here], frames[here])
        for k, part in zip(cut, np.split(share, list(accumulate(counts))[:-1]), strict=True):
            shares[k] = part
        return shares

    # -- strokes ----------------------------------------------------------------------------------------------

    def _strokes(self, ink: Ink, rng: np.random.Generator) -> tuple[Mask | None, Mask | None]:
        """The ink with its weight changed, if it is, and for outlined letters the ring around them; padded alike."""
        config = self._recipe.ink
        growth = 0.0
        if config.weight_share and rng.random() < config.weight_share:
            low, high = config.weight
            growth = (low + (high - low) * rng.random()) * ink.ppem
        ring = 0.0
        if config.outline.p and rng.random() < config.outline.p:
            low, high = config.outline.width
            ring = max((low + (high - low) * rng.random()) * ink.ppem, 0.7)
        if not growth and not ring:
            return None, None
        pad = math.ceil(max(growth, 0.0) + ring) + 1
        mask = padded(ink.mask, pad)
        if growth:
            mask = grown(mask, growth)
        if not ring:
            return mask, None
        return mask, cv2.subtract(grown(mask, ring), mask)

    def _extras(
        self,
        ink: Ink,
        neighbours: Neighbours | None,
        scale: float,
        margins: tuple[float, float, float, float],
        rng: np.random.Generator,
    ) -> Mask | None:
        """Neighbouring ink, rules and underlines on a canvas of their own, one em wider than the ink on all sides."""
        config = self._recipe
        underline = bool(config.ink.underline) and rng.random() < config.ink.underline
        rule = bool(config.surroundings.rule) and rng.random() < config.surroundings.rule
        if neighbours is None and not underline and not rule:
            return None
        height, width = ink.mask.shape
        pad = ink.ppem
        canvas = np.zeros((height + 2 * pad, width + 2 * pad), np.uint8)
        reach = [max(m / max(scale, 1e-3), 0.0) for m in margins]
        if neighbours is not None:
            for mask, up in ((neighbours.above, True), (neighbours.below, False)):
                if mask is None:
                    continue
                room = reach[1] if up else reach[3]
                gap = max(ink.ppem * (0.04 + 0.2 * rng.random()), room - _PARTLY * mask.shape[0])
                x = int((rng.random() - 0.5) * 0.8 * width)
                y = int(pad - gap - mask.shape[0]) if up else int(pad + height + gap + 1)
                _stamp(canvas, mask, pad + x, y)
            for mask, before in ((neighbours.before, True), (neighbours.after, False)):
                if mask is None:
                    continue
                room = reach[0] if before else reach[2]
                gap = max(ink.ppem * (0.14 + 0.2 * rng.random()), room - _PARTLY * neighbours.letter)
                x = int(pad - gap - mask.shape[1]) if before else int(pad + width + gap + 1)
                _stamp(canvas, mask, x, pad + height - mask.shape[0])
        thick = max(1, round(ink.ppem * (0.03 + 0.05 * rng.random())))
        if underline and ink.outline is not None:
            # Along the curve's bottom.
            lower = ink.outline[: len(ink.outline) // 2 - 1 : -1]
            inward = ink.outline[: len(lower)] - lower
            away = 0.04 * ink.ppem / np.maximum(np.hypot(inward[:, 0], inward[:, 1]), 1.0)
            points = lower - inward * away[:, None] + pad
            cv2.polylines(canvas, [np.round(points * 16).astype(np.int32)], False, 255, thick, cv2.LINE_AA, 4)
        elif underline:
            y = pad + min(int(ink.baseline + ink.ppem * (0.08 + 0.1 * rng.random())), height + 2)
            canvas[y : y + thick, pad : pad + width] = 255
        if rule:
            side = rng.random()
            if side < 0.75:
                away = int(ink.ppem * (0.06 + 0.25 * rng.random()))
                y = pad + height + away if side < 0.5 else pad - away - thick
                canvas[max(y, 0) : max(y + thick, 0)] = 255
            else:
                away = int(ink.ppem * (0.12 + 0.2 * rng.random()))
                x = pad - away - thick if side < 0.875 else pad + width + away
                canvas[:, max(x, 0) : max(x + thick, 0)] = 255
        return canvas

    # -- paint ------------------------------------------------------------------------------------------------

    def _ground(self, height: int, width: int, rng: np.random.Generator) -> Ground:
        config = self._recipe.colour
        low, high = config.luminance
        target = low + (high - low) * rng.random()
        colour = (target, target, target)
        if config.coloured and rng.random() < config.coloured:
            s0, s1 = config.saturation
            colour = with_luminance(random_colour(rng, s0 + (s1 - s0) * rng.random()), target)
        image, kind = self._backgrounds.draw(height, width, colour, rng)
        return Ground(height, width, colour, image, kind)

    def _ink_colour(self, ground: Ground, rng: np.random.Generator, stamp: Colour | None) -> Colour:
        config = self._recipe.colour
        target = contrasting_luminance(ground.luminance, *config.contrast, config.darker, rng)
        if stamp is not None:
            return with_luminance(stamp, target)
        if ground.own and config.from_background and rng.random() < config.from_background:
            y, x = int(rng.random() * ground.height), int(rng.random() * ground.width)
            b, g, r = ground.image()[y, x].tolist()
            return with_luminance((b, g, r), target)
        if config.ink_coloured and rng.random() < config.ink_coloured:
            s0, s1 = config.saturation
            return with_luminance(random_colour(rng, s0 + (s1 - s0) * rng.random()), target)
        return (target, target, target)

    def _paint(
        self,
        ground: Ground,
        colour: Colour,
        alpha: Mask,
        ring: Mask | None,
        around: Mask | None,
        em: float,
        rng: np.random.Generator,
    ) -> None:
        config = self._recipe.ink
        tone = luminance(colour)
        draw = rng.random
        hollowed = False
        height, width = alpha.shape
        if config.shadow.p and draw() < config.shadow.p:
            low, high = config.shadow.offset
            away = (low + (high - low) * draw()) * em
            angle = 2 * math.pi * draw()
            b0, b1 = config.shadow.blur
            caster = alpha if ring is None else cv2.max(alpha, ring)
            cast = shifted(caster, away * math.cos(angle), away * math.sin(angle))
            sigma = (b0 + (b1 - b0) * draw()) * em
            if sigma > 0.3:
                cast = cv2.GaussianBlur(cast, (0, 0), sigma)
            s0, s1 = config.shadow.strength
            # Light ink casts dark shadows; now and then a dark one has a light halo.
            dark = tone > 110 or draw() < 0.6
            ground.lay(_BLACK if dark else _WHITE, cast, s0 + (s1 - s0) * draw())
        if config.extrusion.p and draw() < config.extrusion.p:
            low, high = config.extrusion.depth
            depth = (low + (high - low) * draw()) * em
            angle = 2 * math.pi * draw()
            steps = max(1, math.ceil(depth))
            side = alpha
            for k in range(1, steps + 1):
                d = depth * k / steps
                side = cv2.max(side, shifted(alpha, d * math.cos(angle), d * math.sin(angle)))
            share = 0.35 + 0.4 * draw()
            ground.lay(with_luminance(colour, tone * share + ground.luminance * (1 - share)), side, 1.0)
        if around is not None:
            ground.lay(colour, around, 1.0)
        if ring is not None:
            hollowed = draw() < config.outline.hollow
            if hollowed:
                ground.lay(colour, cv2.subtract(ring, alpha), 1.0)
            else:
                edge = contrasting_luminance(tone, 50, 220, 0.5, rng)
                ground.lay(with_luminance(random_colour(rng, 0.4 * draw()), edge), ring, 1.0)
        low, high = config.opacity
        strength = low + (high - low) * draw() if low < 1 else 1.0
        if not hollowed:
            worn = bool(config.worn.p) and draw() < config.worn.p
            if worn:
                alpha = self._worn(alpha, rng)
            if config.textured.p and draw() < config.textured.p:
                ground.lay_image(self._fill(height, width, colour, rng), alpha, strength)
            elif config.multiply and tone < ground.luminance and draw() < config.multiply:
                ground.print(colour, alpha, strength)
            else:
                ground.lay(colour, alpha, strength)
            if worn:
                ground.contrast = None
            if config.emboss and draw() < config.emboss:
                ground.emboss(alpha, 30 + 60 * draw())

    def _worn(self, alpha: Mask, rng: np.random.Generator) -> Mask:
        low, high = self._recipe.ink.worn.amount
        amount = low + (high - low) * rng.random()
        height, width = alpha.shape
        detail = self._backgrounds.detail(height, width, rng)
        # The texture has mean 128 and deviation 42: the quantile of `amount` on a normal curve, roughly.
        edge = 128 + 42 * 1.8 * (amount - 0.5) * 2
        soft = 12.0
        table = np.clip((np.arange(256) - edge) * (255 / (2 * soft)) + 128, 255 * 0.15, 255).astype(np.uint8)
        return cv2.multiply(alpha, cv2.LUT(detail, table), scale=1 / 255)

    def _fill(self, height: int, width: int, colour: Colour, rng: np.random.Generator) -> Image:
        low, high = self._recipe.ink.textured.strength
        strength = low + (high - low) * rng.random()
        if rng.random() < 0.5:
            detail = self._backgrounds.detail(height, width, rng)
        else:
            ramp = np.linspace(60, 196, height if rng.random() < 0.7 else width).astype(np.uint8)
            if rng.random() < 0.5:
                ramp = ramp[::-1]
            shape = ramp[:, None] if len(ramp) == height else ramp[None]
            detail = np.ascontiguousarray(np.broadcast_to(shape, (height, width)))
        return tinted(detail, colour, strength)


class Ground:
    """What is painted on; a flat surface becomes an image only when something needs one.

    Attributes:
        own: the surface has colours of its own.
        luminance: mean luminance.
        contrast: what `Composed.exact` says.
    """

    def __init__(self, height: int, width: int, colour: Colour, image: Image | None, kind: str) -> None:
        self.height, self.width, self.kind = height, width, kind
        self.own = kind in ("clutter", "pictures")
        self.contrast: float | None = None
        self._colour = colour
        self._image = image
        self.luminance = luminance(colour)
        if image is not None and self.own:
            b, g, r, _ = cv2.mean(image)
            self.luminance = luminance((b, g, r))

    def image(self) -> Image:
        """The surface as it is now: height × width × 3, or height × width where all is grey."""
        if self._image is None:
            flat = [np.full((self.height, self.width), min(max(c, 0.0), 255.0) + 0.5, np.uint8) for c in self._colour]
            self._image = flat[0] if is_grey(self._colour) else cv2.merge(flat)
        return self._image

    def lay(self, colour: Colour, alpha: Mask, strength: float) -> None:
        """Lay a colour over it."""
        if self._image is None:
            self.contrast = (luminance(colour) - self.luminance) * strength
            share = strength / 255
            channels = 1 if is_grey(colour) and is_grey(self._colour) else 3
            pairs = list(zip(colour, self._colour, strict=True))[:channels]
            # As linear in `alpha` as a table, and many times as fast as making one.
            laid = [cv2.addWeighted(alpha, (over - under) * share, alpha, 0.0, under) for over, under in pairs]
            self._image = laid[0] if channels == 1 else cv2.merge(laid)
            return
        kept = self._kept(alpha, strength, is_grey(colour))
        share = strength / 255
        if kept.ndim == 2:
            self._image = cv2.add(kept, cv2.convertScaleAbs(alpha, alpha=colour[0] * share))
        else:
            self._image = cv2.add(kept, cv2.merge([cv2.convertScaleAbs(alpha, alpha=c * share) for c in colour]))

    def lay_image(self, over: Image, alpha: Mask, strength: float) -> None:
        """Lay a second image over it."""
        kept = self._kept(alpha, strength, over.ndim == 2)
        weight = cv2.convertScaleAbs(alpha, alpha=strength) if strength < 1 else alpha
        if kept.ndim == 3:
            weight = cv2.cvtColor(weight, cv2.COLOR_GRAY2BGR)
            over = _three(over)
        self._image = cv2.add(kept, cv2.multiply(over, weight, scale=1 / 255))

    def _kept(self, alpha: Mask, strength: float, grey: bool) -> Image:
        """What `alpha` leaves of it; without colours where it has none and what comes over it has none."""
        self.contrast = None
        image = self.image()
        rest = cv2.convertScaleAbs(alpha, alpha=-strength, beta=255)
        if image.ndim == 2 and grey:
            return cv2.multiply(image, rest, scale=1 / 255)
        return cv2.multiply(_three(image), cv2.cvtColor(rest, cv2.COLOR_GRAY2BGR), scale=1 / 255)

    def print(self, colour: Colour, alpha: Mask, strength: float) -> None:
        """Multiply it by a transparent ink that gives `colour` on a surface like this one's mean."""
        mean = max(self.luminance, 1.0)
        image = self.image()
        tint: Any = (*(min(c / mean, 1.0) for c in colour), 0.0)
        grey = is_grey(colour)
        over = cv2.convertScaleAbs(image, alpha=tint[0]) if grey else cv2.multiply(_three(image), tint)
        self.lay_image(over, alpha, strength)

    def emboss(self, alpha: Mask, amount: float) -> None:
        """Light one side of the letters' edges and darken the other."""
        self.contrast = None
        relief = cv2.filter2D(alpha, cv2.CV_16S, _RELIEF)
        light = np.clip(relief * np.float32(amount / 255), 0, 255).astype(np.uint8)
        dark = np.clip(relief * np.float32(-amount / 255), 0, 255).astype(np.uint8)
        image = self.image()
        if image.ndim == 3:
            light, dark = _three(light), _three(dark)
        self._image = cv2.subtract(cv2.add(image, light), dark)


def _three(image: Image) -> Image:
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image


_BLACK: Colour = (0.0, 0.0, 0.0)
_WHITE: Colour = (255.0, 255.0, 255.0)
_CORNERS = np.array((0, 1, 2, 1, 2, 3, 0, 3))
_THIRDS = np.arange(4)
_FAR = 1e6  # pixels; beyond all columns
_KERNEL = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))


def _shares_seen(
    masks: Sequence[Mask],
    places: Sequence[_Placed],
    boxes: NDArray[np.float32],
    corners: NDArray[np.float32],
    frames: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Share of each unit's ink in the frame; that of one third from top to bottom where less of it is.

    Of thirds, too: where marks are, a small part of a unit makes another word.

    Args:
        masks: for each unit the ink that it is on.
        places: for each unit where that lies.
        boxes: units × 4 on the ink.
        corners: units × 4 × 2 in the picture.
        frames: units × 2: width and height of the picture.
    """
    left, top = boxes[:, 0].astype(np.intp), boxes[:, 1].astype(np.intp)
    right, bottom = np.ceil(boxes[:, 2]).astype(np.intp), np.ceil(boxes[:, 3]).astype(np.intp)
    sides = np.stack((left, right, top, bottom), 1).tolist()
    starts = list(accumulate((x1 - x0 for x0, x1, _, _ in sides), initial=0))
    height = max(y1 - y0 for _, _, y0, y1 in sides)
    strip = np.zeros((height, starts[-1]), np.uint8)
    for mask, start, (x0, x1, y0, y1) in zip(masks, starts, sides, strict=False):
        strip[: y1 - y0, start : start + x1 - x0] = mask[y0:y1, x0:x1]
    table = cv2.integral(strip)
    begin, end = np.array(starts[:-1])[:, None], np.array(starts[1:])[:, None]
    thirds = -((bottom - top)[:, None] * -_THIRDS // 3)
    whole = np.diff(table[thirds, end] - table[thirds, begin], axis=1)
    # Row by row, what lies between the frame's sides, which are straight on the ink; for bent lines, pixel by pixel.
    first, last = _sides(boxes, corners, frames, left, top, height)
    bent = [k for k, placed in enumerate(places) if placed.warp.coefficients is None]
    for k in bent:
        x0, x1, y0, y1 = sides[k]
        patch = strip[: y1 - y0, starts[k] : starts[k + 1]]
        cv2.bitwise_and(patch, places[k].seen(x0, x1, y0, y1), patch)
    if bent:
        table = cv2.integral(strip)
        first[bent], last[bent] = 0, strip.shape[1]
    first = np.clip(first + begin, begin, end)
    last = np.clip(last + begin, first, end)
    row = np.arange(height)
    by_row = np.diff(table, axis=0)
    sums = np.zeros((len(boxes), height + 1), np.int64)
    np.cumsum(by_row[row, last] - by_row[row, first], axis=1, out=sums[:, 1:])
    seen = np.diff(np.take_along_axis(sums, thirds, 1), axis=1)
    all_ink = whole.sum(1)
    parts = seen / np.maximum(whole, 1)
    parts[whole < 0.05 * all_ink[:, None]] = 1.0
    return np.asarray(np.minimum(seen.sum(1) / np.maximum(all_ink, 1), parts.min(1)), np.float64)


def _sides(
    boxes: NDArray[np.float32],
    corners: NDArray[np.float32],
    frames: NDArray[np.float32],
    left: NDArray[np.intp],
    top: NDArray[np.intp],
    height: int,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of `height` rows of units' ink, from `top` on, the first column with its centre in the frame, and the end.

    Columns are counted from `left`. Between its corners a unit is taken to be seen in perspective (Heckbert 1989,
    "Fundamentals of texture mapping and image warping", section 2.2.3), as it is unless the line is bent.
    """
    (x0, x1, x2, x3), (y0, y1, y2, y3) = corners.astype(np.float64).transpose(2, 1, 0)
    wide, high = frames.T
    x12, x32, sx = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    y12, y32, sy = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    area = x12 * y32 - x32 * y12
    g, h = (sx * y32 - x32 * sy) / area, (x12 * sy - sx * y12) / area
    a, b, d, e = x1 - x0 + g * x1, x3 - x0 + h * x3, y1 - y0 + g * y1, y3 - y0 + h * y3
    # Each side of the frame is a straight line on the unit: p u + q v + r >= 0 within, u and v from 0 to 1.
    p = np.stack((a, wide * g - a, d, high * g - d))[..., None]
    q = np.stack((b, wide * h - b, e, high * h - e))[..., None]
    r = np.stack((x0, wide - x0, y0, high - y0))[..., None]
    p = np.where(np.abs(p) < 1e-9, 1e-9, p)
    size = boxes[:, 2:] - boxes[:, :2]
    v = ((np.arange(height) + 0.5) + (top - boxes[:, 1])[:, None]) / size[:, 1:]
    crossed = (q * v + r) / -p * size[:, :1] + (boxes[:, 0] - left - 0.5)[:, None]
    crossed = np.clip(crossed, -_FAR, _FAR)
    first = np.ceil(np.where(p > 0, crossed, -_FAR).max(0))
    end = np.floor(np.where(p < 0, crossed, _FAR).min(0)) + 1
    return first.astype(np.intp), end.astype(np.intp)


def _warped(mask: Mask, warp: geometry.Warp, coefficients: geometry.Coefficients, width: int, height: int) -> Mask:
    a, b, _, d, e, _, _, _, i = coefficients
    factor = math.sqrt(abs(a * e - b * d)) / abs(i)
    # A map has no anti-aliasing of its own. Halving and a small blur cost a fraction of shrinking by area.
    while factor < 0.45 and min(mask.shape) > 1:
        rows, columns = mask.shape
        if rows % 2 or columns % 2:
            mask = cv2.copyMakeBorder(mask, 0, rows % 2, 0, columns % 2, cv2.BORDER_CONSTANT, value=0)
        mask = cv2.resize(mask, None, None, 0.5, 0.5, cv2.INTER_AREA)
        warp = geometry.scaling(2.0).then(warp)
        factor *= 2
    if factor < 0.7:
        mask = cv2.GaussianBlur(mask, (3, 3), 0, borderType=cv2.BORDER_CONSTANT)
    return warp.apply(mask, (width, height), 0)


def _press(draft: Draft, stamp: Stamp) -> None:
    """Let the strokes be all that a stamp prints."""
    pad = max(draft.pad, stamp.pad)
    strokes = padded(draft.ink.mask, pad) if draft.strokes is None else padded(draft.strokes, pad - draft.pad)
    draft.strokes = cv2.max(strokes, padded(stamp.mask, pad - stamp.pad))
    if draft.ring is not None:
        draft.ring = padded(draft.ring, pad - draft.pad)
    draft.pad, draft.under = pad, stamp.under


def padded(mask: Mask, pad: int) -> Mask:
    """A mask with `pad` pixels of room on all sides."""
    return cv2.copyMakeBorder(mask, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0) if pad else mask


def grown(mask: Mask, amount: float) -> Mask:
    """Strokes grown on either side by `amount` pixels, fractions included; negative amounts thin them."""
    step = cv2.dilate if amount > 0 else cv2.erode
    left = abs(amount)
    while left > 0:
        further = step(mask, _KERNEL)
        mask = further if left >= 1 else cv2.addWeighted(mask, 1 - left, further, left, 0)
        left -= 1
    return mask


def shifted(mask: Mask, dx: float, dy: float) -> Mask:
    """A mask moved by fractions of pixels, within its bounds."""
    matrix = np.array(((1.0, 0.0, dx), (0.0, 1.0, dy)))
    return cv2.warpAffine(mask, matrix, (mask.shape[1], mask.shape[0]))


def _stamp(canvas: Mask, mask: Mask, x: int, y: int) -> None:
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + mask.shape[1], canvas.shape[1]), min(y + mask.shape[0], canvas.shape[0])
    if x0 < x1 and y0 < y1:
        view = canvas[y0:y1, x0:x1]
        np.maximum(view, mask[y0 - y : y1 - y, x0 - x : x1 - x], out=view)


_RELIEF = np.array(((-1, -1, 0), (-1, 0, 1), (0, 1, 1)), np.float32) * 0.5
