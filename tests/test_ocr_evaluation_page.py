from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.metrics.recognition import RecognitionMetric
from ocr.report.evaluation import write_evaluation

VOID = ("meta", "img", "br")


class Page(HTMLParser):
    """What stands in a page: texts by tag and by class of the element, its attributes, and the rows of tables."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.texts: dict[str, list[str]] = {}
        self.attributes: dict[str, list[dict[str, str | None]]] = {}
        self.rows: list[list[str]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(self.text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        names = [tag, *(values.get("class") or "").split()]
        for name in names:
            self.attributes.setdefault(name, []).append(values)
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
        if tag not in VOID:
            self._open.append((tag, names))
            for name in names:
                self.texts.setdefault(name, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, names in self._open:
            for name in names:
                self.texts[name][-1] += data
        if any(tag == "td" for tag, _ in self._open):
            self.rows[-1][-1] += data

    def pictures(self) -> list[NDArray[np.uint8]]:
        found = []
        for values in self.attributes.get("img", []):
            data = base64.b64decode((values["src"] or "").partition("base64,")[2])
            found.append(np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8))
        return found

    def addresses(self) -> list[str]:
        found = [value for all_of in self.attributes.values() for values in all_of for value in values.items()]
        links = [value or "" for name, value in found if name in ("src", "href")]
        return links + re.findall(r"url\(([^)]*)\)", self.text)


@pytest.fixture(autouse=True)
def cache(own_cache: Path) -> None:
    """Fonts are indexed in a cache of the tests' own."""


def grey(name: str, index: int) -> NDArray[np.uint8]:
    return np.full((32, 100), 40 * index % 256, np.uint8)


def filled(*samples: tuple[str, str, float], **options: bool) -> RecognitionMetric:
    metric = RecognitionMetric(**options)
    for index, (label, read, confidence) in enumerate(samples):
        metric.add(read, label, confidence=confidence, key=f"record {index}", index=index)
    return metric


def test_figures_characters_confusions_and_confidence(tmp_path: Path) -> None:
    metrics = {
        "words": filled(("kitten", "sitting", 0.4), ("same", "same", 0.995), ("ten", "tem", 0.95)),
        "more": filled(("no", "mo", 0.6)),
    }
    output = tmp_path / "new" / "evaluation.html"
    assert write_evaluation(metrics, grey, "Evaluation of run", output) == output
    assert [path.name for path in output.parent.iterdir()] == ["evaluation.html"]
    page = Page(output)
    assert page.texts["h1"] == ["Evaluation of run"] == page.texts["title"]
    # words: 3 + 1 edits of 13 letters, similarity (4/7 + 1 + 2/3) / 3; the mean is that of the two sources.
    assert page.rows[1:4] == [
        ["words", "3", "1", "33.33 %", "30.77 %", "30.77 %", "74.60 %"],
        ["more", "1", "0", "0.00 %", "50.00 %", "50.00 %", "50.00 %"],
        ["mean of the sources", "", "", "16.67 %", "40.38 %", "40.38 %", "62.30 %"],
    ]
    rows = [[cell.strip() for cell in row] for row in page.rows]
    # Of all sources: n stands three times, and was read as m twice.
    assert ["n", "U+006E", "3", "2", "33.3 %", "m"] in rows
    assert ["k", "U+006B", "1", "1", "0.0 %", "s"] in rows
    assert not any(row[:2] == ["t", "U+0074"] for row in rows)
    assert ["n", "m", "2", "40.0 %", ""] in rows
    assert ["nothing", "g", "1", "20.0 %", ""] in rows
    assert ["0.99 – 1.00", "1", "100.00 %", "", "25.00 %", "100.00 %"] in rows
    assert ["0.95 – 0.98", "1", "0.00 %", "", "50.00 %", "50.00 %"] in rows
    assert ["0.00 – 0.30", "0", "", "", "100.00 %", "25.00 %"] in rows


def test_mistakes_have_pictures_and_marks(tmp_path: Path) -> None:
    metric = filled(("ab", "ab", 1.0), ("kitten", "sitting", 0.4), ("a b", "ab", 0.5), ("x", "", 0.0))
    page = Page(write_evaluation({"words": metric}, grey, "t", tmp_path / "page.html"))
    assert page.texts["label"] == ["kitten", "a b", "x"]
    assert page.texts["read"] == ["sitting", "ab", "nothing"]
    assert page.texts["mark"] == ["k", "e", "s", "i", "g", " ", "x"]
    assert [text.split(" · ") for text in page.texts["about"]] == [
        ["confidence 0.400", "3 edits", "record 1"],
        ["confidence 0.500", "1 edit", "record 2"],
        ["confidence 0.000", "1 edit", "record 3"],
    ]
    assert [picture.shape[:2] for picture in page.pictures()] == [(32, 100)] * 3
    assert [int(picture.mean()) for picture in page.pictures()] == [40, 80, 120]


def test_a_page_is_complete_in_itself_and_escapes_texts(tmp_path: Path) -> None:
    evil = '<script>alert("1")</script>&amp;'
    metric = RecognitionMetric()
    metric.add(evil + "'", evil, key="<b>key</b>")
    page = Page(write_evaluation({"<i>name</i>": metric}, grey, "<u>title</u>", tmp_path / "page.html"))
    assert page.texts["label"] == [evil]
    assert len(page.texts["script"]) == 1
    assert not {"b", "u"} & page.texts.keys()
    assert page.texts["h1"] == ["<u>title</u>"]
    assert page.addresses()
    assert all(address.startswith(("data:", "#")) for address in page.addresses())
    ids = {values["id"] for found in page.attributes.values() for values in found if values.get("id")}
    assert {address[1:] for address in page.addresses() if address.startswith("#")} <= ids


def test_direction_is_the_labels_and_controls_stay_inside(tmp_path: Path) -> None:
    metric = filled(("שלום", "xלום", 0.5), ("abc", "שbc", 0.5), ("a\u202eb", "ab", 0.5), ("12", "سلام", 0.5))
    page = Page(write_evaluation({"lines": metric}, grey, "t", tmp_path / "page.html"))
    directions = dict(zip(page.texts["label"], (row["dir"] for row in page.attributes["label"]), strict=True))
    assert directions == {"שלום": "rtl", "abc": "ltr", "aU+202Eb": "ltr", "12": "ltr"}
    assert [row["dir"] for row in page.attributes["read"]] == list(directions.values())
    # Keys and names stand in elements of their own direction.
    assert "<bdi>record 0</bdi>" in page.text and "<bdi>lines</bdi>" in page.text
    assert "@font-face" in page.text


def test_pictures_of_every_shape_fit(tmp_path: Path) -> None:
    shapes = [(900, 4000, 3), (2000, 120), (1, 1), (20, 5000, 3)]

    def picture(name: str, index: int) -> NDArray[np.uint8]:
        return np.full(shapes[index], 128, np.uint8)

    metric = filled(*(("ab", f"x{index}", 0.9 - index / 10) for index in range(4)))
    page = Page(write_evaluation({"words": metric}, picture, "t", tmp_path / "page.html"))
    sizes = [(int(row["width"] or 0), int(row["height"] or 0)) for row in page.attributes["img"]]
    # A line is 56 high, an upright one 224, and none wider than 1,400.
    assert sizes == [(249, 56), (13, 224), (56, 56), (1400, 6)]
    assert [picture.shape[:2] for picture in page.pictures()] == [(112, 498), (448, 27), (1, 1), (11, 2800)]


def test_a_picture_that_cannot_be_read_is_named_in_its_place(tmp_path: Path) -> None:
    def picture(name: str, index: int) -> NDArray[np.uint8]:
        if index == 1:
            raise ScriptoriumError(f"{name}: record {index} is broken; make it again")
        return grey(name, index)

    metric = filled(("ab", "x", 0.9), ("ab", "y", 0.8), ("ab", "z", 0.7))
    page = Page(write_evaluation({"words": metric}, picture, "t", tmp_path / "page.html"))
    assert len(page.pictures()) == 2
    assert "words: record 1 is broken; make it again" in page.texts["none"]
    assert page.texts["label"] == ["ab"] * 3


def test_many_mistakes_are_shown_in_part_and_it_says_so(tmp_path: Path) -> None:
    metric = RecognitionMetric()
    for index in range(200):
        metric.add("x" * (index % 7 + 1), "ab", confidence=index / 200, key=f"record {index}", index=index)
    page = Page(write_evaluation({"words": metric}, grey, "t", tmp_path / "page.html"))
    assert len(page.texts["label"]) == 84
    assert len(set(page.texts["about"])) == 84
    assert any("200 mistakes in 200 samples, 84 shown" in text for text in page.texts["h2"])
    # The second part: the highest confidence of those that the first does not show.
    assert page.texts["about"][0].split(" · ")[1] == "7 edits"
    assert float(page.texts["about"][60].split()[1]) > 0.95


def test_it_says_what_is_folded(tmp_path: Path) -> None:
    plain = Page(write_evaluation({"a": filled(("a", "a", 1))}, grey, "t", tmp_path / "page.html"))
    assert "nothing else is normalised or left out" in plain.texts["quiet"][0]
    assert "img" not in plain.attributes and "mark" not in plain.texts
    folded = filled(("!", "", 1), ("A", "a", 1), fold_case=True, fold_punctuation=True, ignore_space=True)
    page = Page(write_evaluation({"a": folded}, grey, "t", tmp_path / "page.html"))
    assert page.texts["quiet"][0].endswith("without regard to case and punctuation and spaces.")
    assert "Folding empties 1 label, counted all the same." in page.text


def test_nothing_compared_is_a_page_too(tmp_path: Path) -> None:
    page = Page(write_evaluation({"a": RecognitionMetric()}, grey, "t", tmp_path / "page.html"))
    assert page.rows[1] == ["a", "0", "0", "0.00 %", "100.00 %", "100.00 %", "0.00 %"]


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ScriptoriumError, match="cannot be written"):
        write_evaluation({"a": filled(("a", "b", 1))}, grey, "t", tmp_path / "file" / "page.html")
    taken = tmp_path / "folder.html"
    taken.mkdir()
    with pytest.raises(ScriptoriumError, match=r"folder\.html: cannot be written"):
        write_evaluation({"a": filled(("a", "b", 1))}, grey, "t", taken)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.html"]
