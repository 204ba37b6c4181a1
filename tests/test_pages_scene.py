"""Scenes: letters in their polygons, groups apart from each other, calm places taken first."""

from __future__ import annotations

import itertools
import json

import cv2
import numpy as np
import pytest
import shapely

from augment.errors import ScriptoriumError
from synth.pages.labels import IGNORED
from synth.pages.pipeline import PagePipeline
from synth.pages.scene import _Scene
from synth.recipe import Recipe

pytestmark = pytest.mark.usefixtures("own_cache")

WORDS = ["window", "harbour", "Quito", "jumps", "lazy", "fox", "12:45", "Ödmjukt", "by", "Typ", "a.b"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenes") / "words.txt"
    path.write_text("\n".join(WORDS), encoding="utf-8")
    return path


def pipeline_of(corpus, fonts, *overrides):
    recipe = Recipe.load("scenes", corpus=[corpus], overrides=overrides, fonts={"paths": [str(font) for font in fonts]})
    return PagePipeline(recipe)


@pytest.fixture(scope="module")
def shots(corpus, dejavu, own_cache):
    scenes = pipeline_of(corpus, dejavu, "scene.side=[400, 600]", "geometry.curve.p=0.4", "page.margin=[0, 0]").scenes
    return [scenes.make(np.random.default_rng(index)) for index in range(24)]


def filled(shape, polygons):
    mask = np.zeros(shape, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.round(polygon * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask


def test_all_letters_lie_in_polygons(shots):
    for number, shot in enumerate(shots):
        ink = 255.0 - shot.ink
        mask = filled(shot.ink.shape, [label.polygon for label in shot.labels])
        assert ink[mask > 0].sum() >= 0.99 * ink.sum(), number


def test_polygons_end_where_their_letters_do(shots):
    """Within two pixels along each side, measured against what was drawn; of large texts, where a pixel is little."""
    measured = 0
    for shot in shots:
        for label in shot.labels:
            quad = label.polygon
            if label.text == IGNORED or len(quad) != 4 or np.linalg.norm(quad[3] - quad[0]) < 14:
                continue
            wide, high = (float(np.linalg.norm(quad[k] - quad[0])) for k in (1, 3))
            size = (round(wide), round(high))
            target = np.array(((0, 0), (size[0], 0), size, (0, size[1])), np.float32)
            matrix = cv2.getPerspectiveTransform((quad - 0.5).astype(np.float32), (target - 0.5).astype(np.float32))
            upright = cv2.warpPerspective(255 - shot.ink, matrix, size)
            rows, columns = np.nonzero(upright > 100)
            ends = (columns.min(), size[0] - 1 - columns.max(), rows.min(), size[1] - 1 - rows.max())
            # A far end is drawn smaller than it is here.
            assert max(ends) <= 2 * max(1, max(size) / 100), (label.text, ends, size)
            measured += 1
    assert measured > 40


def test_groups_do_not_overlap(shots):
    for number, shot in enumerate(shots):
        shapes = [shapely.make_valid(shapely.Polygon(label.polygon)) for label in shot.labels]
        for (a, first), (b, second) in itertools.combinations(zip(shot.labels, shapes, strict=True), 2):
            # Of italic words the boxes may touch.
            shared = first.intersection(second).area
            assert shared <= 0.05 * min(first.area, second.area), (number, a.text, b.text)


def test_bent_texts_have_8_or_14_points(shots):
    counts = {len(label.polygon) for shot in shots for label in shot.labels}
    assert counts <= {4, 8, 14}
    assert counts > {4}


def test_texts_that_the_edge_cuts_are_ignored(corpus, dejavu):
    scenes = pipeline_of(corpus, dejavu, "scene.partial=1", "scene.side=[300, 400]").scenes
    cut = whole = 0
    for index in range(12):
        shot = scenes.make(np.random.default_rng(index))
        height, width = shot.ink.shape
        for label in shot.labels:
            low, high = label.polygon.min(0), label.polygon.max(0)
            if low.min() < -2 or high[0] > width + 2 or high[1] > height + 2:
                assert label.text == IGNORED
                cut += 1
            else:
                whole += label.text != IGNORED
    assert cut and whole


def test_the_calmest_of_the_free_places_is_taken():
    image = np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8)
    image[:, 160:] = 128
    # Cells average noise away: black and white squares are never calm.
    image[:, :160] = 255 * (np.add.outer(np.arange(320) // 20, np.arange(160) // 20) % 2)[:, :, None]
    scene = _Scene(image, np.zeros((320, 320), np.uint8))
    rim = np.array(((0, 0), (60, 0), (60, 30), (0, 30)), np.float32)
    for seed in range(20):
        place = scene.place(rim, False, 10.0, np.random.default_rng(seed))
        assert place is None or place[0] >= 152
    scene.take(np.array(((150, 0), (320, 0), (320, 320), (150, 320)), np.float32), 0.0)
    assert all(scene.place(rim, False, 10.0, np.random.default_rng(seed)) is None for seed in range(20))


def test_a_scene_is_a_function_of_its_index(corpus, dejavu):
    pipeline = pipeline_of(corpus, dejavu)
    records = pipeline.block(0, 3)
    again = pipeline_of(corpus, dejavu)
    assert [again.record(index) for index in (2, 0, 1)] == [records[2], records[0], records[1]]


def test_pages_and_scenes_in_one_data_set(corpus, dejavu):
    pipeline = pipeline_of(corpus, dejavu, "page.kinds={scene: 1, receipt: 1}")
    kinds = {json.loads(pipeline.record(index).meta)["kind"] for index in range(12)}
    assert kinds == {"scene", "receipt"}


def test_labels_may_be_lines(corpus, dejavu):
    pipeline = pipeline_of(corpus, dejavu, "page.label=line", "scene.words=[2, 3]", "corpus.template_share=0")
    texts = [entry["transcription"] for index in range(4) for entry in json.loads(pipeline.record(index).label)]
    assert any(" " in text for text in texts)


# -- whatever a recipe may say ------------------------------------------------------------------------------------

EXTREMES = [
    *(
        "page.side=[128, 128]",
        "page.em=[6, 6]",
        "page.em=[200, 200]",
        "page.margin=[1, 1]",
        "page.legible=[1000, 1000]",
    ),
    *("page.mixed=1", "page.families=1", "page.display=1", "page.marks=1", "page.through=1", "page.edge=1"),
    *("page.rotation={p: 1, degrees: 45}", "page.perspective={p: 1, shift: 0.3}", "page.curl={p: 1, rise: 0.2}"),
    *(
        "scene.side=[128, 128]",
        "scene.blocks=[0, 0]",
        "scene.blocks=[60, 60]",
        "scene.lines=[0, 0]",
        "scene.lines=[9, 9]",
    ),
    *(
        "scene.lines=[9, 9]",
        "scene.words=[0, 0]",
        "scene.words=[20, 20]",
        "scene.em=[0.001, 0.001]",
        "scene.em=[1, 1]",
        "scene.panel=1",
    ),
    *("scene.steep=1", "scene.partial=1", "scene.things=[0, 0]", "scene.things=[90, 90]", "scene.busy=[0.1, 0.1]"),
    *(
        "layout.vertical.p=1",
        "geometry.curve={p: 1, bend: [10, 10]}",
        "geometry.perspective={p: 1, strength: [0.3, 0.3]}",
    ),
    *("geometry.stretch={p: 1, factor: [0.1, 0.1]}", "geometry.shear={p: 1, slant: [1, 1]}", "ink.opacity=[0, 0]"),
    *("ink.outline={p: 1, width: [0.25, 0.25]}", "ink.shadow={p: 1, offset: [1, 1], blur: [1, 1]}", "page.label=word"),
    *("output.encoding=png", "output.polygons=true", "colour.contrast=[0, 0]", "colour.luminance=[0, 0]"),
]


@pytest.mark.parametrize("override", EXTREMES)
def test_a_recipe_that_is_accepted_gives_pages_or_says_why_not(override, corpus, dejavu):
    kinds = "page.kinds={scene: 2, text: 1, dense: 1, cover: 1, receipt: 1, form: 1, table: 1}"
    pipeline = pipeline_of(corpus, dejavu, kinds, "page.side=[200, 300]", "scene.side=[200, 300]", override)
    try:
        records = [pipeline.record(index) for index in range(6)]
    except ScriptoriumError as error:
        assert "\n" not in str(error)
        return
    for record in records:
        assert cv2.imdecode(np.frombuffer(record.image, np.uint8), cv2.IMREAD_COLOR) is not None
        entries = json.loads(record.label)
        assert any(entry["transcription"] != IGNORED for entry in entries)
        assert all(np.isfinite(np.array(entry["points"])).all() for entry in entries)


def test_every_kind_of_background_and_every_pixel_operation(corpus, dejavu):
    from augment.pixel import known_ops

    degrade = "degrade={" + ", ".join(f"{name}: {{p: 0.3}}" for name in known_ops() if name != "albumentations") + "}"
    pipeline = pipeline_of(
        corpus, dejavu, "page.kinds={scene: 1, form: 1}", "scene.side=[200, 300]", degrade, "legibility.contrast=5"
    )
    assert len(pipeline.block(0, 12)) == 12
