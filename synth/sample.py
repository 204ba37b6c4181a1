"""The one thing that flows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Sample:
    """One labelled image.

    Attributes:
        image: `uint8`, height × width × 3, BGR.
        text: the label: NFC, logical order, exactly what is drawn.
        units: `text` cut into dictionary units; `"".join(units) == text`.
        polygons: `float32`, len(units) × 4 × 2, (x, y) in pixels, clockwise from the text's own top-left.
        shared: `bool`, len(units): the polygon is that of a shaped cluster which several units share.
        meta: what it was made of (source, font, size, ...); JSON-serialisable.
        refusals: why earlier attempts at this index were refused, as (reason, detail).
        encoded: `image` as JPEG (or PNG); legibility is measured on what this decodes to.
    """

    image: NDArray[np.uint8]
    text: str
    units: list[str]
    polygons: NDArray[np.float32]
    shared: NDArray[np.bool_]
    meta: dict[str, Any] = field(default_factory=dict)
    refusals: list[tuple[str, str]] = field(default_factory=list)
    encoded: bytes = b""
