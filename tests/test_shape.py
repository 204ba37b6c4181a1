from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import fontset
import pytest
from font_maker import make_font
from hypothesis import given
from hypothesis import strategies as st

from synth.fonts.face import Face
from synth.fonts.index import scan
from synth.render.shape import Undrawable, script_runs, shape_line, shape_run
from synth.text import bidi

AR, HE, DEVA, THAI = "\u0633\u0644\u0627\u0645", "\u05e9\u05dc\u05d5\u05dd", "\u0915\u093f", "\u0e01"


@pytest.mark.parametrize("name", [*fontset.LANGUAGES, fontset.MIXED])
def test_runs_are_shaped_as_by_hb_shape(name):
    language = name if name in fontset.LANGUAGES else "und"
    alike = defaultdict(list)
    for line, faces in fontset.covered_lines(name, 1):
        for run in shape_line(line, faces, language=language):
            before, after = line[: run.start], line[run.stop :]
            alike[run.face, run.script, run.rtl, before, after].append((line[run.start : run.stop], run))
    assert alike
    for (face, script, rtl, before, after), runs in alike.items():
        texts = [text for text, _ in runs]
        shaped = fontset.hb_shape(face, texts, script=script, language=language, rtl=rtl, before=before, after=after)
        for (text, run), expected in zip(runs, shaped, strict=True):
            assert fontset.glyphs_of(run) == expected, f"{face.name}: {text}"


@pytest.mark.parametrize("name", fontset.LANGUAGES)
def test_corpora_have_their_script(name):
    scripts = {script for line in fontset.lines(name) for _, _, script in script_runs(line)}
    # the catalogue tells styles of a script apart, which Unicode does not
    styles = {"Aran": "Arab", "Latf": "Latn", "la-Latn": "Latn"}
    code = fontset.LANGUAGES[name]
    expected = {"ja": {"Hira", "Kana", "Hani"}, "zh": {"Hani"}}.get(name, {styles.get(code, code)})
    assert scripts == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12:45", [(0, 5, "Zyyy")]),
        ("a 1", [(0, 3, "Latn")]),
        (f"{AR} abc", [(0, 5, "Arab"), (5, 8, "Latn")]),
        (f"  {THAI}1", [(0, 4, "Thai")]),
        # what closes goes with what opened it, brackets and quotation marks alike
        (f"a ({HE}) b", [(0, 3, "Latn"), (3, 7, "Hebr"), (7, 10, "Latn")]),
        (f"a «{HE}» b", [(0, 3, "Latn"), (3, 7, "Hebr"), (7, 10, "Latn")]),
        (f"({HE}) a", [(0, 7, "Hebr"), (7, 8, "Latn")]),
        (f"a ({HE} [{AR}", [(0, 3, "Latn"), (3, 9, "Hebr"), (9, 13, "Arab")]),
        # combining marks go with their letter
        ("a\u0301\u0436\u0301", [(0, 2, "Latn"), (2, 4, "Cyrl")]),
    ],
)
def test_script_runs(text, expected):
    assert script_runs(text) == expected


@given(st.text(st.sampled_from(f"a1 .()[]«»{AR}{HE}{DEVA}{THAI}\u0301\u4e00"), min_size=1, max_size=20))
def test_script_runs_cover_the_text_and_neighbours_differ(text):
    runs = script_runs(text)
    assert [run[0] for run in runs] == [0, *[run[1] for run in runs[:-1]]]
    assert runs[-1][1] == len(text)
    assert all(a[2] != b[2] for a, b in pairwise(runs))


def test_runs_come_in_visual_order():
    text = f"abc {HE} 12 {HE} def"
    face = fontset.face_for(text)
    runs = shape_line(text, [(face, 0, len(text))])
    drawn = "".join(text[c] for run in runs for c in run.clusters)
    levels, _ = bidi.levels(text)
    order = [i for start, stop, level in bidi.runs(levels) for i in range(start, stop)[:: -1 if level & 1 else 1]]
    assert drawn == "".join(text[i] for i in order) == f"abc {HE[::-1]} 12 {HE[::-1]} def"


def test_scripts_from_right_to_left_follow_each_other_to_the_left():
    text = f"{HE} {AR}"
    face = fontset.face_for(text)
    runs = shape_line(text, [(face, 0, len(text))])
    assert [(run.script, run.start) for run in runs] == [("Arab", 5), ("Hebr", 0)]


def test_digits_in_arabic_read_from_left_to_right():
    text = f"{AR} 123"
    face = fontset.face_for(text)
    runs = shape_line(text, [(face, 0, len(text))])
    assert [(run.rtl, text[run.start : run.stop]) for run in runs] == [(False, "123"), (True, f"{AR} ")]


def test_base_direction_turns_the_line():
    face = fontset.face_for("abc.")
    ltr = shape_line("abc.", [(face, 0, 4)], direction="ltr")
    rtl = shape_line("abc.", [(face, 0, 4)], direction="rtl")
    assert [run.start for run in ltr] == [0]
    assert [run.start for run in rtl] == [3, 0]


def test_faces_divide_a_run():
    first, second = fontset.face_for("abc"), fontset.face_for("\u0e01")
    runs = shape_line("ab\u0e01c", [(first, 0, 2), (second, 2, 3), (first, 3, 4)])
    assert [(run.face, run.start, run.stop) for run in runs] == [(first, 0, 2), (second, 2, 3), (first, 3, 4)]


def test_letters_join_across_faces():
    # the text around a run is context for it: an initial and a final form, not two isolated ones
    text = "\u0628\u0628"
    face = fontset.face_for(text)
    whole = shape_run(face, text, 0, 2, rtl=True, script="Arab")
    parts = [shape_run(face, text, i, i + 1, rtl=True, script="Arab") for i in (1, 0)]
    assert [part.glyphs[0] for part in parts] == [whole.glyphs[whole.clusters.index(c)] for c in (1, 0)]


def test_features_can_be_switched_off(tmp_path):
    from fontTools.feaLib.builder import addOpenTypeFeaturesFromString

    font = make_font({"f": "f", "i": "i", "\ufb01": "f_i"})
    addOpenTypeFeaturesFromString(font, "feature liga { sub f i by f_i; } liga;")
    font.save(tmp_path / "font.ttf")
    face = Face(scan([tmp_path], cache_dir=tmp_path / "cache").faces[0])
    assert len(shape_line("fi", [(face, 0, 2)])[0].glyphs) == 1
    assert len(shape_line("fi", [(face, 0, 2)], features={"liga": False})[0].glyphs) == 2


def test_a_missing_glyph_is_named():
    face = fontset.face_for("abc")
    with pytest.raises(Undrawable) as caught:
        shape_line("ab\U00012000c", [(face, 0, 4)])
    assert caught.value.characters == "\U00012000"


def test_a_dotted_circle_is_refused_unless_it_is_in_the_text():
    face = fontset.face_for(f"{DEVA}\u25cc")
    with pytest.raises(Undrawable):
        shape_line("\u093f", [(face, 0, 1)])
    runs = shape_line("\u25cc\u093f", [(face, 0, 2)])
    assert face.dotted_circle in runs[0].glyphs
    assert shape_line(DEVA, [(face, 0, 2)])[0].clusters == [0, 0]
