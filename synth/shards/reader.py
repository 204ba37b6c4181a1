"""Read shards: our own data sets, single shards, and LMDBs of PaddleOCR or the benchmark family."""

from __future__ import annotations

import bisect
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from synth.shards.manifest import ShardInfo
from synth.shards.record import Frame, unpack_polygons

_OPEN_SHARDS = 64


@dataclass(slots=True)
class _Shared:
    """LMDB refuses to open a file twice in one process: its users share one environment."""

    environment: lmdb.Environment
    users: int = 0


_shared: dict[tuple[int, int], _Shared] = {}
_guard = threading.RLock()  # the garbage collector may close a shard while another is being opened


def _after_fork() -> None:
    # An environment must not be used across a fork; without a lock file, closing the copy does not touch the parent's.
    global _guard
    _guard = threading.RLock()
    for shared in _shared.values():
        shared.environment.close()
    _shared.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _whole(folder: Path, environment: lmdb.Environment, size: int) -> lmdb.Environment:
    """Make sure that the file has all its pages: reading one beyond the end would kill the process (SIGBUS)."""
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if size < needed:
        environment.close()
        raise ScriptoriumError(f"{folder}: data.mdb is cut short, {size:,} bytes of {needed:,}; copy it again")
    return environment


class MissingRecord(ScriptoriumError):
    """An LMDB that is there lacks a record that it says it holds."""


class OpenShard:
    """One LMDB, open for reading without a lock file; for one process, not to be pickled.

    Raises:
        ScriptoriumError: no LMDB, a broken one, or one that was not copied to its end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = os.getpid()
        self._mine: _Shared | None = None
        try:
            status = (folder / "data.mdb").stat()
            self._key = status.st_dev, status.st_ino
            with _guard:
                if self._key not in _shared:
                    environment = lmdb.open(str(folder), readonly=True, lock=False, readahead=False, create=False)
                    _shared[self._key] = _Shared(_whole(folder, environment, status.st_size))
                mine = _shared[self._key]
                mine.users += 1
        except UnicodeEncodeError:
            raise ScriptoriumError(f"{folder}: its name is not UTF-8, which LMDB wants; rename it") from None
        except FileNotFoundError:
            raise ScriptoriumError(f"{folder}: no store and no shard, for it has no data.mdb; name another") from None
        except (OSError, lmdb.Error) as error:
            raise ScriptoriumError(
                f"{folder}: cannot be read as LMDB ({error}); name another or make it anew"
            ) from None
        self._mine = mine
        self._transaction: lmdb.Transaction = mine.environment.begin()

    def __enter__(self) -> OpenShard:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; the last user closes the file."""
        if self._mine is None or self._process != os.getpid():
            return
        self._transaction.abort()
        with _guard:
            self._mine.users -= 1
            if not self._mine.users:
                self._mine.environment.close()
                del _shared[self._key]
        self._mine = None

    __del__ = close

    def get(self, key: bytes) -> bytes | None:
        """The value under a key, or None."""
        value = self._transaction.get(key)
        return None if value is None else bytes(value)

    def __iter__(self) -> Iterator[bytes]:
        """All keys, in order."""
        return map(bytes, self._transaction.cursor().iternext(keys=True, values=False))

    def count(self) -> int:
        """The number of samples that it says it holds. ScriptoriumError without a valid `num-samples`."""
        value = self.get(b"num-samples")
        if value is None or not value.isdigit():
            raise ScriptoriumError(f"{self.folder}: num-samples is {value!r}, no number; name another or make it anew")
        return int(value)

    def frame(self, number: int) -> Frame | None:
        """Record `number` (from 1); None where image or label is missing."""
        image = self.get(b"image-%09d" % number)
        label = self.get(b"label-%09d" % number)
        if image is None or label is None:
            return None
        return image, label, self.get(b"meta-%09d" % number) or b"", self.get(b"polygons-%09d" % number) or b""

    def info(self) -> ShardInfo | None:
        """What the shard says of itself; None for LMDBs of other makers. ValueError when that is broken."""
        value = self.get(b"shard")
        return None if value is None else ShardInfo.load(value)


def shard_folders(path: Path) -> list[Path]:
    """The LMDB folders at or below `path`, in order of their names; those in hidden folders, half made, do not count.

    Raises:
        ScriptoriumError: there are none.
    """
    if (path / "data.mdb").is_file():
        return [path]
    found = sorted(file.parent for file in path.rglob("data.mdb"))
    found = [folder for folder in found if not any(part.startswith(".") for part in folder.relative_to(path).parts)]
    if not found:
        raise ScriptoriumError(f"{path}: no LMDB (data.mdb) there or below; name the folder of a data set")
    return found


class ShardReader:
    """All records below a folder as one sequence of (encoded image, label).

    Environments are opened when they are first needed, in the process that needs them; a reader may be pickled, sent to
    workers, or inherited through a fork at any time.

    Args:
        path: a data set, one shard of it, or any folder with LMDBs in the layout of PaddleOCR's `LMDBDataSet` or of
            deep-text-recognition-benchmark.

    Raises:
        ScriptoriumError: no LMDB there, or a broken one.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._folders = shard_folders(self.path)
        self._open: dict[int, OpenShard] = {}
        self._process = os.getpid()
        counts = []
        for folder in self._folders:
            with OpenShard(folder) as shard:
                counts.append(shard.count())
        self._ends = list(accumulate(counts))

    @property
    def folders(self) -> list[Path]:
        """The LMDBs, in order."""
        return list(self._folders)

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> tuple[bytes, str]:
        image, label, _, _ = self.frame(index)
        return image, label.decode()

    def __iter__(self) -> Iterator[tuple[bytes, str]]:
        return (self[index] for index in range(len(self)))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}}

    def meta(self, index: int) -> dict[str, Any]:
        """What sample `index` was made of; empty where nothing is stored."""
        meta = self.frame(index)[2]
        result: dict[str, Any] = json.loads(meta) if meta else {}
        return result

    def polygons(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.uint32]] | None:
        """Polygons, shared and ends of sample `index` as from `record.unpack_polygons`; None if none are stored."""
        packed = self.frame(index)[3]
        return unpack_polygons(packed) if packed else None

    def frame(self, index: int) -> Frame:
        """What is stored of sample `index` (0-based; negative counts from the end), undecoded.

        Raises:
            IndexError: out of range.
            MissingRecord: it is not there.
            ScriptoriumError: the LMDB cannot be opened (any more).
        """
        shard, number = self._place(index)
        frame = self._shard(shard).frame(number)
        if frame is None:
            raise MissingRecord(f"{self._folders[shard]}: record {number:09d} is missing; run `synth verify`")
        return frame

    def name(self, index: int) -> str:
        """Sample `index` for people: folder of its LMDB and number there. IndexError: out of range."""
        shard, number = self._place(index)
        return f"{self._folders[shard]}: record {number:09d}"

    def _place(self, index: int) -> tuple[int, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path}: sample {index} of {len(self)}")
        index %= len(self)
        shard = bisect.bisect_right(self._ends, index)
        return shard, index - (self._ends[shard - 1] if shard else 0) + 1

    def close(self) -> None:
        """Close the files that this process opened; they open again when needed."""
        self._forget_inherited()
        for shard in self._open.values():
            shard.close()
        self._open.clear()

    def _shard(self, number: int) -> OpenShard:
        self._forget_inherited()
        if number not in self._open:
            if len(self._open) >= _OPEN_SHARDS:
                self._open.pop(next(iter(self._open))).close()
            self._open[number] = OpenShard(self._folders[number])
        return self._open[number]

    def _forget_inherited(self) -> None:
        if self._process != os.getpid():
            self._process = os.getpid()
            self._open = {}
