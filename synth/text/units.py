"""Texts cut into units, the entries of a dictionary: code points, grapheme clusters or aksharas."""

from __future__ import annotations

from typing import Final, Literal

import regex

Unit = Literal["codepoint", "grapheme", "akshara"]

INVISIBLE: Final = frozenset(
    "\u00ad\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
"""Controls that are never drawn: those of UAX #9, zero width space, word joiner, byte order mark and soft hyphen.

They are in neither labels nor dictionaries. U+200C and U+200D are not among them: they change the shapes of letters.
"""

_STRIP: Final = {ord(character): None for character in INVISIBLE}

_GRAPHEME: Final = regex.compile(r"\X")

# Never joined to a neighbour by UAX #29: no rule but GB999 applies between two of these.
_ALONE: Final = regex.compile(r"[\p{GCB=Other}--\p{InCB=Linker}]", regex.V1)

# Indic_Syllabic_Category says which signs form conjuncts. A Virama joins consonants, be it followed by ZWJ; in Tamil it
# does so in two syllables only, in Sinhala only beside ZWJ (Unicode Standard, 12.6 and 13.2). An Invisible_Stacker
# always joins. A Pure_Killer (Burmese asat, Thai phinthu, ...) never does, nor anything before ZWNJ.
_SIGN: Final = r"[\p{InSC=Virama}\p{InSC=Invisible_Stacker}\u200d]"
_CONJUNCT: Final = (
    r"(?<=[\p{InSC=Virama}--[\u0bcd\u0dca]]\u200d?)(?=[\p{InSC=Consonant}\p{InSC=Consonant_Dead}])"
    r"|(?<=\p{InSC=Invisible_Stacker}\u200d?)(?=[\p{InSC=Consonant}\p{InSC=Vowel_Independent}])"
    r"|(?<=\u0dca\u200d|\u200d\u0dca)(?=[\p{InSC=Consonant}&&\p{Sinhala}])"
    r"|(?<=\u0b95\u0bcd)(?=\u0bb7)|(?<=[\u0bb6\u0bb8]\u0bcd)(?=\u0bb0\u0bc0)"
)
# Vowel signs that UAX #29 leaves apart, such as Burmese U+102B.
_SPACING: Final = r"(?=\p{M})(?<=[\p{L}\p{M}\u200c\u200d])"
# The first look back is there for speed alone.
_AKSHARA: Final = regex.compile(rf"\X(?:(?:(?<={_SIGN})(?:{_CONJUNCT})|{_SPACING})\X)*+", regex.V1)
# Without one of these the aksharas are the graphemes.
_JOINING: Final = regex.compile(r"[\p{InSC=Virama}\p{InSC=Invisible_Stacker}[\p{M}&&\p{GCB=Other}]]", regex.V1)


class _Alone(dict[str, bool]):
    """Whether a character is always a grapheme of its own beside others like it, looked up once each."""

    def __missing__(self, character: str) -> bool:
        alone = self[character] = _ALONE.match(character) is not None
        return alone


_is_alone: Final = _Alone().__getitem__


def split_units(text: str, unit: Unit) -> list[str]:
    """Cut `text` into units; joined they are `text` again.

    A grapheme is an extended grapheme cluster (UAX #29). An akshara is one or more graphemes: consonants joined by a
    virama or stacker into one conjunct, with their vowel signs. Scripts without conjuncts have graphemes for aksharas.
    """
    if unit == "codepoint" or (text.isascii() and "\r" not in text):
        return list(text)
    if unit == "akshara" and _JOINING.search(text):
        return _AKSHARA.findall(text)
    if all(map(_is_alone, text)):
        return list(text)
    return _GRAPHEME.findall(text)


def strip_invisible(text: str) -> str:
    """Take the characters of `INVISIBLE` out of `text`."""
    if text.isascii() or INVISIBLE.isdisjoint(text):
        return text
    return text.translate(_STRIP)
