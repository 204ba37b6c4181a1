"""What a record is, its packed polygons, and how a block of records travels as one run of bytes."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError

NO_FONT = "no font"
"""The reason for refusing a text that no font covers; the detail holds the characters concerned."""

NO_CLASS = "no handwriting has a character"
"""The same where sets of single characters lack it."""

Frame = tuple[bytes, bytes, bytes, bytes]
"""What is stored of one record: image, label (UTF-8), meta, polygons; the last two may be empty, which means absent."""

_HEAD = struct.Struct("<BxH")
_LENGTHS = struct.Struct("<4I")
_VERSION = 1
_UNIT_BYTES = 4 * 2 * 4 + 4 + 1


@dataclass(slots=True)
class Record:
    """One labelled image, as it is stored.

    Attributes:
        index: number of the sample in the data set, from 0.
        image: the encoded image (JPEG, PNG or WebP).
        label: the text, NFC, not empty.
        meta: what it was made of, compact JSON in UTF-8; `b""` stores none.
        polygons: from `pack_polygons`, or None.
        refusals: why earlier attempts at this index were refused, as (reason, detail).
        units: the label cut into dictionary units; counted, not stored.
    """

    index: int
    image: bytes
    label: str
    meta: bytes = b""
    polygons: bytes | None = None
    refusals: list[tuple[str, str]] = field(default_factory=list)
    units: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """What is counted beside the records.

    Attributes:
        drops: refused attempts by reason.
        units: how often each dictionary unit stands in the labels.
        missing: how often each character stood in the detail of a `NO_FONT` or `NO_CLASS` refusal.
    """

    drops: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add the counts of another tally to this one."""
        self.drops.update(other.drops)
        self.units.update(other.units)
        self.missing.update(other.missing)

    def to_json(self) -> dict[str, dict[str, int]]:
        """The counts as plain dictionaries, keys in order of code points."""
        return {name: dict(sorted(getattr(self, name).items())) for name in ("drops", "units", "missing")}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Tally:
        """The inverse of `to_json`. Raises KeyError where a count is missing."""
        return cls(Counter(data["drops"]), Counter(data["units"]), Counter(data["missing"]))


def pack_polygons(polygons: NDArray[np.float32], shared: NDArray[np.bool_], ends: Sequence[int]) -> bytes:
    """Pack the polygons of a label's units, without loss: 37 bytes a unit and 4 more.

    Little-endian: version (uint8, 1), a zero byte, n (uint16), n × 4 × 2 float32 (x, y), n × uint32 ends,
    n × uint8 shared.

    Args:
        polygons: n × 4 × 2, (x, y) in pixels; n at most 65,535.
        shared: n; the polygon is that of a shaped cluster which several units share.
        ends: n; where each unit ends in the label, in code points: cumulative, the last is the label's length.
    """
    n = len(polygons)
    if polygons.shape != (n, 4, 2) or len(shared) != n or len(ends) != n:
        raise ValueError(f"polygons {polygons.shape}, shared {len(shared)} and ends {len(ends)} do not fit together")
    return b"".join(
        (
            _HEAD.pack(_VERSION, n),
            polygons.astype("<f4", copy=False).tobytes(),
            struct.pack(f"<{n}I", *ends),
            shared.astype(np.bool_, copy=False).tobytes(),
        )
    )


def unpack_polygons(data: bytes) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.uint32]]:
    """Undo `pack_polygons`: polygons n × 4 × 2 float32, shared n bool, ends n uint32; all read-only.

    Raises:
        ScriptoriumError: the bytes are of another version or cut short.
    """
    if len(data) < _HEAD.size or data[0] != _VERSION:
        raise ScriptoriumError("polygons: not of a version that is known here; generate the data set again")
    n = _HEAD.unpack_from(data)[1]
    if len(data) != _HEAD.size + n * _UNIT_BYTES:
        raise ScriptoriumError(f"polygons: {len(data)} bytes cannot hold {n} units; generate the data set again")
    polygons = np.frombuffer(data, "<f4", n * 8, _HEAD.size).reshape(n, 4, 2)
    ends = np.frombuffer(data, "<u4", n, _HEAD.size + n * 32)
    shared = np.frombuffer(data, np.bool_, n, _HEAD.size + n * 36)
    return polygons, shared, ends


def pack_frame(frame: Frame) -> bytes:
    """One record as bytes: four uint32 lengths (little-endian), then image, label, meta, polygons.

    A shard's digest is the SHA-256 of its records so packed, in order.
    """
    return _LENGTHS.pack(*map(len, frame)) + b"".join(frame)


def pack_block(records: Sequence[Record], start: int, stop: int) -> tuple[Tally, list[bytes]]:
    """Count the records of one block and cut them into parts; joined, the parts are the records' `pack_frame`s.

    Args:
        records: the samples from `start` to `stop` (exclusive), in order; anything else is a ValueError.
        start: index of the first.
        stop: index after the last.
    """
    if [record.index for record in records] != list(range(start, stop)):
        raise ValueError(f"block {start} to {stop - 1} came back with other indexes")
    parts: list[bytes] = []
    for record in records:
        label = record.label.encode()
        polygons = record.polygons or b""
        lengths = _LENGTHS.pack(len(record.image), len(label), len(record.meta), len(polygons))
        parts += (lengths, record.image, label, record.meta, polygons)
    tally = Tally(units=Counter(chain.from_iterable(record.units for record in records)))
    for reason, detail in chain.from_iterable(record.refusals for record in records):
        tally.drops[reason] += 1
        if reason in (NO_FONT, NO_CLASS):
            tally.missing.update(detail)
    return tally, parts


def unpack_block(block: bytes) -> Iterator[Frame]:
    """The frames in a run of packed frames, in order."""
    here = 0
    while here < len(block):
        image, label, meta, polygons = _LENGTHS.unpack_from(block, here)
        a = here + _LENGTHS.size
        b = a + image
        c = b + label
        d = c + meta
        here = d + polygons
        yield block[a:b], block[b:c], block[c:d], block[d:here]
