"""Crops of which everything is known: lines drawn in a font, on a ground, with blur, noise and JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.fonts.face import Face
from synth.fonts.index import scan
from synth.render.line import GlyphCache, draw_line
from synth.render.shape import shape_line
from synth.text.units import split_units

Array = NDArray[Any]


def coverage(font: Path, text: str, ppem: int = 36, *, slant: float = 0.0) -> Array:
    """The ink of a line, 0 to 255, cut to it."""
    face = Face(scan([font]).faces[0])
    runs = shape_line(text, [(face, 0, len(text))])
    ink = draw_line(runs, split_units(text, "grapheme"), ppem, GlyphCache()).mask
    if slant:
        rows, columns = ink.shape
        room = int(abs(slant) * rows) + 1
        ink = cv2.copyMakeBorder(ink, 0, 0, room, room, cv2.BORDER_CONSTANT, value=0)
        lean = np.array(((1.0, -slant, slant * rows / 2), (0.0, 1.0, 0.0)))
        ink = cv2.warpAffine(ink, lean, (columns + 2 * room, rows))
    return ink


@dataclass
class Made:
    """A crop and the truth: its ink's coverage, and the ground under it, both of its size."""

    image: Array
    mask: Array
    ground: Array


def crop(
    ink: Array,
    *,
    colour: tuple[int, int, int] = (40, 40, 40),
    paper: tuple[int, int, int] = (210, 215, 220),
    margin: int = 12,
    degrees: float = 0.0,
    blur: float = 0.6,
    noise: float = 2.0,
    light: float = 0.0,
    ring: int = 0,
    ring_colour: tuple[int, int, int] = (255, 255, 255),
    shadow: tuple[int, int] | None = None,
    seed: int = 0,
) -> Made:
    """Paint a line.

    Args:
        ink: coverage.
        colour, paper: blue, green, red.
        margin: pixels on all sides.
        degrees: by which it is turned, clockwise.
        blur: standard deviation in pixels, of ink and ground.
        noise: standard deviation in levels.
        light: levels by which the ground is brighter at the right than at the left.
        ring, ring_colour: of an outline.
        shadow: how far to the right and down it falls.
        seed: of the noise.
    """
    mask = cv2.copyMakeBorder(ink, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
    if degrees:
        rows, columns = mask.shape
        pad = int(abs(np.sin(np.radians(degrees))) * columns / 2) + 1
        mask = cv2.copyMakeBorder(mask, pad, pad, 0, 0, cv2.BORDER_CONSTANT, value=0)
        turn = cv2.getRotationMatrix2D((columns / 2, mask.shape[0] / 2), -degrees, 1.0)
        mask = cv2.warpAffine(mask, turn, mask.shape[::-1])
    rows, columns = mask.shape
    ground = np.broadcast_to(np.array(paper, np.float64), (rows, columns, 3)).copy()
    ground += np.linspace(-light / 2, light / 2, columns)[None, :, None]
    image = ground.copy()
    if shadow is not None:
        moved = cv2.warpAffine(mask, np.array(((1.0, 0, shadow[0]), (0, 1.0, shadow[1]))), (columns, rows))
        image *= 1 - 0.5 * moved[..., None] / 255
    if ring:
        wide = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * ring + 1, 2 * ring + 1)))
        image += (np.array(ring_colour) - image) * (wide[..., None] / 255)
    image += (np.array(colour) - image) * (mask[..., None] / 255)
    if blur:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    image += np.random.default_rng(seed).normal(0, noise, image.shape) if noise else 0
    return Made(np.clip(image + 0.5, 0, 255).astype(np.uint8), mask, np.clip(ground, 0, 255).astype(np.uint8))


def overlap(a: Array, b: Array) -> float:
    """Pixels that are ink in both over those that are in either."""
    one, other = a >= 128, b >= 128
    return float((one & other).sum() / max((one | other).sum(), 1))
