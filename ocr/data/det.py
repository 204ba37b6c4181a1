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
from ocr.config import Crop
from ocr.data.sampler import Planned
from ocr.data.sources import BrokenSample, FileSource, decode
from ocr.data.targets import Polygon, Targets
from ocr.spec import DetPreprocess
from synth.pages.labels import IGNORED, read_label
from synth.pipeline import Streams

_FAR = 2**40  # no source has so many samples
_TRIES = 10
_WHOLE = 0.999  # of a text's area in the square: what is left of it is learnt

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
        skipped: records that could not be used: number of the source, name, what is wrong.
    """

    images: NDArray[np.uint8]
    targets: Targets
    keys: list[str]
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
    """

    def __init__(
        self,
        sources: Sequence[FileSource],
        crop: Crop,
        draw: Draw,
        preprocess: DetPreprocess,
        ops: dict[str, Any] | None,
        seed: int,
    ) -> None:
        self._sources, self._crop, self._draw, self._preprocess = list(sources), crop, draw, preprocess
        self._degrade = Degrade(ops or {})
        self._streams = Streams(seed)

    def __call__(self, step: int, planned: Planned) -> DetBatch:
        """The batch of a step. Records that cannot be read are left out and named."""
        squares: list[tuple[NDArray[np.uint8], list[Polygon], list[bool], str]] = []
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
            image = self._degrade(image, rng)
            squares.append((image, polygons, ignored, page.key))
        size = self._crop.size
        images = np.empty((len(squares), size, size, self._preprocess.channels), np.uint8)
        for row, (image, *_) in enumerate(squares):
            images[row] = self._preprocess.converted(image).reshape(images[row].shape)
        targets = [self._draw(polygons, ignored, size, size) for _, polygons, ignored, _ in squares]
        if not targets:
            empty = self._draw([], [], size, size)
            return DetBatch(images, _each(empty, lambda name: getattr(empty, name)[None][:0]), [], skipped)
        stacked = _each(targets[0], lambda name: np.stack([getattr(one, name) for one in targets]))
        return DetBatch(images, stacked, [key for *_, key in squares], skipped)


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
    low, high = crop.scale
    scale = low * (high / low) ** rng.random()
    angle = math.radians(crop.degrees) * (2 * rng.random() - 1)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    turn = np.array(((cos, -sin), (sin, cos)), np.float32)
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
    # OpenCV counts from pixel centres, polygons from corners.
    half = np.array((0.5, 0.5), np.float32)
    offset = turn @ half + shift - half
    matrix = np.column_stack((turn, offset)).astype(np.float64)
    image = page.image
    if scale < 0.6:
        # A warp has no anti-aliasing of its own.
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
        fx, fy = width / small[0], height / small[1]
        back = np.array(((fx, 0, (fx - 1) / 2), (0, fy, (fy - 1) / 2), (0, 0, 1)))
        matrix = matrix @ back
    square = cv2.warpAffine(image, matrix, (size, size), borderMode=cv2.BORDER_CONSTANT, borderValue=(fill,) * 3)
    polygons: list[Polygon] = []
    ignored: list[bool] = []
    for polygon, text, box in zip(moved, page.texts, boxes, strict=True):
        left, top, right, bottom = (box - (x, y, x, y)).tolist()
        if right <= 0 or bottom <= 0 or left >= size or top >= size:
            continue
        polygons.append((polygon - (x, y)).astype(np.float32))
        whole = left >= 0 and top >= 0 and right <= size and bottom <= size
        ignored.append(text == IGNORED or not (whole or _inside(polygons[-1], size) >= _WHOLE))
    return np.asarray(square, np.uint8), polygons, ignored


def _inside(polygon: Polygon, size: int) -> float:
    """Share of a polygon's area in the square."""
    import shapely

    shape = shapely.make_valid(shapely.Polygon(polygon))
    return float(shape.intersection(shapely.box(0, 0, size, size)).area / shape.area) if shape.area else 0.0
