from __future__ import annotations

import pickle
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import regex
import unicodedata2
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.errors import ScriptoriumError
from synth.recipe import Corpus, CorpusFile, TemplatePattern
from synth.text.charset import Charset
from synth.text.source import TextSource
from synth.text.units import split_units

# Written for these tests.
TEXTS = {
    "arabic": "يقرأ الولد كتابًا عن السفن القديمة\nالسوق مفتوح من الصباح إلى المساء، كل يوم\nلا شيء",
    "devanagari": "आज सुबह बारिश हुई, और सड़कें गीली हैं\nज्ञान और क्षमा दोनों कठिन हैं\nहिन्दी में लिखो",
    "thai": "วันนี้อากาศดีมากเราจึงไปเดินเล่นที่สวนใกล้บ้าน\nน้ำใสไหลเย็นเห็นตัวปลา\nเด็กกำลังอ่านหนังสือ",
    "chinese": "今天早上下了一场小雨，街上很安静。\n他把旧书放在窗边的桌子上，然后出门去了。\n茶",
    "vietnamese": "Sáng nay trời mưa nhỏ, đường phố yên tĩnh\nNgười thợ mộc sửa cái ghế cũ\n"
    "gie\u0302\u0301ng nu\u031bo\u031b\u0301c",
    "khmer": "ព្រឹកនេះមានភ្លៀងតិចៗ ផ្លូវស្ងាត់\nក្មេងៗកំពុងអានសៀវភៅ",
    "burmese": "ဒီမနက် မိုးနည်းနည်းရွာတယ်\nကလေးတွေ စာဖတ်နေကြတယ်",
    "tamil": "காலையில் சிறிது மழை பெய்தது\nகுழந்தைகள் புத்தகம் படிக்கிறார்கள்",
    "hangul": "오늘 아침에 비가 조금 왔다\n아이들이 책을 읽고 있다",
    "hebrew": "הבוקר ירד גשם (קל) ברחוב\nהילדים קוראים ספר בן 120 עמודים",
    "emoji": "two \U0001f469\u200d\U0001f680  flags 🇫🇷🇩🇪🇯🇵 and 👍🏽 thumbs\nplain words  with   spaces",
}


def sourced(folder: Path, text: str = "", charset: Charset | None = None, **config: Any) -> TextSource:
    if text:
        path = folder / "corpus.txt"
        path.write_text(text, encoding="utf-8")
        config["files"] = [{"path": path, "weight": 1}]
    return TextSource(Corpus(**config), charset, folder / "cache")


def drawn(source: TextSource, count: int, seed: int = 1) -> list[Any]:
    rng = np.random.Generator(np.random.Philox(seed))
    return [source.draw(rng) for _ in range(count)]


def lines_of(text: str) -> list[str]:
    return [unicodedata2.normalize("NFC", line).replace("\u200b", "") for line in text.split("\n")]


def stands_in(label: str, line: str) -> bool:
    """Whether the label is a part of the line that begins and ends between graphemes."""
    bounds, at = {0}, 0
    for grapheme in regex.findall(r"\X", line):
        at += len(grapheme)
        bounds.add(at)
    return any(
        found.start() in bounds and found.start() + len(label) in bounds
        for found in re.finditer(f"(?={re.escape(label)})", line)
    )


@pytest.mark.parametrize("unit", ["codepoint", "grapheme", "akshara"])
@pytest.mark.parametrize("piece", ["word", "words", "line"])
@pytest.mark.parametrize("script", sorted(TEXTS))
def test_never_a_wrong_label(tmp_path: Path, script: str, piece: str, unit: Any) -> None:
    variants: list[dict[str, Any]] = [{}, {"cut": 0.7, "length": (2, 7)}, {"balance": "uniform", "length": (1, 5)}]
    for number, more in enumerate(variants):
        source = sourced(tmp_path, TEXTS[script], piece=piece, unit=unit, **more)
        least, most = more.get("length", (1, 25))
        lines = lines_of(TEXTS[script])
        for text, units, name in drawn(source, 60, number):
            assert any(stands_in(text, line) for line in lines), text
            assert unicodedata2.normalize("NFC", text) == text
            assert units == split_units(text, unit)
            assert least <= len(units) <= most
            assert name == str(tmp_path / "corpus.txt")
            assert text.strip() == text
            if piece == "word":
                assert not re.search(r"\s", text)
            assert not regex.match(r"\p{M}", text)


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(
        st.sampled_from("ab  \u00a0\u0301é漢क\u094dष\u093cिไำ🇫🇷👩\u200d\u200c\uac00\n"), min_size=1, max_size=80
    ),
    piece=st.sampled_from(["word", "words", "line"]),
    unit=st.sampled_from(["codepoint", "grapheme", "akshara"]),
    cut=st.sampled_from([0.0, 0.8]),
    balance=st.sampled_from(["none", "uniform"]),
    length=st.sampled_from([(1, 2), (1, 25), (3, 4)]),
)
def test_any_text(tmp_path_factory: pytest.TempPathFactory, text: str, unit: Any, **config: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("synth.text.source.MAX_REFUSALS", 200)
        try:
            source = sourced(tmp_path_factory.mktemp("any"), text, unit=unit, **config)
            found = drawn(source, 10)
        except ScriptoriumError as error:
            assert "no usable line" in str(error) or "in a row were refused" in str(error)
            return
    lines = lines_of(text)
    for label, units, _ in found:
        assert any(label in line for line in lines)
        assert "".join(units) == label
        assert units == split_units(label, unit)
        assert config["length"][0] <= len(units) <= config["length"][1]


def test_words_keep_the_whitespace_between_them(tmp_path: Path) -> None:
    source = sourced(tmp_path, "  one \u00a0 two\u3000three  four ", piece="words", words=(2, 3))
    assert {text for text, _, _ in drawn(source, 300)} == {
        "one \u00a0 two",
        "two\u3000three",
        "three  four",
        "one \u00a0 two\u3000three",
        "two\u3000three  four",
    }


def test_lines_lose_the_whitespace_at_their_ends_alone(tmp_path: Path) -> None:
    text = " \u3000one \u00a0 two\u2003 "
    assert drawn(sourced(tmp_path, text, piece="line"), 1)[0][:2] == ("one \u00a0 two", list("one \u00a0 two"))
    joined = drawn(sourced(tmp_path, text, piece="line", join=1.0), 1)[0].text
    assert joined == "one \u00a0 twoone \u00a0 two"
    template = sourced(tmp_path, templates=[{"pattern": " ?a b ?"}], template_share=1)
    assert {text for text, _, _ in drawn(template, 20)} == {"a b"}
    long = sourced(tmp_path, "  a" + " b" * 3000 + "  ", piece="line", length=(1, 100))
    assert all(text == text.strip() for text, _, _ in drawn(long, 60))


@pytest.mark.parametrize("piece", ["word", "words", "line"])
def test_a_tab_is_within_no_piece(tmp_path: Path, piece: str) -> None:
    source = sourced(tmp_path, "img/1.jpg\tone  two\n\tthree", piece=piece, words=(1, 4))
    expected = {"word": ["img/1.jpg", "one", "two", "three"], "line": ["img/1.jpg", "one  two", "three"]}
    expected["words"] = [*expected["word"], "one  two"]
    assert {text for text, _, _ in drawn(source, 200)} == set(expected[piece])


def test_words_shed_and_gain_words(tmp_path: Path) -> None:
    shed = sourced(tmp_path, "aaaa bbbb cccc dddd", piece="words", words=(4, 4), length=(1, 10))
    assert {text for text, _, _ in drawn(shed, 20)} == {"aaaa bbbb"}
    gain = sourced(tmp_path, "aaaa bbbb cccc dddd", piece="words", words=(1, 1), length=(9, 12))
    assert {text for text, _, _ in drawn(gain, 60)} == {"aaaa bbbb", "bbbb cccc", "cccc dddd"}


def test_lengths_and_places_of_cuts(tmp_path: Path) -> None:
    line = "0123456789" * 4
    counts = Counter(len(text) for text, _, _ in drawn(sourced(tmp_path, line, piece="line", length=(3, 6)), 4000))
    assert set(counts) == {3, 4, 5, 6}
    assert max(counts.values()) < 1.25 * min(counts.values())
    firsts = Counter(text[0] for text, _, _ in drawn(sourced(tmp_path, line, piece="line", length=(5, 5)), 4000))
    assert len(firsts) == 10


def test_share_of_cuts_and_joins(tmp_path: Path) -> None:
    word = "abcdefgh"
    cut = drawn(sourced(tmp_path, word, cut=0.3), 3000)
    assert 0.25 < sum(text != word for text, _, _ in cut) / 3000 < 0.35
    joined = drawn(sourced(tmp_path, word, join=0.3), 3000)
    assert {text for text, _, _ in joined} == {word, word * 2}
    assert 0.25 < sum(text != word for text, _, _ in joined) / 3000 < 0.35


def test_join_is_normal_again(tmp_path: Path) -> None:
    # Two conjoining jamo make one syllable.
    for text, units, _ in drawn(sourced(tmp_path, "\u1112\n\u1161", join=1.0), 100):
        assert unicodedata2.normalize("NFC", text) == text
        assert units == split_units(text, "grapheme")
        assert text in {"\u1112\u1112", "\ud558", "\u1161\u1161", "\u1161\u1112"}


def test_case_variants(tmp_path: Path) -> None:
    source = sourced(tmp_path, "«hello World»", piece="line", case={"as_is": 1, "lower": 1, "upper": 1, "title": 1})
    counts = Counter(text for text, _, _ in drawn(source, 2000))
    assert set(counts) == {"«hello World»", "«hello world»", "«HELLO WORLD»", "«Hello World»"}
    assert max(counts.values()) < 1.3 * min(counts.values())


def test_case_keeps_to_script_charset_and_length(tmp_path: Path) -> None:
    upper = {"as_is": 0, "upper": 1}
    assert {text for text, _, _ in drawn(sourced(tmp_path, "नमस्ते\n漢字", case=upper), 30)} == {"नमस्ते", "漢字"}
    assert drawn(sourced(tmp_path, "straße", case=upper), 1)[0].text == "STRASSE"
    assert drawn(sourced(tmp_path, "straße", case=upper, length=(1, 6)), 1)[0].text == "straße"
    lower_only = Charset("abcdefghijklmnopqrstuvwxyz")
    assert drawn(sourced(tmp_path, "hello", lower_only, case=upper), 1)[0].text == "hello"
    assert drawn(sourced(tmp_path, "HELLO", lower_only, case={"as_is": 0, "lower": 1}), 1)[0].text == "hello"


# Those of Greek are of the tests of ICU and of CSS text-transform.
@pytest.mark.parametrize(
    ("case", "language", "text", "expected"),
    [
        ("upper", None, "Πατάτα, Αέρας, Μυστήριο, Ωραίο", "ΠΑΤΑΤΑ, ΑΕΡΑΣ, ΜΥΣΤΗΡΙΟ, ΩΡΑΙΟ"),
        ("upper", None, "Μαΐου, Πόρος, Ρύθμιση", "ΜΑΪΟΥ, ΠΟΡΟΣ, ΡΥΘΜΙΣΗ"),
        ("upper", None, "ΰ, Τηρώ, Μάιος", "Ϋ, ΤΗΡΩ, ΜΑΪΟΣ"),
        ("upper", None, "άυλος, αϋλος, ρωμέικα", "ΑΫΛΟΣ, ΑΫΛΟΣ, ΡΩΜΕΪΚΑ"),
        ("upper", None, "νομικού ή διεθνούς, ήτα", "ΝΟΜΙΚΟΥ Ή ΔΙΕΘΝΟΥΣ, ΗΤΑ"),
        ("upper", None, "Ἀχιλῆος ᾇ ἡ ᾴ ᾱ", "ΑΧΙΛΗΟΣ ΑΙ Η ΑΙ Α"),
        ("upper", None, "τσάι à la café", "ΤΣΑΪ À LA CAFÉ"),
        ("lower", None, "ΟΔΟΣ Άδης", "οδος άδης"),
        ("title", None, "ὀδυσσεύς άδης", "Ὀδυσσεύς Άδης"),
        ("title", None, "ῇ", "ῇ"),
        ("upper", None, "ǰ café", "ǰ café"),
        ("lower", None, "İZMİR", "İZMİR"),
        ("upper", None, "გამარჯობა ok", "გამარჯობა ok"),
        ("title", None, "გამარჯობა ok", "გამარჯობა Ok"),
        ("lower", None, "Ⴀ", "Ⴀ"),
        ("lower", None, "ᏣᎳᎩ OK", "ᏣᎳᎩ OK"),
        ("title", None, "ᏣᎳᎩ OK", "ᏣᎳᎩ OK"),
        ("upper", None, "ꮳꮃꭹ", "ᏣᎳᎩ"),
        ("upper", "tr", "istanbul ılık", "İSTANBUL ILIK"),
        ("lower", "tr-TR", "İSTANBUL ILIK IT", "istanbul ılık ıt"),
        ("title", "az", "istanbul IŞIK (İZMİR)", "İstanbul Işık (İzmir)"),
        ("upper", "az", "Ağdam, Şuşa işi", "AĞDAM, ŞUŞA İŞİ"),
        ("upper", "lt", "žąsis i", "ŽĄSIS I"),
        ("upper", "lt", "rim\u0301tis i\u0307\u0301", "rim\u0301tis i\u0307\u0301"),
        ("lower", "lt", "Ìr", "Ìr"),
        ("upper", None, "हिन्दी straße", "हिन्दी STRASSE"),
    ],
)
def test_case_as_people_write(tmp_path: Path, case: str, language: str | None, text: str, expected: str) -> None:
    source = sourced(tmp_path, text, piece="line", case={"as_is": 0, case: 1}, language=language, length=(1, 60))
    ((label, units, _),) = drawn(source, 1)
    assert label == unicodedata2.normalize("NFC", expected)
    assert units == split_units(label, "grapheme")


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters(categories=["L", "M", "Zs"]), min_size=1, max_size=12), st.sampled_from([None, "tr", "lt"])
)
def test_case_brings_no_loose_marks(text: str, language: str | None) -> None:
    source = TextSource(Corpus(templates=(TemplatePattern(pattern="a"),), template_share=1, language=language))
    text = unicodedata2.normalize("NFC", text)
    for number in range(3):
        variant = source._variant(text, number)
        assert unicodedata2.normalize("NFC", variant) == variant
        marks = Counter(c for c in variant if regex.match(r"\p{M}", c))
        assert marks <= Counter(text) or text == variant


def test_charset_refuses_and_counts(tmp_path: Path) -> None:
    source = sourced(tmp_path, "good\nbäd\nwörse\nbad", Charset("abdego"))
    found = drawn(source, 300)
    assert {text for text, _, _ in found} == {"good", "bad"}
    assert set(source.missing) == {"ä", "ö", "w", "r", "s"}
    assert source.missing["ö"] == source.missing["w"]
    assert source.refusals == {"outside the charset": source.missing["ö"] + source.missing["ä"]}


def test_units_are_those_of_the_charset(tmp_path: Path) -> None:
    source = sourced(tmp_path, "ช้าง", Charset(["ช้", "า", "ง"]))
    assert drawn(source, 1)[0].units == ["ช้", "า", "ง"]


def test_nothing_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.text.source.MAX_REFUSALS", 100)
    source = sourced(tmp_path, "жук\nжар", Charset("abc"))
    with pytest.raises(
        ScriptoriumError, match=r"corpus\.txt: 100 texts .* missing from the charset: 'ж' U\+0436"
    ) as caught:
        drawn(source, 1)
    assert "\n" not in str(caught.value)
    assert source.refusals == {"outside the charset": 100}
    with pytest.raises(ScriptoriumError, match=r"100 × too short.*corpus\.length \[9, 12\]"):
        drawn(sourced(tmp_path, "ab\ncd", length=(9, 12)), 1)
    with pytest.raises(ScriptoriumError, match=r"template \\d\{30\}.*100 × too long"):
        drawn(sourced(tmp_path, templates=[{"pattern": r"\d{30}"}], template_share=1), 1)
    with pytest.raises(ScriptoriumError, match="no character of the charset"):
        sourced(tmp_path, "жук", Charset("abc"), balance="uniform")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, r"corpus\.files: nothing"),
        ({"templates": [{"pattern": "a"}]}, r"corpus\.files: nothing"),
        ({"templates": [{"pattern": "a", "weight": 0}], "template_share": 1}, r"corpus\.templates: all weights"),
        ({"templates": [{"pattern": "a+"}], "template_share": 1}, "position 2"),
        ({"text": "a", "case": {"as_is": 0}}, r"corpus\.case: all weights"),
        ({"text": "a", "length": (0, 0)}, r"corpus\.length"),
    ],
)
def test_unusable_configurations(tmp_path: Path, config: dict[str, Any], told: str) -> None:
    with pytest.raises(ScriptoriumError, match=told):
        sourced(tmp_path, **config)


def test_texts_of_files_alone(tmp_path: Path) -> None:
    templates = [{"pattern": r"\d"}]
    source = sourced(
        tmp_path, "one\ntwo\nthree\nnön", Charset("onetwhr0123456789"), templates=templates, template_share=0.9
    )
    rng = np.random.default_rng(1)
    assert {source.draw(rng, files_only=True).text for _ in range(100)} == {"one", "two", "three"}
    alone = sourced(tmp_path, templates=templates, template_share=1)
    assert alone.draw(rng, files_only=True).source == r"template \d"
    assert alone.any_text(lambda _: False)

    source.refusals.clear()
    source.missing.clear()
    seen: list[list[str]] = [[], []]
    for texts in seen:
        assert not source.any_text(lambda text, texts=texts: texts.append(text))  # type: ignore[misc]
    assert seen[0] == seen[1] and len(seen[0]) == 2000 and set(seen[0]) == {"one", "two", "three"}
    assert source.any_text("two".__eq__)
    assert not source.refusals and not source.missing


def test_weights_of_files_and_templates(tmp_path: Path) -> None:
    files = []
    for name, weight in (("a", 1), ("b", 3), ("c", 0)):
        (tmp_path / name).write_text(name * 4)
        files.append({"path": tmp_path / name, "weight": weight, "piece": "line"})
    plain: dict[str, Any] = {}
    for more in (plain, {"balance": "uniform"}):
        source = sourced(
            tmp_path,
            files=files,
            template_share=0.2,
            templates=[{"pattern": r"\d\d", "weight": 1}, {"pattern": "-", "weight": 1}],
            **more,
        )
        shares = Counter(name for _, _, name in drawn(source, 5000))
        assert set(shares) == {str(tmp_path / "a"), str(tmp_path / "b"), r"template \d\d", "template -"}
        assert 450 < shares["template -"] < 550
        if not more:
            assert 900 < shares[str(tmp_path / "a")] < 1100
        else:  # either file has one character
            assert 1850 < shares[str(tmp_path / "a")] < 2150


def test_balance_brings_rare_characters(tmp_path: Path) -> None:
    # One in 100,000 characters, and one that stands in one line many times.
    lines = ["the quick brown fox"] * 10_000
    lines[7_123] = "quick þorn"
    lines[9_000] = "zzzzzzzzzz zz"
    text = "\n".join(lines)
    kinds = len(set(text) - set(" \n"))
    for piece in ("word", "words", "line"):
        for balance in ("none", "uniform"):
            source = sourced(tmp_path, text, balance=balance, piece=piece, length=(1, 4))
            held = Counter[str]()
            for label, _, _ in drawn(source, 3000):
                held.update(set(label))
            if balance == "none":
                assert held["þ"] <= 3
            else:
                # Aimed at in 1 of `kinds` draws each; the rare ones hardly come otherwise.
                assert 0.75 < held["þ"] / (3000 / kinds) < 1.3, piece
                assert 0.75 < held["z"] / (3000 / kinds) < 1.3, piece
                assert min(held[c] for c in "thequickbrownfox") / (3000 / kinds) > 0.75, piece


def test_balance_by_square_root(tmp_path: Path) -> None:
    source = sourced(tmp_path, "a\n" * 99 + "b\n", balance="sqrt")
    share = sum(text == "b" for text, _, _ in drawn(source, 4000)) / 4000
    assert abs(share - 0.1 / (0.99**0.5 + 0.1)) < 0.015


def test_balance_keeps_to_the_charset(tmp_path: Path) -> None:
    source = sourced(tmp_path, "aab\nccd\neee", Charset("abe"), balance="uniform")
    assert {text for text, _, _ in drawn(source, 200)} == {"aab", "eee"}
    # Both are aimed at, although they never stand in a text that the charset allows.
    impossible = sourced(tmp_path, "aab\nxc\nxd\neee", Charset("abecd"), balance="uniform")
    assert {text for text, _, _ in drawn(impossible, 200)} == {"aab", "eee"}


@pytest.mark.parametrize("balance", ["none", "uniform"])
@pytest.mark.parametrize("piece", ["word", "words", "line"])
@pytest.mark.parametrize("gap", ["", " "])
def test_long_lines(tmp_path: Path, gap: str, piece: str, balance: str) -> None:
    unit = "\U0001f1eb\U0001f1f7क्षे\u0301x" + gap
    line = unit * 1500 + "þ" + unit * 300
    source = sourced(tmp_path, line, piece=piece, balance=balance, length=(2, 9))
    found = drawn(source, 60)
    for text, units, _ in found:
        assert stands_in(text, unicodedata2.normalize("NFC", line)), text
        assert units == split_units(text, "grapheme")
    if balance == "uniform":
        assert sum("þ" in text for text, _, _ in found) >= 3


@pytest.mark.parametrize("unit", ["grapheme", "akshara"])
def test_stretches_begin_and_end_between_units(tmp_path: Path, unit: Any) -> None:
    line = "🇫🇷🇩🇪🇯🇵🇮🇹क्षे\u0301x👩\u200d🚀👩\u200d🚀क्‍षा각" * 300
    bounds, at = {0}, 0
    for part in split_units(line, unit):
        at += len(part)
        bounds.add(at)
    source = sourced(tmp_path, "any", unit=unit, length=(1, 2))
    random = np.random.default_rng(2).random
    for _ in range(100):
        text = source._stretch(line, "", random)
        assert len(text) > 1500
        # The line repeats itself: every place where the stretch fits lies on bounds, or none does.
        start = line.index(text)
        assert start in bounds
        assert start + len(text) in bounds


def test_draws_depend_on_the_generator_alone(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "piece": "words",
        "balance": "sqrt",
        "join": 0.3,
        "cut": 0.3,
        "case": {"as_is": 1, "upper": 1},
        "templates": [{"pattern": r"\d{1,4}"}],
        "template_share": 0.3,
    }
    charset = Charset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    source = sourced(tmp_path, TEXTS["emoji"], charset, **config)
    first = drawn(source, 100, seed=4)
    drawn(source, 50, seed=9)
    assert drawn(source, 100, seed=4) == first
    assert drawn(pickle.loads(pickle.dumps(source)), 100, seed=4) == first


def test_what_it_tells(tmp_path: Path) -> None:
    source = sourced(tmp_path, "ab b\n\n\x07c\n", templates=[{"pattern": "b?[12]"}], template_share=0.5)
    path = str(tmp_path / "corpus.txt")
    assert source.characters() == {"a": 1, "b": 2, " ": 1, "1": 1, "2": 1}
    assert list(source.digests()) == [path]
    assert source.describe() == [{"path": path, "lines": 1, "dropped": {"control character": 1, "empty line": 1}}]


def test_templates_outside_the_charset_are_left_out(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("alpha\nbeta\n", encoding="utf-8")
    config = Corpus(
        files=(CorpusFile(path=words),),
        templates=(TemplatePattern(pattern=r"\d{4}"), TemplatePattern(pattern="[ab]{3}")),
        template_share=0.5,
    )
    source = TextSource(config, Charset(list("abehlpt")), tmp_path)
    rng = np.random.default_rng(0)
    assert source.unused_templates == [r"template \d{4}"]
    assert {source.draw(rng).source for _ in range(50)} == {str(words), "template [ab]{3}"}
    none_left = config.model_copy(update={"templates": config.templates[:1]})
    source = TextSource(none_left, Charset(list("abehlpt")), tmp_path)
    assert {source.draw(rng).source for _ in range(50)} == {str(words)}
    with pytest.raises(ScriptoriumError, match=r"corpus\.templates"):
        TextSource(none_left.model_copy(update={"files": ()}), Charset(list("ab")), tmp_path)
