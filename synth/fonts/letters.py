"""Whether a face draws Latin letters under their codes, told by their shapes.

Fonts of pictures, and old fonts that keep another script under Latin codes, say nothing of it in their tables: all that
they draw would be labelled wrongly. Shapes that letters have in other fonts, whatever the style, tell (`letters.npz`,
made by `scripts/make_letter_shapes.py`: clusters of what 1,189 faces draw).
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import freetype
    import numpy as np
    from numpy.typing import NDArray

SHAPES: Final = Path(__file__).with_name("letters.npz")
LETTERS: Final = ascii_uppercase + ascii_lowercase
LEAST_RIGHT: Final = 0.1
"""Share of its letters by whose shapes a face is known; chance gives 0.04, the oddest script faces 0.13 and more."""

_ENOUGH: Final = 20  # letters, or nothing is said
_PPEM: Final = 48
_SIDE: Final = 12
_LONGEST: Final = 3  # times as long as wide; longer shapes are padded, so that bars stay bars
# Small letters whose shapes differ from their capitals' in all type but capitals and small capitals.
_TOLD_APART: Final = "abdefghmnqrt"
_SAME: Final = 0.93  # correlation of two shapes
_MOST: Final = 0.75  # of those letters


def shapes(face: freetype.Face) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Pictures of a face's Latin letters, each stretched to the same square.

    Args:
        face: with a Unicode character map.

    Returns:
        Letters in the order of `LETTERS` × `_SIDE` · `_SIDE`, of mean 0 and length 1, and which of them have ink.
    """
    import cv2
    import freetype
    import numpy as np

    face.set_pixel_sizes(0, _PPEM)
    pictures = np.zeros((len(LETTERS), _SIDE, _SIDE), np.float32)
    for number, letter in enumerate(LETTERS):
        glyph = face.get_char_index(letter)
        if not glyph:
            continue
        face.load_glyph(glyph, freetype.FT_LOAD_NO_HINTING | freetype.FT_LOAD_NO_BITMAP | freetype.FT_LOAD_RENDER)
        bitmap = face.glyph._FT_GlyphSlot.contents.bitmap  # `buffer` of freetype-py's own copies byte by byte
        rows, columns, pitch = bitmap.rows, bitmap.width, bitmap.pitch
        if min(rows, columns) < 2:
            continue
        ink = np.frombuffer(ctypes.string_at(bitmap.buffer, rows * pitch), np.uint8).reshape(rows, pitch)[:, :columns]
        high, wide = max(rows, columns // _LONGEST), max(columns, rows // _LONGEST)
        top, left = (high - rows) // 2, (wide - columns) // 2
        padded = np.pad(ink, ((top, high - rows - top), (left, wide - columns - left)))
        pictures[number] = cv2.resize(padded, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    flat = pictures.reshape(len(LETTERS), -1)
    flat = flat - flat.mean(1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.maximum(length, 1e-6), length[:, 0] > 0


def known_share(pictures: NDArray[np.float32], there: NDArray[np.bool_]) -> float:
    """Of a face's letters (see `shapes`), the share nearest to shapes of that letter, large or small; 1 if too few."""
    import numpy as np

    if np.count_nonzero(there) < _ENOUGH:
        return 1.0
    known, whose = _known()
    nearest = whose[(pictures[there] @ known.T).argmax(1)]
    return float((nearest == np.arange(len(LETTERS))[there] % 26).mean())


def capitals_only(pictures: NDArray[np.float32], there: NDArray[np.bool_]) -> bool:
    """Whether a face draws capitals, or small capitals, under the codes of small letters; see `shapes`."""
    both = [k for k in map(ascii_lowercase.index, _TOLD_APART) if there[k] and there[k + 26]]
    alike = sum(float(pictures[k] @ pictures[k + 26]) >= _SAME for k in both)
    return len(both) >= len(_TOLD_APART) // 2 and alike >= _MOST * len(both)


@cache
def _known() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Shapes as `shapes` gives them, and the numbers of their letters, 0 to 25."""
    import numpy as np

    with np.load(SHAPES) as stored:
        known = stored["shapes"].astype(np.float32) / 127
        return known / np.linalg.norm(known, axis=1, keepdims=True), stored["letters"].astype(np.int64)
