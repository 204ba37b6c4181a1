"""Join data sets."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from augment.errors import ScriptoriumError
from synth.report.summary import quoted
from synth.shards.manifest import NAME, VERSION, finished, read_manifest, shard_name, write_manifest
from synth.shards.reader import ShardReader
from synth.shards.record import Tally, pack_frame
from synth.shards.writer import ShardWriter, claim, replace_folder, writing

_SHARD_SIZE = 16384
_BATCH = 1024


def merge(
    inputs: Sequence[str | Path], output: str | Path, *, shard_size: int = _SHARD_SIZE, progress: bool = True
) -> int:
    """Copy complete LMDB data sets, one after the other, into a new one, which appears when all is copied.

    Its manifest lists, for each source, the SHA-256 of its manifest, and sums up their totals; the records of every
    source shard are compared with that shard's digest on the way.

    Args:
        inputs: folders of data sets; all with unit polygons or all without, none twice.
        output: the folder to be; it must not exist, or be empty.
        shard_size: samples in a shard.
        progress: show a bar on stderr where that is a terminal.

    Returns:
        The number of samples in the new data set.

    Raises:
        ScriptoriumError: no input; an input that is no complete LMDB data set, or damaged; inputs that do not go
            together; an output that holds something else, lies in an input, or cannot be written.
    """
    output = Path(output)
    sources = [Path(path) for path in inputs]
    if not sources:
        raise ScriptoriumError("merge: no data sets; name at least one")
    for path in sources:
        if output.resolve().is_relative_to(path.resolve()):
            raise ScriptoriumError(f"{output}: lies in {path}, which is to be merged; name a new folder")
    manifests = [_complete(path) for path in sources]
    digests = [hashlib.sha256((path / NAME).read_bytes()).hexdigest() for path in sources]
    _all_different(sources, manifests, digests)
    _all_alike(sources)
    count = sum(int(manifest["count"]) for manifest in manifests)
    totals = Tally()
    for manifest in manifests:
        totals.add(Tally.from_json(manifest["totals"]))
    head = {
        "version": VERSION,
        "format": "lmdb",
        "count": count,
        "shard_size": shard_size,
        "sources": [
            {"manifest": digest, "count": manifest["count"]}
            for digest, manifest in zip(digests, manifests, strict=True)
        ],
    }
    with claim(output) as aside:
        if output.exists() and any(output.iterdir()):
            raise ScriptoriumError(f"{output}: holds other files; name a new folder")
        whole = aside / "data"
        made = aside / "making"
        with writing(aside):
            whole.mkdir()
            made.mkdir()
        infos = []
        with (
            closing(_frames(sources, manifests)) as frames,
            tqdm(total=count, unit="image", unit_scale=True, disable=not (progress and sys.stderr.isatty())) as bar,
        ):
            for number, start in enumerate(range(0, count, shard_size)):
                with closing(ShardWriter(made, shard_name(number), start)) as writer:
                    stop = min(start + shard_size, count)
                    while block := list(islice(frames, min(_BATCH, stop - start - writer.count))):
                        writer.add(b"".join(block), None)
                        bar.update(len(block))
                    infos.append(writer.finish())
                    writer.seal(whole)
            # Runs on to the end of the last source shard, where its digest is compared.
            next(frames, None)
        with writing(output):
            write_manifest(whole, finished(head, infos, totals), aside)
        replace_folder(whole, output)
    return count


def _complete(path: Path) -> dict[str, Any]:
    manifest = read_manifest(path)
    if manifest.get("format") != "lmdb":
        raise ScriptoriumError(f"{path}: plain files cannot be merged; generate the data set as LMDB")
    if not manifest["complete"]:
        raise ScriptoriumError(f"{path}: unfinished; finish it with --resume")
    return manifest


def _all_different(sources: Sequence[Path], manifests: Sequence[dict[str, Any]], digests: Sequence[str]) -> None:
    """ScriptoriumError where a data set stands twice, or alone and within a merged one."""
    seen: dict[str, Path] = {}
    for path, manifest, digest in zip(sources, manifests, digests, strict=True):
        for held in (digest, *(source["manifest"] for source in manifest.get("sources", ()))):
            if held in seen:
                raise ScriptoriumError(f"{path}: holds the same samples as {seen[held]}; name each data set once")
            seen[held] = path


def _all_alike(sources: Sequence[Path]) -> None:
    """ScriptoriumError where some data sets have unit polygons and others do not."""
    with_polygons: dict[bool, Path] = {}
    for path in sources:
        with closing(ShardReader(path)) as reader:
            with_polygons[bool(reader.frame(0)[3])] = path
    if len(with_polygons) == 2:
        raise ScriptoriumError(
            f"{with_polygons[True]}: has unit polygons, but {with_polygons[False]} has none; "
            "generate both with the same output.polygons"
        )


def _frames(sources: Sequence[Path], manifests: Sequence[dict[str, Any]]) -> Generator[bytes, None, None]:
    """The packed frames of all sources, in order; an error after a shard whose digest is not the manifest's."""
    for path, manifest in zip(sources, manifests, strict=True):
        for shard in manifest["shards"]:
            folder = path / shard["name"]
            digest = hashlib.sha256()
            with closing(ShardReader(folder)) as reader:
                for index in range(len(reader)):
                    frame = pack_frame(reader.frame(index))
                    digest.update(frame)
                    yield frame
            if digest.hexdigest() != shard["digest"]:
                raise ScriptoriumError(
                    f"{folder}: damaged, its digest is not the manifest's; run `synth verify {quoted(path)}`"
                )
