#!/usr/bin/env python3
"""Let Tesseract read words of preset `clean` at height 48: an independent reader of images and labels.

    scripts/check_tesseract.py --words corpora/en.txt

Letters' case, punctuation and all must be right for a word to count. Prints the share of words read, and exits with 1
if it is below --least. Needs Tesseract with its English model (Debian: tesseract-ocr).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from synth import Pipeline, Recipe  # noqa: E402


def read(program: str, images: list[bytes]) -> list[str]:
    """What Tesseract reads in each JPEG image, taken as one word."""
    with tempfile.TemporaryDirectory() as folder:
        names = [f"{folder}/{number:05}.jpg" for number in range(len(images))]
        for name, image in zip(names, images, strict=True):
            Path(name).write_bytes(image)
        listed = Path(folder, "images.txt")
        listed.write_text("\n".join(names), encoding="utf-8")
        # One thread is faster on images this small. By --psm 8 the image's edges are the word's: with a wide margin
        # around it Tesseract sees quotation marks there.
        command = [program, str(listed), "stdout", "--psm", "8", "--dpi", "150", "-l", "eng"]
        environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
        done = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
    # A form feed ends every page.
    return [page.strip() for page in done.stdout.split("\f")][: len(images)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=Path, default=ROOT / "corpora" / "en.txt", help="a text file")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--fonts", type=Path, action="append", default=[], help="folder of fonts; may be repeated")
    parser.add_argument("--least", type=float, default=0.9, help="least share of words read")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    program = shutil.which("tesseract")
    if not program:
        raise SystemExit("tesseract is not here: install tesseract-ocr")
    recipe = Recipe.load(
        "clean",
        corpus=[options.words],
        overrides=["layout.height=48", "corpus.length=[2, 25]", f"seed={options.seed}"],
        fonts={"paths": [str(path) for path in options.fonts]},
    )
    pipeline = Pipeline(recipe)
    samples = [pipeline[index] for index in range(options.count)]
    right = 0
    by_font: Counter[str] = Counter()
    for sample, text in zip(samples, read(program, [sample.encoded for sample in samples]), strict=True):
        if text == sample.text:
            right += 1
        else:
            by_font[sample.meta["font"]] += 1
            print(f"{sample.text!r} read as {text!r}: {sample.meta['font']}")
    print("misread most often: " + ", ".join(f"{name} {n}" for name, n in by_font.most_common(8)))
    print(f"{right} of {len(samples)} words read: {right / len(samples):.1%}")
    return int(right < options.least * len(samples))


if __name__ == "__main__":
    sys.exit(main())
