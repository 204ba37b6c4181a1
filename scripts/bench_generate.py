#!/usr/bin/env python3
"""Samples per second of one worker on one core, per preset, LMDB writing included.

    python scripts/bench_generate.py [--corpus FILE] [--fonts DIR] [--han-fonts DIR] [--count 6000]

Each row is the median of five timed runs after a warm-up that fills the glyph and texture caches; "cold" rows start
with empty caches. Rates are per second of processor time of this process and of the clock. Quiet machine, please.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import cv2

from synth.data import data_file
from synth.engine import generate
from synth.pipeline import Pipeline
from synth.recipe import Recipe
from synth.style.extract import Unusable, extract
from synth.style.store import StoreWriter


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def rate(pipeline: Pipeline, count: int, runs: int, first: int) -> tuple[float, float]:
    """Median images per second, by processor and by clock, of `runs` data sets of `count` images."""
    by_processor, by_clock = [], []
    for run in range(runs):
        shifted = _Shifted(pipeline, first + run * count)
        with tempfile.TemporaryDirectory() as folder:
            clock, processor = time.perf_counter(), time.process_time()
            generate(lambda made=shifted: made, Path(folder) / "data", count, manifest_head={}, progress=False)
            by_processor.append(count / (time.process_time() - processor))
            by_clock.append(count / (time.perf_counter() - clock))
    return statistics.median(by_processor), statistics.median(by_clock)


def show(title: str, processor: float, clock: float, faces: int, state: str) -> None:
    """Print one row."""
    print(f"{title:<44} {processor:>7,.0f} /s processor {clock:>7,.0f} /s clock   {faces} faces, {state}", flush=True)


class _Shifted:
    """The stream from a later index on, so that no run repeats another's samples."""

    def __init__(self, pipeline: Pipeline, by: int) -> None:
        self._pipeline, self._by = pipeline, by

    def block(self, start: int, stop: int) -> list:  # type: ignore[type-arg]
        records = self._pipeline.block(start + self._by, stop + self._by)
        for record in records:
            record.index -= self._by
        return records


def write_styles(folder: Path, fonts: dict[str, list[str]]) -> Path:
    """A store of 40 styles, of words of the recipe `scene` at 64 pixels."""
    corpus = [data_file("corpora/en.txt")]
    pipeline = Pipeline(Recipe.load("scene", corpus=corpus, overrides=["layout.height=64"], fonts=fonts))
    writer = StoreWriter(folder / "words.styles")
    for sample in pipeline:
        if len(writer) == 40:
            break
        try:
            writer.add(extract(sample.image))
        except Unusable:
            continue
    writer.finish("scene")
    writer.close()
    return writer.folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default=str(Path(__file__).parent.parent / "corpora" / "en.txt"))
    parser.add_argument("--fonts", help="folder; default: all fonts found")
    parser.add_argument("--han-fonts", help="folder with faces for Han: adds the cold row of 7,000 characters")
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{_processor()}; Python {platform.python_version()}, numpy {version('numpy')}, OpenCV {cv2.__version__}")
    fonts = {"paths": [arguments.fonts]} if arguments.fonts else {}
    rows = [
        ("clean, words, 32 px", "clean", []),
        ("clean, words, 32 px, polygons stored", "clean", ["output.polygons=true"]),
        ("scene, words, 32 px", "scene", []),
        ("scene, words, 32 px, polygons stored", "scene", ["output.polygons=true"]),
        ("document, four words, 32 px", "document", ["corpus.words=[4, 4]"]),
        ("receipt, 32 px", "receipt", []),
        ("historical, 32 px", "historical", []),
        ("lowres, words, 32 px", "lowres", []),
        ("curved, words, 32 px", "curved", ["layout.height=32"]),
        ("curved, straightened, words, 32 px", "curved", ["layout.height=32", "layout.curve.unwrap=true"]),
        ("seal, ring texts straightened, 32 px", "seal", []),
        ("seal, whole, 128 px", "seal", ["layout.height=128", "layout.seal.unwrap=false"]),
    ]
    for title, preset, overrides in rows:
        recipe = Recipe.load(preset, corpus=[arguments.corpus], overrides=overrides, fonts=fonts)
        pipeline = Pipeline(recipe)
        faces = len(pipeline.book.faces)
        pipeline.block(0, arguments.count)
        show(title, *rate(pipeline, arguments.count, arguments.runs, arguments.count), faces, "warm")
    with tempfile.TemporaryDirectory() as folder:
        styles = {"stores": [str(write_styles(Path(folder), fonts))]}
        for title, piece in (("words", "corpus.words=[1, 1]"), ("four words", "corpus.words=[4, 4]")):
            overrides = ["corpus.piece=words", piece]
            made = Recipe.load("scene", corpus=[arguments.corpus], overrides=overrides, fonts=fonts, styles=styles)
            pipeline = Pipeline(made)
            faces = len(pipeline.book.faces)
            pipeline.block(0, arguments.count)
            measured = rate(pipeline, arguments.count, arguments.runs, arguments.count)
            show(f"scene, in 40 styles, {title}, 32 px", *measured, faces, "warm")
    if arguments.han_fonts:
        with tempfile.TemporaryDirectory() as folder:
            corpus = Path(folder) / "han.txt"
            points = range(0x4E00, 0x4E00 + 7000)
            lines = ["".join(chr(points[(k * 617 + i * 4) % 7000]) for i in range(4)) for k in range(7000)]
            corpus.write_text("\n".join(lines), encoding="utf-8")
            for preset in ("clean", "scene"):
                recipe = Recipe.load(preset, corpus=[corpus], fonts={"paths": [arguments.han_fonts]})
                pipeline = Pipeline(recipe)
                faces = len(pipeline.book.faces)
                title = f"{preset}, four of 7,000 Han characters, 32 px"
                for state, first in (("cold", 0), ("after 6,000", 6000)):
                    processor, clock = rate(pipeline, 6000, 1, first)
                    print(
                        f"{title:<44} {processor:>7,.0f} /s processor {clock:>7,.0f} /s clock   {faces} faces, {state}"
                    )


if __name__ == "__main__":
    main()
