from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import unicodedata2
from hypothesis import given
from hypothesis import strategies as st

from augment.errors import ScriptoriumError
from synth.text.charset import Charset, UnknownUnit
from synth.text.units import INVISIBLE, Unit, split_units


def saved(folder: Path, data: str | bytes) -> Path:
    path = folder / "dict.txt"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ScriptoriumError) as caught:
        Charset.from_file(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def reference(units: set[str], text: str) -> list[str] | None:
    """Longest match in the plainest way."""
    found = []
    while text:
        heads = [text[:end] for end in range(len(text), 0, -1) if text[:end] in units]
        if not heads:
            return None
        found.append(heads[0])
        text = text[len(heads[0]) :]
    return found


PIECES = st.sampled_from(["a", "b", "ab", "ba", "abc", "c", "क", "क्", "क्ष", "ष", "ि", "e", "é", "\u0323", " ", "漢"])


@given(st.sets(PIECES, min_size=1), st.lists(PIECES).map("".join), st.booleans())
def test_split_is_the_longest_match(units: set[str], text: str, space: bool) -> None:
    charset = Charset(sorted(units), space=space)
    expected = reference(units | {" "} if space else units, text)
    if expected is None:
        with pytest.raises(UnknownUnit) as caught:
            charset.split(text)
        missing = caught.value.missing
        assert missing == charset.missing(text)
        assert missing and all(one in text for one in missing)
        assert len(set(missing)) == len(missing)
    else:
        assert charset.split(text) == expected
        assert "".join(charset.split(text)) == text
        assert charset.missing(text) == []


@given(st.lists(st.text(max_size=12), min_size=1), st.sampled_from(["codepoint", "grapheme", "akshara"]))
def test_texts_are_cut_into_the_units_they_were_collected_by(texts: list[str], unit: Unit) -> None:
    drawable = {"Cc", "Cs", "Zl", "Zp"}
    texts = [
        unicodedata2.normalize(
            "NFC", "".join(c for c in text if c not in INVISIBLE and unicodedata2.category(c) not in drawable)
        )
        for text in texts
    ]
    units = {one for text in texts for one in split_units(text, unit)}
    if not units:
        return
    charset = Charset.from_texts(texts, unit, space=False)
    assert set(charset.units) == units
    assert list(charset.units) == sorted(units)
    for text in texts:
        assert charset.split(text) == split_units(text, unit)


def test_from_texts_normalises_and_leaves_controls_out() -> None:
    assert Charset.from_texts(["e\u0301\u200f b", "\ufeffb"], "grapheme", space=False).units == (" ", "b", "é")
    assert Charset.from_texts(["ಕ್ಷಿ"], "akshara").units == ("ಕ್ಷಿ", " ")
    with pytest.raises(ScriptoriumError, match=r"entry 1: '\\t' \(U\+0009\) holds the control character"):
        Charset.from_texts(["a\tb"], "codepoint")
    with pytest.raises(ScriptoriumError, match="empty"):
        Charset.from_texts([""], "codepoint")


@pytest.mark.parametrize("data", ["a\nb\nಕ್ಷ\n", "\ufeffa\nb\nಕ್ಷ", "a\r\nb\r\nಕ್ಷ\r\n\r\n\n"])
def test_line_ends_and_byte_order_mark(tmp_path: Path, data: str) -> None:
    charset = Charset.from_file(saved(tmp_path, data))
    assert charset.units == ("a", "b", "ಕ್ಷ", " ")
    assert len(charset) == 4
    assert "ಕ್ಷ" in charset and "ಕ" not in charset and 1 not in charset


def test_space_unit(tmp_path: Path) -> None:
    path = saved(tmp_path, " \na\n")
    assert Charset.from_file(path).units == (" ", "a")
    assert Charset.from_file(path, space=False).units == (" ", "a")
    without = Charset.from_file(saved(tmp_path, "a\n"), space=False)
    assert without.missing("a a") == [" "]
    assert Charset.from_file(saved(tmp_path, "a\n\u3000\n")).split("a\u3000 ") == ["a", "\u3000", " "]
    # Only the line end is taken off.
    assert Charset.from_file(saved(tmp_path, "a \n"), space=False).units == ("a ",)


def test_units_match_as_spelled_and_in_nfc(tmp_path: Path) -> None:
    charset = Charset.from_file(saved(tmp_path, "\u09dc\n\uf900\ne\u0301\nक\n"))
    assert charset.units == ("\u09dc", "\uf900", "e\u0301", "क", " ")
    assert charset.split("\u09a1\u09bc\u8c48é") == ["\u09a1\u09bc", "\u8c48", "é"]
    assert charset.split("\u09dc\uf900e\u0301") == ["\u09dc", "\uf900", "e\u0301"]
    assert [charset.index[unit] for unit in charset.split("\u09dc\u8c48é ")] == [0, 1, 2, 4]
    assert charset.missing("\u09a1") == ["\u09a1"]


def test_missing_names_graphemes_or_characters() -> None:
    characters = Charset("abc")
    assert characters.missing("a xcāxe\u0301") == ["x", "ā", "e", "\u0301"]
    graphemes = Charset(["क", "क्ष", "a"])
    assert graphemes.missing("कि क्षि बि a बि") == ["ि", "बि"]
    with pytest.raises(UnknownUnit) as caught:
        characters.split("xy")
    assert str(caught.value).startswith("charset: lacks 'x' (U+0078), 'y' (U+0079): ")


def test_unknown_unit_crosses_processes_and_stays_short() -> None:
    error = UnknownUnit([chr(code) for code in range(0x4E00, 0x4F00)], "dict.txt")
    copy = pickle.loads(pickle.dumps(error))
    assert copy.missing == error.missing
    assert str(copy) == str(error)
    assert "and 236 more" in str(error)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("\ufeff", "empty"),
        ("a\n\nb\n", "line 2: empty"),
        ("a\nb\na\n", "line 3: 'a' (U+0061) is already line 1: leave"),
        ("é\nb\ne\u0301\n", "line 3: 'e\u0301' (U+0065 U+0301) is already line 1, spelled 'é' (U+00E9): leave"),
        ("\u8c48\n\uf900\n", "line 2: '\uf900' (U+F900) is already line 1, spelled '\u8c48' (U+8C48)"),
        ("a\n\u200b\n", "line 2: '\\u200b' (U+200B) holds the invisible control '\\u200b' (U+200B)"),
        ("a\n\ufeffb\n", "line 2: '\\ufeffb' (U+FEFF U+0062) holds the invisible control"),
        ("a\nb\tc\n", "line 2: 'b\\tc' (U+0062 U+0009 U+0063) holds the control character '\\t' (U+0009)"),
        ("a\rb\n", "line 1: 'a\\rb'"),
        ("a\n\u2028\n", "line 2: '\\u2028'"),
        (b"ab\nc\xe9d\n", "line 2: not UTF-8 at byte offset 4"),
        (b"\xef\xbb\xbfab\nc\xe9d\n", "line 2: not UTF-8 at byte offset 7"),
        (b"\xff\xfea\x00\n\x00", "line 1: not UTF-8 at byte offset 0"),
        (b"a\n\xed\xa0\x80\n", "line 2: not UTF-8 at byte offset 2"),
        (b"a\x00\n", "line 1: 'a\\x00'"),
    ],
)
def test_unusable_files(tmp_path: Path, data: str | bytes, expected: str) -> None:
    assert expected in refusal(saved(tmp_path, data))


def test_several_broken_lines_are_named_together(tmp_path: Path) -> None:
    message = refusal(saved(tmp_path, "a\n\na\n\u200b\nb\nb\nc\nc\n"))
    assert "line 2: empty" in message
    assert "line 3: 'a'" in message
    assert "line 4: " in message
    assert message.endswith("; and 2 more")


def test_missing_file(tmp_path: Path) -> None:
    assert "cannot be read (No such file or directory)" in refusal(tmp_path / "none.txt")
    assert "cannot be read" in refusal(tmp_path)


@given(st.sets(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cn"]), min_size=1), min_size=1))
def test_written_dictionaries_are_read_back(tmp_path_factory: pytest.TempPathFactory, entries: set[str]) -> None:
    kept = {unicodedata2.normalize("NFC", unit): unit for unit in entries if INVISIBLE.isdisjoint(unit)}
    if not kept:
        return
    charset = Charset(kept.values())
    path = tmp_path_factory.mktemp("dict") / "dict.txt"
    charset.write(path)
    assert Charset.from_file(path).units == charset.units
    assert pickle.loads(pickle.dumps(charset)).units == charset.units


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, "old\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ScriptoriumError, match="cannot be written"):
        Charset("ab").write(path)
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_write_into_nowhere(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("none/dict.txt", "file/dict.txt", "."):
        with pytest.raises(ScriptoriumError, match="cannot be written"):
            Charset("ab").write(tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
