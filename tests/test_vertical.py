"""Vertical lines: orientation, shaping, drawing, the pipeline, and how they are read."""

from __future__ import annotations

import os
import re
from pathlib import Path

import cv2
import fontset
import numpy as np
import pytest
from font_maker import make_font, save_font
from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import given
from hypothesis import strategies as st

from ocr.infer.recogniser import Recogniser
from ocr.spec import ModelSpec, Preprocess
from synth.fonts.face import Face
from synth.fonts.index import scan
from synth.pipeline import Pipeline
from synth.recipe import Recipe, RecipeError
from synth.render.line import GlyphCache, draw_line
from synth.render.shape import Undrawable, shape_line, shape_run
from synth.render.vertical import draw_column, settings, shape_column
from synth.text.units import split_units
from synth.text.vertical import cluster_orientation, combined, orientation, orientations

JAPANESE = "「東京タワー」は、1958年12月23日（火）にABC放送!?ぁっ…"


def made(
    folder: Path, chars: str, features: str = "", ascent: int = 800, descent: int = -200, turned: str = ""
) -> Face:
    """A font of rectangles; those of `turned` lie on their side."""
    font = make_font(chars)
    for char in turned:
        pen = TTGlyphPen(None)
        for number, point in enumerate(((0, 200), (0, 300), (700, 300), (700, 200))):
            (pen.lineTo if number else pen.moveTo)(point)
        pen.closePath()
        font["glyf"][f"uni{ord(char):04X}"] = pen.glyph()
    font["hhea"].ascent, font["hhea"].descent = ascent, descent
    if features:
        addOpenTypeFeaturesFromString(font, features)
    folder.mkdir(parents=True, exist_ok=True)
    font.save(folder / "font.ttf")
    return Face(scan([folder], cache_dir=folder / "cache").faces[0])


def columns(face: Face, text: str, **options):
    return shape_column(text, [(face, 0, len(text))], **options)


def drawn(face: Face, text: str, size: int = 40, **options):
    return draw_column(columns(face, text, **options), split_units(text, "grapheme"), size, GlyphCache())


def japanese(family: str) -> Face:
    found = [face for face in fontset.faces_of(JAPANESE) if face.info.family == family]
    if not found:
        raise fontset.Missing(f"{family} is not among the fonts: run scripts/test, or python tests/fontset.py DIR")
    return found[0]


# -- orientation -------------------------------------------------------------------------------------------------------


def test_every_code_point_is_as_in_unicodes_file():
    path = Path(os.environ.get("SCRIPTORIUM_UNICODE_DATA", "/usr/share/unicode")) / "VerticalOrientation.txt"
    if not path.is_file():
        pytest.fail(f"{path} is missing: install Debian's unicode-data, or set SCRIPTORIUM_UNICODE_DATA to its folder")
    text = path.read_text(encoding="utf-8")
    expected = ["R"] * 0x110000
    for line in text.splitlines():
        points, _, value = line.partition("#")[0].partition(";")
        if value:
            first, _, last = points.strip().partition("..")
            for point in range(int(first, 16), int(last or first, 16) + 1):
                expected[point] = value.strip()
    wrong = [hex(point) for point in range(0x110000) if orientation(chr(point)) != expected[point]]
    # Another version than the table's says otherwise of characters that the older one did not have.
    assert len(wrong) <= (0 if "VerticalOrientation-15.0.0.txt" in text else 2000), wrong[:20]


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        ("中", "U"),
        ("A", "R"),
        ("ー", "Tr"),
        ("、", "Tu"),
        ("e\u0301", "R"),
        ("か\u3099", "U"),
        ("A\u20dd", "U"),
        ("ᠮ", "R"),
    ],
)
def test_a_cluster_stands_as_its_base_or_upright_when_enclosed(cluster, expected):
    assert cluster_orientation(cluster) == expected


@given(st.text(alphabet="中ー、A1か\u3099\u0301ᠮ 😀", max_size=12))
def test_clusters_cover_the_text(text):
    parts = orientations(text)
    assert "".join(text[start:stop] for start, stop, _ in parts) == text
    assert [stop for _, stop, _ in parts[:-1]] == [start for start, _, _ in parts[1:]]


@pytest.mark.parametrize(
    ("text", "digits", "groups"),
    [
        ("昭和12年", 2, ["12"]),
        ("昭和12年", 1, []),
        ("1958年", 3, []),
        ("1958年", 4, ["1958"]),
        ("第5回", 2, ["5"]),
        ("約3.14倍", 2, []),
        ("A12中", 2, []),
        ("12", 2, []),
        ("何!?", 2, ["!?"]),
        ("何!!!", 4, []),
        ("12月23日!", 2, ["12", "23", "!"]),
    ],
)
def test_short_whole_groups_between_upright_letters_are_combined(text, digits, groups):
    assert [text[start:stop] for start, stop in combined(text, digits)] == groups


# -- shaping -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ja", "zh", "ko"])
def test_upright_runs_are_as_hb_shape_has_them(name):
    pieces: dict[int, tuple[Face, list[str]]] = {}
    for line, faces in fontset.covered_lines(name, 2):
        face = faces[0][0]
        for run in shape_column(line, faces, language=name, digits=2):
            if run.setting == "upright":
                assert not run.rtl
                pieces.setdefault(id(face), (face, []))[1].append(line[run.start : run.stop])
    assert pieces
    for face, texts in pieces.values():
        texts = sorted(set(texts))
        expected = fontset.hb_shape(face, texts, script="Hani", language=name, rtl=False, upright=True)
        assert len(expected) == len(texts) >= 20
        for text, glyphs in zip(texts, expected, strict=True):
            run = shape_run(face, text, 0, len(text), rtl=False, script="Hani", language=name, setting="upright")
            got = fontset.glyphs_of(run)
            if face.vertical_metrics:
                assert got == glyphs, f"{face.name}: {text}"
            else:
                assert [g[:2] for g in got] == [g[:2] for g in glyphs], f"{face.name}: {text}"


def test_japanese_stands_as_uax_50_says():
    face = japanese("Noto Sans CJK JP")
    parts = [(JAPANESE[a:b], setting) for a, b, setting in settings(JAPANESE, [(face, 0, len(JAPANESE))], digits=2)]
    lying = "".join(text for text, setting in parts if setting == "line")
    assert lying == "1958ABC…"
    assert [text for text, setting in parts if setting == "combined"] == ["12", "23", "!?"]
    stacked = settings(JAPANESE, [(face, 0, len(JAPANESE))], stacked=True)
    assert "".join(JAPANESE[a:b] for a, b, setting in stacked if setting == "line") == "…"


def test_what_the_font_has_no_form_for_is_turned(tmp_path):
    plain = made(tmp_path / "plain", "中ー「")
    formed = made(tmp_path / "formed", "中ー「V", "feature vert { sub uni30FC by uni0056; } vert;", turned="V")
    text = "中ー「"
    assert [s for _, _, s in settings(text, [(plain, 0, 3)])] == ["upright", "line", "line"]
    assert [s for _, _, s in settings(text, [(formed, 0, 3)])] == ["upright", "upright", "line"]


def test_mongolian_is_a_line_turned_as_a_whole(tmp_path):
    face = made(tmp_path, "ᠮᠣᠩ᠂中A")
    assert {setting for _, _, setting in settings("ᠮᠣᠩ᠂", [(face, 0, 4)], stacked=True)} == {"line"}
    assert [run.setting for run in columns(face, "ᠮᠣᠩ中")] == ["line", "upright"]


@pytest.mark.parametrize("name", ["en", "ru", "ar", "he", "hi", "th", fontset.MIXED])
def test_lines_without_upright_letters_are_drawn_as_lines(name):
    seen = 0
    for line, faces in fontset.covered_lines(name, 1):
        if any(setting != "line" for _, _, setting in settings(line, faces)):
            continue
        seen += 1
        units = split_units(line, "grapheme")
        expected = draw_line(shape_line(line, faces), units, 32, GlyphCache())
        ink = draw_column(shape_column(line, faces), units, 32, GlyphCache())
        assert np.array_equal(ink.mask, expected.mask) and np.array_equal(ink.boxes, expected.boxes)
        assert ink.turned is None and ink.baseline == expected.baseline
    assert seen >= 10


def test_a_missing_glyph_is_told(tmp_path):
    with pytest.raises(Undrawable) as caught:
        columns(made(tmp_path, "中"), "中国")
    assert caught.value.characters == "国"


# -- fonts without metrics, or with bad ones --------------------------------------------------------------------------


@pytest.mark.parametrize(("ascent", "descent", "middle"), [(800, -200, 300), (1160, -288, 436), (1000, 0, 500)])
def test_without_vertical_metrics_letters_stand_in_cells_of_one_em(tmp_path, ascent, descent, middle):
    face = made(tmp_path, "一丁七", ascent=ascent, descent=descent)
    assert not face.vertical_metrics and face.middle == middle
    run = shape_run(face, "一丁七", 0, 3, rtl=False, script="Hani", setting="upright")
    assert run.advances == [1000] * 3
    assert run.x_offsets == [-300] * 3  # half the width of 600
    assert run.y_offsets == [-(middle + 500)] * 3
    ink = drawn(face, "一丁七", 100)
    # Rectangles from 0 to 700 over the baseline, one after the other, each em; turned, they begin at the cell's top.
    assert np.diff(ink.boxes[:, 0]).tolist() == [100, 100]
    assert (ink.boxes[:, 2] - ink.boxes[:, 0]).tolist() == pytest.approx([70] * 3, abs=1)


def test_a_font_without_ascender_and_descender_still_moves_on(tmp_path):
    ink = drawn(made(tmp_path, "一丁", ascent=0, descent=0), "一丁", 100)
    assert ink.boxes[1, 0] - ink.boxes[0, 0] == 100


def test_metrics_that_put_letters_on_their_neighbours_are_not_used(tmp_path):
    from fontTools.ttLib import TTFont, newTable

    letters = "".join(map(chr, range(0x3400, 0x9FFF, 97)))
    for name, bearing, sound in (("sound", 100, True), ("astray", 1500, False)):
        face = made(tmp_path / name, letters)
        path = tmp_path / name / "font.ttf"
        font = TTFont(path)
        vhea = font["vhea"] = newTable("vhea")
        vhea.tableVersion = 0x00010000
        for field in ("ascent", "descent", "lineGap", "advanceHeightMax", "minTopSideBearing", "minBottomSideBearing"):
            setattr(vhea, field, 0)
        vhea.yMaxExtent = vhea.caretSlopeRise = vhea.caretSlopeRun = vhea.caretOffset = 0
        vhea.reserved1 = vhea.reserved2 = vhea.reserved3 = vhea.reserved4 = vhea.metricDataFormat = 0
        vhea.numberOfVMetrics = len(font.getGlyphOrder())
        vmtx = font["vmtx"] = newTable("vmtx")
        vmtx.metrics = {glyph: (1000, bearing) for glyph in font.getGlyphOrder()}
        font.save(path)
        face = Face(scan([path], cache_dir=tmp_path / name / "again").faces[0])
        assert face.vertical_metrics is sound
        run = shape_run(face, letters[0], 0, 1, rtl=False, script="Hani", setting="upright")
        assert run.y_offsets == [-(700 + 100) if sound else -800]


def test_forms_that_are_other_letters_are_not_used(tmp_path):
    turned = "sub uni300C by uni4E00; sub uni300D by uni4E01;"
    face = made(tmp_path, "「」" + "".join(map(chr, range(0x4E00, 0x4FFF))), f"feature vert {{ {turned} }} vert;")
    glyphs = [face.hb.get_nominal_glyph(ord(c)) for c in "「」"]
    # All are rectangles 700 high: turned they would be 700 wide, while these are as narrow as before.
    assert not face.vertical_forms
    run = shape_run(face, "「」", 0, 2, rtl=False, script="Hani", setting="upright")
    assert run.glyphs == glyphs
    assert [s for _, _, s in settings("「一", [(face, 0, 2)])] == ["line", "upright"]


@pytest.mark.parametrize("family", ["Noto Sans CJK JP", "IPAPMincho", "VL PGothic"])
def test_the_forms_of_good_fonts_are_used(family):
    assert japanese(family).vertical_forms


# -- drawing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"digits": 2}, {"digits": 4, "stacked": True}])
@pytest.mark.parametrize("family", ["Noto Sans CJK JP", "IPAPMincho", "VL PGothic"])
def test_every_unit_has_a_box_and_all_ink_is_in_one(family, options):
    ink = drawn(japanese(family), JAPANESE, **options)
    units = split_units(JAPANESE, "grapheme")
    height, width = ink.mask.shape
    assert ink.boxes.shape == (len(units), 4) and len(ink.shared) == len(ink.blank) == len(ink.turned) == len(units)
    assert (ink.boxes[:, 2] > ink.boxes[:, 0]).all() and (ink.boxes[:, 3] > ink.boxes[:, 1]).all()
    assert ink.boxes.min() >= 0 and (ink.boxes[:, 2:].max(0) <= (width, height)).all()
    rest = ink.mask.copy()
    for left, top, right, bottom in ink.boxes:
        rest[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = 0
    assert not rest.any()
    for edge in (ink.mask[:2], ink.mask[-2:], ink.mask[:, :2], ink.mask[:, -2:]):
        assert edge.any()


def test_an_upright_letter_is_the_letter_turned_to_the_left():
    face = japanese("Noto Sans CJK JP")
    for text in "東京図":
        units = [text, text]
        column = draw_column(columns(face, text * 2), units, 384, GlyphCache())
        line = draw_line(shape_line(text, [(face, 0, 1)]), [text], 384, GlyphCache())
        left, top, right, bottom = column.boxes[0].astype(int)
        upright = cv2.rotate(column.mask[top:bottom, left:right], cv2.ROTATE_90_CLOCKWISE)
        assert fontset.overlap(upright, line.mask) > 0.96


@given(across=st.integers(0, 3), along=st.integers(0, 3))
def test_parts_of_a_pixel_go_where_they_should(across, along):
    """The weight of a turned glyph's ink moves by a quarter of a pixel for each phase."""
    face = japanese("Noto Sans CJK JP")
    glyph = face.hb.get_nominal_glyph(ord("東"))

    def centre(phase: int) -> tuple[float, float]:
        bitmap, left, top, _, _ = GlyphCache().get(face, glyph, 40, phase)
        moments = cv2.moments(bitmap)
        return left + moments["m10"] / moments["m00"], top + moments["m01"] / moments["m00"]

    x0, y0 = centre(16)
    x, y = centre(16 + along + 4 * across)
    assert (x - x0, y - y0) == pytest.approx((along / 4, across / 4), abs=0.03)


def test_short_numbers_share_a_cell_that_is_no_wider_than_an_em():
    face = japanese("Noto Sans CJK JP")
    text = "年1234年"
    ink = drawn(face, text, 64, digits=4)
    cells = ink.boxes[1:5]
    assert (
        np.ptp(cells[:, 0]) < 4 and (np.diff(cells[:, 1]) < 0).all()
    )  # from left to right in the column: upwards here
    assert cells[:, 3].max() - cells[:, 1].min() <= 64
    assert ink.boxes[5, 0] - ink.boxes[0, 0] == pytest.approx(128, abs=1)  # the cell is one em
    middle = (cells[:, 1].min() + cells[:, 3].max()) / 2
    assert middle == pytest.approx((ink.boxes[0, 1] + ink.boxes[0, 3]) / 2, abs=3)


def test_lying_letters_are_centred_on_upright_ones():
    face = japanese("Noto Sans CJK JP")
    ink = drawn(face, "国H国", 100)
    across = ink.boxes[:, [1, 3]].mean(1)
    assert across[1] == pytest.approx(across[0], abs=3)
    assert ink.turned.tolist() == [True, False, True]


def test_arabic_in_a_column_reads_from_bottom_to_top():
    text = "مرحبا"
    [face] = [fontset.face_for(text)]
    ink = drawn(face, text)
    assert (np.diff(ink.boxes[:, [0, 2]].mean(1)) < 0).all()


# -- the pipeline ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "ja.txt"
    path.write_text("東京タワー\n「お静かに」\n第12回\n10%引き\nABC放送!?\n図書館\n日\n", encoding="utf-8")
    return path


def pipeline(corpus, preset="clean", encoding="png", **vertical):
    face = japanese("IPAPMincho")
    return Pipeline(
        Recipe.load(
            preset,
            corpus=corpus,
            fonts={"paths": [str(face.info.path)]},
            layout={"vertical": {"p": 1.0, **vertical}},
            output={"encoding": encoding, "polygons": True},
        )
    )


@pytest.mark.parametrize("preset", ["clean", "scene"])
def test_a_column_is_the_line_turned_to_the_right(own_cache, corpus, preset):
    settled = {"degrade": {}} if preset == "scene" else {}
    made = []
    for rotate in ("ccw", "none"):
        recipe = pipeline(corpus, preset, rotate=rotate).recipe.model_copy(update=settled)
        made.append(Pipeline(recipe).samples(range(24)))
    for lying, standing in zip(*made, strict=True):
        assert lying.text == standing.text and lying.units == standing.units
        assert lying.image.shape[0] == 32
        if not standing.meta.get("vertical"):
            assert len(standing.units) == 1 and standing.image.shape[0] == 32
            continue
        assert standing.image.shape[1] == 32
        assert np.array_equal(cv2.rotate(standing.image, cv2.ROTATE_90_COUNTERCLOCKWISE), lying.image)
        x, y = standing.polygons[..., 0], standing.polygons[..., 1]
        assert np.allclose(np.stack((y, 32 - x), -1), lying.polygons, atol=1e-3)


def test_polygons_begin_at_the_units_own_top_left(own_cache, corpus):
    for sample in pipeline(corpus, rotate="none", stacked=0.0, combined=0.0).samples(range(24)):
        if "vertical" not in sample.meta:
            continue
        for unit, polygon in zip(sample.units, sample.polygons, strict=True):
            (x0, y0), (x1, y1), (x2, y2), (x3, y3) = polygon.tolist()
            area = (x0 * y1 - x1 * y0) + (x1 * y2 - x2 * y1) + (x2 * y3 - x3 * y2) + (x3 * y0 - x0 * y3)
            assert area > 0  # clockwise, as y grows downwards
            if re.match("[A-Z0-9%!?]", unit):
                assert x0 > x3 and y0 == pytest.approx(y3)  # on its right side: the top is at the right
            else:
                assert x0 < x1 and y0 == pytest.approx(y1)


class Recorder:
    """A backend that reads nothing and keeps what it is given."""

    def __init__(self, **preprocess: float) -> None:
        self.spec = ModelSpec(architecture={}, units=("a",), time_stride=4, preprocess=Preprocess(**preprocess))
        self.given: list[np.ndarray] = []

    def run(self, images):
        self.given.append(images)
        return np.full((len(images), images.shape[2] // 4, 2), 0.5, np.float32)


def seen(image: np.ndarray, **preprocess: float) -> np.ndarray:
    """What a recogniser gives the network for one crop."""
    backend = Recorder(**preprocess)
    Recogniser(backend).read([image])
    return backend.given[0]


def test_the_recogniser_turns_columns_to_what_it_is_trained_on(own_cache, corpus):
    lines, stands = (pipeline(corpus, rotate=rotate).samples(range(24)) for rotate in ("ccw", "none"))
    turned = 0
    for line, column in zip(lines, stands, strict=True):
        height, width = column.image.shape[:2]
        if height >= 1.5 * width:
            turned += 1
            assert np.array_equal(seen(column.image), seen(line.image))
            assert not np.array_equal(seen(column.image, turn_ratio=height / width + 0.1), seen(line.image))
    assert turned >= 15


def test_a_spec_without_the_threshold_has_the_usual_one():
    spec = {"architecture": {}, "units": ["a"], "time_stride": 4, "preprocess": {"height": 32}}
    assert ModelSpec.model_validate(spec).preprocess.turn_ratio == 1.5
    never = ModelSpec.model_validate(spec | {"preprocess": {"turn_ratio": 0}}).preprocess
    assert not never.turned(1000, 10)


@pytest.mark.parametrize("rotate", ["ccw", "none"])
def test_rich_columns_are_legible_whole_and_the_same_in_any_company(own_cache, corpus, rotate):
    pipe = pipeline(corpus, "scene", "jpeg", rotate=rotate)
    samples = pipe.samples(range(32))
    assert sum("plain" in sample.meta for sample in samples) < 4
    for sample in samples:
        height, width = sample.image.shape[:2]
        assert "".join(sample.units) == sample.text and len(sample.polygons) == len(sample.units)
        decoded = cv2.imdecode(np.frombuffer(sample.encoded, np.uint8), cv2.IMREAD_COLOR)
        assert decoded.shape == sample.image.shape
        middles = sample.polygons.mean(1)
        assert (middles > -4).all() and (middles < (width + 4, height + 4)).all()
    again = pipe.samples([17, 3])
    assert [sample.encoded for sample in again] == [samples[17].encoded, samples[3].encoded]
    records = pipe.block(0, 32)
    assert [record.image for record in records] == [sample.encoded for sample in samples]


def test_a_share_of_the_samples_is_vertical(own_cache, corpus):
    samples = pipeline(corpus, p=0.3).samples(range(400))
    several = [sample for sample in samples if len(sample.units) > 1]
    share = np.mean([bool(sample.meta.get("vertical")) for sample in several])
    assert 0.22 < share < 0.38


def test_columns_in_a_font_without_vertical_metrics(own_cache, tmp_path):
    (tmp_path / "corpus.txt").write_text("一丁七\n丁AB\n", encoding="utf-8")
    save_font(tmp_path / "font.ttf", "一丁七AB")
    recipe = Recipe.load(
        "clean",
        corpus=tmp_path / "corpus.txt",
        fonts={"paths": [str(tmp_path / "font.ttf")]},
        layout={"vertical": {"p": 1.0, "rotate": "none"}},
    )
    for sample in Pipeline(recipe).samples(range(8)):
        assert sample.image.shape[0] > 1.5 * sample.image.shape[1]
        assert (np.diff(sample.polygons.mean(1)[:, 1]) > 0).all()


@pytest.mark.parametrize(
    ("vertical", "told"),
    [
        ({"p": 2}, "layout.vertical.p"),
        ({"rotate": "cw"}, "layout.vertical.rotate"),
        ({"digits": 5}, "layout.vertical.digits"),
        ({"share": 1}, "layout.vertical.share: unknown key"),
    ],
)
def test_wrong_keys_are_named(corpus, vertical, told):
    with pytest.raises(RecipeError, match=re.escape(told)):
        Recipe.load("clean", corpus=corpus, layout={"vertical": vertical})
