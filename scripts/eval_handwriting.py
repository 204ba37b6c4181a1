#!/usr/bin/env python3
"""Reads lines of digits that other people wrote than those it has learnt from.

    pip install scikit-learn
    python scripts/eval_handwriting.py FOLDER [--epochs 4] [--count 30000]

The set is scikit-learn's: 1,797 digits of 8 × 8 pixels from NIST's forms, those of 30 writers first, then those of 13
others (Alpaydin and Kaynak, 1998). Lines of 3 to 10 digits are stitched from the first 1,200 for training and from the
last 597 for measuring, with `synth handwriting import` and `synth generate`, and learnt with `configs/rec/tiny.yml`.
Prints line accuracy and character error on clean lines and on lines with all degradation of the recipe. Goes on where
it was stopped.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

CHECKOUT = Path(__file__).resolve().parent.parent
FIRST_WRITERS = 1200  # images of them, and a few of the others': the set does not say where they begin
CORPUS = ["-o", "corpus.templates=[{pattern: '\\d{3,10}'}]", "corpus.template_share=1"]


def main() -> None:
    """Run all steps; each is printed as the command that it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="for sets, data and the run")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--count", type=int, default=30_000, help="training lines")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    write_sets(folder)
    dictionary = folder / "digits.txt"
    dictionary.write_text("\n".join("0123456789") + "\n", encoding="utf-8")
    for name in ("train", "test"):
        if not (folder / f"{name}.chars").exists():
            run("synth", "handwriting", "import", folder / f"{name}.npz", folder / f"{name}.chars")
    lines = [("lines", "train", "handwriting", arguments.count), ("val", "train", "handwriting", 1000)]
    lines += [("clean", "test", "clean", 1000), ("degraded", "test", "handwriting", 1000)]
    for seed, (name, chars, recipe, count) in enumerate(lines):
        run("synth", "generate", "--ink", "handwriting", "--chars", folder / f"{chars}.chars", "--recipe", recipe,
            "--charset", dictionary, "--output", folder / name, "--count", count, "--seed", seed, "--resume",
            *CORPUS)  # fmt: skip
    config = folder / "train.yml"
    write_config(config, folder, dictionary, arguments.epochs)
    run("ocr", "train", "-c", config, "--resume")
    run("ocr", "eval", "-c", config)


def write_sets(folder: Path) -> None:
    """The two halves of the digits as NPZ files."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    parts = {"train": slice(None, FIRST_WRITERS), "test": slice(FIRST_WRITERS, None)}
    for name, part in parts.items():
        np.savez(folder / f"{name}.npz", images=images[part], labels=digits.target[part])


def write_config(path: Path, folder: Path, dictionary: Path, epochs: int) -> None:
    """The shipped configuration with the paths of this run; measured on three sets, of which the first decides."""
    values = yaml.safe_load((CHECKOUT / "configs/rec/tiny.yml").read_text(encoding="utf-8"))
    values["Global"] |= {
        "name": "digits",
        "save_model_dir": str(folder / "model"),
        "character_dict_path": str(dictionary),
        "use_space_char": False,
        "epoch_num": epochs,
    }
    values["Train"]["sources"] = [{"name": "synth", "path": str(folder / "lines")}]
    values["Eval"]["sources"] = [{"name": name, "path": str(folder / name)} for name in ("val", "clean", "degraded")]
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def run(*command: object) -> None:
    """Print a command and run it; ends this program where it fails."""
    words = [str(word) for word in command]
    print(f"\n$ {shlex.join(words)}", flush=True)
    if status := subprocess.run(words, check=False).returncode:
        sys.exit(status)


if __name__ == "__main__":
    main()
