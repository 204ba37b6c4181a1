"""How fast labelled pictures become batches: decoded, scaled, stacked, normalised, on one core by its CPU time.

    python scripts/bench_data.py DATA --dictionary FILE

DATA: LMDBs of words. Prints images per second with and without augmentation, of words that the recipe `scene` draws
from corpora/en.txt meanwhile, and what planning a batch takes for as many samples as `--samples` says.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from augment.training import TrainingAugment
from ocr.codec import Codec
from ocr.config import Sampler, SourceConfig
from ocr.data.index import Index, Limits
from ocr.data.prepare import Preparer
from ocr.data.sampler import CHUNK, Endless, MixedBatch, Passes, Planned, Ratio, Stream, build_plan
from ocr.data.sources import Live, Shards
from ocr.runtime import Processor
from ocr.spec import Preprocess
from synth.data import data_file
from synth.text.charset import Charset

BATCH = 64
SHORT = "corpus.length=[1, 12]"  # words, not lines


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
    plan = plan_of(Passes(usable, widths, 0, 0))
    planned = [plan.batch(step) for step in range(arguments.batches)]
    print(f"{Processor.read().model}; one core, CPU time; {len(usable):,} pictures, {widths.mean():.0f} px wide")
    for name, augment in (("plain", None), ("augmented, p 0.4", TrainingAugment())):
        prepare = Preparer([source], limits, augment, 0)
        measure(prepare, planned[:8], preprocess)
        rate = BATCH * len(planned) / measure(prepare, planned, preprocess)
        print(f"{name:20}{rate:10,.0f} images/s")
    config = SourceConfig(name="live", recipe="scene", corpus=(data_file("corpora/en.txt"),), overrides=(SHORT,))
    live = Live(config, 1, preprocess.height, arguments.dictionary)
    plan = plan_of(Endless(live.length))
    planned = [plan.batch(step) for step in range(CHUNK)]
    prepare = Preparer([live], limits, TrainingAugment(), 0)
    measure(prepare, planned[:8], preprocess)
    rate = BATCH * CHUNK / measure(prepare, planned, preprocess)
    print(f"{'drawn and augmented':20}{rate:10,.0f} images/s")
    print(f"{'planning':20}{planning(plan, 8 * CHUNK):10,.0f} µs a batch of {BATCH}, drawn")
    widths = np.random.default_rng(0).integers(20, 320, arguments.samples)
    each = planning(plan_of(Passes(np.arange(arguments.samples), widths, 0, 0)), 64 * CHUNK)
    print(f"{'planning':20}{each:10,.0f} µs a batch of {BATCH}, {arguments.samples:,} samples, with the shuffling")


def plan_of(stream: Stream) -> MixedBatch | Ratio:
    """Batches of one source."""
    return build_plan(Sampler(epoch_size=BATCH), ["bench"], [stream], BATCH, Preprocess().height, 0)


def planning(plan: MixedBatch | Ratio, steps: int) -> float:
    """Microseconds of CPU time that planning a batch takes."""
    began = time.process_time()
    for step in range(steps):
        plan.batch(step)
    return (time.process_time() - began) / steps * 1e6


def measure(prepare: Preparer, planned: list[Planned], preprocess: Preprocess) -> float:
    """Seconds of CPU time from draws to what the network takes."""
    began = time.process_time()
    for step, batch in enumerate(planned):
        preprocess.normalise(prepare(step, batch).images)
    return time.process_time() - began


if __name__ == "__main__":
    main()
