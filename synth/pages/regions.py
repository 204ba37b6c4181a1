"""Where a background can carry text: its flat regions, found once for each picture and cut out with every window of it.

Text in scenes stands on surfaces, and follows them (Gupta et al., "Synthetic Data for Text Localisation", 2016). A
region is a connected part of cells with little gradient and one colour cluster. How it is seen follows from the edges
in and around it: those that nearly run across say where the horizontal lies, those that nearly run down where the
plumb does.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.compose.background import Window

_CELL: Final = 8  # pixels of the picture for each cell
_COLOURS: Final = 8
_ROUNDS: Final = 6
_STEEP: Final = (
    14.0  # mean gradient, grey levels over a pixel of the picture at a quarter, from which a cell is no surface
)
_APART: Final = (
    9.0  # mean step between cells, over the three channels, up to which neighbouring clusters are one surface
)
_LEAST: Final = 24  # cells of a region
_MOST: Final = 12  # regions, the largest
_AXIS: Final = math.tan(math.radians(22))  # how far an edge may lie off an axis and still tell of it
_SURE: Final = math.radians(7)  # standard deviation of such edges up to which they do
_HELD: Final = 64  # maps in memory


@dataclass(frozen=True, slots=True)
class Regions:
    """The flat regions of a picture, or of a window of it.

    Attributes:
        cells: `uint8`, number of the region that each cell is in, 0 for none.
        level: of each region the slope dy/dx of what is horizontal; 0 where nothing tells.
        plumb: of each region the slope dx/dy of what is vertical; 0 where nothing tells.
    """

    cells: NDArray[np.uint8]
    level: tuple[float, ...]
    plumb: tuple[float, ...]

    def seen(self, window: Window, rows: int, columns: int) -> Regions:
        """The regions of a window that has been scaled to `rows` × `columns` cells."""
        y, x, high, wide = (np.array((window.top, window.left, window.height, window.width)) / _CELL).tolist()
        # Centres of the new cells in the old ones.
        down = np.clip(y + (np.arange(rows) + 0.5) * high / rows, 0, self.cells.shape[0] - 1).astype(np.intp)
        across = np.clip(x + (np.arange(columns) + 0.5) * wide / columns, 0, self.cells.shape[1] - 1).astype(np.intp)
        cells = self.cells[down[:, None], across[::-1] if window.flipped else across]
        factor = (rows / high) / (columns / wide) * (-1 if window.flipped else 1)
        return Regions(cells, tuple(one * factor for one in self.level), tuple(one / factor for one in self.plumb))


class RegionMaps:
    """The regions of pictures, each found once; bounded, the oldest go first."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, int], Regions] = OrderedDict()

    def of(self, key: tuple[str, int], picture: Callable[[], NDArray[np.uint8]]) -> Regions:
        """Those of a picture, which is looked at where they are not known yet."""
        found = self._held.get(key)
        if found is None:
            found = self._held[key] = find_regions(picture())
            if len(self._held) > _HELD:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(key)
        return found


def find_regions(image: NDArray[np.uint8]) -> Regions:
    """The flat regions of a picture; the same for the same picture.

    Args:
        image: `uint8`, H × W × 3 (BGR) or H × W (grey).
    """
    image = image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
    rows, columns = max(image.shape[0] // _CELL, 1), max(image.shape[1] // _CELL, 1)
    quarter = cv2.resize(image, (2 * columns, 2 * rows), interpolation=cv2.INTER_AREA)
    colours = cv2.resize(quarter, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)
    grey = cv2.cvtColor(quarter, cv2.COLOR_BGR2GRAY)
    dx, dy = (cv2.Sobel(grey, cv2.CV_32F, *axes, ksize=3, scale=1 / 8) for axes in ((1, 0), (0, 1)))
    strength = cv2.magnitude(dx, dy)
    flat = cv2.resize(strength, (columns, rows), interpolation=cv2.INTER_AREA) < _STEEP
    clusters = _joined(_clusters(colours), colours, flat)
    cells = np.zeros((rows, columns), np.uint8)
    level, plumb = [0.0], [0.0]
    parts: list[tuple[int, NDArray[np.bool_]]] = []
    for cluster in range(_COLOURS):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            ((clusters == cluster) & flat).astype(np.uint8), connectivity=4
        )
        sizes = stats[:, cv2.CC_STAT_AREA].tolist()
        parts += [(sizes[number], labels == number) for number in range(1, count) if sizes[number] >= _LEAST]
    # Of equal ones the upper: OpenCV does not promise an order.
    parts.sort(key=lambda part: (-part[0], int(part[1].argmax())))
    for number, (_, part) in enumerate(parts[:_MOST], 1):
        cells[part] = number
        around = cv2.dilate(part.astype(np.uint8), np.ones((5, 5), np.uint8)).repeat(2, 0).repeat(2, 1) > 0
        gx, gy, weight = dx[around], dy[around], strength[around]
        # An edge runs across its gradient.
        level.append(_slope(-gx, gy, weight))
        plumb.append(_slope(-gy, gx, weight))
    return Regions(cells, tuple(level), tuple(plumb))


def _slope(rise: NDArray[Any], run: NDArray[Any], weight: NDArray[Any]) -> float:
    """The mean slope of the edges near an axis, by their strength; 0 where there are few or they differ."""
    near = (np.abs(rise) < _AXIS * np.abs(run)) & (weight > 4)
    if int(near.sum()) < 12:
        return 0.0
    slopes, weights = rise[near] / run[near], weight[near]
    mean = float(np.average(slopes, weights=weights))
    spread = math.sqrt(float(np.average((slopes - mean) ** 2, weights=weights)))
    return mean if spread < _SURE else 0.0


def _clusters(colours: NDArray[np.float32]) -> NDArray[np.intp]:
    """Each cell's colour cluster: k-means from the means of equal parts by luminance, nothing drawn at random."""
    points = colours.reshape(-1, 3)
    order = np.argsort(points @ np.array((0.114, 0.587, 0.299), np.float32), kind="stable")
    centres = np.stack([points[part].mean(0) for part in np.array_split(order, _COLOURS) if part.size])
    for _ in range(_ROUNDS):
        # |p - c|² without |p|², which is the same for all centres.
        nearest: NDArray[np.intp] = ((centres * centres).sum(1) - 2 * (points @ centres.T)).argmin(1)
        counts = np.bincount(nearest, minlength=len(centres))
        sums = np.stack([np.bincount(nearest, points[:, k], len(centres)) for k in range(3)], 1)
        used = counts > 0
        centres[used] = sums[used] / counts[used, None]
    return np.asarray(nearest.reshape(colours.shape[:2]), np.intp)


def _joined(clusters: NDArray[np.intp], colours: NDArray[np.float32], flat: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Clusters that pass into each other without a step are one: bands of a sky or of a wall in slanting light."""
    steps, pairs = np.zeros((_COLOURS, _COLOURS)), np.zeros((_COLOURS, _COLOURS))
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        a, b = clusters[one], clusters[other]
        beside = (a != b) & flat[one] & flat[other]
        step = np.abs(colours[one] - colours[other]).mean(2)
        for left, right in ((a[beside], b[beside]), (b[beside], a[beside])):
            np.add.at(steps, (left, right), step[beside])
            np.add.at(pairs, (left, right), 1)
    names = np.arange(_COLOURS)
    for a, b in zip(*np.nonzero((pairs > 0) & (steps <= _APART * pairs)), strict=True):
        names[names == names[b]] = names[a]
    return names[clusters]
