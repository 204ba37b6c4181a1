"""Scenes: groups of texts on signs and on the calm parts of a picture, each group seen from a side of its own."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from augment import geometry
from synth.compose import Refused
from synth.compose.background import Backgrounds, Window, tinted
from synth.compose.colour import Colour, contrasting_luminance, luminance, random_colour, with_luminance
from synth.pages.regions import RegionMaps, Regions
from synth.pages.sheet import Image, Label, Sheet, Shot, moved, surface
from synth.pages.typeset import Line, Type, Typesetter
from synth.recipe import Recipe

_PLACES = 14  # tried for a group
_CELL = 8  # pixels of the map of what is free and calm
_WITHIN = 0.85  # share of a group that lies in its region
_LEAST_PPEM = 5
_AROUND = 0.35  # em kept free around a group


@dataclass(slots=True)
class _Card:
    """A group of lines, flat.

    Attributes:
        ink: `uint8`, height × width, coverage.
        labels: on the card.
        em: pixels of the largest line.
        panel: the card has a ground of its own.
    """

    ink: Image
    labels: list[Label]
    em: int
    panel: bool


class SceneMaker:
    """Makes scenes; built once per process.

    Args:
        recipe: its sections `scene`, `page`, `ink`, `colour` and `geometry` are used.
        typesetter: texts and faces.
        backgrounds: what there is to see.
    """

    def __init__(self, recipe: Recipe, typesetter: Typesetter, backgrounds: Backgrounds) -> None:
        self._recipe = recipe
        self._set = typesetter
        self._backgrounds = backgrounds
        self._maps = RegionMaps()

    def make(self, rng: np.random.Generator) -> Shot:
        """One scene before degradation.

        Raises:
            Refused: its texts cannot be drawn.
        """
        config = self._recipe.scene
        self._set.begin(rng)
        long = config.side[0] + (config.side[1] - config.side[0]) * rng.random()
        short = long * (0.55 + 0.45 * rng.random())
        width, height = (round(long), round(short)) if rng.random() < 0.65 else (round(short), round(long))
        backgrounds = self._backgrounds
        image, kind, window = surface(backgrounds, height, width, random_colour(rng, 0.6 * rng.random() ** 1.5), rng)
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image
        for _ in range(_whole(config.things, rng)):
            self._thing(image, rng)
        scene = _Scene(image, np.zeros((height, width), np.uint8))
        if window is not None:
            scene.follow(self._maps.of(window.key, partial(backgrounds.picture, window)), window)
        types: list[Type] = []
        for _ in range(max(1, _whole(config.blocks, rng))):
            self._group(scene, types, rng)
        return Shot(scene.image, cv2.bitwise_not(scene.ink), scene.labels, kind)

    # -- groups of lines --------------------------------------------------------------------------------------

    def _group(self, scene: _Scene, types: list[Type], rng: np.random.Generator) -> None:
        config, page = self._recipe.scene, self._recipe.page
        height, width = scene.image.shape[:2]
        low, high = config.em
        em = min(height, width) * low * (high / low) ** (rng.random() ** 1.5)
        card = self._card(max(round(em), _LEAST_PPEM), 0.95 * max(width, height), types, rng)
        if card is None:
            return
        rows, columns = card.ink.shape
        region = scene.region(rows * columns, rng)
        single = len({round(label.polygon[0, 1]) for label in card.labels}) == 1
        shape = self._shape(rows, columns, single=single, lean=scene.lean(region), rng=rng)
        rim = shape.forward(_rim(columns, rows))
        (left, top), (right, bottom) = rim.min(0).tolist(), rim.max(0).tolist()
        cut = rng.random() < config.partial
        if not cut and (right - left > width - 4 or bottom - top > height - 4):
            return
        place = scene.place(rim, cut, math.inf if card.panel else _between(config.busy, rng), rng, region)
        if place is None:
            return
        warp = shape.then(geometry.translation(*place))
        rim = rim + np.array(place, np.float32)
        self._paint(scene, card, warp, rim, rng)
        scene.take(rim, _AROUND * card.em)
        scene.labels += moved(card.labels, warp, width, height, page)

    def _card(self, em: int, widest: float, types: list[Type], rng: np.random.Generator) -> _Card | None:
        """A few lines of text on a card of their own, in the last face of `types` or a new one, which is added.

        None where they cannot be drawn.
        """
        config, page, words = self._recipe.scene, self._recipe.page, self._set.words
        # Signs of one place are often in one face.
        if not types or rng.random() < 0.6:
            type_ = self._set.type()
            types.append(self._set.bold(type_) if rng.random() < 0.3 else type_)
        type_ = types[-1]
        lines: list[Line] = []
        first, last = config.lines
        count = max(1, first + int((last - first + 1) * rng.random() ** 2.5))
        spacing = 0.25 * rng.random() if rng.random() < 0.2 else 0.0
        upright = rng.random() < self._recipe.layout.vertical.p
        for number in range(count):
            size = em if number == 0 or rng.random() < 0.5 else max(_LEAST_PPEM, round(em * (0.4 + 0.6 * rng.random())))
            text = words.phrase(max(1, _whole(config.words, rng)), 24)
            line = self._line(text, type_, size, spacing, upright)
            if line is not None and line.width <= widest and line.height <= widest:
                lines.append(line)
        if not lines:
            return None
        gap = (0.15 + 0.5 * rng.random()) * em
        panel = rng.random() < config.panel
        pad = round((0.2 + 0.7 * rng.random()) * em) if panel else 2
        middle = rng.random() < 0.6
        if upright:
            width = sum(line.width for line in lines) + round(gap * (len(lines) - 1))
            height = max(line.height for line in lines)
        else:
            width = max(line.width for line in lines)
            height = sum(line.height for line in lines) + round(gap * (len(lines) - 1))
        sheet = Sheet(width + 2 * pad, height + 2 * pad, page.label, 0.0)
        sheet.margin = page.margin[0] + (page.margin[1] - page.margin[0]) * rng.random()
        x, y = float(pad + (width if upright else 0)), float(pad)
        for line in lines:
            if upright:
                sheet.put(line, x - line.width, y)
                x -= line.width + gap
                continue
            free = width - line.width
            sheet.put(line, pad + (free / 2 if middle else free if self._set.rtl else 0), y)
            y += line.height + gap
        return _Card(cv2.bitwise_not(sheet.tone), sheet.labels, em, panel)

    def _line(self, text: str, type_: Type, em: int, spacing: float, upright: bool) -> Line | None:
        with suppress(Refused):
            return self._set.column(text, type_, em, 2) if upright else self._set.line(text, type_, em, spacing=spacing)
        return None

    def _shape(
        self, height: int, width: int, *, single: bool, lean: tuple[float, float], rng: np.random.Generator
    ) -> geometry.Warp:
        """How a group is seen, about the middle of its card; `lean` is that of the surface that it lies on."""
        config, draw = self._recipe.geometry, rng.random
        middle = (width / 2, height / 2)
        warp = geometry.Warp()
        if config.stretch.p and draw() < config.stretch.p:
            low, high = config.stretch.factor
            factor = low * (high / low) ** draw()
            warp = warp.then(geometry.scaling(factor, 1.0, middle))
        if single and width > 2.5 * height and draw() < config.curve.p:
            low, high = config.curve.bend
            rise = (low + (high - low) * draw()) * height
            radius = max((width * width / 4 + rise * rise) / (2 * rise), width / math.pi * 1.3, 1.2 * height)
            warp = warp.then(geometry.arc(*middle, radius if draw() < 0.6 else -radius))
        if config.shear.p and draw() < config.shear.p:
            low, high = config.shear.slant
            warp = warp.then(geometry.shear(-(low + (high - low) * draw()), 0.0, middle))
        if config.perspective.p and draw() < config.perspective.p:
            warp = warp.then(_seen(width, height, _between(config.perspective.strength, rng), rng))
        angle = 0.0
        if draw() < self._recipe.scene.steep:
            angle = 90 * (2 * draw() - 1)
        elif any(lean):
            level, plumb = lean
            return warp.then(geometry.shear(plumb, level, middle))
        elif config.rotation.p and draw() < config.rotation.p:
            angle = _between(config.rotation.degrees, rng)
        return warp.then(geometry.rotation(math.radians(angle), middle)) if angle else warp

    def _paint(
        self, scene: _Scene, card: _Card, warp: geometry.Warp, rim: NDArray[np.float32], rng: np.random.Generator
    ) -> None:
        """Panel, effects and letters, within the box around the group."""
        ink, colour, draw = self._recipe.ink, self._recipe.colour, rng.random
        height, width = scene.image.shape[:2]
        room = math.ceil(0.2 * card.em) + 2
        x0, y0 = max(math.floor(rim[:, 0].min()) - room, 0), max(math.floor(rim[:, 1].min()) - room, 0)
        x1, y1 = min(math.ceil(rim[:, 0].max()) + room, width), min(math.ceil(rim[:, 1].max()) + room, height)
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        local, size = warp.then(geometry.translation(-x0, -y0)), (x1 - x0, y1 - y0)
        view = scene.image[y0:y1, x0:x1]
        if card.panel:
            ground = random_colour(rng, 0.9 * draw())
            board = local.apply(np.full(card.ink.shape, 255, np.uint8), size, 0)
            face: Any = np.full((*board.shape, 3), [round(part) for part in ground], np.uint8)
            if draw() < 0.4:
                detail = self._backgrounds.detail(board.shape[0], board.shape[1], rng)
                texture = tinted(detail, ground, 0.15 + 0.3 * draw())
                face = cv2.cvtColor(texture, cv2.COLOR_GRAY2BGR) if texture.ndim == 2 else texture
            _lay(view, face, board)
            if draw() < 0.35:
                rows, columns = card.ink.shape
                frame = np.zeros(card.ink.shape, np.uint8)
                thick = max(1, round(card.em * (0.03 + 0.06 * draw())))
                cv2.rectangle(frame, (thick, thick), (columns - 1 - thick, rows - 1 - thick), 255, thick)
                _lay(view, _contrasting(ground, colour.contrast, 0.5, rng), local.apply(frame, size, 0))
        letters = local.apply(card.ink, size, 0)
        under = cv2.mean(view, letters)[:3] if letters.any() else (128.0, 128.0, 128.0)
        low, high = colour.contrast
        target = contrasting_luminance(luminance((under[0], under[1], under[2])), low, high, colour.darker, rng)
        saturation = _between(colour.saturation, rng) if draw() < colour.ink_coloured else 0.0
        shade = with_luminance(random_colour(rng, saturation), target) if saturation else (target, target, target)
        if ink.shadow.p and draw() < ink.shadow.p:
            away, angle = _between(ink.shadow.offset, rng) * card.em, 2 * math.pi * draw()
            matrix = np.array(((1.0, 0.0, away * math.cos(angle)), (0.0, 1.0, away * math.sin(angle))))
            cast = cv2.warpAffine(letters, matrix, size)
            sigma = _between(ink.shadow.blur, rng) * card.em
            if sigma > 0.3:
                cast = cv2.blur(cast, (2 * round(sigma) + 1,) * 2)
            cast = cv2.convertScaleAbs(cast, alpha=_between(ink.shadow.strength, rng))
            _lay(view, (0.0, 0.0, 0.0) if target > 110 or draw() < 0.6 else (255.0, 255.0, 255.0), cast)
        if ink.outline.p and draw() < ink.outline.p:
            reach = max(1, round(_between(ink.outline.width, rng) * card.em))
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
            _lay(view, _contrasting(shade, (60.0, 220.0), 0.5, rng), cv2.dilate(letters, kernel))
        opacity = _between(ink.opacity, rng)
        if ink.textured.p and draw() < ink.textured.p:
            detail = self._backgrounds.detail(letters.shape[0], letters.shape[1], rng)
            fill = tinted(detail, shade, _between(ink.textured.strength, rng))
            fill = cv2.cvtColor(fill, cv2.COLOR_GRAY2BGR) if fill.ndim == 2 else fill
            _lay(view, fill, cv2.convertScaleAbs(letters, alpha=opacity))
        else:
            _lay(view, shade, cv2.convertScaleAbs(letters, alpha=opacity))
        np.maximum(scene.ink[y0:y1, x0:x1], letters, out=scene.ink[y0:y1, x0:x1])

    # -- what is no text --------------------------------------------------------------------------------------

    def _thing(self, image: Image, rng: np.random.Generator) -> None:
        """One shape without text: a board, a row of windows, stripes, a pole, blobs, a sign without words."""
        height, width = image.shape[:2]
        draw = rng.random
        kind = draw()
        wide, high = width * (0.05 + 0.5 * draw()), height * (0.05 + 0.5 * draw())
        x, y = (width + wide) * draw() - wide, (height + high) * draw() - high
        colour = random_colour(rng, 0.8 * draw() ** 1.5)
        if kind < 0.4:
            # Boards and walls, with a surface of their own.
            corners = np.array(((0, 0), (wide, 0), (wide, high), (0, high)))
            corners = corners + (2 * rng.random((4, 2)) - 1) * (0.15 * min(wide, high)) + (x, y)
            x0, y0 = np.clip(np.floor(corners.min(0)), 0, (width, height)).astype(int)
            x1, y1 = np.clip(np.ceil(corners.max(0)), 0, (width, height)).astype(int)
            if x1 - x0 < 4 or y1 - y0 < 4:
                return
            board = np.zeros((y1 - y0, x1 - x0), np.uint8)
            cv2.fillConvexPoly(board, ((corners - (x0, y0)) * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
            face = tinted(
                self._backgrounds.detail(board.shape[0], board.shape[1], rng), colour, 0.05 + 0.4 * draw() ** 2
            )
            _lay(image[y0:y1, x0:x1], cv2.cvtColor(face, cv2.COLOR_GRAY2BGR) if face.ndim == 2 else face, board)
        elif kind < 0.6:
            # A row of windows, bricks, shelves.
            rows, columns = 1 + int(5 * draw()), 2 + int(9 * draw())
            cell = (wide / columns, high / rows)
            part = 0.5 + 0.4 * draw()
            for row in range(rows):
                for column in range(columns):
                    a = (round(x + column * cell[0]), round(y + row * cell[1]))
                    b = (round(x + (column + part) * cell[0]), round(y + (row + part) * cell[1]))
                    jitter = [min(max(c + 30 * (draw() - 0.5), 0), 255) for c in colour]
                    cv2.rectangle(image, a, b, jitter, -1)
        elif kind < 0.75:
            # Stripes: blinds, railings, cables.
            count, angle = 3 + int(14 * draw()), math.pi * draw()
            pitch, thick = 3 + 18 * draw(), 1 + int(4 * draw())
            along = np.array((math.cos(angle), math.sin(angle))) * max(wide, high)
            across = np.array((-math.sin(angle), math.cos(angle))) * pitch
            for k in range(count):
                start = np.array((x, y)) + across * k
                ends = ((start * 8).astype(int).tolist(), ((start + along) * 8).astype(int).tolist())
                cv2.line(image, ends[0], ends[1], colour, thick, cv2.LINE_AA, 3)
        elif kind < 0.9:
            # Blobs, arrows, icons.
            for _ in range(1 + int(4 * draw())):
                centre = (round(x + wide * draw()), round(y + high * draw()))
                size = 3 + 0.12 * min(width, height) * draw() ** 2
                points = rng.normal(0, size, (3 + int(4 * draw()), 2)) + centre
                if draw() < 0.5:
                    cv2.circle(image, centre, round(size), colour, -1 if draw() < 0.6 else 2, cv2.LINE_AA)
                else:
                    cv2.fillPoly(image, [(points * 8).astype(np.int32)], colour, cv2.LINE_AA, 3)
        else:
            cv2.rectangle(image, (round(x), round(y)), (round(x + wide), round(y + high)), colour, 1 + int(3 * draw()))


class _Scene:
    """A picture being painted.

    Attributes:
        image: `uint8`, height × width × 3.
        ink: `uint8`, height × width: coverage of all letters.
        labels: in the picture.
    """

    def __init__(self, image: Image, ink: Image) -> None:
        self.image, self.ink = image, ink
        self.labels: list[Label] = []
        height, width = ink.shape
        # Of cells of the picture: which are taken, and sums of grey and of its square.
        size = (max(width // _CELL, 1), max(height // _CELL, 1))
        # What is finer than a quarter of a cell does not disturb a reader.
        quarters = cv2.resize(image, (4 * size[0], 4 * size[1]), interpolation=cv2.INTER_LINEAR)
        grey = cv2.cvtColor(quarters, cv2.COLOR_BGR2GRAY).astype(np.float32)
        self._taken = np.zeros(size[::-1], np.uint8)
        self._regions: Regions | None = None
        self._room: NDArray[np.float32] = np.zeros(0, np.float32)
        self._mean = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        self._square = cv2.resize(grey * grey, size, interpolation=cv2.INTER_AREA)

    def follow(self, regions: Regions, window: Window) -> None:
        """Place texts on the regions of the picture that a window of is seen; before anything is placed."""
        self._regions = regions.seen(window, *self._taken.shape)
        # How far the next cell that is in no region, or next to another one, lies from each.
        cells = np.pad(self._regions.cells, 1)
        middle = cells[1:-1, 1:-1]
        within = (middle > 0) & (middle == cells[1:-1, :-2]) & (middle == cells[:-2, 1:-1])
        room = cv2.distanceTransform(np.pad(within.astype(np.uint8), 1), cv2.DIST_L2, 3)
        self._room = np.asarray(room[1:-1, 1:-1], np.float32)

    def region(self, pixels: int, rng: np.random.Generator) -> int:
        """A region with that much free room, larger ones more frequently; 0 if there is none."""
        if self._regions is None:
            return 0
        sizes = np.bincount(self._regions.cells[self._taken == 0], minlength=len(self._regions.level))
        sizes[0] = 0
        sizes[sizes * _CELL * _CELL < 1.2 * pixels] = 0
        sums = np.cumsum(sizes)
        return int(np.searchsorted(sums, rng.random() * sums[-1], "right")) if sums[-1] else 0

    def lean(self, region: int) -> tuple[float, float]:
        """The slopes of what is horizontal and of what is vertical in a region."""
        return (0.0, 0.0) if self._regions is None else (self._regions.level[region], self._regions.plumb[region])

    def place(
        self, rim: NDArray[np.float32], cut: bool, busy: float, rng: np.random.Generator, region: int = 0
    ) -> tuple[float, float] | None:
        """Where to move an outline so that it lies on what is free and calm; None if no such place was met.

        Args:
            rim: points × 2.
            cut: parts of it may lie outside.
            busy: greatest standard deviation of grey within it.
            rng: draws places; of those that are free the calmest is taken, of those in the region if there are any.
            region: to lie in, see `follow`; 0 for anywhere.
        """
        low = rim.min(0)
        shape = _cells(rim - low)
        high, wide = shape.shape
        rows, columns = self._taken.shape
        beyond_x, beyond_y = (int(0.6 * wide), int(0.6 * high)) if cut else (0, 0)
        if wide > columns + beyond_x or high > rows + beyond_y:
            return None
        draws = rng.random((_PLACES, 2))
        places = np.stack(
            (
                (draws[:, 0] * (columns - wide + 2 * beyond_x + 1)).astype(int) - beyond_x,
                (draws[:, 1] * (rows - high + 2 * beyond_y + 1)).astype(int) - beyond_y,
            ),
            1,
        ).tolist()
        found = None
        if region and not cut and self._regions is not None:
            inside = self._regions.cells == region
            # Middles that keep half of the lower side away from the region's edge.
            middles = np.flatnonzero(inside & (self._room >= 0.4 * min(high, wide)) & (self._taken == 0))
            if middles.size:
                y, x = np.divmod(middles[(draws[:, 0] * middles.size).astype(int)], columns)
                left, top = np.clip(x - wide // 2, 0, columns - wide), np.clip(y - high // 2, 0, rows - high)
                found = self._calmest(shape, np.stack((left, top), 1).tolist(), busy, inside)
        if found is None:
            found = self._calmest(shape, places, busy, None)
        return None if found is None else (found[0] * _CELL - float(low[0]), found[1] * _CELL - float(low[1]))

    def _calmest(
        self, shape: NDArray[np.uint8], places: list[list[int]], busy: float, region: NDArray[np.bool_] | None
    ) -> tuple[int, int] | None:
        """Of some places (column and row of the first cell) the calmest that is free, and mostly in the region."""
        high, wide = shape.shape
        best: tuple[float, tuple[int, int]] | None = None
        for left, top in places:
            window = (slice(max(top, 0), max(top + high, 0)), slice(max(left, 0), max(left + wide, 0)))
            taken = self._taken[window]
            inside = shape[max(-top, 0) :, max(-left, 0) :][: taken.shape[0], : taken.shape[1]]
            if not inside.any() or (taken & inside).any():
                continue
            weight = inside.astype(np.float32)
            count = float(weight.sum())
            if region is not None and float(weight[region[window]].sum()) < _WITHIN * count:
                continue
            mean = float((self._mean[window] * weight).sum()) / count
            spread = math.sqrt(max(float((self._square[window] * weight).sum()) / count - mean * mean, 0.0))
            if spread <= busy and (best is None or spread < best[0]):
                best = spread, (left, top)
                if math.isinf(busy):
                    break
        return None if best is None else best[1]

    def take(self, rim: NDArray[np.float32], around: float) -> None:
        """Mark an outline, grown by `around` pixels, as taken."""
        middle = rim.mean(0)
        away = rim - middle
        grown = rim + away * (around / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1.0))
        low = np.floor(grown.min(0) / _CELL) * _CELL
        shape = _cells((grown - low).astype(np.float32))
        left, top = (low / _CELL).astype(int).tolist()
        taken = self._taken[max(top, 0) : max(top + shape.shape[0], 0), max(left, 0) : max(left + shape.shape[1], 0)]
        taken |= shape[max(-top, 0) :, max(-left, 0) :][: taken.shape[0], : taken.shape[1]]


def _cells(rim: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The cells that an outline touches, be it by its edge alone: 1 in a mask from the origin on."""
    points = rim / _CELL
    columns, rows = (np.ceil(points.max(0) + 1e-3).astype(int)).tolist()
    inside = np.zeros((max(rows, 1), max(columns, 1)), np.uint8)
    corners = np.round((points - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(inside, [corners], 1, cv2.LINE_8, 4)
    cv2.polylines(inside, [corners], True, 1, 1, cv2.LINE_8, 4)
    return inside


def _rim(width: int, height: int) -> NDArray[np.float32]:
    """Points around a card, close enough to follow it where it is bent."""
    t = np.linspace(0, 1, 9, dtype=np.float32)[:-1]
    zero, one = np.zeros_like(t), np.ones_like(t)
    unit = np.concatenate(
        (np.stack((t, zero), 1), np.stack((one, t), 1), np.stack((1 - t, one), 1), np.stack((zero, 1 - t), 1))
    )
    return np.asarray(unit * np.array((width, height), np.float32), np.float32)


def _seen(width: int, height: int, strength: float, rng: np.random.Generator) -> geometry.Warp:
    """A card turned away from the viewer: one end is further off, so it is smaller there, and all of it is narrower."""
    corners = np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float64)
    moved_to = corners.copy()
    shrink = 2.2 * strength * height / 2
    if rng.random() < 0.8:
        far = (0, 3) if rng.random() < 0.5 else (1, 2)
        moved_to[far[0], 1] += shrink
        moved_to[far[1], 1] -= shrink
        moved_to[:, 0] = width / 2 + (moved_to[:, 0] - width / 2) * (1 - strength * (0.5 + rng.random()))
    else:
        far = (0, 1) if rng.random() < 0.7 else (3, 2)
        inward = min(2 * strength * height, 0.25 * width)
        moved_to[far[0], 0] += inward
        moved_to[far[1], 0] -= inward
    # The camera is seldom level.
    slope = 0.4 * strength * (2 * rng.random() - 1)
    moved_to[:, 1] += slope * (moved_to[:, 0] - width / 2)
    return geometry.quad(corners, moved_to)


def _lay(view: Image, over: Image | Colour, alpha: Image) -> None:
    """Lay a colour or a picture over a view of one, by its coverage."""
    weight = cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR)
    kept = cv2.multiply(view, cv2.bitwise_not(weight), scale=1 / 255)
    if isinstance(over, tuple):
        laid = cv2.merge([cv2.convertScaleAbs(alpha, alpha=part / 255) for part in over])
    else:
        laid = cv2.multiply(over, weight, scale=1 / 255)
    view[:] = cv2.add(kept, laid)


def _contrasting(colour: Colour, contrast: tuple[float, float], darker: float, rng: np.random.Generator) -> Colour:
    """A colour of another luminance."""
    target = contrasting_luminance(luminance(colour), *contrast, darker, rng)
    return with_luminance(random_colour(rng, 0.5 * rng.random()), target)


def _between(pair: tuple[float, float], rng: np.random.Generator) -> float:
    return pair[0] + (pair[1] - pair[0]) * float(rng.random())


def _whole(pair: tuple[int, int], rng: np.random.Generator) -> int:
    return pair[0] + int(rng.random() * (pair[1] - pair[0] + 1))
