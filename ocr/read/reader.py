"""From a picture to its texts in reading order: find, cut out, read, arrange."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augment import geometry
from augment.errors import ScriptoriumError
from ocr.data.targets import Polygon
from ocr.infer.backends import open_backend
from ocr.infer.detector import Detector, open_detector
from ocr.infer.kind import open_chooser
from ocr.infer.recogniser import Reading, Recogniser
from ocr.infer.sdk import Picture, as_array
from ocr.postprocess.db import clockwise
from ocr.read.order import arrange
from ocr.read.page import PageReading, Text, laid_out

_TOGETHER: Final = 256  # crops in memory
_EDGE: Final = 8  # pixels around a crop that may be looked at for interpolation
_FILLED: Final = 0.93  # share of the smallest rectangle around it from which a text is straight
_BEND: Final = 0.1  # heights that the middle of a bent line lies off the straight between its ends at least
_AGREED: Final = 0.8  # share of the lines of known direction, from which the others follow
_LONG: Final = 1.5  # times as long as high: what is shorter has no sides to follow

Picture_: TypeAlias = NDArray[np.uint8]


class Turner(Protocol):
    """Tells how pictures stand.

    Attributes:
        thresh: probability from which it is sure.
    """

    thresh: float

    def turns(self, images: Sequence[Picture_]) -> list[tuple[int, float]]:
        """Quarter turns counter-clockwise, 0 to 3, that make each upright, and how probable that is.

        A picture of whose direction it is not sure is not to be turned: 0.
        """
        ...


class Chooser(Protocol):
    """Tells which recogniser is to read a line."""

    @property
    def names(self) -> Sequence[str]:
        """Of the recognisers that it tells apart."""
        ...

    def choose(self, images: Sequence[Picture_]) -> list[str | None]:
        """One of the names for each picture; None where it is not sure."""
        ...


class Router:
    """Several recognisers as one.

    A chooser tells which one reads a line, and only that one does. Of lines that it is not sure of, and without a
    chooser of all lines, every recogniser reads each, and the surest reading is kept (of equal ones the first
    recogniser's): that takes as long as all of them together, and compares confidences of different networks.

    Args:
        recognisers: by name.
        chooser: see `Chooser`.

    Raises:
        ScriptoriumError: the chooser tells names that no recogniser has, or does not know one of theirs.
    """

    def __init__(self, recognisers: Mapping[str, Recogniser], chooser: Chooser | None = None) -> None:
        self._recognisers = dict(recognisers)
        self._chooser = chooser
        if chooser is not None:
            _check_names(chooser.names, list(recognisers))

    @property
    def turn_ratio(self) -> float:
        """How many times as high as wide a crop is from which it is turned, as the first recogniser has learnt it."""
        return next(iter(self._recognisers.values())).spec.preprocess.turn_ratio

    def read(self, images: Sequence[Picture_]) -> list[tuple[str, Reading]]:
        """The name of the recogniser that read a picture, and its reading."""
        chosen: list[str | None] = [None] * len(images)
        if self._chooser is not None:
            chosen = self._chooser.choose(images)
        found: dict[int, tuple[str, Reading]] = {}
        for name, recogniser in self._recognisers.items():
            numbers = [number for number, one in enumerate(chosen) if one in (None, name)]
            readings = recogniser.read([images[number] for number in numbers])
            for number, reading in zip(numbers, readings, strict=True):
                if number not in found or reading.confidence > found[number][1].confidence:
                    found[number] = name, reading
        return [found[number] for number in range(len(images))]


def _check_names(told: Sequence[str], recognisers: Sequence[str]) -> None:
    """Raise ScriptoriumError unless a chooser tells apart what there are recognisers for."""
    problems = [
        f"{which} {', '.join(names)}"
        for which, names in (
            ("no recogniser is named", [name for name in told if name not in recognisers]),
            ("the chooser does not tell", [name for name in recognisers if name not in told]),
        )
        if names
    ]
    if problems:
        raise ScriptoriumError(
            f"the chooser tells {', '.join(told)}, the recognisers are {', '.join(recognisers)}: "
            f"{'; '.join(problems)}; give each of the chooser's names a recogniser, and no other"
        )


class Reader:
    """Reads pages: one detector, one recogniser or several; for one thread at a time.

    >>> reader = Reader(det="output/det", rec="output/rec")                 # doctest: +SKIP
    >>> page = reader.read("receipt.jpg")                                   # doctest: +SKIP
    >>> print(page.text)                                                    # doctest: +SKIP
    >>> [(text.text, text.polygon) for text in page.texts]                  # doctest: +SKIP

    Args:
        det: a run directory, a checkpoint or an exported model; or a `Detector`.
        rec: likewise; or several by name (see `Router`). Without one texts are found and put into order, but not read.
        chooser: tells which of several recognisers is to read a line, so that only that one does: a classifier of kinds
            of lines (a run directory, a checkpoint or an exported model), or any other `Chooser`. Without one all read
            every line, and the surest is believed.
        page_turner: turns the whole picture upright first; see `ocr.infer.direction.open_turner`.
        line_turner: turns lines that stand on their head.
        drop_score: texts that are read with less confidence are left out and counted.
        threads: of the networks; 0: all cores.

    Raises:
        ScriptoriumError: there is no model, it is broken or of another task, or what runs it is not installed; or the
            chooser does not go with the recognisers.
    """

    def __init__(
        self,
        det: str | Path | Detector,
        rec: str | Path | Recogniser | Mapping[str, str | Path | Recogniser] | Router | None = None,
        *,
        chooser: str | Path | Chooser | None = None,
        page_turner: Turner | None = None,
        line_turner: Turner | None = None,
        drop_score: float = 0.5,
        threads: int = 0,
    ) -> None:
        self.detector = det if isinstance(det, Detector) else open_detector(Path(det), threads=threads)
        self._router = _router(rec, chooser, threads)
        self._named = isinstance(rec, Router) or (isinstance(rec, Mapping) and len(rec) > 1)
        self._page_turner, self._line_turner = page_turner, line_turner
        self._drop_score = drop_score

    def read(self, picture: Picture) -> PageReading:
        """Read a page.

        Args:
            picture: the name of a file, an http or https address, a Pillow picture, or a `uint8` array, H × W (grey) or
                H × W × 3 (BGR).

        Raises:
            ScriptoriumError: the picture cannot be read, or is an array of another shape or type.
        """
        seconds: dict[str, float] = {}
        image = as_array(picture, "picture")
        if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)) or not image.size:
            raise ScriptoriumError("a page is an array of uint8, height × width or height × width × 3")
        turn = 0
        if self._page_turner is not None:
            with _timed(seconds, "direction"):
                [(turn, _)] = self._page_turner.turns([image])
                image = upright(image, turn)
        with _timed(seconds, "detect"):
            found = self.detector.find(image)
        texts = []
        for start in range(0, len(found), _TOGETHER):
            some = found[start : start + _TOGETHER]
            texts += self._read(image, [one.polygon for one in some], [one.score for one in some], seconds)
        with _timed(seconds, "order"):
            kept = [text for text in texts if self._router is None or text.confidence >= self._drop_score]
            height, width = image.shape[:2]
            layout = arrange(_as_read([text.polygon for text in kept], width, height), [text.text for text in kept])
        return PageReading(
            height,
            width,
            laid_out(kept, layout),
            layout.direction,
            layout.vertical,
            turn,
            len(texts) - len(kept),
            seconds,
        )

    def _read(
        self, image: Picture_, polygons: Sequence[Polygon], scores: Sequence[float], seconds: dict[str, float]
    ) -> list[Text]:
        if self._router is None:
            return [Text(polygon, score) for polygon, score in zip(polygons, scores, strict=True)]
        with _timed(seconds, "crop"):
            crops = [cut(image, polygon) for polygon in polygons]
            ratio = self._router.turn_ratio
            tall = [bool(ratio) and crop.shape[0] >= ratio * crop.shape[1] for crop in crops]
            crops = [upright(crop, 1) if high else crop for crop, high in zip(crops, tall, strict=True)]
        if self._line_turner is not None:
            with _timed(seconds, "direction"):
                # A line lies across by now: it stands on its head, or not.
                turned = _agreed(self._line_turner.turns(crops), self._line_turner.thresh)
                crops = [upright(crop, 2) if over else crop for crop, over in zip(crops, turned, strict=True)]
                polygons = [
                    np.roll(polygon, len(polygon) // 2, 0) if over else polygon
                    for polygon, over in zip(polygons, turned, strict=True)
                ]
        with _timed(seconds, "recognise"):
            readings = self._router.read(crops)
        return [
            Text(polygon, score, reading.text, reading.confidence, name if self._named else "", high)
            for polygon, score, (name, reading), high in zip(polygons, scores, readings, tall, strict=True)
        ]


def _router(
    rec: str | Path | Recogniser | Mapping[str, str | Path | Recogniser] | Router | None,
    chooser: str | Path | Chooser | None,
    threads: int,
) -> Router | None:
    if chooser is not None and not (isinstance(rec, Mapping) and len(rec) > 1):
        raise ScriptoriumError(
            "a chooser chooses among several recognisers by name (a Router has its own); name them, or leave it out"
        )
    if rec is None or isinstance(rec, Router):
        return rec
    several = rec if isinstance(rec, Mapping) else {"": rec}
    if not several:
        raise ScriptoriumError("rec: names no recogniser")
    recognisers = {
        name: one if isinstance(one, Recogniser) else Recogniser(open_backend(Path(one), threads))
        for name, one in several.items()
    }
    if isinstance(chooser, str | Path):
        chooser = open_chooser(Path(chooser), threads=threads)
    return Router(recognisers, chooser)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start


def _agreed(found: Sequence[tuple[int, float]], thresh: float) -> list[bool]:
    """Which lines stand on their head: those that surely do, and unsure ones where nearly all sure ones do.

    A lone `0.00` says little of how it stands, its neighbours say more.

    Args:
        found: turns and probabilities of lines of one page, of all of them or the next `_TOGETHER`; see `Turner`.
        thresh: probability from which they are sure.
    """
    over = sum(turn == 2 for turn, _ in found)
    sure = over + sum(turn != 2 and probability >= thresh for turn, probability in found)
    follow = over >= max(_AGREED * sure, 2)
    return [turn == 2 or (follow and probability < thresh) for turn, probability in found]


def _as_read(polygons: Sequence[Polygon], width: int, height: int) -> Sequence[Polygon]:
    """The polygons as they lie when the page is held so that its lines can be read: of a page on its head, turned."""
    over = [polygon[1, 0] < polygon[0, 0] and abs(np.subtract(*polygon[:2])).argmax() == 0 for polygon in polygons]
    if sum(over) < max(_AGREED * len(polygons), 2):
        return polygons
    return [np.array((width, height), np.float32) - polygon for polygon in polygons]


def upright(image: Picture_, turn: int) -> Picture_:
    """A picture after quarter turns counter-clockwise."""
    return np.ascontiguousarray(np.rot90(image, turn))


def cut(image: Picture_, polygon: Polygon) -> Picture_:
    """What stands in a polygon, as an upright picture of its own size.

    A quadrilateral is straightened by a perspective, its longer sides giving the size; a bent line by its long sides
    (`augment.geometry.band`), turned to stand where it runs down. Of a straight text, or one too short to have long
    sides, it is the smallest rectangle around it.

    Args:
        image: H × W × 3 (BGR) or H × W (grey).
        polygon: `float32`, N × 2, in pixels; a quadrilateral clockwise from its top left corner.
    """
    corners = polygon
    if len(polygon) != 4:
        sides = _bent(polygon)
        if sides is not None:
            return _straightened(image, sides)
        corners = clockwise(cv2.boxPoints(cv2.minAreaRect(polygon)))
    top, right, bottom, left = np.hypot(*(np.roll(corners, -1, 0) - corners).T).tolist()
    width, height = max(1, round(max(top, bottom))), max(1, round(max(left, right)))
    part, origin = _around(image, corners)
    target = ((0, 0), (width, 0), (width, height), (0, height))
    try:
        warp = geometry.quad(corners - origin, target)
    except ValueError:  # corners on one line
        return np.ascontiguousarray(part)
    return np.asarray(warp.apply(part, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _around(image: Picture_, points: Polygon) -> tuple[Picture_, NDArray[np.float32]]:
    """The part of an image that points lie in, and where it begins.

    OpenCV's warps want sides below 32,768 pixels; and they need not see the rest.
    """
    least, most = np.floor(points.min(0)).astype(int) - _EDGE, np.ceil(points.max(0)).astype(int) + _EDGE
    x, y = max(0, int(least[0])), max(0, int(least[1]))
    part = image[y : max(y + 1, int(most[1])), x : max(x + 1, int(most[0]))]
    return part if part.size else image[-1:, -1:], np.array((x, y), np.float32)


def _bent(polygon: Polygon) -> Polygon | None:
    """The long sides of a bent line (see `augment.geometry.band`); None of what is straight, short or no band."""
    area = float(cv2.contourArea(polygon))
    _, (width, height), _ = cv2.minAreaRect(polygon)
    if area >= _FILLED * width * height:
        return None
    try:
        sides = geometry.band(polygon)
    except ValueError:
        return None
    tall, middle = _middle(sides)
    legs = np.hypot(*(sides - sides[::-1]).T)
    length = float(np.hypot(*np.diff(middle, axis=0).T).sum())
    # Where several lines have run together the sides found do not enclose what the polygon does, or meet.
    if length < _LONG * tall or not 0.7 < tall * length / area < 1.4 or legs.min() < 0.4 * tall:
        return None
    (x, y), chord = middle[-1] - middle[0], math.dist(*middle[[0, -1]].tolist())
    away = np.abs((middle - middle[0]) @ np.array((-y, x))).max()
    return sides if away > _BEND * tall * chord else None


def _middle(sides: Polygon) -> tuple[float, NDArray[Any]]:
    """A band's height, and the line in its middle."""
    half = len(sides) // 2
    top, bottom = sides[:half], sides[: half - 1 : -1]
    return float(np.hypot(*(top - bottom).T).mean()), (top + bottom) / 2


def _straightened(image: Picture_, sides: Polygon) -> Picture_:
    part, origin = _around(image, sides)
    strip = geometry.rectify(part, sides - origin, max(1, round(_middle(sides)[0])))
    return upright(np.asarray(strip, np.uint8), -1 if geometry.runs_down(sides) else 0)
