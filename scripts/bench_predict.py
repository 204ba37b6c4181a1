#!/usr/bin/env python3
"""Pictures read per second on the processor: batches of one width, against PaddleOCR's batches of six.

    python scripts/bench_predict.py [--model DIR] [--threads 1] [--count 1000] [--rounds 5] [--sweep]

Reads word crops of mixed widths, drawn by the recipe `scene` from the words of corpora/en.txt, with an exported CRNN
(random weights, which take the same time; or --model). PaddleOCR 2 (tools/infer/predict_rec.py) sorts the crops by
width over height, takes six at a time (`rec_batch_num`), and pads each six to the widest of them, at least to the 320
pixels of `rec_image_shape`. Both ways share backend, scaling and decoding; they take turns, and each round gives one
ratio. The machine may be busy: the ratios of a round suffer alike. --sweep tries bounds of the batch instead.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr import runtime
from ocr.infer.backends import Backend, open_backend
from ocr.infer.recogniser import Recogniser
from ocr.postprocess.ctc import decode
from synth.data import data_file
from synth.pipeline import Pipeline
from synth.recipe import Recipe

Crops = list[NDArray[np.uint8]]

_SIX, _LEAST_WIDTH = 6, 320
_BOUNDS = [1024 << n for n in range(2, 11)]


def crops(count: int) -> Crops:
    """Word crops of the recipe `scene`, 48 pixels high, which reading scales."""
    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder) / "words.txt"
        words.write_text("\n".join(data_file("corpora/en.txt").read_text(encoding="utf-8").split()), encoding="utf-8")
        pipeline = Pipeline(Recipe.load("scene", corpus=[words], overrides=["layout.height=48"]))
        return [pipeline.sample(index).image for index in range(count)]


def random_model(folder: Path, format_: str) -> Path:
    """An exported CRNN of the default size that reads ASCII, its weights random."""
    import paddle

    from ocr.config import Architecture
    from ocr.engine import checkpoint as store
    from ocr.infer.export import export_onnx, export_paddle
    from ocr.models.build import build_model
    from ocr.spec import ModelSpec

    architecture = Architecture(Backbone={"name": "ConvNet"}, Neck={"name": "SequenceEncoder", "encoder_type": "rnn"})
    units = tuple(map(chr, range(32, 127)))
    paddle.seed(0)
    model = build_model(architecture, len(units) + 1, 1)
    spec = ModelSpec(architecture=architecture.model_dump(mode="json"), units=units, time_stride=model.time_stride)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    made = store.save(folder / "run", store.Checkpoint(spec, weights, state={"step": 0}))
    return (export_onnx if format_ == "onnx" else export_paddle)(made, folder / "model")


def read_by_sixes(backend: Backend, images: Crops) -> list[str]:
    """PaddleOCR's way: six at a time, sorted by width over height, padded to the widest and to 320 at least."""
    spec = backend.spec
    pictures = [spec.preprocess(image) for image in images]
    order = np.argsort([picture.shape[1] for picture in pictures])
    texts = [""] * len(images)
    for start in range(0, len(order), _SIX):
        chosen = order[start : start + _SIX]
        width = max(_LEAST_WIDTH, *(pictures[number].shape[1] for number in chosen))
        batch = spec.preprocess.stack([pictures[number] for number in chosen], width)
        for number, probabilities in zip(chosen, backend.run(batch), strict=True):
            texts[number] = "".join(spec.units[c - 1] for c in decode(probabilities, spec.decoder).classes)
    return texts


def timed(call: Callable[[], Any]) -> float:
    """Seconds that a call takes by the clock."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--format", choices=["paddle", "onnx"], default="paddle")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sweep", action="store_true")
    arguments = parser.parse_args()
    print(runtime.start(arguments.threads).header(), flush=True)
    images = crops(arguments.count)
    with tempfile.TemporaryDirectory() as folder:
        backend = open_backend(arguments.model or random_model(Path(folder), arguments.format), arguments.threads)
        scaled = [backend.spec.preprocess(image).shape[1] for image in images]
        print(f"{len(images):,} crops, widths {min(scaled)} to {max(scaled)}, median {statistics.median(scaled):.0f}")
        if arguments.sweep:
            sweep(backend, images, arguments.rounds)
        else:
            compare(backend, images, arguments.rounds)


def sweep(backend: Backend, images: Crops, rounds: int) -> None:
    """Print the rate at each bound of a batch's pixels; the best of some rounds."""
    readers = {bound: Recogniser(backend, bound) for bound in _BOUNDS}
    best = dict.fromkeys(readers, float("inf"))
    for _ in range(rounds):
        for bound, reader in readers.items():
            best[bound] = min(best[bound], timed(lambda reader=reader: reader.read(images)))  # type: ignore[misc]
    for bound, seconds in best.items():
        print(f"{bound:>10,} pixels a batch {len(images) / seconds:>8,.0f} /s")


def compare(backend: Backend, images: Crops, rounds: int) -> None:
    """Print both rates and their ratio, and whether the texts are those of one crop at a time."""
    reader = Recogniser(backend)
    together = [reading.text for reading in reader.read(images)]
    by_sixes = read_by_sixes(backend, images)
    ours, theirs = [], []
    for number in range(rounds):
        ours.append(timed(lambda: reader.read(images)))
        theirs.append(timed(lambda: read_by_sixes(backend, images)))
        print(
            f"round {number + 1}: {len(images) / ours[-1]:,.0f} /s, by sixes {len(images) / theirs[-1]:,.0f} /s, "
            f"ratio {theirs[-1] / ours[-1]:.2f}",
            flush=True,
        )
    ratios = sorted(their / our for our, their in zip(ours, theirs, strict=True))
    print(f"ratio {statistics.median(ratios):.2f}, median of {rounds} (from {ratios[0]:.2f} to {ratios[-1]:.2f})")
    alone = [reader.read([image])[0].text for image in images]
    print(f"texts other than one crop at a time: {sum(a != b for a, b in zip(together, alone, strict=True))}")
    print(f"by sixes: {sum(a != b for a, b in zip(by_sixes, alone, strict=True))}")


if __name__ == "__main__":
    main()
