"""The main job end to end, for `scripts/quickstart`: generate → audit → train → evaluate → export → predict.

Ten per cent of the words of the corpus and one family of fonts are kept out of training; the recogniser is measured on
pictures of just these. Where few fonts draw the corpus, those of the catalogue are fetched first.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.infer.draw import CaptionDrawer
from synth.fonts.audit import Wanted, audit
from synth.fonts.book import FontBook
from synth.fonts.face import Face
from synth.fonts.index import FaceInfo, scan
from synth.fonts.install import Script, find_script
from synth.recipe import Fonts
from synth.render.shape import script_of
from synth.text.charset import Charset
from synth.text.units import split_units

CHECKOUT = Path(__file__).resolve().parent.parent
COUNT, EPOCHS = 30_000, 5
MOST_LINES = 200_000
FEW_FAMILIES = 20  # with fewer, a recogniser learns these fonts more than letters


def main() -> None:
    """Run all steps; each is printed as the command that it is."""
    parser = argparse.ArgumentParser(prog="scripts/quickstart", description=__doc__.splitlines()[0])
    parser.add_argument("corpus", nargs="?", default=str(CHECKOUT / "corpora/en.txt"), help="text file, UTF-8")
    parser.add_argument("pictures", nargs="?", help="folder of your own pictures of words or lines")
    parser.add_argument("--home", type=Path, default=Path.cwd(), help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=COUNT, help="training pictures")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    arguments = parser.parse_args()
    began = time.monotonic()
    corpus = arguments.home / arguments.corpus
    folder = arguments.home / f"quickstart-{corpus.stem}"
    pictures = arguments.home / arguments.pictures if arguments.pictures else None
    if pictures is not None and not pictures.is_dir():
        raise ScriptoriumError(f"{pictures}: no such folder; name one with pictures, or none")
    folder.mkdir(parents=True, exist_ok=True)

    train_text, test_text, dictionary = split(corpus, folder)
    seen, unseen = folder / "train", folder / "test"
    words = test_text.read_text(encoding="utf-8").splitlines()
    families, scripts = able(words), catalogued(words)
    if not seen.exists():  # with other fonts, data that are begun could not go on
        families = enough(families, scripts, words)
    family, alike = kept_font(families, scripts, words)
    print(
        f"kept out of training: {len(words):,} words ({test_text}) and the font {family}"
        + (f", with those that look like it ({', '.join(alike)})" if alike else "")
        + f"; {len(families) - 1 - len(alike)} families that draw every word are left",
        flush=True,
    )

    # Words of a short list alone would be learnt by heart: they are also cut and joined.
    varied = ["corpus.piece=word", "corpus.cut=0.3", "corpus.join=0.2"]
    only = sorted({str(face.path) for face in families[family]})
    data = ["--charset", dictionary, "--resume"]
    run("synth", "generate", "--corpus", train_text, "--output", seen, "--count", arguments.count, *data,
        "--seed", 1, "--recipe", "document",
        "-o", f"fonts.exclude={json.dumps([family, *alike], ensure_ascii=False)}", *varied)  # fmt: skip
    run("synth", "generate", "--corpus", test_text, "--output", unseen, "--count", min(1000, arguments.count), *data,
        "--seed", 2, "--recipe", "document", "--fonts", *only,
        "-o", "corpus.piece=word", "corpus.template_share=0")  # fmt: skip
    run("synth", "verify", seen)
    run("synth", "report", seen)

    model = folder / "model"
    config = folder / "train.yml"
    write_config(config, dictionary, model, seen, unseen, arguments.epochs)
    run("ocr", "audit", "-c", config)
    run("ocr", "train", "-c", config, "--resume")
    run("ocr", "eval", "-c", config)
    exported = folder / "exported"
    if not exported.exists():
        run("ocr", "export", model, "--output", exported)

    shown = folder / "shown"
    if not shown.exists():
        run("synth", "generate", "--corpus", test_text, "--output", shown, "--count", 24, "--format", "folder", *data,
            "--seed", 3, "--recipe", "document", "--fonts", *only,
            "-o", "corpus.piece=word", "corpus.template_share=0")  # fmt: skip
    labels = dict(line.split("\t", 1) for line in (shown / "labels.tsv").read_text(encoding="utf-8").splitlines())
    read = predict(exported, [shown / name for name in labels], folder / "names.txt")
    picture = folder / "read.png"
    sheet(picture, [(shown / name, read.get(str(shown / name), ""), text) for name, text in labels.items()])
    print(f"\n{'label':24}read")
    for name, text in labels.items():
        reading = read.get(str(shown / name), "")
        print(f"{text:24}{reading}{'' if reading == text else '   ✗'}")
    right = sum(read.get(str(shown / name)) == text for name, text in labels.items())
    print(f"{right} of {len(labels)} words that were never seen, in a font that was never seen: {picture}")
    if pictures is not None:
        run("ocr", "predict", pictures, "--model", exported, "--draw", folder / "yours")
        print(f"your pictures with what was read below them: {folder / 'yours'}")
    print(f"model    {exported}")
    print(f"took     {(time.monotonic() - began) / 60:.1f} minutes")


def split(corpus: Path, folder: Path) -> tuple[Path, Path, Path]:
    """Write training text, words kept out, and the dictionary of both.

    Returns:
        The three files.

    Raises:
        ScriptoriumError: the corpus cannot be read, or has too few words.
    """
    try:
        lines = corpus.read_text(encoding="utf-8-sig").splitlines()[:MOST_LINES]
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptoriumError(f"{corpus}: cannot be read as UTF-8 text ({error})") from None
    words = sorted({word for line in lines for word in line.split() if len(word) <= 20})
    if len(words) < 20:
        raise ScriptoriumError(f"{corpus}: has only {len(words)} different words; give a longer text")
    random.Random(0).shuffle(words)
    test = words[: min(1000, len(words) // 10)]
    files = folder / "train.txt", folder / "test.txt", folder / "dictionary.txt"
    files[0].write_text("\n".join(words[len(test) :]) + "\n", encoding="utf-8")
    files[1].write_text("\n".join(test) + "\n", encoding="utf-8")
    Charset.from_texts([*words, "0123456789.,:/%-"], "grapheme", space=False).write(files[2])
    return files


def able(words: Sequence[str]) -> dict[str, list[FaceInfo]]:
    """The font families that draw all characters of some words, by name, with the faces that do."""
    found = scan().faces
    families: dict[str, list[FaceInfo]] = defaultdict(list)
    if found:
        covering = FontBook(found, Fonts()).covering("".join(sorted(set().union(*words))))
        for number, face in enumerate(found):
            if covering >> number & 1:
                families[face.family].append(face)
    return dict(families)


def catalogued(words: Sequence[str]) -> list[Script]:
    """The entries of the font catalogue for the scripts that a fifth or more of the letters belong to."""
    counts = Counter(script_of(letter) for word in words for letter in word if letter.isalpha())
    if kana := counts.pop("Hira", 0) + counts.pop("Kana", 0):
        counts["Jpan"] = kana + counts.pop("Hani", 0)
    found = []
    for code, number in counts.most_common():
        with suppress(ScriptoriumError):  # no fonts are catalogued for it
            if 5 * number >= counts.total():
                found.append(find_script(code))
    return found


def enough(
    families: dict[str, list[FaceInfo]], scripts: Sequence[Script], words: Sequence[str]
) -> dict[str, list[FaceInfo]]:
    """The families that draw the words, after those of the catalogue were fetched if there were few."""
    if len(families) >= FEW_FAMILIES or not scripts:
        return families
    print(f"{len(families)} font families draw the words of the corpus; more make a better reader", flush=True)
    status = call("synth", "fonts", "install", *(script.code for script in scripts))
    families = able(words)
    if status and len(families) > 1:
        print(f"going on with the {len(families)} families that are here; with so few, it will read less", flush=True)
    return families


def kept_font(
    families: dict[str, list[FaceInfo]], scripts: Sequence[Script], words: Sequence[str]
) -> tuple[str, list[str]]:
    """The family to keep out of training, the same every time, and the others that look the same.

    It is the first one of the catalogue that is here, else the first by name; if there is one, one that is no variant
    of another by its name, as DejaVu Sans Mono is of DejaVu Sans.

    Raises:
        ScriptoriumError: there are fewer than two that look different.
    """
    known = [family.family for script in scripts for family in script.families]
    plain = [name for name in sorted(families) if "Serif" in name or "Sans" in name]
    names = [name for name in dict.fromkeys([*known, *plain, *sorted(families)]) if name in families]
    alone = (name for name in names if not any(variant(name, other) for other in families if other != name))
    family = next(alone, next(iter(names), ""))
    alike = sorted(look_alikes(family, families, words)) if family else []
    different = len(families) - len(alike)
    if different < 2:
        raise ScriptoriumError(
            f"{different} font families cover the corpus, and two are needed: run `synth fonts install SCRIPT` "
            "(`synth fonts install --help`), or install fonts yourself"
        )
    return family, alike


def variant(one: str, other: str) -> bool:
    """Whether the name of one of two families begins with the other's."""
    return f"{one} ".startswith(f"{other} ") or f"{other} ".startswith(f"{one} ")


def look_alikes(family: str, families: dict[str, list[FaceInfo]], words: Sequence[str]) -> set[str]:
    """The families, but for this one, whose regular face draws the letters of the words just as this one's does."""
    regular = {
        name: min(faces, key=lambda face: (face.italic, abs(face.weight - 400), face.digest))
        for name, faces in families.items()
    }
    letters = sorted(set().union(*words))

    def widths(info: FaceInfo) -> NDArray[np.float64]:
        font = Face(info).hb
        given = [font.get_glyph_h_advance(font.get_nominal_glyph(ord(c)) or 0) for c in letters]
        return np.divide(given, max(sum(given), 1), dtype=np.float64)

    # Drawing takes long: only families of nearly the same widths are looked at.
    own = widths(regular[family])
    near = [face for face in regular.values() if np.abs(widths(face) - own).sum() < 0.02]
    units = Counter(unit for word in words for unit in split_units(word, "grapheme"))
    verdicts = audit(near, Wanted.of_counts(units, (), "the words kept out")).verdicts
    first = {verdict.face.family: (verdict.twin_of or verdict.face).family for verdict in verdicts}
    return {name for name in first if first[name] == first[family]} - {family}


def write_config(path: Path, dictionary: Path, model: Path, train: Path, test: Path, epochs: int) -> None:
    """The shipped `configs/rec/tiny.yml` with the paths of this run."""
    import yaml

    values = yaml.safe_load((CHECKOUT / "configs/rec/tiny.yml").read_text(encoding="utf-8"))
    values["Global"] |= {
        "name": path.parent.name,
        "save_model_dir": str(model),
        "character_dict_path": str(dictionary),
        "use_space_char": False,
        "epoch_num": epochs,
    }
    values["Train"]["sources"] = [{"name": "synth", "path": str(train)}]
    values["Eval"]["sources"] = [{"name": "unseen", "path": str(test)}]
    path.write_text(yaml.safe_dump(values, allow_unicode=True, sort_keys=False), encoding="utf-8")


def run(*command: object) -> None:
    """Print a command and run it; ends this program where it fails."""
    if status := call(*command):
        sys.exit(status)


def call(*command: object) -> int:
    """Print a command and run it; returns its exit status."""
    words = [str(word) for word in command]
    print(f"\n$ {shlex.join(words)}", flush=True)
    return subprocess.run(words, check=False).returncode


def predict(model: Path, pictures: list[Path], names: Path) -> dict[str, str]:
    """What `ocr predict` reads in pictures, by path; they are listed in the file `names`."""
    names.write_text("".join(f"{picture}\n" for picture in pictures), encoding="utf-8")
    command = ["ocr", "predict", "-", "--model", str(model), "--format", "json"]
    print(f"\n$ {shlex.join(command)} < {shlex.quote(str(names))}", flush=True)
    with names.open(encoding="utf-8") as listed:
        done = subprocess.run(command, stdin=listed, text=True, stdout=subprocess.PIPE, check=True, encoding="utf-8")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["path"]: line["text"] for line in found if "text" in line}


def sheet(path: Path, rows: list[tuple[Path, str, str]], columns: int = 4) -> None:
    """A picture of pictures, each with what was read below it."""
    draw = CaptionDrawer()
    cells = []
    for picture, read, text in rows:
        image = cv2.imread(str(picture))
        image = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        drawn, _ = draw(image, read if read == text else f"{read} ✗")
        cells.append(drawn)
    width, height = max(c.shape[1] for c in cells) + 16, max(c.shape[0] for c in cells) + 16
    canvas = np.full((-(-len(cells) // columns) * height, columns * width, 3), 255, np.uint8)
    for number, cell in enumerate(cells):
        y, x = number // columns * height + 8, number % columns * width + 8
        canvas[y : y + cell.shape[0], x : x + cell.shape[1]] = cell
    cv2.imwrite(str(path), canvas)


if __name__ == "__main__":
    if shutil.which("synth") is None:
        sys.exit("quickstart: synth is not on the PATH; run scripts/quickstart")
    try:
        main()
    except ScriptoriumError as error:
        print(f"quickstart: {error}", file=sys.stderr)
        sys.exit(2)
