"""Searchable PDF files: pages as pictures with their text upon them, unseen, to be searched and copied.

The font of the text has one glyph, which is not drawn; what a code means stands in its ToUnicode map (ISO 32000-1,
9.10.3), a code for each grapheme cluster, so that any script can be had back. As in every PDF, glyphs stand from left
to right as they are seen: whoever takes text out puts it into logical order.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib.tables._g_l_y_f import Glyph
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.read.page import PageReading, Text, words
from synth.report.preview import write_whole

_POINTS: Final = 72.0  # per inch
_LONGEST: Final = 14400.0  # points of a page's side that viewers bear (ISO 32000-1, annex C)
_EM: Final = 1000
_DEPTH: Final = 0.2  # of the em below the baseline
_LOW, _HIGH = -200, 800
_CODES: Final = 65535
_BLOCK: Final = 100  # entries of a bfchar list (Adobe technical note 5411)
_LEVEL: Final = 0.18  # slope, of ten degrees
_QUALITY: Final = 85  # of JPEG
_NAME: Final = "Glyphless"


class SearchablePdf:
    """A PDF file that is put together page by page, and written by `save`.

    Args:
        dpi: pixels of the pictures per inch of the pages.

    Raises:
        ScriptoriumError: pikepdf is not installed.
    """

    def __init__(self, dpi: int = 200) -> None:
        try:
            import pikepdf
        except ImportError:
            raise ScriptoriumError(
                "a searchable PDF needs pikepdf; install it with: pip install scriptorium[pdf]"
            ) from None
        self._pikepdf = pikepdf
        self._pdf = pikepdf.Pdf.new()
        self._dpi = dpi
        self._codes: dict[str, int] = {}
        self._font = self._pdf.make_indirect(pikepdf.Dictionary())

    def add(self, image: NDArray[np.uint8], page: PageReading) -> None:
        """Add a page.

        Args:
            image: the upright picture, H × W × 3 (BGR) or H × W (grey).
            page: what it says.
        """
        pikepdf = self._pikepdf
        height, width = image.shape[:2]
        scale = min(_POINTS / self._dpi, _LONGEST / max(height, width))
        size = (max(width * scale, 3.0), max(height * scale, 3.0))
        picture = pikepdf.Stream(
            self._pdf, cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
        )
        for key, value in {
            "/Type": pikepdf.Name.XObject,
            "/Subtype": pikepdf.Name.Image,
            "/Width": width,
            "/Height": height,
            "/ColorSpace": pikepdf.Name.DeviceGray if image.ndim == 2 else pikepdf.Name.DeviceRGB,
            "/BitsPerComponent": 8,
            "/Filter": pikepdf.Name.DCTDecode,
        }.items():
            picture[key] = value
        operators = [f"q {size[0]:.3f} 0 0 {size[1]:.3f} 0 0 cm /I Do Q", "BT 3 Tr"]
        for text in page.texts:
            if text.text:
                operators += self._shown(text, scale, size[1])
        operators.append("ET")
        sheet = self._pdf.add_blank_page(page_size=size)
        sheet.Resources = pikepdf.Dictionary(
            XObject=pikepdf.Dictionary(I=picture), Font=pikepdf.Dictionary(F=self._font)
        )
        sheet.Contents = pikepdf.Stream(self._pdf, "\n".join(operators).encode("ascii"))

    def save(self, path: Path) -> None:
        """Write the file, aside first. Raises ScriptoriumError: it cannot be written."""
        self._fill_font()
        data = io.BytesIO()
        self._pdf.save(data, compress_streams=True)
        write_whole(path, data.getvalue())

    def _shown(self, text: Text, scale: float, page_height: float) -> list[str]:
        """Operators that set a text's words, each as wide as it stands in the picture."""
        found = []
        text = _levelled(text)
        corner, right, _, below = text.quad.astype(np.float64)
        high = float(np.hypot(*(below - corner)))
        long = float(np.hypot(*(right - corner)))
        if high < 1e-3 or long < 1e-3:
            return []
        across = (right - corner) / long
        for word in words(text):
            size = high * scale
            width = (word.end - word.start) * long * scale
            stretch = 100 * width / (len(word.clusters) * size)
            # The font reaches below its baseline by a fifth; y runs upwards.
            top, foot = word.quad[0].astype(np.float64), word.quad[3].astype(np.float64)
            start = (foot + (top - foot) * _DEPTH) * scale
            cos, sin = float(across[0]), -float(across[1])
            codes = "".join(f"{self._code(cluster):04x}" for cluster in word.clusters)
            found.append(
                f"/F {size:.3f} Tf {stretch:.3f} Tz {cos:.5f} {sin:.5f} {-sin:.5f} {cos:.5f} "
                f"{start[0]:.3f} {page_height - start[1]:.3f} Tm <{codes}> Tj"
            )
            if word.gap:
                # Not all readers conclude a space from the distance.
                stretch = 100 * word.gap * long * scale / size
                found.append(f"{stretch:.3f} Tz <{self._code(' '):04x}> Tj")
        return found

    def _code(self, cluster: str) -> int:
        code = self._codes.get(cluster)
        if code is None:
            if len(self._codes) >= _CODES:
                raise ScriptoriumError(
                    f"a PDF file has room for {_CODES:,} different grapheme clusters; write fewer pages to a file"
                )
            code = self._codes[cluster] = len(self._codes) + 1
        return code

    def _fill_font(self) -> None:
        pikepdf = self._pikepdf
        name = pikepdf.Name("/" + _NAME)
        program = pikepdf.Stream(self._pdf, _font_file())
        descriptor = pikepdf.Dictionary(
            Type=pikepdf.Name.FontDescriptor,
            FontName=name,
            Flags=4,
            FontBBox=[0, _LOW, _EM, _HIGH],
            ItalicAngle=0,
            Ascent=_HIGH,
            Descent=_LOW,
            CapHeight=_HIGH,
            StemV=80,
            FontFile2=program,
        )
        # Every code stands for glyph 1.
        glyphs = pikepdf.Stream(self._pdf, b"\0\1" * (len(self._codes) + 1))
        descendant = pikepdf.Dictionary(
            Type=pikepdf.Name.Font,
            Subtype=pikepdf.Name.CIDFontType2,
            BaseFont=name,
            CIDSystemInfo=pikepdf.Dictionary(
                Registry=pikepdf.String("Adobe"), Ordering=pikepdf.String("Identity"), Supplement=0
            ),
            FontDescriptor=self._pdf.make_indirect(descriptor),
            DW=_EM,
            CIDToGIDMap=glyphs,
        )
        for key, value in {
            "/Type": pikepdf.Name.Font,
            "/Subtype": pikepdf.Name.Type0,
            "/BaseFont": name,
            "/Encoding": pikepdf.Name("/Identity-H"),
            "/DescendantFonts": pikepdf.Array([self._pdf.make_indirect(descendant)]),
            "/ToUnicode": pikepdf.Stream(self._pdf, self._meanings()),
        }.items():
            self._font[key] = value

    def _meanings(self) -> bytes:
        """The ToUnicode map."""
        lines = [
            "/CIDInit /ProcSet findresource begin",
            "12 dict begin",
            "begincmap",
            "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
            "/CMapName /Adobe-Identity-UCS def",
            "/CMapType 2 def",
            "1 begincodespacerange",
            "<0000> <ffff>",
            "endcodespacerange",
        ]
        entries = [
            f"<{code:04x}> <{cluster.encode('utf-16-be', 'replace').hex()}>" for cluster, code in self._codes.items()
        ]
        for start in range(0, len(entries), _BLOCK):
            some = entries[start : start + _BLOCK]
            lines += [f"{len(some)} beginbfchar", *some, "endbfchar"]
        lines += ["endcmap", "CMapName currentdict /CMap defineresource pop", "end", "end"]
        return "\n".join(lines).encode("ascii")


def _levelled(text: Text) -> Text:
    """A text that climbs or falls a little, laid level: otherwise poppler takes its letters for lines of their own."""
    if text.turned:
        return text
    quad = text.quad.astype(np.float64)
    along, down = (quad[1] + quad[2] - quad[0] - quad[3]) / 2, (quad[2] + quad[3] - quad[0] - quad[1]) / 2
    if abs(along[1]) > _LEVEL * along[0]:
        return text
    half, middle = np.array((along[0], np.hypot(*down))) / 2, quad.mean(0)
    corners = middle + half * np.array(((-1, -1), (1, -1), (1, 1), (-1, 1)))
    return replace(text, polygon=corners.astype(np.float32))


def _font_file() -> bytes:
    """A TrueType font of one square: PDFium passes over texts without an extent."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, _LOW))
    for corner in ((0, _HIGH), (_EM, _HIGH), (_EM, _LOW)):
        pen.lineTo(corner)
    pen.closePath()
    builder = FontBuilder(_EM, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({})
    builder.setupGlyf({".notdef": Glyph(), "square": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (_EM, 0), "square": (_EM, 0)})
    builder.setupHorizontalHeader(ascent=_HIGH, descent=_LOW)
    builder.setupNameTable({"familyName": _NAME, "styleName": "Regular", "psName": _NAME})
    builder.setupOS2()
    builder.setupPost()
    data = io.BytesIO()
    builder.save(data)
    return data.getvalue()
