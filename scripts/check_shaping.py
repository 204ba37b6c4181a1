#!/usr/bin/env python3
"""Compare shaping with hb-shape, and whole drawn lines with Pillow's Raqm, over all lines of `corpora/`.

    SCRIPTORIUM_TEST_FONTS=DIR scripts/check_shaping.py

hb-shape gets every run of one direction, script and face with the text around it; glyphs, clusters, advances and
offsets must be the same. Whole lines, mixed directions included, are drawn at --size pixels per em by both; the
intersection over union of their ink is printed. Exits with 1 if a run differs or a line overlaps by less than --least.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / part) for part in ("", "tests")]

import fontset  # noqa: E402
import uharfbuzz  # noqa: E402

from synth.render.line import GlyphCache, draw_line  # noqa: E402
from synth.render.shape import shape_line  # noqa: E402
from synth.text.units import split_units  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=384, help="pixels per em of the drawn lines")
    parser.add_argument("--least", type=float, default=0.96, help="least overlap")
    parser.add_argument("--families", type=int, default=3, help="font families per script for shaping")
    parser.add_argument("names", nargs="*", help="corpora, such as ar mixed; all of them by default")
    options = parser.parse_args()
    tool = subprocess.run([fontset.hb_shape_program(), "--version"], capture_output=True, text=True, check=True)
    print(f"{tool.stdout.splitlines()[0]}; ours: HarfBuzz {uharfbuzz.version_string()}")
    failed = False
    for name in options.names or [*fontset.LANGUAGES, fontset.MIXED]:
        wrong = compare_runs(name, options.families)
        low = compare_ink(name, options.size, options.least)
        failed |= wrong or low
    return int(failed)


def compare_runs(name: str, families: int) -> bool:
    """Compare with hb-shape; prints the differences, and tells whether there were any."""
    language = name if name in fontset.LANGUAGES else "und"
    runs = same = 0
    for line, faces in fontset.covered_lines(name, families):
        for run in shape_line(line, faces, language=language):
            [expected] = fontset.hb_shape(
                run.face,
                [line[run.start : run.stop]],
                script=run.script,
                language=language,
                rtl=run.rtl,
                before=line[: run.start],
                after=line[run.stop :],
            )
            got = fontset.glyphs_of(run)
            runs += 1
            same += got == expected
            if got != expected:
                print(f"  {name}: {run.face.name}: {line[run.start : run.stop]!r}: differs from hb-shape")
                print(f"    ours     {[g for g in got if g not in expected]}")
                print(f"    hb-shape {[g for g in expected if g not in got]}")
    print(f"{name:6} {same}/{runs} runs as hb-shape", end="; ", flush=True)
    return same < runs


def compare_ink(name: str, size: int, least: float) -> bool:
    """Compare with Raqm; prints the lines that overlap too little, and tells whether there were any."""
    found: list[float] = []
    cache = GlyphCache()
    for line, faces in fontset.covered_lines(name, 1):
        if len(faces) > 1:  # Pillow draws a line with one font
            continue
        ink = draw_line(shape_line(line, faces), split_units(line, "grapheme"), size, cache)
        found.append(fontset.overlap(ink.mask, fontset.raqm_ink(faces[0][0], line, size)))
        if found[-1] < least:
            print(f"\n  {name}: {faces[0][0].name}: {line}: overlap {found[-1]:.3f}")
    print(f"{len(found)} lines as Raqm: overlap at least {min(found):.3f}, mean {sum(found) / len(found):.3f}")
    return min(found) < least


if __name__ == "__main__":
    sys.exit(main())
