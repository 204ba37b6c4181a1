"""What a class of characters is called: names of folders, numbers, code points, and tables that explain them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import unicodedata2

from augment.errors import ScriptoriumError
from synth.text.units import split_units, strip_invisible

Names = Literal["auto", "character", "hex"]

_DOTTED_CIRCLE: Final = "\u25cc"
_CODE: Final = re.compile(r"(?:[Uu]\+|[Uu]|0[xX]|\\[uU])([0-9A-Fa-f]{4,6})")
_CODES: Final = re.compile(rf"{_CODE.pattern}(?:[ _,+-]*{_CODE.pattern})*")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{4,6}")
_ANY_HEX: Final = re.compile(r"[0-9A-Fa-f]{2,6}")
_SHOWN: Final = 5

_NAME_COLUMNS: Final = ("name", "index", "label", "class", "id", "folder", "number")
_TEXT_COLUMNS: Final = ("character", "char", "text", "glyph", "unicode", "symbol", "letter")
_CODE_COLUMNS: Final = ("codepoint", "code_point", "code point")


def character(name: str, names: Names = "auto") -> str | None:
    """The text that a class name stands for, NFC; None if it stands for none.

    Args:
        name: a character, akshara or grapheme cluster itself (a mark may stand on U+25CC); code points as `U+0995`,
            `u0995`, `0x995`, several of them joined by `_`, `-` or a space; or one in bare hexadecimal.
        names: `auto` takes bare hexadecimal of four to six digits; `hex` of two to six, and nothing else; `character`
            only the text itself.
    """
    name = name.strip()
    if names == "hex":
        return _of_points([name]) if _ANY_HEX.fullmatch(name) else None
    if names == "auto":
        if _CODES.fullmatch(name):
            return _of_points(_CODE.findall(name))
        if _HEX.fullmatch(name):
            return _of_points([name])
    return _text(name)


def _of_points(points: Iterable[str]) -> str | None:
    try:
        return _text("".join(chr(int(point, 16)) for point in points))
    except ValueError:
        return None


def _text(text: str) -> str | None:
    text = unicodedata2.normalize("NFC", strip_invisible(text))
    if len(text) > 1:
        text = text.replace(_DOTTED_CIRCLE, "")
    if not text or any(unicodedata2.category(c) in ("Cc", "Cn", "Co", "Cs", "Zl", "Zp", "Zs") for c in text):
        return None
    return text if len(split_units(text, "akshara")) == 1 else None


def resolve(found: Iterable[str], table: Mapping[str, str] | None, names: Names, where: object) -> dict[str, str]:
    """The text of each class name; those that the table leaves empty are left out.

    Args:
        found: class names.
        table: what they stand for, if it was said.
        names: how they are read where no table says it.
        where: begins error messages.

    Raises:
        ScriptoriumError: a name that is no character, or that the table lacks.
    """
    texts: dict[str, str] = {}
    unknown: list[str] = []
    for name in sorted(set(found)):
        if table is not None:
            if name not in table:
                unknown.append(name)
            elif table[name]:
                texts[name] = table[name]
        elif (text := character(name, names)) is not None:
            texts[name] = text
        else:
            unknown.append(name)
    if unknown:
        shown = ", ".join(unknown[:_SHOWN]) + (f" and {len(unknown) - _SHOWN:,} more" if len(unknown) > _SHOWN else "")
        if table is not None:
            raise ScriptoriumError(f"{where}: the table of labels lacks {shown}; leave a class out by an empty text")
        count = f"{len(unknown):,} class name{'s are' if len(unknown) > 1 else ' is'}"
        raise ScriptoriumError(
            f"{where}: {count} no character: {shown}; give --labels TABLE (name, TAB, character; empty: left out)"
        )
    return texts


def rows(text: str, where: object) -> list[list[str]]:
    """Fields of a table: between tabs if there are any, else between commas (CSV), else between spaces.

    Raises:
        ScriptoriumError: a broken CSV file.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if any("\t" in line for line in lines):
        return [line.split("\t") for line in lines]
    if any("," in line.strip() for line in lines if len(line.strip()) > 1):
        try:
            return [row for row in csv.reader(io.StringIO("\n".join(lines))) if row]
        except csv.Error as error:
            raise ScriptoriumError(f"{where}: no table: {error}") from None
    return [line.split() for line in lines]


def column(head: Sequence[str], wanted: Sequence[str]) -> int | None:
    """The first column whose heading is one of those wanted, in the order in which they are wanted."""
    names = [name.strip().lower() for name in head]
    return next((names.index(name) for name in wanted if name in names), None)


def read_table(path: Path) -> dict[str, str]:
    """A table of labels: class name → text; the text is empty where a class is to be left out.

    JSON (a mapping, or a list by number), or lines: name and character, in any spelling that `character` takes; label
    and decimal code points, as the mappings of EMNIST have it; with a heading that names the columns; or one character
    a line, numbered from 0.

    Raises:
        ScriptoriumError: the file cannot be read, or a line gives no character.
    """
    return parse_table(_read(path), path)


def parse_table(text: str, where: object) -> dict[str, str]:
    """`read_table` of a file's text; `where` begins error messages."""
    if text.lstrip().startswith(("{", "[")) and (values := _json(text)) is not None:
        return {name: _given(value, where, name) for name, value in values.items()}
    table = rows(text, where)
    if not table:
        raise ScriptoriumError(f"{where}: an empty table; give one class a line: name, TAB, character")
    if max(map(len, table)) == 1:
        return {str(number): _given(row[0], where, f"line {number + 1}") for number, row in enumerate(table)}
    name_at, text_at = 0, 1
    at, named = column(table[0], (*_TEXT_COLUMNS, *_CODE_COLUMNS)), column(table[0], _NAME_COLUMNS)
    if at is not None and named is not None:
        name_at, text_at, table = named, at, table[1:]
    # EMNIST: label and decimal code points, of which there is one per line but where both cases share a class.
    numbers = [row[text_at:] for row in table]
    if (
        not name_at
        and text_at == 1
        and all(part.isdecimal() for row in numbers for part in row)
        and any(len(part) > 1 for r in numbers for part in r)
    ):
        shared = [row for row in table if len(row) > 2]
        if shared:
            one = " and ".join(chr(int(part)) for part in shared[0][1:])
            raise ScriptoriumError(
                f"{where}: {len(shared):,} classes hold two characters each, as {one}; lines would have wrong labels: "
                "take a set that tells them apart (EMNIST byclass or balanced), or a table with one of them"
            )
        return {row[0]: _given(chr(int(row[1])), where, row[0]) for row in table}
    return {_field(row, name_at): _given(_field(row, text_at), where, _field(row, name_at)) for row in table}


def _field(row: Sequence[str], at: int) -> str:
    return row[at].strip() if at < len(row) else ""


def _given(value: str, where: object, name: str) -> str:
    if not value:
        return ""
    text = character(value)
    if text is None:
        raise ScriptoriumError(f"{where}: {name}: {value!r} is no single character; write one, or U+0995")
    return text


def _json(text: str) -> dict[str, str] | None:
    try:
        values: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(values, list):
        values = dict(enumerate(values))
    if not isinstance(values, dict) or not all(isinstance(value, str | int) for value in values.values()):
        return None
    return {str(name): str(value) for name, value in values.items()}


def _read(path: Path) -> str:
    try:
        return decoded(path.read_bytes(), path)
    except OSError as error:
        raise ScriptoriumError(f"{path}: cannot be read ({error.strerror})") from None


def decoded(data: bytes, where: object) -> str:
    """Text of a table's file. Raises ScriptoriumError if it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScriptoriumError(f"{where}: not UTF-8 at byte offset {error.start}; save it as UTF-8") from None
