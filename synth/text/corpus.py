"""Text files as memory-mapped line indexes: any line by number, in constant memory.

A file is read once. What is kept is, per usable line, where it begins and ends in the file, never a copy of the text;
besides, how often every character occurs and some lines that hold it, for balanced sampling. The index lies in a cache
folder under the digest of the file, so that it is made once per content and shared by all processes.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import json
import mmap
import os
import re
import stat
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import unicodedata2
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from synth.cache import cache_dir as default_cache_dir
from synth.cache import write_whole
from synth.text.units import INVISIBLE, split_units, strip_invisible

MAX_LINE: Final = 65_536
"""Bytes of a line that are kept together: longer ones are cut, where there is whitespace or else between aksharas."""
MAX_POSTINGS: Final = 1024
"""Most lines noted per character."""

EMPTY: Final = "empty line"
CONTROL: Final = "control character"
UNASSIGNED: Final = "unassigned code point"
NONCHARACTER: Final = "noncharacter"
_REASONS: Final = (CONTROL, UNASSIGNED, NONCHARACTER, EMPTY)
_USABLE: Final = 255

_CHUNK: Final = 1 << 21
# Short, because the first chunk that holds a character is searched for it in full.
_FIRST_CHUNK: Final = 1 << 17
_CODES: Final = 0x110000
# All occurrences of a character are noted until it has been seen so often; after that, those in a few windows a chunk.
_SCARCE: Final = 2048
_WINDOWS, _WINDOW = 2, 4096
_FEW: Final = 64

_MAGIC: Final = b"scrlines"
_invisible: Final = re.compile("[" + re.escape("".join(sorted(INVISIBLE))) + "]")
_to_last_space: Final = re.compile(r".*\s", re.DOTALL)
_SPACES: Final = [c for c in range(_CODES) if c < 0x3001 and chr(c).isspace()]
# An index depends on the Unicode data by which it was made.
_TAG: Final = hashlib.sha256(
    f"2 {unicodedata2.unidata_version} {sys.byteorder} {sorted(INVISIBLE)}".encode()
).hexdigest()[:8]


def clean(text: str) -> str:
    """`text` without the controls that are never drawn (`INVISIBLE`), NFC."""
    if text.isascii():
        return text
    normal: str = unicodedata2.normalize("NFC", _invisible.sub("", text))
    return normal


def undrawable(character: str) -> str | None:
    """Why a line with this character is dropped (`CONTROL`, `UNASSIGNED`, `NONCHARACTER`), or None.

    Line and paragraph separators count as control characters; private-use characters are kept.
    """
    category = unicodedata2.category(character)
    if category in ("Cc", "Cs", "Zl", "Zp"):
        return CONTROL
    if category != "Cn":
        return None
    code = ord(character)
    return NONCHARACTER if 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE else UNASSIGNED


class _Damaged(Exception):
    """The cached index is not whole."""


class CorpusIndex:
    """The usable lines of one text file, by number.

    Opens its files on first use in each process; pickles as paths. Memory: the pages of the file and of its index that
    the system keeps, which it can drop at any time.

    Attributes:
        path: the text file.
        digest: SHA-256 of the file, hexadecimal.
        dropped: how many lines were dropped, by reason.
    """

    def __init__(self, path: Path, index_path: Path, size: int, mtime_ns: int) -> None:
        self.path = path
        self._index_path, self._size, self._mtime_ns = index_path, size, mtime_ns
        try:
            with index_path.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(0, end - 16))
                length, magic = struct.unpack("<Q8s", file.read(16))
                if magic != _MAGIC or length > end - 16:
                    raise _Damaged
                file.seek(end - 16 - length)
                head: dict[str, Any] = json.loads(file.read(length))
                self._lines, self._kinds, self._noted = int(head["lines"]), int(head["kinds"]), int(head["noted"])
                if end - 16 - length != 16 * self._lines + 24 * self._kinds + 8 * self._noted:
                    raise _Damaged
        except (struct.error, ValueError, KeyError) as error:
            raise _Damaged from error
        self.digest: str = head["digest"]
        self.dropped: dict[str, int] = head["dropped"]
        self._plain: bool = head["plain"]
        self._text: mmap.mmap | None = None
        self._offsets: memoryview = memoryview(b"")
        self._characters: dict[str, int] | None = None
        self._ends: dict[str, tuple[int, int]] = {}
        self._postings: memoryview = memoryview(b"")

    def __reduce__(self) -> tuple[Any, ...]:
        return CorpusIndex, (self.path, self._index_path, self._size, self._mtime_ns)

    def __len__(self) -> int:
        return self._lines

    def __getitem__(self, number: int) -> str:
        """Line `number`, from 0: NFC, without its line end and without controls that are never drawn.

        Raises:
            IndexError: there is no such line.
            ScriptoriumError: the file is gone or has changed since `compile_corpus` saw it (looked at on first use).
        """
        text = self._line(number)
        return text if self._plain else clean(text)

    def spelled(self, number: int) -> str:
        """Line `number` like `index[number]`, but in the file's own spelling instead of NFC."""
        text = self._line(number)
        return text if self._plain else strip_invisible(text)

    def _line(self, number: int) -> str:
        if not 0 <= number < self._lines:
            raise IndexError(number)
        file = self._text or self._open()
        return file[self._offsets[2 * number] : self._offsets[2 * number + 1]].decode()

    @property
    def characters(self) -> dict[str, int]:
        """How often each character occurs in the usable lines, as `index[i]` gives them, by code point."""
        if self._characters is None:
            self._open()
            assert self._characters is not None
        return self._characters

    def postings(self, character: str) -> memoryview:
        """Numbers of lines that hold `character`, ascending, spread over the file: all, or up to `MAX_POSTINGS`."""
        if self._characters is None:
            self._open()
        start, end = self._ends.get(character, (0, 0))
        return self._postings[start:end]

    def _open(self) -> mmap.mmap:
        try:
            with self.path.open("rb") as file:
                now = os.fstat(file.fileno())
                if (now.st_size, now.st_mtime_ns) != (self._size, self._mtime_ns):
                    raise ScriptoriumError(f"{self.path}: changed since it was indexed; start again")
                text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            with self._index_path.open("rb") as file:
                whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except OSError as error:
            raise ScriptoriumError(f"{error.filename}: {error.strerror}; start again") from error
        table_at = 16 * self._lines
        noted_at = table_at + 24 * self._kinds
        self._offsets = whole[:table_at].cast("Q")
        codes, counts, ends = np.frombuffer(whole[table_at:noted_at], np.uint64).reshape(3, -1).tolist()
        names = [chr(code) for code in codes]
        self._ends = dict(zip(names, zip([0, *ends], ends, strict=False), strict=True))
        self._postings = whole[noted_at : noted_at + 8 * self._noted].cast("Q")
        self._characters = dict(zip(names, counts, strict=True))
        # Last, so that what a half-opened index lacks is opened again.
        self._text = text
        return text


def compile_corpus(path: Path | str, cache_dir: Path | None = None) -> CorpusIndex:
    """The line index of a UTF-8 text file, one text per line (LF or CR LF); made now unless the cache holds it.

    A tab ends a line too, so that each field of a table is a text of its own: no font draws tabs. Lines of more than
    `MAX_LINE` bytes are cut.

    Making it takes one pass for the digest and one for the lines. Memory stays under 100 MB whatever the size of the
    file, plus up to 16 KB for each different character; the index takes 16 bytes a line of disk.

    Args:
        path: the file. A byte order mark is passed over.
        cache_dir: where indexes are kept; `synth.cache.cache_dir()` by default.

    Raises:
        ScriptoriumError: the file is missing, a folder, empty, binary, not UTF-8, without a usable line, or changed
            while being read; or the cache cannot be written.
    """
    path = Path(path).absolute()
    folder = (cache_dir or default_cache_dir()) / "corpora"
    with _reading(path):
        seen = path.stat()
    if stat.S_ISDIR(seen.st_mode):
        raise ScriptoriumError(f"{path}: is a folder; give a text file as corpus")
    if not stat.S_ISREG(seen.st_mode):
        raise ScriptoriumError(f"{path}: is not a regular file; give a text file as corpus")
    if not seen.st_size:
        raise ScriptoriumError(f"{path}: is empty; a corpus needs one text per line")

    note = folder / (hashlib.sha256(os.fsencode(path)).hexdigest()[:32] + ".json")
    state = [str(path), seen.st_size, seen.st_mtime_ns]
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, _Damaged):
        known = json.loads(note.read_bytes())
        if known["state"] == state:
            return CorpusIndex(path, folder / f"{known['digest']}.{_TAG}.lines", seen.st_size, seen.st_mtime_ns)

    with _reading(path), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    index_path = folder / f"{digest}.{_TAG}.lines"
    try:
        index = CorpusIndex(path, index_path, seen.st_size, seen.st_mtime_ns)
    except (OSError, _Damaged):
        _write_index(index_path, _Compiler(path, digest))
        index = CorpusIndex(path, index_path, seen.st_size, seen.st_mtime_ns)
    with _reading(path):
        now = path.stat()
    if (now.st_size, now.st_mtime_ns) != (seen.st_size, seen.st_mtime_ns):
        index_path.unlink(missing_ok=True)
        raise ScriptoriumError(f"{path}: changed while it was being indexed; start again when it is complete")
    content = json.dumps({"state": state, "digest": digest}).encode()
    with _keeping(folder):
        write_whole(note, content)
    return index


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ScriptoriumError(f"{path}: {error.strerror}; give a readable text file as corpus") from error


@contextlib.contextmanager
def _keeping(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ScriptoriumError(
            f"{folder}: cannot keep an index there ({error.strerror}); set SCRIPTORIUM_CACHE to another folder"
        ) from error


def _write_index(target: Path, compiler: _Compiler) -> None:
    """Put an index in place whole or not at all; of two processes that do so at once, either's file stays."""
    with _keeping(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=".part", dir=target.parent)
        aside = Path(name)
        try:
            with os.fdopen(handle, "wb") as out:
                compiler.run(out)
                out.flush()
                os.fsync(out.fileno())
            aside.replace(target)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


class _Noted:
    """Lines that hold one character: every `stride`-th one of those given, so that they stay few and evenly spread."""

    __slots__ = ("lines", "seen", "stride")

    def __init__(self) -> None:
        self.lines: NDArray[np.int64] = np.empty(0, np.int64)
        self.seen, self.stride = 0, 1

    def add(self, lines: NDArray[np.int64]) -> None:
        picked = lines[-self.seen % self.stride :: self.stride]
        self.seen += len(lines)
        if len(picked):
            self.lines = np.concatenate([self.lines, picked])
            while len(self.lines) > MAX_POSTINGS:
                self.lines = self.lines[::2].copy()
                self.stride *= 2


class _Compiler:
    """One pass over one file."""

    def __init__(self, path: Path, digest: str) -> None:
        self.path, self.digest = path, digest
        self.lines = 0
        self.dropped: Counter[str] = Counter()
        self.plain = True
        self.counts = np.zeros(_CODES, np.int64)
        self.noted: dict[int, _Noted] = {}
        # Per code point: 0 not looked at yet, _USABLE, or 1 + the number of the reason against it.
        self.verdicts = np.zeros(_CODES, np.uint8)
        self.invisible = np.array(sorted(map(ord, INVISIBLE)))
        self.spaces = np.zeros(_CODES, np.bool_)
        self.spaces[_SPACES] = True

    def run(self, out: IO[bytes]) -> None:
        for start, block in self.blocks():
            self.block(start, block, out)
        drops = {reason: self.dropped[reason] for reason in _REASONS if self.dropped[reason]}
        if not self.lines:
            told = ", ".join(f"{count} × {reason}" for reason, count in drops.items()) or "empty file"
            raise ScriptoriumError(f"{self.path}: no usable line ({told}); a corpus needs one text per line")
        codes = np.flatnonzero(self.counts)
        noted = [self.noted[code].lines for code in codes.tolist()]
        ends = np.cumsum([len(lines) for lines in noted])
        out.write(np.stack([codes, self.counts[codes], ends]).astype(np.uint64).tobytes())
        out.write(np.concatenate(noted).astype(np.uint64).tobytes())
        head = {
            "digest": self.digest,
            "lines": self.lines,
            "kinds": len(codes),
            "noted": int(ends[-1]),
            "plain": self.plain,
            "dropped": drops,
        }
        packed = json.dumps(head).encode()
        out.write(packed + struct.pack("<Q8s", len(packed), _MAGIC))

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Runs of whole lines with their place in the file, LF for tabs; parts of lines too long for a block."""
        from tqdm import tqdm

        with (
            _reading(self.path),
            self.path.open("rb") as file,
            tqdm(
                total=os.fstat(file.fileno()).st_size,
                desc=f"indexing {self.path.name}",
                unit="B",
                unit_scale=True,
                disable=None,
                delay=2,
            ) as bar,
        ):
            chunk = file.read(_FIRST_CHUNK)
            self.refuse_other_encodings(chunk)
            place = 3 if chunk.startswith(codecs.BOM_UTF8) else 0
            rest = b""
            chunk = chunk[place:]
            while chunk:
                bar.update(len(chunk))
                block = rest + chunk.replace(b"\t", b"\n")
                end = block.rfind(b"\n") + 1
                if end:
                    yield place, block[:end]
                # One more byte may be the CR of the line's end.
                while len(block) - end > MAX_LINE + 1:
                    size = self.part(place + end, block[end : end + MAX_LINE])
                    yield place + end, block[end : end + size] + b"\n"
                    end += size
                place, rest = place + end, block[end:]
                chunk = file.read(_CHUNK)
            if rest:
                yield place, rest + b"\n"

    def part(self, place: int, line: bytes) -> int:
        """How many bytes of the beginning of a line that is too long make one of their own."""
        text = line[: self.check(place, line, whole=False)].decode()
        if found := _to_last_space.match(text):
            return len(found[0].encode())
        last = split_units(text, "akshara")[-1]
        return len((text.removesuffix(last) or text).encode())

    def refuse_other_encodings(self, beginning: bytes) -> None:
        for mark, name in (
            (codecs.BOM_UTF32_LE, "UTF-32"),
            (codecs.BOM_UTF32_BE, "UTF-32"),
            (codecs.BOM_UTF16_LE, "UTF-16"),
            (codecs.BOM_UTF16_BE, "UTF-16"),
        ):
            if beginning.startswith(mark):
                raise ScriptoriumError(f"{self.path}: is {name} (byte order mark at byte 0); convert it to UTF-8")

    def check(self, place: int, data: bytes, whole: bool) -> int:
        """Length of the valid UTF-8 at the beginning of `data`: all, or all but an unfinished character."""
        self.refuse_binary(place, data)
        try:
            return codecs.utf_8_decode(data, "strict", whole)[1]
        except UnicodeDecodeError as error:
            at = place + error.start
            raise ScriptoriumError(
                f"{self.path}: not UTF-8: byte 0x{data[error.start]:02x} at byte offset {at}, "
                f"line {self.line_at(at)}; convert the file to UTF-8"
            ) from error

    def refuse_binary(self, place: int, data: bytes) -> None:
        nul = data.find(b"\0")
        if nul >= 0:
            raise ScriptoriumError(
                f"{self.path}: a binary file: NUL at byte offset {place + nul}, line {self.line_at(place + nul)}; "
                "give text in UTF-8"
            )

    def line_at(self, place: int) -> int:
        """The number, from 1, of the line of the file that the byte at `place` lies in."""
        number = 1
        with self.path.open("rb") as file:
            while place > 0:
                chunk = file.read(min(place, _CHUNK))
                if not chunk:
                    break
                number += chunk.count(b"\n")
                place -= len(chunk)
        return number

    def block(self, place: int, block: bytes, out: IO[bytes]) -> None:
        """Take in whole lines, each with its line end."""
        raw = np.frombuffer(block, np.uint8)
        feeds = np.flatnonzero(raw == 10)
        starts = np.concatenate([[0], feeds[:-1] + 1])
        stops = feeds - (raw[feeds - 1] == 13)  # -1 is the block's last byte, never CR
        long = np.flatnonzero(stops - starts > MAX_LINE)
        if len(long):
            done = 0
            for start, stop in zip(starts[long].tolist(), stops[long].tolist(), strict=True):
                if start > done:
                    self.block(place + done, block[done:start], out)
                done = start
                while stop - done > MAX_LINE:
                    size = self.part(place + done, block[done : done + MAX_LINE])
                    self.block(place + done, block[done : done + size] + b"\n", out)
                    done += size
            self.block(place + done, block[done:], out)
            return

        codes, counts = self.characters(place, block)
        newlines, kinds = np.flatnonzero(codes == 10), np.flatnonzero(counts)
        reasons = self.judge(codes, newlines, kinds)
        keep = reasons == 0
        if not keep.all():
            for number, count in enumerate(np.bincount(reasons, minlength=len(_REASONS) + 1).tolist()):
                if number and count:
                    self.dropped[_REASONS[number - 1]] += count
            if not keep.any():
                return
            codes = codes[np.repeat(keep, np.diff(newlines, prepend=-1))]
            newlines = np.flatnonzero(codes == 10)
            counts = _count(codes)
            kinds = np.flatnonzero(counts)
        kinds = kinds[kinds != 10]
        counts[10] = 0
        out.write((np.stack([starts[keep], stops[keep]], axis=1) + place).astype(np.uint64).tobytes())
        self.counts[kinds] += counts[kinds]
        self.note(codes, newlines, kinds)
        self.lines += len(newlines)

    def characters(self, place: int, block: bytes) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The code points of a block as its lines will be given out, LF after each line; how often each occurs."""
        self.refuse_binary(place, block)
        content = block.replace(b"\r\n", b"\n") if b"\r" in block else block
        if content.isascii():
            narrow = np.frombuffer(content, np.uint8)
            return narrow, _count(narrow)
        try:
            text = content.decode()
        except UnicodeDecodeError:
            self.check(place, block, whole=True)
            raise
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        counts = _count(codes)
        cleaned = text
        if counts[self.invisible[self.invisible < len(counts)]].any():
            cleaned = _invisible.sub("", text)
        cleaned = unicodedata2.normalize("NFC", cleaned)
        if cleaned is not text and cleaned != text:
            self.plain = False
            codes = np.frombuffer(cleaned.encode("utf-32-le"), np.uint32)
            counts = _count(codes)
        return codes, counts

    def judge(self, codes: NDArray[Any], newlines: NDArray[np.int64], kinds: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Per line 0, or 1 + the number of the reason why it is dropped."""
        reasons = np.zeros(len(newlines), np.uint8)
        for code in kinds[self.verdicts[kinds] == 0].tolist():
            reason = undrawable(chr(code)) if code != 10 else None
            self.verdicts[code] = _REASONS.index(reason) + 1 if reason else _USABLE
        starts = np.concatenate([[0], newlines[:-1] + 1])
        reasons[starts == newlines] = blank = 1 + _REASONS.index(EMPTY)
        indented = np.flatnonzero(self.spaces[codes[starts]] & (starts < newlines))
        if len(indented):
            inked = np.append(np.flatnonzero(~self.spaces[codes]), len(codes))
            reasons[indented[inked[np.searchsorted(inked, starts[indented])] > newlines[indented]]] = blank
        if (self.verdicts[kinds] != _USABLE).any():
            wrong = np.flatnonzero(self.verdicts[codes] != _USABLE)[::-1]
            # Backwards, so that the first wrong character of a line is the one that names the reason.
            reasons[np.searchsorted(newlines, wrong)] = self.verdicts[codes[wrong]]
        return reasons

    def note(self, codes: NDArray[Any], newlines: NDArray[np.int64], kinds: NDArray[np.int64]) -> None:
        """Note lines per character: all of a scarce one's, those in some windows for the others."""
        scarce = self.counts[kinds] <= _SCARCE
        for number in np.flatnonzero(~scarce).tolist():
            noted = self.noted.get(int(kinds[number]))
            scarce[number] = noted is None or noted.seen < _FEW
        wanted = np.zeros(_CODES, np.bool_)
        wanted[kinds[scarce]] = True
        places = [np.flatnonzero(wanted[codes])] if scarce.any() else []
        wanted[kinds] = ~scarce
        for start in range(0, len(codes), max(_WINDOW, len(codes) // _WINDOWS)):
            places.append(start + np.flatnonzero(wanted[codes[start : start + _WINDOW]]))
        self.note_at(np.concatenate(places), codes, newlines)

    def note_at(self, places: NDArray[np.int64], codes: NDArray[Any], newlines: NDArray[np.int64]) -> None:
        found, lines = codes[places], np.searchsorted(newlines, places) + self.lines
        if len(found) and int(found.max()) < 0x10000:
            found = found.astype(np.uint16)  # which NumPy sorts by radix
        order = np.argsort(found, kind="stable")
        found, lines = found[order], lines[order]
        fresh = np.ones(len(found), np.bool_)
        fresh[1:] = (found[1:] != found[:-1]) | (lines[1:] != lines[:-1])
        found, lines = found[fresh], lines[fresh]
        firsts = np.flatnonzero(np.diff(found.astype(np.int32), prepend=-1))
        for code, first, end in zip(found[firsts].tolist(), firsts.tolist(), [*firsts[1:].tolist(), None], strict=True):
            noted = self.noted.get(code)
            if noted is None:
                noted = self.noted[code] = _Noted()
            noted.add(lines[first:end])


def _count(codes: NDArray[Any]) -> NDArray[np.int64]:
    """Occurrences per code point; in slices, because `bincount` makes a copy of eight bytes a character."""
    counts = np.zeros(max(256, int(codes.max()) + 1 if len(codes) else 0), np.int64)
    for start in range(0, len(codes), 1 << 17):
        some = np.bincount(codes[start : start + (1 << 17)])
        counts[: len(some)] += some
    return counts
