"""A sheet that texts are put on, and how it comes before the camera: one warp, paper, light; polygons go with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augment import geometry
from synth.compose.background import Backgrounds, Window
from synth.compose.colour import Colour, random_colour, with_luminance
from synth.pages.labels import IGNORED
from synth.pages.settings import Page
from synth.pages.typeset import Line
from synth.recipe import ColourSection

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""
Image: TypeAlias = NDArray[Any]
"""`uint8`, height × width or height × width × 3."""

_TILE = (384, 768)  # pixels of a texture before it is repeated
_STRETCHED = frozenset({"gradient", "clutter", "pictures"})
_PARTS = 8  # of a long text whose contrast is measured
_INKED = 0.15  # of the ink of the part that has most: a part with less is not measured
_MARGIN = 2.0  # pixels; no polygon stands further off its ink
# Pixels by which the middle of an edge may be off the line between its ends, for polygons of 4 and 8 points: with 8, an
# edge is of three parts, each of which is off by a ninth.
_BENT = (0.4, 6.0)


@dataclass(slots=True)
class Label:
    """A text on a sheet or in a picture.

    Attributes:
        text: what it says, `###` where it is to be ignored.
        polygon: `float32`, points × 2, clockwise from the text's own top-left.
        units: `float32`, units × 4 × 2, likewise.
    """

    text: str
    polygon: NDArray[np.float32]
    units: NDArray[np.float32]


@dataclass(slots=True)
class Sheet:
    """Paper, white at first, and what is printed on it.

    Attributes:
        width: pixels.
        height: pixels.
        label: what gets a polygon: a line as it was put, or each word of it.
        margin: between ink and polygon, em.
        tone: `uint8`, height × width: 255 is bare paper, 0 full ink.
        colours: layers of ink of other colours: how much of blue, green and red it takes away, and its coverage.
        labels: of the texts, on the sheet.
        taken: boxes of all that was put down.
    """

    width: int
    height: int
    label: Literal["line", "word"] = "line"
    margin: float = 0.04
    tone: Image = field(init=False)
    colours: list[tuple[Colour, Image]] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    taken: list[Box] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tone = np.full((self.height, self.width), 255, np.uint8)

    # -- what is drawn ----------------------------------------------------------------------------------------

    def put(
        self,
        line: Line,
        x: float,
        y: float,
        *,
        grey: int = 0,
        layer: Image | None = None,
        quarters: int = 0,
        labelled: bool = True,
    ) -> Box:
        """Put a line of ink with its top left corner at (x, y), rounded to whole pixels.

        Args:
            line: the ink.
            x: left of the ink as it comes to lie.
            y: top of it.
            grey: of the ink, 0 to 255; on a dark panel it may be bright.
            layer: of coloured ink, in place of the grey one.
            quarters: turned clockwise so many times.
            labelled: False for rows of signs that nobody reads.

        Returns:
            Where it lies.
        """
        mask = line.turned(quarters) if quarters else line.mask
        left, top = round(x), round(y)
        self.blend(mask, left, top, grey, layer)
        box = (float(left), float(top), float(left + mask.shape[1]), float(top + mask.shape[0]))
        self.taken.append(box)
        if labelled:
            turn = geometry.rotation(quarters * math.pi / 2)
            corner = _moved_corner(line, quarters)
            self._note(line, turn.then(geometry.translation(left + corner[0], top + corner[1])))
        return box

    def put_turned(self, line: Line, x: float, y: float, angle: float, *, grey: int, layer: Image | None = None) -> Box:
        """Put a line with its middle at (x, y), turned by `angle` radians clockwise."""
        cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
        width = math.ceil(line.width * cos + line.height * sin) + 2
        height = math.ceil(line.width * sin + line.height * cos) + 2
        left, top = round(x - width / 2), round(y - height / 2)
        middle = (line.width / 2, line.height / 2)
        warp = geometry.rotation(angle, middle).then(
            geometry.translation(width / 2 - middle[0], height / 2 - middle[1])
        )
        self.blend(warp.apply(line.mask, (width, height), 0), left, top, grey, layer)
        box = (float(left), float(top), float(left + width), float(top + height))
        self.taken.append(box)
        self._note(line, warp.then(geometry.translation(left, top)))
        return box

    def blend(self, mask: Image, left: int, top: int, grey: int, layer: Image | None = None) -> None:
        """Lay ink by its coverage; what would lie beyond the sheet is cut off."""
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + mask.shape[1], self.width), min(top + mask.shape[0], self.height)
        if x0 >= x1 or y0 >= y1:
            return
        mask = mask[y0 - top : y1 - top, x0 - left : x1 - left]
        if layer is not None:
            view = layer[y0:y1, x0:x1]
            cv2.add(view, np.ascontiguousarray(mask), view)
            return
        view = self.tone[y0:y1, x0:x1]
        over = cv2.multiply(view, cv2.bitwise_not(mask), scale=1 / 255)
        if grey:
            over = cv2.add(over, cv2.convertScaleAbs(mask, alpha=grey / 255))
        view[:] = over

    def fill(self, box: Box, grey: int) -> None:
        """A panel of one grey."""
        x0, y0, x1, y1 = (round(edge) for edge in box)
        self.tone[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = grey

    def rule(self, x0: float, y0: float, x1: float, y1: float, thick: float = 1.0, grey: int = 0) -> None:
        """A straight line, level or upright, `thick` pixels wide; parts of a pixel by paler ink."""
        width = max(1, round(thick))
        value = round(255 - (255 - grey) * min(thick, 1.0))
        if abs(x1 - x0) >= abs(y1 - y0):
            self.fill((x0, y0, x1, round(y0) + width), value)
        else:
            self.fill((x0, y0, round(x0) + width, y1), value)

    def frame(self, box: Box, thick: float = 1.0, grey: int = 0) -> None:
        """The outline of a box."""
        x0, y0, x1, y1 = box
        self.rule(x0, y0, x1, y0, thick, grey)
        self.rule(x0, y1, x1 + thick, y1, thick, grey)
        self.rule(x0, y0, x0, y1, thick, grey)
        self.rule(x1, y0, x1, y1, thick, grey)

    def layer(self, taken: Colour) -> Image:
        """A new layer of coloured ink, empty; `taken` is the share of blue, green and red light that it takes away."""
        layer = np.zeros((self.height, self.width), np.uint8)
        self.colours.append((taken, layer))
        return layer

    def is_free(self, box: Box, gap: float = 4.0) -> bool:
        """Whether nothing lies in a box or within `gap` pixels of it."""
        if not self.taken:
            return True
        x0, y0, x1, y1 = np.array(self.taken).T
        met = (x0 < box[2] + gap) & (x1 > box[0] - gap) & (y0 < box[3] + gap) & (y1 > box[1] - gap)
        return not met.any()

    # -- labels -----------------------------------------------------------------------------------------------

    def _note(self, line: Line, warp: geometry.Warp) -> None:
        """Label a line, or its words, by the boxes of its ink; `warp` leads from the mask to the sheet."""
        margin = min(self.margin * line.ppem, _MARGIN)
        spans = [(0, len(line.units))] if self.label == "line" else _words(line)
        boxes = [_inked(line, first, last) for first, last in spans]
        grown = np.array(boxes, np.float32).reshape(-1, 4) + np.array((-margin, -margin, margin, margin), np.float32)
        outer = warp.forward(_corners(grown))
        inner = warp.forward(_corners(line.boxes))
        for (first, last), polygon in zip(spans, outer, strict=True):
            self.labels.append(Label("".join(line.units[first:last]), polygon, inner[first:last]))


def _moved_corner(line: Line, quarters: int) -> tuple[float, float]:
    """What a mask turned about its top-left corner must be moved by to lie at the origin again."""
    return ((0.0, 0.0), (line.height, 0.0), (line.width, line.height), (0.0, line.width))[quarters % 4]


def _words(line: Line) -> list[tuple[int, int]]:
    """Spans of units between spaces."""
    spans: list[tuple[int, int]] = []
    first = 0
    for number, unit in enumerate([*line.units, " "]):
        if unit.isspace():
            if number > first:
                spans.append((first, number))
            first = number + 1
    return spans


def _inked(line: Line, first: int, last: int) -> Box:
    """The box around the ink of some units."""
    if (first, last) == (0, len(line.units)):
        return 0.0, 0.0, float(line.width), float(line.height)
    boxes = line.boxes[first:last]
    if (seen := ~line.blank[first:last]).any():
        boxes = boxes[seen]
    left, top = boxes[:, :2].min(0).tolist()
    right, bottom = boxes[:, 2:].max(0).tolist()
    return left, top, right, bottom


def _corners(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """n × 4 to n × 4 × 2."""
    return boxes[:, (0, 1, 2, 1, 2, 3, 0, 3)].reshape(-1, 4, 2)


# -- before the camera ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Shot:
    """A picture of a sheet.

    Attributes:
        image: `uint8`, height × width × 3, or height × width where all is grey.
        ink: `uint8`, height × width: ink of all colours as it lies in the picture; 255 where there is none.
        labels: in the picture.
        ground: kind of the paper.
    """

    image: Image
    ink: Image
    labels: list[Label]
    ground: str


def shoot(
    sheet: Sheet,
    page: Page,
    colour: ColourSection,
    papers: Backgrounds,
    desks: Backgrounds,
    rng: np.random.Generator,
) -> Shot:
    """Photograph or scan a sheet: warp, paper, ink; degradations come later.

    Args:
        sheet: what is printed.
        page: how it lies.
        colour: of paper and ink.
        papers: surfaces of the sheet.
        desks: what it lies on where its edges are seen.
        rng: draws all else.
    """
    edge = rng.random() < page.edge
    warp, width, height = _lie(sheet, page, edge, rng)
    tone = sheet.tone
    if rng.random() < page.through:
        tone = _through(tone, rng)
    straight = warp.coefficients == geometry.Warp().coefficients and (width, height) == (sheet.width, sheet.height)
    outside = 255
    if not edge and not straight:
        # What a scanner shows beside a page laid askew.
        outside = (255, 255, 0, int(255 * rng.random()))[int(4 * rng.random())]
    ink = tone if straight else warp.apply(tone, (width, height), outside)
    low, high = colour.luminance
    level = high - (high - low) * rng.random() ** 2
    paper: Colour = (level, level, level)
    if rng.random() < colour.coloured:
        s0, s1 = colour.saturation
        paper = with_luminance(random_colour(rng, s0 + (s1 - s0) * rng.random()), level)
    image, kind, _ = surface(papers, height, width, paper, rng)
    image = _printed(image, ink, _absorbed(level, colour, rng))
    for taken, layer in sheet.colours:
        bare = cv2.bitwise_not(layer)
        bare = bare if straight else warp.apply(bare, (width, height), 255)
        image = _printed(image, bare, taken)
        ink = cv2.min(ink, bare)
    if edge:
        image = _on_desk(image, sheet, warp, desks, rng)
    return Shot(image, ink, moved(sheet.labels, warp, width, height, page), kind)


def surface(
    backgrounds: Backgrounds, height: int, width: int, colour: Colour, rng: np.random.Generator
) -> tuple[Image, str, Window | None]:
    """A surface of any size, its kind and its place: height × width × 3, or height × width where all is grey.

    The place is that of a picture's part which fills all; none where the surface is the same all over. Fine
    textures go on in mirrored repetitions, as larger they would be coarse; others are stretched.
    """
    size = (min(height, _TILE[0]), min(width, _TILE[1]))
    image, kind, window = backgrounds.view(*size, colour, rng)
    if image is None:
        shape = (height, width) if colour[0] == colour[1] == colour[2] else (height, width, 3)
        return np.full(shape, [round(part) for part in colour[: 1 if len(shape) == 2 else 3]], np.uint8), kind, None
    if kind in _STRETCHED:
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), kind, window
    return cv2.copyMakeBorder(image, 0, height - size[0], 0, width - size[1], cv2.BORDER_REFLECT), kind, None


def _lie(sheet: Sheet, page: Page, edge: bool, rng: np.random.Generator) -> tuple[geometry.Warp, int, int]:
    """How a sheet lies in the picture, and the picture's size."""
    width, height = sheet.width, sheet.height
    warp = geometry.Warp()
    middle = (width / 2, height / 2)
    if rng.random() < page.curl.p:
        rise = page.curl.rise * (2 * rng.random() - 1)
        if rng.random() < 0.5:
            # A book lies flat at its outer edge and rises towards its spine.
            warp = warp.then(geometry.bow(width * (0.0 if rng.random() < 0.5 else 1.0), width, rise * width))
        else:
            length = width * (1.2 + rng.random())
            warp = warp.then(geometry.wave(rise * width / 2, length, 2 * math.pi * rng.random()))
    if rng.random() < page.perspective.p:
        shift = page.perspective.shift * rng.random() * min(width, height)
        corners = np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float64)
        warp = warp.then(geometry.quad(corners, corners + (2 * rng.random((4, 2)) - 1) * shift))
    if rng.random() < page.rotation.p:
        # Small angles are the rule.
        angle = page.rotation.degrees * rng.random() ** 2 * (1 if rng.random() < 0.5 else -1)
        warp = warp.then(geometry.rotation(math.radians(angle), middle))
    if edge:
        room_x, room_y = (0.02 + 0.12 * rng.random(2)) * width
        width, height = round(width + 2 * room_x), round(height + 2 * room_y)
        warp = warp.then(geometry.translation(room_x, room_y))
    return warp, width, height


def _through(tone: Image, rng: np.random.Generator) -> Image:
    """The tone with the back of the sheet shining through."""
    back = cv2.flip(tone, 1)
    if rng.random() < 0.5:
        back = cv2.flip(back, 0)
    back = cv2.GaussianBlur(back, (0, 0), 0.8 + 1.5 * rng.random())
    strength = 0.05 + 0.22 * rng.random()
    return cv2.multiply(tone, cv2.convertScaleAbs(back, alpha=strength, beta=255 * (1 - strength)), scale=1 / 255)


def _absorbed(level: float, colour: ColourSection, rng: np.random.Generator) -> Colour:
    """How much of blue, green and red light a page's ink takes away from paper of some luminance."""
    low, high = colour.contrast
    # Most print is strong.
    contrast = low + (high - low) * (1 - rng.random() ** 2)
    share = min(contrast / max(level, 1.0), 1.0)
    if rng.random() >= colour.ink_coloured:
        return share, share, share
    s0, s1 = colour.saturation
    ink = with_luminance(random_colour(rng, s0 + (s1 - s0) * rng.random()), 255 * (1 - share))
    return 1 - ink[0] / 255, 1 - ink[1] / 255, 1 - ink[2] / 255


def _printed(image: Image, tone: Image, taken: Colour) -> Image:
    """Paper through ink: where the tone is 0, so much of each channel is taken away."""
    if image.ndim == 2 and taken[0] == taken[1] == taken[2]:
        return cv2.multiply(image, cv2.convertScaleAbs(tone, alpha=taken[0], beta=255 * (1 - taken[0])), scale=1 / 255)
    channels = [image] * 3 if image.ndim == 2 else cv2.split(image)
    return cv2.merge(
        [
            cv2.multiply(channel, cv2.convertScaleAbs(tone, alpha=part, beta=255 * (1 - part)), scale=1 / 255)
            for channel, part in zip(channels, taken, strict=True)
        ]
    )


def _on_desk(image: Image, sheet: Sheet, warp: geometry.Warp, desks: Backgrounds, rng: np.random.Generator) -> Image:
    """The sheet upon something else, with a shadow around it."""
    height, width = image.shape[:2]
    paper = warp.apply(np.full((sheet.height, sheet.width), 255, np.uint8), (width, height), 0)
    tone = 20 + 200 * rng.random()
    colour = with_luminance(random_colour(rng, 0.5 * rng.random()), tone)
    desk, *_ = surface(desks, height, width, colour, rng)
    desk = cv2.cvtColor(desk, cv2.COLOR_GRAY2BGR) if desk.ndim == 2 else desk
    if rng.random() < 0.7:
        around = cv2.blur(paper, (2 * (width // 60) + 1,) * 2)
        desk = cv2.multiply(desk, cv2.merge([cv2.convertScaleAbs(around, alpha=-0.5, beta=255)] * 3), scale=1 / 255)
    over = cv2.merge([paper] * 3)
    three = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image
    return cv2.add(cv2.multiply(three, over, scale=1 / 255), cv2.multiply(desk, cv2.bitwise_not(over), scale=1 / 255))


def moved(labels: Sequence[Label], warp: geometry.Warp, width: int, height: int, page: Page) -> list[Label]:
    """Labels in a picture of `width` × `height`: those outside are gone, those cut off or too low are to be ignored."""
    if not labels:
        return []
    quads = np.stack([label.polygon for label in labels])
    bent = warp.coefficients is None
    units = np.concatenate([label.units for label in labels])
    ends = np.cumsum([len(label.units) for label in labels])[:-1]
    unit_parts = np.split(warp.forward(units), ends)
    found: list[Label] = []
    corners = warp.forward(quads)
    for label, quad, ahead, parts in zip(labels, quads, corners, unit_parts, strict=True):
        polygon = _followed(quad, ahead, warp) if bent else ahead
        left, top = polygon.min(0).tolist()
        right, bottom = polygon.max(0).tolist()
        if right <= 0 or bottom <= 0 or left >= width or top >= height:
            continue
        text = label.text
        whole = min(left, top) >= -_MARGIN and right <= width + _MARGIN and bottom <= height + _MARGIN
        if not whole or _lowest(ahead) < page.legible[0]:
            text = IGNORED
        found.append(Label(text, polygon, parts))
    return found


def _lowest(quad: NDArray[np.float32]) -> float:
    """A quad's shorter side, pixels."""
    sides = np.linalg.norm(np.roll(quad, -1, 0) - quad, axis=1)
    return float(min(sides[0] + sides[2], sides[1] + sides[3]) / 2)


def _followed(quad: NDArray[np.float32], ahead: NDArray[np.float32], warp: geometry.Warp) -> NDArray[np.float32]:
    """A quad that is bent by a warp, with 4, 8 or 14 points; `ahead` is where its corners come to lie."""
    a, b, c, d = quad
    lying = np.linalg.norm(b - a) >= np.linalg.norm(d - a)
    ends = ((a, b), (c, d)) if lying else ((b, c), (d, a))
    straight = (ahead[0] + ahead[1], ahead[2] + ahead[3]) if lying else (ahead[1] + ahead[2], ahead[3] + ahead[0])
    middles = warp.forward(np.stack([(start + end) / 2 for start, end in ends]))
    off = float(np.abs(middles - np.stack(straight) / 2).max())
    if off <= _BENT[0]:
        return ahead
    t = np.linspace(0, 1, 4 if off <= _BENT[1] else 7, dtype=np.float32)[:, None]
    sides = [start + (end - start) * t for start, end in ends]
    points = np.concatenate(sides)
    # From the text's own top-left on all the same: that of a column begins the second side's end.
    return warp.forward(points if lying else np.roll(points, 1, axis=0))


def contrasts(image: Image, ink: Image, labels: Sequence[Label]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is left of each text in a picture: grey levels between full ink and bare paper, and the ink's signal over
    all else, both by least squares (like the contrast and the ratio of `synth.compose.legibility`).

    Of long texts the part with the least of either counts: each is measured in up to 8 parts along its length, of
    which those with hardly any ink are left out.

    Args:
        image: the finished picture, grey.
        ink: `Shot.ink`.
        labels: in the picture; the boxes around their polygons are looked at, at half the resolution.
    """
    if not labels:
        return np.zeros(0), np.zeros(0)
    half = (max(image.shape[1] // 2, 1), max(image.shape[0] // 2, 1))
    seen = cv2.resize(image, half, interpolation=cv2.INTER_AREA).astype(np.float32)
    drawn = cv2.resize(ink, half, interpolation=cv2.INTER_AREA).astype(np.float32)
    tables = np.stack(
        [cv2.integral(part, sdepth=cv2.CV_64F) for part in (drawn, seen, drawn * drawn, drawn * seen, seen * seen)]
    )
    low = np.array([label.polygon.min(0) for label in labels]) / 2
    size = np.array([label.polygon.max(0) for label in labels]) / 2 - low
    longer = size.max(1) / np.maximum(size.min(1), 1.0)
    counts = np.clip(longer / 2, 1, _PARTS).astype(int)
    owner = np.repeat(np.arange(len(labels)), counts)
    firsts = np.cumsum(counts) - counts
    number = np.arange(len(owner)) - firsts[owner]
    step = size[owner] / np.where(size[owner] >= size[owner].max(1, keepdims=True), counts[owner][:, None], 1)
    along = size[owner] >= size[owner].max(1, keepdims=True)
    start = low[owner] + np.where(along, step * number[:, None], 0)
    corner = np.clip(start.astype(int), 0, np.array(half) - 1)
    end = np.clip(np.ceil(start + step).astype(int), corner + 1, np.array(half))
    (x0, y0), (x1, y1) = corner.T, end.T
    area = (x1 - x0) * (y1 - y0)
    d, s, dd, ds, ss = tables[:, y1, x1] - tables[:, y0, x1] - tables[:, y1, x0] + tables[:, y0, x0]
    spread = dd - d * d / area
    common = np.abs(ds - d * s / area)
    found = common / np.maximum(spread, 1.0) * 255
    signal = common * common / np.maximum(spread, 1.0)
    ratio = np.sqrt(signal / np.maximum(ss - s * s / area - signal, 1e-3))
    bare = spread < _INKED * np.maximum.reduceat(spread, firsts)[owner]
    found[bare] = ratio[bare] = np.inf
    return np.minimum.reduceat(found, firsts), np.minimum.reduceat(ratio, firsts)
