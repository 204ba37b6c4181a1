"""`synth convert`: each form read back by its own rules; crops against pictures that are known to the pixel."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from augment import geometry
from augment.errors import ScriptoriumError
from synth.pages.convert import convert, cut_out
from synth.pages.labels import IGNORED, quad_of, read_label
from synth.pages.settings import Page
from synth.pages.sheet import Label, moved

pytestmark = pytest.mark.usefixtures("own_cache")

TEXTS = [
    ("Grüße, all", [[10, 20], [110, 20], [110, 50], [10, 50]]),
    (IGNORED, [[10, 80], [60, 80], [60, 90], [10, 90]]),
    ("縦書き", [[150, 20], [180, 20], [180, 120], [150, 120]]),
    ("bend", [[20, 140], [60, 130], [100, 130], [140, 140], [140, 170], [100, 160], [60, 160], [20, 170]]),
]


@pytest.fixture
def data(tmp_path):
    """Two pages as a label file: the second one is a PNG with one text."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    image = np.random.default_rng(0).integers(0, 256, (200, 220, 3), np.uint8)
    cv2.imwrite(str(folder / "images" / "a.jpg"), image)
    cv2.imwrite(str(folder / "images" / "b.png"), image[:100])
    rows = [("images/a.jpg", TEXTS), ("images/b.png", TEXTS[:1])]
    with (folder / "labels.tsv").open("w", encoding="utf-8") as file:
        for path, texts in rows:
            label = [{"transcription": text, "points": points} for text, points in texts]
            file.write(f"{path}\t{json.dumps(label, ensure_ascii=False)}\n")
    return folder


def test_label_file(data, tmp_path):
    done = convert(data, "label-file", tmp_path / "out")
    assert (done.pages, done.texts, done.ignored) == (2, 4, 1)
    rows = [row.split("\t") for row in (tmp_path / "out" / "labels.tsv").read_text(encoding="utf-8").splitlines()]
    assert [path for path, _ in rows] == ["images/000000001.jpg", "images/000000002.png"]
    assert [(f.text, f.polygon.tolist()) for f in read_label(rows[0][1])] == TEXTS
    assert (tmp_path / "out" / rows[0][0]).read_bytes() == (data / "images" / "a.jpg").read_bytes()
    # What was written can be read again.
    assert convert(tmp_path / "out", "label-file", tmp_path / "again").texts == 4


def test_icdar(data, tmp_path):
    convert(data, "icdar", tmp_path / "out")
    lines = (tmp_path / "out" / "gt" / "gt_000000001.txt").read_bytes().decode().split("\r\n")
    assert lines[0] == "10,20,110,20,110,50,10,50,Grüße, all"
    assert lines[1].endswith(",###")
    # Eight coordinates, be a text bent or not; its text may hold commas.
    assert all(len(line.split(",", 8)) == 9 for line in lines[:4])
    corners = np.array(list(map(int, lines[3].split(",", 8)[:8]))).reshape(4, 2)
    assert all(cv2.pointPolygonTest(corners.astype(np.float32), point, True) > -1.5 for point in TEXTS[3][1])


def test_coco(data, tmp_path):
    convert(data, "coco", tmp_path / "out")
    whole = json.loads((tmp_path / "out" / "annotations.json").read_text(encoding="utf-8"))
    assert [(i["id"], i["file_name"], i["width"], i["height"]) for i in whole["images"]] == [
        (1, "000000001.jpg", 220, 200),
        (2, "000000002.png", 220, 100),
    ]
    first, ignored, *_ = whole["annotations"]
    assert first["bbox"] == [10, 20, 100, 30]
    assert (first["area"], first["iscrowd"], first["category_id"], first["text"]) == (3000, 0, 1, "Grüße, all")
    assert first["segmentation"] == [[10, 20, 110, 20, 110, 50, 10, 50]]
    assert ignored["iscrowd"] == 1
    assert [a["id"] for a in whole["annotations"]] == [1, 2, 3, 4, 5]
    assert [a["image_id"] for a in whole["annotations"]] == [1, 1, 1, 1, 2]


def test_crops(data, tmp_path):
    done = convert(data, "crops", tmp_path / "out")
    rows = [row.split("\t") for row in (tmp_path / "out" / "labels.tsv").read_text(encoding="utf-8").splitlines()]
    assert [text for _, text in rows] == ["Grüße, all", "縦書き", "bend", "Grüße, all"]
    assert done.crops == 4
    sizes = [cv2.imread(str(tmp_path / "out" / name)).shape[:2] for name, _ in rows]
    assert sizes[:2] == [(30, 100), (30, 100)]  # the column lies on its left side
    assert sizes[2] == (30, pytest.approx(122, abs=2))


def test_shards_of_synth_generate(synth, tmp_path, dejavu):
    corpus = tmp_path / "words.txt"
    corpus.write_text("window\nharbour\njumps over\n12:45\n", encoding="utf-8")
    pages = tmp_path / "pages"
    made = synth(
        *("generate", "--task", "det", "--corpus", corpus, "--fonts", dejavu[0], "--output", pages, "--count", 3),
        *("-o", "page.side=[300, 400]", "output.shard_size=256"),
    )
    assert made.code == 0, made.err
    assert "made     3 images" in made.out
    assert synth("verify", pages).code == 0
    said = synth("convert", pages, tmp_path / "crops", "--to", "crops")
    assert said.code == 0, said.err
    assert "crops of 3 pages" in said.out
    assert "next: ocr train -c configs/rec/crnn.yml" in said.out
    assert len(list((tmp_path / "crops" / "images").iterdir())) > 3
    again = synth("convert", pages, tmp_path / "crops", "--to", "icdar")
    assert "holds other files" in again.error


def test_lines_are_not_pages(synth, tmp_path):
    (tmp_path / "labels.tsv").write_text("a.jpg\thello\n", encoding="utf-8")
    (tmp_path / "a.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((9, 9), np.uint8))[1].tobytes())
    error = synth("convert", tmp_path, tmp_path / "out", "--to", "coco").error
    assert "no page with texts" in error
    assert "not JSON" in error
    assert not (tmp_path / "out").exists()


def test_broken_pages_are_left_out_and_counted(data, tmp_path):
    with (data / "labels.tsv").open("a", encoding="utf-8") as file:
        file.write('images/none.jpg\t[]\nimages/a.jpg\t{"a": 1}\nimages/a.jpg\t[{"points": [[1, 2]]}]\n')
        file.write('images/a.jpg\t[{"transcription": "x", "points": [[1, 2], [3, 4]]}]\nimages/a.jpg\n')
    done = convert(data, "coco", tmp_path / "out")
    assert done.pages == 2
    assert sum(done.skipped.values()) == 5
    assert "left out: 1 × page whose text 1 lacks transcription or points (first: record 5)" in done.text("coco")


def test_a_recipe_of_another_task_is_refused(synth, tmp_path):
    corpus = tmp_path / "words.txt"
    corpus.write_text("window\n", encoding="utf-8")
    said = synth("generate", "--task", "det", "--recipe", "scene", "--corpus", corpus, "--output", tmp_path / "x")
    assert "--task det: recipe scene is of task rec" in said.error
    said = synth("generate", "--task", "det", "--height", 48, "--corpus", corpus, "--output", tmp_path / "x")
    assert "--height: is that of lines" in said.error


# -- crops ------------------------------------------------------------------------------------------------------


def striped(width, height):
    """A picture whose columns are told apart by their grey, and whose upper half is brighter."""
    image = np.tile(np.linspace(40, 200, width), (height, 1))
    image[: height // 2] += 40
    return image.astype(np.uint8)


def label_of(width, height, x, y):
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    return Label("text", np.array(corners, np.float32), np.zeros((0, 4, 2), np.float32))


@pytest.mark.parametrize("bend", [0.0, 120.0, -160.0])
@pytest.mark.parametrize("angle", [0.0, 0.3, -2.0])
def test_a_text_that_was_warped_is_cut_out_as_it_was(angle, bend):
    page = np.full((300, 300), 128, np.uint8)
    drawn = striped(120, 24)
    page[138:162, 90:210] = drawn
    warp = geometry.arc(150, 150, bend) if bend else geometry.Warp()
    warp = warp.then(geometry.rotation(angle, (150, 150)))
    (label,) = moved([label_of(120, 24, 90, 138)], warp, 300, 300, Page(legible=(0, 0)))
    crop = cut_out(warp.apply(page, (300, 300), 128), label.polygon)
    assert crop is not None
    assert abs(crop.shape[0] - 24) <= 3
    inner = cv2.resize(crop, (120, 24), interpolation=cv2.INTER_AREA)[3:-3, 4:-4].astype(int)
    near = np.abs(inner - drawn[3:-3, 4:-4].astype(int))
    near[7:11] = 0  # where the halves meet
    assert near.mean() < 6


@pytest.mark.parametrize("bend", [0.0, 4.0])
def test_columns_come_out_turned_to_the_left(bend):
    page = np.full((300, 300), 128, np.uint8)
    drawn = striped(24, 150)
    page[70:220, 120:144] = drawn
    warp = geometry.wave(bend, 260, 0.4, "x") if bend else geometry.Warp()
    (label,) = moved([label_of(24, 150, 120, 70)], warp, 300, 300, Page(legible=(0, 0)))
    assert len(label.polygon) == (8 if bend else 4)
    crop = cut_out(warp.apply(page, (300, 300), 128), label.polygon)
    assert crop is not None
    turned = cv2.rotate(drawn, cv2.ROTATE_90_COUNTERCLOCKWISE)
    inner = cv2.resize(crop, turned.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(inner[3:-3, 3:-3].astype(int) - turned[3:-3, 3:-3]).mean() < 6


def test_what_is_too_small_is_no_crop():
    assert cut_out(np.zeros((50, 50), np.uint8), label_of(20, 2, 5, 5).polygon) is None


def test_the_smallest_quad_begins_where_the_polygon_does():
    polygon = np.array(TEXTS[3][1], np.float32)
    quad = quad_of(polygon)
    assert np.linalg.norm(quad[0] - polygon[0]) < 15
    assert cv2.contourArea(quad, oriented=True) > 0
    assert quad_of(polygon[[0, 3, 4, 7]]) is not None


@pytest.mark.parametrize(
    "label", ["[", "{}", '[{"transcription": "a"}]', '[{"transcription": "a", "points": [[1, 2]]}]']
)
def test_labels_that_are_none(label):
    with pytest.raises(ValueError):
        read_label(label)


def test_an_unfinished_or_missing_data_set(tmp_path):
    with pytest.raises(ScriptoriumError):
        convert(tmp_path / "none", "coco", tmp_path / "out")


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ('[{"points": [[1, 2], [3, 4], [5, 6]]}]', "text 1 lacks transcription or points"),
        ("[[1, 2], 3]", "text 1 lacks transcription or points"),
        ('[{"transcription": 5, "points": [[1, 2], [3, 4], [5, 6]]}]', "transcription is no text, but 5"),
        ('[{"transcription": "a", "points": [["x", 2], [3, 4], [5, 6]]}]', r"points are not \[x, y\] each"),
        ('[{"transcription": "a", "points": [[1, 2, 3], [3, 4, 5], [5, 6, 7]]}]', r"points are not \[x, y\] each"),
        ('[{"transcription": "a", "points": [[1e300, 2], [3, 4], [5, 6]]}]', r"points are not \[x, y\] each"),
        ('[{"transcription": "a", "points": [[NaN, 2], [3, 4], [5, 6]]}]', r"points are not \[x, y\] each"),
        ('[{"transcription": "a", "points": [[1, 2], [3, 4]]}]', "no polygon of three or more points"),
        ('{"transcription": "a"}', "not a JSON list of texts"),
    ],
)
def test_faults_of_labels_are_named(label: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_label(label)
