"""The look of one real crop, measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from numpy.typing import NDArray

Image: TypeAlias = NDArray[Any]
"""`uint8`; OpenCV's stubs do not promise more."""

Colour: TypeAlias = tuple[float, float, float]
"""Blue, green, red, 0 to 255."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A rim around letters.

    Attributes:
        colour: of the rim.
        width: in heights of the text.
    """

    colour: Colour
    width: float


@dataclass(frozen=True, slots=True)
class Shadow:
    """What letters throw on the ground.

    Attributes:
        x, y: where it falls, in heights of the text, to the right and down.
        strength: 0 to 1 of the ground's luminance that it takes.
    """

    x: float
    y: float
    strength: float


@dataclass(frozen=True, slots=True)
class Style:
    """The look of one crop; all geometry in the pixels of `image`.

    Attributes:
        name: of the crop.
        image: height × width × 3, the crop, scaled down where it was very high.
        mask: height × width, coverage of the ink.
        background: height × width × 3, the crop without its text.
        ink: the ink's middle colour.
        gradient: change of the ink's colour from the text's left to its right end and from its top to its bottom.
        texture: standard deviation of the ink's luminance beside the gradient.
        darker: whether ink is darker than the ground.
        outline, shadow: where there are any.
        quad: 4 × 2, the corners of the straight box around the text as it lies in perspective or turned, clockwise from
            the text's own top-left.
        angle: of the text line in radians, clockwise.
        slant: of the letters, horizontal shift for each pixel up, as in italics.
        height: of the text's ink, in pixels, at right angles to the line.
        baseline: share of `height` from the top at which the letters stand.
        stroke: width of strokes in pixels.
        margins: left, top, right, bottom of the crop around the text, in heights of the text; may be negative.
        blur: standard deviation in pixels of the point spread that edges show.
        noise: standard deviation of the ground's luminance beside its texture.
        quality: of JPEG that blocks show, 1 to 100; 100: none.
        contrast: luminance of ink against ground, always positive.
        label: what the crop says, where it is known.
        font: the face nearest to it, where it has been looked for.
        confidence: 0 to 1 that mask and background are right.
    """

    name: str
    image: Image
    mask: Image
    background: Image
    ink: Colour
    gradient: tuple[Colour, Colour]
    texture: float
    darker: bool
    outline: Outline | None
    shadow: Shadow | None
    quad: NDArray[Any]
    angle: float
    slant: float
    height: float
    baseline: float
    stroke: float
    margins: tuple[float, float, float, float]
    blur: float
    noise: float
    quality: int
    contrast: float
    label: str
    font: str
    confidence: float
