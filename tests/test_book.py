from __future__ import annotations

from collections import Counter

import fontset
import numpy as np
import pytest
from font_maker import make_font
from fontTools import subset
from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.ttLib import TTFont

from augment.errors import ScriptoriumError
from synth.fonts.book import FontBook, Uncovered, needed_tags
from synth.fonts.face import Face
from synth.fonts.index import scan, sfnt_path
from synth.recipe import Fonts
from synth.render.shape import shape_line

LATIN, HEBREW, ARABIC = "abcdefgh 0123.", "\u05d0\u05d1\u05d2 ", "\u0633\u0644\u0627\u0645"


def rng(seed=0):
    return np.random.default_rng(seed)


def book_of(folder, **config):
    return FontBook(scan([folder], cache_dir=folder / "cache").faces, Fonts(**config))


def written(folder, **fonts):
    """A folder with a font per name, each of its characters."""
    for name, chars in fonts.items():
        make_font(chars, family=name).save(folder / f"{name}.ttf")
    return folder


def part_of(folder, name, face, text, drop=()):
    """A copy of a face with only the glyphs that a text needs, and without some tables."""
    with TTFont(sfnt_path(face.info), fontNumber=face.info.number) as font:
        cutter = subset.Subsetter(subset.Options(layout_features=["*"], layout_scripts=["*"]))
        cutter.populate(text=text)
        cutter.subset(font)
        for tag in drop:
            if tag in font:
                del font[tag]
        for record in font["name"].names:
            if record.nameID in (1, 16):
                record.string = name
        font.save(folder / f"{name}.ttf")


def families(parts):
    return [face.info.family for face, _, _ in parts]


# -- coverage --------------------------------------------------------------------------------------------------


def test_an_empty_book_says_what_to_do():
    with pytest.raises(ScriptoriumError, match="synth fonts install"):
        FontBook([], Fonts())


def test_a_text_that_nothing_covers_names_just_what_is_lacking(tmp_path):
    book = book_of(written(tmp_path, Latin=LATIN, Hebrew=HEBREW))
    with pytest.raises(Uncovered) as caught:
        book.choose("abc \u05d0 \u4e00 \u4e8c\u4e00 d", rng())
    assert caught.value.characters == "\u4e00\u4e8c"


def test_a_grapheme_that_no_face_has_as_a_whole_is_not_drawn_from_two(tmp_path):
    book = book_of(written(tmp_path, Base="ab", Mark="\u0323"))
    with pytest.raises(Uncovered) as caught:
        book.choose("ba\u0323", rng())
    assert set(caught.value.characters) == {"a", "\u0323"}


def test_spaces_and_joiners_need_no_glyph(tmp_path):
    book = book_of(written(tmp_path, Latin="ab"))
    [(face, start, stop)] = book.choose("a\u200d b\u00a0a\u3000b", rng())
    assert (face.info.family, start, stop) == ("Latin", 0, 8)


@pytest.mark.parametrize("name", [*fontset.LANGUAGES, fontset.MIXED])
def test_what_the_book_chooses_has_every_glyph(name):
    book = FontBook(fontset.faces(), Fonts())
    for number, line in enumerate(fontset.lines(name)):
        parts = book.choose(line, rng(number))
        assert [start for _, start, _ in parts] == [0, *[stop for _, _, stop in parts[:-1]]]
        assert parts[-1][2] == len(line)
        for run in shape_line(line, parts):  # raises Undrawable for a missing glyph or a dotted circle
            assert 0 not in run.glyphs


# -- fallback --------------------------------------------------------------------------------------------------


def test_a_second_face_fills_in_what_the_first_lacks(tmp_path):
    book = book_of(written(tmp_path, Latin=LATIN, Hebrew=HEBREW))
    text = "\u05d0\u05d1\u05d2 12 \u05d0"
    parts = book.choose(text, rng())
    # the space in between stays with the face before it
    assert [(face.info.family, text[start:stop]) for face, start, stop in parts] == [
        ("Hebrew", "\u05d0\u05d1\u05d2 "),
        ("Latin", "12"),
        ("Hebrew", " \u05d0"),
    ]


def test_fallback_cuts_between_graphemes_only(tmp_path):
    book = book_of(written(tmp_path, Plain="abc", Marked="b\u0323x"))
    text = "ab\u0323c"
    parts = book.choose(text, rng())
    assert [(face.info.family, text[start:stop]) for face, start, stop in parts] == [
        ("Plain", "a"),
        ("Marked", "b\u0323"),
        ("Plain", "c"),
    ]


def test_without_fallback_a_text_of_two_fonts_is_refused(tmp_path):
    book = book_of(written(tmp_path, Latin=LATIN, Hebrew=HEBREW), fallback=False)
    with pytest.raises(Uncovered):
        book.choose("a\u05d0", rng())
    assert families(book.choose("abc", rng())) == ["Latin"]


def test_the_face_of_most_letters_leads(tmp_path):
    book = book_of(written(tmp_path, Latin=LATIN, Both="ab\u05d0\u05d1", Third="\u4e00"))
    for seed in range(10):
        assert families(book.choose("ab\u05d0\u05d1\u4e00", rng(seed))) == ["Both", "Third"]


# -- scripts that need shaping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [ARABIC, "\u0915\u094d\u0937\u093f", "\u1780\u17d2\u179a", "\u0f62\u0f92\u0fb1"])
def test_a_font_without_shaping_tables_does_not_draw_scripts_that_need_them(tmp_path, text):
    face = fontset.face_for(text)
    part_of(tmp_path, "Whole", face, text)
    part_of(tmp_path, "Bare", face, text, drop=("GSUB", "GPOS", "GDEF"))
    book = book_of(tmp_path)
    assert {info.family for info in book.faces} == {"Whole", "Bare"}
    for seed in range(10):
        assert families(book.choose(text, rng(seed))) == ["Whole"]
    (tmp_path / "Whole.ttf").unlink()
    with pytest.raises(Uncovered) as caught:
        book_of(tmp_path).choose(text, rng())
    assert set(caught.value.characters) == set(text)


def test_a_font_that_shows_the_virama_of_a_basic_conjunct_does_not_draw_the_script(tmp_path):
    text = "\u092a\u094d\u0930\u0915"  # pra, ka
    face = fontset.face_for(text)
    part_of(tmp_path, "Whole", face, text)
    part_of(tmp_path, "Poor", face, text)
    with TTFont(tmp_path / "Poor.ttf") as font:
        for feature in font["GSUB"].table.FeatureList.FeatureRecord:
            feature.Feature.LookupListIndex, feature.Feature.LookupCount = [], 0
        font.save(tmp_path / "Poor.ttf")
    book = book_of(tmp_path)
    assert all(needed_tags("Deva") & info.scripts for info in book.faces)
    for seed in range(10):
        assert families(book.choose("\u0915", rng(seed))) == ["Whole"]


def sinhala_signs(folder, name, features):
    """A font of the consonant ka and the sign aa, 600 wide, which its GDEF table classes as a mark."""
    font = make_font({"\u0d9a": "ka", "\u0dcf": "aa"}, family=name)
    classes = "table GDEF { GlyphClassDef [ka], , [aa], ; } GDEF;"
    addOpenTypeFeaturesFromString(font, f"languagesystem sinh dflt; {features} {classes}")
    font.save(folder / f"{name}.ttf")


SUBSTITUTION = "feature liga { sub aa aa by ka; } liga;"  # for the script's tag
ANCHORS = """
    markClass [aa] <anchor 0 0> @SIGNS;
    feature abvm { pos base ka <anchor 300 0> mark @SIGNS; } abvm;
"""


@pytest.mark.parametrize("positioning", ["", "feature kern { pos ka ka -10; } kern;"])
def test_a_font_whose_vowel_signs_lie_on_their_neighbours_does_not_draw_the_script(tmp_path, positioning):
    sinhala_signs(tmp_path, "Heaped", SUBSTITUTION + positioning)
    book = book_of(tmp_path)
    run = shape_line("\u0d9a\u0dcf", [(book.open(book.faces[0]), 0, 2)])[0]
    assert sum(run.advances) == 600  # as HarfBuzz has it: no room for the sign
    assert not book.able("\u0d9a") and not book.able("\u0dcf")


def test_vowel_signs_that_anchors_place_need_no_room(tmp_path):
    sinhala_signs(tmp_path, "Anchored", SUBSTITUTION + ANCHORS)
    assert families(book_of(tmp_path).choose("\u0d9a\u0dcf", rng())) == ["Anchored"]


@pytest.mark.parametrize("parts", [False, True])
def test_a_font_that_puts_a_vowel_sign_of_two_parts_before_its_consonant_does_not_draw_the_script(tmp_path, parts):
    letters = {"\u0d9a": "ka", "\u0dd9": "e", "\u0ddc": "o"} | ({"\u0dcf": "aa"} if parts else {})
    font = make_font(letters, family="Parted")
    addOpenTypeFeaturesFromString(font, "languagesystem sinh dflt; feature liga { sub ka ka by e; } liga;")
    font.save(tmp_path / "Parted.ttf")
    book = book_of(tmp_path)
    run = shape_line("\u0d9a\u0ddc", [(book.open(book.faces[0]), 0, 2)])[0]
    names = [font.getGlyphName(glyph) for glyph in run.glyphs]
    assert names == (
        ["e", "ka", "aa"] if parts else ["o", "ka"]
    )  # HarfBuzz takes it apart where the font has the parts
    assert bool(book.able("\u0d9a")) == parts


@pytest.mark.parametrize(
    "text", ["\u0d9a\u0dcf\u0dc0", "\u1000\u102c\u1038", "\u1780\u17b6", "\u0b95\u0bbf", "\u0d15\u0d40"]
)
def test_proper_fonts_keep_their_scripts(text):
    info = fontset.face_for(text).info
    book = FontBook([info], Fonts())
    assert all(map(book.able, text)), info.family


def test_latin_needs_no_shaping_tables(tmp_path):
    book = book_of(written(tmp_path, Latin=LATIN))
    assert needed_tags("Latn") == needed_tags("Zyyy") == frozenset()
    assert families(book.choose("abc", rng())) == ["Latin"]


# -- choice ----------------------------------------------------------------------------------------------------


def test_the_same_generator_gives_the_same_faces(tmp_path):
    written(tmp_path, **{f"Font{number}": LATIN for number in range(6)})
    texts = ["abc", "12", "a1", "h"] * 10

    def names(book):
        source = rng(7)
        return [families(book.choose(text, source)) for text in texts]

    first = book_of(tmp_path)
    assert names(first) == names(first) == names(book_of(tmp_path))
    assert len({name for [name] in names(first)}) > 3


def test_families_count_alike_however_many_faces_they_have(tmp_path):
    for weight in range(100, 1000, 100):
        make_font(LATIN, family="Many", style=f"W{weight}", weight=weight).save(tmp_path / f"{weight}.ttf")
    make_font(LATIN, family="One").save(tmp_path / "one.ttf")
    book, source = book_of(tmp_path), rng(1)
    found = Counter(book.choose("abc", source)[0][0].info.family for _ in range(2000))
    # a fair coin leaves 850 to 1150 less often than once in 10^10
    assert 850 < found["One"] < 1150


def test_few_faces_are_open_at_once(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("synth.fonts.book.Face", lambda info, coordinates=None: opened.append(info) or object())
    written(tmp_path, **{f"Font{number}": LATIN for number in range(12)})
    book = FontBook(scan([tmp_path], cache_dir=tmp_path / "cache").faces, Fonts(), max_open=4)
    for info in [*book.faces, *book.faces]:
        book.open(info)
    assert len(opened) == 24
    book.open(book.faces[-1])
    assert len(opened) == 24


def test_a_face_that_was_closed_draws_the_same_again(tmp_path):
    written(tmp_path, **{f"Font{number}": "abc" for number in range(3)})
    book = FontBook(scan([tmp_path], cache_dir=tmp_path / "cache").faces, Fonts(), max_open=1)
    before = book.open(book.faces[0])
    book.open(book.faces[1])
    after = book.open(book.faces[0])
    assert before is not after
    glyph = before.hb.get_nominal_glyph(ord("a"))
    assert np.array_equal(before.rasterise(glyph, 40)[0], after.rasterise(glyph, 40)[0])


def test_a_vanished_font_is_named(tmp_path):
    book = book_of(written(tmp_path, Latin=LATIN))
    (tmp_path / "Latin.ttf").unlink()
    with pytest.raises(ScriptoriumError, match=r"Latin\.ttf"):
        Face(book.faces[0])
