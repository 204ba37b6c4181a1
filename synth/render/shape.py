"""Text to positioned glyphs: runs of one direction, script and face, each shaped by HarfBuzz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import uharfbuzz as hb
from fontTools import unicodedata as ucd

from synth.fonts.face import Face
from synth.text import bidi
from synth.text.ucd import BRACKETS

Setting: TypeAlias = Literal["line", "upright", "combined"]
"""How a run stands in its line: along it; upright in a vertical line; or so, side by side in one cell."""

_NEUTRAL = ("Zyyy", "Zinh", "Zzzz")

# Paired punctuation: a number for the opening one, its negative for the closing one.
_QUOTES = (("«", "»"), ("‹", "›"), ("“", "”"), ("‘", "’"))
_PAIRED = BRACKETS | {a: ord(a) for a, _ in _QUOTES} | {b: -ord(a) for a, b in _QUOTES}

# Scripts whose letters stand alone, in the writing direction one after the other, with at most marks above or below.
# In all others letter spacing or jitter would tear the line of joining, the headline, or an akshara: HarfBuzz may give
# the parts of one clusters of their own (ಶ್ರೀ is two graphemes, and in some fonts two clusters).
# fmt: off
LOOSE: frozenset[str] = frozenset(
    {
        "Zyyy", "Latn", "Grek", "Cyrl", "Armn", "Geor", "Copt", "Glag", "Goth", "Runr", "Ogam", "Ital", "Hebr", "Samr",
        "Ethi", "Cher", "Osge", "Cans", "Dsrt", "Shaw", "Vaii", "Tfng", "Lisu", "Bamu", "Olck", "Thai", "Laoo", "Hani",
        "Hira", "Kana", "Bopo", "Hang", "Yiii", "Nshu", "Tang", "Phnx", "Armi", "Ugar", "Xpeo", "Xsux", "Linb", "Cprt",
        "Brai",
    }
)
# fmt: on


class Undrawable(Exception):
    """These faces draw a missing glyph or a dotted circle for the text; `characters` names the culprits."""

    def __init__(self, characters: str) -> None:
        super().__init__(characters)
        self.characters = characters


@dataclass(slots=True)
class Run:
    """Shaped glyphs of one run, in visual order from left to right; lengths in font units, y upwards.

    `clusters` are code point indexes into the whole text. In a run set upright the order is from top to bottom, and
    `advances` go down.
    """

    face: Face
    start: int
    stop: int
    rtl: bool
    script: str
    glyphs: list[int]
    clusters: list[int]
    advances: list[int]
    x_offsets: list[int]
    y_offsets: list[int]
    setting: Setting = "line"


_scripts: dict[str, str] = {}
# By whether a run begins the text and whether it ends it; enumerations are slow to combine.
_FLAGS = (
    (hb.BufferFlags.DEFAULT, hb.BufferFlags.EOT),
    (hb.BufferFlags.BOT, hb.BufferFlags.BOT | hb.BufferFlags.EOT),
)


def script_of(character: str) -> str:
    """ISO 15924 code of a character's Script property (UAX #24)."""
    code = _scripts.get(character)
    if code is None:
        code = _scripts[character] = str(ucd.script(character))
    return code


def script_runs(text: str) -> list[tuple[int, int, str]]:
    """Runs of one script as (start, stop, ISO 15924 code); covers the text, in logical order.

    Neutral characters go with what precedes them, those at the beginning with what follows, and a closing bracket or
    quotation mark with its opening one (UAX #24, section 5.1).
    """
    if text.isascii():
        return [(0, len(text), "Latn" if any(c.isalpha() for c in text) else "Zyyy")]
    codes: list[str] = []
    current = ""
    stack: list[tuple[int, str]] = []
    for character in text:
        code = script_of(character)
        if code in _NEUTRAL:
            bracket = _PAIRED.get(character, 0)
            if bracket > 0:
                stack.append((bracket, current))
            elif bracket < 0:
                for depth in range(len(stack) - 1, -1, -1):
                    if stack[depth][0] == -bracket:
                        current = stack[depth][1] or current
                        del stack[depth:]
                        break
            codes.append(current)
        else:
            if not current:
                codes = [code] * len(codes)
                stack = [(number, code) for number, _ in stack]
            current = code
            codes.append(code)
    runs: list[tuple[int, int, str]] = []
    start = 0
    for i in range(1, len(codes) + 1):
        if i == len(codes) or codes[i] != codes[start]:
            runs.append((start, i, codes[start] or "Zyyy"))
            start = i
    return runs


def shape_run(
    face: Face,
    text: str,
    start: int,
    stop: int,
    *,
    rtl: bool,
    script: str,
    language: str | None = None,
    features: dict[str, bool] | None = None,
    setting: Setting = "line",
) -> Run:
    """Shape `text[start:stop]`, with the rest of the text as context, by HarfBuzz.

    Upright runs are shaped from top to bottom, with the font's vertical forms, metrics and origins. Where it has no
    vertical metrics of any use, glyphs stand in cells of one em, around the line on which the font centres vertical
    text (`Face.middle`).

    Raises:
        Undrawable: the face lacks a glyph, or HarfBuzz put in a dotted circle that the text does not have.
    """
    buffer = hb.Buffer()
    buffer.add_str(text, start, stop - start)
    upright = setting == "upright"
    if upright and not face.vertical_forms:
        features = {**(features or {}), "vert": False}
    buffer.direction = ("btt" if rtl else "ttb") if upright else "rtl" if rtl else "ltr"
    buffer.script = script
    if language:
        buffer.language = language
    buffer.flags = _FLAGS[start == 0][stop == len(text)]
    hb.shape(face.hb, buffer, features)
    infos = buffer.glyph_infos
    glyphs = [info.codepoint for info in infos]
    clusters = [info.cluster for info in infos]
    if 0 in glyphs or (face.dotted_circle in glyphs and "\u25cc" not in text):
        bad = {c for g, c in zip(glyphs, clusters, strict=True) if g == 0 or g == face.dotted_circle}
        raise Undrawable("".join(sorted(text[c] for c in bad)))
    advances, x_offsets, y_offsets = [], [], []
    for x_offset, y_offset, x_advance, y_advance in (p.position for p in buffer.glyph_positions):
        advances.append(-y_advance if upright else x_advance)
        x_offsets.append(x_offset)
        y_offsets.append(y_offset)
    if upright and not face.vertical_metrics:
        top = round(face.middle + face.upem / 2)
        for i, glyph in enumerate(glyphs):
            x_origin, y_origin = face.hb.get_glyph_v_origin(glyph)
            width = face.hb.get_glyph_h_advance(glyph)
            x_offsets[i] += x_origin - width // 2
            y_offsets[i] += y_origin - top
            # HarfBuzz takes it from marks; where the font has none, from letters as well.
            if advances[i] or (width and not face.hb.get_glyph_v_advance(glyph)):
                advances[i] = face.upem
    return Run(face, start, stop, rtl, script, glyphs, clusters, advances, x_offsets, y_offsets, setting)


def shape_line(
    text: str,
    faces: Sequence[tuple[Face, int, int]],
    *,
    language: str | None = None,
    direction: Literal["auto", "ltr", "rtl"] = "auto",
    features: dict[str, bool] | None = None,
) -> list[Run]:
    """Shape a line: bidi levels (UAX #9), script runs, faces; returns runs in visual order, left to right.

    Args:
        text: one line, NFC, logical order.
        faces: which face draws which part, as (face, start, stop), in logical order, covering the text.
        language: BCP 47.
        direction: base direction.
        features: OpenType features switched on or off for the whole line.

    Raises:
        Undrawable: see `shape_run`.
    """
    scripts = script_runs(text)
    levels, base = bidi.levels(text, direction)
    if len(faces) == 1 and len(scripts) == 1 and (base == 0 and not any(levels)):
        return [
            shape_run(
                faces[0][0], text, 0, len(text), rtl=False, script=scripts[0][2], language=language, features=features
            )
        ]
    runs: list[Run] = []
    for start, stop, level in bidi.runs(levels):
        parts: list[Run] = []
        for s0, s1, script in scripts:
            for face, f0, f1 in faces:
                a, b = max(start, s0, f0), min(stop, s1, f1)
                if a < b:
                    parts.append(
                        shape_run(
                            face, text, a, b, rtl=bool(level & 1), script=script, language=language, features=features
                        )
                    )
        runs.extend(reversed(parts) if level & 1 else parts)
    return runs
