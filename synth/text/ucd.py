"""Facts from the Unicode Character Database that neither `unicodedata2` nor `regex` offers."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import unicodedata2

# BidiBrackets.txt (Unicode 15.0): the two characters of every pair, opening one first, in code point order.
# The last pair is the one that Unicode 18 adds by the rule stated there (Ps and Pe, class ON, mirrored to each other).
_PAIRS: Final = (
    "()[]{}༺༻༼༽᚛᚜⁅⁆⁽⁾₍₎⌈⌉⌊⌋〈〉❨❩❪❫❬❭❮❯"
    "❰❱❲❳❴❵⟅⟆⟦⟧⟨⟩⟪⟫⟬⟭⟮⟯⦃⦄⦅⦆⦇⦈⦉⦊⦋⦌⦍⦐⦏⦎"
    "⦑⦒⦓⦔⦕⦖⦗⦘⧘⧙⧚⧛⧼⧽⸢⸣⸤⸥⸦⸧⸨⸩⹕⹖⹗⹘⹙⹚⹛⹜〈〉"
    "《》「」『』【】〔〕〖〗〘〙〚〛﹙﹚﹛﹜﹝﹞（）［］｛｝｟｠｢｣\u2e62\u2e63"
)


def _brackets() -> dict[str, int]:
    table: dict[str, int] = {}
    for opening, closing in zip(_PAIRS[::2], _PAIRS[1::2], strict=True):
        # U+2329, U+232A are canonically equivalent to U+3008, U+3009: one pair (BD16).
        number = ord(unicodedata2.normalize("NFD", opening))
        table[opening], table[closing] = number, -number
    return table


BRACKETS: Final = _brackets()
"""Paired brackets: opening → a number of its pair, closing → its negative."""

# BidiMirroring.txt has these, too: quotation marks, comparisons.
_MIRRORING: Final = _PAIRS + "<>«»‹›≤≥≪≫⋘⋙⩽⩾"

MIRRORED: Final[dict[str, str]] = {
    one: other for a, b in zip(_MIRRORING[::2], _MIRRORING[1::2], strict=True) for one, other in ((a, b), (b, a))
}
"""Characters whose picture in a right-to-left run is that of another one, and which; those that texts have."""

# Unassigned code points, DerivedBidiClass.txt "@missing": each class holds from its code point up to the next one's.
_DEFAULTS: Final = (
    (0x00000, "L"),
    (0x00590, "R"),
    (0x00600, "AL"),
    (0x007C0, "R"),
    (0x00860, "AL"),
    (0x00900, "L"),
    (0x020A0, "ET"),
    (0x020D0, "L"),
    (0x0FB1D, "R"),
    (0x0FB50, "AL"),
    (0x0FDD0, "BN"),
    (0x0FDF0, "AL"),
    (0x0FE00, "L"),
    (0x0FE70, "AL"),
    (0x0FF00, "L"),
    (0x0FFF0, "BN"),
    (0x0FFF9, "L"),
    (0x10800, "R"),
    (0x10D00, "AL"),
    (0x10D40, "R"),
    (0x10EC0, "AL"),
    (0x10F00, "R"),
    (0x10F30, "AL"),
    (0x10F70, "R"),
    (0x11000, "L"),
    (0x1E800, "R"),
    (0x1EC70, "AL"),
    (0x1ECC0, "R"),
    (0x1ED00, "AL"),
    (0x1ED50, "R"),
    (0x1EE00, "AL"),
    (0x1EF00, "R"),
    (0x1F000, "L"),
    (0xE0000, "BN"),
    (0xE1000, "L"),
    (0x110000, "L"),
)


def bidi_class(character: str) -> str:
    """Bidi_Class of one character (UAX #44 short name), with the defaults for unassigned code points."""
    assigned: str = unicodedata2.bidirectional(character)
    if assigned:
        return assigned
    code = ord(character)
    # U+2065 and the last two code points of each plane: default ignorable and non-characters.
    if code == 0x2065 or code & 0xFFFE == 0xFFFE:
        return "BN"
    return next(name for (start, name), (end, _) in pairwise(_DEFAULTS) if start <= code < end)
