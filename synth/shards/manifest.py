"""The data-set manifest and what a shard says of itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augment.errors import ScriptoriumError
from synth.shards.record import Tally

VERSION = 1
"""Version of the layout of shards and manifest."""

NAME = "manifest.json"

_RESULTS = {"complete", "shards", "digest", "totals"}


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """What a shard says of itself, under its key `shard`.

    Attributes:
        first: index in the data set of its first sample.
        count: number of samples.
        digest: SHA-256, in hexadecimal, of the packed frames (`record.pack_frame`) in order.
        tally: drops and units counted while it was made; None in merged data sets, which know only the totals.
    """

    first: int
    count: int
    digest: str
    tally: Tally | None

    def dump(self) -> bytes:
        """JSON in UTF-8."""
        data: dict[str, Any] = {"version": VERSION, "first": self.first, "count": self.count, "digest": self.digest}
        if self.tally is not None:
            data |= self.tally.to_json()
        return json.dumps(data, ensure_ascii=False).encode()

    @classmethod
    def load(cls, data: bytes) -> ShardInfo:
        """The inverse of `dump`. Raises ValueError when the bytes are something else, or of another version."""
        try:
            found = json.loads(data)
            if found["version"] != VERSION:
                raise ValueError(f"layout version {found['version']}, known here is {VERSION}")
            tally = Tally.from_json(found) if "drops" in found else None
            return cls(int(found["first"]), int(found["count"]), str(found["digest"]), tally)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a shard's description: {error!r}") from error


def shard_name(number: int) -> str:
    """Folder of a shard inside its data set, numbered from 0."""
    return f"shard-{number:05d}"


def normalised(head: dict[str, Any]) -> dict[str, Any]:
    """A manifest's head as JSON gives it back: tuples are lists, keys are strings. TypeError for what JSON lacks."""
    result: dict[str, Any] = json.loads(json.dumps(head, ensure_ascii=False))
    return result


def finished(head: dict[str, Any], shards: Iterable[ShardInfo], totals: Tally) -> dict[str, Any]:
    """The manifest of a complete data set. It holds nothing of the machine, the time, or the number of workers."""
    listed = [
        {"name": shard_name(number), "first": shard.first, "count": shard.count, "digest": shard.digest}
        for number, shard in enumerate(shards)
    ]
    return head | {"complete": True, "shards": listed, "totals": totals.to_json()}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read `manifest.json` of a data set.

    Raises:
        ScriptoriumError: missing, not JSON, not a manifest, or of another version.
    """
    path = folder / NAME
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ScriptoriumError(f"{folder}: has no {NAME}; name the folder of a data set") from None
    except OSError as error:
        raise ScriptoriumError(f"{path}: {error.strerror}; check the path and its rights") from None
    except ValueError as error:
        raise ScriptoriumError(f"{path}: not JSON ({error}); generate the data set again") from None
    if not isinstance(manifest, dict) or "complete" not in manifest or "version" not in manifest:
        raise ScriptoriumError(f"{path}: not the manifest of a data set; name another folder")
    if manifest["version"] != VERSION:
        raise ScriptoriumError(f"{path}: layout version {manifest['version']}, known here is {VERSION}")
    return manifest


def first_difference(old: Any, new: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """Where two JSON values first differ: (dotted key path, old value, new value); None when equal.

    A key that only one side has shows None on the other.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        keys: list[Any] = [*old, *(key for key in new if key not in old)]
        pairs = [(key, old.get(key), new.get(key)) for key in keys]
    elif isinstance(old, list) and isinstance(new, list):
        longest = range(max(len(old), len(new)))
        pairs = [(i, old[i] if i < len(old) else None, new[i] if i < len(new) else None) for i in longest]
    else:
        return None if old == new else (path, old, new)
    for key, before, after in pairs:
        if before != after:
            return first_difference(before, after, f"{path}.{key}" if path else str(key))
    return None


def same_head(old: dict[str, Any], new: dict[str, Any], where: Path) -> None:
    """Make sure that a run goes on with what it was begun with.

    Raises:
        ScriptoriumError: names the first key that differs, with both values.
    """
    found = first_difference({key: value for key, value in old.items() if key not in _RESULTS}, new)
    if found is None:
        return
    path, before, after = found
    remedy = "use what it was begun with, or another output folder"
    if path == "count":
        remedy = "a data set's count is fixed; generate more with another seed and join them with `synth merge`"
    raise ScriptoriumError(f"{where}: {path} was {_short(before)}, now {_short(after)}: cannot resume; {remedy}")


def _short(value: Any) -> str:
    text = "absent" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk; POSIX only, elsewhere the system does it by itself."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_file(path: Path, text: str, aside: Path) -> None:
    """Write a text file whole or not at all: first into the folder `aside` (same file system), then renamed."""
    partial = aside / path.name
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def write_manifest(folder: Path, manifest: dict[str, Any], aside: Path) -> None:
    """Write `manifest.json` of a data set whole or not at all; the same manifest gives the same bytes."""
    write_file(folder / NAME, json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True) + "\n", aside)
