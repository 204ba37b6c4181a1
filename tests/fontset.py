"""Fonts and reference tools for the tests of shaping, and the references themselves: hb-shape, and Pillow with Raqm.

`python tests/fontset.py DIR` installs into DIR the fonts that the tests need, unless they are there already.

`SCRIPTORIUM_TEST_FONTS` names that folder (otherwise the fonts that `synth` finds by itself are used), and
`SCRIPTORIUM_HB_SHAPE` the program hb-shape (otherwise the one on PATH).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features

from synth.data import data_file
from synth.fonts.book import FontBook, needed_tags
from synth.fonts.face import Face
from synth.fonts.index import FaceInfo, scan, sfnt_path
from synth.recipe import Fonts
from synth.render.shape import Run, script_of

LANGUAGES = {
    "en": "Latn",
    "vi": "Latn",
    "grc": "Grek",
    "ru": "Cyrl",
    "ar": "Arab",
    "he": "Hebr",
    "hi": "Deva",
    "bn": "Beng",
    "ta": "Taml",
    "kn": "Knda",
    "te": "Telu",
    "ml": "Mlym",
    "gu": "Gujr",
    "km": "Khmr",
    "my": "Mymr",
    "th": "Thai",
    "lo": "Laoo",
    "bo": "Tibt",
    "si": "Sinh",
    "am": "Ethi",
    "ka": "Geor",
    "hy": "Armn",
    "chr": "Cher",
    "nqo": "Nkoo",
    "ja": "Jpan",
    "zh": "Hans",
    "ko": "Hang",
    "fa": "Arab",
    "ur": "Aran",
    "syr": "Syrc",
    "de-Latf": "Latf",
    "la": "la-Latn",
}
"""The corpora of one language each, and the script to install fonts for (ISO 15924)."""

MIXED = "mixed"

Glyphs = list[tuple[int, int, int, int, int]]
"""Glyph id, cluster, advance, x and y offset of each glyph, left to right, in font units."""


class Missing(Exception):
    """Something that the tests need is not on this machine; says what, and how to get it."""


def lines(name: str) -> list[str]:
    """The lines of one of our small corpora."""
    return data_file(f"corpora/{name}.txt").read_text(encoding="utf-8").splitlines()


def folders() -> list[str]:
    """Where the fonts to test with are; empty for those that `synth` finds by itself."""
    folder = os.environ.get("SCRIPTORIUM_TEST_FONTS")
    return [folder] if folder else []


@cache
def faces() -> tuple[FaceInfo, ...]:
    """The faces to test with; those of the Noto project, upright and regular, come first."""
    found = scan([Path(folder) for folder in folders()] or None).faces
    return tuple(
        sorted(found, key=lambda f: (not f.family.startswith("Noto S"), f.style != "Regular", f.family, f.digest))
    )


@lru_cache(maxsize=32)
def opened(info: FaceInfo) -> Face:
    """The face, opened; few at a time, as Han fonts are large."""
    return Face(info)


def draws(info: FaceInfo, text: str) -> bool:
    """Whether a face has all characters of a text and the shaping tables that their scripts need."""
    for character in set(text):
        tags = needed_tags(script_of(character))
        if not info.covers(ord(character)) or (tags and tags.isdisjoint(info.scripts)):
            return False
    return True


def face_for(text: str) -> Face:
    """The first face that has a whole text. Raises Missing if there is none."""
    return _faces_for(text, 1)[0]


def faces_of(text: str) -> list[Face]:
    """Faces that have a whole text, one of each family. Raises Missing if there are none."""
    return _faces_for(text, 10_000)


def _faces_for(text: str, most: int) -> list[Face]:
    """Up to `most` faces that have a whole text, each of another family. Raises Missing if there are none."""
    found: dict[str, FaceInfo] = {}
    for info in faces():
        if info.family not in found and draws(info, text):
            found[info.family] = info
            if len(found) == most:
                break
    if not found:
        where = os.environ.get("SCRIPTORIUM_TEST_FONTS") or "this machine"
        raise Missing(f"{where} has no font for {text[:40]!r}: run scripts/test, or python tests/fontset.py DIR")
    return [opened(info) for info in found.values()]


@cache
def _book() -> FontBook:
    return FontBook(faces(), Fonts())


def covered_lines(name: str, families: int) -> Iterator[tuple[str, list[tuple[Face, int, int]]]]:
    """Lines of a corpus with the faces to draw them, as `shape_line` takes them; each line with up to `families`.

    The faces of a language have all characters of its corpus. Of the mixed lines, each has its own face; where there is
    none, the book's choice by fallback.
    """
    texts = lines(name)
    if name in LANGUAGES:
        for face in _faces_for("".join(sorted(set("".join(texts)))), families):
            for line in texts:
                yield line, [(face, 0, len(line))]
        return
    for line in texts:
        try:
            whole = _faces_for(line, families)
        except Missing:
            yield line, _book().choose(line, np.random.default_rng(0))
        else:
            for face in whole:
                yield line, [(face, 0, len(line))]


@cache
def hb_shape_program() -> str:
    """The path of hb-shape. Raises Missing."""
    program = os.environ.get("SCRIPTORIUM_HB_SHAPE") or shutil.which("hb-shape")
    if not program:
        raise Missing("hb-shape is not here: install libharfbuzz-bin, or set SCRIPTORIUM_HB_SHAPE")
    return program


def hb_shape(
    face: Face,
    texts: Sequence[str],
    *,
    script: str,
    language: str,
    rtl: bool,
    before: str = "",
    after: str = "",
    upright: bool = False,
) -> list[Glyphs]:
    """What hb-shape makes of texts without a line break, each between `before` and `after`.

    Upright ones are shaped from top to bottom; their advances go down.
    """
    command = [
        hb_shape_program(),
        f"--face-index={face.info.number}",
        "--shapers=ot",  # Debian's build would let Graphite shape the fonts that have its tables
        f"--script={script}",
        f"--language={language}",
        f"--direction={('btt' if rtl else 'ttb') if upright else 'rtl' if rtl else 'ltr'}",
        "--no-glyph-names",
        "--output-format=json",
        "--text-file=-",
        *([f"--text-before={before}"] if before else ["--bot"]),
        *([f"--text-after={after}"] if after else ["--eot"]),
        str(sfnt_path(face.info)),
    ]
    given = "\n".join(texts).encode()
    done = subprocess.run(command, input=given, capture_output=True, timeout=120, check=False)
    if done.returncode:
        raise Missing(f"hb-shape failed: {done.stderr.decode(errors='replace').strip()}")
    shaped = [json.loads(line) for line in done.stdout.decode().splitlines()]
    return [
        [(g["g"], g["cl"], -g["ay"] if upright else g["ax"], g["dx"], g["dy"]) for g in glyphs] for glyphs in shaped
    ]


def glyphs_of(run: Run) -> Glyphs:
    """A run of ours as `hb_shape` gives it: clusters counted from the run's start."""
    starts = [cluster - run.start for cluster in run.clusters]
    return list(zip(run.glyphs, starts, run.advances, run.x_offsets, run.y_offsets, strict=True))


def raqm_ink(face: Face, text: str, size: int) -> NDArray[np.uint8]:
    """Coverage of a line as Pillow draws it with Raqm (HarfBuzz and FriBidi); `size` in pixels per em."""
    if not (features.check("raqm") and features.check("fribidi")):
        raise Missing("Pillow finds no FriBidi for Raqm: install libfribidi0")
    font = ImageFont.truetype(
        str(sfnt_path(face.info)), size, index=face.info.number, layout_engine=ImageFont.Layout.RAQM
    )
    left, top, right, bottom = font.getbbox(text)
    # Pillow's box is made of advances and heights: marks may stand out.
    pad = size
    image = Image.new("L", (int(right - left) + 2 * pad, int(bottom - top) + 2 * pad))
    ImageDraw.Draw(image).text((pad - left, pad - top), text, fill=255, font=font)
    return np.array(image)


def overlap(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Intersection over union of two coverages at half ink, their bounding boxes aligned to within a pixel."""
    a, b = _cropped(first), _cropped(second)
    if a is None or b is None:
        return float(a is b)
    height, width = (max(x, y) + 2 for x, y in zip(a.shape, b.shape, strict=True))
    frame = np.zeros((height, width), np.uint8)
    frame[1 : 1 + a.shape[0], 1 : 1 + a.shape[1]] = a
    total = cv2.countNonZero(a) + cv2.countNonZero(b)
    best = 0.0
    for y in range(min(height - b.shape[0] + 1, 3)):
        for x in range(min(width - b.shape[1] + 1, 3)):
            both = cv2.countNonZero(cv2.bitwise_and(frame[y : y + b.shape[0], x : x + b.shape[1]], b))
            best = max(best, both / (total - both))
    return best


def _cropped(mask: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    ink = (mask >= 128).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(ink)
    return ink[y : y + height, x : x + width] if width else None


def install_fonts(target: Path) -> None:
    """The catalogue's fonts for the scripts of our corpora, into `target`; nothing if that is done already."""
    from synth.fonts.install import install

    stamp = target / ".complete"
    digest = hashlib.sha256(data_file("fonts/catalog.yml").read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
        return
    install(sorted({*LANGUAGES.values(), "vi-Latn"}), target, log=lambda line: print(line, file=sys.stderr))
    stamp.write_text(digest, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tests/fontset.py DIR")
    install_fonts(Path(sys.argv[1]))
