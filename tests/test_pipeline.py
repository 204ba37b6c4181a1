from __future__ import annotations

import itertools
import json
import multiprocessing
import pickle
import unicodedata
from concurrent.futures import ProcessPoolExecutor

import cv2
import fontset
import numpy as np
import pytest
from font_maker import make_font

from augment.errors import ScriptoriumError
from synth import Pipeline, Recipe
from synth.data import data_file
from synth.pipeline import Streams, encoding_error
from synth.recipe import RecipeError
from synth.shards.record import NO_FONT, unpack_polygons

pytestmark = pytest.mark.usefixtures("own_cache")

WORDS = ["window", "harbour", "Quito", "jumps", "lazy", "fox", "12:45", "résumé", "Ödmjukt"]


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("\n".join(WORDS), encoding="utf-8")
    return path


def pipeline_of(corpus, fonts, *overrides, preset="scene"):
    return Pipeline(Recipe.load(preset, corpus=[corpus], overrides=overrides, fonts={"paths": list(map(str, fonts))}))


def told(sample):
    """All of a sample, comparable."""
    return (
        sample.encoded,
        sample.text,
        sample.units,
        sample.image.tobytes(),
        sample.polygons.tobytes(),
        sample.shared.tobytes(),
        json.dumps(sample.meta),
        sample.refusals,
    )


def drawn_elsewhere(pipeline, indexes):
    return [told(pipeline[index]) for index in indexes]


def grey_of(sample):
    return cv2.imdecode(np.frombuffer(sample.encoded, np.uint8), cv2.IMREAD_GRAYSCALE)


# -- a pure function of recipe, seed and index -------------------------------------------------------------------


@pytest.mark.parametrize("preset", Recipe.presets())
def test_a_sample_depends_on_its_index_alone(corpus, dejavu, preset):
    one, other = (pipeline_of(corpus, dejavu, preset=preset) for _ in range(2))
    forward = {index: told(one[index]) for index in range(24)}
    order = [*range(23, -1, -2), *range(0, 24, 2), 5, 5]
    assert all(told(other[index]) == forward[index] for index in order)


def test_other_processes_draw_the_same(corpus, dejavu):
    pipeline = pipeline_of(corpus, dejavu)
    indexes = [40, 3, 300, 8]
    expected = drawn_elsewhere(pipeline, indexes)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(drawn_elsewhere, pipeline, indexes).result(timeout=120) == expected


def test_a_pickled_pipeline_goes_on_as_before(corpus, dejavu):
    pipeline = pipeline_of(corpus, dejavu)
    again = pickle.loads(pickle.dumps(pipeline))
    assert told(again[7]) == told(pipeline[7])


def test_seeds_and_indexes_give_different_samples(corpus, dejavu):
    pipeline = pipeline_of(corpus, dejavu)
    other = pipeline_of(corpus, dejavu, "seed=1")
    images = {sample[index].encoded for sample in (pipeline, other) for index in range(30)}
    assert len(images) == 60


def test_access_by_index_and_by_iteration(corpus, dejavu):
    pipeline = pipeline_of(corpus, dejavu)
    samples = list(itertools.islice(pipeline, 3))
    assert [told(sample) for sample in samples] == [told(pipeline.sample(index)) for index in range(3)]
    assert [record.label for record in pipeline.block(1, 3)] == [sample.text for sample in samples[1:]]
    with pytest.raises(IndexError):
        pipeline[-1]


@pytest.mark.parametrize("streams", [Streams(9), pickle.loads(pickle.dumps(Streams(9)))])
def test_a_stream_is_philox_with_the_seed_as_key_and_the_index_in_the_counter(streams):
    for index, attempt in [(0, 0), (5, 2), (0, 0), (2**40, 7)]:
        bits = np.random.Philox(
            key=np.array((9, 0x53637269), np.uint64), counter=np.array((0, 0, attempt, index), np.uint64)
        )
        expected = np.random.Generator(bits)
        drawn = streams.at(index, attempt)
        # of several kinds, as a 32-bit draw leaves half a word behind
        assert drawn.random() == expected.random()
        assert drawn.integers(100, dtype=np.uint32) == expected.integers(100, dtype=np.uint32)
        assert np.array_equal(drawn.standard_normal(5), expected.standard_normal(5))


# -- labels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["scene", "document"])
def test_labels_are_pieces_of_the_corpus_in_every_script(preset):
    paths = sorted(data_file("corpora").glob("*.txt"))
    texts = {path.name: unicodedata.normalize("NFC", path.read_text(encoding="utf-8")) for path in paths}
    recipe = Recipe.load(
        preset,
        corpus=paths,
        overrides=["corpus.join=0", "corpus.cut=0.3", "corpus.template_share=0", "corpus.case={as_is: 1.0}"],
        fonts={"paths": fontset.folders()},
    )
    pipeline = Pipeline(recipe)
    for index in range(150):
        sample = pipeline[index]
        assert sample.text and sample.text in texts[sample.meta["source"]]
        assert_whole(sample, recipe)


def assert_whole(sample, recipe):
    """What must be true of every sample."""
    assert unicodedata.is_normalized("NFC", sample.text)
    assert "".join(sample.units) == sample.text
    assert len(sample.units) == len(sample.polygons) == len(sample.shared)
    assert sample.polygons.shape[1:] == (4, 2) and sample.polygons.dtype == np.float32
    assert np.isfinite(sample.polygons).all()
    height, width, channels = sample.image.shape
    assert (height, channels, sample.image.dtype) == (recipe.layout.height, 3, np.uint8)
    grey = grey_of(sample)
    assert grey.shape == (height, width)
    # JPEG changes little
    assert np.abs(cv2.cvtColor(sample.image, cv2.COLOR_BGR2GRAY).astype(int) - grey).mean() < 12
    json.dumps(sample.meta)
    assert sample.meta["contrast"] >= recipe.legibility.contrast
    for unit, polygon in zip(sample.units, sample.polygons, strict=True):
        (left, top), (right, bottom) = np.floor(polygon.min(0)).astype(int), np.ceil(polygon.max(0)).astype(int)
        assert left < width and top < height and right > 0 and bottom > 0
        part = grey[max(top, 0) : bottom, max(left, 0) : right]
        assert unit.isspace() or int(part.max()) - int(part.min()) >= recipe.legibility.contrast / 4


def test_polygons_show_where_the_letters_are(tmp_path):
    # letters that are rectangles: black inside their polygons, white around them
    letters = "abcdefgh"
    make_font(letters, family="Boxes").save(tmp_path / "boxes.ttf")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(letters, encoding="utf-8")
    pipeline = pipeline_of(corpus, [tmp_path / "boxes.ttf"], "output.encoding=png", "layout.height=64", preset="clean")
    sample = pipeline[0]
    grey = grey_of(sample)
    drawn = np.full_like(grey, 255)
    for polygon in sample.polygons:
        left, top, right, bottom = (round(float(value)) for value in (*polygon.min(0), *polygon.max(0)))
        assert (grey[top + 2 : bottom - 2, left + 2 : right - 2] < 40).all()
        drawn[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = 0
    assert (grey[drawn == 255] > 240).all()


def test_polygons_follow_every_warp(tmp_path):
    letters = "abcdefgh"
    make_font(letters, family="Boxes").save(tmp_path / "boxes.ttf")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(letters, encoding="utf-8")
    warps = [
        f"geometry.{name}.p=1" for name in ("stretch", "curve", "wave", "elastic", "shear", "rotation", "perspective")
    ]
    margins = ["layout.margin_x=[0.1, 0.2]", "layout.margin_y=[0.05, 0.1]"]
    pipeline = pipeline_of(corpus, [tmp_path / "boxes.ttf"], *warps, *margins, "layout.height=96", preset="clean")
    for index in range(12):
        sample = pipeline[index]
        grey = grey_of(sample)
        for polygon in sample.polygons:
            x, y = polygon.mean(0).astype(int)
            assert grey[y, x] < 128
        # the four corners are joined by straight lines, the letters' sides are bent: nearly all ink is inside
        inside = np.zeros_like(grey)
        cv2.fillPoly(inside, [np.round(polygon).astype(np.int32) for polygon in sample.polygons], 255)
        inside = cv2.dilate(inside, np.ones((7, 7), np.uint8))
        ink = grey < 128
        assert (ink & (inside == 0)).sum() < 0.02 * ink.sum()


@pytest.mark.parametrize("unit", ["codepoint", "grapheme", "akshara"])
def test_units_are_as_the_recipe_says(unit, tmp_path):
    text = "\u0915\u094d\u0937\u093f\u0924\u093f\u091c"  # kshi, ti, ja
    expected = {
        "codepoint": list(text),
        "grapheme": ["\u0915\u094d\u0937\u093f", "\u0924\u093f", "\u091c"],
        "akshara": ["\u0915\u094d\u0937\u093f", "\u0924\u093f", "\u091c"],
    }
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(text, encoding="utf-8")
    pipeline = pipeline_of(corpus, fontset.folders(), f"corpus.unit={unit}", preset="clean")
    sample = pipeline[0]
    assert sample.units == expected[unit]
    assert sample.shared.any() == (unit == "codepoint")


def test_a_record_holds_the_polygons_when_asked(corpus, dejavu):
    plain = pipeline_of(corpus, dejavu)
    pipeline = pipeline_of(corpus, dejavu, "output.polygons=true")
    sample, record = pipeline[3], pipeline.record(3)
    assert plain.record(3).polygons is None
    polygons, shared, ends = unpack_polygons(record.polygons)
    assert np.array_equal(polygons, sample.polygons) and np.array_equal(shared, sample.shared)
    assert [sample.text[start:end] for start, end in itertools.pairwise([0, *ends])] == sample.units
    assert (record.image, record.label, json.loads(record.meta)) == (sample.encoded, sample.text, sample.meta)


# -- refusals ----------------------------------------------------------------------------------------------------

FAINT = ["colour.contrast=[2, 5]", "colour.luminance=[128, 128]"]


def test_after_so_many_refusals_comes_a_plain_rendering(corpus, dejavu):
    pipeline = pipeline_of(corpus, dejavu, *FAINT, "legibility.attempts=3", preset="clean")
    for index in range(10):
        sample = pipeline[index]
        assert sample.meta["plain"] is True
        assert [reason for reason, _ in sample.refusals] == ["contrast under the floor"] * 3
        assert sample.text in WORDS
        assert_whole(sample, pipeline.recipe)
        grey = grey_of(sample)
        assert grey.max() > 240 and grey.min() < 60


def test_without_refusals_nothing_is_plain(corpus, dejavu):
    pipeline = pipeline_of(corpus, dejavu, preset="clean")
    samples = [pipeline[index] for index in range(20)]
    assert not any(sample.refusals or "plain" in sample.meta for sample in samples)


def test_a_floor_that_nothing_reaches_is_an_error(corpus, dejavu):
    pipeline = pipeline_of(corpus, dejavu, "legibility.contrast=255", preset="clean")
    with pytest.raises(ScriptoriumError, match=r"sample 0: .*contrast under the floor"):
        pipeline[0]


@pytest.mark.parametrize("floor", [10, 60, 120])
def test_no_sample_is_under_the_floor(corpus, dejavu, floor):
    pipeline = pipeline_of(corpus, dejavu, f"legibility.contrast={floor}")
    samples = [pipeline[index] for index in range(40)]
    assert min(sample.meta["contrast"] for sample in samples) >= floor
    assert any(sample.refusals for sample in samples) or floor == 10


def test_texts_that_no_font_covers_are_counted_with_their_characters(tmp_path, dejavu):
    corpus = tmp_path / "words.txt"
    corpus.write_text("fox\nab\u4e00c\u4e8c\n", encoding="utf-8")
    pipeline = pipeline_of(corpus, dejavu, preset="clean")
    samples = [pipeline[index] for index in range(30)]
    assert {sample.text for sample in samples} == {"fox"}
    refused = [refusal for sample in samples for refusal in sample.refusals]
    assert refused and set(refused) == {(NO_FONT, "\u4e00\u4e8c")}


def test_a_corpus_that_no_font_covers_stops_with_its_characters(tmp_path, dejavu):
    corpus = tmp_path / "words.txt"
    corpus.write_text("\u4e00\n\u4e8c\n", encoding="utf-8")
    with pytest.raises(ScriptoriumError) as caught:
        pipeline_of(corpus, dejavu, preset="clean")[0]
    assert "\u4e00 U+4E00" in str(caught.value) and "\u4e8c U+4E8C" in str(caught.value)
    assert "synth fonts install" in str(caught.value) and "\n" not in str(caught.value)


def test_templates_do_not_hide_a_corpus_that_no_font_covers(tmp_path, dejavu):
    corpus = tmp_path / "words.txt"
    corpus.write_text("\u4e00\n" * 3 + "\u4e8c\n", encoding="utf-8")
    for use in (lambda pipeline: pipeline[0], lambda pipeline: pipeline.inputs()):
        with pytest.raises(ScriptoriumError, match=r"no font has \u4e00 U\+4E00 \u4e8c U\+4E8C; give --fonts"):
            use(pipeline_of(corpus, dejavu, "corpus.template_share=0.99"))


def test_templates_do_not_take_the_place_of_texts_that_no_font_covers(tmp_path, dejavu):
    corpus = tmp_path / "words.txt"
    corpus.write_text("fox\n" + "\u4e00\n" * 3, encoding="utf-8")
    templates = "corpus.templates=[{pattern: '\\d'}]"
    samples = itertools.islice(pipeline_of(corpus, dejavu, templates, "corpus.template_share=0.5", preset="clean"), 60)
    kinds = [(sample.text, bool(sample.refusals)) for sample in samples]
    assert {text for text, refused in kinds if refused} == {"fox"}
    assert any(text.isdigit() for text, _ in kinds)


def test_a_corpus_is_needed_unless_all_is_templates(dejavu):
    with pytest.raises(ScriptoriumError, match="no corpus: give --corpus FILE"):
        Pipeline(Recipe.load("scene"))
    fonts = {"paths": [str(path) for path in dejavu]}
    overrides = ["corpus.template_share=1", "corpus.templates=[{pattern: abc}]"]
    assert Pipeline(Recipe.load("clean", overrides=overrides, fonts=fonts))[0].text.lower() == "abc"


def test_fallback_fonts_are_named(tmp_path, dejavu):
    folder = tmp_path / "fonts"
    folder.mkdir()
    make_font("\u4e00\u4e8c", family="Han").save(folder / "han.ttf")
    corpus = tmp_path / "words.txt"
    corpus.write_text("abc\u4e00\n", encoding="utf-8")
    sample = pipeline_of(corpus, [*dejavu, folder], preset="clean")[0]
    assert sample.meta["font"].startswith("DejaVu") and sample.meta["fallback"] == ["Han Regular"]
    with pytest.raises(ScriptoriumError):
        pipeline_of(corpus, [*dejavu, folder], "fonts.fallback=false", preset="clean")[0]


def test_a_recipe_is_checked_before_anything_is_drawn(corpus, dejavu):
    with pytest.raises(RecipeError, match=r"layout\.hight"):
        pipeline_of(corpus, dejavu, "layout.hight=32")


# -- clipped letters -----------------------------------------------------------------------------------------------


def test_letters_outside_the_frame_leave_the_label(tmp_path):
    # rectangles: what is to be seen of them is easily told; after 350 others they are wide ones
    word = "abcdefghijklmnop"
    others = "".join(map(chr, range(0x4E00, 0x4E00 + 350)))
    make_font(others + word, family="Boxes").save(tmp_path / "boxes.ttf")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(word, encoding="utf-8")
    margins = ["layout.margin_x=[-1.0, 0.1]", "layout.margin_y=[0.1, 0.1]", "layout.height=48"]
    pipeline = pipeline_of(corpus, [tmp_path / "boxes.ttf"], *margins, preset="clean")
    cut, shares = 0, []
    for index in range(150):
        sample = pipeline[index]
        assert sample.text in word and len(sample.polygons) == len(sample.text)
        width = sample.image.shape[1]
        columns = (grey_of(sample) < 128).any(0)
        begins = np.flatnonzero(np.diff(np.concatenate(([0], columns.astype(int)))) == 1)
        for polygon in sample.polygons:
            left, right = float(polygon[:, 0].min()), float(polygon[:, 0].max())
            shares.append((min(right, width) - max(left, 0)) / (right - left))
        # as many letters as are to be seen, but for one at either end of which too little is
        assert 0 <= len(begins) - len(sample.text) <= 2
        cut += sample.text != word
    assert cut > 50
    assert 0.55 < min(shares) < 0.7


def test_a_letter_in_the_middle_is_never_cut_off(tmp_path):
    # the middle one is so small and low that the bottom margin cuts it off, and little of the others: no attempt passes
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("aaa,aaa", encoding="utf-8")
    glyphs = make_font("a,", family="Boxes")
    low = glyphs["glyf"]["uni002C"]
    low.coordinates.scale((1, 0.25))
    low.coordinates.translate((0, -400))
    low.coordinates.toInt()
    low.recalcBounds(glyphs["glyf"])
    glyphs.save(tmp_path / "boxes.ttf")
    margins = ["layout.margin_x=[0.1, 0.1]", "layout.margin_y=[-0.09, -0.09]", "layout.height=48"]
    pipeline = pipeline_of(corpus, [tmp_path / "boxes.ttf"], *margins, preset="clean")
    for index in range(10):
        sample = pipeline[index]
        assert sample.meta["plain"] and sample.text == "aaa,aaa"
        assert {reason for reason, _ in sample.refusals} == {"a letter in the middle is cut off"}


def test_spaces_do_not_end_a_clipped_label(tmp_path):
    letters = "ab cd ef gh"
    make_font(letters, family="Boxes").save(tmp_path / "boxes.ttf")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(letters, encoding="utf-8")
    margins = ["layout.margin_x=[-1.0, 0.1]", "corpus.piece=line"]
    pipeline = pipeline_of(corpus, [tmp_path / "boxes.ttf"], *margins, preset="clean")
    texts = {pipeline[index].text for index in range(100)}
    assert len(texts) > 5
    assert all(text in letters and text == text.strip() for text in texts)


# -- what the data set rests on -------------------------------------------------------------------------------------


def test_inputs_change_with_what_they_name(corpus, dejavu):
    before = pipeline_of(corpus, dejavu).inputs()
    assert before == pipeline_of(corpus, dejavu).inputs()
    assert pipeline_of(corpus, dejavu[:1]).inputs()["fonts"] != before["fonts"]
    assert "numpy" in before["libraries"]
    corpus.write_text("other words", encoding="utf-8")
    assert pipeline_of(corpus, dejavu).inputs()["corpora"] != before["corpora"]


def test_samples_do_not_depend_on_their_company(corpus, dejavu):
    # Blocks go through the stages in batches, and refused attempts are drawn again among others.
    pipeline = pipeline_of(corpus, dejavu, preset="scene")
    together = pipeline.block(3, 3 + 150)
    alone = [pipeline_of(corpus, dejavu, preset="scene").record(index) for index in (3, 70, 152)]
    assert [together[0], together[67], together[149]] == alone
    assert together[30:60] == pipeline.block(33, 63)
    assert any(record.refusals for record in together)


@pytest.mark.parametrize("quality", [1, 30, 75, 90, 95, 100])
def test_no_pixel_changes_by_more_than_the_encoder_can_change_it(quality):
    rng = np.random.default_rng(quality)
    bound = encoding_error("jpeg", quality)
    for image in (
        rng.choice([0, 255], (64, 256)).astype(np.uint8),
        rng.integers(0, 256, (64, 256), dtype=np.uint8),
        rng.integers(0, 256, (64, 256, 3), dtype=np.uint8),
        np.kron(rng.choice([0, 255], (16, 64)), np.ones((4, 4))).astype(np.uint8),
    ):
        luminance = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        encoded = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
        assert cv2.norm(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), luminance, cv2.NORM_INF) <= bound
    assert encoding_error("png", quality) == 0
