"""The labels of pages: PaddleOCR's for detection, a JSON list with `transcription` and `points` for each text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

IGNORED = "###"
"""The label of a text that nobody is expected to find or read."""

_FARTHEST = 1e7  # pixels; beyond, a coordinate is a mistake
_SHOWN = 480  # pixels of the longer side of a page that is shown to people
_SEEN, _UNSEEN = (40, 40, 230), (230, 120, 40)


@dataclass(frozen=True, slots=True)
class Found:
    """One text of a page.

    Attributes:
        text: `###` where it is to be ignored.
        polygon: `float32`, points × 2, in pixels.
    """

    text: str
    polygon: NDArray[np.float32]


def read_label(label: str) -> list[Found]:
    """The texts of a label as PaddleOCR has it for detection.

    Raises:
        ValueError: it is something else; says what.
    """
    try:
        entries = json.loads(label)
    except ValueError as error:
        raise ValueError(f"not JSON ({error})") from None
    if not isinstance(entries, list):
        raise ValueError("not a JSON list of texts")
    found = []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not {"transcription", "points"} <= entry.keys():
            raise ValueError(f"text {number} lacks transcription or points")
        text = entry["transcription"]
        if not isinstance(text, str):
            raise ValueError(f"text {number}: its transcription is no text, but {text!r}")
        try:
            polygon = np.array(entry["points"], np.float64)
        except (TypeError, ValueError):
            polygon = np.zeros(0)
        if polygon.ndim != 2 or polygon.shape[1] != 2 or not (np.abs(polygon) < _FARTHEST).all():
            raise ValueError(f"text {number}: its points are not [x, y] each, two numbers in pixels")
        if len(polygon) < 3:
            raise ValueError(f"text {number} has no polygon of three or more points")
        found.append(Found(text, polygon.astype(np.float32)))
    return found


def quad_of(polygon: NDArray[np.float32]) -> NDArray[np.float32]:
    """Four corners for a polygon: its own where it has four, else those of the smallest rectangle around it.

    They are in the polygon's direction, from the one on that is nearest to its first point.
    """
    if len(polygon) == 4:
        return polygon
    corners = np.asarray(cv2.boxPoints(cv2.minAreaRect(polygon)), np.float32)
    if cv2.contourArea(polygon, oriented=True) * cv2.contourArea(corners, oriented=True) < 0:
        corners = corners[::-1]
    first = int(np.argmin(np.linalg.norm(corners - polygon[0], axis=1)))
    return np.roll(corners, -first, axis=0)


def outlined(data: bytes, texts: Sequence[Found]) -> tuple[bytes, int, int]:
    """A page made small, with its texts' outlines, for people: red, and blue for those to be ignored.

    Args:
        data: encoded image.
        texts: of the page.

    Returns:
        JPEG, width and height in pixels.
    """
    image = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    factor = min(_SHOWN / max(image.shape[:2]), 1.0)
    image = cv2.resize(image, None, None, factor, factor, cv2.INTER_AREA)
    for found in texts:
        points = [np.round(found.polygon * (16 * factor)).astype(np.int32)]
        cv2.polylines(image, points, True, _UNSEEN if found.text == IGNORED else _SEEN, 1, cv2.LINE_AA, 4)
    encoded = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 88))[1].tobytes()
    return encoded, image.shape[1], image.shape[0]
