"""Pages as hOCR, ALTO, TSV, JSON and searchable PDF: what is written can be had back, in any script."""

from __future__ import annotations

import json
import shutil
import subprocess
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr.read.draw import PageDrawer
from ocr.read.formats import ALTO, TSV_HEAD, NamedPage, alto, hocr, json_line, tsv
from ocr.read.order import arrange
from ocr.read.page import PageReading, Text, laid_out, visual_order, words
from synth.text.bidi import levels
from synth.text.units import split_units

PAGES = {
    "latin": [
        (50, 50, 500, 40, "Hello world, this is 1.50"),
        (560, 50, 120, 40, "12.30"),
        (50, 110, 400, 36, "Überraschung"),
    ],
    "arabic": [
        (300, 50, 500, 40, "السلام عليكم ورحمة الله"),
        (300, 100, 500, 40, "رقم 123 في Paris اليوم"),
        (300, 160, 200, 40, "الثانية"),
        (520, 160, 180, 40, "الأولى"),
    ],
    "hebrew": [(300, 50, 400, 40, "שלום עולם"), (300, 100, 400, 40, "בשנת 1948 בערך")],
    "kannada": [(50, 50, 600, 40, "ಕನ್ನಡ ಭಾಷೆ ಕ್ಷಿತಿಜ"), (50, 100, 500, 40, "ಇದು ಒಂದು ಪರೀಕ್ಷೆ 42")],
    "devanagari": [(50, 50, 600, 40, "हिन्दी भाषा की किताब")],
    "han": [(50, 50, 300, 40, "漢字𠀀かな𐍈"), (50, 100, 300, 40, "第二行")],
    "thai": [(50, 50, 400, 40, "ภาษาไทย")],
    "vertical": [(800, 50, 40, 400, "日本語の縦書きです"), (740, 50, 40, 300, "二行目の文章")],
    "tilted": [(50, 50, 500, 40, "a line that climbs"), (50, 110, 500, 40, "and one below it")],
}


def reading(name: str, height: int = 900, width: int = 1000) -> PageReading:
    texts = []
    for x, y, w, h, text in PAGES[name]:
        quad = np.array(((x, y), (x + w, y), (x + w, y + h), (x, y + h)), np.float32)
        if name == "tilted":
            turn = cv2.getRotationMatrix2D((0, 0), 5, 1)
            quad = (quad @ turn[:, :2].T + (0, 80)).astype(np.float32)
        texts.append(Text(quad, 0.9, text, 0.87, turned=h > 1.5 * w))
    layout = arrange([text.polygon for text in texts], [text.text for text in texts])
    return PageReading(height, width, laid_out(texts, layout), layout.direction, layout.vertical)


def expected_words(name: str) -> list[str]:
    return [word for text in reading(name).texts for word in text.text.split()]


def plain(text: str) -> str:
    """A text without the marks of direction that extractors add."""
    return "".join(character for character in text if unicodedata.category(character) != "Cf")


# -- searchable PDF ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pdfs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("pikepdf")
    from ocr.read.pdf import SearchablePdf

    folder = tmp_path_factory.mktemp("pdf")
    for name in PAGES:
        made = SearchablePdf(dpi=100)
        made.add(np.full((900, 1000, 3), (240, 250, 255), np.uint8), reading(name))
        made.save(folder / f"{name}.pdf")
    return {name: folder / f"{name}.pdf" for name in PAGES}


@pytest.mark.parametrize("name", PAGES)
def test_pdfium_has_the_text_back(name: str, pdfs: dict[str, Path]) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    sheet = pdfium.PdfDocument(pdfs[name])[0]
    assert sheet.get_size() == pytest.approx((720, 648))
    found = sheet.get_textpage().get_text_range()
    if name == "vertical":  # in an order of PDFium's own
        assert sorted(plain(found).split()) == sorted(expected_words(name))
    else:
        assert plain(found).split() == expected_words(name)


@pytest.mark.parametrize("name", PAGES)
def test_pdftotext_has_the_text_back(name: str, pdfs: dict[str, Path]) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext here")
    done = subprocess.run(["pdftotext", str(pdfs[name]), "-"], capture_output=True, check=True)
    found, expected = plain(done.stdout.decode()).split(), expected_words(name)
    if name in ("arabic", "hebrew"):  # poppler loses a space where the direction changes
        found, expected = ["".join(found)], ["".join(expected)]
    assert found == expected


def test_the_text_stands_where_it_was_found_and_is_not_seen(pdfs: dict[str, Path]) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    sheet = pdfium.PdfDocument(pdfs["latin"])[0]
    page = sheet.get_textpage()
    place = page.search("world").get_next()
    left, bottom, _, top = page.get_charbox(place[0])
    # "Hello world, this is 1.50": 21 letters and 4 spaces of half a width on 500 pixels, at 0.72 points a pixel.
    each = 500 / 23
    assert left * 100 / 72 == pytest.approx(50 + 5.5 * each, abs=2)
    assert (648 - top) * 100 / 72 == pytest.approx(50, abs=2)
    assert (648 - bottom) * 100 / 72 == pytest.approx(90, abs=2)
    drawn = sheet.render(scale=1).to_numpy()
    assert drawn.min() >= 235


def test_a_grey_page_and_an_empty_one(tmp_path: Path) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    pytest.importorskip("pikepdf")
    from ocr.read.pdf import SearchablePdf

    made = SearchablePdf(dpi=72)
    made.add(np.full((200, 100), 128, np.uint8), reading("thai", 200, 100))
    made.add(np.zeros((1, 1, 3), np.uint8), PageReading(1, 1, ()))
    made.add(np.full((30, 20000, 3), 255, np.uint8), PageReading(30, 20000, ()))
    made.save(tmp_path / "new" / "a.pdf")
    document = pdfium.PdfDocument(tmp_path / "new" / "a.pdf")
    assert len(document) == 3
    assert document[0].get_size() == pytest.approx((100, 200))
    assert document[2].get_size() == pytest.approx((14400, 21.6), abs=0.1)  # as long as viewers bear
    assert abs(float(document[0].render(scale=1).to_numpy().mean()) - 128) < 3
    assert document[1].get_textpage().get_text_range() == ""


# -- words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("abc 12", "abc 12"),
        ("שלום", "םולש"),
        ("אב 12 גד", "דג 12 בא"),
        ("אב abc גד", "דג abc בא"),
        ("see אב גד now", "see דג בא now"),
    ],
)
def test_visual_order(text: str, seen: str) -> None:
    clusters = split_units(text, "grapheme")
    assert "".join(clusters[number] for number in visual_order(clusters, text)) == seen


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", " ", "א", "ב", "ج", "1", ".", "ಕ್"]), min_size=1).map("".join))
def test_words_share_a_text_out(text: str) -> None:
    quad = np.array(((10, 10), (110, 10), (110, 30), (10, 30)), np.float32)
    found = list(words(Text(quad, 1.0, text)))
    clusters = split_units(text, "grapheme")
    letters = [cluster for cluster in clusters if not cluster.isspace()]
    assert sorted("".join(word.text for word in found)) == sorted("".join(letters))
    if not any(levels(text)[0]):
        assert [word.text for word in found] == text.split()
    spans = sorted((word.start, word.end) for word in found)
    assert all(0 <= start < end <= 1 + 1e-9 for start, end in spans)
    for (_, end), (start, _) in pairwise(spans):
        assert end <= start + 1e-9
    for word in found:
        assert sorted(word.clusters) == sorted(split_units(word.text, "grapheme"))
        assert word.quad[0, 0] == pytest.approx(10 + 100 * word.start, abs=1e-3)
        assert word.quad[2].tolist() == pytest.approx([10 + 100 * word.end, 30], abs=1e-3)


# -- hOCR, ALTO, TSV, JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_hocr_and_alto_are_well_formed_and_whole(name: str) -> None:
    page = reading(name)
    pages = [NamedPage('scans/a "b" & c.png', 1, page), NamedPage("scans/a.png", 2, page)]
    html = ElementTree.fromstring(hocr(pages, "a & b"))
    space = "{http://www.w3.org/1999/xhtml}"
    found = [element for element in html.iter(f"{space}span") if element.get("class") == "ocrx_word"]
    order = [word for text in page.texts for word in text.text.split()]
    assert [element.text for element in found] == 2 * order
    for kind, parent in (("ocr_page", "div"), ("ocr_carea", "div"), ("ocr_par", "p"), ("ocr_line", "span")):
        assert any(element.get("class") == kind for element in html.iter(f"{space}{parent}"))
    everything = [element.get("id") for element in html.iter() if element.get("id")]
    assert len(everything) == len(set(everything))
    assert "x_wconf 87" in str(found[0].get("title"))

    root = ElementTree.fromstring(alto(pages))
    space = "{" + ALTO + "}"
    strings = list(root.iter(f"{space}String"))
    assert [string.get("CONTENT") for string in strings] == 2 * order
    # An element lies within those it is in.
    for block in root.iter(f"{space}TextBlock"):
        outer = corners(block)
        for inner in (*block.iter(f"{space}TextLine"), *block.iter(f"{space}String")):
            left, top, right, bottom = corners(inner)
            assert left >= outer[0] - 0.2 and top >= outer[1] - 0.2
            assert right <= outer[2] + 0.2 and bottom <= outer[3] + 0.2
    names = [element.get("ID") for element in root.iter() if element.get("ID")]
    assert len(names) == len(set(names))


def corners(element: Any) -> tuple[float, float, float, float]:
    left, top, width, height = (float(element.get(key)) for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))
    return left, top, left + width, top + height


def test_what_xml_and_tables_do_not_bear() -> None:
    quad = np.array(((0, 0), (90, 0), (90, 20), (0, 20)), np.float32)
    text = Text(quad, 1.0, "a\x00b\tc\nd<&>\x0c", 0.5)
    page = PageReading(20, 90, laid_out([text], arrange([quad], [text.text])))
    named = NamedPage("a\tb.png", 1, page)
    ElementTree.fromstring(hocr([named], "x\x01"))
    ElementTree.fromstring(alto([named]))
    assert tsv(named).count("\n") == 1 and tsv(named).count("\t") == TSV_HEAD.count("\t")
    assert json.loads(json_line(named))["blocks"][0][0]["texts"][0]["text"] == text.text


def test_tsv_and_json() -> None:
    named = NamedPage("a.png", 3, reading("latin"), 1.25)
    first, second, third = (line.split("\t") for line in tsv(named).splitlines())
    assert first == ["a.png", "3", "1", "1", "1", "50", "50", "500", "40", "0.8700", "Hello world, this is 1.50"]
    assert second[3:5] == ["1", "2"] and third[3:5] == ["2", "3"] and third[-1] == "Überraschung"
    values = json.loads(json_line(named))
    assert values["page"] == 3 and values["seconds"] == 1.25 and values["height"] == 900
    assert values["text"] == "Hello world, this is 1.50 12.30\nÜberraschung"
    assert values["blocks"][0][0]["texts"][1] == {
        "text": "12.30",
        "confidence": 0.87,
        "score": 0.9,
        "polygon": [[560, 50], [680, 50], [680, 90], [560, 90]],
    }


def test_empty_pages() -> None:
    named = NamedPage("a.png", 1, PageReading(5, 5, ()))
    assert tsv(named) == "" and json.loads(json_line(named))["blocks"] == []
    assert ElementTree.fromstring(hocr([named], "a.png")) is not None
    assert ElementTree.fromstring(alto([named])) is not None
    assert ElementTree.fromstring(alto([])) is not None


def test_scripts_without_spaces_are_joined_without() -> None:
    def line(*texts: tuple[int, int, str]) -> str:
        made = [Text(np.array(((x, 0), (x + w, 0), (x + w, 20), (x, 20)), np.float32), 1.0, t) for x, w, t in texts]
        layout = arrange([text.polygon for text in made], [text.text for text in made])
        return PageReading(20, 999, laid_out(made, layout)).text

    assert line((0, 100, "漢字"), (102, 60, "かな")) == "漢字かな"
    assert line((0, 100, "漢字"), (112, 60, "かな")) == "漢字 かな"
    assert line((0, 100, "word"), (102, 60, "next")) == "word next"


# -- pictures ------------------------------------------------------------------------------------------------------


def test_a_page_is_drawn_beside_its_texts() -> None:
    image = np.full((900, 1000), 255, np.uint8)
    drawn, undrawn = PageDrawer()(image, reading("latin"))
    assert drawn.shape == (900, 2000, 3) and undrawn == []
    # Outlines on the left, ink on the right within the quadrilaterals only.
    assert (drawn[50, 60] != 255).any()
    ink = (drawn[:, 1000:] < 128).any(2)
    assert ink[50:90, 50:550].sum() > 300
    ink[48:92, 48:552] = ink[48:92, 558:682] = ink[108:148, 48:452] = False
    assert not ink.any()
    quad = np.array(((9, 9), (99, 9), (99, 40), (9, 40)), np.float32)
    boxes = PageReading(900, 1000, laid_out([Text(quad, 1.0)], arrange([quad], [""])))
    assert PageDrawer()(image, boxes)[0].shape == (900, 1000, 3)
