"""Pages as text, JSON, TSV, hOCR 1.2 (kba.github.io/hocr-spec) and ALTO 4 (loc.gov/standards/alto)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import numpy as np
import regex
from numpy.typing import NDArray

from ocr.read.page import PageReading, TextLine, Word, as_json, box_of, words

ALTO: Final = "http://www.loc.gov/standards/alto/ns-v4#"
TSV_HEAD: Final = "path\tpage\tblock\tline\ttext_number\tleft\ttop\twidth\theight\tconfidence\ttext\n"

# What XML 1.0 does not allow (section 2.2), and what TSV takes for its own.
_NOT_XML: Final = regex.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL: Final = regex.compile(r"[\p{Cc}\p{Zl}\p{Zp}]+")

Boxed = tuple[float, float, float, float]


@dataclass(frozen=True)
class NamedPage:
    """A page and where it comes from.

    Attributes:
        name: of the file, as given.
        number: of the page in it, from 1.
        page: what it says.
        seconds: where a frame stands in its film; else None.
    """

    name: str
    number: int
    page: PageReading
    seconds: float | None = None


def json_line(named: NamedPage) -> str:
    """A page as one line of JSON."""
    values = {"path": named.name, "page": named.number}
    if named.seconds is not None:
        values["seconds"] = round(named.seconds, 3)
    return json.dumps(values | as_json(named.page), ensure_ascii=False)


def tsv(named: NamedPage) -> str:
    """A page as lines of a table, without its head (`TSV_HEAD`): a line for each text that says something."""
    rows = []
    number = 0
    for block_number, block in enumerate(named.page.blocks, 1):
        for line_number, line in enumerate(block, 1):
            for text in line.texts:
                if not text.text:
                    continue
                number += 1
                left, top, right, bottom = (round(value) for value in text.box)
                place = (block_number, line_number, number, left, top, right - left, bottom - top)
                shown = _CONTROL.sub(" ", text.text)
                cells = (_CONTROL.sub(" ", named.name), named.number, *place, f"{text.confidence:.4f}", shown)
                rows.append("\t".join(map(str, cells)) + "\n")
    return "".join(rows)


def hocr(pages: Sequence[NamedPage], title: str) -> bytes:
    """Pages as one hOCR file; words stand where `ocr.read.page.Word` says."""
    html = ElementTree.Element("html", xmlns="http://www.w3.org/1999/xhtml")
    head = ElementTree.SubElement(html, "head")
    ElementTree.SubElement(head, "title").text = _clean(title)
    ElementTree.SubElement(head, "meta", {"http-equiv": "Content-Type", "content": "text/html; charset=utf-8"})
    ElementTree.SubElement(head, "meta", name="ocr-system", content="scriptorium")
    classes = "ocr_page ocr_carea ocr_par ocr_line ocrx_word"
    ElementTree.SubElement(head, "meta", name="ocr-capabilities", content=classes)
    body = ElementTree.SubElement(html, "body")
    for place, named in enumerate(pages, 1):
        page = named.page
        name = Path(named.name).name.replace('"', "'")
        facts = f'image "{name}"; bbox 0 0 {page.width} {page.height}; ppageno {named.number - 1}'
        sheet = _hocr(body, "div", "ocr_page", f"page_{place}", facts)
        counts = [0, 0]
        for number, block in enumerate(_said(page), 1):
            box = _bbox(_around(block))
            area = _hocr(sheet, "div", "ocr_carea", f"block_{place}_{number}", box)
            paragraph = _hocr(area, "p", "ocr_par", f"par_{place}_{number}", box)
            for line in block:
                counts[0] += 1
                span = _hocr(paragraph, "span", "ocr_line", f"line_{place}_{counts[0]}", _bbox(_around([line])))
                span.set("dir", line.direction)
                for text in line.texts:
                    for word in words(text):
                        counts[1] += 1
                        told = f"{_bbox(_box(word))}; x_wconf {round(100 * text.confidence)}"
                        found = _hocr(span, "span", "ocrx_word", f"word_{place}_{counts[1]}", told)
                        found.text = _clean(word.text)
                        found.tail = " "
    written: bytes = ElementTree.tostring(html, "utf-8", xml_declaration=False)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html>\n' + written + b"\n"


def alto(pages: Sequence[NamedPage]) -> bytes:
    """Pages as one ALTO file, in pixels; words stand where `ocr.read.page.Word` says."""
    root = ElementTree.Element("alto", xmlns=ALTO)
    description = ElementTree.SubElement(root, "Description")
    ElementTree.SubElement(description, "MeasurementUnit").text = "pixel"
    if pages:
        source = ElementTree.SubElement(description, "sourceImageInformation")
        ElementTree.SubElement(source, "fileName").text = _clean(pages[0].name)
    processing = ElementTree.SubElement(description, "Processing", ID="ocr")
    software = ElementTree.SubElement(processing, "processingSoftware")
    ElementTree.SubElement(software, "softwareName").text = "scriptorium"
    layout = ElementTree.SubElement(root, "Layout")
    for place, named in enumerate(pages, 1):
        page = named.page
        size = {"WIDTH": str(page.width), "HEIGHT": str(page.height)}
        sheet = ElementTree.SubElement(
            layout, "Page", {"ID": f"page_{place}", "PHYSICAL_IMG_NR": str(named.number), **size}
        )
        space = ElementTree.SubElement(sheet, "PrintSpace", {"HPOS": "0", "VPOS": "0", **size})
        counts = [0, 0]
        for number, block in enumerate(_said(page), 1):
            area = _alto(space, "TextBlock", f"block_{place}_{number}", _around(block))
            for line in block:
                counts[0] += 1
                element = _alto(area, "TextLine", f"line_{place}_{counts[0]}", _around([line]))
                for text in line.texts:
                    for word in words(text):
                        if len(element):
                            ElementTree.SubElement(element, "SP")
                        counts[1] += 1
                        string = _alto(element, "String", f"string_{place}_{counts[1]}", _box(word))
                        string.set("CONTENT", _clean(word.text))
                        string.set("WC", f"{text.confidence:.4f}")
                        shape = ElementTree.SubElement(string, "Shape")
                        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in word.quad.tolist())
                        ElementTree.SubElement(shape, "Polygon", POINTS=points)
    written: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return written + b"\n"


def _said(page: PageReading) -> list[list[TextLine]]:
    """Blocks of lines, without what says nothing."""
    blocks = ([line for line in block if any(text.text for text in line.texts)] for block in page.blocks)
    return [block for block in blocks if block]


def _around(lines: Sequence[TextLine]) -> Boxed:
    return box_of([text for line in lines for text in line.texts])


def _box(word: Word) -> Boxed:
    return _corners(word.quad)


def _corners(points: NDArray[np.float32]) -> Boxed:
    (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
    return left, top, right, bottom


def _bbox(box: Boxed) -> str:
    return "bbox " + " ".join(str(round(value)) for value in box)


def _hocr(parent: ElementTree.Element, tag: str, kind: str, name: str, title: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, {"class": kind, "id": name, "title": title})


def _alto(parent: ElementTree.Element, tag: str, name: str, box: Boxed) -> ElementTree.Element:
    left, top, right, bottom = box
    values = {"HPOS": left, "VPOS": top, "WIDTH": right - left, "HEIGHT": bottom - top}
    place = {key: f"{value:.1f}" for key, value in values.items()}
    return ElementTree.SubElement(parent, tag, {"ID": name, **place})


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text.encode(errors="replace").decode())
