"""Where labelled text images come from: shards, label files, and recipes drawn while training."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import lmdb
import numpy as np
import unicodedata2
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.config import SourceConfig
from ocr.infer import images
from synth.shards.reader import MissingRecord, ShardReader

if TYPE_CHECKING:
    from synth.pipeline import Pipeline

LABEL_FILES = ("labels.tsv", "labels.txt", "rec_gt.txt", "gt.txt")
"""Names under which a folder's label file is looked for."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled picture.

    Attributes:
        image: `uint8`, H × W × 3 (BGR) or H × W (grey).
        text: the raw label.
        key: names the record for people.
    """

    image: NDArray[np.uint8]
    text: str
    key: str


class BrokenSample(ScriptoriumError):
    """A record that cannot be used: no such file, no picture, no UTF-8, or nothing to train on.

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

    def label(self, index: int) -> str:
        """The label alone. Raises BrokenSample."""
        return self.raw(index)[1]

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
        """See `FileSource.raw`. Raises ScriptoriumError where a whole LMDB is gone: that is no broken record."""
        try:
            image, label, _, _ = self._reader.frame(index)
        except (MissingRecord, lmdb.Error) as error:
            raise BrokenSample(self.key(index), str(error)) from None
        except ScriptoriumError as error:
            raise ScriptoriumError(f"source {self.name}: {error}") from None
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

    def label(self, index: int) -> str:
        """See `FileSource.label`: known even where the picture is missing."""
        return self._items[index][1]

    def key(self, index: int) -> str:
        """See `FileSource.key`."""
        path, _, line = self._items[index]
        return f"{self._root / path} ({self._path.name} line {line})"

    def stamp(self) -> str:
        """See `FileSource.stamp`."""
        digest = hashlib.sha256()
        for path, text, _ in self._items:
            try:
                status = (self._root / path).stat()
            except (OSError, ValueError):
                state = "missing"
            else:
                state = f"{status.st_size}:{status.st_mtime_ns}"
            digest.update(f"{path}\t{text}\t{state}\n".encode())
        return f"{self._path.resolve()}\n{self._root.resolve()}\n{digest.hexdigest()}"


class Live(Source):
    """A recipe drawn while training: sample i is that of the recipe's stream, so it never repeats.

    Args:
        config: a source with a recipe; its overrides come last.
        seed: of the stream, in the place of the recipe's own.
        height: of the pictures in pixels, in the place of the recipe's own.
        charset: dictionary that texts keep to where the recipe names none.

    Raises:
        ScriptoriumError: the recipe, or what it names, cannot be used.
    """

    def __init__(self, config: SourceConfig, seed: int, height: int, charset: Path | None) -> None:
        from synth.pipeline import Pipeline
        from synth.recipe import Recipe

        assert config.recipe is not None
        self.name = config.name
        overrides = [f"seed={seed}", f"layout.height={height}", *config.overrides]
        if config.fonts:
            overrides.insert(0, "fonts.paths=" + json.dumps([str(path) for path in config.fonts]))
        recipe = Recipe.load(config.recipe, corpus=config.corpus, overrides=overrides)
        if charset is not None and recipe.corpus.charset is None:
            recipe = recipe.model_copy(update={"corpus": recipe.corpus.model_copy(update={"charset": charset})})
        if recipe.task != "rec":
            raise ScriptoriumError(
                f"source {config.name}: recipe {config.recipe} draws pages; a live source wants one that draws lines"
            )
        self._pipeline: Pipeline = Pipeline(recipe)

    @property
    def warnings(self) -> list[str]:
        """What is odd about the recipe; see `Pipeline.warnings`."""
        return self._pipeline.warnings

    def sample(self, index: int) -> Sample:
        """See `Source.sample`."""
        return self.samples([index])[0]

    def samples(self, indexes: Sequence[int]) -> list[Sample]:
        """Some samples: those that `sample` gives one by one, in less time. Raises ScriptoriumError."""
        keys = [f"{self.name}: sample {index}" for index in indexes]
        made = zip(self._pipeline.samples(indexes), keys, strict=True)
        return [Sample(decode(sample.encoded, key), sample.text, key) for sample, key in made]

    def length(self, index: int) -> int:
        """Units of the text that sample `index` tries first: what its width will be like."""
        return len(self._pipeline.first_text(index).units)


def open_source(
    config: SourceConfig, seed: int = 0, height: int = 32, charset: Path | None = None
) -> FileSource | Live:
    """Open what a configuration describes.

    Args:
        config: see `SourceConfig`.
        seed, height, charset: of a live source; see `Live`.

    Raises:
        ScriptoriumError: there is nothing, or nothing of use.
    """
    if config.recipe is not None:
        return Live(config, seed, height, charset)
    path = config.path
    assert path is not None
    if path.is_dir():
        labels = next((path / name for name in LABEL_FILES if (path / name).is_file()), None)
        if labels is None and next(path.rglob("data.mdb"), None) is None:
            raise ScriptoriumError(
                f"source {config.name}: {path} holds neither LMDBs (data.mdb) nor a label file "
                f"({', '.join(LABEL_FILES)}); name a data set"
            )
    elif path.is_file():
        labels = path
    else:
        raise ScriptoriumError(f"source {config.name}: {path} is not there; name a data set or a label file")
    source: FileSource
    if labels is not None:
        source = LabelFile(config.name, labels, config.root or labels.parent, config.limit)
    else:
        source = Shards(config.name, path, config.limit)
    if not len(source):
        raise ScriptoriumError(f"source {config.name}: {path} holds no samples; name another")
    return source


def decode(data: bytes, key: str) -> NDArray[np.uint8]:
    """A picture as `ocr.infer.images.decode` gives it: training sees what prediction sees. Raises BrokenSample."""
    try:
        return images.decode(data, key)
    except images.BadImage as error:
        raise BrokenSample(key, str(error).removeprefix(f"{key}: ")) from None


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
