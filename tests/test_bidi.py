from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import unicodedata2
from hypothesis import given
from hypothesis import strategies as st

from synth.text.bidi import isolated, levels, resolve, runs, visual_order
from synth.text.ucd import BRACKETS, bidi_class

DIRECTIONS: tuple[Literal["ltr", "rtl", "auto"], ...] = ("ltr", "rtl", "auto")

# Bidi_Class of these changed between Unicode 15.0, that of the data files, and 18.0.
CHANGED = {
    "BALINESE VOWEL SIGN RA REPA",
    "BALINESE VOWEL SIGN LA LENGA",
    "BALINESE VOWEL SIGN PEPET",
    "AHOM CONSONANT SIGN MEDIAL RA",
    "MATHEMATICAL BOLD NABLA",
    "MATHEMATICAL ITALIC NABLA",
    "MATHEMATICAL BOLD ITALIC NABLA",
    "MATHEMATICAL SANS-SERIF BOLD NABLA",
    "MATHEMATICAL SANS-SERIF BOLD ITALIC NABLA",
}


def unicode_file(name: str) -> Path:
    path = Path(os.environ.get("SCRIPTORIUM_UNICODE_DATA", "/usr/share/unicode")) / name
    if not path.is_file():
        pytest.fail(f"{path} is missing: install Debian's unicode-data, or set SCRIPTORIUM_UNICODE_DATA to its folder")
    return path


def unicode_lines(name: str) -> Iterator[str]:
    with unicode_file(name).open(encoding="utf-8") as lines:
        for line in lines:
            data = line.partition("#")[0].strip()
            if data:
                yield data


def seen(found: list[int]) -> list[int]:
    kept = [i for i, level in enumerate(found) if level >= 0]
    return [kept[i] for i in visual_order([found[i] for i in kept])]


def test_bidi_test() -> None:
    # Every eighth line: the whole file takes ten seconds and passes too.
    wanted: list[int] = []
    order: list[int] = []
    cases = 0
    for number, line in enumerate(unicode_lines("BidiTest.txt")):
        if line.startswith("@Levels:"):
            wanted = [-1 if level == "x" else int(level) for level in line[8:].split()]
        elif line.startswith("@Reorder:"):
            order = [int(i) for i in line[9:].split()]
        elif number % 8 == 0:
            names, bits = line.split(";")
            classes = names.split()
            for bit, base in ((1, None), (2, 0), (4, 1)):
                if int(bits, 16) & bit:
                    found, _ = resolve(classes, base)
                    assert found == wanted, (line, base)
                    assert seen(found) == order, (line, base)
                    cases += 1
    assert cases > 90_000


def test_bidi_character_test() -> None:
    cases = 0
    for line in unicode_lines("BidiCharacterTest.txt"):
        codes, direction, base, expected, order = line.split(";")
        text = "".join(chr(int(code, 16)) for code in codes.split())
        wanted = [-1 if level == "x" else int(level) for level in expected.split()]
        found, paragraph = levels(text, DIRECTIONS[int(direction)])
        assert paragraph == int(base), line
        assert [level if want >= 0 else -1 for level, want in zip(found, wanted, strict=True)] == wanted, line
        filled = paragraph
        for level, want in zip(found, wanted, strict=True):
            filled = filled if want < 0 else want
            assert level == filled, line
        assert seen([level if want >= 0 else -1 for level, want in zip(found, wanted, strict=True)]) == [
            int(i) for i in order.split()
        ], line
        cases += 1
    assert cases > 90_000


def test_classes_of_all_code_points() -> None:
    long = {"Right_To_Left": "R", "Arabic_Letter": "AL", "European_Terminator": "ET", "Left_To_Right": "L"}
    name = "extracted/DerivedBidiClass.txt"
    wanted = [""] * 0x110000
    for pattern, source in (
        (r"# @missing: (\w+)\.\.(\w+); (\w+)", unicode_file(name).read_text("utf-8").splitlines()),
        (r"(\w+)(?:\.\.(\w+))?\s*; (\w+)", unicode_lines(name)),
    ):
        for line in source:
            if found := re.match(pattern, line):
                first, last = int(found[1], 16), int(found[2] or found[1], 16)
                wanted[first : last + 1] = [long.get(found[3], found[3])] * (last + 1 - first)
    assigned_since = {code for line in unicode_lines("DerivedAge.txt") for code in _range(line)}
    differing = set()
    for code, want in enumerate(wanted):
        character = chr(code)
        if bidi_class(character) != want and (code in assigned_since or not unicodedata2.bidirectional(character)):
            differing.add(unicodedata2.name(character, f"U+{code:04X}"))
    assert differing <= CHANGED


def _range(line: str) -> range:
    first, _, last = line.partition(";")[0].strip().partition("..")
    return range(int(first, 16), int(last or first, 16) + 1)


def test_bracket_table() -> None:
    table = {}
    for line in unicode_lines("BidiBrackets.txt"):
        bracket, pair, kind = (field.strip() for field in line.split(";"))
        table[chr(int(bracket, 16))] = (chr(int(pair, 16)), kind)
    added = {"\u2e62", "\u2e63"}  # by Unicode 18
    assert set(BRACKETS) - set(table) == added
    for bracket, (pair, kind) in table.items():
        assert BRACKETS[bracket] == -BRACKETS[pair]
        assert (BRACKETS[bracket] > 0) == (kind == "o")
    assert BRACKETS["\u2329"] == BRACKETS["\u3008"]
    assert len({abs(number) for number in BRACKETS.values()}) == len(BRACKETS) // 2 - 1


def test_more_brackets_than_the_stack_holds_leave_found_pairs() -> None:
    text = "a(ב)" + "(" * 64 + "ב" + ")" * 64
    found, base = levels(text, "ltr")
    assert base == 0
    assert found[:4] == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("text", "direction", "expected"),
    [
        ("", "auto", ([], 0)),
        ("", "rtl", ([], 1)),
        ("abc", "rtl", ([2, 2, 2], 1)),
        ("שלום", "auto", ([1] * 4, 1)),
        ("שלום", "ltr", ([1] * 4, 0)),
        ("שלום. ", "ltr", ([1, 1, 1, 1, 0, 0], 0)),
        ("سنة 2024", "auto", ([1, 1, 1, 1, 2, 2, 2, 2], 1)),
        ("a ٣٤", "auto", ([0, 0, 2, 2], 0)),
        ("漢字", "rtl", ([2, 2], 1)),
        ("אב\nab", "auto", ([1, 1, 1, 2, 2], 1)),
    ],
)
def test_examples(text: str, direction: Literal["ltr", "rtl", "auto"], expected: tuple[list[int], int]) -> None:
    assert levels(text, direction) == expected


def test_runs_are_in_visual_order() -> None:
    assert runs([]) == []
    assert runs([0, 0, 1, 1, 2, 2, 1, 0]) == [(0, 2, 0), (6, 7, 1), (4, 6, 2), (2, 4, 1), (7, 8, 0)]
    assert visual_order([1, 2, 2, 1]) == [3, 1, 2, 0]


LETTERS = st.sampled_from("a1+.,% \t()[]\u0300אبت٣\u2067\u2066\u2069\u202b\u202e\u202c\u200f\u00ad\n")


@given(st.text(LETTERS, max_size=30), st.sampled_from(DIRECTIONS))
def test_fast_paths_agree_with_the_rules(text: str, direction: Literal["ltr", "rtl", "auto"]) -> None:
    brackets = {i: BRACKETS[character] for i, character in enumerate(text) if character in BRACKETS}
    base = {"auto": None, "ltr": 0, "rtl": 1}[direction]
    slow, paragraph = resolve([bidi_class(character) for character in text], base, brackets)
    found, fast_paragraph = levels(text, direction)
    assert fast_paragraph == paragraph
    assert all(level in (-1, fast) for level, fast in zip(slow, found, strict=True))


@given(st.lists(st.integers(0, 6), max_size=40))
def test_order_reverses_every_stretch_from_the_highest_level_down(found: list[int]) -> None:
    order = list(range(len(found)))
    for level in range(6, 0, -1):  # L2 to the letter, on characters
        if level >= min((one for one in found if one % 2), default=9):
            start = 0
            while start < len(order):
                end = start
                while end < len(order) and found[order[end]] >= level:
                    end += 1
                order[start:end] = reversed(order[start:end])
                start = end + 1
    assert visual_order(found) == order


@pytest.mark.parametrize("units", [["ا", "ب", "ج"], ["א", "1", "ב"], ["٣", "a", "ب"], ["𞤀", "ߐ"]])
def test_isolated_items_of_a_list_keep_their_order(units: list[str]) -> None:
    line = "lacks " + " ".join(map(isolated, units)) + " 12"
    order = visual_order(levels(line, "ltr")[0])
    shown = "".join(line[at] for at in order if line[at] not in "\u2068\u2069")
    assert shown == "lacks " + " ".join(units) + " 12"


@pytest.mark.parametrize("text", ["", "a", "ನ್", "12", "汉", " "])
def test_what_runs_from_left_to_right_needs_no_isolation(text: str) -> None:
    assert isolated(text) == text
