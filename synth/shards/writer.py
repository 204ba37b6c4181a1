"""Write shards (LMDB) or a folder of images: aside first, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import lmdb

from augment.errors import ScriptoriumError
from synth.shards.manifest import ShardInfo, sync_folder
from synth.shards.record import Frame, Tally, pack_frame, unpack_block, unpack_polygons

_FIRST_MAP = 16 << 20
_BATCH = 4096
SIDECARS = ("meta.jsonl", "polygons.jsonl")
"""What `FolderWriter` writes beside images and labels, where the records have it."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


class WriteError(ScriptoriumError):
    """The output cannot be written: disk full, read-only, broken."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk or LMDB says into a `WriteError` that names the path and the remedy."""
    try:
        yield
    except (OSError, lmdb.Error) as error:
        full = isinstance(error, lmdb.DiskError) or (isinstance(error, OSError) and error.errno in _FULL)
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        remedy = "free space" if full else "mend that or use another output folder"
        raise WriteError(f"{path}: cannot write: {said}; {remedy}") from error


@contextmanager
def claim(output: Path) -> Iterator[Path]:
    """Hold a data set's folder against other runs; yields an empty folder beside it, on the same file system.

    What is to appear in `output` is made there and then renamed, so that readers never see it in part, and nothing but
    finished shards is ever a folder inside `output`. Lock and folder are gone at the end; a killed run leaves them
    behind (`.NAME.lock`, `.NAME.partial`), and the next run takes them over.

    Raises:
        ScriptoriumError: another run writes there, the place cannot be written, its name is not UTF-8, or it is a mount
            point.
    """
    output = output.resolve()
    try:
        str(output).encode()
    except UnicodeEncodeError:
        raise ScriptoriumError(f"{output}: a name that is not UTF-8; name another folder") from None
    with writing(output):
        if output.exists() and not output.is_dir():
            raise ScriptoriumError(f"{output}: is a file; name a folder")
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.exists() and output.stat().st_dev != output.parent.stat().st_dev:
            raise ScriptoriumError(f"{output}: is a mount point, and shards are written beside it; name a folder in it")
        if output.exists() and not os.access(output, os.W_OK):
            raise ScriptoriumError(f"{output}: cannot write there; change its rights or name another folder")
        lock_path = output.parent / f".{output.name}.lock"
        lock = _lock(lock_path, output)
    aside = output.parent / f".{output.name}.partial"
    try:
        with writing(aside):
            if aside.exists():
                shutil.rmtree(aside)
            aside.mkdir()
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        with suppress(OSError):  # Windows removes no open file
            lock_path.unlink()
        os.close(lock)


def _lock(path: Path, output: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(handle)
            raise ScriptoriumError(f"{output}: another run is writing there; wait for it or stop it") from None
        # The run before may have removed the file between our opening and our locking it.
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(handle)):
                return handle
        os.close(handle)


class ShardWriter:
    """One shard in the making, in the folder `aside/name`.

    Keys are those of PaddleOCR and deep-text-recognition-benchmark, counted from 1 in every shard: `num-samples`,
    `image-%09d`, `label-%09d`; beside them `meta-%09d` and `polygons-%09d` where the record has them, and `shard`
    (`ShardInfo`). Images are written as they come; the small values wait in memory for their turn in the order of keys,
    because LMDB packs pages full, and is quicker, when it only ever appends.
    """

    def __init__(self, aside: Path, name: str, first: int) -> None:
        self.folder = aside / name
        self.count = 0
        self._first = first
        self._tally: Tally | None = None
        self._digest = hashlib.sha256()
        self._small: dict[str, list[tuple[bytes, bytes]]] = {"label": [], "meta": [], "polygons": []}
        with writing(self.folder):
            self.folder.mkdir()
            self._map = _FIRST_MAP
            self._env = lmdb.open(
                str(self.folder), map_size=self._map, lock=False, sync=False, metasync=False, readahead=False
            )

    def add(self, block: bytes, tally: Tally | None) -> None:
        """Write a run of packed frames (`record.pack_block`) and add up what was counted."""
        self._digest.update(block)
        if tally is not None:
            self._tally = self._tally or Tally()
            self._tally.add(tally)
        images = []
        number = self.count
        labels, metas, polygons = self._small.values()
        for number, frame in enumerate(unpack_block(block), self.count + 1):
            images.append((b"image-%09d" % number, frame[0]))
            labels.append((b"label-%09d" % number, frame[1]))
            if frame[2]:
                metas.append((b"meta-%09d" % number, frame[2]))
            if frame[3]:
                polygons.append((b"polygons-%09d" % number, frame[3]))
        self.count = number
        self._put(images)

    def finish(self) -> ShardInfo:
        """Write what is left; the shard can then be sealed."""
        info = ShardInfo(self._first, self.count, self._digest.hexdigest(), self._tally)
        labels, metas, polygons = self._small.values()
        self._put(labels)
        self._put([*metas, (b"num-samples", b"%d" % self.count)])
        self._put([*polygons, (b"shard", info.dump())])
        self._small.clear()
        return info

    def seal(self, output: Path) -> None:
        """Bring the shard to the disk and rename it into `output`. May run in another thread."""
        with writing(output):
            self._env.sync(True)
            self._env.close()
            sync_folder(self.folder)
            self.folder.rename(output / self.folder.name)
            sync_folder(output)

    def close(self) -> None:
        """Let go of the files; what was written stays aside for its owner to remove."""
        self._env.close()

    def _put(self, items: list[tuple[bytes, bytes]]) -> None:
        with writing(self.folder):
            for start in range(0, len(items), _BATCH):
                batch = items[start : start + _BATCH]
                while True:
                    try:
                        with self._env.begin(write=True) as transaction:
                            transaction.cursor().putmulti(batch, append=True)
                        break
                    except lmdb.MapFullError:
                        self._map *= 2
                        self._env.set_mapsize(self._map)


class FolderWriter:
    """A data set as plain files, in a folder made aside.

    `images/000000001.jpg` ... counted from 1; `labels.tsv` (path, TAB, text); `meta.jsonl` and `polygons.jsonl` (path,
    ends, shared, polygons as in `pack_polygons`) where records have them, one line for each image that has some.
    The digest is the SHA-256 of the packed frames of image and label alone, then the bytes of `meta.jsonl` and
    `polygons.jsonl` where they exist.
    """

    def __init__(self, aside: Path) -> None:
        self.folder = aside / "data"
        self.count = 0
        self.tally = Tally()
        self._digest = hashlib.sha256()
        with writing(self.folder):
            (self.folder / "images").mkdir(parents=True)

    def add(self, block: bytes, tally: Tally) -> None:
        """Write a run of packed frames (`record.pack_block`) and add up what was counted."""
        self.tally.add(tally)
        lines: dict[str, list[str]] = {"labels.tsv": [], "meta.jsonl": [], "polygons.jsonl": []}
        with writing(self.folder):
            for frame in unpack_block(block):
                self.count += 1
                self._add_one(frame, lines)
            for name, rows in lines.items():
                if rows:
                    with (self.folder / name).open("a", encoding="utf-8", newline="\n") as file:
                        file.writelines(rows)

    def _add_one(self, frame: Frame, lines: dict[str, list[str]]) -> None:
        image, label, meta, polygons = frame
        path = f"images/{self.count:09d}{_suffix(image)}"
        (self.folder / path).write_bytes(image)
        self._digest.update(pack_frame((image, label, b"", b"")))
        text = label.decode()
        if "\t" in text or "\n" in text or "\r" in text:
            raise ValueError(f"sample {self.count - 1}: a label with a tab or line break has no place in labels.tsv")
        lines["labels.tsv"].append(f"{path}\t{text}\n")
        if meta:
            lines["meta.jsonl"].append(json.dumps({"image": path} | json.loads(meta), ensure_ascii=False) + "\n")
        if polygons:
            corners, shared, ends = unpack_polygons(polygons)
            row = {"image": path, "ends": ends.tolist(), "shared": shared.tolist(), "polygons": corners.tolist()}
            lines["polygons.jsonl"].append(json.dumps(row) + "\n")

    def finish(self) -> ShardInfo:
        """What was written, described as one shard."""
        for name in SIDECARS:
            if (self.folder / name).exists():
                self._digest.update((self.folder / name).read_bytes())
        return ShardInfo(0, self.count, self._digest.hexdigest(), self.tally)

    def seal(self, output: Path) -> None:
        """Bring the files to the disk and rename the folder to `output`, which may exist but must be empty."""
        replace_folder(self.folder, output)


def replace_folder(folder: Path, output: Path) -> None:
    """Bring everything to the disk and rename `folder` to `output`, which may exist but must be empty."""
    with writing(output):
        if hasattr(os, "sync"):
            os.sync()  # one call for all files: an fsync each would take longer than making them
        if output.exists():
            output.rmdir()
        folder.rename(output)
        sync_folder(output.parent)


def _suffix(image: bytes) -> str:
    if image[:2] == b"\xff\xd8":
        return ".jpg"
    if image[:8] == b"\x89PNG\r\n\x1a\n":
        return ".png"
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return ".webp"
    raise ValueError("an image that is neither JPEG, PNG nor WebP")
