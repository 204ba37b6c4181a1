"""Small fonts made on the spot, for tests."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont


def _draw(pen: Any, width: int) -> Any:
    """A rectangle; width 0 draws nothing."""
    if width:
        pen.moveTo((50, 0))
        pen.lineTo((50, 700))
        pen.lineTo((50 + width, 700))
        pen.lineTo((50 + width, 0))
        pen.closePath()
    return pen


def make_font(
    chars: Iterable[str] | Mapping[str, str],
    *,
    family: str = "Test",
    style: str = "Regular",
    cff: bool = False,
    empty: str = "",
    same: bool = False,
    weight: int = 400,
) -> TTFont:
    """A font whose glyphs are rectangles, each of another width.

    `chars` may map each character to the name of its glyph; the characters of `empty` have no outline; `same` gives
    all glyphs one width.
    """
    named = dict(chars) if isinstance(chars, Mapping) else {char: f"uni{ord(char):04X}" for char in chars}
    widths = {".notdef": 500}
    for number, (char, name) in enumerate(named.items()):
        widths.setdefault(name, 0 if char in empty or char == " " else 300 if same else 100 + number)
    builder = FontBuilder(1000, isTTF=not cff)
    builder.setupGlyphOrder(list(widths))
    builder.setupCharacterMap({ord(char): name for char, name in named.items()})
    if cff:
        glyphs = {name: _draw(T2CharStringPen(600, None), width).getCharString() for name, width in widths.items()}
        builder.setupCFF(f"{family}-{style}".replace(" ", ""), {}, glyphs, {})
    else:
        builder.setupGlyf({name: _draw(TTGlyphPen(None), width).glyph() for name, width in widths.items()})
    builder.setupHorizontalMetrics({name: (600, 50) for name in widths})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": style})
    builder.setupOS2(usWeightClass=weight)
    builder.setupPost(keepGlyphNames=True)
    return builder.font


def font_bytes(font: TTFont, flavor: str | None = None) -> bytes:
    """The font as a file's content; `flavor` is `woff` or `woff2`."""
    plain = io.BytesIO()
    font.save(plain)
    if flavor is None:
        return plain.getvalue()
    packed = TTFont(io.BytesIO(plain.getvalue()))
    packed.flavor = flavor
    out = io.BytesIO()
    packed.save(out)
    return out.getvalue()


def save_font(path: Path, chars: Iterable[str] | Mapping[str, str] = "ABCabc", **options: Any) -> Path:
    """Write a font of `make_font`, in the form its suffix says."""
    flavor = path.suffix[1:] if path.suffix in (".woff", ".woff2") else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(font_bytes(make_font(chars, **options), flavor))
    return path
