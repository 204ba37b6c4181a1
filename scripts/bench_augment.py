"""Microseconds per pixel operation (word-sized crop) and per warp, images per second while training.

Run from the checkout: `python scripts/bench_augment.py [--size 120x32]`; with `--picture FILE` it draws the picture of
docs/augment.md instead.
"""

from __future__ import annotations

import argparse
import platform
import time
import timeit
from collections.abc import Callable
from functools import partial
from itertools import count, product
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray

from augment.geometry import Warp, arc, elastic, quad, rotation, shear, stretch, wave
from augment.pixel import known_ops, parse_ops
from augment.training import TrainingAugment
from synth.pipeline import Pipeline
from synth.recipe import Recipe


def machine() -> str:
    """The processor's name and the versions that matter."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    return f"{cpu}; Python {platform.python_version()}, NumPy {np.__version__}, OpenCV {cv2.__version__}; one thread"


def microseconds(call: Callable[[], object], number: int = 500) -> float:
    call()
    return min(timeit.repeat(call, number=number, repeat=7)) / number * 1e6


def training_rate(p: float, image: NDArray[np.uint8]) -> float:
    """Images per second of processor time with default operations; the best of seven runs of 2,000."""
    augment, rng = TrainingAugment({"p": p}), np.random.default_rng(0)
    rates = []
    for _ in range(7):
        start = time.process_time()
        for _ in range(2000):
            augment(image, rng)
        rates.append(2000 / (time.process_time() - start))
    return max(rates)


def picture(path: Path) -> None:
    """Words of several scripts, drawn with DejaVu, each beside seven augmented copies."""
    root = Path(__file__).resolve().parent.parent
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    faces = [str(fonts / name) for name in ("DejaVuSans.ttf", "DejaVuSerif-Bold.ttf")]
    augment = TrainingAugment({"p": 1.0})
    wide, high = 150, 38
    rows = []
    for look, language in product(("clean", "scene"), ("en", "ru", "grc", "ar", "he", "hy")):
        corpus = [root / "corpora" / f"{language}.txt"]
        keys = [f"seed={len(rows)}", "layout.height=32", "corpus.length=[4, 9]", "corpus.template_share=0"]
        pipeline = Pipeline(Recipe.load(look, corpus=corpus, overrides=keys, fonts={"paths": faces}))
        image = next(found for i in count() if (found := pipeline.sample(i).image).shape[1] <= wide - 30)
        row = np.full((high, 8 * wide, 3), 128, np.uint8)
        for k in range(8):
            cell = augment(image, np.random.default_rng((len(rows), k))) if k else image
            top, left = (high - cell.shape[0]) // 2, k * wide + (wide - cell.shape[1]) // 2
            row[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
        rows.append(row)
    cv2.imwrite(str(path), np.concatenate(rows), (cv2.IMWRITE_JPEG_QUALITY, 80))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", default="120x32", help="width x height of the crop")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the picture of docs/augment.md instead")
    arguments = parser.parse_args()
    width, height = (int(part) for part in arguments.size.split("x"))
    cv2.setNumThreads(1)
    if arguments.picture:
        picture(arguments.picture)
        return
    rng = np.random.default_rng(0)
    image = np.full((height, width, 3), 200, np.uint8)
    cv2.putText(image, "Sample", (4, height - 9), cv2.FONT_HERSHEY_SIMPLEX, height / 34, (30, 40, 60), 2, cv2.LINE_AA)
    image += rng.integers(0, 20, image.shape, np.uint8)

    print(machine())
    print(f"\n{'operation':24}us at {width} x {height} x 3, defaults")
    for name in known_ops():
        if name != "albumentations":  # takes what its transforms take
            (op,) = parse_ops({name: None})
            print(f"{name:24}{microseconds(partial(op.apply, image, rng)):6.1f}")

    mask = image[:, :, :2].copy()
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = corners + np.array([[3, 1], [-2, 2], [-4, -1], [2, -2]], np.float32)
    points = rng.random((40, 2)) * (width, height)
    builders: dict[str, Callable[[], Warp]] = {
        "affine": lambda: rotation(0.05, (width / 2, height / 2)),
        "perspective": lambda: quad(corners, moved),
        "wave, shear, stretch": lambda: wave(2, 80).then(shear(0.1)).then(stretch((0, 50, width), (0, 56, width - 4))),
        "arc, quad, wave": lambda: arc(width / 2, height / 2, 2.0 * width).then(quad(corners, moved)).then(wave(2, 60)),
        "elastic": lambda: elastic(rng, width, height, 1.0, 16.0),
    }
    print(f"\n{'warp':24}{'build':>8}{'apply':>8}{'forward':>8}  us; two channels {width} x {height}, 40 points")
    for name, build in builders.items():
        warp = build()
        calls = (build, partial(warp.apply, mask), partial(warp.forward, points))
        print(f"{name:24}" + "".join(f"{microseconds(call):8.1f}" for call in calls))

    print(f"\n{'while training':24}images/s, default operations, {width} x {height}")
    for p in (0.4, 1.0):
        print(f"{f'p = {p}':24}{training_rate(p, image):,.0f}")


if __name__ == "__main__":
    main()
