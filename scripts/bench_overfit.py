"""Whether detectors can learn at all: each algorithm on 16 pages of its own, evaluated on the same pages.

Run from the checkout: `python scripts/bench_overfit.py --pages SET [--algorithms DB EAST PSE]`, SET a data set of
`synth generate --task det` (shards or a label file). A hmean of 0.9 is what to expect.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ocr import runtime
from ocr.config import DetConfig
from ocr.data.det import parse_label
from ocr.data.sources import LabelFile, Shards
from synth.pages.labels import IGNORED

HMEAN = 0.9
LEAST = 14  # pixels of a text's shorter side: maps of a quarter of the resolution show little of a smaller one


def squares(pages: Path, folder: Path, count: int, side: int) -> Path:
    """Cut squares out of the first pages and write a data set.

    Texts that are cut, too small, or to be ignored are painted over: what is found where nothing was to be learnt says
    nothing of learning.
    """
    source = Shards("pages", pages) if not pages.is_file() else LabelFile("pages", pages, pages.parent)
    folder.mkdir(parents=True)
    lines: list[str] = []
    for index in range(len(source)):
        sample = source.sample(index)
        polygons, texts = parse_label(sample.text, sample.key)
        height, width = sample.image.shape[:2]
        left, top = max(0, (width - side) // 2), max(0, (height - side) // 4)
        image = np.full((side, side, 3), 255, np.uint8)
        part = sample.image[top : top + side, left : left + side]
        image[: part.shape[0], : part.shape[1]] = part if part.ndim == 3 else part[..., None]
        ground = np.median(image.reshape(-1, 3), axis=0).tolist()
        entries = []
        for polygon, text in zip(polygons, texts, strict=True):
            moved = polygon - np.array((left, top), np.float32)
            whole = (moved >= 0).all() and (moved <= side).all()
            if whole and text != IGNORED and min(cv2.minAreaRect(moved)[1]) >= LEAST:
                entries.append({"transcription": text, "points": moved.tolist()})
            else:
                cv2.fillPoly(image, [np.round(moved).astype(np.int32)], ground)
                cv2.polylines(image, [np.round(moved).astype(np.int32)], True, ground, 3)
        if len(entries) < 3:
            continue
        cv2.imwrite(str(folder / f"{len(lines)}.png"), image)
        lines.append(f"{len(lines)}.png\t{json.dumps(entries)}\n")
        if len(lines) == count:
            break
    if len(lines) < count:
        sys.exit(f"{pages}: only {len(lines)} pages have three texts in their middle; name more")
    (folder / "labels.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


def configuration(algorithm: str, data: Path, run: Path, side: int, steps: int, rate: float) -> DetConfig:
    """The light network with the head of an algorithm; no augmentation, pages as they are."""
    values: dict[str, Any] = {
        "Global": {
            "save_model_dir": str(run),
            "max_steps": steps,
            "eval_batch_step": [0, steps],
            "save_epoch_step": 0,
            "threads": 1,
        },
        "Architecture": {
            "model_type": "det",
            "algorithm": algorithm,
            "Backbone": {"name": "ConvNet", "width": 0.5},
            "Neck": {"name": "RSEFPN", "out_channels": 48},
        },
        "Preprocess": {"limit_side_len": side},
        "Optimizer": {"name": "AdamW", "lr": {"learning_rate": rate, "warmup_epoch": 5}, "ema_decay": 0.98},
        "Train": {
            "sources": [{"name": "pages", "path": str(data)}],
            "crop": {"size": side, "scale": [1.0, 1.0], "degrees": 0, "min_side": 6},
            "augment": None,
            "loader": {"batch_size_per_card": 4, "num_workers": 0},
        },
        "Eval": {"sources": [{"name": "pages", "path": str(data)}]},
    }
    return DetConfig.from_values(values)


def main() -> None:
    """Train and evaluate each algorithm; exits with 1 where one does not reach `HMEAN`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=Path, required=True, help="data set of synth generate --task det")
    parser.add_argument("--algorithms", nargs="+", default=["DB", "EAST", "PSE"])
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument(
        "--side", type=int, default=320, help="pixels of the squares cut out of pages; a multiple of 32"
    )
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--rate", type=float, default=0.003)
    options = parser.parse_args()
    runtime.start(1)
    from ocr.training import evaluate_model, train

    short = []
    with tempfile.TemporaryDirectory() as scratch:
        data = squares(options.pages, Path(scratch, "data"), options.count, options.side)
        for algorithm in options.algorithms:
            config = configuration(algorithm, data, Path(scratch, algorithm), options.side, options.steps, options.rate)
            start = time.process_time()
            outcome = train(config, False, lambda line: None)
            if outcome.stopped:
                sys.exit(f"{algorithm}: stopped ({outcome.stopped}) at step {outcome.step}")
            seconds = time.process_time() - start
            hmean = evaluate_model(config, None, None, lambda line: None).figures["hmean"]
            told = f"on its own {options.count} pages, {options.steps} steps, {seconds:.0f} s"
            print(f"{algorithm:5} hmean {hmean:.3f} {told}")
            if hmean < HMEAN:
                short.append(algorithm)
    if short:
        sys.exit(f"below {HMEAN}: {', '.join(short)}")


if __name__ == "__main__":
    main()
