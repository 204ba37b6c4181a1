"""Scores and rotated boxes of EAST (Zhou et al., "EAST: An Efficient and Accurate Scene Text Detector", 2017) to
quadrilaterals with scores; NumPy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ocr.postprocess.db import Detection, clockwise
from synth.strict import Section

_Share = Annotated[float, Field(gt=0, lt=1)]
_FARTHEST = 8.0  # logarithm of a distance: 3,000 pixels of the map


class EASTPostProcess(Section):
    """How maps become boxes; names as in PaddleOCR.

    A score learnt by cross-entropy with hard negatives says at a half that text is as likely as none; PaddleOCR's 0.8
    is for one learnt by another loss, and here loses the texts of few pixels.
    """

    name: Literal["EASTPostProcess"] = "EASTPostProcess"
    score_thresh: _Share = Field(0.5, description="probability from which a pixel gives its box")
    nms_thresh: _Share = Field(0.2, description="overlap (IoU) from which boxes are one text")
    max_candidates: Annotated[int, Field(ge=1)] = Field(
        20_000, description="boxes looked at, those of the surest pixels"
    )


def east_boxes(maps: NDArray[np.float32], config: EASTPostProcess, height: float, width: float) -> list[Detection]:
    """Find the texts in maps; a text's score is the mean probability of the pixels whose boxes became its.

    Args:
        maps: 6 × rows × columns; see `ocr.models.det.EASTHead.maps`.
        config: see `EASTPostProcess`.
        height, width: of the picture that the maps cover; quads are clipped to it.
    """
    rows, columns = maps.shape[1:]
    scale = np.array((width / columns, height / rows), np.float32)
    most = np.array((width, height), np.float32)
    chosen = np.flatnonzero(maps[0] > config.score_thresh)
    if len(chosen) > config.max_candidates:
        surest = np.argsort(-maps[0].ravel()[chosen], kind="stable")[: config.max_candidates]
        chosen = np.sort(chosen[surest])
    quads, scores = restored(maps, chosen), maps[0].ravel()[chosen].astype(np.float64)
    found = []
    for quad, weight, count in zip(*locality_aware_nms(quads, scores, config.nms_thresh), strict=True):
        polygon = clockwise(quad) * scale
        found.append(Detection(np.clip(polygon, 0, most, out=polygon), float(weight / count)))
    return found


def restored(maps: NDArray[np.float32], chosen: NDArray[np.integer]) -> NDArray[np.float64]:
    """The boxes of some pixels, N × 4 × 2 in pixels of the map, clockwise from the top left.

    Args:
        maps: as of `east_boxes`.
        chosen: numbers of the pixels, row by row.
    """
    columns = maps.shape[2]
    logs = maps[1:5].reshape(4, -1)[:, chosen].astype(np.float64)
    top, right, bottom, left = np.exp(np.minimum(logs, _FARTHEST))
    angle = maps[5].ravel()[chosen].astype(np.float64)
    along = np.stack((np.cos(angle), np.sin(angle)), 1)
    down = np.stack((-np.sin(angle), np.cos(angle)), 1)
    centre = np.stack((chosen % columns, chosen // columns), 1) + 0.5
    return np.stack(
        [
            centre + along * x[:, None] + down * y[:, None]
            for x, y in ((-left, -top), (right, -top), (right, bottom), (-left, bottom))
        ],
        1,
    )


def locality_aware_nms(
    quads: NDArray[np.float64], scores: NDArray[np.float64], thresh: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Locality-aware non-maximum suppression (algorithm 1 of the paper).

    Boxes come row by row. Each is merged with the last one where they overlap enough: corners are averaged by score,
    scores are added. Of the merged boxes those are kept that overlap no kept one of a higher score (of equal ones the
    first).

    Args:
        quads: N × 4 × 2, convex, all beginning at the same corner.
        scores: N, above 0.
        thresh: boxes with a larger IoU are one.

    Returns:
        The kept boxes, the highest score first; their scores; how many boxes were merged in each.
    """
    merged: list[NDArray[np.float64]] = []
    weights: list[float] = []
    counts: list[int] = []
    for quad, score in zip(quads, scores.tolist(), strict=True):
        if merged and overlap(quad, merged[-1]) > thresh:
            weight = weights[-1] + score
            merged[-1] = (merged[-1] * weights[-1] + quad * score) / weight
            weights[-1], counts[-1] = weight, counts[-1] + 1
        else:
            merged.append(quad)
            weights.append(score)
            counts.append(1)
    boxes = np.array(merged).reshape(-1, 4, 2)
    totals = np.array(weights)
    least, most = boxes.min(1), boxes.max(1)
    left = np.argsort(-totals, kind="stable")
    kept: list[int] = []
    while left.size:
        best, left = int(left[0]), left[1:]
        kept.append(best)
        # Only boxes whose upright boxes meet can overlap.
        meet = ((least[left] < most[best]) & (most[left] > least[best])).all(1)
        gone = np.zeros(len(left), np.bool_)
        gone[meet] = [overlap(boxes[other], boxes[best]) > thresh for other in left[meet].tolist()]
        left = left[~gone]
    return boxes[kept], totals[kept], np.array(counts, np.int64)[kept]


def overlap(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Intersection over union of two convex polygons, N × 2 each in the same direction, 0 to 1.

    One is clipped by the other's edges in turn (Sutherland and Hodgman, 1974). OpenCV's `intersectConvexConvex` finds
    nothing where edges nearly coincide, as those of boxes of one text do.
    """
    # Areas of what is far from the origin would lose digits.
    origin = one[0]
    part: list[list[float]] = (one - origin).tolist()
    edges: list[list[float]] = (other - origin).tolist()
    own, its = _area(part), _area(edges)
    sign = 1.0 if its > 0 else -1.0
    ax, ay = edges[-1]
    for bx, by in edges:
        dx, dy = (bx - ax) * sign, (by - ay) * sign
        sides = [dx * (y - ay) - dy * (x - ax) for x, y in part]
        kept: list[list[float]] = []
        for number, (x, y) in enumerate(part):
            before, side = sides[number - 1], sides[number]
            if (before < 0) != (side < 0):
                px, py = part[number - 1]
                share = before / (before - side)
                kept.append([px + (x - px) * share, py + (y - py) * share])
            if side >= 0:
                kept.append([x, y])
        part = kept
        if not part:
            return 0.0
        ax, ay = bx, by
    common = abs(_area(part))
    union = abs(own) + abs(its) - common
    return common / union if union > 0 else 0.0


def _area(points: list[list[float]]) -> float:
    """Signed, by the shoelace formula."""
    double = 0.0
    ax, ay = points[-1]
    for bx, by in points:
        double += ax * by - ay * bx
        ax, ay = bx, by
    return double / 2
