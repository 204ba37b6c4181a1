#!/usr/bin/env python3
"""Compare drawn lines with those of headless Chromium, a second engine, over the lines of `corpora/`.

    SCRIPTORIUM_TEST_FONTS=DIR scripts/check_chromium.py

Both draw each line with the same font at --size pixels per em; the intersection over union of their ink, bounding
boxes aligned to within a pixel, is printed per corpus, and so is each line under --outlier. Exits with 1 if the median
of a corpus is below --least. With --vertical, the lines are set from top to bottom (writing-mode: vertical-rl) and
compared turned to the left; ja, zh and ko by default. Chromium comes from Debian's package, or is named by
SCRIPTORIUM_CHROMIUM.
"""

from __future__ import annotations

import argparse
import html
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / part) for part in ("", "tests")]

import cv2  # noqa: E402
import fontset  # noqa: E402
import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from synth.fonts.face import Face  # noqa: E402
from synth.fonts.index import sfnt_path  # noqa: E402
from synth.render.line import GlyphCache, draw_line  # noqa: E402
from synth.render.shape import shape_line  # noqa: E402
from synth.render.vertical import draw_column, shape_column  # noqa: E402
from synth.text.units import split_units  # noqa: E402

_TALLEST = 8000  # pixels of a page: Chromium's limit is twice that
_SECONDS = 120


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=96, help="pixels per em")
    parser.add_argument("--families", type=int, default=2, help="font families per corpus")
    parser.add_argument("--least", type=float, default=0.9, help="least median overlap of a corpus")
    parser.add_argument("--outlier", type=float, default=0.85, help="lines that overlap less are named")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the outliers, ours above Chromium's")
    parser.add_argument("--vertical", action="store_true", help="vertical lines")
    parser.add_argument("names", nargs="*", help="corpora, such as ar kn; all of them by default")
    options = parser.parse_args()
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    program = os.environ.get("SCRIPTORIUM_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        sys.exit("chromium is not here: install Debian's chromium, or set SCRIPTORIUM_CHROMIUM")
    failed = False
    for name in options.names or (("ja", "zh", "ko") if options.vertical else fontset.LANGUAGES):
        covered = fontset.covered_lines(name, options.families)
        # a browser reads the first face of a collection only
        lines = [(line, faces[0][0]) for line, faces in covered if faces[0][0].info.number == 0]
        theirs = chromium_ink(program, name, lines, options.size, options.vertical)
        cache = GlyphCache()
        found = []
        for number, ((line, face), their) in enumerate(zip(lines, theirs, strict=True)):
            shape, draw = (shape_column, draw_column) if options.vertical else (shape_line, draw_line)
            runs = shape(line, [(face, 0, len(line))], language=name)
            ours = draw(runs, split_units(line, "grapheme"), options.size, cache).mask
            found.append(fontset.overlap(ours, their))
            if found[-1] < options.outlier:
                print(f"  {name} {number}: {face.name}: {line}: overlap {found[-1]:.3f}")
                if options.pictures:
                    cv2.imwrite(str(options.pictures / f"{name}-{number}.png"), _both(ours, their))
        median = statistics.median(found)
        families = len({face.name for _, face in lines})
        print(
            f"{name:4} {len(found):3} lines, {families} families: overlap median {median:.3f}, least {min(found):.3f}"
        )
        failed |= median < options.least
    return int(failed)


def chromium_ink(
    program: str, language: str, lines: list[tuple[str, Face]], size: int, vertical: bool
) -> list[NDArray[np.uint8]]:
    """Coverage of each line, height × width, as Chromium draws it; vertical ones turned a quarter to the left."""
    pitch = 3 * size
    batch = _TALLEST // pitch
    found: list[NDArray[np.uint8]] = []
    for first in range(0, len(lines), batch):
        part = lines[first : first + batch]
        width = size * max(len(line) for line, _ in part) + 2 * size
        fonts, rows = "", ""
        across, along, mode = ("right", "top", "vertical-rl") if vertical else ("top", "left", "horizontal-tb")
        for row, (line, face) in enumerate(part):
            fonts += f"@font-face{{font-family:f{row};src:url('{sfnt_path(face.info).as_uri()}')}}"
            rows += (
                f"<div dir=auto style='{across}:{row * pitch + size}px;font-family:f{row}'>{html.escape(line)}</div>"
            )
        page = (
            f"<!doctype html><html lang={language}><meta charset=utf-8><style>{fonts}"
            f"html,body{{margin:0;background:#fff}}div{{position:absolute;{along}:0;color:#000;white-space:pre;"
            f"font-size:{size}px;line-height:1;font-synthesis:none;font-kerning:normal;writing-mode:{mode};"
            f"min-inline-size:{width - 2 * size}px;padding-inline:{size}px}}</style>{rows}"
        )
        shape = (width, pitch * len(part) + size)
        picture = _screenshot(program, page, *(shape[::-1] if vertical else shape))
        if vertical:
            # The first line, the column at the right, becomes the row at the top.
            picture = cv2.rotate(picture, cv2.ROTATE_90_COUNTERCLOCKWISE)
        ink = 255 - cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        # Marks may rise far above and below; rows are cut where the space between lines is empty.
        found += [ink[row * pitch + size // 4 : (row + 1) * pitch + size // 4] for row in range(len(part))]
    return found


def _screenshot(program: str, page: str, width: int, height: int) -> NDArray[np.uint8]:
    with tempfile.TemporaryDirectory(prefix="scriptorium-chromium-") as folder:
        source, target = Path(folder) / "page.html", Path(folder) / "page.png"
        source.write_text(page, encoding="utf-8")
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-lcd-text"]
        command += ["--disable-background-networking", "--font-render-hinting=none", "--allow-file-access-from-files"]
        command += [f"--user-data-dir={folder}/profile", f"--window-size={width},{height}"]
        command += ["--virtual-time-budget=10000", f"--screenshot={target}", source.as_uri()]
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
        picture = cv2.imread(str(target))
        if picture is None:
            sys.exit(f"{program} made no picture: {done.stderr.decode(errors='replace').strip()[-500:]}")
        return picture.astype(np.uint8)


def _both(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    parts = []
    for ink in (ours, theirs):
        x, y, width, height = cv2.boundingRect((ink >= 128).astype(np.uint8))
        parts.append(np.pad(255 - ink[y : y + height, x : x + width], 8, constant_values=255))
    widest = max(part.shape[1] for part in parts)
    return np.vstack([np.pad(part, ((0, 0), (0, widest - part.shape[1])), constant_values=255) for part in parts])


if __name__ == "__main__":
    sys.exit(main())
