"""Probability maps of differentiable binarization (Liao et al., 2020) to polygons with scores; NumPy and OpenCV."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from synth.strict import Section

_Share = Annotated[float, Field(gt=0, lt=1)]


class DBPostProcess(Section):
    """How a map becomes boxes; names and defaults as in PaddleOCR."""

    name: Literal["DBPostProcess"] = "DBPostProcess"
    thresh: _Share = Field(0.3, description="probability from which a pixel is text")
    box_thresh: _Share = Field(0.6, description="mean probability from which a region is kept")
    max_candidates: Annotated[int, Field(ge=1)] = Field(1000, description="regions looked at, the first ones found")
    unclip_ratio: Annotated[float, Field(ge=0, le=10)] = Field(
        1.5, description="boxes grow by area × ratio / perimeter on every side"
    )
    min_size: Annotated[float, Field(ge=1)] = Field(
        3.0, description="regions with a shorter side in the map are left out"
    )
    use_dilation: bool = Field(False, description="thicken regions by a pixel first, so that broken ones join")
    score_mode: Literal["fast", "slow"] = Field(
        "fast", description="mean over the region's box (fast) or over its outline (slow)"
    )
    box_type: Literal["quad", "poly"] = Field("quad", description="boxes with four corners, or polygons")


@dataclass(frozen=True, slots=True)
class Detection:
    """A text found in a picture.

    Attributes:
        polygon: `float32`, N × 2, in pixels of the picture, clockwise; a quad begins at its top left corner.
        score: mean probability, 0 to 1.
    """

    polygon: NDArray[np.float32]
    score: float


def db_boxes(probability: NDArray[np.float32], config: DBPostProcess, height: float, width: float) -> list[Detection]:
    """Find the texts in a map.

    A region's pixels are squares: one of three columns is three wide. Quads grow in closed form, (w + 2D) × (h + 2D);
    polygons by shapely, with round joins.

    Args:
        probability: rows × columns, 0 to 1.
        config: see `DBPostProcess`.
        height, width: of the picture that the map covers; polygons are clipped to it.
    """
    rows, columns = probability.shape
    binary: NDArray[Any] = (probability > config.thresh).astype(np.uint8)
    if config.use_dilation:
        binary = cv2.dilate(binary, np.ones((2, 2), np.uint8))
    outlines, _ = cv2.findContours(binary, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    scale = np.array((width / columns, height / rows), np.float32)
    most = np.array((width, height), np.float32)
    found: list[Detection] = []
    for outline in outlines[: config.max_candidates]:
        x, y, w, h, angle = outline_rectangle(outline)
        if min(w, h) < config.min_size:
            continue
        corners = cv2.boxPoints(cv2.minAreaRect(outline)) if config.score_mode == "fast" else outline[:, 0]
        score = _score(probability, corners)
        if score < config.box_thresh:
            continue
        if config.box_type == "quad":
            distance = w * h * config.unclip_ratio / (2 * (w + h))
            w, h = w + 2 * distance, h + 2 * distance
            if min(w, h) < config.min_size + 2:
                continue
            polygon = clockwise(cv2.boxPoints(((x, y), (w, h), angle)))
        else:
            grown = outline_polygon(outline, config.unclip_ratio, config.min_size + 2)
            if grown is None:
                continue
            polygon = grown
        polygon = polygon * scale
        found.append(Detection(np.clip(polygon, 0, most, out=polygon), score))
    return found


def clockwise(quad: NDArray[Any]) -> NDArray[np.float32]:
    """Four corners clockwise (as one sees them, y downwards) from the top left: of the two leftmost, the upper one."""
    order = quad[np.argsort(quad[:, 0], kind="stable")]
    left = order[:2][np.argsort(order[:2, 1], kind="stable")]
    right = order[2:][np.argsort(order[2:, 1], kind="stable")]
    return np.stack((left[0], right[0], right[1], left[1])).astype(np.float32)


def unclipped(polygon: NDArray[Any], ratio: float) -> NDArray[np.float32] | None:
    """A polygon grown by area × ratio / perimeter on every side, with round joins; None where it falls to pieces."""
    import shapely

    shape = shapely.Polygon(polygon)
    if not shape.is_valid:
        shape = shape.buffer(0)
    if shape.is_empty or shape.geom_type != "Polygon":
        return None
    grown = shape.buffer(shape.area * ratio / shape.length, quad_segs=8, join_style="round")
    if grown.geom_type != "Polygon" or grown.is_empty:
        return None
    # shapely's rings run counter-clockwise with y upwards, and end where they began
    points = np.asarray(shapely.geometry.polygon.orient(grown, 1.0).exterior.coords, np.float32)[:-1]
    return points


def outline_rectangle(outline: NDArray[Any]) -> tuple[float, float, float, float, float]:
    """The rectangle around a region: centre (x, y), width, height, angle in degrees, as OpenCV has it.

    Args:
        outline: N × 1 × 2, as `cv2.findContours` gives it: through the centres of pixels, which have whole coordinates
            there and end in a half in the result.
    """
    (x, y), (w, h), angle = cv2.minAreaRect(outline)
    margin = _margin(outline[:, 0], w, h)
    return x + 0.5, y + 0.5, w + margin, h + margin, angle


def outline_polygon(outline: NDArray[Any], ratio: float, least: float) -> NDArray[np.float32] | None:
    """The outline as a polygon of few points, grown as by `unclipped`; None where it is too small for one.

    Args:
        outline: as of `outline_rectangle`.
        ratio: see `unclipped`.
        least: pixels of the shorter side that the result is to have.
    """
    import shapely

    # Half a pixel wider than the outline through its centres: the region's own area.
    points = outline[:, 0].astype(np.float32) + np.float32(0.5)
    if len(points) < 3:
        return None
    region = shapely.Polygon(points).buffer(0.5, join_style="mitre")
    if region.geom_type != "Polygon" or region.is_empty:
        return None
    ring = np.asarray(region.exterior.coords, np.float32)[:-1]
    simple = cv2.approxPolyDP(ring[:, None], 0.002 * cv2.arcLength(ring[:, None], True), True)[:, 0]
    if len(simple) < 4:
        return None
    grown = unclipped(simple, ratio)
    if grown is None or min(cv2.minAreaRect(grown[:, None])[1]) < least:
        return None
    few = cv2.approxPolyDP(grown[:, None], 0.002 * cv2.arcLength(grown[:, None], True), True)[:, 0]
    return np.asarray(few, np.float32)


def _margin(outline: NDArray[Any], w: float, h: float) -> float:
    """What a box around pixel centres lacks in either direction: 1 where it is upright, less where it is turned.

    Its area is to be that of the pixels, which follows from their outline by Pick's theorem; between 0 and 1.
    """
    steps = np.abs(np.diff(outline, axis=0, append=outline[:1])).max(1).sum()
    pixels = cv2.contourArea(outline) + float(steps) / 2 + 1
    half = (w + h) / 2
    return min(max(math.sqrt(max(half * half - (w * h - pixels), 0.0)) - half, 0.0), 1.0)


def _score(probability: NDArray[np.float32], points: NDArray[Any]) -> float:
    """Mean probability of the pixels in a polygon through pixel centres."""
    rows, columns = probability.shape
    left, top = np.floor(points.min(0)).astype(int).tolist()
    right, bottom = np.ceil(points.max(0)).astype(int).tolist()
    left, top = min(max(left, 0), columns - 1), min(max(top, 0), rows - 1)
    right, bottom = min(max(right, left), columns - 1), min(max(bottom, top), rows - 1)
    mask = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(mask, [np.round(points - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(probability[top : bottom + 1, left : right + 1], mask)[0])
