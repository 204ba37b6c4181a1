"""The command line, from the corpus to the report."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import lmdb
import numpy as np
import pytest
import yaml
from readers import paddleocr

from synth.recipe import Recipe

Synth = Callable[..., Any]

ROOT = Path(__file__).resolve().parent.parent
WORDS = "Eins zwei Drei\nvier FÜNF sechs\nsieben acht\n"
COMMANDS = (
    ["generate"],
    ["preview"],
    ["report"],
    ["verify"],
    ["merge"],
    ["augment"],
    ["recipe"],
    ["recipe", "list"],
    ["recipe", "show"],
    ["fonts"],
    ["fonts", "list"],
    ["fonts", "check"],
    ["fonts", "install"],
    ["charset"],
    ["charset", "build"],
    ["charset", "diff"],
    ["charset", "merge"],
    ["charset", "check"],
    ["corpus"],
    ["corpus", "build"],
    ["corpus", "from-wordlist"],
    ["corpus", "from-hunspell"],
    ["corpus", "from-text"],
    ["corpus", "random"],
    ["corpus", "report"],
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "words.txt"
    path.write_text(WORDS, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def basics(corpus: Path, dejavu: list[Path]) -> list[object]:
    """Corpus and fonts of most runs here."""
    return ["--corpus", corpus, "--fonts", *dejavu]


@pytest.fixture(scope="module")
def made(synth: Synth, basics: list[object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 samples of preset scene in two shards."""
    out = tmp_path_factory.mktemp("made") / "data"
    done = synth("generate", *basics, "--output", out, "--count", 300, "--workers", 1, "-o", "output.shard_size=256")
    assert done.code == 0, done.err
    return out


def contents(root: Path) -> dict[str, Any]:
    """Every record of every shard, and the bytes of every other file."""
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.name == "data.mdb":
            with lmdb.open(str(path.parent), readonly=True, lock=False) as env, env.begin() as txn:
                found[name] = dict(txn.cursor())
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def images(found: dict[str, Any]) -> dict[bytes, bytes]:
    return {k: v for shard in found.values() if isinstance(shard, dict) for k, v in shard.items() if b"image" in k}


# -- help -------------------------------------------------------------------------------------------------------------


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import sys
from synth.cli import main
for command in {[[], *COMMANDS]!r}:
    try:
        main([*command, "--help"], prog_name="synth")
    except SystemExit as end:
        assert not end.code
heavy = {{"numpy", "pydantic", "cv2", "yaml", "PIL", "lmdb", "matplotlib", "fontTools", "uharfbuzz", "multiprocessing"}}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert done.stdout.count("Usage: synth") == 1 + len(COMMANDS)


@pytest.mark.parametrize("command", [[], ["recipe"], ["fonts"]])
def test_groups_show_their_help(synth: Synth, command: list[str]) -> None:
    done = synth(*command)
    assert "Commands:" in done.out + done.err and "Usage: synth" in done.out + done.err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["generat"], "synth: No such command 'generat'"),
        (["recipe", "shwo"], "synth recipe: No such command 'shwo'"),
        (["generate"], "synth generate: Missing option '--output'"),
        (["generate", "--corpus", "a", "--output", "b", "--worker", "2"], "synth generate: No such option"),
        (["generate", "--corpus", "a", "--output", "b", "c"], "synth generate: Got unexpected extra argument (c)"),
        (["generate", "--corpus", "a", "--output", "b", "--workers", "0"], "'--workers': 0 is not in the range"),
        (["generate", "--corpus", "a", "--output", "b", "--count", "many"], "'--count': 'many' is not a valid int"),
        (["generate", "--corpus", "a", "--output", "b", "--seed", "-1"], "'--seed': -1 is not in the range"),
        (["generate", "--corpus", "a", "--output", "b", "--format", "tar"], "'--format': 'tar' is not one of"),
        (["preview", "--corpus", "a", "--count", "0"], "'--count': 0 is not in the range"),
        (["verify"], "synth verify: Missing argument 'DATA'"),
        (["merge", "--output", "b"], "synth merge: Missing argument"),
    ],
)
def test_wrong_options_are_one_line(synth: Synth, args: list[str], told: str) -> None:
    error = synth(*args).error
    assert told in error and error.endswith("--help")


# -- generate, verify -------------------------------------------------------------------------------------------------


def test_from_a_corpus_to_a_data_set_that_verifies(synth: Synth, made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == [
        "manifest.json", "recipe.yaml", "shard-00000", "shard-00001",
    ]  # fmt: skip
    records = paddleocr(made)
    assert len(records) == 300
    for image, label in records:
        assert image.shape[0] == 32 and image.shape[1] >= 4 and label
    assert len({image.tobytes() for image, _ in records}) == 300
    done = synth("verify", made)
    assert (done.code, done.err) == (0, "") and done.out == "300 records in 2 shards: all right\n"


def test_the_summary_says_what_where_and_how_on(synth: Synth, basics: list[object], tmp_path: Path) -> None:
    done = synth("generate", *basics, "--output", tmp_path / "data", "--count", 5, "--recipe", "clean")
    assert done.code == 0 and done.err == ""
    assert f"5 images in {tmp_path / 'data'}" in done.out
    assert f"synth verify {tmp_path / 'data'}" in done.out


def test_verify_names_what_is_wrong_and_ends_with_1(synth: Synth, basics: list[object], tmp_path: Path) -> None:
    out = tmp_path / "data"
    assert synth("generate", *basics, "--output", out, "--count", 10, "--recipe", "clean").code == 0
    with lmdb.open(str(out / "shard-00000"), lock=False) as env, env.begin(write=True) as txn:
        assert txn.put(b"image-%09d" % 7, b"\xff\xd8 no picture")
    done = synth("verify", out)
    assert done.code == 1 and done.err == ""
    assert f"{out / 'shard-00000'}: image-000000007: does not decode as an image\n" in done.out
    assert done.out.splitlines()[-1].startswith("10 records in 1 shard: ")


def test_verify_against_a_dictionary(synth: Synth, made: Path, tmp_path: Path) -> None:
    letters = sorted({letter for _, label in paddleocr(made) for letter in label})
    (tmp_path / "all.txt").write_text("\n".join(letters), encoding="utf-8")
    (tmp_path / "fewer.txt").write_text("\n".join(letter for letter in letters if letter != "v"), encoding="utf-8")
    assert synth("verify", made, "--charset", tmp_path / "all.txt").code == 0
    done = synth("verify", made, "--charset", tmp_path / "fewer.txt")
    assert done.code == 1 and "label outside the charset, which lacks v" in done.out


def test_a_corpus_is_all_that_is_needed(
    synth: Synth, corpus: Path, dejavu: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Fonts are found without being named; only where they are looked for is cut short here.
    monkeypatch.setattr("synth.fonts.index.font_dirs", lambda: [dejavu[0].parent])
    done = synth("generate", "--corpus", corpus, "--output", tmp_path / "data", "--count", 20)
    assert done.code == 0, done.err
    (found,) = (value for value in contents(tmp_path / "data").values() if isinstance(value, dict))
    meta = [json.loads(value) for key, value in found.items() if key.startswith(b"meta-")]
    assert len(meta) == 20 and len({entry["font"] for entry in meta}) > 5
    assert {entry["source"] for entry in meta} >= {corpus.name}


def test_several_values_after_one_option(synth: Synth, dejavu: list[Path], tmp_path: Path) -> None:
    for name, word in {"a": "alpha", "b": "beta", "c": "gamma"}.items():
        (tmp_path / f"{name}.txt").write_text(word + "\n")
    a, b, c = (tmp_path / f"{name}.txt" for name in "abc")
    done = synth(
        *("generate", "--corpus", a, b, f"--corpus={c}", "--fonts", *dejavu, "--recipe", "clean"),
        *("-o", "corpus.case={upper: 1, as_is: 0}", "layout.jitter_share=0.5", "--override", "output.encoding=png"),
        *("--output", tmp_path / "data", "--count", 60),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert {label for _, label in paddleocr(tmp_path / "data")} == {"ALPHA", "BETA", "GAMMA"}
    recipe = Recipe.load(tmp_path / "data" / "recipe.yaml")
    assert recipe.layout.jitter_share == 0.5 and recipe.output.encoding == "png"
    assert recipe.fonts.paths == tuple(dejavu)


def test_options_reach_the_recipe(synth: Synth, basics: list[object], tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("\n".join(sorted(set("Einszwevra cht"))) + "\n", encoding="utf-8")
    cv2.imwrite(str(tmp_path / "red.png"), np.full((40, 40, 3), (0, 0, 200), np.uint8))
    done = synth(
        *("generate", *basics, "--output", tmp_path / "data", "--count", 30, "--recipe", "clean", "--height", 48),
        *("--charset", tmp_path / "letters.txt", "--backgrounds", tmp_path / "red.png", "--seed", 5),
        *("-o", "background.kinds={pictures: 1}", "colour.contrast=[60, 200]"),
    )  # fmt: skip
    assert done.code == 0, done.err
    records = paddleocr(tmp_path / "data")
    assert {label for _, label in records} == {"Eins", "zwei", "acht", "vier", "sechs"}
    for image, _ in records:
        assert image.shape[0] == 48
        assert image[0, 0, 2] > 150 and image[0, 0, :2].max() < 60
    values = yaml.safe_load((tmp_path / "data" / "recipe.yaml").read_text(encoding="utf-8"))
    assert values["seed"] == 5 and values["layout"]["height"] == 48


# -- the same again ---------------------------------------------------------------------------------------------------


def test_the_same_recipe_and_seed_give_the_same_bytes(
    synth: Synth, basics: list[object], made: Path, tmp_path: Path
) -> None:
    common = ["--count", 300, "--workers", 1]
    stored = synth("generate", "--recipe", made / "recipe.yaml", "--output", tmp_path / "again", *common)
    assert stored.code == 0, stored.err
    assert contents(tmp_path / "again") == contents(made)
    other = synth(
        "generate", *basics, "-o", "output.shard_size=256", "--seed", 1, "--output", tmp_path / "other", *common
    )
    assert other.code == 0
    first, second = images(contents(made)), images(contents(tmp_path / "other"))
    assert first.keys() == second.keys() and not set(first.values()) & set(second.values())


def test_workers_do_not_change_a_byte(basics: list[object], made: Path, own_cache: Path, tmp_path: Path) -> None:
    # In a process of its own: workers import its main module.
    args = [*basics, "-o", "output.shard_size=256", "--output", tmp_path / "two", "--count", 300, "--workers", 2]
    command = [sys.executable, "-m", "synth.cli", "generate", *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "two") == contents(made)


def test_resume_makes_what_is_missing(synth: Synth, basics: list[object], made: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    shutil.copytree(made, out)
    shutil.rmtree(out / "shard-00001")
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    again = ["generate", *basics, "-o", "output.shard_size=256", "--output", out, "--count", 300, "--workers", 1]
    assert "holds a complete data set" in synth(*again).error
    done = synth(*again, "--resume")
    assert done.code == 0 and "256 of them from an earlier run" in done.out
    assert contents(out) == contents(made)
    assert manifest["complete"]
    assert "seed" in synth(*again, "--resume", "--seed", 9).error
    assert contents(out) == contents(made)


def moved(basics: list[object], place: Path) -> list[object]:
    """The same options, with corpus and fonts copied to `place`."""
    place.mkdir()
    copied = [shutil.copy(part, place) if isinstance(part, Path) else part for part in basics]
    return [Path(part) if isinstance(part, str) and not part.startswith("-") else part for part in copied]


def test_it_does_not_matter_where_files_lie(
    synth: Synth, basics: list[object], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = moved(basics, tmp_path / "home")
    common = ["-o", "output.shard_size=256", "--count", 300, "--workers", 1]
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "home")
    relative = [part.name if isinstance(part, Path) else part for part in copies]
    done = synth("generate", *relative, *common, "--output", "../data")
    assert done.code == 0, done.err
    found, expected = contents(tmp_path / "data"), contents(made)
    recipe = found.pop("recipe.yaml")
    assert expected.pop("recipe.yaml") != recipe and found == expected
    assert Recipe.load(tmp_path / "data" / "recipe.yaml").corpus.files[0].path == tmp_path / "home" / "words.txt"

    (tmp_path / "link").symlink_to(tmp_path / "home")
    for spelt in ("./{}", "../home/{}", "~/{}", str(tmp_path / "link" / "{}")):
        again = [spelt.format(part.name) if isinstance(part, Path) else part for part in copies]
        done = synth("generate", *again, *common, "--output", tmp_path / "data", "--resume")
        assert done.code == 0 and "all there already, from an earlier run" in done.out, done.err
    # The stored recipe works from any folder.
    monkeypatch.chdir(tmp_path)
    stored = ["--recipe", tmp_path / "data" / "recipe.yaml", "--count", 300, "--workers", 1]
    assert synth("generate", *stored, "--output", tmp_path / "data", "--resume").code == 0
    (tmp_path / "home" / "words.txt").write_text("other\n")
    assert "inputs.corpora.0.sha256 was" in synth("generate", *stored, "--output", "data", "--resume").error


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_ends_like_ctrl_c(basics: list[object], tmp_path: Path, workers: int) -> None:
    data = tmp_path / "data"
    args = [*basics, "--recipe", "clean", "-o", "output.shard_size=256", "--output", data, "--count", 10**6]
    command = [sys.executable, "-m", "synth.cli", "generate", *map(str, args), "--workers", str(workers)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not (data / "shard-00000").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    # To the whole group, and twice, as `timeout` does.
    process.terminate()
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143 and not out, err
    assert err.startswith(f"synth: {data}: interrupted; ") and "--resume" in err and err.count("\n") == 1
    assert not list(tmp_path.glob(".data*")) and (data / "shard-00000").is_dir()


def test_sigterm_within_a_finalizer_is_not_lost() -> None:
    program = """
import signal, time
from synth.terminal import Commands

class Face:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

def work():
    Face()
    time.sleep(30)

group = Commands("synth")
group.command("work")(work)
group(["work"])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=25)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "synth: interrupted\n")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names there are always Unicode")
def test_an_output_whose_name_is_not_utf8(synth: Synth, basics: list[object], made: Path, tmp_path: Path) -> None:
    output = f"{tmp_path}/\udcff"
    for command in (["generate", *basics, "--count", 3], ["merge", made]):
        assert "\\udcff: a name that is not UTF-8; name another folder" in synth(*command, "--output", output).error
    shutil.copytree(made, output)
    assert "its name is not UTF-8" in synth("report", output).error
    assert synth("verify", output).code == 1


# -- beside it --------------------------------------------------------------------------------------------------------


def test_plain_files(synth: Synth, basics: list[object], tmp_path: Path) -> None:
    out = tmp_path / "data"
    args = [*basics, "--recipe", "clean", "--count", 12]
    assert synth("generate", *args, "--output", out, "--format", "folder").code == 0
    assert synth("generate", *args, "--output", tmp_path / "lmdb").code == 0
    rows = [row.split("\t") for row in (out / "labels.tsv").read_text(encoding="utf-8").splitlines()]
    (found,) = (value for value in contents(tmp_path / "lmdb").values() if isinstance(value, dict))
    assert len(rows) == 12
    for number, (name, label) in enumerate(rows, 1):
        assert (out / name).read_bytes() == found[b"image-%09d" % number]
        assert label.encode() == found[b"label-%09d" % number]
    assert synth("verify", out).code == 0
    (out / rows[3][0]).write_bytes(b"")
    done = synth("verify", out)
    assert done.code == 1 and Path(rows[3][0]).name in done.out


def test_merge(synth: Synth, basics: list[object], made: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    assert synth("generate", *basics, "--output", small, "--count", 7, "--recipe", "clean").code == 0
    done = synth("merge", made, small, "--output", tmp_path / "both")
    assert done.code == 0 and "307 images from 2 data sets" in done.out
    expected = [label for part in (made, small) for _, label in paddleocr(part)]
    assert [label for _, label in paddleocr(tmp_path / "both")] == expected
    assert synth("verify", tmp_path / "both").code == 0
    spaced = synth("merge", small, "--output", tmp_path / "my set")
    assert (
        spaced.out == f"{tmp_path / 'my set'}: 7 images from 1 data set\nnext: synth verify '{tmp_path / 'my set'}'\n"
    )
    assert f"{made}: lies in {made}, which is to be merged" in synth("merge", small, made, "--output", made).error


def test_recipes_are_listed_and_shown(synth: Synth, tmp_path: Path) -> None:
    listed = synth("recipe", "list").out
    for name in ("clean", "document", "scene", "receipt", "historical", "lowres"):
        assert name in listed
    shown = synth("recipe", "show", "receipt").out
    (tmp_path / "mine.yml").write_text(shown, encoding="utf-8")
    assert Recipe.load(tmp_path / "mine.yml") == Recipe.load("receipt")
    assert "# " in shown
    assert "did you mean receipt?" in synth("recipe", "show", "reciept").error


def test_fonts_are_listed_and_checked(synth: Synth, dejavu: list[Path]) -> None:
    done = synth("fonts", "list", *dejavu)
    assert done.code == 0 and "DejaVu Sans" in done.out and "DejaVu Serif" in done.out and "2 faces" in done.out
    hebrew = synth("fonts", "list", *dejavu, "--script", "Hebr").out
    assert "DejaVu Sans" in hebrew and "DejaVu Serif" not in hebrew
    checked = synth("fonts", "check", "שלום", *dejavu)
    assert checked.code == 0
    good, bad = checked.out.splitlines()[:2]
    assert good.startswith("draws it") and "DejaVu Sans" in good
    assert bad == "does not   1 other family"
    assert "in no font: क U+0915" in synth("fonts", "check", "कa", *dejavu).out


def test_preview_and_report(synth: Synth, basics: list[object], made: Path, tmp_path: Path) -> None:
    done = synth("preview", *basics, "--output", tmp_path / "look", "--count", 6)
    assert done.code == 0, done.err
    assert cv2.imread(str(tmp_path / "look.png")) is not None
    assert "<html" in (tmp_path / "look.html").read_text(encoding="utf-8")
    assert str(tmp_path / "look.png") in done.out and str(tmp_path / "look.html") in done.out
    reported = synth("report", made, "--output", tmp_path / "report.html")
    assert reported.code == 0, reported.err
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
    # By default beside the shards, where it disturbs no reader.
    assert synth("report", made).code == 0 and (made / "report.html").is_file()
    assert len(paddleocr(made)) == 300
    (made / "report.html").unlink()
