"""What a corpus holds, and what looks wrong in it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.corpora import survey as module
from synth.corpora.page import write_page
from synth.corpora.survey import HIDDEN, MIXED, NOT_NFC, PRIVATE, SPACES, Grams, survey, survey_text, visible
from synth.corpora.texts import LONE_MARK, OTHER_SCRIPT, REPLACED

RUSSIAN = ["Это обычная строка", "и ещё одна такая", "третья строка", "четвёртая, последняя"]


def surveyed(folder: Path, lines: list[str]) -> module.Survey:
    (folder / "a.txt").write_text("\n".join([*RUSSIAN, *lines]) + "\n", encoding="utf-8", newline="")
    return survey([folder / "a.txt"])


def test_nothing_wrong(tmp_path):
    found = surveyed(tmp_path, ["дата 12.05.2024 (№ 3)", "поле\tдругое", ""])
    assert not found.findings
    assert (found.lines, found.empty, found.script) == (6, 1, "Cyrl")
    assert "suspicious nothing" in survey_text(found)


@pytest.mark.parametrize(
    ("line", "kind", "detail"),
    [
        ("это cтрока", MIXED, "cтрока: c (U+0063, Latin) among Cyrillic"),
        ("это HЕT слово", MIXED, "HЕT: Е (U+0415, Cyrillic) among Latin"),
        ("слоνо", MIXED, "слоνо: ν (U+03BD, Greek) among Cyrillic"),
        ("only English words", OTHER_SCRIPT, "Latin"),
        ("кафе и\u0306", NOT_NFC, "U+0438 U+0306"),
        ("зво\x07н", "control character", "U+0007"),
        ("две\u2028строки", "control character", "U+2028"),
        ("мяг\u00adкий", HIDDEN, "U+00AD"),
        ("право\u200f", HIDDEN, "U+200F"),
        ("значок \ue123", PRIVATE, "U+E123"),
        ("нет такого \U000e0fff", "unassigned code point", "U+E0FFF"),
        ("совсем \ufdd0", "noncharacter", "U+FDD0"),
        ("утра\ufffdено", REPLACED, "U+FFFD"),
        ("\u0301ударение", LONE_MARK, ""),
        ("два  пробела", SPACES, ""),
        (" в начале", SPACES, ""),
        ("не\u00a0разрывный", SPACES, ""),
    ],
)
def test_suspicious_lines(tmp_path, line, kind, detail):
    found = surveyed(tmp_path, [line])
    assert set(found.findings) == {kind}
    finding = found.findings[kind]
    assert finding.count == 1
    assert finding.examples[0][1:] == (5, line, detail)
    told = survey_text(found)
    assert f"1 line: {kind}" in told and "a.txt:5:" in told and told.isprintable() is False
    assert not set("\x07\u200f\u2028\u00ad\ue123") & set(told)


@pytest.mark.parametrize(
    "word", ["日本語のカタカナ", "한국어漢字", "don't", "ʻokina", "naïve", "ـــعربيـ", "कर्म", "x2y", "м²"]
)
def test_scripts_that_go_together_are_not_mixed(tmp_path, word):
    (tmp_path / "a.txt").write_text(word + "\n", encoding="utf-8")
    assert MIXED not in survey([tmp_path / "a.txt"]).findings


def test_counts(tmp_path):
    (tmp_path / "a.txt").write_text("किताब\nकि\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("é\ne\u0301\nबकि", encoding="utf-8")
    found = survey([tmp_path / "a.txt", tmp_path / "b.txt"])
    assert found.characters == Counter("किताबकिée\u0301बकि")
    assert found.units.counts == Counter(["कि", "ता", "ब", "कि", "é", "e\u0301", "ब", "कि"])
    assert found.pairs.counts == Counter(["किता", "ताब", "बकि"])
    assert found.triples.counts == Counter(["किताब"])
    assert found.lengths == {3: 1, 1: 3, 2: 1}
    assert found.forms == {"NFC and NFD": 3, "NFC": 1, "NFD": 1}
    assert found.scripts == {"Deva": 10, "Latn": 2}
    assert found.line_scripts == {"Deva": 3, "Latn": 2}


def test_many_examples_are_counted_and_few_kept(tmp_path):
    found = surveyed(tmp_path, ["cлово"] * 9)
    assert found.findings[MIXED].count == 9 and len(found.findings[MIXED].examples) == 5


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=1), max_size=300))
def test_frequent_grams_are_kept(grams):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_GRAMS", 4)
        counted = Grams()
        for gram in grams:
            counted.update([gram])
    true = Counter(grams)
    assert len(counted.counts) <= 4
    assert all(count <= true[gram] for gram, count in counted.counts.items())


def test_what_cannot_be_shown_is_named():
    assert visible("a\x07\u200fb\ue000") == "a<0007><200F>b<E000>"
    assert visible("x" * 100) == "x" * 60 + "…"


def test_page(tmp_path, own_cache):
    found = surveyed(tmp_path, ["это cтрока", "<script>alert(1)</script> строка"])
    write_page(found, tmp_path / "out" / "a.html")
    page = (tmp_path / "out" / "a.html").read_text("utf-8")
    assert "cтрока: c (U+0063, Latin) among Cyrillic" in page
    assert "<script>alert" not in page and "cyrillic small letter te" in page


def test_a_corpus_without_lines(tmp_path):
    (tmp_path / "a.txt").write_text("\n \n")
    found = survey([tmp_path / "a.txt"])
    assert found.lines == 0 and "no letters" in survey_text(found)
    write_page(found, tmp_path / "a.html")
