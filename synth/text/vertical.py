"""Which characters stand upright in a vertical line: Unicode's Vertical_Orientation (UAX #50), by grapheme cluster."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import unicodedata2

from synth.text.units import split_units

Orientation: TypeAlias = Literal["U", "R", "Tu", "Tr"]
"""Upright; rotated; changed by the font, else upright; changed by the font, else rotated."""

# Where runs of one value begin, in hexadecimal, and the value; made by scripts/make_vertical_table.py.
# VerticalOrientation-15.0.0.txt
_TABLE: Final = """
0R A7U A8R A9U AAR AEU AFR B1U B2R BCU BFR D7U D8R F7U F8R 2EAU 2ECR 1100U 1200R 1401U 1680R 18B0U 1900R 2016U 2017R
2020U 2022R 2030U 2032R 203BU 203DR 2042U 2043R 2047U 204AR 2051U 2052R 2065U 2066R 20DDU 20E1R 20E2U 20E5R 2100U
2102R 2103U 210AR 210FU 2110R 2113U 2115R 2116U 2118R 211EU 2124R 2125U 2126R 2127U 2128R 2129U 212AR 212EU 212FR
2135U 2140R 2145U 214BR 214CU 214ER 214FU 218AR 218CU 2190R 221EU 221FR 2234U 2236R 2300U 2308R 230CU 2320R 2324U
2329Tr 232BU 232CR 237DU 239BR 23BEU 23CER 23CFU 23D0R 23D1U 23DCR 23E2U 2423R 2424U 2500R 25A0U 261AR 2620U 2768R
2776U 2794R 2B12U 2B30R 2B50U 2B5AR 2B97U 2B98R 2BB8U 2BD2R 2BD3U 2BECR 2BF0U 2C00R 2E50U 2E52R 2E80U 3001Tu 3003U
3008Tr 3012U 3014Tr 3020U 3030Tr 3031U 3041Tu 3042U 3043Tu 3044U 3045Tu 3046U 3047Tu 3048U 3049Tu 304AU 3063Tu 3064U
3083Tu 3084U 3085Tu 3086U 3087Tu 3088U 308ETu 308FU 3095Tu 3097U 309BTu 309DU 30A0Tr 30A1Tu 30A2U 30A3Tu 30A4U 30A5Tu
30A6U 30A7Tu 30A8U 30A9Tu 30AAU 30C3Tu 30C4U 30E3Tu 30E4U 30E5Tu 30E6U 30E7Tu 30E8U 30EETu 30EFU 30F5Tu 30F7U 30FCTr
30FDU 3127Tu 3128U 31F0Tu 3200U 32FFTu 3358U 337BTu 3380U A4D0R A960U A980R AC00U D800R E000U FB00R FE10U FE20R FE30U
FE49R FE50Tu FE53U FE58R FE59Tr FE5FU FE63R FE67U FE70R FF01Tu FF02U FF08Tr FF0AU FF0CTu FF0DR FF0ETu FF0FU FF1ATr
FF1CR FF1FTu FF20U FF3BTr FF3CU FF3DTr FF3EU FF3FTr FF40U FF5BTr FF61R FFE0U FFE3Tr FFE4U FFE8R FFF0U FFF9R FFFCU
FFFER 10980U 109A0R 11580U 11600R 11A00U 11AC0R 13000U 13460R 14400U 14680R 16FE0U 18D80R 1AFF0U 1B300R 1CF00U 1CFD0R
1D000U 1D200R 1D2E0U 1D380R 1D800U 1DAB0R 1F000U 1F200Tu 1F202U 1F800R 1F900U 1FB00R 20000U 2FFFER 30000U 3FFFER
F0000U FFFFER 100000U 10FFFER
"""

_ENTRIES: Final = re.findall(r"([0-9A-F]+)(U|R|Tu|Tr)\b", _TABLE)
_STARTS: Final = [int(start, 16) for start, _ in _ENTRIES]


@lru_cache(maxsize=8192)
def orientation(character: str) -> Orientation:
    """Vertical_Orientation of one character (UAX #50, section 3)."""
    value: Orientation = _ENTRIES[bisect_right(_STARTS, ord(character)) - 1][1]
    return value


def cluster_orientation(cluster: str) -> Orientation:
    """That of a grapheme cluster: its first character's, or upright within an enclosing mark (UAX #50, section 3.1)."""
    if len(cluster) > 1 and any(unicodedata2.category(character) == "Me" for character in cluster):
        return "U"
    return orientation(cluster[0])


def orientations(text: str) -> list[tuple[int, int, Orientation]]:
    """The grapheme clusters of a text as (start, stop, orientation)."""
    found: list[tuple[int, int, Orientation]] = []
    at = 0
    for cluster in split_units(text, "grapheme"):
        found.append((at, at + len(cluster), cluster_orientation(cluster)))
        at += len(cluster)
    return found


def combined(text: str, digits: int) -> list[tuple[int, int]]:
    """Groups to set side by side in one cell of a vertical line (tate-chū-yoko), as (start, stop).

    A group is one or two of ! and ?, or up to `digits` ASCII digits (JLREQ, 3.2.5). It is whole, and what stands on
    either side of it, on one at least, does not turn in vertical lines.
    """
    found: list[tuple[int, int]] = []
    for match in re.finditer(r"[!?]+|[0-9]+", text):
        start, stop = match.span()
        most = digits if text[start].isdigit() else 2
        beside = text[max(start - 1, 0) : start] + text[stop : stop + 1]
        if stop - start <= most and beside and all(orientation(character) != "R" for character in beside):
            found.append((start, stop))
    return found
