"""Read shards: our own data sets, single shards, and LMDBs of PaddleOCR or the benchmark family."""

from __future__ import annotations

import bisect
import json
import os
from collections.abc import Iterator
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


def open_shard(folder: Path) -> lmdb.Environment:
    """Open one LMDB for reading, without a lock file; not to be carried through a fork or a pickle.

    Raises:
        ScriptoriumError: no LMDB, or a broken one.
    """
    try:
        return lmdb.open(str(folder), readonly=True, lock=False, readahead=False, create=False)
    except lmdb.Error as error:
        raise ScriptoriumError(f"{folder}: cannot be read as LMDB ({error}); name another or make it again") from None


def read_count(transaction: lmdb.Transaction, folder: Path) -> int:
    """The number of samples that an LMDB says it holds. Raises ScriptoriumError without a valid `num-samples`."""
    value = _get(transaction, b"num-samples")
    if value is None or not value.isdigit():
        raise ScriptoriumError(f"{folder}: key num-samples is {value!r}, not a number; name another or make it again")
    return int(value)


def shard_folders(path: Path) -> list[Path]:
    """The LMDB folders at or below `path`, in order of their names.

    Raises:
        ScriptoriumError: there are none.
    """
    if (path / "data.mdb").is_file():
        return [path]
    found = sorted(file.parent for file in path.rglob("data.mdb"))
    if not found:
        raise ScriptoriumError(f"{path}: no LMDB (data.mdb) there or below; name the folder of a data set")
    return found


def read_frame(transaction: lmdb.Transaction, number: int) -> Frame | None:
    """Record `number` (from 1) of an open LMDB; None where image or label is missing."""
    image = _get(transaction, b"image-%09d" % number)
    label = _get(transaction, b"label-%09d" % number)
    if image is None or label is None:
        return None
    meta = _get(transaction, b"meta-%09d" % number)
    return image, label, meta or b"", _get(transaction, b"polygons-%09d" % number) or b""


def read_info(transaction: lmdb.Transaction) -> ShardInfo | None:
    """What the shard says of itself; None for LMDBs of other makers. Raises ValueError when that is broken."""
    value = _get(transaction, b"shard")
    return None if value is None else ShardInfo.load(value)


def _get(transaction: lmdb.Transaction, key: bytes) -> bytes | None:
    value = transaction.get(key)
    return None if value is None else bytes(value)


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
        self._open: dict[int, tuple[lmdb.Environment, lmdb.Transaction]] = {}
        self._process = os.getpid()
        counts = []
        for folder in self._folders:
            with open_shard(folder) as environment, environment.begin() as transaction:
                counts.append(read_count(transaction, folder))
        self._ends = list(accumulate(counts))

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
            ScriptoriumError: the record is missing.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path}: sample {index} of {len(self)}")
        index %= len(self)
        shard = bisect.bisect_right(self._ends, index)
        number = index - (self._ends[shard - 1] if shard else 0) + 1
        frame = read_frame(self._transaction(shard), number)
        if frame is None:
            raise ScriptoriumError(f"{self._folders[shard]}: record {number:09d} is missing; run `synth verify`")
        return frame

    def close(self) -> None:
        """Close the files that this process opened; they open again when needed."""
        self._forget_inherited()
        for opened in self._open.values():
            _close(*opened)
        self._open.clear()

    def _transaction(self, shard: int) -> lmdb.Transaction:
        self._forget_inherited()
        if shard not in self._open:
            if len(self._open) >= _OPEN_SHARDS:
                _close(*self._open.pop(next(iter(self._open))))
            environment = open_shard(self._folders[shard])
            self._open[shard] = environment, environment.begin()
        return self._open[shard][1]

    def _forget_inherited(self) -> None:
        # What a fork left here belongs to the parent: LMDB forbids its use, and closing it.
        if self._process != os.getpid():
            self._process = os.getpid()
            _INHERITED.extend(self._open.values())
            self._open = {}


_INHERITED: list[tuple[lmdb.Environment, lmdb.Transaction]] = []


def _close(environment: lmdb.Environment, transaction: lmdb.Transaction) -> None:
    transaction.abort()
    environment.close()
