from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import pytest
import regex
import unicodedata2
from hypothesis import given
from hypothesis import strategies as st

from synth.text.units import INVISIBLE, Unit, split_units, strip_invisible

# UPPER BLADE SCISSORS is Extended_Pictographic (rule GB11) in Unicode 15.0, that of the data files, and not in 18.0.
SCISSORS = "\u2701\u200d\u2701"


def unicode_lines(name: str) -> Iterator[str]:
    path = Path(os.environ.get("SCRIPTORIUM_UNICODE_DATA", "/usr/share/unicode")) / name
    if not path.is_file():
        pytest.fail(f"{path} is missing: install Debian's unicode-data, or set SCRIPTORIUM_UNICODE_DATA to its folder")
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            data = line.partition("#")[0].strip()
            if data:
                yield data


def test_grapheme_break_test() -> None:
    cases = 0
    for line in unicode_lines("auxiliary/GraphemeBreakTest.txt"):
        expected = [
            "".join(chr(int(code, 16)) for code in grapheme.split("×")) for grapheme in line.strip("÷ ").split("÷")
        ]
        text = "".join(expected)
        if text == SCISSORS and not regex.match(r"\p{ExtPict}", SCISSORS):
            expected = [SCISSORS[:2], SCISSORS[2:]]
        assert split_units(text, "grapheme") == expected, [unicodedata2.name(character, "") for character in text]
        cases += 1
    assert cases == 602


@pytest.mark.parametrize(
    ("text", "aksharas"),
    [
        ("क्षत्रिय", ["क्ष", "त्रि", "य"]),
        ("क्\u200cष", ["क्\u200c", "ष"]),
        ("क्\u200dष", ["क्\u200dष"]),
        ("क्", ["क्"]),
        ("क् ष", ["क्", " ", "ष"]),
        ("ভর্ৎসনা", ["ভ", "র্ৎ", "স", "না"]),
        ("অ্যাপ", ["অ্যা", "প"]),
        ("ಕನ್ನಡ ಕ್ಷಿ", ["ಕ", "ನ್ನ", "ಡ", " ", "ಕ್ಷಿ"]),
        ("ರಾಷ್ಟ್ರ", ["ರಾ", "ಷ್ಟ್ರ"]),
        ("తెలుగు స్త్రీ", ["తె", "లు", "గు", " ", "స్త్రీ"]),
        ("പ്ലാസ്റ്റിക്", ["പ്ലാ", "സ്റ്റി", "ക്"]),
        ("ൻ്റെ", ["ൻ്റെ"]),
        ("ਪ੍ਰੇਮ", ["ਪ੍ਰੇ", "ਮ"]),
        ("பக்ஷம்", ["ப", "க்ஷ", "ம்"]),
        ("ஸ்ரீ ஶ்ரீ", ["ஸ்ரீ", " ", "ஶ்ரீ"]),
        ("ஸ்ர", ["ஸ்", "ர"]),
        ("க்க", ["க்", "க"]),
        ("ශ්\u200dරී", ["ශ්\u200dරී"]),
        ("ක\u200d්ක", ["ක\u200d්ක"]),
        ("ශ්රී", ["ශ්", "රී"]),
        ("ខ្មែរ ស្ត្រី", ["ខ្មែ", "រ", " ", "ស្ត្រី"]),
        ("អង្ឥ", ["អ", "ង្ឥ"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("အင်္ဂါ", ["အ", "င်္ဂါ"]),
        ("က်က", ["က်", "က"]),
        ("བཀྲ་ཤིས", ["བ", "ཀྲ", "་", "ཤི", "ས"]),
        ("พุทฺธ", ["พุ", "ทฺ", "ธ"]),
        ("ꦏ꧀ꦏꦲ", ["ꦏ꧀ꦏ", "ꦲ"]),
        ("Việt e\u0323\u0301", ["V", "i", "ệ", "t", " ", "e\u0323\u0301"]),
        ("한국", ["한", "국"]),
    ],
)
def test_aksharas(text: str, aksharas: list[str]) -> None:
    assert split_units(text, "akshara") == aksharas


def test_every_conjunct_sign_joins_its_script_and_no_killer_does() -> None:
    categories: dict[str, list[str]] = {}
    for line in unicode_lines("IndicSyllabicCategory.txt"):
        codes, _, name = (field.strip() for field in line.partition(";"))
        first, _, last = codes.partition("..")
        categories.setdefault(name, []).extend(chr(c) for c in range(int(first, 16), int(last or first, 16) + 1))

    def joins(sign: str) -> bool:
        script = unicodedata2.name(sign).split()[0]
        letter = next(c for c in categories["Consonant"] if unicodedata2.name(c).split()[0] == script)
        return len(split_units(letter + sign + letter, "akshara")) == 1

    not_joining = {sign for sign in categories["Virama"] + categories["Invisible_Stacker"] if not joins(sign)}
    assert {unicodedata2.name(sign) for sign in not_joining} == {"TAMIL SIGN VIRAMA", "SINHALA SIGN AL-LAKUNA"}
    # Consonants named after another script than their killer have no letter to try with.
    killers = set(categories["Pure_Killer"]) - {"\u0d3b", "\u0d3c"}
    scripts = {unicodedata2.name(c).split()[0] for c in categories["Consonant"]}
    assert not {sign for sign in killers if unicodedata2.name(sign).split()[0] in scripts and joins(sign)}


LETTERS = st.sampled_from(
    "ab é\u0301\r\n\t漢가각ᄀ्ᆨकषि़्\u200c\u200dকৎ্কಷ್ಿகஷ்ரீසර්កខ្េကဂ်္ါาำฺ🇰🇷👩\U0001f3fd\u0600\u200b\u2066\ufeff"
)


@given(st.text(LETTERS, max_size=20) | st.text(max_size=20), st.sampled_from(["codepoint", "grapheme", "akshara"]))
def test_units_join_to_the_text(text: str, unit: Unit) -> None:
    units = split_units(text, unit)
    assert "".join(units) == text
    assert all(units)


@given(st.text(LETTERS, max_size=20) | st.text(max_size=20))
def test_fast_paths_find_the_same_graphemes(text: str) -> None:
    assert split_units(text, "grapheme") == regex.findall(r"\X", text)


@given(st.text(LETTERS, max_size=20))
def test_aksharas_are_whole_graphemes(text: str) -> None:
    ends = [set(accumulate(map(len, split_units(text, unit)))) for unit in ("akshara", "grapheme", "codepoint")]
    assert ends[0] <= ends[1] <= ends[2]


def test_strip_invisible() -> None:
    assert strip_invisible("co\u00adoperate") == "cooperate"
    assert strip_invisible("a\u200bb\u2067ש\u2069\ufeff") == "abש"
    assert strip_invisible("می\u200cخواهم क्\u200dष") == "می\u200cخواهم क्\u200dष"
    assert strip_invisible("plain") == "plain"
    bidi = {chr(c) for c in range(0x110000) if unicodedata2.bidirectional(chr(c))[:2] in ("LR", "RL", "FS", "PD")}
    assert bidi | {"\u00ad", "\u061c", "\u200e", "\u200f", "\u200b", "\u2060", "\ufeff"} == INVISIBLE
