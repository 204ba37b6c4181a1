"""How many pages and scenes a second one core makes.

    python scripts/bench_pages.py --corpus my_language.txt [--fonts DIR] [--count 200]

The first pages are not counted: they fill the caches of fonts and textures, as any run does once.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2

from synth.pages.pipeline import PagePipeline
from synth.recipe import Recipe
from synth.report.dataset import image_size

_WARM = 20
_RUNS = {
    "pages 1024 × 1024": ("pages", ["page.side=[1180, 1180]"]),
    "scenes 640 × 640": ("scenes", []),
}


def main() -> None:
    """Print a line for pages and one for scenes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus", type=Path, nargs="+", required=True)
    parser.add_argument("--fonts", type=Path, nargs="*", default=[])
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    fonts = {"paths": [str(path) for path in options.fonts]} if options.fonts else {}
    for name, (preset, overrides) in _RUNS.items():
        recipe = Recipe.load(preset, corpus=options.corpus, overrides=overrides, fonts=fonts)
        pages = PagePipeline(recipe)
        pages.block(options.count, options.count + _WARM)
        started = time.process_time()
        records = pages.block(0, options.count)
        seconds = time.process_time() - started
        texts = sum(len(json.loads(record.label)) for record in records)
        pixels = sum(width * height for width, height in (image_size(record.image) for record in records))
        print(
            f"{name}: {options.count / seconds:.1f} a second; {texts / options.count:.0f} texts and "
            f"{pixels / options.count / 1e6:.2f} megapixels each"
        )


if __name__ == "__main__":
    main()
