"""Labelled pages: their texts' polygons, and the squares that training cuts out of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.pixel import Degrade
from ocr.config import CopyPaste, Crop
from ocr.data.sampler import Planned
from ocr.data.sources import BrokenSample, FileSource, decode
from ocr.data.targets import Polygon, Targets, signed_distance
from ocr.spec import DetPreprocess
from synth.pages.labels import IGNORED, read_label
from synth.pipeline import Streams

_FAR = 2**40  # no source has so many samples
_TRIES = 10
_WHOLE = 0.999  # of a text's area in the square: what is left of it is learnt
_CELL = 4  # pixels of the map of free places; squares are multiples of it
_SOLID = 0.3  # of what comes with a text: not faded at all

DEFAULT_OPS: dict[str, Any] = {
    "brightness_contrast": {"p": 0.2},
    "gamma": {"p": 0.1},
    "colour": {"p": 0.1},
    "shadow": {"p": 0.05},
    "blur": {"p": 0.15},
    "noise": {"p": 0.1},
    "jpeg": {"p": 0.2},
}
"""What is done to the squares' pixels where a configuration says nothing."""


@dataclass(frozen=True, slots=True)
class Page:
    """One labelled page.

    Attributes:
        image: `uint8`, H × W × 3 (BGR) or H × W (grey).
        polygons: `float32`, N × 2 each, in pixels.
        texts: of each; `###` where it is to be ignored.
        key: names the record for people.
    """

    image: NDArray[np.uint8]
    polygons: list[Polygon]
    texts: list[str]
    key: str


def read_page(source: FileSource, index: int) -> Page:
    """A page of a source whose labels are PaddleOCR's: a JSON list of `transcription` and `points`.

    Raises:
        BrokenSample: no picture, or a label that is not of this kind; says which text is wrong.
    """
    data, label = source.raw(index)
    key = source.key(index)
    polygons, texts = parse_label(label, key)
    return Page(decode(data, key), polygons, texts, key)


def parse_label(label: str, key: str) -> tuple[list[Polygon], list[str]]:
    """The polygons and texts of a label; polygons without an area are left out. Raises BrokenSample."""
    try:
        found = read_label(label)
    except ValueError as error:
        raise BrokenSample(key, f"its label: {error}") from None
    found = [one for one in found if cv2.contourArea(one.polygon[:, None]) > 0]
    return [one.polygon for one in found], [one.text for one in found]


@dataclass
class DetBatch:
    """What a training step takes.

    Attributes:
        images: `uint8`, N × size × size × channels.
        targets: of the algorithm; each of its maps with N as the first axis.
        keys: names of the records.
        pasted: how many texts of other pages each square got.
        skipped: records that could not be used: number of the source, name, what is wrong.
    """

    images: NDArray[np.uint8]
    targets: Targets
    keys: list[str]
    pasted: list[int]
    skipped: list[tuple[int, str, str]] = field(default_factory=list)


Draw: TypeAlias = Callable[[Sequence[Polygon], Sequence[bool], int, int], Targets]
"""Draws the targets of a picture: `db_targets` and its like, their parameters given."""


class SquarePreparer:
    """Reads pages and cuts, turns, scales and degrades squares; a pure function of the plan and the seed.

    May be pickled with its sources; that is how it comes into a worker process.

    Args:
        sources: as the draws number them.
        crop: see `Crop`.
        draw: see `Draw`; may be pickled, too.
        preprocess: of the network.
        ops: pixel operations by name; None: none.
        seed: of the run.
        copy_paste: see `CopyPaste`.
    """

    def __init__(
        self,
        sources: Sequence[FileSource],
        crop: Crop,
        draw: Draw,
        preprocess: DetPreprocess,
        ops: dict[str, Any] | None,
        seed: int,
        copy_paste: CopyPaste | None = None,
    ) -> None:
        self._sources, self._crop, self._draw, self._preprocess = list(sources), crop, draw, preprocess
        self._copy_paste = copy_paste or CopyPaste()
        self._degrade = Degrade(ops or {})
        self._streams = Streams(seed)

    def __call__(self, step: int, planned: Planned) -> DetBatch:
        """The batch of a step. Records that cannot be read are left out and named."""
        squares: list[tuple[NDArray[np.uint8], list[Polygon], list[bool], str]] = []
        pasted: list[int] = []
        skipped: list[tuple[int, str, str]] = []
        for number, index in planned.draws:
            try:
                page = read_page(self._sources[number], index)
            except BrokenSample as error:
                skipped.append((number, error.key, error.reason))
                continue
            rng = self._streams.at(step, number * _FAR + index)
            image, polygons, ignored = cut_square(page, self._crop, round(self._preprocess.mean), rng)
            if image.ndim == 2:
                image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
            known = len(polygons)
            if self._copy_paste.p and rng.random() < self._copy_paste.p:
                giver = self._giver(rng)
                if giver is not None:
                    image, polygons, ignored = paste_texts(
                        image, polygons, ignored, giver, self._copy_paste, self._crop, rng
                    )
            pasted.append(len(polygons) - known)
            image = self._degrade(image, rng)
            squares.append((image, polygons, ignored, page.key))
        size = self._crop.size
        images = np.empty((len(squares), size, size, self._preprocess.channels), np.uint8)
        for row, (image, *_) in enumerate(squares):
            images[row] = self._preprocess.converted(image).reshape(images[row].shape)
        targets = [self._draw(polygons, ignored, size, size) for _, polygons, ignored, _ in squares]
        if not targets:
            empty = self._draw([], [], size, size)
            return DetBatch(images, _each(empty, lambda name: getattr(empty, name)[None][:0]), [], [], skipped)
        stacked = _each(targets[0], lambda name: np.stack([getattr(one, name) for one in targets]))
        return DetBatch(images, stacked, [key for *_, key in squares], pasted, skipped)

    def _giver(self, rng: np.random.Generator) -> Page | None:
        """Any page of any source, whichever are in the batch: processes that share a batch paste as one would.

        None where it is broken: it is named when its own turn comes.
        """
        source = self._sources[int(rng.random() * len(self._sources))]
        try:
            return read_page(source, int(rng.random() * len(source)))
        except BrokenSample:
            return None


def _each(targets: Targets, maps: Callable[[str], NDArray[Any]]) -> Targets:
    """Targets of the same kind with other maps, by name."""
    return type(targets)(**{one.name: maps(one.name) for one in fields(targets)})


def cut_square(
    page: Page, crop: Crop, fill: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], list[Polygon], list[bool]]:
    """A square of a page, scaled and turned at random, by one warp.

    Of several places the one that cuts the fewest texts is taken, of those with a text in them where there are any. A
    text that is cut all the same is ignored: nothing is said of what is left of it.

    Returns:
        The square, the polygons that reach into it, and which of them are to be ignored.
    """
    height, width = page.image.shape[:2]
    turn = _drawn_turn(crop, rng)
    corners = np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float32) @ turn.T
    least = corners.min(0)
    wide, high_ = (corners.max(0) - least).tolist()
    moved = [polygon @ turn.T - least for polygon in page.polygons]
    boxes = np.array([(*polygon.min(0), *polygon.max(0)) for polygon in moved], np.float32).reshape(-1, 4)
    size = crop.size
    # Pages smaller than the square lie anywhere in it.
    slack = np.array((wide - size, high_ - size))
    places = np.minimum(slack, 0) + np.abs(slack) * rng.random((_TRIES, 2))
    cuts, texts = [], []
    for x, y in places.tolist():
        left, top, right, bottom = boxes[:, 0] - x, boxes[:, 1] - y, boxes[:, 2] - x, boxes[:, 3] - y
        seen = (right > 0) & (bottom > 0) & (left < size) & (top < size)
        whole = seen & (left >= 0) & (top >= 0) & (right <= size) & (bottom <= size)
        cuts.append(int(seen.sum() - whole.sum()))
        texts.append(int(whole.sum()))
    best = min(range(_TRIES), key=lambda k: (texts[k] == 0, cuts[k] - 0.5 * texts[k]))
    x, y = places[best].tolist()
    shift = -least - np.array((x, y), np.float32)
    square = _warped(page.image, turn, shift, (size, size), fill)
    polygons: list[Polygon] = []
    ignored: list[bool] = []
    for polygon, text, box in zip(moved, page.texts, boxes, strict=True):
        left, top, right, bottom = (box - (x, y, x, y)).tolist()
        if right <= 0 or bottom <= 0 or left >= size or top >= size:
            continue
        polygons.append((polygon - (x, y)).astype(np.float32))
        whole = left >= 0 and top >= 0 and right <= size and bottom <= size
        ignored.append(text == IGNORED or not (whole or _inside(polygons[-1], size) >= _WHOLE))
    return square, polygons, ignored


def _drawn_turn(crop: Crop, rng: np.random.Generator) -> NDArray[np.float32]:
    """How a page is scaled and turned: 2 × 2."""
    low, high = crop.scale
    scale = low * (high / low) ** rng.random()
    angle = math.radians(crop.degrees) * (2 * rng.random() - 1)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    return np.array(((cos, -sin), (sin, cos)), np.float32)


def _warped(
    image: NDArray[np.uint8], turn: NDArray[np.float32], shift: NDArray[np.float32], size: tuple[int, int], fill: int
) -> NDArray[np.uint8]:
    """A picture of `size` (width, height) pixels in which the point p of the image lies at turn × p + shift."""
    # OpenCV counts from pixel centres, polygons from corners.
    half = np.array((0.5, 0.5), np.float32)
    offset = turn @ half + shift - half
    matrix = np.column_stack((turn, offset)).astype(np.float64)
    scale = math.hypot(*turn[:, 0].tolist())
    if scale < 0.6:
        # A warp has no anti-aliasing of its own.
        height, width = image.shape[:2]
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
        fx, fy = width / small[0], height / small[1]
        back = np.array(((fx, 0, (fx - 1) / 2), (0, fy, (fy - 1) / 2), (0, 0, 1)))
        matrix = matrix @ back
    warped = cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_CONSTANT, borderValue=(fill,) * 3)
    return np.asarray(warped, np.uint8)


def _inside(polygon: Polygon, size: int) -> float:
    """Share of a polygon's area in the square."""
    import shapely

    shape = shapely.make_valid(shapely.Polygon(polygon))
    return float(shape.intersection(shapely.box(0, 0, size, size)).area / shape.area) if shape.area else 0.0


def paste_texts(
    image: NDArray[np.uint8],
    polygons: Sequence[Polygon],
    ignored: Sequence[bool],
    giver: Page,
    config: CopyPaste,
    crop: Crop,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], list[Polygon], list[bool]]:
    """Lay texts of another page on a square, each scaled and turned by itself as `crop` says (Ghiasi et al., "Simple
    Copy-Paste", 2021, for texts).

    A text comes with some of what is around it, which fades out before other texts begin. Texts that touch others, the
    page's edge, or are too small in the square to be learnt are not taken.

    Args:
        image: `uint8`, size × size × 3 (BGR).
        polygons, ignored: of the square.
        giver: the other page.
        config: how many, and whether they may cover texts of the square.
        crop: scales, angles, the smallest side of a text.
        rng: source of all that is drawn.

    Returns:
        A square, the polygons, and which of them are to be ignored; those of pasted texts come last.
    """
    count = config.count[0] + int(rng.random() * (config.count[1] - config.count[0] + 1))
    cover = bool(config.cover) and rng.random() < config.cover
    image, all_, ignored = image.copy(), list(polygons), list(ignored)
    size = len(image)
    taken = np.zeros((size, size), np.uint8)
    if not cover:
        for polygon in polygons:
            _fill(taken, polygon)
    cells = taken.reshape(size // _CELL, _CELL, size // _CELL, _CELL).max((1, 3))
    candidates = [number for number, text in enumerate(giver.texts) if text != IGNORED]
    for number in rng.permutation(candidates)[: 4 * count].tolist():
        turn = _drawn_turn(crop, rng)
        around = config.around[0] + (config.around[1] - config.around[0]) * rng.random()
        piece = _piece(giver, number, turn, around, crop)
        if piece is None:
            continue
        picture, alpha, polygon = piece
        high, wide = alpha.shape
        rows, columns = -(-high // _CELL), -(-wide // _CELL)
        places = _free(cells, rows, columns)
        if not places.size:
            continue
        row, column = divmod(int(places[int(rng.random() * places.size)]), cells.shape[1] - columns + 1)
        cells[row : row + rows, column : column + columns] = 1
        x, y = column * _CELL, row * _CELL
        part = image[y : y + high, x : x + wide]
        part[:] = np.round(part + (picture - part.astype(np.float32)) * alpha[..., None])
        if cover:
            for known, other in enumerate(polygons):
                under = np.zeros_like(alpha, np.uint8)
                _fill(under, other - np.array((x, y), np.float32))
                ignored[known] |= bool((alpha[under > 0] > 0).any())
        all_.append(polygon + np.array((x, y), np.float32))
        ignored.append(False)
        if len(all_) - len(polygons) == count:
            break
    return image, all_, ignored


def _piece(
    page: Page, number: int, turn: NDArray[np.float32], around: float, crop: Crop
) -> tuple[NDArray[np.uint8], NDArray[np.float32], Polygon] | None:
    """A text cut out of a page: picture, how much of each pixel is to be seen (0 to 1), its polygon in it.

    Args:
        page: with the text.
        number: of the text.
        turn: 2 × 2, see `_drawn_turn`.
        around: what comes with it, over its shorter side.
        crop: size of the squares and smallest side of a text.

    Returns:
        None where the text is no whole one by itself, or too small or too large.
    """
    import shapely

    polygon, scale = page.polygons[number], math.hypot(*turn[:, 0].tolist())
    short = min(cv2.minAreaRect(polygon)[1])
    if scale * short < max(crop.min_side, 1):
        return None
    height, width = page.image.shape[:2]
    least, most = polygon.min(0), polygon.max(0)
    reach = min(around * short, float(least.min()), float(width - most[0]), float(height - most[1]))
    if scale * reach < 1:
        return None
    shape = shapely.make_valid(shapely.Polygon(polygon))
    for other, points in enumerate(page.polygons):
        if other == number or (points.min(0) > most + reach).any() or (points.max(0) < least - reach).any():
            continue
        reach = min(reach, float(shape.distance(shapely.make_valid(shapely.Polygon(points)))))
        if scale * reach < 1:
            return None
    moved, room = polygon @ turn.T, scale * reach
    low = np.floor(moved.min(0) - room)
    wide, high = np.ceil(moved.max(0) + room - low).astype(int).tolist()
    if max(wide, high) > crop.size:
        return None
    # The warp need not see the whole page.
    x, y = (max(0, int(side - reach) - 2) for side in least.tolist())
    right, bottom = (int(side + reach) + 3 for side in most.tolist())
    part = page.image[y:bottom, x:right]
    picture = _warped(part, turn, turn @ np.array((x, y), np.float32) - low, (wide, high), 0)
    if picture.ndim == 2:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), np.uint8)
    within = (moved - low).astype(np.float32)
    box, field = signed_distance(within, high, wide, room)
    alpha = np.zeros((high, wide), np.float32)
    alpha[box] = np.clip((field + room) / ((1 - _SOLID) * room), 0, 1)
    return picture, alpha, within


def _fill(mask: NDArray[np.uint8], polygon: Polygon) -> None:
    """Set all pixels that a polygon touches."""
    points = [np.round((polygon - 0.5) * 16).astype(np.int32)]
    cv2.fillPoly(mask, points, 1, cv2.LINE_8, 4)
    cv2.polylines(mask, points, True, 1, 3, cv2.LINE_8, 4)


def _free(taken: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.intp]:
    """Where a window of some cells covers none that is taken: numbers of its first cells, row by row."""
    sums = cv2.integral(taken)
    inside = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
    return np.flatnonzero(inside == 0)
