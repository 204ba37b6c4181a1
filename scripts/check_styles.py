#!/usr/bin/env python3
"""Whether new text looks like the crops whose styles it is drawn in: the same measures of both, side by side.

    python scripts/check_styles.py STORE --corpus FILE [--fonts DIR] [--height 32] [--styles 50] [-o KEY=VALUE ...]

Of each style, three samples are drawn as measured (`styles.vary=0`), and they and the crop, brought to the same height,
go through `synth.style.measure`. Printed are quartiles of both, the median of the differences, and their correlation.
With `--picture FILE` it draws the picture of docs/style.md instead, from crops of our own recipes; no STORE then.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from synth.data import data_file
from synth.pipeline import Pipeline
from synth.recipe import Recipe
from synth.style.extract import Unusable, extract
from synth.style.measure import Measures, Unmeasurable, measure
from synth.style.store import Store, StoreWriter
from synth.style.style import Image, Style

SCRIPTS = ("en", "kn", "ar")
PICTURE = 48  # pixels of height


def at_height(image: Image, height: int) -> Image:
    """A picture scaled to a height."""
    factor = height / image.shape[0]
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, (max(1, round(image.shape[1] * factor)), height), interpolation=how)


def one_by_one(styles: Sequence[Style], folder: Path) -> list[Path]:
    """A store for each style."""
    places = []
    for number, style in enumerate(styles):
        writer = StoreWriter(folder / f"{number}.styles")
        writer.add(style)
        writer.finish("crops")
        writer.close()
        places.append(writer.folder)
    return places


def drawn(
    place: Path, corpus: Path, fonts: str | None, height: int, count: int, overrides: Sequence[str]
) -> list[Image]:
    """New texts in the style of a store; plain ones are left out."""
    recipe = Recipe.load(
        "clean",
        corpus=corpus,
        overrides=[f"layout.height={height}", "output.encoding=png", *overrides],
        fonts={"paths": [fonts] if fonts else []},
        styles={"stores": [str(place)]},
    )
    return [sample.image for sample in Pipeline(recipe).samples(range(count)) if "style" in sample.meta]


def check(arguments: argparse.Namespace) -> None:
    """Print the table."""
    styles = [style for style, _ in zip(Store(arguments.store), range(arguments.styles), strict=False)]
    real, made = [], []
    attempts = 0
    with tempfile.TemporaryDirectory() as folder:
        for style, place in zip(styles, one_by_one(styles, Path(folder)), strict=True):
            overrides = ["styles.vary=0", *arguments.override]
            images = drawn(place, arguments.corpus, arguments.fonts, arguments.height, 3, overrides)
            attempts += 3
            try:
                crop = measure(at_height(style.image, arguments.height)).row()
            except Unmeasurable:
                continue
            for image in images:
                try:
                    made.append(measure(image).row())
                    real.append(crop)
                except Unmeasurable:
                    continue
    print(f"{len(styles)} styles, {len(made)} of {attempts} samples drawn in them and measured")
    print(f"{'':<14}{'crops':^27}{'new text':^27}{'difference':>12}{'correlation':>13}")
    for name, a, b in zip(Measures.names(), np.array(real).T, np.array(made).T, strict=True):
        if np.ptp(a) and np.ptp(b):
            low, middle, high = np.quantile(a, (0.25, 0.5, 0.75))
            first, second, third = np.quantile(b, (0.25, 0.5, 0.75))
            away, alike = np.median(b - a), np.corrcoef(a, b)[0, 1]
            print(
                f"{name:<14}{low:9.2f}{middle:9.2f}{high:9.2f}{first:9.2f}{second:9.2f}{third:9.2f}"
                f"{away:12.2f}{alike:13.2f}"
            )


def crops() -> list[Style]:
    """Styles of words of our own, in looks that differ."""
    found = []
    for recipe, number in (("scene", 12), ("document", 3), ("receipt", 3)):
        corpus = [Path(data_file("corpora/en.txt"))]
        made = Pipeline(Recipe.load(recipe, corpus=corpus, overrides=["layout.height=64", "corpus.template_share=0"]))
        kept = []
        for index in range(200):
            sample = made[index]
            try:
                style = extract(sample.image)
            except Unusable:
                continue
            if style.confidence > 0.8 and style.contrast > 50 and len(sample.units) > 3:
                kept.append(style)
            if len(kept) == number:
                break
        found += kept
    return found


def picture(output: Path, fonts: str | None) -> None:
    """Crops, and beside each one a text in each of three scripts."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        styles = crops()
        for style, place in zip(styles, one_by_one(styles, Path(folder)), strict=True):
            row = [at_height(style.image, PICTURE)]
            for script in SCRIPTS:
                corpus = Path(data_file(f"corpora/{script}.txt"))
                overrides = ["corpus.piece=words", "corpus.words=[1,2]", f"seed={len(rows)}"]
                images = drawn(place, corpus, fonts, PICTURE, 4, overrides)
                row += [image for image in images if image.shape[1] < 5 * PICTURE][:1]
            if len(row) == 1 + len(SCRIPTS) and row[0].shape[1] < 6 * PICTURE:
                rows.append(row)
    widths = [max(row[k].shape[1] for row in rows) + 8 for k in range(1 + len(SCRIPTS))]
    sheet = np.full((len(rows) * (PICTURE + 6), sum(widths), 3), 255, np.uint8)
    for number, row in enumerate(rows):
        y, x = number * (PICTURE + 6), 0
        for image, width in zip(row, widths, strict=True):
            sheet[y : y + PICTURE, x : x + image.shape[1]] = image
            x += width
    cv2.imwrite(str(output), sheet, (cv2.IMWRITE_JPEG_QUALITY, 88))


def main() -> None:
    """Table or picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, nargs="?")
    parser.add_argument("--corpus", type=Path, default=Path(data_file("corpora/en.txt")))
    parser.add_argument("--fonts", help="folder; default: all fonts found")
    parser.add_argument("--height", type=int, default=32)
    parser.add_argument("--styles", type=int, default=50)
    parser.add_argument("-o", "--override", nargs="*", default=[])
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.picture:
        picture(arguments.picture, arguments.fonts)
    elif arguments.store:
        check(arguments)
    else:
        parser.error("name a store, or --picture FILE")


if __name__ == "__main__":
    main()
