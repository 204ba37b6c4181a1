import base64
import io
import json
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import cv2
import lmdb
import matplotlib
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from hypothesis import given, settings
from hypothesis import strategies as st

import synth.report.dataset as dataset_module
from augment.errors import ScriptoriumError
from synth.engine import Summary, generate
from synth.pipeline import Pipeline
from synth.recipe import Recipe
from synth.report.dataset import image_size, write_report
from synth.report.preview import contact_sheet, write_preview
from synth.report.summary import absent_units, closing, shares, shown, size
from synth.shards.merge import merge
from synth.shards.reader import ShardReader
from synth.shards.record import Record
from synth.shards.verify import verify
from synth.text.charset import Charset

DEJAVU = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FONTS = [str(DEJAVU / "DejaVuSans.ttf"), str(DEJAVU / "DejaVuSerif-Italic.ttf")]
LINES = ["Grüße", "שלום", "<b>&amp;\"'", "سلام", "plain"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "texts.txt"
    path.write_text("\n".join([*LINES, "bad\x01line"]), encoding="utf-8")
    return path


def pipeline(corpus: Path, *overrides: str, fonts: Sequence[str] = FONTS) -> Pipeline:
    return Pipeline(Recipe.load("clean", corpus=[corpus], fonts={"paths": list(fonts)}, overrides=overrides))


class Page(HTMLParser):
    """What stands in a page: texts by class of the element, addresses, and the rows of tables."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {}
        self.addresses: list[str] = []
        self.tags: Counter[str] = Counter()
        self.rows: list[list[str]] = []
        self.text = path.read_text(encoding="utf-8")
        self._inside: list[str] = []
        self._in_cell = False
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags[tag] += 1
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
            self._in_cell = True
        if tag in ("meta", "input", "img", "br"):
            return
        self._inside.append(values.get("class") or tag)
        self.texts.setdefault(self._inside[-1], []).append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside.pop()
        if tag == "td":
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        for name in self._inside:
            self.texts[name][-1] += data
        if self._in_cell:
            self.rows[-1][-1] += data


def no_outside_addresses(page: Page) -> bool:
    style = [found for found in re.findall(r"url\(([^)]*)\)", page.text)]
    return all(address.startswith("data:") for address in page.addresses + style) and "@import" not in page.text


# -- summary ---------------------------------------------------------------------------------------------------


def test_figures_are_said_as_people_say_them() -> None:
    assert [size(1), size(999), size(1000), size(52_340_000), size(7_200_000_000)] == [
        "1 byte",
        "999 bytes",
        "1.0 kB",
        "52.3 MB",
        "7.2 GB",
    ]
    assert shares({"a": 1, "b": 500, "c": 0}, 10_000) == [("b", 500, "5.0 %"), ("a", 1, "< 0.1 %"), ("c", 0, "0.0 %")]


def test_what_has_no_base_or_ink_is_shown_all_the_same() -> None:
    assert shown("\u093f") == "\u25cc\u093f"
    assert shown(" ") == "space"
    assert shown("\u200d") == "ZWJ"
    assert shown("\u00a0") == "U+00A0"
    assert shown("क्") == "क्"


def test_a_unit_in_another_spelling_is_not_absent() -> None:
    spelled = "\u0958"  # NFC rewrites it
    charset = Charset(["a", spelled, "b", "c"])
    assert absent_units(charset, ["a", unicodedata.normalize("NFC", spelled), "c"]) == ["b"]


def test_closing_says_what_was_made_and_what_was_not(corpus: Path, tmp_path: Path) -> None:
    charset = tmp_path / "chars.txt"
    charset.write_text("\n".join(sorted(set("".join(LINES)) - set("ü\"'") | set("Ω"))), encoding="utf-8")
    rejected = tmp_path / "fonts"
    rejected.mkdir()
    shutil.copy(FONTS[0], rejected)
    (rejected / "broken.ttf").write_bytes(b"no font")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "good.png"), np.zeros((40, 40, 3), np.uint8))
    (pictures / "torn.jpg").write_bytes(b"\xff\xd8no picture")
    made = pipeline(
        corpus, f"corpus.charset={charset}", f"background.paths=[{json.dumps(str(pictures))}]", fonts=[str(rejected)]
    )
    units = Counter("".join(LINES))
    summary = Summary(tmp_path / "my data", 3000, 1000, 2, {"a": 900, "b": 100}, {"ꙮ": 7}, dict(units), 12_340_000, 4.0)
    text = closing(summary, made)
    flat = " ".join(text.split())
    for fact in (
        f"3,000 images in {tmp_path / 'my data'}",
        "2 shards, 12.3 MB, 4.0 s, 500 images/s",
        "1,000 of them from an earlier run",
        f"{len(units)} different units, {units.total()} in all",
        "with the space, which is always known; 1 never appear: Ω U+03A9",
        "1 face of 1 family",
        "1,000 of 4,000 attempts (25.0 %)",
        "900 22.5 % a",
        "100 2.5 % b",
        "for 1 character: ꙮ U+A66E",
        "texts.txt: 1 of 6 lines not usable: 1 control character",
        "lacks 3 characters of the corpus:",
        "ü U+00FC",
        "font files: 1 broken.ttf:",
        "pictures: 1 torn.jpg:",
        f"synth verify '{tmp_path / 'my data'}'",
        f"synth preview --recipe '{tmp_path / 'my data' / 'recipe.yaml'}'",
    ):
        assert fact in flat, text
    assert text.endswith("\n") and not text.endswith("\n\n")


def test_closing_says_nothing_of_what_did_not_happen(corpus: Path, tmp_path: Path) -> None:
    good = tmp_path / "good.txt"
    good.write_text("one\ntwo\n")
    text = closing(Summary(tmp_path / "d", 10, 0, 0, {}, {}, {"o": 3}, 100, 1.0), pipeline(good))
    assert not re.search("refused|no font|not usable|lacks|unusable|shard|earlier", text)


# -- preview ---------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(8, 100), st.integers(1, 1700)), min_size=1, max_size=10))
def test_every_image_stands_on_the_sheet_whole(sizes: list[tuple[int, int]]) -> None:
    images = [np.full((h, w, 3), (200, number, 7), np.uint8) for number, (h, w) in enumerate(sizes)]
    sheet = contact_sheet(images)
    factor = 2 if max(h for h, _ in sizes) <= 64 else 1
    last = (0, 0)
    for image in images:
        rows, columns = np.nonzero((sheet == image[0, 0]).all(-1))
        assert len(rows) == image.shape[0] * image.shape[1] * factor**2
        assert int(np.ptp(rows)) + 1 == image.shape[0] * factor
        assert int(np.ptp(columns)) + 1 == image.shape[1] * factor
        place = (int(rows[0]), int(columns[0]))
        assert place > last
        last = place
    assert sheet.shape[1] <= max(1600, factor * max(w for _, w in sizes) + 16)


def test_preview_shows_the_samples_themselves(corpus: Path, tmp_path: Path) -> None:
    made = pipeline(corpus)
    sheet, path = write_preview(made, 12, tmp_path / "deep" / "look.v1.png")
    assert (sheet, path) == (tmp_path / "deep" / "look.v1.png", tmp_path / "deep" / "look.v1.html")
    assert sorted(file.name for file in sheet.parent.iterdir()) == ["look.v1.html", "look.v1.png"]
    samples = [made.sample(index) for index in range(12)]
    page = Page(path)
    assert no_outside_addresses(page)
    images = [base64.b64decode(address.partition(",")[2]) for address in page.addresses]
    assert images == [sample.encoded for sample in samples]
    assert page.texts["transcript"] == [sample.text for sample in samples]
    assert page.tags["polygon"] == sum(len(sample.units) for sample in samples)
    assert page.tags["b"] == 2  # those of the legend: labels are escaped
    points = re.findall(r'points="([^"]*)"', page.text)
    expected = np.concatenate([sample.polygons for sample in samples]).reshape(-1)
    found = np.array([[float(v) for v in re.split("[ ,]", p)] for p in points]).reshape(-1)
    assert np.allclose(found, expected, atol=0.051)
    for sample, small in zip(samples, page.texts["small"], strict=True):
        assert sample.meta["font"] in small and f"contrast {sample.meta['contrast']:g}" in small
    assert cv2.imread(str(sheet)) is not None


def test_shared_polygons_look_different(corpus: Path, tmp_path: Path) -> None:
    made = pipeline(corpus)
    samples = [made.sample(index) for index in range(40)]
    shared = sum(int(sample.shared.sum()) for sample in samples)
    _, path = write_preview(made, 40, tmp_path / "p")
    assert path.read_text(encoding="utf-8").count('class="shared"><title') == shared
    assert shared, "lam-alef is a joined shape"


def test_preview_brings_the_letters_that_a_browser_may_lack(corpus: Path, tmp_path: Path) -> None:
    made = pipeline(corpus)
    _, path = write_preview(made, 24, tmp_path / "p.html")
    drawn = {character for index in range(24) for character in made.sample(index).text}
    covered: set[int] = set()
    for data in re.findall(r"font/woff2;base64,([^)]*)\)", path.read_text(encoding="utf-8")):
        font = TTFont(io.BytesIO(base64.b64decode(data)))
        covered |= font.getBestCmap().keys()
        assert len(font.getGlyphOrder()) < 200
    assert {ord(character) for character in drawn if character > "\u0530"} <= covered
    assert any(character in drawn for character in "שלום") and "ü" in drawn
    assert ord("ü") not in covered


@pytest.mark.parametrize("name", [".", "..", "/"])
def test_preview_wants_a_name(corpus: Path, name: str) -> None:
    with pytest.raises(ScriptoriumError, match="names no file"):
        write_preview(pipeline(corpus), 1, Path(name))


def test_preview_that_cannot_be_written(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ScriptoriumError, match="cannot be written"):
        write_preview(pipeline(corpus), 1, tmp_path / "file" / "preview")
    with pytest.raises(ScriptoriumError, match="at least 1"):
        write_preview(pipeline(corpus), 0, tmp_path / "preview")


# -- report ----------------------------------------------------------------------------------------------------


class Words:
    """Records whose every property follows from the index; only each third one has meta."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words

    def block(self, start: int, stop: int) -> list[Record]:
        return [self.record(index) for index in range(start, stop)]

    def record(self, index: int) -> Record:
        word = self.words[index % len(self.words)]
        image = cv2.imencode(".jpg", np.full((8, 5 + index % 7, 3), index % 256, np.uint8))[1].tobytes()
        meta = json.dumps({"font": f"Font {index % 2}", "contrast": 30.5 + index}).encode() if index % 3 == 0 else b""
        return Record(index, image, word, meta, None, [("too dim", "")] * (index % 2), list(word))


WORDS = ["ab", "ನè", "<i>", "x"]


def make(path: Path, count: int = 300, **options: object) -> Path:
    options = {"manifest_head": {"recipe": {"name": "toy", "seed": 3}}, "shard_size": 256, "progress": False} | options
    generate(lambda: Words(WORDS), path, count, **options)  # type: ignore[arg-type]
    return path


def unit_counts(page: Page) -> dict[str, int]:
    """The table of units, by code points."""
    return {row[1]: int(row[3].replace(",", "")) for row in page.rows if len(row) == 4 and row[1].startswith("U+")}


def expected_counts(count: int = 300) -> dict[str, int]:
    units = Counter(unit for index in range(count) for unit in WORDS[index % len(WORDS)])
    return {f"U+{ord(unit):04X}": number for unit, number in units.items()}


@pytest.mark.parametrize("layout", ["lmdb", "folder"])
def test_report_counts_what_is_there(tmp_path: Path, layout: str) -> None:
    data = make(tmp_path / "d", format=layout)
    text = write_report(data, data / "report.html")
    assert verify(data, progress=False).ok
    page = Page(data / "report.html")
    assert no_outside_addresses(page)
    assert unit_counts(page) == expected_counts()
    assert re.search(r"images +300", text) and "length 1–3 (median 2) units" in text
    assert "width 5–11 (median 8) px" in text and "contrast 30.5–327.5 (median 179)" in text and "2 fonts" in text
    fonts = {row[0]: (row[1], row[2]) for row in page.rows if row and row[0].startswith("Font ")}
    assert fonts == {"Font 0": ("50", "16.7 %"), "Font 1": ("50", "16.7 %")}
    assert ["too dim", "150", "33.3 %"] in [row[:3] for row in page.rows]
    assert page.tags["figure"] == 60 and page.tags["i"] == 3  # the bars'; labels are escaped
    assert page.text.count('class="rare"><td') == sum(n < 200 for n in expected_counts().values())


def test_report_leaves_shards_readable(tmp_path: Path) -> None:
    data = make(tmp_path / "d")
    first = write_report(data, data / "report.html"), (data / "report.html").read_text(encoding="utf-8")
    again = write_report(data, data / "report.html"), (data / "report.html").read_text(encoding="utf-8")
    assert first[0] == again[0]
    assert first[1].partition("<h2>")[0] == again[1].partition("<h2>")[0]
    assert len(ShardReader(data)) == 300
    assert sorted(path.name for path in data.iterdir()) == [
        "manifest.json",
        "report.html",
        "shard-00000",
        "shard-00001",
    ]
    make(data, resume=True)


def test_few_records_are_looked_at_but_all_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_module, "SAMPLED", 20)
    data = make(tmp_path / "d")
    text = write_report(data, tmp_path / "r.html")
    page = Page(tmp_path / "r.html")
    assert "sampled  20:" in text and "20 of 300 records, evenly spread" in page.text
    assert unit_counts(page) == expected_counts()
    assert page.tags["figure"] == 20


def test_report_of_an_lmdb_of_another_maker(tmp_path: Path) -> None:
    folder = tmp_path / "foreign"
    env = lmdb.open(str(folder), map_size=1 << 22)
    with env.begin(write=True) as txn:
        txn.put(b"num-samples", b"3")
        for number, (label, image) in enumerate([("किa", b""), ("a", b"\xff\xd8junk"), ("ab", None)], 1):
            good = cv2.imencode(".png", np.zeros((10, 33), np.uint8))[1].tobytes()
            txn.put(b"label-%09d" % number, label.encode())
            txn.put(b"image-%09d" % number, good if image is None else image)
    env.close()
    text = write_report(folder, tmp_path / "r.html")
    page = Page(tmp_path / "r.html")
    assert unit_counts(page) == {"U+0061": 3, "U+0062": 1, "U+0915 U+093F": 1}
    assert "broken   2 images" in text and "width 33–33" in text
    assert page.tags["figure"] == 1


def test_report_of_merged_and_of_unfinished_sets(tmp_path: Path) -> None:
    data = make(tmp_path / "d")
    other = make(tmp_path / "other", manifest_head={"seed": 1})
    merge([data, other], tmp_path / "m", progress=False)
    write_report(tmp_path / "m", tmp_path / "m.html")
    assert unit_counts(Page(tmp_path / "m.html")) == {unit: 2 * n for unit, n in expected_counts().items()}

    manifest = json.loads((data / "manifest.json").read_text())
    kept = {key: value for key, value in manifest.items() if key not in ("totals", "shards")}
    (data / "manifest.json").write_text(json.dumps(kept | {"complete": False}))
    shutil.rmtree(data / "shard-00001")
    write_report(data, tmp_path / "u.html")
    page = Page(tmp_path / "u.html")
    assert unit_counts(page) == expected_counts(256)
    assert "unfinished: 256 of 300" in page.text


def test_units_of_the_charset_that_never_appear_are_in_the_table(corpus: Path, tmp_path: Path) -> None:
    charset = tmp_path / "chars.txt"
    charset.write_text("\n".join(sorted(set("".join(LINES)) | {"Ω"})), encoding="utf-8")
    made = pipeline(corpus, f"corpus.charset={charset}")
    recipe = made.recipe.to_yaml()
    generate(lambda: made, tmp_path / "d", 20, manifest_head=made.head(), recipe_text=recipe, progress=False)
    text = write_report(tmp_path / "d", tmp_path / "r.html")
    assert unit_counts(Page(tmp_path / "r.html"))["U+03A9"] == 0 and "of the charset never" in text
    charset.write_text("a\n")
    assert "of the charset never" not in write_report(tmp_path / "d", tmp_path / "r.html")


def test_report_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(ScriptoriumError, match="no such folder"):
        write_report(tmp_path / "none", tmp_path / "r.html")
    with pytest.raises(ScriptoriumError, match="no LMDB"):
        write_report(tmp_path, tmp_path / "r.html")
    data = make(tmp_path / "d", format="folder")
    (data / "images" / "000000005.jpg").unlink()
    with pytest.raises(ScriptoriumError, match=r"000000005\.jpg: cannot be read"):
        write_report(data, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from([".jpg", ".png", ".webp"]),
    st.booleans(),
    st.sampled_from([1, 3]),
)
def test_sizes_from_headers_are_those_of_the_decoder(
    height: int, width: int, suffix: str, progressive: bool, channels: int
) -> None:
    image = np.full((height, width, channels), 77, np.uint8)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)] if suffix == ".jpg" else []
    data = cv2.imencode(suffix, image, options)[1].tobytes()
    assert image_size(data) == (width, height)


@given(st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x00", b"\x89PNG"]))
def test_sizes_of_what_is_no_image(tail: bytes, head: bytes) -> None:
    width, height = image_size(head + tail)
    assert width >= 0 and height >= 0
