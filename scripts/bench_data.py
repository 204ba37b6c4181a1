"""How fast labelled pictures become batches: LMDB → decoded, scaled, stacked, normalised, on one core by its CPU time.

    python scripts/bench_data.py DATA --dictionary FILE

DATA: LMDBs of words. Prints images per second with and without augmentation, and what planning a batch takes for as
many samples as `--samples` says.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.training import TrainingAugment
from ocr.codec import Codec
from ocr.config import Sampler
from ocr.data.index import Index, Limits
from ocr.data.prepare import Preparer
from ocr.data.sampler import CHUNK, MixedBatch, Passes, Planned, Ratio, build_plan
from ocr.data.sources import Shards
from ocr.runtime import Processor
from ocr.spec import Preprocess
from synth.text.charset import Charset

BATCH = 64


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--dictionary", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=192)
    parser.add_argument("--samples", type=int, default=1_000_000, help="that the planning is measured with")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    codec = Codec(Charset.from_file(arguments.dictionary))
    preprocess = Preprocess()
    limits = Limits(
        codec=codec,
        preprocess=preprocess,
        time_stride=4,
        max_text_length=25,
        max_wh_ratio=10,
        least_height=preprocess.height,
    )
    source = Shards("bench", arguments.data)
    index = Index.of(source, codec)
    usable, _ = index.usable(limits)
    widths = index.scaled_widths(preprocess)[usable]
    plan = plan_of(usable, widths)
    planned = [plan.batch(step) for step in range(arguments.batches)]
    print(f"{Processor.read().model}; one core, CPU time; {len(usable):,} pictures, {widths.mean():.0f} px wide")
    for name, augment in (("plain", None), ("augmented, p 0.4", TrainingAugment())):
        prepare = Preparer([source], limits, augment, 0)
        measure(prepare, planned[:8], preprocess)
        rate = BATCH * len(planned) / measure(prepare, planned, preprocess)
        print(f"{name:20}{rate:10,.0f} images/s")
    many = np.arange(arguments.samples)
    plan = plan_of(many, np.random.default_rng(0).integers(20, 320, arguments.samples))
    began = time.process_time()
    for step in range(64 * CHUNK):
        plan.batch(step)
    each = (time.process_time() - began) / (64 * CHUNK)
    print(
        f"{'planning':20}{each * 1e6:10,.0f} µs a batch of {BATCH}, {arguments.samples:,} samples, with the shuffling"
    )


def plan_of(indexes: NDArray[np.int64], widths: NDArray[np.int64]) -> MixedBatch | Ratio:
    """Batches of one source."""
    return build_plan(Sampler(), ["bench"], [Passes(indexes, widths, 0, 0)], BATCH, Preprocess().height, 0)


def measure(prepare: Preparer, planned: list[Planned], preprocess: Preprocess) -> float:
    """Seconds of CPU time from draws to what the network takes."""
    began = time.process_time()
    for step, batch in enumerate(planned):
        preprocess.normalise(prepare(step, batch).images)
    return time.process_time() - began


if __name__ == "__main__":
    main()
