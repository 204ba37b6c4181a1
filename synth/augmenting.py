"""`synth augment`: augmented copies of labelled images, from shards or a label file to shards."""

from __future__ import annotations

import hashlib
import sys
import unicodedata
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, Protocol

import cv2
import lmdb
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import synth
from augment.errors import ScriptoriumError
from augment.training import TrainingAugment
from synth.engine import SHARD_SIZE, Summary, generate
from synth.report.summary import counted, quoted, size
from synth.shards.manifest import NAME, read_manifest
from synth.shards.reader import ShardReader
from synth.shards.record import Record, pack_frame
from synth.strict import ConfigError, parse_yaml
from synth.text.units import split_units

_QUALITY: Final = 95  # of JPEG: what it loses is little beside what augmentation does
_LONGEST: Final = 32766  # px that OpenCV's warps and a JPEG with a stretch can take
_LISTED: Final = 1000  # names of records that the manifest keeps
_SHOWN: Final = 10  # and that the closing text shows
_NO_IMAGE: Final = "does not decode as an image"


class Source(Protocol):
    """Labelled images by index. Picklable; opens its files in the process that reads them."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> tuple[bytes, bytes]:
        """Encoded image and label as they are stored. `Broken` where they cannot be read."""

    def name(self, index: int) -> str:
        """The record, for people."""


class Broken(Exception):
    """A record that cannot be used; the message is the reason."""


class _Shards:
    """LMDBs: ours, PaddleOCR's, the benchmark family's."""

    def __init__(self, path: Path) -> None:
        if (path / NAME).exists() and not read_manifest(path)["complete"]:
            raise ScriptoriumError(f"{path}: unfinished; finish it with --resume")
        self._reader = ShardReader(path)

    def __len__(self) -> int:
        return len(self._reader)

    def read(self, index: int) -> tuple[bytes, bytes]:
        try:
            return self._reader.frame(index)[:2]
        except (ScriptoriumError, lmdb.Error):
            raise Broken("missing") from None

    def name(self, index: int) -> str:
        return self._reader.name(index)


class _LabelFile:
    """Lines of path, TAB, text."""

    def __init__(self, path: Path, root: Path) -> None:
        self._path, self._root = path, root
        self._offsets = array("q")
        self._file: IO[bytes] | None = None
        try:
            with path.open("rb") as file:
                at = 3 if file.read(3) == b"\xef\xbb\xbf" else 0
                file.seek(at)
                for line in file:
                    if line.strip():
                        self._offsets.append(at)
                    at += len(line)
        except OSError as error:
            raise ScriptoriumError(f"{path}: {error.strerror}; name a data set or a label file") from None

    def __len__(self) -> int:
        return len(self._offsets)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None}

    def _line(self, index: int) -> tuple[bytes, bytes, bytes]:
        if self._file is None:
            self._file = self._path.open("rb")
        self._file.seek(self._offsets[index])
        return self._file.readline().rstrip(b"\r\n").partition(b"\t")

    def read(self, index: int) -> tuple[bytes, bytes]:
        path, tab, label = self._line(index)
        if not tab:
            raise Broken("a line without a tab")
        try:
            return (self._root / path.decode()).read_bytes(), label
        except UnicodeDecodeError:
            raise Broken("a path that is not UTF-8") from None
        # ValueError: a null byte.
        except (OSError, ValueError):
            raise Broken("no such file, or not to be read") from None

    def name(self, index: int) -> str:
        return self._line(index)[0].decode(errors="backslashreplace")


def open_source(data: Path, root: Path | None = None) -> Source:
    """Labelled images in LMDBs, in a folder with `labels.tsv`, or named by a label file.

    Args:
        data: one of these.
        root: where a label file's paths start, if not in its own folder.

    Raises:
        ScriptoriumError: it is none of these, or a data set that is not finished.
    """
    listed = data / "labels.tsv" if (data / "labels.tsv").is_file() else data
    if not listed.is_dir():
        return _LabelFile(listed, root or listed.parent)
    if root is not None:
        raise ScriptoriumError(f"{data}: --root belongs to a label file, but this is a folder of LMDBs; leave it out")
    return _Shards(data)


@dataclass(slots=True)
class _Stock:
    """What there is to augment.

    Attributes:
        usable: indexes of records that can be used.
        skipped: the others, counted by reason.
        names: the first of them, with the reason.
        changed: labels that were not in NFC.
        digest: SHA-256, in hexadecimal, of the packed frames (`record.pack_frame`) of usable images and labels.
    """

    usable: array[int] = field(default_factory=lambda: array("q"))
    skipped: Counter[str] = field(default_factory=Counter)
    names: list[str] = field(default_factory=list)
    changed: int = 0
    digest: str = ""


def decoded(data: bytes) -> NDArray[np.uint8]:
    """An image as it is, grey or BGR, 8 bits, turned as its EXIF data say. `Broken` where it is none."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR) if data else None
    except cv2.error:  # too many pixels
        image = None
    if image is None or not image.size:
        raise Broken(_NO_IMAGE)
    if max(image.shape) > _LONGEST:
        raise Broken(f"longer than {_LONGEST:,} px")
    return np.asarray(image, np.uint8)


def _label(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Broken("label not UTF-8") from None
    if not text:
        raise Broken("empty label")
    return unicodedata.normalize("NFC", text)


def _take_stock(source: Source, progress: bool) -> _Stock:
    """Read all records once: what is broken is known before anything is written, so that resuming finds it again."""
    stock, digest = _Stock(), hashlib.sha256()
    quiet = not (progress and sys.stderr.isatty())
    for index in tqdm(range(len(source)), "reading", unit="image", unit_scale=True, disable=quiet):
        try:
            image, label = source.read(index)
            decoded(image)
            text = _label(label)
        except Broken as error:
            stock.skipped[str(error)] += 1
            if len(stock.names) < _LISTED:
                stock.names.append(f"{source.name(index)}: {error}")
            continue
        digest.update(pack_frame((image, label, b"", b"")))
        stock.usable.append(index)
        stock.changed += text.encode() != label
    stock.digest = digest.hexdigest()
    return stock


class _Copies:
    """Makes the records of an augmented data set: of each usable one the original, if wanted, and its copies."""

    def __init__(
        self, source: Source, usable: array[int], augment: TrainingAugment, times: int, seed: int, originals: bool
    ) -> None:
        self._source, self._usable, self._augment = source, usable, augment
        self._seed = seed
        self._each = range(0 if originals else 1, times + 1)

    def block(self, start: int, stop: int) -> Sequence[Record]:
        """The records from `start` to `stop` (exclusive), in order."""
        records: list[Record] = []
        per = len(self._each)
        for position in range(start // per, -(-stop // per)):
            first = position * per
            kept = self._each[max(start - first, 0) : stop - first]
            records += self._of(self._usable[position], first + kept[0] - self._each[0], kept)
        return records

    def _of(self, index: int, first: int, copies: range) -> list[Record]:
        try:
            data, stored = self._source.read(index)
            image, label = decoded(data), _label(stored)
        except Broken as error:
            raise ScriptoriumError(
                f"{self._source.name(index)}: {error}, though it was read before; let nothing change the source, and "
                "run this again"
            ) from None
        units = split_units(label, "grapheme")
        suffix, flags = (".png", ()) if data[:4] == b"\x89PNG" else (".jpg", (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
        records = []
        for number, copy in enumerate(copies, first):
            encoded = data
            if copy:
                changed = self._augment(image, np.random.default_rng((self._seed, index, copy)))
                encoded = cv2.imencode(suffix, changed, flags)[1].tobytes()
            records.append(Record(number, encoded, label, units=units))
        return records


@dataclass(frozen=True, slots=True)
class Augmented:
    """What `augment` has done.

    Attributes:
        summary: of the new data set.
        records: in the source.
        usable: of them.
        skipped: those that cannot be used, by reason.
        names: the first 1,000 of those, each with the reason.
        changed: labels that were brought to NFC.
    """

    summary: Summary
    records: int
    usable: int
    skipped: dict[str, int]
    names: list[str]
    changed: int

    def text(self) -> str:
        """For the terminal: what was made, what was skipped and why, what to do next."""
        made = self.summary
        fresh = made.count - made.kept
        facts = f"{counted(made.shards, 'shard')}, {size(made.bytes)}"
        if fresh:
            facts += f", {made.seconds:,.1f} s, {fresh / max(made.seconds, 1e-3):,.0f} images/s"
        rows = [("made", f"{counted(made.count, 'image')} in {made.output}"), ("", facts)]
        if made.kept:
            rows.append(("", f"{made.kept:,} of them from an earlier run"))
        rows.append(("from", f"{self.usable:,} of {counted(self.records, 'record')}"))
        if self.changed:
            rows.append(("", f"{counted(self.changed, 'label')} brought to NFC"))
        if self.skipped:
            rows.append(("skipped", counted(sum(self.skipped.values()), "record")))
            rows += [("", f"{count:,}  {reason}") for reason, count in self.skipped.items()]
            rows += [("", f"  {name}") for name in self.names[:_SHOWN]]
            if len(self.names) > _SHOWN:
                rows.append(("", f"  and more; {made.output / NAME} names the first {_LISTED:,}"))
        rows += [("next", f"synth verify {quoted(made.output)}"), ("", f"synth report {quoted(made.output)}")]
        return "".join(f"{key:<9}{text}\n" for key, text in rows)


def load_config(path: Path) -> dict[str, Any]:
    """An `augment` section from a YAML file that holds its keys, alone or below the one key `augment`.

    Raises:
        ConfigError: not to be read, not YAML, or no mapping.
    """
    try:
        values = parse_yaml(path.read_text(encoding="utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError(f"{path}: {said}; name a YAML file with the keys of `augment`") from None
    if isinstance(values, dict) and set(values) == {"augment"}:
        values = values["augment"]
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: should hold the keys of `augment`, such as blur: {{p: 0.2}}")
    return values


def augment(
    data: Path,
    output: Path,
    times: int,
    *,
    config: dict[str, Any] | None = None,
    where: str = "augment",
    seed: int = 0,
    keep_originals: bool = False,
    root: Path | None = None,
    shard_size: int = SHARD_SIZE,
    workers: int = 1,
    resume: bool = False,
    progress: bool = True,
) -> Augmented:
    """Write augmented copies of all usable records of `data` to `output`, as shards with a manifest.

    Copy *k* of record *i* draws from (seed, *i*, *k*) alone. The section's `p` is 1 unless `config` sets another.
    PNG images stay PNG; others become JPEG. Labels are brought to NFC; unit polygons and what the source says of an
    image (font, contrast) do not hold any more and are left out. The source is read twice, once to see what is broken.

    Args:
        data: LMDBs (ours, PaddleOCR's, the benchmark family's), a folder with `labels.tsv`, or a label file of lines
            path, TAB, text.
        output: the folder to be; see `synth.engine.generate`, also for what is left of a run that is stopped.
        times: copies of each record, 1 or more.
        config: an `augment` section; see `TrainingAugment`.
        where: what begins messages about `config`.
        seed: of the random streams, 0 or more.
        keep_originals: the original goes before its copies, its image as it is, byte for byte.
        root: what a label file's paths start from; its own folder by default.
        shard_size: records in a shard, a multiple of 256.
        workers: processes; up to 1, everything happens in this one.
        resume: keep the shards that an earlier run finished.
        progress: show bars on stderr where that is a terminal.

    Raises:
        ScriptoriumError: bad arguments, a source that cannot be read or has no usable record, an output that cannot be
            written or was begun with something else.
    """
    augmentation = TrainingAugment({"p": 1.0} | (config or {}), where)
    if augmentation.join.p:
        raise ConfigError(f"{where}.join.p: samples are joined while training only; leave it out")
    for path in (data, data.parent if data.is_file() else data):
        if output.resolve() == path.resolve():
            raise ScriptoriumError(f"{output}: is where the images come from; name a new folder")
    if data.is_dir() and output.resolve().is_relative_to(data.resolve()):
        raise ScriptoriumError(f"{output}: lies in {data}, which is to be augmented; name a new folder")
    source = open_source(data, root)
    stock = _take_stock(source, progress)
    if not stock.usable:
        found = "; ".join([*stock.names[:1], "has no record that can be used" if stock.skipped else "is empty"])
        raise ScriptoriumError(f"{data}: {found}; name another")
    head = {
        "augmented": {
            "source": {
                "name": data.resolve().name,
                "digest": stock.digest,
                "records": len(source),
                "usable": len(stock.usable),
                "skipped": dict(sorted(stock.skipped.items())),
                "broken": stock.names,
            },
            "augment": augmentation.settings(),
            "times": times,
            "keep_originals": keep_originals,
        },
        "seed": seed,
        "libraries": {"scriptorium": synth.__version__, "numpy": np.__version__, "opencv": cv2.__version__},
    }
    summary = generate(
        partial(_Copies, source, stock.usable, augmentation, times, seed, keep_originals),
        output,
        len(stock.usable) * (times + keep_originals),
        manifest_head=head,
        shard_size=shard_size,
        workers=workers,
        resume=resume,
        progress=progress,
    )
    return Augmented(summary, len(source), len(stock.usable), dict(stock.skipped), stock.names, stock.changed)
