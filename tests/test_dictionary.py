"""Dictionaries made from a corpus, compared, joined and checked; references count and match in the plainest way."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import unicodedata2
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.errors import ScriptoriumError
from synth.text import dictionary
from synth.text.charset import Charset
from synth.text.corpus import compile_corpus
from synth.text.dictionary import build, check, diff, merge
from synth.text.units import split_units

Synth = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("own_cache")


def nfc(text: str) -> str:
    return str(unicodedata2.normalize("NFC", text))


def saved(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def matched(entries: set[str], text: str) -> list[str] | None:
    """Longest match from the left, in the plainest way."""
    found = []
    while text:
        heads = [text[:end] for end in range(len(text), 0, -1) if text[:end] in entries]
        if not heads:
            return None
        found.append(heads[0])
        text = text[len(heads[0]) :]
    return found


# Letters, marks, viramas, joiners, nuktas and presentation forms that NFC takes apart, jamo, flags, emoji sequences.
PIECES = st.sampled_from(
    [
        *("a", "e", "é", "e\u0301", "\u0301", "\u0323", " ", "क", "क्", "क्ष", "ष", "ि", "ा", "ं", "क़", "\u0958"),
        *(
            "\u09dc",
            "\u09a1",
            "\u09bc",
            "\u09bf",
            "ಕ",
            "್",
            "ಷ",
            "ಿ",
            "\u0cbe",
            "\u200c",
            "\u200d",
            "က",
            "္",
            "ာ",
            "\u103a",
        ),
        *("\u05e9", "\ufb2c", "\ufb2a", "\u05bc", "\u05c1", "\u0f43", "\u0f77", "\u0f71", "\u0f72", "\u0f40", "\u0f73"),
        *("ᄀ", "ᅡ", "ᆨ", "각", "🇦", "🇧", "🇨", "👩", "\U0001f3fd", "❤", "\ufe0f", "1", "\u20e3", "漢", "\uf900", "豈"),
    ]
)
LINES = st.lists(st.lists(PIECES, min_size=1, max_size=12).map("".join), min_size=1, max_size=8)


@settings(max_examples=250)
@given(
    LINES.filter(lambda lines: any(line.strip() for line in lines)),
    st.sampled_from(["grapheme", "akshara", "codepoint"]),
    st.integers(1, 4),
    st.sampled_from(["nfc", "given"]),
    st.booleans(),
)
def test_longest_match_encodes_every_text(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], unit: Any, least: int, form: Any, space: bool
) -> None:
    path = saved(tmp_path_factory.mktemp("corpus") / "corpus.txt", "\n".join(lines))
    built = build([path], unit, min_count=1 if unit == "codepoint" else least, form=form, space=space)
    texts = [nfc(line) for line in lines if line.strip()]
    known = {nfc(entry) for entry in built.entries} | {" "}
    counts: Counter[str] = Counter()
    for text in texts:
        found = matched(known, text)
        assert found is not None, (built.entries, text)
        counts.update(found)
    assert {nfc(entry): count for entry, count in built.counts.items()} == counts
    assert len(built.entries) == len({nfc(entry) for entry in built.entries})
    assert [entry for entry in built.entries if entry == " "] == [" "] * space
    # written and read again it does the same
    built.write(path.with_name("units.txt"))
    charset = Charset.from_file(path.with_name("units.txt"))
    assert all("".join(charset.split(text)) == text for text in texts)
    if form == "nfc":
        assert all(nfc(entry) == entry for entry in built.entries)
        if least == 1 or unit == "codepoint":
            assert set(built.entries) - {" "} == {one for text in texts for one in split_units(text, unit)} - {" "}


def test_rare_clusters_fall_into_what_is_left_of_them(tmp_path: Path) -> None:
    # कि twice; का, की, क्ष्मि once: ा and ी come from them, क from both, and क्ष्मि is क् + ष + ् + मि in NFC code points
    path = saved(tmp_path / "corpus.txt", "कि कि\nका की\nक्ष्मि\nab ba é\n")
    built = build([path], min_count=2)
    assert set(built.entries) == {"कि", "क", "ा", "ी", "्", "ष", "म", "ि", "a", "b", "é"}
    assert built.decomposed == {"का": 1, "की": 1, "क्ष्मि": 1}
    assert built.counts["क"] == 3 and built.counts["कि"] == 2 and built.counts["्"] == 2
    # é is rare, too, but one code point in NFC
    assert built.kept == ("é",)


def test_longer_entries_serve_for_the_parts_of_rare_ones(tmp_path: Path) -> None:
    # क्षि is cut into क्ष, which is frequent, and ि; so neither क nor ् is needed
    path = saved(tmp_path / "corpus.txt", "क्ष क्ष क्ष\nक्षि\n")
    assert set(build([path], min_count=3).entries) == {"क्ष", "ि"}


def test_aksharas_fall_into_graphemes_first(tmp_path: Path) -> None:
    # ಕ್ಷಿ (one akshara) is the graphemes ಕ್ and ಷಿ
    path = saved(tmp_path / "corpus.txt", "ಕ್ಷಿ ಕ್ಷಿ\nಕ್ ಕ್\nಷಿ\n")
    assert set(build([path], "akshara").entries) == {"ಕ್ಷಿ", "ಕ್", "ಷಿ"}
    # ಷಿ: twice in ಕ್ಷಿ, once by itself
    built = build([path], "akshara", min_count=3)
    assert set(built.entries) == {"ಕ್", "ಷಿ"}
    assert built.counts == {"ಕ್": 4, "ಷಿ": 3, " ": 2}


def test_flags_and_emoji_sequences_stay_whole(tmp_path: Path) -> None:
    path = saved(tmp_path / "corpus.txt", "🇦🇧🇧🇨 👩🏽 1\ufe0f\u20e3\n🇧🇧🇧🇧\n")
    built = build([path], min_count=2)
    assert {"🇦🇧", "🇧🇨", "🇧🇧", "👩🏽", "1\ufe0f\u20e3"} == set(built.entries)
    assert set(built.kept) == set(built.entries) - {"🇧🇧"}


def test_forms(tmp_path: Path) -> None:
    # U+09DC is one code point that NFC takes apart; U+F900 one that it rewrites
    path = saved(tmp_path / "corpus.txt", "\u09dc\u09dc\u09a1\u09bc \uf900\n")
    assert set(build([path]).entries) == {"\u09a1\u09bc", "\u8c48"}
    assert set(build([path], form="given").entries) == {"\u09dc", "\uf900"}
    assert set(build([path], "codepoint", form="given").entries) == {"\u09dc", "\u09a1", "\u09bc", "\uf900"}
    assert set(build([path], "codepoint").entries) == {"\u09a1", "\u09bc", "\u8c48"}


def test_orders(tmp_path: Path) -> None:
    path = saved(tmp_path / "corpus.txt", "b b b c c a\nd d\n")
    assert build([path]).entries == ("a", "b", "c", "d")
    assert build([path], order="frequency").entries == ("b", "c", "d", "a")
    assert build([path], space=True).entries == ("a", "b", "c", "d", " ")


def test_a_least_count_for_code_points_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScriptoriumError, match="code points have no smaller units"):
        build([saved(tmp_path / "corpus.txt", "a\n")], "codepoint", min_count=2)


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    peaks = []
    for times in (500, 20_000):
        path = saved(tmp_path / f"{times}.txt", "ಕನ್ನಡ ಅಕ್ಷರ ಮಾಲೆ\n" * times)
        compile_corpus(path)
        tracemalloc.start()
        build([path], min_count=2)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 200_000


@given(st.permutations(range(7)))
def test_longest_ascending(values: list[int]) -> None:
    found = dictionary._longest_ascending(values)
    assert found == sorted(found)
    assert [value for value in values if value in set(found)] == found
    longest = max(n for n in range(8) for some in combinations(values, n) if list(some) == sorted(some))
    assert len(found) == longest


def test_diff(tmp_path: Path) -> None:
    before = saved(tmp_path / "a.txt", "a\nb\nc\nd\n\u09dc\n")
    after = saved(tmp_path / "b.txt", "b\nc\nx\na\n\u09a1\u09bc\n")
    found = diff(before, after)
    assert (found.added, found.removed, found.moved) == (("x",), ("d",), ("a",))
    assert found.respelled == (("\u09dc", "\u09a1\u09bc"),)
    assert not found.extends
    text = found.text()
    for line in ("- line 4      d U+0064", "+ line 3      x U+0078", "> line 1 → 4  a U+0061"):
        assert line in text.splitlines()
    assert "U+09DC is spelled U+09A1 U+09BC" in text
    assert diff(before, before).text() == "the same 5 entries in the same order\n"
    more = saved(tmp_path / "c.txt", "a\nb\nc\nd\n\u09dc\ne\n")
    assert diff(before, more).extends
    assert not diff(more, before).extends


@given(
    st.lists(st.sampled_from("abcdefg"), unique=True, min_size=1),
    st.lists(st.sampled_from("abcdefg"), unique=True, min_size=1),
)
def test_merge_keeps_the_first_and_appends(
    tmp_path_factory: pytest.TempPathFactory, a: list[str], b: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    paths = [saved(folder / name, "".join(f"{unit}\n" for unit in units)) for name, units in (("a", a), ("b", b))]
    merged = merge(paths)
    assert list(merged.charset.units) == a + [unit for unit in b if unit not in a]
    merged.charset.write(folder / "c")
    assert merge([folder / "c", paths[1]]).charset.units == merged.charset.units
    assert not diff(paths[0], folder / "c").removed and diff(paths[0], folder / "c").extends


def test_merge_matches_in_normal_form(tmp_path: Path) -> None:
    merged = merge([saved(tmp_path / "a", "\u09dc\n \n"), saved(tmp_path / "b", "\u09a1\u09bc\nx\n")])
    assert merged.charset.units == ("\u09dc", " ", "x")
    assert merged.respelled == (("\u09dc", "\u09a1\u09bc"),)
    assert "U+09DC for U+09A1 U+09BC" in merged.text(tmp_path / "c")


def test_check_reports_all_problems_at_once(tmp_path: Path) -> None:
    lines: list[str | bytes] = [
        "a",
        "b",
        "",
        "a",
        "\u09dc",
        "\u09a1\u09bc",
        "x\u200b",
        "\t",
        b"\xff\xfe",
        "\u8c48",
        "\uf900",
        "c",
    ]
    path = saved(tmp_path / "d.txt", b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    checked = check(path)
    # iteration meets undecodable lines as they come
    assert [problem.partition(":")[0] for problem in checked.problems] == [
        f"line {number}" for number in (3, 4, 6, 7, 8, 9, 11)
    ]
    for part, problem in zip(
        ("empty", "already line 1", "line 5", "invisible", "control", "not UTF-8: byte 0xff", "line 10"),
        checked.problems,
        strict=True,
    ):
        assert part in problem
    assert "normal form NFC" in checked.problems[2]
    assert list(checked.lines.items()) == [("a", 1), ("b", 2), ("\u09dc", 5), ("\u8c48", 10), ("c", 12)]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"\t\n"])
def test_check_of_a_file_without_entries(tmp_path: Path, content: bytes) -> None:
    checked = check(saved(tmp_path / "d.txt", content))
    assert checked.charset is None and "no usable entry" in checked.problems[-1]


def test_check_refuses_what_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(ScriptoriumError, match="UTF-16"):
        check(saved(tmp_path / "d.txt", "a\nb\n".encode("utf-16")))
    with pytest.raises(ScriptoriumError, match="cannot be read"):
        check(tmp_path / "none.txt")


def hints(path: Path, *corpora: Path) -> dict[str, tuple[int, str]]:
    return {what: (count, details) for what, count, details in check(path, corpora).hints}


def test_check_hints_at_what_is_odd(tmp_path: Path) -> None:
    units = ["a", "\u0301", "ि", "b ", " ", "the", "क्षि", "\u09dc", "\uf8ff", "\u0378"]
    found = hints(saved(tmp_path / "d.txt", "\n".join(units)))
    assert found == {
        "lone marks, which stand beside a base in every text": (2, "◌\u0301 U+0301, ◌ि U+093F"),
        "with spaces in or around them, matched with these": (1, "b  U+0062 U+0020"),
        "of several letters or clusters": (1, "the U+0074 U+0068 U+0065"),
        "spelled otherwise than in NFC, matched either way": (1, "\u09dc U+09DC"),
        "without a meaning in Unicode": (1, "\u0378 U+0378"),
    }


def test_check_against_a_corpus(tmp_path: Path) -> None:
    path = saved(tmp_path / "d.txt", "क\nक्ष\n्\nष\nz\n")
    corpus = saved(tmp_path / "corpus.txt", "क्ष क क्ष\nक ?!\n?\n")
    found = hints(path, corpus)
    assert found["never reached, as longer entries match first"] == (2, "◌् U+094D, ष U+0937")
    assert found["absent from the lines that can be encoded"] == (1, "z U+007A")
    assert found["of 3 lines of the corpus hold what the dictionary lacks"] == (2, "? U+003F, ! U+0021")
    other = saved(tmp_path / "other.txt", "abc\n")
    checked = check(path, [other])
    assert checked.problems == (
        "no line of the corpus can be encoded: the dictionary lacks a U+0061, b U+0062, c U+0063",
    )


def test_commands(synth: Synth, tmp_path: Path, dejavu: list[Path]) -> None:
    corpus = saved(tmp_path / "corpus.txt", "ab é\nba x\n\nab\tc\n")
    units, more, both = tmp_path / "units.txt", tmp_path / "more.txt", tmp_path / "both.txt"
    done = synth("charset", "build", "--corpus", corpus, "--output", units, "--order", "frequency")
    assert done.code == 0
    assert units.read_text(encoding="utf-8") == "a\nb\nc\nx\né\n"
    assert "5 entries, without the space" in done.out and "1 empty line" in done.out
    saved(more, "b\nq\n")
    assert synth("charset", "diff", units, more).code == 0
    done = synth("charset", "merge", units, more, "--output", both)
    assert done.code == 0 and f"{more}: 2 entries, 1 of them new" in done.out
    assert both.read_text(encoding="utf-8") == "a\nb\nc\nx\né\nq\n"
    page = tmp_path / "page.html"
    done = synth("charset", "check", both, "--corpus", corpus, "--fonts", *dejavu, "--html", page)
    assert done.code == 0, done
    assert "absent from the corpus: q U+0071" in done.out and page.exists()
    saved(both, "a\nb\na\nΑ\n")
    done = synth("charset", "check", both, "--fonts", *dejavu)
    assert done.code == 1 and "line 3: 'a' (U+0061) is already line 1" in done.out
    assert done.err == ""


def test_bad_input_of_commands(synth: Synth, tmp_path: Path) -> None:
    bad = saved(tmp_path / "bad.txt", "a\na\n")
    good = saved(tmp_path / "good.txt", "a\n")
    none = tmp_path / "none.txt"
    assert "is already line 1" in synth("charset", "diff", good, bad).error
    assert "cannot be read" in synth("charset", "merge", good, none, "--output", tmp_path / "out.txt").error
    assert "readable text file" in synth("charset", "build", "--corpus", none, "--output", tmp_path / "out.txt").error
    assert "cannot be written" in synth("charset", "build", "--corpus", good, "--output", none / "out.txt").error
    assert "no usable line" in synth("charset", "build", "--corpus", saved(bad, "\n\n"), "--output", none).error
    assert not none.exists() and not (tmp_path / "out.txt").exists()
