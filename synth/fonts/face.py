"""One font face, opened: shaped by HarfBuzz, rasterised by FreeType."""

from __future__ import annotations

import ctypes
from functools import cached_property
from pathlib import Path

import freetype
import freetype.raw as ft
import numpy as np
import uharfbuzz as hb
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from synth.fonts.index import FaceInfo, sfnt_path

_LOAD = freetype.FT_LOAD_NO_HINTING | freetype.FT_LOAD_NO_BITMAP | freetype.FT_LOAD_NO_AUTOHINT
_UNSCALED = _LOAD | freetype.FT_LOAD_NO_SCALE
PHASES = 4  # sub-pixel positions per pixel and axis

Glyph = tuple[NDArray[np.uint8], int, int]
"""A glyph's coverage, height × width, and where its top-left pixel lies relative to the pen: (x, y), y downwards."""

Contours = tuple[NDArray[np.float64], NDArray[np.uint8], list[int]]
"""Points in font units, n × 2, y upwards, FreeType's tag of each, and the number of the last point of each contour."""

_LONG = np.dtype("l")  # FT_Pos is C's long

# What to judge vertical metrics by: letters that stand upright, from Han, kana, Hangul, Yi and Canadian syllabics.
_UPRIGHT_LETTERS = (
    *range(0x3400, 0xA000, 97),
    *range(0x3042, 0x30FA, 7),
    *range(0xAC00, 0xD7A4, 97),
    *range(0xA000, 0xA48D, 97),
    *range(0x1401, 0x1680, 9),
)
_OUTSIDE = 0.25  # em of a letter that may lie outside its cell
_TURNING = "「」『』（）〈〉【】ー〜"  # the font turns them in vertical lines, or leaves them as they are
_UNLIKE = 0.3  # em by which what is turned may be longer or shorter than before
_ASTRAY = 0.02  # share of letters that may lie further out


class Face:
    """HarfBuzz and FreeType handles of one face at one point of its variation space.

    Args:
        info: the face as indexed.
        coordinates: design coordinates by axis tag, for variable fonts.

    Attributes:
        name: for people.
        key: the same for the same outlines, whenever and wherever they are opened.

    Raises:
        ScriptoriumError: the file changed or vanished since it was indexed.
    """

    def __init__(self, info: FaceInfo, coordinates: dict[str, float] | None = None) -> None:
        self.info = info
        self.coordinates = dict(coordinates or {})
        path = str(sfnt_path(info))
        try:
            self._hb_face = hb.Face(hb.Blob.from_file_path(path), info.number)
            self._ft = freetype.Face(path, info.number)
        except (OSError, freetype.FT_Exception, hb.HarfBuzzError) as error:
            raise ScriptoriumError(
                f"{info.path}: cannot be opened as a font ({error}); index the fonts again"
            ) from error
        self.hb = hb.Font(self._hb_face)
        self.upem = int(self._hb_face.upem)
        if self.coordinates:
            self.hb.set_variations(self.coordinates)
            self._ft.set_var_design_coords([self.coordinates.get(a.tag, a.default) for a in info.axes])
        self._ppem = 0
        self.dotted_circle = self.hb.get_nominal_glyph(0x25CC) or -1
        self._slot = self._ft._FT_Face
        place = _coordinates_name(self.coordinates)
        self.key = f"{info.digest}#{info.number} {place}"
        self.name = " ".join(filter(None, (info.family, info.style, place)))

    def rasterise(self, glyph: int, ppem: int, phase_x: int = 0, phase_y: int = 0) -> Glyph | None:
        """Coverage of one glyph from its outline, or None when it has no ink.

        Args:
            glyph: glyph id.
            ppem: pixels per em.
            phase_x: shift to the right in quarters of a pixel, 0 to 3.
            phase_y: shift downwards in quarters of a pixel, 0 to 3.
        """
        if ppem != self._ppem:
            ft.FT_Set_Pixel_Sizes(self._slot, 0, ppem)
            self._ppem = ppem
        if ft.FT_Load_Glyph(self._slot, glyph, _LOAD):
            return None
        slot = self._slot.contents.glyph
        contents = slot.contents
        if contents.format != freetype.FT_GLYPH_FORMAT_OUTLINE or contents.outline.n_points <= 0:
            return None
        if phase_x or phase_y:
            ft.FT_Outline_Translate(ctypes.byref(contents.outline), phase_x * 64 // PHASES, -phase_y * 64 // PHASES)
        if ft.FT_Render_Glyph(slot, freetype.FT_RENDER_MODE_NORMAL):
            return None
        bitmap = contents.bitmap
        rows, width, pitch = bitmap.rows, bitmap.width, bitmap.pitch
        if not rows or not width:
            return None
        # `bitmap.buffer` of freetype-py copies byte by byte; the pointer costs a twentieth of that.
        raw = np.frombuffer(ctypes.string_at(bitmap.buffer, rows * pitch), np.uint8)
        # A copy, as a view would keep two more arrays and the bytes alive: more than most glyphs themselves.
        array = raw.reshape(rows, pitch)[:, :width].copy()
        return array, contents.bitmap_left, -contents.bitmap_top

    def outline(self, glyph: int) -> Contours | None:
        """The outline of one glyph as the font has it, or None when it has no ink; see `Contours`."""
        if ft.FT_Load_Glyph(self._slot, glyph, _UNSCALED):
            return None
        contents = self._slot.contents.glyph.contents
        outline = contents.outline
        n = outline.n_points
        if contents.format != freetype.FT_GLYPH_FORMAT_OUTLINE or n <= 0:
            return None
        points = np.frombuffer(ctypes.string_at(outline.points, n * 2 * _LONG.itemsize), _LONG).reshape(n, 2)
        tags = np.frombuffer(ctypes.string_at(outline.tags, n), np.uint8)
        return points.astype(np.float64), tags, outline.contours[: outline.n_contours]

    def table(self, tag: str) -> bytes:
        """A table of the font file, such as `OS/2`; empty where there is none."""
        return self._hb_face.reference_table(tag).data or b""

    @cached_property
    def vertical_metrics(self) -> bool:
        """Whether the font has vertical metrics (vmtx, perhaps VORG), and they keep its letters in their cells.

        In some fonts they place letters upon their neighbours (WenQuanYi Micro Hei) or off the line of the others.
        """
        font = self.hb
        if not {"vhea", "vmtx"}.issubset(self._hb_face.table_tags):
            return False
        letters = astray = 0
        for point in filter(self.info.covers, _UPRIGHT_LETTERS):
            glyph = font.get_nominal_glyph(point)
            extents = font.get_glyph_extents(glyph)
            if extents is None or not extents.height:
                continue
            above = font.get_glyph_v_origin(glyph)[1] - extents.y_bearing
            below = above - extents.height + font.get_glyph_v_advance(glyph)
            letters += 1
            astray += max(-above, below) > _OUTSIDE * self.upem
        return astray <= _ASTRAY * letters

    @cached_property
    def vertical_forms(self) -> bool:
        """Whether the feature `vert` turns what it should turn.

        In subsets of fonts it may still name glyphs by their old numbers: Droid Sans Fallback has Han letters for
        brackets.
        """
        found = []
        for direction in ("ltr", "ttb"):
            buffer = hb.Buffer()
            buffer.add_str("".join(c for c in _TURNING if self.info.covers(ord(c))))
            buffer.direction = direction
            buffer.script = "Kana"
            hb.shape(self.hb, buffer)
            found.append([info.codepoint for info in buffer.glyph_infos])
        for before, after in zip(*found, strict=True):
            lying, standing = self.hb.get_glyph_extents(before), self.hb.get_glyph_extents(after)
            if before == after or lying is None or standing is None:
                continue
            wider, higher = standing.width + lying.height, standing.height + lying.width
            if min(abs(wider), abs(higher)) > _UNLIKE * self.upem:
                return False
        return True

    @cached_property
    def middle(self) -> float:
        """Height in font units above the alphabetic baseline of the line on which vertical text is centred.

        It is half an em above the bottom of the ideographic em box (OpenType, BASE table); where the font does not say
        where that is, half way between its ascender and descender.
        """
        bottom = self.hb.get_layout_baseline("ideo", "ltr", "hani", "dflt")
        if bottom is not None:
            return float(bottom) + self.upem / 2
        extents = self.hb.get_font_extents("ltr")
        return float(extents.ascender + extents.descender) / 2

    @cached_property
    def carets(self) -> dict[int, list[float]]:
        """Caret positions of ligature glyphs from GDEF, in font units from the glyph's origin, left to right."""
        from fontTools.ttLib import TTFont

        with TTFont(Path(sfnt_path(self.info)), fontNumber=self.info.number, lazy=True) as font:
            if "GDEF" not in font:
                return {}
            table = getattr(font["GDEF"].table, "LigCaretList", None)
            if table is None or table.Coverage is None:
                return {}
            order = font.getReverseGlyphMap()
            found: dict[int, list[float]] = {}
            for name, entry in zip(table.Coverage.glyphs, table.LigGlyph, strict=False):
                # Format 2 names a contour point, which only a hinted outline has.
                positions = sorted(float(c.Coordinate) for c in entry.CaretValue if c.Format in (1, 3))
                if positions:
                    found[order[name]] = positions
            return found


def _coordinates_name(coordinates: dict[str, float]) -> str:
    return ",".join(f"{tag}={value:g}" for tag, value in sorted(coordinates.items()))
