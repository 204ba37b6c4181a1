"""Lines along curves: glyphs against placing by hand, filling, polygons around the ink, the pipeline."""

from __future__ import annotations

import math

import cv2
import fontset
import numpy as np
import pytest
from font_maker import make_font
from fontTools.misc.transform import Transform
from fontTools.pens.recordingPen import RecordingPen
from fontTools.pens.transformPen import TransformPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st

from augment import geometry
from synth.fonts.face import Face
from synth.fonts.index import scan, sfnt_path
from synth.pipeline import Pipeline
from synth.recipe import CurvedLine, Recipe, RecipeError
from synth.render import path as paths
from synth.render.curve import TooLong, choose_path, fitting, lay_line, move_along, straighten
from synth.render.line import GlyphCache, NoInk, draw_line
from synth.render.outline import OutlineCache, fill, flattened
from synth.render.shape import shape_line
from synth.text.units import split_units

TEXTS = {
    "latin": "Größe AVAToffi",
    "arabic": "مرحبا بالعالم",
    "devanagari": "हिन्दी क्षेत्र",
    "thai": "ภาษาไทยที่นี่น้ำ",
    "chinese": "中文圓形印章",
    "hebrew": "שלום 12",
}
PPEM = 40


def shaped(text: str):
    face = fontset.face_for(text)
    return shape_line(text, [(face, 0, len(text))]), split_units(text, "grapheme")


def along(text: str, make, **options):
    runs, units = shaped(text)
    laid = lay_line(runs, OutlineCache(), **options)
    return laid, move_along(laid, make(laid.length), units)


PATHS = {
    "straight": paths.straight,
    "hill": lambda length: paths.arc(length, 2.5, 1.0),
    "valley": lambda length: paths.arc(length, -2.5, 1.0),
    "wave": lambda length: paths.wave(length, 0.3, 6.0, 0.4, 1.0),
    "free": lambda length: paths.cubic(((0, 0), (0.33, -0.15), (0.66, 0.2), (1, 0)), length),
}


# -- outlines and filling ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_glyph_filled_is_the_glyph_rasterised(text):
    runs, _ = shaped(text)
    for run in runs:
        for glyph in run.glyphs:
            drawn, outline = run.face.rasterise(glyph, PPEM), flattened(run.face, glyph)
            assert (drawn is None) == (outline is None)
            if drawn is None or outline is None:
                continue
            bitmap, left, top = drawn
            points = outline.points * (PPEM, -PPEM) - (left, top)
            wholes = np.array([len(outline.ends) - 1])
            mask = fill(points.astype(np.float64), outline.ends, wholes, *bitmap.shape[::-1])
            assert np.abs(mask.astype(int) - bitmap).max() <= 30  # an eighth of a pixel along an edge
            left, bottom, right, top = outline.box
            assert np.allclose((left, bottom), outline.points.min(0)) and np.allclose(
                (right, top), outline.points.max(0)
            )


def test_legs_of_fine_outlines_are_short():
    face = fontset.face_for(TEXTS["arabic"])
    glyph = shaped(TEXTS["arabic"])[0][0].glyphs[0]
    coarse, fine = flattened(face, glyph), flattened(face, glyph, 1 / 16)
    assert coarse is not None and fine is not None and coarse.box == pytest.approx(fine.box)
    start = 0
    for end in fine.ends.tolist():
        contour = fine.points[start : end + 1]
        assert np.hypot(*(np.roll(contour, -1, 0) - contour).T).max() < 1 / 16 + 1e-5
        start = end + 1


def squares(*boxes: tuple[float, float, float, float], turned: bool = False) -> tuple:
    contours = [np.array(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), np.float64) for x0, y0, x1, y1 in boxes]
    if turned:
        contours[-1] = contours[-1][::-1]
    return np.concatenate(contours), np.arange(1, len(boxes) + 1) * 4 - 1


@pytest.mark.parametrize("together", [True, False])
def test_overlapping_contours_have_no_holes(together):
    points, ends = squares((2, 2, 20, 12), (10, 5, 30, 15))
    wholes = np.array([1]) if together else np.array([0, 1])
    mask = fill(points, ends, wholes, 32, 18)
    expected = np.zeros((18, 32), np.uint8)
    expected[2:12, 2:20] = expected[5:15, 10:30] = 255
    assert np.array_equal(mask, expected)


def test_a_contour_the_other_way_is_a_hole():
    points, ends = squares((2, 2, 20, 12), (5, 4, 10, 8), turned=True)
    mask = fill(points, ends, np.array([1]), 24, 16)
    assert mask[5, 7] == 0 and mask[3, 3] == 255


@given(st.lists(st.tuples(*[st.floats(0, 40)] * 4), min_size=1, max_size=12))
def test_boxes_are_filled_as_far_as_they_cover_pixels(boxes):
    boxes = [(min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1) for a, b, c, d in boxes]
    points, ends = squares(*boxes)
    mask = fill(points, ends, np.arange(len(boxes)), 48, 48)
    expected = np.zeros((48, 48))
    edges = np.arange(48)
    for x0, y0, x1, y1 in boxes:
        across = np.clip(np.minimum(x1, edges + 1) - np.maximum(x0, edges), 0, 1)
        down = np.clip(np.minimum(y1, edges + 1) - np.maximum(y0, edges), 0, 1)
        expected = np.maximum(expected, down[:, None] * across)
    # Sums on shared edge pixels may cover more than each does.
    assert (mask / 255 >= expected - 0.04).all()
    assert not mask[expected == 0].any()


def test_what_lies_outside_the_mask_is_cut_off():
    points, ends = squares((-30, -30, 10, 10), (100, 100, 120, 120), (-5, 3, 50, 6))
    mask = fill(points, ends, np.arange(3), 20, 20)
    assert mask[:10, :10].all() and mask[3:6].all() and not mask[10:].any()


def test_postscript_outlines_turn_the_same_way(tmp_path):
    font = make_font("ab")
    pen = TTGlyphPen(None)
    for point in ((0, 0), (600, 0), (600, 700), (0, 700)):  # counter-clockwise, as in PostScript
        (pen.lineTo if pen.points else pen.moveTo)(point)
    pen.closePath()
    font["glyf"]["uni0061"] = pen.glyph()
    font.save(tmp_path / "font.ttf")
    face = Face(scan([tmp_path], cache_dir=tmp_path / "cache").faces[0])
    areas = []
    for char in "ab":
        outline = flattened(face, face.hb.get_nominal_glyph(ord(char)))
        x, y = outline.points.T
        areas.append(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))
    assert areas[0] < 0 and areas[1] < 0


# -- laying out and moving ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_along_a_straight_path_a_line_is_the_line(text):
    runs, units = shaped(text)
    size = 3 * PPEM
    plain = draw_line(runs, units, size, GlyphCache())
    laid = lay_line(runs, OutlineCache())
    for ink in (
        move_along(laid, paths.straight(laid.length), units).drawn(size),
        straighten(laid, paths.straight(laid.length), units, 0.0, np.random.default_rng(0)).drawn(size),
    ):
        assert fontset.overlap(ink.mask, plain.mask) > 0.93
        assert np.abs(np.array(ink.mask.shape) - plain.mask.shape).max() <= 1
        assert np.abs(ink.boxes - plain.boxes).max() <= 1.6
        assert ink.shared.tolist() == plain.shared.tolist() and ink.blank.tolist() == plain.blank.tolist()


def test_spacing_and_jitter_are_those_of_straight_lines():
    runs, units = shaped("Straße 12")
    options = {"spacing": 0.2, "jitter": [(0.1, 1.2), (-0.05, 0.9)]}
    plain = draw_line(runs, units, PPEM, GlyphCache(), **options)
    laid = lay_line(runs, OutlineCache(), **options)
    ink = move_along(laid, paths.straight(laid.length), units).drawn(PPEM)
    assert np.abs(ink.boxes - plain.boxes).max() <= 2


def outline_points(face: Face, glyph: int, transform: Transform) -> np.ndarray:
    """The points of a glyph's contours, as fontTools has them, moved."""
    with TTFont(sfnt_path(face.info), fontNumber=face.info.number) as font:
        glyphs = font.getGlyphSet()
        pen = RecordingPen()
        glyphs[font.getGlyphName(glyph)].draw(TransformPen(pen, transform))
        found = [point for name, points in pen.value if name in ("moveTo", "lineTo") for point in points]
    return np.array(found).reshape(-1, 2)


def test_glyphs_stand_where_placing_them_one_by_one_puts_them():
    text, radius = "Tag 7", 3.0
    runs, _ = shaped(text)
    laid, line = along(text, lambda length: paths.arc(length, radius, 1.0))
    [run] = runs
    em = run.face.upem
    middle = (laid.top + laid.bottom) / 2
    pen = 0.0
    for glyph, advance in zip(run.glyphs, run.advances, strict=True):
        angle = (pen + advance / em / 2 - laid.length / 2) / radius
        # To the arc length of the advance's middle, turned about it; y grows downwards here.
        placed = (
            Transform()
            .translate(radius * math.sin(angle), radius * (1 - math.cos(angle)))
            .rotate(angle)
            .translate(-advance / em / 2, -middle)
            .scale(1 / em, -1 / em)
        )
        for point in outline_points(run.face, glyph, placed):
            assert np.hypot(*(line.shapes.points - point).T).min() < 3e-3
        pen += advance / em


def test_joined_letters_bend_point_by_point():
    text, radius = "سلام", 3.0
    laid, line = along(text, lambda length: paths.arc(length, radius, 1.0))
    assert laid.bent.all()
    straight = move_along(laid, paths.straight(laid.length), list(text)).shapes.points
    angle = (straight[:, 0] - laid.length / 2) / radius
    reach = radius - straight[:, 1]
    expected = np.stack((reach * np.sin(angle), radius - reach * np.cos(angle)), 1)
    assert np.abs(line.shapes.points - expected).max() < 3e-3


@pytest.mark.parametrize("kind", ["hill", "valley", "wave", "free"])
def test_joined_words_stay_in_one_piece(kind):
    for text, parts in (("سسسس", 1), ("नमक", 1)):
        _, line = along(text, PATHS[kind])
        mask = line.drawn(64).mask
        assert cv2.connectedComponents((mask > 96).astype(np.uint8))[0] - 1 == parts


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_ink_lies_within_the_polygons(text, kind):
    laid, line = along(text, PATHS[kind])
    ink = line.drawn(PPEM)
    height, width = ink.mask.shape
    x, y, w, h = cv2.boundingRect(ink.mask)
    assert max(x, y, width - x - w, height - y - h) <= 1  # no room is left
    covered, outline = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    for polygon in ink.quads:
        cv2.fillConvexPoly(covered, np.round(polygon * 16).astype(np.int32), 255, cv2.LINE_8, 4)
    cv2.fillPoly(outline, [np.round(ink.outline * 16).astype(np.int32)], 255, cv2.LINE_8, 4)
    within = np.ones((3, 3), np.uint8)
    for region in (covered, outline):
        assert not ink.mask[cv2.dilate(region, within) == 0].any()
    # And each unit's polygon holds its ink, which reaches its edges; those of joined letters are around their bent box.
    loose = not laid.bent.any()
    for number, quad in enumerate(ink.quads):
        x_axis, y_axis = quad[1] - quad[0], quad[3] - quad[0]
        assert (
            x_axis[0] * y_axis[1] - x_axis[1] * y_axis[0] > 0 and abs(float(x_axis @ y_axis)) < 1
        )  # clockwise, upright
        if loose and not ink.blank[number] and not ink.shared[number]:
            alone = np.zeros((height, width), np.uint8)
            cv2.fillConvexPoly(alone, np.round(quad * 16).astype(np.int32), 255, cv2.LINE_8, 4)
            rows, columns = np.nonzero(np.where(alone, ink.mask, 0))
            u = ((np.stack((columns, rows), 1) + 0.5 - quad[0]) @ x_axis) / float(x_axis @ x_axis)
            assert u.min() < 0.15 and u.max() > 0.85


def test_quads_turn_with_the_path():
    laid, line = along("MMMMMMMM", lambda length: paths.arc(length, 3.0, 1.0))
    top = line.quads[:, 1] - line.quads[:, 0]
    angles = np.arctan2(top[:, 1], top[:, 0])
    pens = (np.arange(8) + 0.5) * laid.length / 8
    assert np.allclose(angles, (pens - laid.length / 2) / 3.0, atol=5e-3)


@pytest.mark.parametrize("kind", ["hill", "valley", "wave", "free"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_straightened_is_as_if_the_picture_had_been_rectified(text, kind):
    runs, units = shaped(text)
    laid = lay_line(runs, OutlineCache())
    path = PATHS[kind](laid.length)
    ours = straighten(laid, path, units, 0.0, np.random.default_rng(0)).drawn(2 * PPEM)
    bent = move_along(laid, path, units).drawn(2 * PPEM)
    band = geometry.Ribbon(bent.outline[:16], bent.outline[:15:-1])
    room = geometry.translation(8, 8)
    size = math.ceil(band.width) + 16, math.ceil(band.height) + 16
    theirs = geometry.Warp(band).then(room).apply(bent.mask, size, 0)
    assert fontset.overlap(ours.mask, np.asarray(theirs, np.uint8)) > 0.7
    # Its boxes are around its ink.
    covered = np.zeros(ours.mask.shape, np.uint8)
    for left, top, right, bottom in ours.boxes:
        covered[max(math.floor(top), 0) : math.ceil(bottom), max(math.floor(left), 0) : math.ceil(right)] = 1
    assert not ours.mask[covered == 0].any()


def test_slack_moves_top_and_bottom_and_keeps_boxes_around_the_ink():
    runs, units = shaped("Handwriting")
    laid = lay_line(runs, OutlineCache())
    path = paths.arc(laid.length, 3.0, 1.0)
    true, off = (straighten(laid, path, units, slack, np.random.default_rng(4)) for slack in (0.0, 0.05))
    moved = off.shapes.points - true.shapes.points
    assert np.allclose(moved[:, 0], 0) and 0.02 < np.abs(moved[:, 1]).max() < 0.3
    ink = off.drawn(PPEM)
    for box, unit in zip(ink.boxes, units, strict=True):
        left, top, right, bottom = (int(value) for value in (*np.floor(box[:2]), *np.ceil(box[2:])))
        assert ink.mask[max(top, 0) : bottom, max(left, 0) : right].max() > 200, unit


def test_units_without_ink_are_told_apart(tmp_path):
    face = fontset.face_for("ab")
    text = "a b"
    laid = lay_line(shape_line(text, [(face, 0, 3)]), OutlineCache())
    line = move_along(laid, paths.arc(laid.length, 4.0, 1.0), list(text))
    assert line.blank.tolist() == [False, True, False]
    with pytest.raises(NoInk):
        lay_line(shape_line("  ", [(face, 0, 2)]), OutlineCache())
    font = make_font("ab")
    font["glyf"]["uni0062"] = TTGlyphPen(None).glyph()
    font.save(tmp_path / "font.ttf")
    empty = Face(scan([tmp_path], cache_dir=tmp_path / "cache").faces[0])
    laid = lay_line(shape_line("ab", [(empty, 0, 2)]), OutlineCache())
    for moved in (move_along, lambda *a: straighten(*a, 0.0, np.random.default_rng(0))):
        with pytest.raises(NoInk) as caught:
            moved(laid, paths.straight(laid.length), ["a", "b"])
        assert caught.value.unit == "b"


def test_a_unit_of_several_clusters_has_one_polygon_around_them():
    text = "chat"
    runs, _ = shaped(text)
    laid = lay_line(runs, OutlineCache())
    path = paths.arc(laid.length, 2.5, 1.0)
    joined, apart = (move_along(laid, path, units) for units in (["ch", "a", "t"], list(text)))
    x, y = joined.quads[0][1] - joined.quads[0][0], joined.quads[0][3] - joined.quads[0][0]
    for quad in apart.quads[:2]:
        away = quad - joined.quads[0][0]
        assert ((away @ x) / (x @ x)).min() > -1e-6 and ((away @ x) / (x @ x)).max() < 1 + 1e-6
        assert ((away @ y) / (y @ y)).min() > -1e-6 and ((away @ y) / (y @ y)).max() < 1 + 1e-6
    assert np.allclose(joined.quads[1:], apart.quads[2:])


# -- choice ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["arc", "circle", "wave", "free"])
@pytest.mark.parametrize("text", ["ab", "A somewhat longer text", TEXTS["arabic"]])
def test_chosen_paths_are_no_tighter_than_allowed(kind, text):
    runs, _ = shaped(text)
    laid = lay_line(runs, OutlineCache())
    config = CurvedLine(p=1, kinds={kind: 1.0}, tightest=2.2, rise=(0.5, 4.0), amplitude=(0.2, 1.5))
    rng = np.random.default_rng(0)
    for _ in range(60):
        path = choose_path(config, laid, rng)
        assert path.tightest > 2.15 and not path.crosses(laid.height / 2)
        x, _, _ = path.at(np.linspace(0, laid.length, 200))
        assert np.ptp(x) > 0


def test_arcs_rise_as_asked():
    runs, _ = shaped("A long enough line of text")
    laid = lay_line(runs, OutlineCache())
    config = CurvedLine(p=1, kinds={"arc": 1.0}, rise=(0.8, 0.8), valley=0.0)
    _, y, _ = choose_path(config, laid, np.random.default_rng(0)).at(np.array((0.0, laid.length / 2)))
    assert y[0] - y[1] == pytest.approx(0.8, abs=0.01)


def test_text_shrinks_to_its_circle_and_is_refused_beyond():
    assert fitting(3.0, 4.0, 0.5) == 4.0
    assert fitting(6.0, 4.0, 0.5) == 6.0
    with pytest.raises(TooLong):
        fitting(8.1, 4.0, 0.5)


# -- the pipeline ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "en.txt"
    path.write_text("Harbour\nlighthouse\nfish and chips\nSugar, flour\nto\nx\n", encoding="utf-8")
    return path


def pipeline(corpus, dejavu, preset="clean", overrides=(), **curve):
    return Pipeline(
        Recipe.load(
            preset,
            corpus=corpus,
            overrides=overrides,
            fonts={"paths": [str(path) for path in dejavu]},
            layout={"curve": {"p": 1.0, **curve}, "height": 64},
            output={"encoding": "png", "polygons": True},
        )
    )


LINES = ["corpus.piece=line"]


def test_samples_are_the_same_alone_and_in_company(own_cache, corpus, dejavu):
    made = pipeline(corpus, dejavu, "scene", LINES)
    together = made.samples(range(20))
    for index in (0, 7, 19):
        alone = pipeline(corpus, dejavu, "scene", LINES).sample(index)
        assert np.array_equal(alone.image, together[index].image) and alone.text == together[index].text
        assert np.array_equal(alone.polygons, together[index].polygons) and alone.meta == together[index].meta


@pytest.mark.parametrize("preset", ["clean", "scene"])
def test_the_polygon_of_the_line_holds_its_units_and_lies_in_the_picture(own_cache, corpus, dejavu, preset):
    curved = 0
    for sample in pipeline(corpus, dejavu, preset, [*LINES, "geometry.elastic.p=0"]).samples(range(40)):
        assert (len(sample.units) > 1 and "plain" not in sample.meta) == ("curved" in sample.meta)
        if "curved" not in sample.meta:
            assert "polygon" not in sample.meta
            continue
        curved += 1
        outline = np.array(sample.meta["polygon"], np.float32)
        assert outline.shape == (32, 2)
        height, width = sample.image.shape[:2]
        assert outline.min() > -0.6 and (outline <= (width + 0.6, height + 0.6)).all()
        assert sample.polygons.min() > -0.6 and (sample.polygons <= (width + 0.6, height + 0.6)).all()
        region = np.zeros((height, width), np.uint8)
        cv2.fillPoly(region, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_8, 4)
        region = cv2.dilate(region, np.ones((5, 5), np.uint8))
        for x, y in sample.polygons.mean(1):
            assert region[min(int(y), height - 1), min(int(x), width - 1)]
        assert "".join(sample.units) == sample.text
    assert curved > 15


def test_black_on_white_all_ink_lies_in_the_polygons(own_cache, corpus, dejavu):
    settled = [*LINES, "ink.underline=0", "colour.luminance=[255, 255]", "colour.contrast=[255, 255]"]
    for sample in pipeline(corpus, dejavu, "clean", settled).samples(range(30)):
        dark = (sample.image[..., 0] < 200).astype(np.uint8)
        region = np.zeros(dark.shape, np.uint8)
        for polygon in sample.polygons:
            cv2.fillConvexPoly(region, np.round(polygon * 16).astype(np.int32), 1, cv2.LINE_8, 4)
        assert not dark[cv2.dilate(region, np.ones((3, 3), np.uint8)) == 0].any()
        edge = np.concatenate((dark[0], dark[-1], dark[:, 0], dark[:, -1]))
        assert not edge.any()  # nothing touches the frame, so nothing is cut off by it


def test_a_rectified_sample_is_the_straight_line(own_cache, corpus, dejavu):
    """What the polygon is for: cut out by it, the line is straight again."""
    kinds = {"arc": 1.0, "wave": 1.0}
    made = pipeline(corpus, dejavu, "clean", [*LINES, "layout.height=160", "layout.spacing_share=0"], kinds=kinds)
    seen = 0
    for sample in made.samples(range(16)):
        if "polygon" not in sample.meta:
            continue
        back = geometry.rectify(255 - sample.image[..., 0], sample.meta["polygon"], 60)
        face = next(f for f in made.book.faces if f.family in sample.meta["font"])
        runs = shape_line(sample.text, [(Face(face), 0, len(sample.text))])
        plain = draw_line(runs, sample.units, 60, GlyphCache()).mask
        x, y, w, h = cv2.boundingRect((back > 100).astype(np.uint8))
        ink = cv2.resize(back[y : y + h, x : x + w], plain.shape[::-1], interpolation=cv2.INTER_AREA)
        assert fontset.overlap(np.asarray(ink, np.uint8), plain) > 0.5
        seen += 1
    assert seen > 5


def test_unwrapped_lines_are_straight_and_have_no_polygon(own_cache, corpus, dejavu):
    for sample in pipeline(corpus, dejavu, "clean", LINES, unwrap=True).samples(range(20)):
        assert "polygon" not in sample.meta
        if "curved" in sample.meta:
            top = sample.polygons[:, 1] - sample.polygons[:, 0]
            assert np.abs(top[:, 1]).max() < 1e-3


def test_other_layouts_keep_their_samples(own_cache, corpus, dejavu):
    """With p at 0 nothing is drawn from the random stream for curves."""
    plain = Recipe.load("scene", corpus=corpus, fonts={"paths": [str(path) for path in dejavu]})
    tuned = plain.with_keys("layout", curve={"p": 0.0, "kinds": {"circle": 1.0}}, seal={"p": 0.0, "star": 1.0})
    for a, b in zip(Pipeline(plain).samples(range(6)), Pipeline(tuned).samples(range(6)), strict=True):
        assert np.array_equal(a.image, b.image)


def test_text_longer_than_its_circle_is_refused_and_counted(own_cache, tmp_path, dejavu):
    corpus = tmp_path / "long.txt"
    corpus.write_text("abc\n" + "much too long for a small circle of this kind\n" * 3, encoding="utf-8")
    options = {"kinds": {"circle": 1.0}, "radius": [2.0, 2.0], "smallest": 0.9}
    made = pipeline(corpus, dejavu, "clean", [*LINES, "corpus.length=[1, 60]"], **options)
    refusals = [reason for sample in made.samples(range(12)) for reason, _ in sample.refusals]
    assert "text longer than its curve" in refusals


@pytest.mark.parametrize(
    ("curve", "told"),
    [
        ({"p": 2}, "layout.curve.p"),
        ({"kinds": {"spiral": 1}}, "layout.curve.kinds.spiral: unknown key"),
        ({"kinds": {"arc": 0}}, "layout.curve: kinds: no kind of curve has a weight above zero"),
        ({"tightest": 0.2}, "layout.curve.tightest"),
        ({"rise": [2, 1]}, "layout.curve.rise"),
        ({"share": 1}, "layout.curve.share: unknown key"),
        ({"controls": [[[0, 0], [1, 0]]]}, "layout.curve.controls"),
        (
            {"controls": [[[0, 0], [0, 1], [1, 1], [1, 0]], [[0, 0], [3, 1], [-2, 1], [1, 0]]]},
            "layout.curve.controls: curve 2: the curve crosses itself",
        ),
        ({"controls": [[[0, 0]] * 4]}, "layout.curve.controls: curve 1"),
    ],
)
def test_wrong_keys_are_named(corpus, curve, told):
    with pytest.raises(RecipeError) as caught:
        Recipe.load("clean", corpus=corpus, layout={"curve": curve})
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_curves_of_ones_own(own_cache, corpus, dejavu):
    controls = [[[0, 0], [30, -40], [70, 40], [100, 0]]]
    made = pipeline(corpus, dejavu, "clean", LINES, kinds={"free": 1.0}, controls=controls, tightest=1.0)
    tops = [s.polygons[:, 0, 1] - s.polygons[0, 0, 1] for s in made.samples(range(12)) if len(s.units) > 8]
    assert tops and all(np.ptp(top) > 3 for top in tops)
