"""A store of styles: LMDB with crops, masks, backgrounds and what was measured of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import cv2
import lmdb
import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from synth.shards.reader import OpenShard
from synth.shards.writer import writing
from synth.style.style import Image, Outline, Shadow, Style

VERSION: Final = 1


_HEAD: Final = b"styles"
_PICTURES: Final = ("image", "mask", "background")
_AGAIN: Final = "make it again: synth style extract CROPS --output DIR"
_FIRST_MAP: Final = 16 << 20
_BATCH: Final = 64
_NAMED: Final = 1000  # refused crops that are kept by name, of each reason


class StoreWriter:
    """A store in the making.

    Args:
        folder: where nothing is yet; rename it when all is in.

    Raises:
        WriteError: the disk does not take it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._confidences: list[float] = []
        self._refused: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}
        self._digest = hashlib.sha256()
        self._waiting: list[tuple[bytes, bytes]] = []
        with writing(folder):
            folder.mkdir()
            self._env = lmdb.open(str(folder), map_size=_FIRST_MAP, lock=False, sync=False, metasync=False)

    def __len__(self) -> int:
        return len(self._confidences)

    def add(self, style: Style) -> None:
        """Keep a style."""
        number = len(self._confidences)
        facts = _facts(style)
        for key, value in (
            *((f"{name}-{number:09d}", _png(getattr(style, name))) for name in _PICTURES),
            (f"facts-{number:09d}", json.dumps(facts, ensure_ascii=False).encode(errors="surrogateescape")),
        ):
            self._digest.update(value)
            self._waiting.append((key.encode(), value))
        self._confidences.append(style.confidence)
        if len(self._waiting) >= _BATCH:
            self._put()

    def refuse(self, name: str, reason: str) -> None:
        """Keep the name of a crop that gave no style, and why."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        named = self._refused.setdefault(reason, [])
        if len(named) < _NAMED:
            named.append(name)

    def finish(self, source: str) -> dict[str, Any]:
        """Write what the store says of itself; returns that."""
        head = {
            "version": VERSION,
            "source": source,
            "confidences": [round(value, 4) for value in self._confidences],
            "refused": self._counts,
            "named": self._refused,
            "digest": self._digest.hexdigest(),
        }
        self._waiting.append((_HEAD, json.dumps(head, ensure_ascii=False).encode(errors="surrogateescape")))
        self._put()
        with writing(self.folder):
            self._env.sync(True)
        return head

    def close(self) -> None:
        """Let go of the files."""
        self._env.close()

    def _put(self) -> None:
        _write(self._env, self.folder, self._waiting)
        self._waiting.clear()


class Store:
    """A store of styles, open for reading; may be pickled, and used after a fork.

    Attributes:
        folder: where it is.
        head: what it says of itself: source, refused crops.
        confidences: of each style; weights to draw them by.
        digest: SHA-256 of all styles.

    Raises:
        ScriptoriumError: no store, a broken one, or one of another version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = 0
        head = self._opened().get(_HEAD)
        if head is None:
            raise ScriptoriumError(f"{folder}: no store of styles; make one: synth style extract CROPS --output DIR")
        try:
            self.head: dict[str, Any] = json.loads(head.decode(errors="surrogateescape"))
            version = int(self.head["version"])
            if version == VERSION:
                self.confidences: NDArray[np.float64] = np.array(self.head["confidences"], np.float64)
                self.digest = str(self.head["digest"])
        except (ValueError, KeyError, TypeError) as error:
            raise ScriptoriumError(f"{folder}: a broken store ({error}); {_AGAIN}") from None
        if version != VERSION:
            raise ScriptoriumError(
                f"{folder}: a store of version {version}, and this program reads {VERSION}; {_AGAIN}"
            )

    def _opened(self) -> OpenShard:
        if self._process != os.getpid():
            if not self.folder.is_dir():
                raise ScriptoriumError(
                    f"{self.folder}: there is no such folder; make a store: synth style extract CROPS --output DIR"
                )
            self._shard = OpenShard(self.folder)
            self._process = os.getpid()
        return self._shard

    def __len__(self) -> int:
        return len(self.confidences)

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.folder,)

    def __iter__(self) -> Iterator[Style]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, number: int) -> Style:
        """One style; IndexError beyond the last one, ScriptoriumError when the store is broken."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        shard = self._opened()
        try:
            facts = json.loads((shard.get(b"facts-%09d" % number) or b"").decode(errors="surrogateescape"))
            pictures = {name: _picture(shard.get(f"{name}-{number:09d}".encode())) for name in _PICTURES}
            return _style(facts, pictures)
        except (ValueError, KeyError, TypeError, cv2.error) as error:
            raise ScriptoriumError(f"{self.folder}: style {number} is broken ({error}); {_AGAIN}") from None


def _write(environment: lmdb.Environment, folder: Path, pairs: list[tuple[bytes, bytes]]) -> None:
    with writing(folder):
        while True:
            try:
                with environment.begin(write=True) as transaction:
                    for key, value in pairs:
                        transaction.put(key, value)
                return
            except lmdb.MapFullError:
                environment.set_mapsize(2 * environment.info()["map_size"])


def _facts(style: Style) -> dict[str, Any]:
    facts = {field.name: getattr(style, field.name) for field in fields(Style) if field.name not in _PICTURES}
    facts["quad"] = np.asarray(style.quad, np.float64).round(3).tolist()
    for name in ("outline", "shadow"):
        thing = facts[name]
        facts[name] = None if thing is None else {field.name: getattr(thing, field.name) for field in fields(thing)}
    return facts


def _style(facts: dict[str, Any], pictures: dict[str, Image]) -> Style:
    outline, shadow = facts.pop("outline"), facts.pop("shadow")
    ink, gradient = _colour(facts.pop("ink")), facts.pop("gradient")
    left, top, right, bottom = facts.pop("margins")
    return Style(
        **(facts | pictures | {"quad": np.array(facts["quad"], np.float32)}),
        ink=ink,
        gradient=(_colour(gradient[0]), _colour(gradient[1])),
        margins=(left, top, right, bottom),
        outline=None if outline is None else Outline(_colour(outline["colour"]), outline["width"]),
        shadow=None if shadow is None else Shadow(**shadow),
    )


def _colour(values: list[float]) -> tuple[float, float, float]:
    b, g, r = values
    return b, g, r


def _png(image: Image) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def _picture(data: bytes | None) -> Image:
    image = cv2.imdecode(np.frombuffer(data or b"", np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if image is None:
        raise ValueError("a picture is missing")
    return image
