#!/usr/bin/env python3
"""Training rate on the processor, with and without what `ocr.runtime.start` does before Paddle is imported.

    python scripts/bench_train.py [--threads 1] [--batch 64] [--rounds 3] [--steps 12]

Trains one network (ConvNet, two bidirectional LSTM layers of 128, CTC over ASCII; pictures of 32 × 128) by Adam on the
same random batches in three ways: plain Paddle; memory kept by malloc, but MKL left as it is; both, as `ocr train`
does. Every way has the same number of threads and is a process of its own. The ways take turns, and each round gives
one ratio, so that a busy machine makes all of them slower alike; --cpu counts processor time, which other programs
touch least (with one thread only). The losses of all steps are compared as well: they must agree to rounding.

Exits 1 if they differ by more than --tolerance (relative; rounding grows from step to step), or if a ratio stays below
--at-least on an AMD processor.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from ocr import runtime

WAYS = ("plain", "memory", "mended")
_CLASSES, _LENGTH, _HEIGHT, _WIDTH = 96, 8, 32, 128


def measure(way: str, threads: int, batch: int, steps: int, cpu: bool) -> dict[str, Any]:
    """Train in this process; returns pictures per second of each step but the first two, and all losses."""
    if way == "plain":
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
        header = ""
    else:
        started = runtime.start(threads, mend=way == "mended")
        header = started.header()
    import numpy as np
    import paddle

    from ocr.config import Architecture
    from ocr.losses.ctc import CTCLoss
    from ocr.models.build import build_model

    architecture = Architecture(Backbone={"name": "ConvNet"}, Neck={"name": "SequenceEncoder", "encoder_type": "rnn"})
    paddle.seed(0)
    model = build_model(architecture, _CLASSES, 1)
    model.train()
    loss = CTCLoss()
    clip = paddle.nn.ClipGradByGlobalNorm(5.0)
    optimiser = paddle.optimizer.Adam(0.001, parameters=model.parameters(), grad_clip=clip)
    rng = np.random.default_rng(0)
    clock = time.process_time if cpu else time.perf_counter
    rates, losses = [], []
    for _ in range(steps):
        images = rng.standard_normal((batch, 1, _HEIGHT, _WIDTH)).astype(np.float32)
        labels = rng.integers(1, _CLASSES, (batch, _LENGTH)).astype(np.int32)
        lengths = np.full(batch, _LENGTH, np.int32)
        times = np.full(batch, _WIDTH // model.time_stride, np.int32)
        began = clock()
        value = loss(model(paddle.to_tensor(images)), labels, lengths, times)
        value.backward()
        optimiser.step()
        optimiser.clear_grad()
        losses.append(float(value))
        rates.append(batch / (clock() - began))
    return {"rates": rates[2:], "losses": losses, "header": header, "paddle": paddle.__version__}


def run(way: str, options: argparse.Namespace) -> dict[str, Any]:
    """`measure` in a process of its own, whose environment says nothing of MKL."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MKL_", "OMP_"))}
    shape = [f"--{name}={getattr(options, name)}" for name in ("threads", "batch", "steps")]
    command = [sys.executable, __file__, f"--way={way}", *shape, *(["--cpu"] if options.cpu else [])]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def difference(one: list[float], two: list[float]) -> float:
    """The largest relative difference of two lists of losses."""
    return max(abs(a - b) / abs(a) for a, b in zip(one, two, strict=True))


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=12, help="of each way and round; the first two are not timed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="processor time instead of time")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="of the losses, relative")
    parser.add_argument("--at-least", type=float, default=0.0, help="the asked median ratio, mended to plain")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps < 3:
        parser.error("--steps must be at least 3")
    if options.way:
        print(json.dumps(measure(options.way, options.threads, options.batch, options.steps, options.cpu)))
        return 0
    processor = runtime.Processor.read()
    of = "processor time" if options.cpu else "time"
    print(f"{processor.model or 'unknown processor'}, {options.threads} thread(s), batch {options.batch}, by {of}")
    ways = list(WAYS)
    if processor.mkl_type is None:
        ways.remove("mended")
        print("MKL takes its fast path here by itself, or has none: there is nothing to mend")
    rates: dict[str, list[float]] = {way: [] for way in ways}
    losses: dict[str, list[float]] = {}
    for number in range(options.rounds):
        for way in ways if number % 2 == 0 else ways[::-1]:
            found = run(way, options)
            rates[way].append(statistics.median(found["rates"]))
            if way in losses and losses[way] != found["losses"]:
                print(f"  {way}: losses differ from the round before by {difference(losses[way], found['losses']):.1e}")
            losses[way] = found["losses"]
            if number == 0:
                print(f"  {way:8} {found['header'] or 'Paddle ' + found['paddle'] + ' as it is'}")
        print(f"  round {number + 1}: " + ", ".join(f"{way} {rates[way][-1]:.1f}" for way in ways) + " pictures/s")
    failed = False
    for way in ways[1:]:
        ratios = [two / one for one, two in zip(rates["plain"], rates[way], strict=True)]
        middle, off = statistics.median(ratios), difference(losses["plain"], losses[way])
        print(
            f"{way:8} {middle:.2f} times plain Paddle (rounds {min(ratios):.2f} to {max(ratios):.2f}); "
            f"losses of {options.steps} steps differ by {off:.1e} at most"
        )
        failed |= off > options.tolerance or (way == "mended" and middle < options.at_least)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
