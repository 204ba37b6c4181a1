from __future__ import annotations

import cv2
import fontset
import numpy as np
import pytest
from font_maker import make_font
from fontTools.feaLib.builder import addOpenTypeFeaturesFromString

from synth.fonts.face import PHASES, Face
from synth.fonts.index import scan
from synth.render.line import GlyphCache, NoInk, draw_line
from synth.render.shape import shape_line
from synth.text.units import split_units

SIZE = 384  # pixels per em: Pillow sets glyphs at whole pixels and hints them, which matters less in large
LIGATURE = "feature liga { sub f i by f_i; } liga;"


@pytest.fixture(scope="module")
def cache():
    return GlyphCache()


def draw(face, text, size=40, unit="grapheme", **options):
    return draw_line(shape_line(text, [(face, 0, len(text))]), split_units(text, unit), size, GlyphCache(), **options)


def made(folder, chars, features="", **options):
    font = make_font(chars, **options)
    if features:
        addOpenTypeFeaturesFromString(font, features)
    font.save(folder / "font.ttf")
    return Face(scan([folder], cache_dir=folder / "cache").faces[0])


def assert_ink_in_boxes(ink):
    rest = ink.mask.copy()
    for left, top, right, bottom in ink.boxes:
        rest[max(int(top), 0) : int(np.ceil(bottom)), max(int(left), 0) : int(np.ceil(right))] = 0
    assert not rest.any()


@pytest.mark.parametrize("name", [*fontset.LANGUAGES, fontset.MIXED])
def test_lines_look_as_pillow_draws_them_with_raqm(name, cache):
    found = []
    for line, faces in fontset.covered_lines(name, 1):
        if len(faces) == 1:  # Pillow draws a line with one font
            ink = draw_line(shape_line(line, faces), split_units(line, "grapheme"), SIZE, cache)
            found.append((fontset.overlap(ink.mask, fontset.raqm_ink(faces[0][0], line, SIZE)), line))
    assert len(found) >= 20
    assert min(found)[0] >= 0.96, f"{name}: least {min(found)}, mean {np.mean([share for share, _ in found]):.3f}"


@pytest.mark.parametrize("unit", ["codepoint", "grapheme", "akshara"])
@pytest.mark.parametrize("name", [*fontset.LANGUAGES, fontset.MIXED])
def test_every_unit_has_a_box_and_all_ink_is_in_one(name, unit, cache):
    for line, faces in fontset.covered_lines(name, 1):
        units = split_units(line, unit)
        ink = draw_line(shape_line(line, faces), units, 40, cache)
        assert ink.boxes.shape == (len(units), 4) and ink.boxes.dtype == np.float32
        assert len(ink.shared) == len(ink.blank) == len(units)
        assert np.isfinite(ink.boxes).all()
        assert (ink.boxes[:, 2] > ink.boxes[:, 0]).all() and (ink.boxes[:, 3] > ink.boxes[:, 1]).all()
        assert ink.blank.tolist() == [text.isspace() for text in units]
        height, width = ink.mask.shape
        inked = ink.boxes[~ink.blank]
        assert (inked.min(0) >= 0).all() and (inked.max(0) <= (width, height, width, height)).all()
        # the mask is cut to the ink, but for pixels that it touches by less than 1/256
        assert all(edge.any() for edge in (ink.mask[:2], ink.mask[-2:], ink.mask[:, :2], ink.mask[:, -2:]))
        assert_ink_in_boxes(ink)


@pytest.mark.parametrize("name", ["en", "grc", "ru", "hy", "ka", "chr", "am", "ko"])
def test_boxes_follow_the_text_from_left_to_right(name):
    for line, faces in fontset.covered_lines(name, 1):
        ink = draw_line(shape_line(line, faces), split_units(line, "grapheme"), 64, GlyphCache())
        middles = ink.boxes[:, [0, 2]].mean(1)
        assert (np.diff(middles) > 0).all()


@pytest.mark.parametrize("name", ["he", "nqo"])
def test_boxes_follow_the_text_from_right_to_left(name):
    for line, faces in fontset.covered_lines(name, 1):
        ink = draw_line(shape_line(line, faces), split_units(line, "grapheme"), 64, GlyphCache())
        assert (np.diff(ink.boxes[:, [0, 2]].mean(1)) < 0).all()


def test_boxes_are_where_the_letter_is():
    # the ink of each unit, drawn alone, is what its box shows
    face = fontset.face_for("Hamburg")
    ink = draw(face, "Hamburg", 96)
    for letter, box in zip("Hamburg", ink.boxes.astype(int), strict=True):
        alone = draw(face, letter, 96).mask
        left, top, right, bottom = box
        assert fontset.overlap(ink.mask[top:bottom, left:right], alone) > 0.9


# -- ligatures and clusters ------------------------------------------------------------------------------------


def test_a_ligature_is_split_at_its_carets(tmp_path):
    caret = "table GDEF { LigatureCaretByPos f_i 80; } GDEF;"
    face = made(tmp_path, {"a": "a", "f": "f", "i": "i", "\ufb01": "f_i"}, LIGATURE + caret)
    ink = draw(face, "afia", 100)
    whole = draw(face, "a\ufb01a", 100)
    assert not ink.shared.any()
    left, _, right, _ = whole.boxes[1]
    # the rectangle begins 50 units right of the glyph's origin, so the caret lies 30 units into it: 3 pixels
    assert ink.boxes[1, [0, 2]] == pytest.approx([left, left + 3], abs=0.6)
    assert ink.boxes[2, [0, 2]] == pytest.approx([left + 3, right], abs=0.6)
    assert np.array_equal(ink.mask, whole.mask)


def test_a_ligature_from_right_to_left_begins_at_the_right(tmp_path):
    features = "feature liga { sub f i by f_i; } liga; table GDEF { LigatureCaretByPos f_i 80; } GDEF;"
    face = made(tmp_path, {"\u05d0": "f", "\u05d1": "i", "\ufb4f": "f_i"}, features)
    ink = draw(face, "\u05d0\u05d1", 100)
    assert not ink.shared.any()
    assert ink.boxes[0, 0] == pytest.approx(ink.boxes[1, 2])
    assert ink.boxes[0, 2] > ink.boxes[1, 2]
    assert ink.boxes[1, 2] - ink.boxes[1, 0] == pytest.approx(3, abs=0.6)


@pytest.mark.parametrize(
    "gdef",
    ["", "table GDEF { LigatureCaretByPos f_i 80 90; } GDEF;", "table GDEF { LigatureCaretByPos f_i 900; } GDEF;"],
)
def test_a_ligature_without_fitting_carets_is_shared(tmp_path, gdef):
    face = made(tmp_path, {"a": "a", "f": "f", "i": "i", "\ufb01": "f_i"}, LIGATURE + gdef)
    ink = draw(face, "afia", 100)
    assert ink.shared.tolist() == [False, True, True, False]
    assert np.array_equal(ink.boxes[1], ink.boxes[2])


def test_lam_alef_is_split_or_shared():
    text = "\u0633\u0644\u0627\u0645"  # seen, lam, alef, meem
    split = 0
    for face in fontset.faces_of(text):
        runs = shape_line(text, [(face, 0, 4)])
        ink = draw_line(runs, list(text), 64, GlyphCache())
        one_cluster = len(set(runs[0].clusters)) == 3
        lam, alef = ink.boxes[1], ink.boxes[2]
        if not one_cluster:
            assert not ink.shared.any()
        elif ink.shared.any():
            assert ink.shared.tolist() == [False, True, True, False]
            assert np.array_equal(lam, alef)
        else:
            split += 1
            assert alef[2] == pytest.approx(lam[0], abs=0.01) and lam[2] > alef[2]  # lam stands at the right
        assert_ink_in_boxes(ink)
    assert split, "no font with carets for lam-alef"


def test_code_points_of_one_cluster_share_its_box():
    face = fontset.face_for("\u0915\u093f")
    ink = draw(face, "\u0915\u093f", unit="codepoint")
    assert ink.shared.tolist() == [True, True]
    assert np.array_equal(ink.boxes[0], ink.boxes[1])


@pytest.mark.parametrize("unit", ["codepoint", "grapheme", "akshara"])
@pytest.mark.parametrize(
    "text",
    ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0915\u094d\u200d\u0937", "\u0dc1\u0dca\u200d\u0dbb\u0dd3"],
)
def test_joiners_have_a_place_but_no_ink(text, unit):
    ink = draw(fontset.face_for(text.replace("\u200c", "").replace("\u200d", "")), text, unit=unit)
    assert len(ink.boxes) == len(split_units(text, unit))
    assert_ink_in_boxes(ink)


def test_a_mongolian_vowel_separator_has_a_place_but_no_ink(tmp_path):
    letters = "\u1828\u1821\u1837"
    # As fonts of Mongolian do, it puts a glyph of its own for the sign, which then is no ignorable one any more.
    feature = "languagesystem DFLT dflt; feature ccmp { sub uni180E by uniE000; } ccmp;"
    face = made(tmp_path, letters + "\u180e\ue000", feature, empty="\u180e\ue000")
    ink = draw(face, f"{letters}\u180e\u1821", unit="codepoint")
    assert ink.shared.tolist() == [False, False, False, True, False]
    assert np.array_equal(ink.boxes[3], ink.boxes[2])


# -- spaces ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["ab cd", "\u05d0\u05d1 \u05d2\u05d3", " a", "a ", "a  b", "a\u3000b", "a\u00a0b"])
def test_a_space_has_the_box_of_its_advance(text):
    face = fontset.face_for(text)
    ink = draw(face, text, 100)
    run = shape_line(text, [(face, 0, len(text))])[0]
    for at, character in enumerate(text):
        if character.isspace():
            advance = run.advances[run.clusters.index(at)] / face.upem * 100
            left, top, right, bottom = ink.boxes[at]
            assert right - left == pytest.approx(advance, abs=0.01)
            assert (top, bottom) == (0, ink.mask.shape[0])
            assert ink.blank[at] and not ink.shared[at]


def test_no_ink_where_ink_is_due_is_an_error(tmp_path):
    face = made(tmp_path, "abc", empty="b")
    with pytest.raises(NoInk) as caught:
        draw(face, "abc")
    assert caught.value.unit == "b"
    with pytest.raises(NoInk):
        draw(face, "b")


# -- setting ---------------------------------------------------------------------------------------------------


def test_letter_spacing_moves_letters_apart_but_not_joined_ones():
    face = fontset.face_for("abc")
    narrow, wide = draw(face, "abc", 100), draw(face, "abc", 100, spacing=0.2)
    moved = wide.boxes[:, 0] - narrow.boxes[:, 0]
    assert moved == pytest.approx([0, 20, 40], abs=1)
    arabic = fontset.face_for("\u0633\u0644\u0645")
    assert np.array_equal(draw(arabic, "\u0633\u0644\u0645", spacing=0.2).mask, draw(arabic, "\u0633\u0644\u0645").mask)


@pytest.mark.parametrize(
    "text", ["\u0cb6\u0ccd\u0cb0\u0cc0\u0ca8", "\u0b95\u0bcb\u0bb5\u0bc8", "\u1780\u17d2\u179a\u17bb\u1798"]
)
def test_letter_spacing_and_jitter_leave_aksharas_whole(text):
    # the two graphemes of sri in Kannada may be clusters of their own, whose glyphs belong together
    for face in fontset.faces_of(text):
        ink = draw(face, text, 60, spacing=0.2, jitter=[(0.1, 1.2)])
        assert np.array_equal(ink.mask, draw(face, text, 60).mask), face.name


@pytest.mark.parametrize(
    "text", ["\u03b1\u03b2", "\u05d0\u05d1", "\u0e01\u0e35\u0e01", "\u1208\u1210", "\u4e00\u4e8c", "12"]
)
def test_letter_spacing_is_for_all_scripts_of_letters_that_stand_alone(text):
    face = fontset.face_for(text)
    wide, narrow = (draw(face, text, 60, spacing=spacing).mask.shape[1] for spacing in (0.2, 0.0))
    assert wide - narrow == pytest.approx(12, abs=1)


def test_jitter_lifts_and_scales_letters_but_not_joined_ones():
    face = fontset.face_for("xxx")
    ink = draw(face, "xxx", 100, jitter=[(0.0, 1.0), (0.1, 1.0), (0.0, 1.5)])
    (_, t0, _, b0), (_, t1, _, b1), (_, t2, _, b2) = ink.boxes
    assert t0 - t1 == pytest.approx(10, abs=1) and b0 - b1 == pytest.approx(10, abs=1)
    assert (b2 - t2) / (b0 - t0) == pytest.approx(1.5, abs=0.06)
    headline = fontset.face_for("\u0928\u092e")
    still = draw(headline, "\u0928\u092e", 100).mask
    assert np.array_equal(draw(headline, "\u0928\u092e", 100, jitter=[(0.1, 1.2)]).mask, still)


def test_the_baseline_is_where_letters_stand():
    face = fontset.face_for("Hxp")
    ink = draw(face, "Hxp", 200)
    assert ink.boxes[0, 3] == pytest.approx(ink.baseline, abs=1)
    assert ink.boxes[2, 3] > ink.baseline + 10


def test_phases_shift_a_glyph_by_quarters_of_a_pixel():
    face = fontset.face_for("o")
    glyph = face.hb.get_nominal_glyph(ord("o"))
    middles = []
    for phase in range(PHASES):
        bitmap, x, y = face.rasterise(glyph, 40, phase, phase)
        total = bitmap.sum()
        columns, rows = bitmap.sum(0) @ np.arange(bitmap.shape[1]), bitmap.sum(1) @ np.arange(bitmap.shape[0])
        middles.append((x + columns / total, y + rows / total))
    assert np.diff(middles, axis=0) == pytest.approx(np.full((PHASES - 1, 2), 1 / PHASES), abs=0.02)


def test_the_cache_changes_nothing_and_stays_small():
    face = fontset.face_for("The quick brown fox")
    runs = shape_line("The quick brown fox", [(face, 0, 19)])
    small = GlyphCache(20_000)
    for size in range(20, 60):
        assert np.array_equal(
            draw_line(runs, list("The quick brown fox"), size, small).mask,
            draw_line(runs, list("The quick brown fox"), size, GlyphCache()).mask,
        )
        bitmaps = [drawn[0] for glyphs in small._faces.values() for drawn in glyphs.values() if drawn]
        assert sum(450 + bitmap.nbytes for bitmap in bitmaps) <= small.bytes <= 20_000


def test_overlapping_bitmaps_leave_no_seam():
    # joined letters: along the line of joining no column is lighter than full ink
    text = "\u0633\u0633\u0633"
    face = fontset.face_for(text)
    ink = draw(face, text, 200)
    (_, _, right, _), (left, _, _, _) = ink.boxes[1], ink.boxes[0]
    seam = ink.mask[:, int(min(left, right)) - 2 : int(max(left, right)) + 2]
    assert (cv2.reduce(seam, 0, cv2.REDUCE_MAX) == 255).all()
