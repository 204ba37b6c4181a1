"""Which writing system a character, a word or a text belongs to (UAX #24)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Final

import unicodedata2
from fontTools import unicodedata as ucd

from augment.errors import ScriptoriumError
from synth.strict import nearest

# ISO 15924 codes that stand for several scripts of Unicode, the one that tells them apart first, or for a style of one.
_MIXTURES: Final = {
    "Jpan": ("Hira", "Kana", "Hani"),
    "Hrkt": ("Hira", "Kana"),
    "Kore": ("Hang", "Hani"),
    "Jamo": ("Hang",),
    "Hans": ("Hani", "Bopo"),
    "Hant": ("Hani", "Bopo"),
    "Hanb": ("Hani", "Bopo"),
    "Aran": ("Arab",),
    "Cyrs": ("Cyrl",),
    "Latf": ("Latn",),
    "Latg": ("Latn",),
    "Syre": ("Syrc",),
    "Syrj": ("Syrc",),
    "Syrn": ("Syrc",),
    "Geok": ("Geor",),
}
_COMMON: Final = frozenset({"Zyyy", "Zinh", "Zzzz"})
COMPLETE: Final = {"Hira": "Jpan", "Kana": "Jpan", "Hang": "Kore", "Bopo": "Hanb"}
"""Scripts that hardly stand alone, and the mixture that they are a part of."""
NO_SPACES: Final = frozenset(
    {"Hani", "Hira", "Kana", "Bopo", "Thai", "Laoo", "Khmr", "Mymr", "Java", "Bali", "Lana", "Talu", "Yiii", "Tang"}
)
"""Scripts whose words are not separated by spaces."""


# CLDR's numbering systems (UTS 35, numberingSystems.xml) that are no script's own digits: name → digit zero.
_ZEROES: Final = {
    "arab": "٠",
    "arabext": "۰",
    "fullwide": "０",
    "lana": "\u1a80",
    "lanatham": "\u1a90",
    "mymr": "၀",
    "mymrshan": "႐",
    "mymrtlng": "\ua9f0",
    "tamldec": "௦",
}


def ten_digits(digit: str) -> str:
    """The ten digits, zero first, that a decimal digit (general category Nd) is one of."""
    zero = ord(digit) - unicodedata2.decimal(digit)
    return "".join(chr(zero + value) for value in range(10))


@cache
def digits_of(system: str) -> str | None:
    """The ten digits of a numbering system of CLDR, None for one without such digits (Roman, Ethiopic, ...).

    Those of a script have its ISO 15924 code in small letters (`knda`), and be it that CLDR names none.
    """
    if system == "latn":
        return "0123456789"
    if system == "hanidec":
        return "〇一二三四五六七八九"
    if system in _ZEROES:
        return ten_digits(_ZEROES[system])
    code = system.title()
    zeroes = (c for c in map(chr, range(0x660, 0x20000)) if unicodedata2.decimal(c, -1) == 0 and ucd.script(c) == code)
    zero = next(zeroes, "")
    return ten_digits(zero) if zero else None


def members(code: str) -> frozenset[str]:
    """The scripts of Unicode that an ISO 15924 code stands for: Hani, Hira and Kana for `Jpan`."""
    return frozenset(_MIXTURES.get(code, (code,)))


def lead(code: str) -> str:
    """The one script of Unicode that an ISO 15924 code is best known by: Hira for `Jpan`, Arab for `Aran`."""
    return _MIXTURES.get(code, (code,))[0]


def find_script(name: str) -> str:
    """The ISO 15924 code of a script given by code or English name.

    Raises:
        ScriptoriumError: there is none; names the nearest.
    """
    code = name.strip().title()
    if code in _MIXTURES or ucd.script_name(code, default=None):
        return code
    if found := ucd.script_code(name, default=None):
        return str(found)
    known = {str(ucd.script_name(code)): code for code in ucd.Scripts.NAMES}
    names = [*known, *known.values(), *_MIXTURES]
    near = nearest(name.strip().title(), names)
    raise ScriptoriumError(
        f"script {name!r} is unknown{near if 'mean' in near else ''}; give an ISO 15924 code such as Knda"
    )


def script_name(code: str) -> str:
    """The English name of a script, or its code."""
    return str(ucd.script_name(code, default=code))


class _Scripts(dict[str, frozenset[str]]):
    """Scripts of a letter or mark, without the common ones; empty for all else. Looked up once each."""

    def __missing__(self, character: str) -> frozenset[str]:
        found: frozenset[str] = frozenset()
        if unicodedata2.category(character)[0] in "LM":
            found = frozenset(ucd.script_extension(character)) - _COMMON
        self[character] = found
        return found


scripts_of: Final = _Scripts().__getitem__
"""The scripts (ISO 15924) in which a letter or mark is used; none for digits, signs and characters common to all."""

_FOREIGN: Final = 1 << 32


class Weigher(dict[str, int]):
    """Counts letters of given scripts and of others: `share(text)`.

    Args:
        codes: ISO 15924 codes; mixtures such as Jpan count as what they are made of.
    """

    def __init__(self, codes: Iterable[str]) -> None:
        super().__init__()
        self.scripts: Final = frozenset().union(*map(members, codes))

    def __missing__(self, character: str) -> int:
        scripts = scripts_of(character)
        value = self[character] = 0 if not scripts else 1 if scripts & self.scripts else _FOREIGN
        return value

    def count(self, text: str) -> tuple[int, int]:
        """Letters and marks of the scripts, and of others."""
        foreign, own = divmod(sum(map(self.__getitem__, text)), _FOREIGN)
        return own, foreign

    def foreign_share(self, text: str) -> float:
        """The share of other scripts among letters and marks; 0 where there are none."""
        own, foreign = self.count(text)
        return foreign / (own + foreign) if foreign else 0.0


def count_scripts(characters: Counter[str]) -> Counter[str]:
    """Letters and marks by script; those that several scripts share do not count."""
    counts: Counter[str] = Counter()
    for character, count in characters.items():
        if script := own_script(character):
            counts[script] += count
    return counts


@cache
def own_script(character: str) -> str:
    """The script of a letter or mark that belongs to one; "" for all else."""
    script = str(ucd.script(character))
    return script if unicodedata2.category(character)[0] in "LM" and script not in _COMMON else ""


def main_script(characters: Counter[str]) -> str | None:
    """The script of most letters, as a mixture where it is a part of one; None without letters.

    Han among which there are kana (1 % or more) is Japanese, among which there is Hangul Korean.
    """
    counts = count_scripts(characters)
    if not counts:
        return None
    first = max(counts.values())
    script = min(code for code, count in counts.items() if count == first)
    if script == "Hani":
        kana, hangul = counts["Hira"] + counts["Kana"], counts["Hang"]
        if max(kana, hangul) * 100 >= counts.total():
            return "Jpan" if kana >= hangul else "Kore"
    return COMPLETE.get(script, script)
