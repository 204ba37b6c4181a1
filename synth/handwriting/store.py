"""One compact store of single characters, whatever they came as: LMDB with masks, classes, writers and metrics."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import lmdb
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from augment.errors import ScriptoriumError
from synth.handwriting.extract import BANDS, Paper, extract, judge, profiles
from synth.handwriting.readers import Broken, CharacterSet, Grey, Options, read_set
from synth.handwriting.suspects import FEATURES, features, unlike
from synth.shards.reader import OpenShard
from synth.shards.writer import claim, replace_folder, writing

VERSION: Final = 1

CUT: Final = 1
INVERTED: Final = 2
UNLIKE: Final = 4
SUSPICIONS: Final = {CUT: "cut off at an edge", INVERTED: "inverted", UNLIKE: "looks like another class"}
"""What an image may be suspected of; bits of `suspect`."""

DOUBTED: Final = CUT | UNLIKE
"""Those that no line is made of, unless it is asked for; inverted ones have been turned round."""

ROW: Final = np.dtype(
    [
        ("class", "<i4"),
        ("writer", "<i4"),
        ("rows", "u1"),
        ("columns", "u1"),
        ("suspect", "u1"),
        ("like", "<i4"),
        *((name, "<f4") for name in ("left", "top", "width", "height", "stroke", "slant")),
        ("profiles", "u1", (2, BANDS)),
    ]
)
"""What the index says of an image.

`class` and `writer` are numbers (writer -1: not known); `rows` and `columns` the size of its mask; `suspect` bits of
`SUSPICIONS`; `like` the class that it looks like, or -1; `profiles` is what `extract.profiles` gives; the rest as
`extract.Extracted` has it.
"""

EMPTY: Final = "no ink"
UNREADABLE: Final = "cannot be read"

_HEAD: Final = b"handwriting"
_INDEX: Final = b"index"
_ORIGINS: Final = b"origins"
_FIRST_MAP: Final = 16 << 20
_BATCH: Final = 2048
_LOOKED_AT: Final = 400  # images that say what paper and ink are like
_TOUCHING: Final = 0.2  # share of a set's images that touch an edge, above which they were all cut closely
_TOUCH: Final = 0.08  # of a side that is ink: more than a stroke's end
_NAMED: Final = 1000  # origins kept of dropped images


@dataclass
class Imported:
    """What an import has brought."""

    output: Path
    head: dict[str, Any]
    count: int
    classes: Counter[str] = field(default_factory=Counter)
    suspects: Counter[str] = field(default_factory=Counter)

    def text(self) -> str:
        """For people: what was made, what was dropped and why, what to do next."""
        from synth.report.summary import counted, quoted

        head = self.head
        writers = len(head["writers"])
        lines = [
            f"{self.output}: {counted(self.count, 'character')} of {counted(len(self.classes), 'class', 'classes')}"
            + (f" by {counted(writers, 'writer')}" if writers else ", writers not known"),
            f"  read as {head['form']}; {head['paper']['ink']} ink, threshold {head['paper']['threshold']}",
        ]
        rare = [f"{text} {count}" for text, count in self.classes.most_common()[: -_SHOWN - 1 : -1]]
        lines.append(f"  fewest: {', '.join(rare)}")
        dropped = {**head["left_out"], **{reason: count for reason, count in head["dropped"].items() if count}}
        lines += [f"  left out: {count:,} {reason}" for reason, count in dropped.items()]
        lines += [f"  suspect: {count:,} {reason}" for reason, count in self.suspects.items()]
        where = quoted(self.output)
        lines += [
            f"next: synth handwriting report {where}",
            f"      synth preview --ink handwriting --chars {where} --corpus FILE --recipe handwriting",
        ]
        return "\n".join(lines) + "\n"


_SHOWN: Final = 8


def import_set(
    source: Path, output: Path, options: Options | None = None, ink: Literal["dark", "bright"] | None = None
) -> Imported:
    """Bring a set of single characters into a store.

    Args:
        source: see `readers.read_set`.
        output: a new folder.
        options: how the set is read.
        ink: whether ink is darker than paper; default: what most images say.

    Raises:
        ScriptoriumError: no set that can be read, no ink in it, or a store that cannot be written.
    """
    if output.is_dir() and any(output.iterdir()):
        raise ScriptoriumError(f"{output}: is not empty; name a new folder")
    found = read_set(source, options or Options())
    with _quiet():
        paper = judge(_some(found))
    if ink is not None:
        paper = Paper(ink, paper.threshold)
    with claim(output) as aside:
        made = _Making(aside / "store", found)
        try:
            with _quiet():
                for number in tqdm(range(len(found)), desc="characters", unit="", disable=None, leave=False):
                    made.add(number, paper)
            head = made.finish(source.name, paper)
        finally:
            made.close()
        replace_folder(aside / "store", output)
    names = head["classes"]
    suspects = {text: int(((made.index["suspect"] & bit) > 0).sum()) for bit, text in SUSPICIONS.items()}
    classes = np.bincount(made.index["class"], minlength=len(names)).tolist()
    return Imported(
        output,
        head,
        len(made.index),
        Counter(dict(zip(names, classes, strict=True))),
        Counter({text: count for text, count in suspects.items() if count}),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without OpenCV's own messages on broken pictures: they are counted and named."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _some(found: CharacterSet) -> Iterator[Grey]:
    for number in range(0, len(found), max(1, len(found) // _LOOKED_AT)):
        try:
            yield found.image(number)
        except Broken:
            continue


class _Making:
    """A store in the making."""

    def __init__(self, folder: Path, found: CharacterSet) -> None:
        self.folder, self.found = folder, found
        self.classes = sorted(set(found.texts))
        self.writers = sorted(set(found.writers) - {""})
        self._class = {text: number for number, text in enumerate(self.classes)}
        self._writer = {name: number for number, name in enumerate(self.writers)} | {"": -1}
        self._rows: list[tuple[Any, ...]] = []
        self._edges: list[float] = []
        self._looks = bytearray()
        self._origins: list[str] = []
        self.dropped: dict[str, int] = {EMPTY: 0, UNREADABLE: 0}
        self._named: dict[str, list[str]] = {EMPTY: [], UNREADABLE: []}
        self._waiting: list[tuple[bytes, bytes]] = []
        self._digest = hashlib.sha256()
        self._map = _FIRST_MAP
        with writing(folder):
            folder.mkdir()
            self._env = lmdb.open(str(folder), map_size=self._map, lock=False, sync=False, metasync=False)

    def add(self, number: int, paper: Paper) -> None:
        """One image of the set, unless it has no ink."""
        try:
            ink = extract(self.found.image(number), paper)
        except Broken as problem:
            self._drop(UNREADABLE, f"{self.found.origin(number)}: {problem}")
            return
        if ink is None:
            self._drop(EMPTY, self.found.origin(number))
            return
        rows, columns = ink.mask.shape
        self._rows.append(
            (
                self._class[self.found.texts[number]],
                self._writer[self.found.writers[number]],
                *(rows, columns, INVERTED if ink.inverted else 0, -1),
                *(ink.left, ink.top, ink.width, ink.height, ink.stroke, ink.slant),
                profiles(ink.mask),
            )
        )
        self._edges.append(ink.edge)
        self._looks += features(ink.mask).tobytes()
        self._origins.append(self.found.origin(number))
        data = zlib.compress(ink.mask.tobytes(), 6)
        self._digest.update(data)
        self._waiting.append((b"mask-%09d" % (len(self._rows) - 1), data))
        if len(self._waiting) >= _BATCH:
            self._put()

    def _drop(self, reason: str, origin: str) -> None:
        self.dropped[reason] += 1
        if len(self._named[reason]) < _NAMED:
            self._named[reason].append(origin)

    def finish(self, source: str, paper: Paper) -> dict[str, Any]:
        """Judge the whole and write the index; returns the head."""
        self.index = index = np.array(self._rows, ROW)
        if not len(index):
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items() if count)
            raise ScriptoriumError(f"{source}: no image has ink ({reasons}); say --ink bright or dark if it is there")
        looks = np.frombuffer(self._looks, np.uint8).reshape(-1, FEATURES)
        index["like"] = unlike(looks, index["class"])
        index["suspect"][index["like"] >= 0] |= UNLIKE
        edges = np.array(self._edges)
        if (edges > 0).mean() < _TOUCHING:
            index["suspect"][edges > _TOUCH] |= CUT
        data = io.BytesIO()
        np.save(data, index, allow_pickle=False)
        names = json.dumps([self.classes, self.writers], ensure_ascii=False).encode()
        self._digest.update(names + data.getvalue())
        head = {
            "version": VERSION,
            "source": source,
            "form": self.found.form,
            "paper": {"ink": paper.ink, "threshold": paper.threshold},
            "classes": self.classes,
            "writers": self.writers,
            "left_out": dict(self.found.left_out),
            "dropped": self.dropped,
            "named": self._named,
            "digest": self._digest.hexdigest(),
        }
        origins = zlib.compress("\n".join(self._origins).encode(errors="backslashreplace"), 6)
        self._waiting += [(_INDEX, data.getvalue()), (_ORIGINS, origins)]
        self._waiting.append((_HEAD, json.dumps(head, ensure_ascii=False).encode(errors="backslashreplace")))
        self._put()
        with writing(self.folder):
            self._env.sync(True)
        return head

    def close(self) -> None:
        """Let go of the files."""
        self._env.close()

    def _put(self) -> None:
        with writing(self.folder):
            while True:
                try:
                    with self._env.begin(write=True) as transaction:
                        for key, value in self._waiting:
                            transaction.put(key, value)
                    break
                except lmdb.MapFullError:
                    self._map *= 2
                    self._env.set_mapsize(self._map)
        self._waiting.clear()


class Store:
    """A store, open for reading; may be pickled, and used after a fork.

    Attributes:
        folder: where it is.
        head: what it says of itself: source, form, paper, what was left out.
        classes: texts of the classes, by number.
        writers: names, by number.
        index: `ROW` of each image.
        digest: SHA-256 of all that it holds.

    Raises:
        ScriptoriumError: no store, a broken one, or one of a later version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = 0
        shard = self._opened()
        head, index = shard.get(_HEAD), shard.get(_INDEX)
        if head is None or index is None:
            raise ScriptoriumError(f"{folder}: no store of characters; make one: synth handwriting import SET DIR")
        try:
            self.head: dict[str, Any] = json.loads(head)
            version = int(self.head["version"])
            self.index: NDArray[Any] = np.load(io.BytesIO(index), allow_pickle=False)
            self.classes: list[str] = self.head["classes"]
            self.writers: list[str] = self.head["writers"]
            self.digest = str(self.head["digest"])
        except (ValueError, KeyError, TypeError, EOFError) as error:
            raise ScriptoriumError(f"{folder}: a broken store ({error}); import the set again") from None
        if version > VERSION:
            raise ScriptoriumError(
                f"{folder}: made by a later version; import the set again, or bring yours up to date"
            )

    def _opened(self) -> OpenShard:
        if self._process != os.getpid():
            if not self.folder.is_dir():
                raise ScriptoriumError(
                    f"{self.folder}: there is no such folder; make a store: synth handwriting import SET DIR"
                )
            self._shard = OpenShard(self.folder)
            self._process = os.getpid()
        return self._shard

    def __len__(self) -> int:
        return len(self.index)

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.folder,)

    def mask(self, number: int) -> Grey:
        """Coverage of an image's ink, height × width. Raises ScriptoriumError when the store is broken."""
        data = self._opened().get(b"mask-%09d" % number)
        shape = int(self.index["rows"][number]), int(self.index["columns"][number])
        try:
            return np.frombuffer(zlib.decompress(data or b""), np.uint8).reshape(shape)
        except (zlib.error, ValueError):
            raise ScriptoriumError(f"{self.folder}: character {number} is broken; import the set again") from None

    def origins(self) -> list[str]:
        """Where each image came from."""
        data = self._opened().get(_ORIGINS)
        return zlib.decompress(data).decode().split("\n") if data else []
