from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocr.codec import Codec
from synth.text.charset import Charset, UnknownUnit

# Units of several code points, one the beginning of another; U+09DC, which NFC decomposes.
UNITS = ("a", "b", "ab", "ಕ", "ಕ್ಷಿ", "ก", "กำ", "\u09dc", " ")
CODEC = Codec(Charset(UNITS))


@given(st.lists(st.sampled_from(UNITS)).map("".join))
def test_any_text_over_the_dictionary_comes_back(text: str) -> None:
    classes = CODEC.encode(text)
    assert CODEC.decode(classes) == text
    assert all(0 < number < CODEC.classes for number in classes)


def test_the_longest_unit_matches() -> None:
    assert CODEC.encode("abaಕ್ಷಿ").tolist() == [3, 1, 5]
    assert CODEC.decode(CODEC.encode("\u09a1\u09bc")) == "\u09dc"


def test_what_the_dictionary_lacks_is_named() -> None:
    with pytest.raises(UnknownUnit, match=r"'z' \(U\+007A\)"):
        CODEC.encode("az")
    with pytest.raises(ValueError, match="class 0 is no unit"):
        CODEC.decode([0])


def test_extending_keeps_the_rows_of_units_that_stay() -> None:
    larger = CODEC.extend(["c", "a", "\u09a1\u09bc", "c"])
    assert larger.charset.units == (*UNITS, "c")
    assert larger.row_map(UNITS).tolist() == [*range(len(UNITS) + 1), -1]
    other = Codec(Charset(("b", "\u09a1\u09bc", "x"), space=False))
    assert other.row_map(UNITS).tolist() == [0, 2, 8, -1]


@pytest.mark.parametrize(("label", "steps"), [([], 0), ([1], 1), ([1, 1], 3), ([1, 2, 2, 2, 1], 7)])
def test_least_time_steps(label: list[int], steps: int) -> None:
    assert Codec.needed_steps(label) == steps
