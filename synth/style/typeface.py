"""The installed face that is nearest to a crop's letters: its label drawn in many, and held against the ink."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.fonts.book import FontBook
from synth.fonts.index import FaceInfo, scan
from synth.recipe import Fonts
from synth.render.line import GlyphCache, NoInk, draw_line
from synth.render.shape import Undrawable, shape_line
from synth.style.style import Image, Style
from synth.text.units import split_units

FAMILIES: Final = 400
"""Families that a label is drawn in, at most: evenly spread over the names of those that cover it."""

FACES: Final = 32
"""Faces of the nearest families that are then drawn, at most."""

_OPEN: Final = 450  # faces kept open: each holds a file
_NEAREST: Final = 5  # families of which all faces are drawn
_FORGIVEN: Final = 1.0  # standard deviation in pixels
_HEIGHT: Final = 32  # pixels at which inks are compared
_LONGEST: Final = 48  # heights of a line that are compared
_PPEM: Final = 40
_SPACING: Final = (-0.08, 0.6)  # em by which letters may be closer or further apart than in the font
_SQUEEZED: Final = 0.7  # weight of the logarithm by which a text must be stretched to fit


@dataclass(frozen=True, slots=True)
class Nearest:
    """What looks most like a crop's letters.

    Attributes:
        name: of the face, as `Face.name` has it.
        likeness: 1 for the same ink, 0 for none in common.
        aspect: how much wider the crop's text is than the label drawn with its own spacing; 1: as wide.
    """

    name: str
    likeness: float
    aspect: float


class _Seen:
    """A crop's ink, straightened, to hold drawn ink against."""

    def __init__(self, mask: Image, blur: float) -> None:
        # The drawn ink is sharp, and is blurred as the crop is, and both a little more: a pixel's displacement is
        # forgiven.
        self._blur = math.hypot(blur, _FORGIVEN)
        self.soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), _FORGIVEN)
        self._total = float(self.soft.sum(dtype=np.float64))

    def like(self, drawn: Image) -> float:
        """Ink in common over ink in all (Dice 1945)."""
        soft = cv2.GaussianBlur(drawn.astype(np.float32), (0, 0), self._blur)
        total = self._total + float(soft.sum(dtype=np.float64))
        return 2 * float(cv2.min(self.soft, soft).sum(dtype=np.float64)) / max(total, 1e-6)


class Typefaces:
    """The fonts that crops are held against.

    Args:
        fonts: files and folders; None: those that are installed.

    The same label and ink give the same face, whichever crops came before.
    """

    def __init__(self, fonts: Sequence[Path] | None = None) -> None:
        self._fonts = fonts
        self._cache = GlyphCache()

    @cached_property
    def _book(self) -> FontBook | None:
        """Raises ScriptoriumError: a named path is missing, or has no font in it."""
        faces = scan(self._fonts).faces
        return FontBook(faces, Fonts(variations=0), _OPEN) if faces else None

    def nearest(self, style: Style) -> Nearest | None:
        """The face in which the style's label looks most like its ink; None where no font has all of its letters.

        Raises:
            ScriptoriumError: a font folder that was named is missing, or has no font in it.
        """
        book = self._book
        if book is None or not style.label.strip():
            return None
        covering = book.covering(style.label)
        families: dict[str, list[FaceInfo]] = {}
        for number, face in enumerate(book.faces):
            if covering >> number & 1:
                families.setdefault(face.family, []).append(face)
        names = sorted(families)
        if len(names) > FAMILIES:
            names = [names[k * len(names) // FAMILIES] for k in range(FAMILIES)]
        seen = _Seen(straightened(style.mask, style.quad), style.blur * _HEIGHT / style.height)
        plain = {name: self._compared(style.label, _plainest(families[name]), seen) for name in names}
        ranked = sorted((-found.likeness, name) for name, found in plain.items() if found is not None)
        nearest = [name for _, name in ranked[:_NEAREST]]
        others = [face for name in nearest for face in families[name] if face is not _plainest(families[name])]
        found = [plain[name] for name in nearest]
        found += [self._compared(style.label, face, seen) for face in others[:FACES]]
        return max((one for one in found if one is not None), key=lambda one: one.likeness, default=None)

    def _compared(self, label: str, info: FaceInfo, seen: _Seen) -> Nearest | None:
        assert self._book is not None
        face = self._book.open(info)
        units = split_units(label, "grapheme")
        with suppress(Undrawable, NoInk):
            runs = shape_line(label, [(face, 0, len(label))])
            ink = draw_line(runs, units, _PPEM, self._cache).mask
            rows, columns = ink.shape
            wanted = seen.soft.shape[1] / _HEIGHT * rows
            spacing = (wanted - columns) / max(len(units) - 1, 1) / _PPEM
            spacing = min(max(spacing, _SPACING[0]), _SPACING[1])
            if abs(spacing) * _PPEM >= 0.5:
                ink = draw_line(runs, units, _PPEM, self._cache, spacing=spacing).mask
            squeezed = abs(math.log(wanted / ink.shape[1]))
            drawn = cv2.resize(ink, (seen.soft.shape[1], _HEIGHT), interpolation=cv2.INTER_AREA)
            return Nearest(face.name, seen.like(drawn) * math.exp(-_SQUEEZED * squeezed), wanted / columns)
        return None


def straightened(mask: Image, quad: NDArray[Any]) -> Image:
    """The ink of a crop as if it had been seen from the front: 32 pixels high, of its own width."""
    corners = np.asarray(quad, np.float32)
    top, right, bottom, left = np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1).tolist()
    width = round(_HEIGHT * min(max((top + bottom) / max(left + right, 1e-3), 0.1), _LONGEST))
    target = np.array(((0, 0), (width, 0), (width, _HEIGHT), (0, _HEIGHT)), np.float32)
    # Coverage between pixel centres: OpenCV has them at whole numbers, the quad's at halves.
    matrix = cv2.getPerspectiveTransform(corners - 0.5, target - 0.5)
    return cv2.warpPerspective(mask, matrix, (width, _HEIGHT), flags=cv2.INTER_LINEAR)


def _plainest(faces: Sequence[FaceInfo]) -> FaceInfo:
    return min(faces, key=lambda face: (face.italic, abs(face.weight - 400), face.style, face.digest, face.number))
