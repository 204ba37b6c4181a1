"""Polygons of pages against the ink that was drawn, counted pixel by pixel."""

from __future__ import annotations

import itertools
import json
import math

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from synth.compose.background import Backgrounds
from synth.pages.labels import IGNORED
from synth.pages.pipeline import PagePipeline
from synth.pages.settings import Page
from synth.pages.sheet import Sheet, contrasts, shoot
from synth.pages.typeset import Line
from synth.recipe import Background, ColourSection, Recipe

pytestmark = pytest.mark.usefixtures("own_cache")

WORDS = ["window", "harbour", "Quito", "jumps over", "lazy", "fox", "12:45", "Ödmjukt, jag", "by Typ", "a.b"]
STILL = {"rotation": {"p": 0}, "perspective": {"p": 0}, "curl": {"p": 0}}
LYING = {
    "flat": STILL,
    "turned": STILL | {"rotation": {"p": 1, "degrees": 10}},
    "seen askew": STILL | {"rotation": {"p": 1}, "perspective": {"p": 1, "shift": 0.1}},
    "curled": STILL | {"rotation": {"p": 1}, "perspective": {"p": 1}, "curl": {"p": 1, "rise": 0.03}},
}


def block_of(width, height, text="word", gaps=()):
    """Ink that fills its box, but for columns in `gaps`: its edges are known to the pixel."""
    mask = np.full((height, width), 255, np.uint8)
    n = len(text)
    edges = np.linspace(0, width, n + 1)
    boxes = np.array([(a, 0, b, height) for a, b in itertools.pairwise(edges)], np.float32)
    for k, character in enumerate(text):
        if character == " ":
            mask[:, round(edges[k]) : round(edges[k + 1])] = 0
    blank = np.array([character == " " for character in text])
    return Line(mask, text, list(text), boxes, blank, height * 0.8, height)


def shot_of(sheet, seed=0, edge=0.0, **lying):
    page = Page(edge=edge, through=0, legible=(0, 0), **lying)
    flat = Backgrounds(Background(kinds={"flat": 1}))
    colour = ColourSection(luminance=(255, 255), contrast=(255, 255))
    return shoot(sheet, page, colour, flat, flat, np.random.default_rng(seed))


def ink_within(ink, polygon):
    """Share of the ink within 3 pixels of a polygon that lies inside it, and where its dark pixels are."""
    left, top = np.floor(polygon.min(0) - 4).astype(int)
    right, bottom = np.ceil(polygon.max(0) + 4).astype(int)
    ys, xs = np.mgrid[top:bottom, left:right]
    inside = (ys >= 0) & (ys < ink.shape[0]) & (xs >= 0) & (xs < ink.shape[1])
    ys, xs = ys[inside], xs[inside]
    weight = 255.0 - ink[ys, xs]
    points = shapely.points(xs + 0.5, ys + 0.5)
    shape = shapely.Polygon(polygon)
    within = shapely.contains(shape, points) | (shapely.distance(shape, points) < 0.5)
    near = shapely.distance(shape, points) < 3
    share = weight[within].sum() / max(weight[near].sum(), 1)
    dark = within & (weight > 100)
    return share, np.stack((xs[dark] + 0.5, ys[dark] + 0.5), 1)


@pytest.mark.parametrize("edge", [0.0, 1.0])
@pytest.mark.parametrize("lying", LYING)
def test_polygons_hold_their_ink_and_end_where_it_ends(lying, edge):
    sheet = Sheet(500, 600, margin=0.04)
    rng = np.random.default_rng(3)
    for row in range(10):
        sheet.put(block_of(int(rng.integers(30, 380)), int(rng.integers(12, 30)), "abcdef"), 60, 40 + 52 * row)
    shot = shot_of(sheet, seed=len(lying), edge=edge, **LYING[lying])
    assert len(shot.labels) == 10
    if lying == "curled":
        assert {len(label.polygon) for label in shot.labels} <= {4, 8, 14}
    for label in shot.labels:
        share, dark = ink_within(shot.ink, label.polygon)
        assert share >= 0.99
        # Every side has ink within two pixels and a half: two of margin and the pixel's own half.
        closed = np.concatenate((label.polygon, label.polygon[:1]))
        for a, b in itertools.pairwise(closed):
            side = shapely.LineString((a, b))
            assert float(shapely.distance(side, shapely.points(dark)).min()) <= 2.6


def test_the_corners_of_a_polygon_are_those_of_the_ink():
    sheet = Sheet(400, 300, margin=0.0)
    sheet.put(block_of(200, 24), 50, 100)
    shot = shot_of(sheet, **LYING["flat"])
    assert np.allclose(shot.labels[0].polygon, [(50, 100), (250, 100), (250, 124), (50, 124)])


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_turned_texts_begin_at_their_own_top_left(quarters):
    sheet = Sheet(300, 300, margin=0.0)
    sheet.put(block_of(100, 20, "ab"), 80, 90, quarters=quarters)
    (label,) = sheet.labels
    wide, high = (100, 20) if quarters % 2 == 0 else (20, 100)
    box = [(80, 90), (80 + wide, 90), (80 + wide, 90 + high), (80, 90 + high)]
    assert np.allclose(label.polygon, np.roll(box, -quarters, 0), atol=1e-3)
    # The first unit holds the text's beginning.
    assert np.allclose(label.units[0][0], label.polygon[0], atol=1e-3)
    rows, columns = np.nonzero(sheet.tone == 0)
    assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == (80, 80 + wide, 90, 90 + high)


@given(angle=st.floats(-math.pi, math.pi), width=st.integers(20, 120), height=st.integers(8, 40))
def test_texts_at_any_angle_lie_in_their_polygons(angle, width, height):
    sheet = Sheet(320, 320, margin=0.0)
    sheet.put_turned(block_of(width, height), 160, 160, angle, grey=0)
    share, _ = ink_within(sheet.tone, sheet.labels[0].polygon)
    assert share >= 0.97  # what lies beyond is the half-covered rim
    area = float(np.sum(255.0 - sheet.tone)) / 255
    assert area == pytest.approx(width * height, rel=0.05)
    assert cv2.contourArea(sheet.labels[0].polygon) == pytest.approx(width * height, rel=0.01)


def test_words_have_polygons_of_their_own():
    sheet = Sheet(400, 100, "word", margin=0.0)
    sheet.put(block_of(100, 20, "ab cd  e"), 10, 10)
    assert [label.text for label in sheet.labels] == ["ab", "cd", "e"]
    assert [label.polygon[[0, 1], 0].tolist() for label in sheet.labels] == [[10, 35], [47.5, 72.5], [97.5, 110]]


def test_margins_are_never_more_than_two_pixels():
    sheet = Sheet(400, 400, margin=0.5)
    sheet.put(block_of(100, 60), 50, 50)
    assert np.allclose(sheet.labels[0].polygon[0], (48, 48))


def test_texts_that_are_cut_off_or_too_low_are_to_be_ignored():
    sheet = Sheet(300, 200, margin=0.0)
    sheet.put(block_of(100, 20, "half"), 250, 20)
    sheet.put(block_of(100, 6, "low"), 20, 80)
    sheet.put(block_of(100, 20, "seen"), 20, 120)
    page = Page(edge=0, through=0, legible=(7, 9), **LYING["flat"])
    flat = Backgrounds(Background(kinds={"flat": 1}))
    shot = shoot(sheet, page, ColourSection(), flat, flat, np.random.default_rng(0))
    assert [label.text for label in shot.labels] == [IGNORED, IGNORED, "seen"]


def test_contrast_is_what_is_left_of_the_ink():
    sheet = Sheet(200, 200, margin=0.0)
    sheet.put(block_of(100, 20, "a b c d e"), 20, 20)
    sheet.put(block_of(100, 20, "f g h i j"), 20, 100)
    image = np.full((200, 200), 230, np.float32)
    image[:60] -= (255.0 - sheet.tone[:60]) * (120 / 255)
    image[60:] -= (255.0 - sheet.tone[60:]) * (30 / 255)
    found, _ = contrasts(np.rint(image).astype(np.uint8), sheet.tone, sheet.labels)
    assert found == pytest.approx([120, 30], abs=1)


def test_of_a_long_text_the_part_with_least_contrast_counts():
    sheet = Sheet(400, 100, margin=0.0)
    sheet.put(block_of(300, 20, "a b c d e f g h i j"), 20, 20)
    image = sheet.tone.copy()
    image[:, 230:] = 0  # as where a shadow is all that is left
    assert contrasts(image, sheet.tone, sheet.labels)[0][0] < 5
    assert contrasts(sheet.tone, sheet.tone, sheet.labels)[0][0] == pytest.approx(255, abs=1)


def test_dots_that_a_fax_leaves_have_little_signal():
    sheet = Sheet(200, 200, margin=0.0)
    sheet.put(block_of(100, 20, "a b c d e"), 20, 20)
    sheet.put(block_of(100, 20, "f g h i j"), 20, 100)
    image = sheet.tone.copy()
    lost = np.random.default_rng(0).random(image.shape) < 0.85
    image[100:][lost[100:]] = 255
    _, (whole, dots) = contrasts(image, sheet.tone, sheet.labels)
    assert whole > 20 and dots < 1


def test_coloured_ink_counts_as_ink():
    sheet = Sheet(300, 200, margin=0.0)
    layer = sheet.layer((0.1, 0.8, 0.8))
    sheet.put_turned(block_of(100, 20, "a b c"), 150, 100, 0.2, grey=0, layer=layer)
    shot = shot_of(sheet, **LYING["flat"])
    assert shot.image.shape == (200, 300, 3)
    assert contrasts(cv2.cvtColor(shot.image, cv2.COLOR_BGR2GRAY), shot.ink, shot.labels)[0][0] > 100


def test_nothing_is_free_where_something_lies():
    sheet = Sheet(300, 200)
    assert sheet.is_free((0, 0, 300, 200))
    sheet.put(block_of(100, 20), 100, 100)
    assert not sheet.is_free((90, 90, 110, 110))
    assert sheet.is_free((0, 0, 90, 90))
    assert not sheet.is_free((0, 0, 97, 130), gap=4)


# -- whole pages ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory, dejavu, own_cache):
    corpus = tmp_path_factory.mktemp("pages") / "words.txt"
    corpus.write_text("\n".join(WORDS), encoding="utf-8")
    return PagePipeline(recipe_of(corpus, dejavu))


def recipe_of(corpus, fonts, *overrides):
    return Recipe.load("pages", corpus=[corpus], overrides=overrides, fonts={"paths": [str(font) for font in fonts]})


def boxes_of(sheet):
    return np.array([(*label.polygon.min(0), *label.polygon.max(0)) for label in sheet.labels])


def overlaps(boxes, shrink):
    """Pairs of boxes that overlap once each is `shrink` pixels smaller on all sides."""
    x0, y0, x1, y1 = (boxes + np.array((shrink, shrink, -shrink, -shrink))).T
    met = (x0[:, None] < x1) & (x1[:, None] > x0) & (y0[:, None] < y1) & (y1[:, None] > y0)
    return [(i, j) for i, j in zip(*np.nonzero(met), strict=True) if i < j]


@pytest.mark.parametrize("kind", ["text", "dense", "cover", "receipt", "form", "table"])
def test_texts_never_lie_upon_each_other(kind, tmp_path, dejavu):
    corpus = tmp_path / "words.txt"
    corpus.write_text("\n".join(WORDS), encoding="utf-8")
    pages = PagePipeline(
        recipe_of(corpus, dejavu, f"page.kinds={{{kind}: 1}}", "page.side=[500, 900]", "page.margin=[0, 0]")
    )
    texts = 0
    for index in range(12):
        sheet = pages.pages.make(kind, np.random.default_rng(index))
        texts += len(sheet.labels)
        assert not overlaps(boxes_of(sheet), 0.1), index
        inside = boxes_of(sheet)
        assert (inside[:, :2] >= 0).all()
        assert (inside[:, 2] <= sheet.width).all()
        assert (inside[:, 3] <= sheet.height).all()
    assert texts > 12 * (3 if kind == "cover" else 10)


def test_ink_of_real_pages_lies_in_their_polygons(pipeline):
    """No letters outside: what is drawn with a label covers 99 % of the text's ink, on sheets without other marks."""
    recipe = pipeline.recipe.model_copy(
        update={"page": pipeline.recipe.page.model_copy(update={"kinds": {"cover": 1.0}, "marks": 0.0, "through": 0.0})}
    )
    pages = PagePipeline(recipe)
    for index in range(8):
        sheet = pages.pages.make("cover", np.random.default_rng(index))
        # With a desk around it, as what a scanner shows beside a sheet may be black.
        shot = shot_of(sheet, index, edge=1.0, **LYING["curled"])
        mask = np.zeros(shot.ink.shape, np.uint8)
        for label in shot.labels:
            cv2.fillPoly(mask, [np.round(label.polygon * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        # Panels are no ink: on covers they are paler than 150.
        ink = np.where(shot.ink < 120, 255.0 - shot.ink, 0)
        assert ink[mask > 0].sum() >= 0.99 * ink.sum(), index


def test_a_page_is_a_function_of_its_index(pipeline):
    records = [pipeline.record(index) for index in (0, 1, 2)]
    again = PagePipeline(pipeline.recipe)
    assert [again.record(index) for index in (2, 1, 0)][::-1] == records
    assert pipeline.block(1, 3) == records[1:]
    assert len({record.image for record in records}) == 3


def test_labels_are_those_that_detectors_train_on(pipeline):
    from ocr.data.det import parse_label

    for index in range(4):
        record = pipeline.record(index)
        image = cv2.imdecode(np.frombuffer(record.image, np.uint8), cv2.IMREAD_COLOR)
        polygons, texts = parse_label(record.label, str(index))
        entries = json.loads(record.label)
        assert len(polygons) == len(entries) > 0
        assert texts == [entry["transcription"] for entry in entries]
        height, width = image.shape[:2]
        for polygon, text in zip(polygons, texts, strict=True):
            if text != IGNORED:
                assert polygon.min() >= -2
                assert (polygon.max(0) <= (width + 2, height + 2)).all()
                # Clockwise on the screen.
                assert cv2.contourArea(polygon, oriented=True) > 0
        meta = json.loads(record.meta)
        assert meta["texts"] == len(texts)
        assert meta["ignored"] == texts.count(IGNORED)


def test_units_lie_in_their_texts(tmp_path, dejavu):
    corpus = tmp_path / "words.txt"
    corpus.write_text("\n".join(WORDS), encoding="utf-8")
    pages = PagePipeline(recipe_of(corpus, dejavu, "output.polygons=true", "page.kinds={receipt: 1}"))
    entries = json.loads(pages.record(0).label)
    for entry in entries:
        if entry["transcription"] == IGNORED:
            assert "units" not in entry
            continue
        assert len(entry["units"]) == len(entry["transcription"])
        text = shapely.Polygon(entry["points"]).buffer(1.5)
        for unit, character in zip(entry["units"], entry["transcription"], strict=True):
            if not character.isspace():
                assert text.covers(shapely.Polygon(unit))
