"""Lines read, mended, judged, and written once each, in memory that does not grow with the files."""

from __future__ import annotations

import codecs
import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import regex
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from synth.text.corpus import clean, undrawable
from synth.text.units import split_units

MAX_LINE: Final = 65_536
"""Characters of a line that are kept together; longer ones are cut, at whitespace where there is some."""

REPLACED: Final = "replacement character, or bytes that are no text"
LONE_MARK: Final = "mark without a letter"
REPEATED: Final = "there already"
SHORT: Final = "too short"
LONG: Final = "too long"
OTHER_SCRIPT: Final = "in another script"

_CHUNK: Final = 1 << 20
_spaces: Final = regex.compile(r"\s+")
# A mark needs something visible before it; # and * (Po) are the bases of keycaps.
_lone: Final = regex.compile(r"(?<![\p{L}\p{M}\p{N}\p{S}\p{Pd}\p{Po}\u200c\u200d\u2060\u034f])[\p{M}\u200d]")
# A ZWNJ keeps a letter from joining the next one: after anything else, as after another ZWNJ, it does nothing.
_idle: Final = regex.compile(r"(?<![\p{L}\p{M}\u200d])\u200c")
_HASHES: Final = 1 << 20
_AT_ONCE: Final = 1 << 21  # hashes compared in memory at a time: 16 MB each way


class _Verdicts(dict[str, str]):
    """Why a line with a character cannot be used, "" where it can; looked up once each."""

    def __missing__(self, character: str) -> str:
        verdict = REPLACED if character == "\ufffd" else undrawable(character) or ""
        self[character] = verdict
        return verdict


_verdict: Final = _Verdicts().__getitem__


def mend(text: str) -> str:
    """NFC without invisible controls; every run of whitespace is one U+0020, and there is none at the ends.

    Spaces of other widths look like a common one, so a label could not tell them apart; nor could it tell whether there
    is a ZWNJ (U+200C) where no letter comes before it, which is taken out.
    """
    text = _spaces.sub(" ", clean(text)).strip()
    return _idle.sub("", text) if "\u200c" in text else text


def has_lone_mark(text: str) -> bool:
    """Whether a mark or joiner stands where there is nothing for it to stand on."""
    return not text.isascii() and _lone.search(text) is not None


def fault(text: str) -> str | None:
    """Why a mended text cannot be drawn as it stands: a reason, or None."""
    if text.isascii() and text.isprintable():
        return None
    for character in set(text):
        if reason := _verdict(character):
            return reason
    return LONE_MARK if _lone.search(text) else None


def units(text: str) -> int:
    """Length in graphemes."""
    return len(text) if text.isascii() else len(split_units(text, "grapheme"))


def find_encoding(name: str) -> str:
    """Python's name of a character encoding.

    Raises:
        ScriptoriumError: there is no such encoding.
    """
    with suppress(LookupError):
        return codecs.lookup(name).name
    raise ScriptoriumError(f"encoding {name!r} is unknown: give a name such as utf-8, utf-16, cp1251 or gb18030")


@contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """A file opened for its bytes.

    Raises:
        ScriptoriumError: it is no readable file.
    """
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ScriptoriumError(f"{path}: cannot be read ({error.strerror}): give a text file") from error


def read_lines(path: Path, encoding: str = "utf-8", progress: bool = False) -> Iterator[str]:
    """The lines of a text file without their ends; bytes that are no text become U+FFFD.

    Lines end at LF or CR LF; those beyond `MAX_LINE` characters are cut.

    Raises:
        ScriptoriumError: the file cannot be read, is binary, or plainly in another encoding.
    """
    from tqdm import tqdm

    encoding = find_encoding(encoding)
    with (
        reading(path) as file,
        tqdm(
            total=os.fstat(file.fileno()).st_size,
            desc=path.name,
            unit="B",
            unit_scale=True,
            disable=None if progress else True,
            delay=2,
        ) as bar,
    ):
        chunk = file.read(_CHUNK)
        _refuse(path, chunk, encoding)
        if encoding == "utf-8":
            encoding = "utf-8-sig"
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        rest = ""
        while chunk:
            bar.update(len(chunk))
            *lines, rest = (rest + decoder.decode(chunk)).split("\n")
            for line in lines:
                yield from _parts(line.removesuffix("\r"))
            if len(rest) > MAX_LINE:
                *parts, rest = _parts(rest)
                yield from parts
            chunk = file.read(_CHUNK)
        rest += decoder.decode(b"", True)
        if rest:
            yield from _parts(rest.removesuffix("\r"))


def _parts(line: str) -> Iterator[str]:
    while len(line) > MAX_LINE:
        part = line[:MAX_LINE]
        end = max(part.rfind(" "), part.rfind("\t")) + 1
        if end < MAX_LINE // 2:
            end = len(part) - len(split_units(part[-64:], "akshara")[-1])
        yield line[:end]
        line = line[end:]
    yield line


def _refuse(path: Path, beginning: bytes, encoding: str) -> None:
    if not beginning:
        raise ScriptoriumError(f"{path}: is empty: give a file with texts")
    if encoding != "utf-8":
        return
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ScriptoriumError(f"{path}: is UTF-16 (byte order mark at byte 0): say --encoding utf-16")
    if b"\0" in beginning:
        at = beginning.index(b"\0")
        raise ScriptoriumError(f"{path}: is no text file (a zero byte at offset {at}): give one, or say its --encoding")
    broken = beginning.decode("utf-8", "replace").count("\ufffd") - beginning.count(b"\xef\xbf\xbd")
    # Of UTF-8 a line here and there may be damaged; of another encoding most letters that are not ASCII are.
    if broken > 10 and broken > sum(byte > 127 for byte in beginning) // 4:
        raise ScriptoriumError(f"{path}: is not UTF-8: say its --encoding, such as cp1252 or gb18030")


def write_distinct(texts: Iterable[str], target: Path, repeats: bool = False) -> tuple[int, int]:
    """Write texts to a file, one a line, in order, each once; the file is there whole or as it was.

    Two texts are the same if 64 bits of their BLAKE2b are. Memory stays under 100 MB however many there are; beside
    the target, disk is taken for the texts and 9 bytes each while this goes on.

    Args:
        texts: without line ends.
        target: the file; missing parent folders are made.
        repeats: write those that were there already, too.

    Returns:
        How many were written, and how many were there already.

    Raises:
        ScriptoriumError: the file cannot be written, or there is no text.
    """
    from tqdm import tqdm

    with _aside(target) as folder:
        draft, notes = folder / "texts", folder / "hashes"
        count = 0
        with draft.open("wb") as out, notes.open("wb") as hashes:
            for text in texts:
                line = text.encode() + b"\n"
                out.write(line)
                hashes.write(hashlib.blake2b(line, digest_size=8).digest())
                count += 1
        if not count:
            raise ScriptoriumError(f"{target}: not written: no text is left")
        again = 0
        if not repeats:
            repeated = _repeated(notes, count, folder / "repeated")
            again = int(np.count_nonzero(repeated))
        if again:
            final = folder / "final"
            with draft.open("rb") as lines, final.open("wb") as out:
                blocks = (repeated[start : start + _HASHES].tolist() for start in range(0, count, _HASHES))
                known = chain.from_iterable(blocks)
                for line, was in zip(
                    tqdm(lines, total=count, desc="writing", disable=None, delay=2), known, strict=True
                ):
                    if not was:
                        out.write(line)
            draft = final
        draft.replace(target)
    return count - again, again


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise IsADirectoryError(21, "is a folder")
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise ScriptoriumError(f"{target}: cannot be written ({error.strerror}): choose another place") from error


def _repeated(notes: Path, count: int, table: Path) -> NDArray[Any]:
    """Which of the hashes in a file occur before."""
    hashes = np.memmap(notes, np.uint64, "r")
    repeated = np.memmap(table, np.bool_, "w+", shape=(count,))
    parts = 1 + count // _AT_ONCE
    for part in range(parts):
        places = []
        for start in range(0, count, _HASHES):
            chunk = np.asarray(hashes[start : start + _HASHES])
            places.append(
                start + (np.flatnonzero(chunk % np.uint64(parts) == part) if parts > 1 else np.arange(len(chunk)))
            )
        place = np.concatenate(places)
        first = np.unique(hashes[place], return_index=True)[1]
        again = np.ones(len(place), np.bool_)
        again[first] = False
        repeated[place[again]] = True
    return repeated


class Drops(Counter[str]):
    """Lines or texts that were dropped, by reason."""

    def text(self) -> str:
        """`3 × too short, 1 × there already`, most frequent first; "none" without any."""
        listed = sorted((item for item in self.items() if item[1]), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{count:,} × {reason}" for reason, count in listed) or "none"
