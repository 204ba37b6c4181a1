"""Run a block maker over an index range, in process or in worker processes, into a data set that survives any kill."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import pickle
import re
import shutil
import signal
import struct
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, Protocol

import lmdb
from tqdm import tqdm

from augment.errors import ScriptoriumError
from synth.shards.manifest import (
    VERSION,
    ShardInfo,
    finished,
    normalised,
    read_manifest,
    same_head,
    shard_name,
    write_file,
    write_manifest,
)
from synth.shards.reader import OpenShard
from synth.shards.record import Record, Tally, pack_block
from synth.shards.writer import FolderWriter, ShardWriter, WriteError, claim, writing

BLOCK = 256
"""Samples dealt to a worker at a time."""

SHARD_SIZE = 64 * BLOCK
"""Samples in a shard."""

MOST = 10**12
"""Samples in a data set."""

_AHEAD = (
    2  # blocks that one worker has before it: one in the making, one waiting, so that it never waits for the parent
)
_TASK = struct.Struct("<QQ")
_DONE, _REFUSED, _FAILED = b"D", b"R", b"F"

Format = Literal["lmdb", "folder"]
_Range = tuple[int, int]
_Made = tuple[int, int, Tally, bytes]


class BlockMaker(Protocol):
    """Makes records; a pure function of the indexes. Built once in each process that makes some."""

    def block(self, start: int, stop: int) -> Sequence[Record]:
        """The records from `start` to `stop` (exclusive), in order."""


class Interrupted(ScriptoriumError):
    """A `KeyboardInterrupt`: Ctrl-C, or whatever signal the caller has made into one."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run has brought.

    Attributes:
        output: the data set.
        count: samples in it.
        kept: how many of them an earlier run had made.
        shards: number of shards; 0 for plain files.
        drops: refused attempts by reason, over the whole data set.
        missing: characters that no font or character set has, and how often a text with one was refused.
        units: how often each unit stands in the labels.
        bytes: size of the files.
        seconds: duration of this run.
    """

    output: Path
    count: int
    kept: int
    shards: int
    drops: dict[str, int]
    missing: dict[str, int]
    units: dict[str, int]
    bytes: int
    seconds: float


def generate(
    make: Callable[[], BlockMaker],
    output: Path,
    count: int,
    *,
    manifest_head: dict[str, Any],
    recipe_text: str | None = None,
    shard_size: int = SHARD_SIZE,
    workers: int = 1,
    resume: bool = False,
    format: Format = "lmdb",
    progress: bool = True,
) -> Summary:
    """Make samples 0 to `count` - 1 and write them to `output`.

    The same `make`, head, count and shard size give the same records in the same shards, and the same manifest byte for
    byte, for any number of workers, interrupted and resumed or not. Workers are started by `spawn`: a script that calls
    this with more than one needs the usual `if __name__ == "__main__":`. They end with the parent, however it ends.

    Args:
        make: builds the maker of records; picklable when there is more than one worker.
        output: folder to be; may exist if it is empty, or, to resume, if an earlier run began it.
        count: number of samples, 1 to `MOST`.
        manifest_head: what the data set is made from, as JSON values (recipe, seed, digests of the inputs, versions):
            the manifest keeps it, and resuming with another is refused.
        recipe_text: stored beside the manifest as `recipe.yaml`.
        shard_size: samples in a shard, a multiple of `BLOCK`.
        workers: processes; up to 1, everything happens in this one.
        resume: keep the shards that an earlier run finished and make the rest. Plain files appear only when all are
            made, so for `folder` an unfinished run starts anew.
        format: `lmdb`, or `folder` for images and `labels.tsv` (see `FolderWriter`).
        progress: show a bar on stderr where that is a terminal.

    Raises:
        ScriptoriumError: bad arguments, an output that holds something else, another recipe or count on resuming, a
            full or read-only disk, a worker that died, Ctrl-C (`Interrupted`), or whatever the maker raises so. Shards
            finished until then stay, and nothing else; where the maker fails before there is one, nothing does.
        RuntimeError: the maker failed in a worker in any other way; the message shows the worker's traceback.
    """
    started = time.monotonic()
    if count < 1:
        raise ScriptoriumError(f"count is {count}: at least 1 sample")
    if count > MOST:
        raise ScriptoriumError(f"count is {count:,}: at most {MOST:,} samples; make several data sets by --seed")
    if shard_size < BLOCK or shard_size % BLOCK:
        raise ScriptoriumError(f"shard size is {shard_size}: a multiple of {BLOCK}")
    head = {"version": VERSION, "format": format, "count": count} | normalised(manifest_head)
    if format == "lmdb":
        head["shard_size"] = shard_size
    with claim(output) as aside:
        existed = output.exists()
        begun = _begun(output, head, resume)
        if format == "folder":
            run: _Run = _FolderRun(output, aside, head, recipe_text, complete=begun)
        else:
            run = _ShardRun(output, aside, head, recipe_text)
        # No more of them than there are blocks to make.
        workers = min(workers, -(-(count - run.kept) // BLOCK))
        bar = tqdm(
            total=count, initial=run.kept, unit="image", unit_scale=True, disable=not (progress and sys.stderr.isatty())
        )
        try:
            with bar, run, closing(_made(make, run.blocks(), workers)) as made:
                for start, stop, tally, block in made:
                    run.add(start, stop, tally, block)
                    bar.update(stop - start)
                run.finish()
        except WriteError as error:
            raise WriteError(f"{error}, then {_again(run, count)}") from error.__cause__
        except _WorkerDied as error:
            raise ScriptoriumError(f"{error}; {_again(run, count)}") from None
        except ScriptoriumError:
            if not begun and not run.safe:
                _clear(output, existed)
            raise
        except KeyboardInterrupt:
            raise Interrupted(f"{output}: interrupted; {_again(run, count)}") from None
    return Summary(
        output=output,
        count=count,
        kept=run.kept,
        shards=run.shards,
        **run.totals.to_json(),
        bytes=sum(file.stat().st_size for file in output.rglob("*") if file.is_file()),
        seconds=time.monotonic() - started,
    )


def _again(run: _Run, count: int) -> str:
    return f"run the same again with --resume ({run.safe} of {count} samples are safe)"


def _clear(output: Path, existed: bool) -> None:
    """Take away what a run without a sample has written: it would only be in the way of the next one."""
    for name in ("manifest.json", "recipe.yaml"):
        (output / name).unlink(missing_ok=True)
    if not existed:
        with suppress(OSError):  # somebody has put something there, or it was never made
            output.rmdir()


def _begun(output: Path, head: dict[str, Any], resume: bool) -> bool:
    """Whether `output` holds a data set with this head already; ScriptoriumError if it holds anything else."""
    if not output.exists() or not any(output.iterdir()):
        return False
    try:
        old = read_manifest(output)
    except ScriptoriumError as error:
        raise ScriptoriumError(f"{output}: holds other files ({error}); name a new folder") from None
    if not resume:
        state = "a complete data set;" if old["complete"] else "an unfinished data set: go on with --resume, or"
        raise ScriptoriumError(f"{output}: holds {state} name a new folder")
    same_head(old, head, output)
    return True


class _Run(Protocol):
    """Where the blocks go."""

    kept: int
    safe: int
    shards: int
    totals: Tally

    def blocks(self) -> Iterator[_Range]: ...
    def add(self, start: int, stop: int, tally: Tally, block: bytes) -> None: ...
    def finish(self) -> None: ...
    def __enter__(self) -> Any: ...
    def __exit__(self, *error: object) -> None: ...


def _cut(start: int, stop: int) -> Iterator[_Range]:
    return ((at, min(at + BLOCK, stop)) for at in range(start, stop, BLOCK))


class _ShardRun:
    """Blocks into shards; each is sealed by a thread of its own kind while the next one is begun."""

    def __init__(self, output: Path, aside: Path, head: dict[str, Any], recipe_text: str | None) -> None:
        self._output, self._aside, self._head = output, aside, head
        self._size, self._count = int(head["shard_size"]), int(head["count"])
        self._infos: dict[int, ShardInfo] = {}
        self._writer: ShardWriter | None = None
        self._sealing: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1)
        self.totals = Tally()
        self.kept = 0
        self.shards = -(-self._count // self._size)
        with writing(output):
            output.mkdir(exist_ok=True)
            if not (output / "manifest.json").exists():
                write_manifest(output, head | {"complete": False}, aside)
            if recipe_text is not None:
                write_file(output / "recipe.yaml", recipe_text, aside)
            self._take_stock()
        self.safe = self.kept

    def _range(self, shard: int) -> _Range:
        return shard * self._size, min((shard + 1) * self._size, self._count)

    def _take_stock(self) -> None:
        # Whatever the count, only what is there is looked at.
        for folder in sorted(path for path in self._output.iterdir() if path.is_dir()):
            number = re.search(r"[0-9]+\Z", folder.name)
            shard = int(number[0]) if number else self.shards
            if shard >= self.shards or folder.name != shard_name(shard):
                raise ScriptoriumError(f"{folder}: a folder that is no shard of this data set; move it away")
            info = _described(folder, *self._range(shard))
            if info is None:
                damaged = self._aside / "damaged"
                folder.rename(damaged)
                shutil.rmtree(damaged)
            else:
                self._note(shard, info)
                self.kept += info.count

    def _note(self, shard: int, info: ShardInfo) -> None:
        # Added up at once: the counts of a million shards would fill the memory.
        if info.tally is not None:
            self.totals.add(info.tally)
        self._infos[shard] = replace(info, tally=None)

    def blocks(self) -> Iterator[_Range]:
        missing = (shard for shard in range(self.shards) if shard not in self._infos)
        return (block for shard in missing for block in _cut(*self._range(shard)))

    def add(self, start: int, stop: int, tally: Tally, block: bytes) -> None:
        shard = start // self._size
        if self._writer is None:
            self._writer = ShardWriter(self._aside, shard_name(shard), start)
        self._writer.add(block, tally)
        if stop == self._range(shard)[1]:
            self._note(shard, self._writer.finish())
            self._wait()
            self._sealing = self._thread.submit(self._seal, self._writer)
            self._writer = None

    def _seal(self, writer: ShardWriter) -> None:
        writer.seal(self._output)
        self.safe += writer.count

    def _wait(self) -> None:
        if self._sealing is not None:
            self._sealing.result()

    def finish(self) -> None:
        self._wait()
        infos = [self._infos[shard] for shard in range(self.shards)]
        with writing(self._output):
            write_manifest(self._output, finished(self._head, infos, self.totals), self._aside)

    def __enter__(self) -> _ShardRun:
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown()
        if self._writer is not None:
            self._writer.close()


def _described(folder: Path, start: int, stop: int) -> ShardInfo | None:
    """What a shard says of itself, if it is whole and holds the samples from `start` to `stop`."""
    try:
        with OpenShard(folder) as shard:
            count = shard.count()
            info = shard.info()
            ends = [shard.frame(number) for number in (1, count)]
    except (ScriptoriumError, ValueError, lmdb.Error):
        return None
    if info is None or info.tally is None or None in ends:
        return None
    return info if (info.first, info.count, count) == (start, stop - start, stop - start) else None


class _FolderRun:
    """Blocks into plain files, which appear when all are made."""

    def __init__(
        self, output: Path, aside: Path, head: dict[str, Any], recipe_text: str | None, complete: bool
    ) -> None:
        self._output, self._aside, self._head, self._recipe_text = output, aside, head, recipe_text
        self._complete = complete
        self._writer = FolderWriter(aside)
        self.totals = Tally.from_json(read_manifest(output)["totals"]) if complete else self._writer.tally
        self.kept = self.safe = int(head["count"]) if complete else 0
        self.shards = 0

    def blocks(self) -> Iterator[_Range]:
        return iter(()) if self._complete else _cut(0, int(self._head["count"]))

    def add(self, start: int, stop: int, tally: Tally, block: bytes) -> None:
        self._writer.add(block, tally)

    def finish(self) -> None:
        if self._complete:
            return
        info = self._writer.finish()
        with writing(self._output):
            if self._recipe_text is not None:
                write_file(self._writer.folder / "recipe.yaml", self._recipe_text, self._aside)
            manifest = self._head | {"complete": True, "digest": info.digest, "totals": self.totals.to_json()}
            write_manifest(self._writer.folder, manifest, self._aside)
        self._writer.seal(self._output)

    def __enter__(self) -> _FolderRun:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def _made(make: Callable[[], BlockMaker], blocks: Iterator[_Range], workers: int) -> Generator[_Made, None, None]:
    """The blocks, made, in order."""
    if workers > 1:
        yield from _made_by_workers(make, blocks, workers)
        return
    maker: BlockMaker | None = None
    for start, stop in blocks:
        maker = maker or make()
        tally, parts = pack_block(maker.block(start, stop), start, stop)
        yield start, stop, tally, b"".join(parts)


class _WorkerDied(Exception):
    """A worker ended without being asked to."""


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    line: Connection
    dealt: deque[_Range]

    def died(self) -> _WorkerDied:
        self.process.join(5)
        code = self.process.exitcode
        how = f"ended with status {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
            how += " (often: out of memory; try fewer workers)" if code == -9 else ""
        if self.dealt:
            start, stop = self.dealt[0]
            how += f" while making samples {start} to {stop - 1}"
        return _WorkerDied(f"a worker {how}")


def _made_by_workers(
    make: Callable[[], BlockMaker], blocks: Iterator[_Range], workers: int
) -> Generator[_Made, None, None]:
    crew: list[_Worker] = []
    done = False
    try:
        _start(crew, make, workers)
        # Only so far ahead that finished blocks cannot pile up.
        window = deque(islice(blocks, workers * _AHEAD * 2))
        undealt = deque(window)
        ready: dict[_Range, tuple[Tally, bytes]] = {}
        while window:
            wanted = window[0]
            while True:
                # Deal to whoever has least before it.
                while undealt:
                    worker = min(crew, key=lambda worker: len(worker.dealt))
                    if len(worker.dealt) >= _AHEAD:
                        break
                    worker.dealt.append(undealt.popleft())
                    try:
                        worker.line.send_bytes(_TASK.pack(*worker.dealt[-1]))
                    except OSError:
                        raise worker.died() from None
                if wanted in ready:
                    break
                lines = multiprocessing.connection.wait([worker.line for worker in crew])
                for worker in crew:
                    if worker.line in lines:
                        try:
                            message = worker.line.recv_bytes()
                        except (EOFError, OSError):
                            raise worker.died() from None
                        ready[worker.dealt.popleft()] = _opened(message)
            yield *wanted, *ready.pop(wanted)
            window.popleft()
            for block in islice(blocks, 1):
                window.append(block)
                undealt.append(block)
        done = True
    finally:
        for worker in crew:
            worker.line.close()
            if not done:
                worker.process.kill()
        for worker in crew:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _start(crew: list[_Worker], make: Callable[[], BlockMaker], workers: int) -> None:
    context = multiprocessing.get_context("spawn")
    masked = hasattr(signal, "pthread_sigmask")
    if masked:
        # Ctrl-C and `timeout` reach every process of the group; they are the parent's business. The mask is inherited,
        # so that no worker prints a traceback while it starts. The resource tracker would undo it: it starts first.
        resource_tracker.ensure_running()
        old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    try:
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(make, theirs), daemon=True)
            process.start()
            # Closed here, so that the worker's death shows as the end of the line.
            theirs.close()
            crew.append(_Worker(process, ours, deque()))
    finally:
        if masked:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _opened(message: bytes) -> tuple[Tally, bytes]:
    kind, length = message[:1], int.from_bytes(message[1:5], "little")
    if kind == _DONE:
        return pickle.loads(message[5 : 5 + length]), message[5 + length :]
    text = message[5:].decode()
    if kind == _REFUSED:
        raise ScriptoriumError(text)
    raise RuntimeError(f"a worker failed:\n{text}")


def _work(make: Callable[[], BlockMaker], line: Connection) -> None:
    """A worker: answers each block asked for with one message, until the line ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(ImportError):
        import cv2

        cv2.setNumThreads(1)
    maker: BlockMaker | None = None
    while True:
        try:
            start, stop = _TASK.unpack(line.recv_bytes())
        except (EOFError, OSError):
            return
        try:
            maker = maker or make()
            tally, parts = pack_block(maker.block(start, stop), start, stop)
            head = pickle.dumps(tally)
            # One message of one piece: thousands of small objects would cost as much as making them.
            message = b"".join((_DONE, len(head).to_bytes(4, "little"), head, *parts))
        except ScriptoriumError as error:
            message = _REFUSED + bytes(4) + str(error).encode()
        except Exception:
            note = f"samples {start} to {stop - 1}\n{traceback.format_exc()}"
            message = _FAILED + bytes(4) + note.encode(errors="backslashreplace")
        try:
            line.send_bytes(message)
        except OSError:
            return
