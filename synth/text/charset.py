"""Dictionaries: the ordered units that a label may consist of."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import regex
import unicodedata2

from augment.errors import ScriptoriumError
from synth.text.units import INVISIBLE, Unit, split_units, strip_invisible

_GRAPHEME: Final = regex.compile(r"\X")
_SHOWN: Final = 20


def named(unit: str) -> str:
    """`'é' (U+00E9)`: an entry as messages spell it."""
    return f"{unit!r} ({' '.join(f'U+{ord(character):04X}' for character in unit)})"


def _listed(items: Sequence[str], shown: int, joint: str) -> str:
    more = f"{joint}and {len(items) - shown} more" if len(items) > shown else ""
    return joint.join(items[:shown]) + more


def nfc(text: str) -> str:
    """`text` in Normalization Form C (UAX #15)."""
    normal: str = unicodedata2.normalize("NFC", text)
    return normal


class UnknownUnit(ScriptoriumError):
    """A text holds what a dictionary lacks.

    Attributes:
        missing: the characters (graphemes, in a dictionary with longer units), each once, in order.
        source: the dictionary's file, or "charset".
    """

    def __init__(self, missing: list[str], source: str) -> None:
        super().__init__(missing, source)
        self.missing = missing
        self.source = source

    def __str__(self) -> str:
        listed = _listed([named(unit) for unit in self.missing], _SHOWN, ", ")
        return f"{self.source}: lacks {listed}: add a line for each, or leave such texts out"


class Charset:
    """An ordered dictionary of units, each of one or more code points.

    A unit matches a text in its own spelling and in NFC: dictionaries may say U+09DC or U+F900, which NFC rewrites, and
    still match NFC texts. Texts are cut by longest match from the left, without going back.

    Attributes:
        units: the units in order, spelled as given.
        index: position in `units` by spelling, NFC spellings included.
        source: the file they came from, or "charset".
    """

    def __init__(self, units: Iterable[str], space: bool = True, source: str = "charset") -> None:
        """Build a dictionary.

        Args:
            units: the entries in order.
            space: add U+0020 as the last unit if it is not among them (PaddleOCR's `use_space_char`). Without it a
                space in a text counts as any other character that the dictionary lacks.
            source: what error messages call it.

        Raises:
            ScriptoriumError: no units, or empty, double, undrawable ones.
        """
        entries = list(units)
        self._fill(entries, space, source, "entry")

    @classmethod
    def from_file(cls, path: str | Path, space: bool = True) -> Charset:
        """Read a dictionary: UTF-8, with or without byte order mark, one unit per line, in PaddleOCR's format.

        Only the line end is taken off: a line of one space is the space unit. Empty lines may stand at the end.

        Raises:
            ScriptoriumError: the file cannot be read, is empty or not UTF-8, or has lines that are no units.
        """
        path = Path(path)
        data = dictionary_bytes(path)
        start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
        try:
            text = data[start:].decode("utf-8")
        except UnicodeDecodeError as error:
            at = start + error.start
            line = data.count(b"\n", 0, at) + 1
            raise ScriptoriumError(f"{path}: line {line}: not UTF-8 at byte offset {at}: save it as UTF-8") from error
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        while lines and not lines[-1]:
            lines.pop()
        charset = cls.__new__(cls)
        charset._fill(lines, space, str(path), "line")
        return charset

    @classmethod
    def from_texts(cls, texts: Iterable[str], unit: Unit, space: bool = True) -> Charset:
        """Collect the units of `texts` (in NFC, without invisible controls), in code point order.

        Raises:
            ScriptoriumError: the texts hold no unit, or control characters such as tabs and line ends.
        """
        found: set[str] = set()
        for text in texts:
            found.update(split_units(nfc(strip_invisible(text)), unit))
        return cls(sorted(found), space)

    def _fill(self, entries: list[str], space: bool, source: str, entry: str) -> None:
        if not entries:
            raise ScriptoriumError(f"{source}: empty: a dictionary has one unit per line")
        self.source = source
        self.index: dict[str, int] = {}
        problems = []
        for position, unit in enumerate(entries):
            problem = unusable(unit)
            first = self.index.setdefault(nfc(unit), position)
            if problem is None and first != position:
                other = entries[first]
                as_nfc = "" if other == unit else f", spelled {named(other)}"
                problem = f"{named(unit)} is already {entry} {first + 1}{as_nfc}: leave one of them"
            if problem is not None:
                problems.append(f"{entry} {position + 1}: {problem}")
        if problems:
            raise ScriptoriumError(f"{source}: {_listed(problems, 3, '; ')}")
        if space and " " not in self.index:
            self.index[" "] = len(entries)
            entries.append(" ")
        self.units = tuple(entries)
        for position, unit in enumerate(self.units):
            self.index[unit] = position

        lengths: dict[str, set[int]] = {}
        for unit in self.index:
            lengths.setdefault(unit[0], set()).add(len(unit))
        # First code point → lengths of the units that it begins, longest first.
        self._lengths = {first: tuple(sorted(found, reverse=True)) for first, found in lengths.items()}
        # Texts of these alone need no matching: each is a unit, and begins no longer one.
        self._alone = frozenset(first for first, found in lengths.items() if found == {1})
        self._single = len(self._alone) == len(self._lengths)

    def __len__(self) -> int:
        return len(self.units)

    def __contains__(self, unit: object) -> bool:
        return unit in self.index

    def split(self, text: str) -> list[str]:
        """Cut `text` into units by longest match; joined they are `text` again.

        Raises:
            UnknownUnit: something in `text` begins no unit; names all such characters.
        """
        if self._alone.issuperset(text):
            return list(text)
        units, missing = self._match(text)
        if missing:
            raise UnknownUnit(missing, self.source)
        return units

    def missing(self, text: str) -> list[str]:
        """What `split` would refuse in `text`, each once, in order.

        Characters; where the dictionary has longer units, the (rest of a) grapheme from where no unit matches.
        """
        if self._alone.issuperset(text):
            return []
        return self._match(text)[1]

    def _match(self, text: str) -> tuple[list[str], list[str]]:
        index, lengths = self.index, self._lengths
        units: list[str] = []
        missing: dict[str, None] = {}
        at = 0
        while at < len(text):
            for length in lengths.get(text[at], ()):
                unit = text[at : at + length]
                if unit in index:
                    units.append(unit)
                    break
            else:
                unit = text[at] if self._single else next(_GRAPHEME.finditer(text, at))[0]
                missing[unit] = None
            at += len(unit)
        return units, list(missing)

    def write(self, path: str | Path) -> None:
        """Write all units, the added space included, one per line: `from_file` reads the same dictionary back.

        The file is replaced in one step, so that it is there whole or as it was.

        Raises:
            ScriptoriumError: it cannot be written.
        """
        path = Path(path)
        aside = path.parent / f".{path.name}.{os.getpid()}"
        try:
            with aside.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(unit + "\n" for unit in self.units)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except OSError as error:
            raise ScriptoriumError(f"{path}: cannot be written ({error.strerror}): choose another place") from error
        finally:
            with suppress(OSError):  # nothing is left aside where the first step failed, or the last went well
                aside.unlink()


def dictionary_bytes(path: Path) -> bytes:
    """The content of a dictionary file. Raises ScriptoriumError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ScriptoriumError(f"{path}: cannot be read ({error.strerror}): give a dictionary file") from error


def unusable(unit: str) -> str | None:
    """Why `unit` cannot be an entry, with the remedy."""
    if not unit:
        return "empty: take the line out, or put one space there for the space unit"
    for character in unit:
        if character in INVISIBLE:
            return f"{named(unit)} holds the invisible control {named(character)}: take it out"
        if unicodedata2.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            return f"{named(unit)} holds the control character {named(character)}: take it out"
    return None
