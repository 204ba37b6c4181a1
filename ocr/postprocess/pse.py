"""Kernels of PSENet (Wang et al., "Shape Robust Text Detection with Progressive Scale Expansion Network", 2019) to
polygons with scores; NumPy and OpenCV."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ocr.postprocess.db import Detection, clockwise, outline_polygon, outline_rectangle
from synth.strict import Section

_Share = Annotated[float, Field(gt=0, lt=1)]
_LEAST = 2.0  # pixels of a region's shorter side


class PSEPostProcess(Section):
    """How kernels become boxes; names and defaults as in PaddleOCR, but `thresh`, which is a probability here."""

    name: Literal["PSEPostProcess"] = "PSEPostProcess"
    thresh: _Share = Field(0.5, description="probability from which a pixel is text, and in a kernel")
    box_thresh: _Share = Field(0.85, description="mean probability from which a region is kept")
    min_area: Annotated[int, Field(ge=1)] = Field(16, description="pixels of the map; smaller regions are left out")
    box_type: Literal["quad", "poly"] = Field("quad", description="boxes with four corners, or polygons")


def pse_boxes(probability: NDArray[np.float32], config: PSEPostProcess, height: float, width: float) -> list[Detection]:
    """Find the texts in maps.

    Args:
        probability: n × rows × columns, 0 to 1: of whole texts, then of kernels from the largest to the smallest.
        config: see `PSEPostProcess`.
        height, width: of the picture that the maps cover; polygons are clipped to it.
    """
    kernels = probability > config.thresh
    kernels &= kernels[:1]
    labels = expanded(kernels)
    whole = probability[0]
    rows, columns = whole.shape
    scale = np.array((width / columns, height / rows), np.float32)
    most = np.array((width, height), np.float32)
    found: list[Detection] = []
    for number, (top, bottom, left, right), count, total in _regions(labels, whole):
        score = total / count
        if count < config.min_area or score < config.box_thresh:
            continue
        mask = (labels[top:bottom, left:right] == number).astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top))
        outline = max(outlines, key=cv2.contourArea)
        if config.box_type == "quad":
            x, y, w, h, angle = outline_rectangle(outline)
            if min(w, h) < _LEAST:
                continue
            polygon = clockwise(cv2.boxPoints(((x, y), (w, h), angle)))
        else:
            ring = outline_polygon(outline, 0.0, _LEAST)
            if ring is None:
                continue
            polygon = ring
        polygon = polygon * scale
        found.append(Detection(np.clip(polygon, 0, most, out=polygon), score))
    return found


def expanded(kernels: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Progressive scale expansion (algorithm 1 of the paper).

    The connected regions (four neighbours) of the smallest kernel get the labels 1, 2, … in the order of their first
    pixels, row by row. Then they grow into each larger kernel in turn, breadth first, with one queue that begins with
    all labelled pixels in the order of their labels: a pixel belongs to the region that is fewest steps away, and of
    several as near to the one with the lowest label. Which region owns a pixel does not depend on anything else, so
    all pixels of a step are labelled at once.

    Args:
        kernels: n × rows × columns, from the largest to the smallest.

    Returns:
        `int32`, rows × columns; 0 where there is no text.
    """
    _, rows, columns = kernels.shape
    wide = columns + 2
    # A frame of nothing, so that every pixel has four neighbours.
    labels = np.zeros((rows + 2, wide), np.int32)
    labels[1:-1, 1:-1] = _components(kernels[-1])
    flat = labels.ravel()
    around = np.array((-wide, -1, 1, wide))
    free = np.zeros((rows + 2, wide), np.bool_)
    open_ = free.ravel()
    far = np.iinfo(np.int32).max
    for kernel in kernels[-2::-1]:
        free[1:-1, 1:-1] = kernel & (labels[1:-1, 1:-1] == 0)
        own = labels > 0
        beside = np.zeros_like(free)
        beside[1:-1, 1:-1] = own[:-2, 1:-1] | own[2:, 1:-1] | own[1:-1, :-2] | own[1:-1, 2:]
        front = np.flatnonzero(beside & free)
        while front.size:
            near = flat[front[:, None] + around]
            near[near == 0] = far
            flat[front] = near.min(1)
            open_[front] = False
            following = (front[:, None] + around).ravel()
            front = np.unique(following[open_[following]])
    return labels[1:-1, 1:-1].copy()


def _components(kernel: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Connected regions, numbered in the order of their first pixels: OpenCV does not promise an order."""
    count, labels = cv2.connectedComponents(kernel.astype(np.uint8), connectivity=4)
    _, first = np.unique(labels, return_index=True)
    order = np.zeros(count, np.int32)
    known = labels.ravel()[np.sort(first)]
    order[known[known > 0]] = np.arange(1, count)
    return np.asarray(order[labels], np.int32)


def _regions(
    labels: NDArray[np.int32], values: NDArray[np.float32]
) -> list[tuple[int, tuple[int, int, int, int], int, float]]:
    """Of each label: its number, its rows and columns (from, to), its pixels, the sum of the values in them."""
    y, x = np.nonzero(labels)
    numbers = labels[y, x]
    order = np.argsort(numbers, kind="stable")
    numbers, y, x = numbers[order], y[order], x[order]
    starts = np.flatnonzero(np.diff(numbers, prepend=0))
    if not starts.size:
        return []
    counts = np.diff(starts, append=len(numbers))
    sums = np.add.reduceat(values[y, x].astype(np.float64), starts)
    edges: list[Any] = [
        extreme.reduceat(axis, starts) + more
        for extreme, axis, more in ((np.minimum, y, 0), (np.maximum, y, 1), (np.minimum, x, 0), (np.maximum, x, 1))
    ]
    boxes = zip(*(edge.tolist() for edge in edges), strict=True)
    return list(zip(numbers[starts].tolist(), boxes, counts.tolist(), sums.tolist(), strict=True))
