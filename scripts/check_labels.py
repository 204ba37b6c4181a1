#!/usr/bin/env python3
"""Check the labels of many samples against the corpus, by means that share no code with what made them.

    scripts/check_labels.py --count 100000 --fonts DIR

Half of the samples have the look of preset `document`, half that of `scene`; the texts come from all files of
`corpora/`, cut but neither joined, cased nor made from templates. For each sample:

* the label is found in its corpus file (as NFC, without bidi controls and zero width spaces) by plain search;
* every character is in the character map of the fonts named (fontTools), and hb-shape, if it is there, gives neither a
  missing glyph nor a dotted circle;
* the contrast noted is at the recipe's floor or above, and the grey values of the decoded image where each unit stands
  differ by a quarter of that floor at least (a dot of half coverage has half the contrast of the pen that drew it);
* the units make up the label, and each has a polygon that reaches into the image.

Prints counts per file; exits with 1, and prints what was wrong, if anything was.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import numpy as np
from fontTools.ttLib import TTFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from synth import Pipeline, Recipe  # noqa: E402
from synth.fonts.index import FaceInfo, sfnt_path  # noqa: E402
from synth.sample import Sample  # noqa: E402

# UAX #9 controls, zero width space, word joiner, byte order mark: written out here once more on purpose.
UNDRAWN = "\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
WITHOUT_GLYPH = " \u00a0\u200c\u200d\u2009\u202f\u3000\t"
PLAIN = ["corpus.join=0", "corpus.cut=0.3", "corpus.case={as_is: 1.0}", "corpus.template_share=0"]


def searchable(path: Path) -> str:
    text = unicodedata.normalize("NFC", path.read_text(encoding="utf-8"))
    return "".join(c for c in text if c not in UNDRAWN)


class Fonts:
    """The character maps of faces by the names that samples carry."""

    def __init__(self, faces: tuple[FaceInfo, ...]) -> None:
        self._faces: dict[str, list[FaceInfo]] = defaultdict(list)
        for face in faces:
            self._faces[" ".join(filter(None, (face.family, face.style)))].append(face)
        self._maps: dict[FaceInfo, dict[int, int]] = {}

    def named(self, name: str) -> list[FaceInfo]:
        """Faces of a name; that of a variable font ends in its coordinates, such as `wght=512.5`."""
        found = self._faces.get(name) or self._faces.get(name.rpartition(" ")[0])
        if not found:
            raise SystemExit(f"no face is called {name!r}")
        return found

    def glyphs(self, face: FaceInfo) -> dict[int, int]:
        """Glyph ids by code point."""
        known = self._maps.get(face)
        if known is None:
            with TTFont(sfnt_path(face), fontNumber=face.number, lazy=True) as font:
                numbers = font.getReverseGlyphMap()
                known = self._maps[face] = {point: numbers[name] for point, name in font.getBestCmap().items()}
        return known


def faults(sample: Sample, texts: dict[str, str], fonts: Fonts, floor: float) -> list[str]:
    """What is wrong with a sample, in words."""
    found: list[str] = []
    label = sample.text
    if not label or label not in texts[sample.meta["source"]]:
        found.append("label is not in the corpus")
    names = [sample.meta["font"], *sample.meta.get("fallback", [])]
    faces = [face for name in names for face in fonts.named(name)]
    for character in set(label) - set(WITHOUT_GLYPH):
        if not any(ord(character) in fonts.glyphs(face) for face in faces):
            found.append(f"U+{ord(character):04X} is in none of {names}")
    if "".join(sample.units) != label or not len(sample.units) == len(sample.polygons) == len(sample.shared):
        found.append("units or polygons do not make up the label")
        return found
    grey = cv2.imdecode(np.frombuffer(sample.encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        return [*found, "image does not decode"]
    if not sample.meta["contrast"] >= floor:
        found.append("contrast under the floor")
    height, width = grey.shape
    for unit, polygon in zip(sample.units, sample.polygons, strict=True):
        if not np.isfinite(polygon).all():
            found.append(f"polygon of {unit!r} is not finite")
            continue
        left, top = np.floor(polygon.min(0)).astype(int)
        right, bottom = np.ceil(polygon.max(0)).astype(int)
        # With a pixel around: a dot of one or two pixels fills its box evenly.
        part = grey[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1]
        if right <= left or bottom <= top or left >= width or top >= height or right <= 0 or bottom <= 0:
            found.append(f"polygon of {unit!r} is empty or outside the image")
        elif not unit.isspace() and int(part.max()) - int(part.min()) < floor / 4:
            found.append(f"nothing to be seen of {unit!r}")
    return found


def shaped_badly(drawn: dict[str, set[str]], fonts: Fonts, program: str) -> list[tuple[str, str]]:
    """Of labels by the one font that drew them those, with the font, in which hb-shape has a glyph that should not be.

    That is a missing glyph, or a dotted circle.
    """
    found: list[tuple[str, str]] = []
    for name, labels in drawn.items():
        for face in fonts.named(name):
            known = fonts.glyphs(face)
            mine = sorted(label for label in labels if all(ord(c) in known or c in WITHOUT_GLYPH for c in label))
            labels = labels - set(mine)
            if not mine:
                continue
            command = [program, f"--face-index={face.number}", "--shapers=ot", "--no-glyph-names", "--no-positions"]
            command += ["--no-clusters", "--text-file=-", str(sfnt_path(face))]
            done = subprocess.run(command, input="\n".join(mine).encode(), capture_output=True, check=True)
            for label, line in zip(mine, done.stdout.decode().splitlines(), strict=True):
                glyphs = {int(glyph) for glyph in line.strip("[]").split("|")}
                if 0 in glyphs or (known.get(0x25CC, 0) in glyphs and "\u25cc" not in label):
                    found.append((name, label))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="samples in all")
    parser.add_argument("--fonts", type=Path, action="append", default=[], help="folder of fonts; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="index of the first sample")
    options = parser.parse_args()
    corpus = sorted((ROOT / "corpora").glob("*.txt"))
    texts = {path.name: searchable(path) for path in corpus}
    program = os.environ.get("SCRIPTORIUM_HB_SHAPE") or shutil.which("hb-shape")
    counts: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    drawn: dict[str, set[str]] = defaultdict(set)
    plain = 0
    fonts = None
    begun = time.monotonic()
    for preset in ("document", "scene"):
        paths = {"paths": [str(path) for path in options.fonts]}
        overrides = [*PLAIN, f"seed={options.seed}"]
        recipe = Recipe.load(preset, corpus=corpus, overrides=overrides, fonts=paths)
        pipeline = Pipeline(recipe)
        fonts = fonts or Fonts(pipeline.book.faces)
        for index in range(options.first, options.first + options.count // 2):
            sample = pipeline.sample(index)
            name = Path(sample.meta["source"]).stem
            counts[name] += 1
            plain += "plain" in sample.meta
            refused.update(reason for reason, _ in sample.refusals)
            if "fallback" not in sample.meta:
                drawn[sample.meta["font"]].add(sample.text)
            for fault in faults(sample, texts, fonts, recipe.legibility.contrast):
                wrong[name] += 1
                print(f"{preset} {index} {name} {sample.text!r} {sample.meta['font']}: {fault}", flush=True)
    for name in sorted(counts):
        print(f"{name:6} {counts[name]:7} samples, {wrong[name]} faults")
    total = sum(wrong.values())
    if program and fonts:
        badly = [
            f"{name}: {label!r}: missing glyph or dotted circle" for name, label in shaped_badly(drawn, fonts, program)
        ]
        total += len(badly)
        print("\n".join(badly[:50]) or f"hb-shape: {sum(map(len, drawn.values()))} labels, none with a missing glyph")
    else:
        print("hb-shape is not here: labels were not shaped once more")
    print(f"{sum(counts.values())} samples, {total} faults, {plain} plain, {time.monotonic() - begun:.0f} s")
    print("refused attempts: " + (", ".join(f"{n} {reason}" for reason, n in refused.most_common()) or "none"))
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main())
