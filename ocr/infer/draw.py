"""Pictures with what was read in them, in any script that the machine has a font for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth.fonts.book import FontBook, Uncovered
from synth.fonts.index import scan
from synth.recipe import Fonts
from synth.render.line import GlyphCache, NoInk, draw_line
from synth.render.shape import Undrawable, shape_line
from synth.text.corpus import clean
from synth.text.units import split_units

_PLAIN = ("DejaVu Sans", "Noto Sans")
_STYLES = ("Book", "Regular")
_SMALLEST, _LARGEST = 18, 48  # pixels per em
_MARGIN = 6


class CaptionDrawer:
    """Writes texts below pictures.

    Plain upright faces go before others; a text that no face covers is drawn by several.

    Args:
        fonts: files and folders beside the fonts of the machine.
    """

    def __init__(self, fonts: Sequence[Path] = ()) -> None:
        self._fonts = fonts
        self._cache = GlyphCache()

    @cached_property
    def _books(self) -> list[FontBook]:
        faces = [*scan().faces, *(scan(self._fonts).faces if self._fonts else ())]
        plain = [
            face
            for face in faces
            if face.family.startswith(_PLAIN) and "Mono" not in face.family and face.style in _STYLES
        ]
        config = Fonts(variations=0)
        return [FontBook(some, config) for some in (plain, faces) if some]

    def __call__(self, image: NDArray[np.uint8], text: str, size: int = 0) -> tuple[NDArray[np.uint8], bool]:
        """The picture with the text below it.

        Args:
            image: H × W × 3 (BGR) or H × W (grey).
            text: one line, in logical order.
            size: pixels per em; 0: after the picture's height.

        Returns:
            BGR, and whether the text could be drawn; otherwise the room for it stays white.
        """
        height, width = image.shape[:2]
        size = size or min(max(height * 3 // 4, _SMALLEST), _LARGEST)
        text = clean(text).strip()
        ink = self.ink(text, size) if text else None
        ink_height, ink_width = (size, 0) if ink is None else ink.shape
        shape = (height + ink_height + 2 * _MARGIN, max(width, ink_width + 2 * _MARGIN), 3)
        canvas = np.full(shape, 255, np.uint8)
        canvas[:height, :width] = image if image.ndim == 3 else image[..., None]
        if ink is not None:
            top = height + _MARGIN
            canvas[top : top + ink_height, _MARGIN : _MARGIN + ink_width] = 255 - ink[..., None]
        return canvas, ink is not None or not text

    def ink(self, text: str, size: int) -> NDArray[np.uint8] | None:
        """A line's ink, H × W, 255 where it is full, at so many pixels per em; None where no font draws it."""
        for book in self._books:
            try:
                faces = book.choose(text, np.random.default_rng(0))
                return draw_line(shape_line(text, faces), split_units(text, "grapheme"), size, self._cache).mask
            except (Uncovered, Undrawable, NoInk):
                continue
        return None
