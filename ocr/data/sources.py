"""Where labelled text images come from: shards, label files, and recipes drawn while training."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import unicodedata2
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.config import SourceConfig
from synth.shards.reader import ShardReader

if TYPE_CHECKING:
    from synth.pipeline import Pipeline

LABEL_FILES = ("labels.tsv", "labels.txt", "rec_gt.txt", "gt.txt")
"""Names under which a folder's label file is looked for."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled picture.

    Attributes:
        image: `uint8`, H × W × 3 (BGR).
        text: the raw label.
        key: names the record for people.
    """

    image: NDArray[np.uint8]
    text: str
    key: str


class BrokenSample(ScriptoriumError):
    """A record that cannot be used: no such file, no picture, no UTF-8.

    Attributes:
        key: names the record.
        reason: what is wrong with it, without the name.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key, self.reason = key, reason

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"


class Source(ABC):
    """Labelled pictures by number. A source may be pickled; it opens its files again on the other side.

    Attributes:
        name: of the configuration.
    """

    name: str

    @abstractmethod
    def sample(self, index: int) -> Sample:
        """Sample `index`, from 0. Raises BrokenSample."""

    def close(self) -> None:  # noqa: B027 - most have nothing open
        """Close what is open; it opens again when needed."""


class FileSource(Source):
    """A source with an end."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def raw(self, index: int) -> tuple[bytes, str]:
        """The encoded picture and the label. Raises BrokenSample."""

    @abstractmethod
    def key(self, index: int) -> str:
        """What messages call the sample."""

    @abstractmethod
    def stamp(self) -> str:
        """Changes when the files do: what a cached index of the source is known by."""

    def sample(self, index: int) -> Sample:
        """See `Source.sample`."""
        data, text = self.raw(index)
        return Sample(decode(data, self.key(index)), text, self.key(index))


class Shards(FileSource):
    """LMDBs: our own, PaddleOCR's, or of deep-text-recognition-benchmark.

    Args:
        name: see `Source`.
        path: a folder with LMDBs in it or below.
        limit: use only the first so many; 0: all.

    Raises:
        ScriptoriumError: no LMDB, or a broken one.
    """

    def __init__(self, name: str, path: Path, limit: int = 0) -> None:
        self.name = name
        self._reader = ShardReader(path)
        self._count = min(limit or len(self._reader), len(self._reader))

    def __len__(self) -> int:
        return self._count

    def raw(self, index: int) -> tuple[bytes, str]:
        """See `FileSource.raw`."""
        try:
            image, label, _, _ = self._reader.frame(index)
        except ScriptoriumError as error:
            raise BrokenSample(self.key(index), str(error)) from None
        try:
            return image, label.decode()
        except UnicodeDecodeError as error:
            raise BrokenSample(self.key(index), f"label is not UTF-8 at byte offset {error.start}") from None

    def key(self, index: int) -> str:
        """See `FileSource.key`."""
        return self._reader.name(index)

    def stamp(self) -> str:
        """See `FileSource.stamp`."""
        parts = [str(self._count)]
        for folder in self._reader.folders:
            status = (folder / "data.mdb").stat()
            parts.append(f"{folder.resolve()}:{status.st_size}:{status.st_mtime_ns}")
        return "\n".join(parts)

    def close(self) -> None:
        """See `Source.close`."""
        self._reader.close()


class LabelFile(FileSource):
    """Picture files and a text file of their labels, a line each: path, tab, text.

    Args:
        name: see `Source`.
        path: the label file, UTF-8.
        root: what relative paths start from.
        limit: use only the first so many; 0: all.

    Raises:
        ScriptoriumError: the file cannot be read, is not UTF-8, has no lines or one without a tab; names the line.
    """

    def __init__(self, name: str, path: Path, root: Path, limit: int = 0) -> None:
        self.name, self._path, self._root = name, path, root
        self._items = _read_labels(path)[: limit or None]

    def __len__(self) -> int:
        return len(self._items)

    def raw(self, index: int) -> tuple[bytes, str]:
        """See `FileSource.raw`."""
        path, text, _ = self._items[index]
        try:
            return (self._root / path).read_bytes(), text
        except (OSError, ValueError) as error:
            raise BrokenSample(self.key(index), getattr(error, "strerror", None) or str(error)) from None

    def key(self, index: int) -> str:
        """See `FileSource.key`."""
        path, _, line = self._items[index]
        return f"{self._root / path} ({self._path.name} line {line})"

    def stamp(self) -> str:
        """See `FileSource.stamp`."""
        status = self._path.stat()
        return f"{len(self)}\n{self._path.resolve()}:{status.st_size}:{status.st_mtime_ns}\n{self._root.resolve()}"


class Live(Source):
    """A recipe drawn while training: sample i is that of the recipe's stream, so it never repeats.

    Args:
        config: a source with a recipe.
        seed: of the run; the stream is that of the recipe with this seed.

    Raises:
        ScriptoriumError: the recipe, or what it names, cannot be used.
    """

    def __init__(self, config: SourceConfig, seed: int, height: int) -> None:
        from synth.pipeline import Pipeline
        from synth.recipe import Recipe

        assert config.recipe is not None
        self.name = config.name
        overrides = [*config.overrides, f"seed={seed}", f"layout.height={height}"]
        sections = {"fonts": {"paths": [str(path) for path in config.fonts]}} if config.fonts else {}
        recipe = Recipe.load(config.recipe, corpus=config.corpus, overrides=overrides, **sections)
        self._pipeline: Pipeline = Pipeline(recipe)

    def sample(self, index: int) -> Sample:
        """See `Source.sample`."""
        made = self._pipeline.sample(index)
        key = f"{self.name}: sample {index}"
        return Sample(decode(made.encoded, key), made.text, key)

    def length(self, index: int) -> int:
        """Units of the text that sample `index` tries first: what its width will be like."""
        return len(self._pipeline.first_text(index).units)

    def warm(self) -> None:
        """Draw one sample, so that what is wrong with fonts or corpora is said here. Raises ScriptoriumError."""
        self._pipeline.sample(0)


def open_source(config: SourceConfig, seed: int = 0, height: int = 32) -> FileSource | Live:
    """Open what a configuration describes.

    Args:
        config: see `SourceConfig`.
        seed: of live sources.
        height: at which live sources draw, in pixels.

    Raises:
        ScriptoriumError: there is nothing, or nothing of use.
    """
    if config.recipe is not None:
        return Live(config, seed, height)
    path = config.path
    assert path is not None
    if path.is_dir():
        for name in LABEL_FILES:
            if (path / name).is_file():
                return LabelFile(config.name, path / name, config.root or path, config.limit)
        if next(path.rglob("data.mdb"), None) is None:
            raise ScriptoriumError(
                f"source {config.name}: {path} holds neither LMDBs (data.mdb) nor a label file "
                f"({', '.join(LABEL_FILES)}); name a data set"
            )
        source: FileSource = Shards(config.name, path, config.limit)
    elif path.is_file():
        source = LabelFile(config.name, path, config.root or path.parent, config.limit)
    else:
        raise ScriptoriumError(f"source {config.name}: {path} is not there; name a data set or a label file")
    if not len(source):
        raise ScriptoriumError(f"source {config.name}: {path} holds no samples; name another")
    return source


def decode(data: bytes, key: str) -> NDArray[np.uint8]:
    """A picture as `uint8`, H × W × 3 (BGR), turned as its EXIF data say. Raises BrokenSample."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise BrokenSample(key, "no picture that can be read" if data else "empty")
    return np.asarray(image, np.uint8)


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Height and width in pixels from the head of a JPEG or PNG; None where there is none (then decode it).

    JPEG: ITU-T T.81, annex B; PNG: W3C PNG, section 11.2.2. A JPEG with EXIF data may be turned, so it is decoded.
    """
    if data.startswith(b"\xff\xd8"):
        at, end = 2, len(data) - 9
        while at < end and data[at] == 0xFF:
            marker = data[at + 1]
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                height, width = struct.unpack_from(">HH", data, at + 5)
                return (height, width) if height and width else None
            if marker == 0xE1:
                return None
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    elif data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 33:
        width, height = struct.unpack_from(">II", data, 16)
        return (height, width) if height and width else None
    return None


def nfc(text: str) -> str:
    """A label in the normal form that dictionaries and data sets have."""
    normal: str = unicodedata2.normalize("NFC", text)
    return normal


def _read_labels(path: Path) -> list[tuple[str, str, int]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ScriptoriumError(f"{path}: cannot be read ({error.strerror}); name a label file") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ScriptoriumError(
            f"{path}: line {line}: not UTF-8 at byte offset {error.start}; save it as UTF-8"
        ) from None
    return list(_items(path, text))


def _items(path: Path, text: str) -> Iterator[tuple[str, str, int]]:
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line:
            continue
        name, tab, label = line.partition("\t")
        if not tab or not name:
            raise ScriptoriumError(f"{path}: line {number}: must be path, tab, text")
        yield name, label, number


__all__ = ["BrokenSample", "FileSource", "LabelFile", "Live", "Sample", "Shards", "Source", "decode", "open_source"]
