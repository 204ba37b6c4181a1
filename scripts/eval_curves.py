#!/usr/bin/env python3
"""How well a recogniser of straight lines reads curved ones and seals once they are rectified by their polygons.

    python scripts/eval_curves.py MODEL [--corpus FILE] [--fonts DIR] [--count 500] [--height 48]

Draws each text of the corpus that the model has units for six ways, black on white and with the same blur, noise and
margins: straight; along a curve and left so; along the same curve and rectified (`augment.geometry.rectify`) by the
polygon that goes with the sample; cut out as `ocr read` does by an outline as detectors give them, which begins
anywhere and has round corners; on the ring of a seal with all that is printed beside it, rectified; and straightened
on the outlines, as `unwrap: true` makes training data. Prints line accuracy and mean character error of each.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from augment import geometry
from ocr.infer.backends import open_backend
from ocr.infer.recogniser import Recogniser
from ocr.read.reader import cut
from synth.fonts.book import FontBook, Uncovered
from synth.fonts.index import scan
from synth.recipe import CurvedLine, Fonts, SealLine
from synth.render.curve import TooLong, choose_path, lay_line, move_along, straighten
from synth.render.line import GlyphCache, Ink, NoInk, draw_line
from synth.render.outline import OutlineCache
from synth.render.seal import make_seal
from synth.render.shape import Undrawable, shape_line
from synth.text.units import split_units

WAYS = (
    "straight",
    "curved, as it is",
    "curved, rectified",
    "curved, cut out by an outline",
    "seal, rectified",
    "curved, straightened on outlines",
)
_MARGIN = 0.12  # of the line's height


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="run directory, checkpoint or exported model")
    parser.add_argument("--corpus", type=Path, default=Path(__file__).parent.parent / "corpora" / "en.txt")
    parser.add_argument("--fonts", type=Path, help="folder; default: all fonts found")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--height", type=int, default=48, help="of the rectified line, pixels")
    parser.add_argument("--pictures", type=Path, help="folder to keep the first 20 texts in, all ways")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    reader = Recogniser(open_backend(options.model, 1))
    book = FontBook(scan([options.fonts] if options.fonts else None).faces, Fonts(fallback=False))
    drawn = samples(options, set(reader.spec.units), book)
    texts: list[str] = []
    crops: list[tuple[NDArray[np.uint8], ...]] = []
    for text, pictures in drawn:
        texts.append(text)
        crops.append(pictures)
        if len(texts) == options.count:
            break
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        for number, pictures in enumerate(crops[:20]):
            for way, picture in enumerate(pictures):
                cv2.imwrite(str(options.pictures / f"{number:02d}-{way}.png"), picture)
    print(f"{len(texts)} texts, {options.height} px")
    for way, title in enumerate(WAYS):
        read = [reading.text for reading in reader.read([pictures[way] for pictures in crops])]
        right = sum(a == b for a, b in zip(read, texts, strict=True))
        errors = sum(Levenshtein.distance(a, b) for a, b in zip(read, texts, strict=True)) / sum(map(len, texts))
        print(f"{title:<34} lines {right / len(texts):6.1%}   character error {errors:6.2%}")


def samples(
    options: argparse.Namespace, units: set[str], book: FontBook
) -> Iterator[tuple[str, tuple[NDArray[np.uint8], ...]]]:
    """Texts of one to three words, and their pictures, without an end."""
    words = [w for w in options.corpus.read_text(encoding="utf-8").split() if set(w) <= units]
    cache, glyphs = OutlineCache(), GlyphCache()
    curve, seal = CurvedLine(p=1.0), SealLine(p=1.0, unwrap=False, over=0.0, spread=(0.0, 0.0), lines=(1, 2))
    for seed in range(1_000_000):
        rng = np.random.default_rng(seed)
        first = int(rng.random() * len(words))
        text = " ".join(words[first : first + 1 + int(rng.random() * 3)])
        if len(text) < 3 or (" " in text and " " not in units):
            continue
        try:
            runs = shape_line(text, book.choose(text, rng))
            graphemes = split_units(text, "grapheme")
            laid = lay_line(runs, cache)
            path = choose_path(curve, laid, rng)
            bent = move_along(laid, path, graphemes)
            whole = make_seal(seal, lambda spacing, r=runs: lay_line(r, cache, spacing=spacing), lambda o=laid: o, rng)
            stamped = move_along(whole.laid, whole.path, graphemes)
            inks = (
                draw_line(runs, graphemes, 64, glyphs),
                bent.drawn(64),
                stamped.drawn(64, whole.prints),
                straighten(laid, path, graphemes, 0.0, rng).drawn(64),
            )
        except (Uncovered, Undrawable, NoInk, TooLong):
            continue
        straight, curved, ring, flat = inks
        pictures = (
            page(straight.mask, rng),
            page(curved.mask, rng),
            rectified(curved, options.height, rng),
            cut_out(curved, rng),
            rectified(ring, options.height, rng),
            page(flat.mask, rng),
        )
        yield text, tuple(scaled(picture, options.height) for picture in pictures)


def page(mask: NDArray[Any], rng: np.random.Generator, pad: int = 8) -> NDArray[np.uint8]:
    """Black on white, a little blurred and noisy, with `pad` pixels of paper around."""
    paper = 255 - np.pad(mask, pad).astype(np.float32)
    blurred = np.asarray(cv2.GaussianBlur(paper, (0, 0), 1.0), np.float32)
    return (blurred + rng.normal(0, 4, blurred.shape)).clip(0, 255).astype(np.uint8)


def rectified(ink: Ink, height: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The line cut out of its picture by its polygon."""
    assert ink.outline is not None
    pad = 8 if ink.stamp is None else ink.stamp.pad
    mask = np.pad(ink.mask, 8) if ink.stamp is None else np.maximum(np.pad(ink.mask, pad), ink.stamp.mask)
    return np.asarray(geometry.rectify(page(mask, rng, 0), ink.outline + pad, height, _MARGIN / 2, 255), np.uint8)


def cut_out(ink: Ink, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The line cut out of its picture by what a detector may find of it."""
    assert ink.outline is not None
    line = shapely.make_valid(shapely.Polygon(ink.outline + 8))
    height = 2 * line.area / line.length
    found = shapely.get_coordinates(line.buffer(_MARGIN / 2 * height))[:-1]
    found = np.roll(found, int(rng.random() * len(found)), 0).astype(np.float32)
    return cut(page(np.pad(ink.mask, 8), rng, 0), found)


def scaled(picture: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """The picture at the height that is read."""
    width = max(round(picture.shape[1] * height / picture.shape[0]), 1)
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    main()
