"""Which pixels of a crop are its text: thresholds and colour clusters as candidates, and a judgement of each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.style.frame import trend
from synth.style.style import Image

FLAT: Final = 18.0
"""Levels between the brightest and the darkest parts of a crop, in its strongest channel, below which it is empty."""

_WORKED_ON: Final = (48, 96)  # pixels of height that a crop is brought to
_AREA: Final = 72_000  # pixels of a crop that are worked on, at most
_SAUVOLA: Final = 0.15  # k of Sauvola and Pietikäinen, "Adaptive document image binarization" (2000)
_SAMPLED: Final = 3000  # pixels from which cluster centres are found
_AROUND: Final = 0.8  # of the crop's border: what takes more of it is ground
_SPECK: Final = 0.035  # of the crop's height: smaller parts are dust
_FRAME: Final = 0.34  # of the crop's height: what is thicker than that and reaches its border is no stroke
_MASSIVE: Final = 0.6  # the same, anywhere


@dataclass(slots=True)
class Found:
    """A crop's text, at the size at which it was looked for.

    Attributes:
        text: height × width, 0 or 255: the line.
        strokes: likewise, with all else that is drawn in the same way, such as parts of neighbouring lines.
        scale: pixels of these for one of the crop.
        belief: 0 to 1: how likely it is that the text is what was found.
        lines: how many lines there seem to be.
        parts: boxes of the line's larger parts, N × 4: left, top, width, height.
    """

    text: Image
    strokes: Image
    scale: float
    belief: float
    lines: int
    parts: NDArray[np.float64]


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
    belief = 1 / (1 + math.exp(-_weighed(chosen.seen, _BELIEF)))
    return Found(chosen.text, chosen.strokes, scale, belief, chosen.lines, chosen.parts)


def looked_at(image: Image) -> Iterator[tuple[Image, list[float]]]:
    """Each candidate's line of text, 0 or 255, at the size at which a crop is worked on, and what is seen of it.

    For `scripts/fit_style_judge.py`, which weighs the latter.
    """
    picture = _Picture(_at_work(image)[0])
    for mask in picture.candidates():
        candidate = _judge(picture, mask)
        if candidate is not None:
            yield candidate.text, candidate.seen


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
        self.strongest = max(float(np.percentile(self.edges, 95)), 1e-6)
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
            members = (nearest[:, None] == np.arange(count)).astype(np.float64)
            sizes = members.sum(0)[:, None]
            moved = np.where(sizes > 0, members.T @ sample / np.maximum(sizes, 1), centres)
            if np.abs(moved - centres).max() < 0.2:
                break
            centres = moved
        return _nearest(self.lab.reshape(-1, 3), centres.astype(np.float32)).reshape(self.height, self.width)


def _slopes(channel: NDArray[Any]) -> NDArray[np.float32]:
    across, down = cv2.Scharr(channel, cv2.CV_32F, 1, 0), cv2.Scharr(channel, cv2.CV_32F, 0, 1)
    return np.asarray(np.abs(across) + np.abs(down), np.float32)


def _nearest(points: NDArray[Any], centres: NDArray[Any]) -> NDArray[np.intp]:
    # Centre by centre: along the short axis of an array `argmin` is slow.
    distance = (centres * centres).sum(1)[:, None] - 2 * (centres @ points.T)
    return np.asarray(distance.argmin(0), np.intp)


@dataclass(slots=True)
class _Candidate:
    text: Image
    strokes: Image
    score: float
    lines: int
    parts: NDArray[np.float64]
    seen: list[float]


def _judge(picture: _Picture, mask: Image) -> _Candidate | None:
    """The line of text in a mask, and how good it is; None where there is none."""
    height, width = picture.height, picture.width
    sides = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    if sum(map(cv2.countNonZero, sides)) > _AROUND * 2 * (height + width):
        return None
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    if count < 2 or count > 60 + width * height / 60:
        return None
    x, y, w, h, area = (stats[1:, k].astype(np.float64) for k in range(5))
    thickness = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    thick, massive = (_thicker(labels, thickness, share * height / 2, count) for share in (_FRAME, _MASSIVE))
    speck = np.maximum(w, h) < max(2.0, _SPECK * height)
    left, top, right, bottom = x <= 0, y <= 0, x + w >= width, y + h >= height
    reached = left.astype(int) + top + right + bottom
    frame = massive | (thick & (reached >= 1))
    frame |= (reached >= 3) & (w > 0.5 * width)
    frame |= left & right & ((h < 0.3 * height) | (top | bottom))
    frame |= (w > 6 * h) & (top | bottom) & (w > 0.4 * width)
    frame |= (h >= 0.95 * height) & (left | right) & (w < 0.25 * height)
    for number in np.flatnonzero(~frame & (reached >= 1) & (w > 0.5 * width) & (area < 0.3 * w * h)):
        # The edge of a board, not level: long, thin, and of one part.
        points = np.column_stack(np.nonzero(labels == number + 1))
        _, spans, _ = cv2.minAreaRect(points.astype(np.float32))
        frame[number] = min(spans) < 0.12 * height
    usable = ~speck & ~frame
    if not usable.any():
        return None
    line = _line(usable, x, y, w, h, top, bottom, reached, height)
    if line is None:
        return None
    kept, large, lines = line
    boxes = np.stack((x, y, w, h), 1)[large]
    strokes = np.zeros(count, np.uint8)
    strokes[1:][~frame] = 255
    text = np.zeros(count, np.uint8)
    text[1:][kept] = 255
    text_mask, stroke_mask = text[labels], strokes[labels]
    seen = _features(picture, mask, text_mask, stroke_mask, thickness, x[kept], y[kept], w[kept], h[kept])
    if seen is None:
        return None
    return _Candidate(text_mask, stroke_mask, _weighed(seen, _CHOICE), lines, boxes, seen)


def _line(
    usable: NDArray[np.bool_],
    x: NDArray[Any],
    y: NDArray[Any],
    w: NDArray[Any],
    h: NDArray[Any],
    top: NDArray[np.bool_],
    bottom: NDArray[np.bool_],
    reached: NDArray[Any],
    height: int,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int] | None:
    """Which parts make the main line, which of them are large, and how many lines there are."""
    cx = x + w / 2
    my = y + h / 2
    # A part cut off by the crop's top or bottom whose middle lies near it belongs to another line.
    outside = (top & ~bottom & (my < 0.25 * height)) | (bottom & ~top & (my > 0.75 * height))
    inner = usable & ~outside
    if not inner.any():
        inner = usable
    weight = np.where(inner, w * h, 0.0)
    order = np.argsort(h, kind="stable")
    covered = np.cumsum(weight[order])
    reference = float(h[order][np.searchsorted(covered, 0.5 * covered[-1])])
    tall = np.flatnonzero(inner & (h > 0.5 * reference))
    slope = min(max(trend(cx[tall], my[tall])[0], -1.0), 1.0) if len(tall) >= 3 else 0.0
    level = my - slope * cx
    # Lines are where the levels of their parts lie apart; those of an arc do not.
    tall = tall[np.argsort(level[tall], kind="stable")]
    rows = np.split(tall, np.flatnonzero(np.diff(level[tall]) > 0.6 * reference) + 1)
    main = max(rows, key=lambda row: float((w[row] * h[row]).sum()))
    room = 0.45 * reference
    low, high = level[main].min() - room, level[main].max() + room
    # Of the crop's own line, where it lies at an edge, letters may be cut off as well.
    far = np.abs(level - np.median(level[main])) > 0.35 * reference
    kept = usable & ~(outside & far) & (level > low) & (level < high)
    kept[main] = True
    # Dots, accents and signs near it.
    small = (h < 0.6 * reference) & (reached == 0)
    kept |= usable & small & (level > low - 0.65 * reference) & (level < high + 0.65 * reference)
    lines = 1
    for row in rows:
        whole = row[~(top | bottom)[row]]
        enough = w[whole].sum() > (0.3 if len(whole) > 1 else 0.6) * w[main].sum()
        lines += row is not main and len(whole) > 0 and bool(enough)
    edge = reached[main] > 0
    wide, tall_enough = w[main].sum() > 0.5 * height, h[main].max() > 0.5 * height
    if ((top[main].all() or bottom[main].all()) and not tall_enough) or (edge.all() and not wide):
        return None  # a piece of another line, or of the board
    large = np.zeros_like(kept)
    large[main] = ~(top | bottom)[main]
    return kept, large, lines


def _thicker(labels: NDArray[Any], thickness: NDArray[Any], half: float, count: int) -> NDArray[np.bool_]:
    """Which parts are somewhere more than `half` pixels from their contour."""
    found = np.zeros(count, np.bool_)
    found[labels[thickness > half]] = True
    return found[1:]


def _weighed(seen: list[float], weights: NDArray[np.float64]) -> float:
    x = np.array(seen)
    return float(weights @ np.concatenate((x, x * x, (1.0,))))


def _features(
    picture: _Picture,
    mask: Image,
    text: Image,
    strokes: Image,
    thickness: NDArray[Any],
    x: NDArray[Any],
    y: NDArray[Any],
    w: NDArray[Any],
    h: NDArray[Any],
) -> list[float] | None:
    """What tells text from other things, each about 0 to 1; None where there are no strokes."""
    height, width = picture.height, picture.width
    inked = text > 0
    amount = cv2.countNonZero(text)
    x0, y0, x1, y1 = x.min(), y.min(), (x + w).max(), (y + h).max()
    tall = float(y1 - y0)
    # Ridges: where the distance to the ground is no less than around.
    ridge = (thickness >= cv2.dilate(thickness, _SQUARE)) & inked
    widths = thickness[ridge]
    if len(widths) < 3:
        return None
    mean = float(widths.mean())
    # Edges of the crop that lie on the contours of what would be painted over.
    contour = cv2.morphologyEx(strokes, cv2.MORPH_GRADIENT, _SQUARE)
    band = cv2.dilate(contour, _SQUARE)
    explained = float(picture.edges[band > 0].sum(dtype=np.float64)) / picture.all_edges
    # How strong they are there, against what they are in the crop's strongest places.
    outline = cv2.morphologyEx(text, cv2.MORPH_GRADIENT, _SQUARE) > 0
    on = picture.edges[outline]
    strong = float(on.mean()) / picture.strongest if len(on) else 0.0
    around = (cv2.dilate(text, _DISC) > 0) & (cv2.dilate(mask, _SQUARE) == 0)
    core = cv2.erode(text, _SQUARE)
    if cv2.countNonZero(core) < 0.1 * amount:
        core = text
    apart, ink_uneven, ground_uneven = 0.0, 1.0, 1.0
    if cv2.countNonZero(around.view(np.uint8)) > 8:
        ink, ink_spread = cv2.meanStdDev(picture.lab, mask=core)
        ground, ground_spread = cv2.meanStdDev(picture.lab, mask=around.view(np.uint8))
        difference = float(np.linalg.norm(ink - ground))
        apart = difference / (difference + 12)
        ink_uneven = float(np.linalg.norm(ink_spread)) / (difference + 4)
        ground_uneven = float(np.linalg.norm(ground_spread)) / (difference + 4)
    border = cv2.countNonZero(mask[0]) + cv2.countNonZero(mask[-1])
    sides = cv2.countNonZero(mask[:, 0]) + cv2.countNonZero(mask[:, -1])
    heaviest = h > 0.5 * h.max()
    whole = max(cv2.countNonZero(mask), 1)
    return [
        min(float(widths.std()) / max(mean, 1e-6), 1.5),
        min(2 * mean / max(tall, 1.0), 1.0),
        min(float(widths.max()) / max(mean, 1e-6) / 4, 1.5),
        border / (2 * width),
        sides / (2 * height),
        explained,
        min(strong, 1.5),
        apart,
        min(ink_uneven, 1.5),
        min(ground_uneven, 1.5),
        float(x1 - x0) / width,
        tall / height,
        amount / max(float(x1 - x0) * tall, 1.0),
        amount / whole,
        cv2.countNonZero(strokes) / whole,
        min(len(x), 40) / 40,
        float(h[heaviest].std() / h[heaviest].mean()),
        min(2 * mean / height * 5, 1.5),
        min(0.25 * cv2.countNonZero(outline.view(np.uint8)) * mean / max(amount, 1), 1.5),
    ]


# Weights of what `_features` sees, of its squares, and a constant, made by scripts/fit_style_judge.py: the first table
# orders a crop's candidates, the second says how likely it is that the first of them overlaps the text by 0.65.
# fmt: off
_CHOICE: Final = np.array((
    0.56, -1.05, -0.31, -1.07, -1.17, 2.43, 0.91, -0.00, -1.53, -1.10, 0.78, 0.03, -0.01, 1.84, 0.49, 0.30, 0.03,
    -1.26, -0.33, -0.84, -0.37, -0.29, 1.55, 1.17, 1.28, 1.85, 1.02, 0.90, -1.02, 0.46, -0.48, 0.19, 0.52, -1.37,
    -0.40, -0.17, 0.36, -0.60, 0.00,
))
_BELIEF: Final = np.array((
    -0.60, -0.22, -1.07, -0.77, -0.89, 0.32, 0.19, 0.76, -1.90, -0.43, -0.42, -0.60, -0.16, 0.51, -0.27, -0.24, 0.21,
    0.35, -1.14, -0.27, -0.17, -0.67, -0.21, -0.40, 1.32, 1.03, 1.84, -0.51, -0.52, 0.46, 0.19, 0.07, 1.44, 0.32,
    0.02, -0.01, 0.56, -0.76, -1.89,
))
# fmt: on
_SQUARE: Final = np.ones((3, 3), np.uint8)
_DISC: Final = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
