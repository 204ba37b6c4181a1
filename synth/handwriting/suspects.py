"""Images that do not look like their class, by their nearest neighbours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.handwriting.readers import Grey

_SIDE: Final = 24
_CELLS: Final = 6
_ANGLES: Final = np.arange(8) * (math.pi / 4)
_TURNS: Final = np.stack((np.cos(_ANGLES), np.sin(_ANGLES)), axis=1).astype(np.float32)

FEATURES: Final = len(_ANGLES) * _CELLS**2
"""Values that `features` gives."""

_NEIGHBOURS: Final = 7
_OF_ONE_CLASS: Final = 4  # neighbours of one other class, and none of the own
_LEAST: Final = 4  # images of a class below which it says nothing of one of them
_COMPARED: Final = 20_000  # images that all are compared with: time grows with their number
_SHRINK: Final = 0.3  # share of the mean variance in the common covariance
_CHUNK: Final = 512


def features(mask: Grey) -> NDArray[np.uint8]:
    """What a character looks like: its edges in 8 directions and 6 × 6 places (after Dalal and Triggs, 2005).

    Args:
        mask: height × width.

    Returns:
        FEATURES values.
    """
    height, width = mask.shape
    # Flat and narrow ones are drawn out, so that there is something to see in them.
    narrow = math.sqrt(math.sin(math.pi / 2 * min(height, width) / max(height, width)))
    short = max(2, round(_SIDE * narrow))
    columns, lines = (_SIDE, short) if width >= height else (short, _SIDE)
    view: Any = cv2.resize(mask, (columns, lines), interpolation=cv2.INTER_AREA)
    left, top = (_SIDE - columns) // 2, (_SIDE - lines) // 2
    view = cv2.copyMakeBorder(
        view, top, _SIDE - lines - top, left, _SIDE - columns - left, cv2.BORDER_CONSTANT, value=0
    )
    view = cv2.GaussianBlur(view, (0, 0), 1.0)
    slopes = np.stack((cv2.Sobel(view, cv2.CV_32F, 1, 0).ravel(), cv2.Sobel(view, cv2.CV_32F, 0, 1).ravel()))
    edges = np.maximum(_TURNS @ slopes, 0).reshape(len(_ANGLES), _CELLS, _SIDE // _CELLS, _CELLS, _SIDE // _CELLS)
    found = np.sqrt(edges.mean(axis=(2, 4))).ravel()
    scaled = found * (1024 / max(float(np.linalg.norm(found)), 1e-6))
    return np.asarray(np.minimum(scaled, 255), np.uint8)


def unlike(found: NDArray[np.uint8], classes: NDArray[np.int32]) -> NDArray[np.int32]:
    """The class that each image looks like, where that is clearly another one than its own; else -1.

    Of its seven nearest neighbours none is of its own class, and four or more are of one other. Distances are between
    directions, after the covariance common to all classes has been made round. Sets of more than 20,000 images are
    compared with so many of them, spread over the classes. Classes of fewer than four images are not judged.

    Args:
        found: images × FEATURES, of `features`.
        classes: of the images, from 0.
    """
    suspect = np.full(len(found), -1, np.int32)
    if len(found) <= _NEIGHBOURS:
        return suspect
    sizes = np.bincount(classes)
    compared = _some_of_each(classes, len(sizes))
    known, of = found[compared].astype(np.float32), classes[compared]
    # What looks like nothing of its class has no say in how its class varies.
    plain = _directions(known, np.eye(FEATURES, dtype=np.float32))
    rows = np.arange(len(known))
    usual = np.concatenate(
        [(of[near] == of[part, None]).any(1) for part, near in _nearest(plain, plain, rows, _NEIGHBOURS)]
    )
    middle = known.mean(0)
    white = _whitening(known[usual], of[usual]) if usual.any() else np.eye(FEATURES, dtype=np.float32)
    known = _directions(known - middle, white)
    places = np.full(len(found), -1)
    places[compared] = rows
    for start in range(0, len(found), _CHUNK):
        points = _directions(found[start : start + _CHUNK] - middle, white)
        for part, near in _nearest(points, known, places[start : start + _CHUNK], _NEIGHBOURS):
            own, neighbours = classes[start + part], of[near]
            for k in np.flatnonzero(~(neighbours == own[:, None]).any(1) & (sizes[own] >= _LEAST)):
                names, votes = np.unique(neighbours[k], return_counts=True)
                if votes.max() >= _OF_ONE_CLASS:
                    suspect[start + part[k]] = names[votes.argmax()]
    return suspect


def _nearest(
    points: NDArray[np.float32], known: NDArray[np.float32], places: NDArray[np.intp], count: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """For stretches of points, their numbers and those of the `count` known ones that are nearest.

    `places` says which known one a point itself is, or -1.
    """
    for start in range(0, len(points), _CHUNK):
        part = np.arange(start, min(start + _CHUNK, len(points)))
        likeness = points[part] @ known.T
        itself = np.flatnonzero(places[part] >= 0)
        likeness[itself, places[part][itself]] = -np.inf
        yield part, np.argpartition(-likeness, count, axis=1)[:, :count]


def _some_of_each(classes: NDArray[np.int32], count: int) -> NDArray[np.intp]:
    """Numbers of images to compare with, in order: all, or as many of each class as there is room for."""
    if len(classes) <= _COMPARED:
        return np.arange(len(classes))
    order = np.random.default_rng(0).permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    starts = np.searchsorted(classes[order], np.arange(count))
    rank = np.arange(len(order)) - starts[classes[order]]
    return np.sort(order[np.argsort(rank, kind="stable")[:_COMPARED]])


def _whitening(points: NDArray[np.float32], classes: NDArray[np.int32]) -> NDArray[np.float32]:
    order = np.argsort(classes, kind="stable")
    points, classes = points[order], classes[order]
    starts = np.flatnonzero(np.diff(classes, prepend=-1))
    sizes = np.diff(starts, append=len(classes))
    away = points - np.repeat(np.add.reduceat(points, starts) / sizes[:, None], sizes, axis=0)
    common = (away.T @ away / len(points)).astype(np.float64)
    common[np.diag_indices_from(common)] += _SHRINK * np.trace(common) / len(common) + 1e-6
    values, vectors = np.linalg.eigh(common)
    return np.asarray(vectors / np.sqrt(values), np.float32)


def _directions(points: NDArray[Any], white: NDArray[np.float32]) -> NDArray[np.float32]:
    turned = np.asarray(points, np.float32) @ white
    return np.asarray(turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-6), np.float32)
