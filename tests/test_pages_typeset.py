"""Lines of pages: how much goes on one, where it ends, and that nothing of the text is lost."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from font_maker import make_font
from hypothesis import given
from hypothesis import strategies as st

from synth.fonts.book import FontBook
from synth.fonts.index import scan
from synth.pages.layout import columns_of, cut, inset
from synth.pages.pipeline import PagePipeline
from synth.pages.typeset import Typesetter, Words
from synth.recipe import Recipe
from synth.text.source import Drawn

pytestmark = pytest.mark.usefixtures("own_cache")

KANA = "いろはにほへとちりぬるをわかよたれそつねならむ"


def saved(path, *args, **kwargs):
    make_font(*args, **kwargs).save(path)
    return path


def typesetter_of(tmp_path, fonts, lines, *overrides, seed=0, capitals=False):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(lines), encoding="utf-8")
    paths = [str(font) for font in fonts]
    recipe = Recipe.load("pages", corpus=[corpus], fonts={"paths": paths}, overrides=overrides)
    setter = Typesetter(recipe, FontBook(scan(fonts).faces, recipe.fonts), None)
    setter.begin(np.random.default_rng(seed), capitals)
    return setter


LATIN = ["a window by the harbour", "Quito jumps over lazy foxes", "extraordinarily long words", "12:45 and 3,50 €"]
ARABIC = ["الكتاب الأول أجمل من الثاني", "أين أقرب صيدلية من هنا"]


@pytest.mark.parametrize("lines", [LATIN, ARABIC])
@pytest.mark.parametrize("width", [60, 200, 640])
def test_lines_are_as_long_as_they_may_be(tmp_path, dejavu, lines, width):
    setter = typesetter_of(tmp_path, dejavu[:1], lines)
    type_ = setter.type()
    for _ in range(12):
        line = setter.filled(type_, 20, width)
        following = setter.words.next()
        setter.words.back([following])
        # Ink may reach a little beyond the advances.
        assert line.width <= width + 4
        longer = setter.line(f"{line.text} {following}", type_, 20)
        assert longer.width > width - 4, line.text


def test_no_word_is_lost_between_lines(tmp_path, dejavu):
    words = [f"w{number}" for number in range(100, 300)]
    setter = typesetter_of(
        tmp_path, dejavu[:1], [" ".join(words)], "corpus.words=[200, 200]", "corpus.length=[1, 1000]"
    )
    type_ = setter.type()
    found = []
    while len(found) < 90:
        found += setter.filled(type_, 18, 333).text.split()
    start = words.index(found[0])
    assert found == words[start : start + len(found)]


def test_justified_lines_fill_the_room(tmp_path, dejavu):
    setter = typesetter_of(tmp_path, dejavu[:1], LATIN)
    type_ = setter.type()
    ragged = [setter.filled(type_, 16, 400).width for _ in range(20)]
    full = [setter.filled(type_, 16, 400, justified=True).width for _ in range(20)]
    assert np.mean(ragged) < 390
    # But for side bearings, and lines whose spaces would be too wide.
    assert sum(abs(width - 400) <= 6 for width in full) >= 18


def test_words_longer_than_the_room_are_cut_at_a_letter(tmp_path, dejavu):
    setter = typesetter_of(
        tmp_path, dejavu[:1], ["Rindfleischetikettierungsüberwachungsaufgaben"], "corpus.words=[1, 1]"
    )
    line = setter.filled(setter.type(), 20, 100)
    assert 60 < line.width <= 104
    assert "Rindfleischetikettierungsüberwachungsaufgaben".startswith(line.text)


def test_short_leaves_out_words_at_the_end(tmp_path, dejavu):
    setter = typesetter_of(tmp_path, dejavu[:1], LATIN)
    type_ = setter.type()
    whole = setter.line("one two three", type_, 20)
    assert setter.short("one two three", type_, 20, whole.width + 8).text == "one two three"
    assert setter.short("one two three", type_, 20, whole.width - 10).text == "one two"
    assert setter.short("one two three", type_, 20, 12) is None


def test_scripts_without_spaces_break_anywhere(tmp_path):
    font = saved(tmp_path / "kana.ttf", KANA)
    setter = typesetter_of(tmp_path, [font], [KANA], "corpus.words=[1, 1]")
    type_ = setter.type()
    assert setter.words.space == ""
    text = "".join(setter.filled(type_, 20, 130).text for _ in range(12))
    assert text in KANA * 12
    column = setter.filled(type_, 20, 130, upright=True)
    assert column.upright
    assert column.height <= 134
    assert column.height > column.width
    # From top to bottom, one below the other.
    assert all(a[3] <= b[3] for a, b in pairwise(column.boxes))


def test_what_a_face_lacks_another_draws_letter_by_letter(tmp_path):
    fonts = [saved(tmp_path / "a.ttf", "abcdef ", family="A"), saved(tmp_path / "b.ttf", "xyz ", family="B")]
    setter = typesetter_of(tmp_path, fonts, ["abc def", "fed cba"])
    type_ = setter.type()
    parts = setter._faces("ab xb", type_)
    assert [(face.info.family, start, stop) for face, start, stop in parts] == [("A", 0, 3), ("B", 3, 4), ("A", 4, 5)]
    assert setter.line("ab xb", type_, 20).text == "ab xb"


def test_patterns_give_way_to_words_where_nothing_draws_them(tmp_path):
    setter = typesetter_of(tmp_path, [saved(tmp_path / "a.ttf", "abcdef")], ["abc def", "fed cba"])
    assert set(setter.pattern(r"\d{3}[.]\d{2}")) <= set("abcdef")


def test_capitals(tmp_path, dejavu):
    setter = typesetter_of(tmp_path, dejavu[:1], LATIN, capitals=True)
    texts = [setter.words.next() for _ in range(60)]
    assert sum(text == text.upper() for text in texts) > 45


def test_a_page_keeps_to_one_file(tmp_path, dejavu):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("aa ab ba\nbb aa", encoding="utf-8")
    two.write_text("cc cd dc\ndd cc", encoding="utf-8")
    paths = [str(font) for font in dejavu]
    recipe = Recipe.load("pages", corpus=[one, two], fonts={"paths": paths}, overrides=["page.mixed=0"])
    setter = Typesetter(recipe, FontBook(scan(dejavu).faces, recipe.fonts), None)
    seen = set()
    for seed in range(20):
        setter.begin(np.random.default_rng(seed))
        letters = set("".join(setter.words.next() for _ in range(30)))
        assert letters in ({"a", "b"}, {"c", "d"})
        seen |= letters
    assert seen == set("abcd")


def test_lines_of_right_to_left_scripts_end_at_the_right(tmp_path, dejavu):
    corpus = tmp_path / "ar.txt"
    corpus.write_text("\n".join(ARABIC), encoding="utf-8")
    sides = []
    for path in (corpus, None):
        if path is None:
            path = tmp_path / "la.txt"
            path.write_text("\n".join(LATIN), encoding="utf-8")
        recipe = Recipe.load(
            "pages", corpus=[path], fonts={"paths": [str(dejavu[0])]}, overrides=["page.side=[700, 700]"]
        )
        sheet = PagePipeline(recipe).pages.make("dense", np.random.default_rng(5))
        boxes = np.array([(label.polygon[:, 0].min(), label.polygon[:, 0].max()) for label in sheet.labels])
        sides.append((np.ptp(np.sort(boxes[:, 0])[: len(boxes) // 2]), np.ptp(np.sort(boxes[:, 1])[len(boxes) // 2 :])))
    assert sides[0][1] < sides[0][0]
    assert sides[1][0] < sides[1][1]


def test_words_can_be_put_back():
    texts = iter(["a b", "c", "d e f"])
    words = Words(lambda: Drawn(text := next(texts), list(text), ""))
    assert [words.next() for _ in range(2)] == ["a", "b"]
    words.back(["a", "b"])
    assert words.phrase(3) == "a b c"
    assert words.phrase(3, most=4) == "d e"
    assert words.next() == "f"


# -- boxes ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 6), st.floats(0, 20), st.booleans())
def test_columns_fill_a_box(count, gutter, rtl):
    found = columns_of((10, 5, 310, 400), count, gutter, rtl)
    ordered = found[::-1] if rtl else found
    assert ordered[0][0] == pytest.approx(10)
    assert ordered[-1][2] == pytest.approx(310)
    for a, b in pairwise(ordered):
        assert b[0] - a[2] == pytest.approx(gutter, abs=1e-6)
        assert b[2] - b[0] == pytest.approx(a[2] - a[0])


@given(st.integers(1, 12), st.floats(0, 150), st.integers(0, 99))
def test_a_box_is_cut_without_a_rest(count, least, seed):
    found = cut((10, 5, 310, 400), count, np.random.default_rng(seed), least)
    assert 1 <= len(found) <= count
    assert found[0][0] == pytest.approx(10)
    assert found[-1][2] == pytest.approx(310)
    assert all(a[2] == b[0] for a, b in pairwise(found))


def test_inset():
    assert inset((0, 0, 100, 50), 0.1, 0.2) == (10, 10, 90, 40)
