"""Crops a second that `synth style extract` measures, on one core; naming the font apart.

Run from the checkout: `python scripts/bench_style.py [CROPS]`: a picture, list or folder as the command takes it.
Without, crops of our own: words of the recipe `scene` at 64 pixels and lines of the recipe `document` at 48. With
`--picture FILE` it draws the picture of docs/style.md instead.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from synth.data import data_file
from synth.pipeline import Pipeline
from synth.recipe import Recipe
from synth.style.crops import find_crops
from synth.style.extract import Unusable, extract, read_crop
from synth.style.report import repainted
from synth.style.style import Image, Style
from synth.style.typeface import Typefaces


def own(recipe: str, height: int, count: int, *overrides: str, script: str = "en") -> list[tuple[Image, str]]:
    """Crops of our own generator and what they say."""
    corpus = [Path(data_file(f"corpora/{script}.txt"))]
    loaded = Recipe.load(recipe, corpus=corpus, overrides=[f"layout.height={height}", *overrides])
    return [(sample.image, sample.text) for sample in islice(Pipeline(loaded), count)]


def extracted(crops: Sequence[tuple[Image, str]]) -> list[Style]:
    styles = []
    for image, label in crops:
        try:
            styles.append(extract(image, label=label))
        except Unusable:
            continue
    return styles


def measured(name: str, crops: Sequence[tuple[Image, str]], typefaces: Typefaces) -> None:
    """Print the best of three runs, in seconds of processor time."""
    extracted(crops[:5])
    spent = []
    for _ in range(3):
        start = time.process_time()
        styles = extracted(crops)
        spent.append(time.process_time() - start)
    width = np.median([image.shape[1] / image.shape[0] for image, _ in crops])
    print(
        f"{name}: {len(crops)} crops, {width:.1f} times as wide as high in the middle, {len(styles)} accepted: "
        f"{len(crops) / min(spent):.0f} a second"
    )
    labelled = [style for style in styles if style.label][:15]
    if labelled:
        typefaces.nearest(labelled[0])
        start = time.process_time()
        found = [typefaces.nearest(style) for style in labelled]
        rate = len(labelled) / (time.process_time() - start)
        print(f"  nearest font: {rate:.0f} crops a second ({sum(one is not None for one in found)} found)")


def picture() -> Image:
    """Crops of our own with the box of the line, their masks, backgrounds, and their ink repainted."""
    columns = []
    for scripts in (("en", "ar", "hi"), ("ru", "kn", "ja")):
        rows = []
        for script in scripts:
            narrow = [image for image, _ in own("scene", 64, 60, script=script) if image.shape[1] <= _CELL]
            for style in extracted([(image, "") for image in narrow])[:4]:
                crop = style.image.copy()
                cv2.polylines(
                    crop, [np.round(style.quad * 16).astype(np.int32)], True, (60, 200, 60), 1, cv2.LINE_AA, 4
                )
                mask = cv2.cvtColor(style.mask, cv2.COLOR_GRAY2BGR)
                cells = (crop, mask, style.background, repainted(style))
                rows.append(np.hstack([_cell(cell) for cell in cells]))
        columns.append(np.vstack(rows))
    return np.hstack((columns[0], np.full((columns[0].shape[0], 24, 3), 255, np.uint8), columns[1]))


_CELL = 220


def _cell(image: Image) -> Image:
    room = _CELL - image.shape[1]
    return cv2.copyMakeBorder(image, 3, 3, 3, room + 3, cv2.BORDER_CONSTANT, value=(255, 255, 255))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", nargs="?", type=Path, help="a picture, a list or a folder")
    parser.add_argument("--count", type=int, default=150, help="crops at most (150)")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the picture of docs/style.md")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.picture is not None:
        cv2.imwrite(str(options.picture), picture(), [cv2.IMWRITE_JPEG_QUALITY, 88])
        return
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, OpenCV {cv2.__version__}")
    typefaces = Typefaces()
    if options.crops is not None:
        found = find_crops(options.crops)[: options.count]
        measured(str(options.crops), [(read_crop(crop.path), crop.label) for crop in found], typefaces)
        return
    measured("words", own("scene", 64, options.count), typefaces)
    measured("lines", own("document", 48, options.count, "corpus.piece=line"), typefaces)


if __name__ == "__main__":
    main()
