"""Batches in order, prepared ahead by other processes.

Of n processes each prepares every n-th batch, plan and all, and sends it through a pipe of its own. So there is nothing
to hand out, no shared memory, and a process that has lost its reader ends by itself.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import queue
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, cycle
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Protocol, cast

from augment.errors import ScriptoriumError
from ocr.data.index import too_many_broken
from ocr.data.sampler import Planned

_NAMED = 5
_EMPTY = 100  # batches in a row

Plan = Callable[[int], Planned]


class Prepared(Protocol):
    """What the loader looks at in a batch.

    Attributes:
        texts: one for each sample that could be used.
        skipped: records that could not: number of the source, name, what is wrong.
    """

    @property
    def texts(self) -> list[str]:
        """One for each sample that could be used."""
        ...

    skipped: list[tuple[int, str, str]]


Prepare = Callable[[int, Planned], Prepared]


class Loader:
    """Iterates over the batches of a plan from some step on, without an end.

    Args:
        plan: the batch of a step, in draws; pickled for the processes, as `prepare` is.
        prepare: makes a batch of draws.
        names: of the sources.
        sizes: samples of each source; 0 for one without an end.
        workers: processes that prepare batches; 0: this one does, when a batch is asked for.
        prefetch: batches prepared ahead, beside those under way; each process holds one at least.
        start: the first step.
        log: where names of broken records go.

    Attributes:
        waited: seconds spent waiting for batches so far.
        skipped: broken records by number of the source.

    Raises:
        ScriptoriumError: the processes cannot be started.
    """

    def __init__(
        self,
        plan: Plan,
        prepare: Prepare,
        names: Sequence[str],
        sizes: Sequence[int],
        workers: int,
        prefetch: int,
        start: int,
        log: Callable[[str], None],
    ) -> None:
        self.waited = 0.0
        self.skipped: Counter[int] = Counter()
        self._plan, self._prepare = plan, prepare
        self._names, self._sizes, self._log = names, sizes, log
        self._step = start
        self._seen: set[tuple[int, str]] = set()
        self._workers: list[tuple[SpawnProcess, Connection]] = []
        atexit.register(self.close)
        try:
            for number in range(workers):
                self._start(start + number, workers, max(1, prefetch // workers))
        except OSError as error:
            self.close()
            raise ScriptoriumError(
                f"Train.loader.num_workers: {workers} processes cannot be started ({error.strerror or error}); "
                "set it lower (0: batches are prepared in the training process), or let the machine have more processes"
            ) from None
        self._turns = cycle(self._workers)

    def _start(self, first: int, stride: int, depth: int) -> None:
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        with sender:  # the process has a copy; with ours closed, the pipe ends when it does
            process = context.Process(
                target=_work, args=(sender, self._plan, self._prepare, first, stride, depth), daemon=True
            )
            try:
                with _deaf():
                    process.start()
            except BaseException:
                receiver.close()
                raise
        self._workers.append((process, receiver))

    def __iter__(self) -> Iterator[Any]:
        while True:
            began = time.perf_counter()
            batch = self._next()
            self._note(batch)
            ahead = self._step
            # Where nothing of a batch can be used, that of a later step takes its place, whoever asks for it.
            while not batch.texts:
                ahead += 1
                if ahead - self._step > _EMPTY:
                    raise ScriptoriumError(
                        f"{_EMPTY} batches in a row hold nothing that can be used; check the data with `ocr audit`"
                    )
                batch = self._prepare(ahead, self._plan(ahead))
                self._note(batch)
            self._step += 1
            self.waited += time.perf_counter() - began
            yield batch

    def _next(self) -> Prepared:
        if not self._workers:
            return self._prepare(self._step, self._plan(self._step))
        process, receiver = next(self._turns)
        try:
            found = receiver.recv()
        except (EOFError, OSError):
            process.join()
            raise ScriptoriumError(_obituary(process.exitcode)) from None
        if isinstance(found, Exception):
            raise found
        return cast(Prepared, found)

    def _note(self, batch: Prepared) -> None:
        """Count broken records, name the first, and stop where they are too many."""
        for number, key, reason in batch.skipped:
            if (number, key) in self._seen:
                continue
            self._seen.add((number, key))
            self.skipped[number] += 1
            found, size = self.skipped[number], self._sizes[number]
            if found <= _NAMED:
                self._log(f"skipped  {key}: {reason}")
            if too_many_broken(found, size):
                raise ScriptoriumError(
                    f"source {self._names[number]}: {found} records cannot be used, the last is {key} ({reason}); "
                    "more than 1 % is too many: check the data with `ocr audit`"
                )

    def close(self) -> None:
        """End the processes."""
        atexit.unregister(self.close)
        for process, receiver in self._workers:
            receiver.close()
            process.kill()
            process.join()
        self._workers.clear()


@contextmanager
def _deaf() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM; a process started meanwhile never gets them, for it inherits that."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _obituary(code: int | None) -> str:
    reasons = {
        -signal.SIGKILL: "it was killed, perhaps for want of memory: set Train.loader.num_workers or prefetch lower",
        -signal.SIGBUS: "a file was cut short while it was read: leave the data alone while they are trained on",
    }
    said = reasons.get(code or 0, f"its messages above say more, its code is {code}")
    return f"a process that prepares batches died ({said}); go on with --resume"


def _work(sender: Connection, plan: Plan, prepare: Prepare, first: int, stride: int, depth: int) -> None:
    """The life of a process: prepare batches until nobody reads them."""
    import cv2

    # Ctrl-C and a scheduler's SIGTERM reach all processes; it is for the training process to end the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    cv2.setNumThreads(1)
    ahead: queue.Queue[Prepared | Exception] = queue.Queue(depth)
    sending = threading.Thread(target=_send, args=(sender, ahead))
    sending.start()
    try:
        for step in count(first, stride):
            ahead.put(prepare(step, plan(step)))
    except Exception as error:
        if not isinstance(error, ScriptoriumError):
            error.add_note(traceback.format_exc())  # tracebacks do not come through the pipe
        ahead.put(error)
    sending.join()


def _send(sender: Connection, ahead: queue.Queue[Prepared | Exception]) -> None:
    try:
        while True:
            item = ahead.get()
            sender.send(item)
            if isinstance(item, Exception):
                break
    except OSError:
        pass  # the training process has ended, or wants no more
    os._exit(0)
