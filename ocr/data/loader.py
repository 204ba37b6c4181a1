"""Batches in order, prepared ahead by other processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from augment.errors import ScriptoriumError
from ocr.data.index import too_many_broken
from ocr.data.prepare import Batch, Preparer
from ocr.data.sampler import Planned

_NAMED = 5
_EMPTY = 100

_preparer: Preparer | None = None


class Loader:
    """Iterates over the batches of a plan from some step on, without an end.

    Args:
        plan: the batch of a step, in draws.
        prepare: makes a batch of draws.
        names: of the sources.
        sizes: samples of each source; 0 for one without an end.
        workers: processes that prepare batches; 0: this one does, when a batch is asked for.
        prefetch: batches prepared ahead.
        start: the first step.
        log: where names of broken records go.

    Attributes:
        waited: seconds spent waiting for batches so far.
        skipped: broken records by number of the source.

    Raises:
        ScriptoriumError: the worker processes cannot be started.
    """

    def __init__(
        self,
        plan: Callable[[int], Planned],
        prepare: Preparer,
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
        self._step = self._planned = start
        self._seen: set[tuple[int, str]] = set()
        self._ahead: deque[Future[Batch]] = deque()
        self._depth = max(prefetch, workers)
        self._pool: ProcessPoolExecutor | None = None
        if workers:
            try:
                self._pool = ProcessPoolExecutor(
                    workers, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(prepare,)
                )
                self._fill()
            # Semaphores live in shared memory; threads that cannot be started are a RuntimeError.
            except (OSError, ImportError, NotImplementedError, RuntimeError) as error:
                self.close()
                raise ScriptoriumError(
                    f"Train.loader.num_workers: {workers} processes cannot be started "
                    f"({getattr(error, 'strerror', None) or error}); set it to 0, or give the machine more shared "
                    "memory (/dev/shm) and processes"
                ) from None

    def __iter__(self) -> Iterator[Batch]:
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

    def _next(self) -> Batch:
        if self._pool is None:
            return self._prepare(self._step, self._plan(self._step))
        try:
            batch = self._ahead.popleft().result()
            self._fill()
        except BrokenProcessPool:
            raise ScriptoriumError(
                "a process that prepares batches died: killed for want of memory (set Train.loader.num_workers or "
                "prefetch lower), or its data were cut short while it read them; go on with --resume"
            ) from None
        return batch

    def _fill(self) -> None:
        assert self._pool is not None
        while len(self._ahead) < self._depth:
            self._ahead.append(self._pool.submit(_run, self._planned, self._plan(self._planned)))
            self._planned += 1

    def _note(self, batch: Batch) -> None:
        """Count broken records, name the first, and stop where they are too many."""
        for number, key, reason in batch.skipped:
            if (number, key) in self._seen:
                continue
            self._seen.add((number, key))
            self.skipped[number] += 1
            count, size = self.skipped[number], self._sizes[number]
            if count <= _NAMED:
                self._log(f"skipped  {key}: {reason}")
            if too_many_broken(count, size):
                raise ScriptoriumError(
                    f"source {self._names[number]}: {count} records cannot be used, the last is {key} ({reason}); "
                    "more than 1 % is too many: check the data with `ocr audit`"
                )

    def close(self) -> None:
        """Stop the processes."""
        for future in self._ahead:
            future.cancel()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _begin(prepare: Preparer) -> None:
    import cv2

    global _preparer
    # Ctrl-C reaches the whole group of processes; it is for the training process to end the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    # Killed, the training process cannot end the others.
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    cv2.setNumThreads(1)
    _preparer = prepare


def _run(step: int, planned: Planned) -> Batch:
    assert _preparer is not None
    return _preparer(step, planned)
