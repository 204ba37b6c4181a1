"""Right-to-left lines: labels as a picture shows them, and back."""

from __future__ import annotations

import numpy as np
import pytest
from fontset import face_for
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr.codec import Codec
from ocr.order import as_read, as_seen, runs_left
from synth.render.line import GlyphCache, draw_line
from synth.render.shape import shape_line
from synth.text.charset import Charset
from synth.text.units import split_units

HEBREW, ARABIC, LATIN = "אבגדהוזחט", "بتثجحخدذر", "abcdef"


def seen(text: str) -> str:
    return "".join(unit for _, unit in as_seen(list(text)))


def read(text: str) -> str:
    return "".join(unit for _, unit in as_read(list(text)))


@pytest.mark.parametrize(
    ("text", "picture"),
    [
        ("Latin (12) only.", "Latin (12) only."),
        ("שלום", "םולש"),
        ("שלום.", ".םולש"),
        ("שלום 123", "123 םולש"),
        ("(שלום)", "(םולש)"),
        ("«كتاب»", "«باتك»"),
        ("שלום (abc) 5", "5 (abc) םולש"),
        ("كتاب ١٢٣ من", "نم ١٢٣ باتك"),
        ("١١٦ .", ". ١١٦"),
        # After Arabic letters a digit is an Arabic number, and the percent sign no part of it; after Hebrew ones it is.
        ("كتاب 5%", "%5 باتك"),
        ("שלום 5%", "5% םולש"),
        ("שלום Windows 10", "Windows 10 םולש"),
        ("12/3/1999 שלום", "םולש 12/3/1999"),
    ],
)
def test_known_lines(text: str, picture: str) -> None:
    assert seen(text) == picture
    assert read(picture) == text


def words(letters: str) -> st.SearchStrategy[str]:
    word = st.text(letters, min_size=1, max_size=5)
    latin = st.lists(st.text(LATIN, min_size=1, max_size=4), min_size=1, max_size=2).map(" ".join)
    number = st.sampled_from(["5", "1999", "12/3/1999", "1,200.50", "12:30", "50%", "-5", "$5", "١٢٣"])
    signs = st.sampled_from(["%s.", "%s,", "(%s)", "«%s»", "[%s", "%s!", "%s - %s"])
    marked = st.builds(lambda sign, word: sign.replace("%s", word), signs, word)
    token = st.one_of(word, word, latin, number, marked, latin.map("({})".format))
    return st.lists(token, min_size=1, max_size=6).map(" ".join)


@settings(max_examples=400)
@given(st.one_of(words(HEBREW), words(ARABIC)))
def test_what_is_read_looks_as_what_is_seen(text: str) -> None:
    picture = seen(text)
    back = read(picture)
    assert sorted(back) == sorted(text)
    assert seen(back) == picture
    order = [at for at, _ in as_seen(list(text))]
    assert sorted(order) == list(range(len(text)))


@given(st.text(HEBREW + ARABIC + " .,!?()«»[]<>-", max_size=20))
def test_lines_of_one_direction_come_back(text: str) -> None:
    assert read(seen(text)) == text
    if runs_left(text):
        assert [at for at, _ in as_seen(list(text))] == list(range(len(text)))[::-1]


@pytest.mark.parametrize("text", ["שלום עולם 123, (abc) טוב.", "كتاب جديد 2024 (مهم) ١٢", "سعر Windows 10: 5%"])
def test_the_picture_has_that_order(text: str) -> None:
    """Where the ink of the units stands in a drawn line."""
    units = split_units(text, "codepoint")
    face = face_for(text)
    ink = draw_line(shape_line(text, [(face, 0, len(text))], direction="rtl"), units, 64, GlyphCache())
    centres = (ink.boxes[:, 0] + ink.boxes[:, 2]) / 2
    letters = [at for at, _ in as_seen(units) if not ink.shared[at]]
    assert (np.diff(centres[letters]) > 0).all()


def test_units_of_several_code_points_stay_whole() -> None:
    units = ["שׁ", "לוֹ", "ם"]
    assert [unit for _, unit in as_seen(units)] == units[::-1]
    assert [unit for _, unit in as_read(units[::-1])] == units


def test_codec_turns_labels() -> None:
    codec = Codec(Charset((*HEBREW, *"()12")))
    classes = codec.encode("(אב) 12")
    assert [codec.charset.units[number - 1] for number in classes] == list("12 (בא)")
    assert codec.decode(classes) == "(אב) 12"
    # Without its mirror image a bracket is one of a kind.
    lacking = Codec(Charset((*HEBREW, "(")))
    assert lacking.decode(lacking.encode("(אב")) == "(אב"
