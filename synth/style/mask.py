"""Which pixels of a crop are its text: thresholds and colour clusters as candidates, and a judgement of each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.style.style import Image

FLAT: Final = 18.0
"""Levels between the brightest and the darkest parts of a crop, in its strongest channel, below which it is empty."""

_WORKED_ON: Final = (48, 96)  # pixels of height that a crop is brought to
_AREA: Final = 72_000  # pixels of a crop that are worked on, at most
_SAUVOLA: Final = 0.15  # k of Sauvola and Pietikäinen, "Adaptive document image binarization" (2000)
_SAMPLED: Final = 3000  # pixels from which cluster centres are found
_SPECK: Final = 0.035  # of the crop's height: smaller parts are dust
_FRAME: Final = 0.34  # of the crop's height: what is thicker than that is no stroke


@dataclass(slots=True)
class Found:
    """A crop's text, at the size at which it was looked for.

    Attributes:
        text: height × width, 0 or 255: the line.
        strokes: likewise, with all else that is drawn in the same way, such as parts of neighbouring lines.
        scale: pixels of these for one of the crop.
        score: 0 to 1: how much the candidate that was chosen looks like a line of text.
        lines: how many lines there seem to be.
    """

    text: Image
    strokes: Image
    scale: float
    score: float
    lines: int


def find_text(image: Image) -> Found | None:
    """Tell a crop's text from what it stands on.

    Candidates of both polarities come from Otsu's and Sauvola's thresholds on luminance and on the channel in which
    colours differ most, and from clusters of colours. Each is judged by what makes text: strokes of one width, parts
    that stand in a line, few pixels on the crop's border, edges of the crop that lie on its contours, colours that
    differ from what is around.

    Args:
        image: height × width × 3.

    Returns:
        None where no candidate has anything like a line of text.
    """
    small, scale = _at_work(image)
    picture = _Picture(small)
    best: tuple[float, _Candidate] | None = None
    for mask in picture.candidates():
        candidate = _judge(picture, mask)
        if candidate is not None and (best is None or candidate.score > best[0]):
            best = candidate.score, candidate
    if best is None:
        return None
    chosen = best[1]
    return Found(chosen.text, chosen.strokes, scale, chosen.score, chosen.lines)


def contrast(image: Image) -> float:
    """Levels between the brightest and darkest hundredths of a crop's pixels, in the channel where they are most."""
    smooth = cv2.blur(image, (3, 3)).reshape(-1, image.shape[2])
    low, high = np.percentile(smooth[:: max(1, len(smooth) // 20_000)], (1, 99), axis=0)
    return float((high - low).max())


def _at_work(image: Image) -> tuple[Image, float]:
    height, width = image.shape[:2]
    low, high = _WORKED_ON
    scale = min(max(1.0, low / height), high / height, math.sqrt(_AREA / (height * width)))
    if scale == 1:
        return image, 1.0
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=how), scale


class _Picture:
    """A crop at work: smoothed, in channels, with its edges."""

    def __init__(self, image: Image) -> None:
        self.height, self.width = image.shape[:2]
        smooth = cv2.GaussianBlur(image, (0, 0), 0.6)
        self.lab: NDArray[Any] = cv2.cvtColor(smooth.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
        self.grey: Image = np.clip(self.lab[..., 0] * 2.55, 0, 255).astype(np.uint8)
        flat = self.lab.reshape(-1, 3)
        self._sample = flat[:: max(1, len(flat) // _SAMPLED)].astype(np.float64)
        centred = self._sample - self._sample.mean(0)
        values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
        self._axis = vectors[:, 2] * (1.0 if vectors[0, 2] >= 0 else -1.0)
        self._coloured = values[2] > 0 and abs(self._axis[0]) < 0.95
        edges = _slopes(self.lab[..., 0])
        if self._coloured:
            main = self._main_channel()
            edges = np.maximum(edges, _slopes(main))
        # What noise and grain show everywhere does not count.
        floor = float(np.percentile(edges, 40))
        self.edges: NDArray[np.float32] = np.maximum(edges - 1.5 * floor, 0).astype(np.float32)
        self.all_edges = max(float(self.edges.sum(dtype=np.float64)), 1e-6)

    def _main_channel(self) -> NDArray[np.float32]:
        return np.asarray(self.lab @ self._axis.astype(np.float32), np.float32)

    def candidates(self) -> Iterator[Image]:
        """Masks, 0 or 255."""
        greys = [self.grey]
        if self._coloured:
            main = self._main_channel()
            low, high = np.percentile(main, (0.5, 99.5))
            greys.append(np.clip((main - low) * (255 / max(high - low, 1e-6)), 0, 255).astype(np.uint8))
        for grey in greys:
            _, bright = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
            yield bright
            yield cv2.bitwise_not(bright)
            yield from self._sauvola(grey)
        for count in (3, 4):
            nearest = self._clusters(count)
            for number in range(count):
                yield np.where(nearest == number, np.uint8(255), np.uint8(0))
            if count == 3:
                for number in range(count):
                    yield np.where(nearest != number, np.uint8(255), np.uint8(0))

    def _sauvola(self, grey: Image) -> Iterator[Image]:
        side = max(9, round(0.75 * self.height)) | 1
        for view in (grey, cv2.bitwise_not(grey)):
            here = view.astype(np.float32)
            mean = cv2.boxFilter(here, -1, (side, side), borderType=cv2.BORDER_REPLICATE)
            square = cv2.sqrBoxFilter(here, -1, (side, side), borderType=cv2.BORDER_REPLICATE)
            deviation = np.sqrt(np.maximum(square - mean * mean, 0))
            # The range of the deviation is the crop's own: faint print has little.
            most = max(float(deviation.max()), 8.0)
            level = mean * (1 + _SAUVOLA * (deviation / most - 1)) - 0.1 * most
            yield np.where(here < level, np.uint8(255), np.uint8(0))

    def _clusters(self, count: int) -> NDArray[np.intp]:
        """Lloyd's k-means from centres spread evenly over the main axis: the same result every time."""
        sample = self._sample
        order = np.argsort(sample @ self._axis, kind="stable")
        centres = np.stack([part.mean(0) for part in np.array_split(sample[order], count)])
        for _ in range(8):
            nearest = _nearest(sample, centres)
            moved = np.stack(
                [sample[nearest == k].mean(0) if (nearest == k).any() else centres[k] for k in range(count)]
            )
            if np.abs(moved - centres).max() < 0.2:
                break
            centres = moved
        return _nearest(self.lab.reshape(-1, 3), centres.astype(np.float32)).reshape(self.height, self.width)


def _slopes(channel: NDArray[Any]) -> NDArray[np.float32]:
    across, down = cv2.Scharr(channel, cv2.CV_32F, 1, 0), cv2.Scharr(channel, cv2.CV_32F, 0, 1)
    return np.asarray(np.abs(across) + np.abs(down), np.float32)


def _nearest(points: NDArray[Any], centres: NDArray[Any]) -> NDArray[np.intp]:
    distance = (centres * centres).sum(1) - 2 * (points @ centres.T)
    return np.asarray(distance.argmin(1), np.intp)


@dataclass(slots=True)
class _Candidate:
    text: Image
    strokes: Image
    score: float
    lines: int


def _judge(picture: _Picture, mask: Image) -> _Candidate | None:
    """The line of text in a mask, and how good it is; None where there is none."""
    height, width = picture.height, picture.width
    count, labels, stats, centres = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    if count < 2 or count > 60 + width * height / 60:
        return None
    x, y, w, h, area = (stats[1:, k].astype(np.float64) for k in range(5))
    thickness = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    widest = _widest(labels, thickness, count)
    speck = np.maximum(w, h) < max(2.0, _SPECK * height)
    left, top, right, bottom = x <= 0, y <= 0, x + w >= width, y + h >= height
    sides = left.astype(int) + top + right + bottom
    frame = (widest > _FRAME * height) & (sides >= 1)
    frame |= widest > 0.6 * height
    frame |= (sides >= 3) & (w > 0.5 * width)
    frame |= left & right & ((h < 0.3 * height) | (top | bottom))
    frame |= (w > 6 * h) & (top | bottom) & (w > 0.4 * width)
    frame |= (h >= 0.95 * height) & (left | right) & (w < 0.25 * height)
    usable = ~speck & ~frame
    if not usable.any():
        return None
    cy = centres[1:, 1]
    line = _line(usable, x, y, w, h, area, cy, top, bottom, height, width)
    if line is None:
        return None
    kept, lines = line
    strokes = np.zeros(count, np.uint8)
    strokes[1:][~frame] = 255
    text = np.zeros(count, np.uint8)
    text[1:][kept] = 255
    text_mask, stroke_mask = text[labels], strokes[labels]
    return _Candidate(
        text_mask,
        stroke_mask,
        _score(picture, mask, text_mask, stroke_mask, thickness, x[kept], y[kept], w[kept], h[kept]),
        lines,
    )


def _line(
    usable: NDArray[np.bool_],
    x: NDArray[Any],
    y: NDArray[Any],
    w: NDArray[Any],
    h: NDArray[Any],
    area: NDArray[Any],
    cy: NDArray[Any],
    top: NDArray[np.bool_],
    bottom: NDArray[np.bool_],
    height: int,
    width: int,
) -> tuple[NDArray[np.bool_], int] | None:
    """Which parts make the main line, and how many lines there are."""
    cx = x + w / 2
    my = y + h / 2
    # A part cut off by the crop's top or bottom whose middle lies near it belongs to another line.
    outside = (top & ~bottom & (my < 0.25 * height)) | (bottom & ~top & (my > 0.75 * height))
    inner = usable & ~outside
    if not inner.any():
        inner = usable
    weight = np.where(inner, w * h, 0.0)
    order = np.argsort(h, kind="stable")
    reached = np.cumsum(weight[order])
    reference = float(h[order][np.searchsorted(reached, 0.5 * reached[-1])])
    tall = inner & (h > 0.5 * reference)
    slope, at = 0.0, float(np.average(my[tall], weights=w[tall]))
    if tall.sum() >= 3:
        slope, at = _fitted(cx[tall], my[tall], w[tall])
    off = my - (at + slope * cx)
    if tall.sum() >= 3 and (np.abs(off[tall]) > 0.8 * reference).mean() > 0.3:
        # No one line: the middle of the crop counts.
        slope, at = 0.0, height / 2
        off = my - at
    kept = usable & (np.abs(off) < 0.75 * reference) & ~(outside & (np.abs(off) > 0.45 * reference))
    # Dots, accents and signs near it.
    near = usable & ~kept & (h < 0.6 * reference) & (np.abs(off) < 1.1 * reference) & ~top & ~bottom
    if not kept.any():
        return None
    others = inner & ~kept & ~near & (h > 0.55 * reference) & ~top & ~bottom
    lines = 1
    for side in (off < 0, off > 0):
        if w[others & side].sum() > 0.3 * w[kept].sum() and (others & side).sum() >= 2:
            lines += 1
    return kept | near, lines


def _widest(labels: NDArray[Any], thickness: NDArray[Any], count: int) -> NDArray[np.float64]:
    """The width of each part where it is widest."""
    inked = np.flatnonzero(thickness.ravel() > 0.9 * cv2.dilate(thickness, _SQUARE).ravel())
    names, sizes = labels.ravel()[inked], thickness.ravel()[inked]
    order = np.lexsort((sizes, names))
    names = names[order]
    widest = np.zeros(count)
    # Of each part the last one, which is the largest, stands.
    widest[names] = sizes[order]
    return 2 * widest[1:]


def _fitted(x: NDArray[Any], y: NDArray[Any], weight: NDArray[Any]) -> tuple[float, float]:
    """A straight line through most of some points: the median of slopes between pairs (Theil 1950, Sen 1968)."""
    if len(x) > 60:
        pick = np.argsort(-weight, kind="stable")[:60]
        x, y = x[pick], y[pick]
    i, j = np.triu_indices(len(x), 1)
    run = x[j] - x[i]
    far = np.abs(run) > 1
    if not far.any():
        return 0.0, float(np.median(y))
    slope = float(np.clip(np.median((y[j] - y[i])[far] / run[far]), -1, 1))
    return slope, float(np.median(y - slope * x))


def _score(
    picture: _Picture,
    mask: Image,
    text: Image,
    strokes: Image,
    thickness: NDArray[Any],
    x: NDArray[Any],
    y: NDArray[Any],
    w: NDArray[Any],
    h: NDArray[Any],
) -> float:
    height, width = picture.height, picture.width
    inked = text > 0
    amount = int(inked.sum())
    x0, y0, x1, y1 = x.min(), y.min(), (x + w).max(), (y + h).max()
    tall = float(y1 - y0)
    # Ridges: where the distance to the ground is no less than around.
    ridge = (thickness >= cv2.dilate(thickness, _SQUARE)) & inked
    widths = thickness[ridge]
    if len(widths) < 3:
        return 0.0
    mean = float(widths.mean())
    spread = float(widths.std()) / max(mean, 1e-6)
    steady = math.exp(-((max(spread - 0.25, 0) / 0.5) ** 2))
    slim = math.exp(-((max(2 * mean / max(tall, 1.0) - 0.2, 0) / 0.12) ** 2))
    # Of the crop's border, what the whole mask takes; text may touch it, ground mostly does.
    border = np.concatenate((mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    ends = np.concatenate((mask[:, 0], mask[:, -1]))
    touch = 0.5 * float((border > 0).mean()) + 0.5 * float((ends > 0).mean())
    free = math.exp(-((touch / 0.3) ** 2))
    # Edges of the crop that lie on the contours of what would be painted over.
    contour = cv2.morphologyEx(strokes, cv2.MORPH_GRADIENT, _SQUARE)
    band = cv2.dilate(contour, _SQUARE)
    explained = float(picture.edges[band > 0].sum(dtype=np.float64)) / picture.all_edges
    # How strong they are there, against what they are in the crop's strongest places.
    on = picture.edges[cv2.morphologyEx(text, cv2.MORPH_GRADIENT, _SQUARE) > 0]
    strength = float(np.median(on)) / max(float(np.percentile(picture.edges, 95)), 1e-6) if len(on) else 0.0
    around = (cv2.dilate(text, _DISC) > 0) & ~(cv2.dilate(mask, _SQUARE) > 0)
    core = cv2.erode(text, _SQUARE) > 0
    if core.sum() < 0.1 * amount:
        core = inked
    apart = 0.0
    if around.sum() > 8:
        ink, ground = picture.lab[core], picture.lab[around]
        difference = float(np.linalg.norm(ink.mean(0) - ground.mean(0)))
        apart = difference / (
            difference + 0.8 * float(np.linalg.norm(ink.std(0)) + 0.6 * np.linalg.norm(ground.std(0))) + 2
        )
    span = min(1.0, (x1 - x0) / (0.5 * width)) * min(1.0, tall / (0.45 * height))
    fill = amount / max((x1 - x0) * tall, 1.0)
    filled = math.exp(-((max(fill - 0.45, 0, 0.12 - fill) / 0.2) ** 2))
    parts = (
        (steady, 1.0),
        (slim, 0.7),
        (free, 1.5),
        (min(1.0, explained / 0.7), 1.2),
        (min(1.0, strength / 0.5), 0.5),
        (apart, 1.0),
        (span, 0.8),
        (filled, 0.6),
    )
    total = sum(weight for _, weight in parts)
    return math.exp(sum(weight * math.log(max(value, 1e-3)) for value, weight in parts) / total)


_SQUARE: Final = np.ones((3, 3), np.uint8)
_DISC: Final = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
