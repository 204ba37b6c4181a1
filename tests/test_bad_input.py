"""What users get wrong, through the command line: one line that names it, status 2; or a drop that is counted."""

from __future__ import annotations

import io
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
import numpy as np
import pytest
from font_maker import font_bytes, make_font
from fontTools.ttLib import TTFont, newTable
from fontTools.ttLib.tables._c_m_a_p import CmapSubtable
from PIL import Image
from readers import paddleocr

from synth.shards.reader import ShardReader

Synth = Callable[..., Any]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "made"


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("one two three\nfour five\n")
    return path


@pytest.fixture
def run(synth: Synth, dejavu: list[Path], words: Path, out: Path) -> Synth:
    """`synth generate` with good values for all that is not given."""

    def generate(
        *args: object, corpus: object = words, fonts: object = None, count: int = 5, recipe: object = "clean"
    ) -> Any:
        return synth(
            *("generate", "--corpus", corpus, "--fonts", fonts or dejavu[0], "--output", out, "--count", count),
            *("--recipe", recipe, "--workers", 1, *args),
        )  # fmt: skip

    return generate


def assert_nothing_left(out: Path) -> None:
    assert not out.exists() and not list(out.parent.glob(f".{out.name}*"))


# -- corpus -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"\n\n  \n", "no usable line (3 × empty line)"),
        (b"good\nb\xe9d\n", "byte 0xe9 at byte offset 6, line 2"),
        (b"good\n\xed\xb0\x80\n", "byte 0xed at byte offset 5, line 2"),  # a lone surrogate
        ("text\n".encode("utf-16"), "is UTF-16"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0", "NUL at byte offset 7"),
        (b"a\x07b\n\xef\xbf\xbf\n\xcd\xb8\n", "1 × control character, 1 × unassigned code point, 1 × noncharacter"),
    ],
)
def test_corpora_that_cannot_be_used(run: Synth, tmp_path: Path, out: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "corpus.txt"
    if content is not None:
        path.write_bytes(content)
    error = run(corpus=path).error
    assert str(path) in error and told in error
    assert_nothing_left(out)


def test_a_folder_as_corpus(run: Synth, tmp_path: Path) -> None:
    assert f"{tmp_path}: is a folder" in run(corpus=tmp_path).error


def test_no_corpus(synth: Synth, out: Path) -> None:
    assert "give --corpus FILE" in synth("generate", "--output", out).error


def test_a_byte_order_mark_is_passed_over(run: Synth, tmp_path: Path, out: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_bytes(b"\xef\xbb\xbffirst\r\n")
    assert run(corpus=path).code == 0
    assert {label for _, label in paddleocr(out)} == {"first"}


def test_unusable_lines_are_counted(run: Synth, tmp_path: Path, out: Path) -> None:
    path = tmp_path / "corpus.txt"
    # A bell, U+0378 (unassigned), U+FFFF, an empty line.
    path.write_bytes(b"good\nbell\x07\n\xcd\xb8\n\xef\xbf\xbf\n\nfine\n")
    done = run(corpus=path, count=20)
    assert done.code == 0, done.err
    assert {label for _, label in paddleocr(out)} == {"good", "fine"}
    (line,) = [line for line in done.out.splitlines() if "corpus.txt" in line]
    assert "4 of 6 lines" in line
    for counted in ("1 control character", "1 unassigned code point", "1 noncharacter", "1 empty line"):
        assert counted in line


def test_tables_and_lines_of_a_megabyte_are_taken_apart(run: Synth, tmp_path: Path, out: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_bytes(b"one\ttwo\n" + b"long " * 250_000 + b"\n")
    done = run("-o", "corpus.piece=line", "corpus.length=[1,4]", corpus=path, count=20)
    assert done.code == 0, done.err
    labels = {label for _, label in paddleocr(out)}
    assert labels and all(label in ("one", "two") or label in "long long" for label in labels)
    assert not [line for line in done.out.splitlines() if "corpus.txt" in line]


def test_invisible_controls_are_in_no_label(run: Synth, tmp_path: Path, out: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("a\u200bb\u202ec\u2066d\n", encoding="utf-8")
    assert run(corpus=path).code == 0
    assert {label for _, label in paddleocr(out)} == {"abcd"}


def test_a_corpus_that_no_font_draws_stops_with_its_characters(run: Synth, tmp_path: Path, out: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("\U0001e900\U0001e901 \U0001e902\n", encoding="utf-8")
    error = run(corpus=path).error
    for point in ("U+1E900", "U+1E901", "U+1E902"):
        assert point in error
    assert "synth fonts install" in error


def test_templates_do_not_hide_a_corpus_that_no_font_draws(run: Synth, tmp_path: Path, out: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("\U0001e900\U0001e901 \U0001e902\n", encoding="utf-8")
    error = run("-o", "corpus.template_share=0.9", corpus=path, recipe="scene").error
    assert "U+1E900" in error and "synth fonts install" in error
    assert_nothing_left(out)


def test_characters_that_no_font_draws_are_named_at_the_end(run: Synth, tmp_path: Path, out: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("latin\n\U0001e900\U0001e901\n", encoding="utf-8")
    done = run(corpus=path, count=30)
    assert done.code == 0 and {label for _, label in paddleocr(out)} == {"latin"}
    assert "U+1E900" in done.out and "U+1E901" in done.out and "\nno font " in done.out


KANNADA = "ಕನ್ನಡ ನಾಡು 12\n12, 345\nಮಳೆ 5\n"


def test_a_corpus_in_another_script_than_the_fonts(run: Synth, tmp_path: Path, out: Path) -> None:
    corpus = tmp_path / "kn.txt"
    corpus.write_text(KANNADA)
    error = run(corpus=corpus).error
    assert "kn.txt is 100 % Kannada (12 of 12 letters), and no font has a letter of it" in error
    assert error.endswith("run `synth fonts install Knda`")
    assert_nothing_left(out)


def test_a_corpus_in_another_script_than_the_dictionary(run: Synth, tmp_path: Path, out: Path) -> None:
    corpus, units = tmp_path / "kn.txt", tmp_path / "units.txt"
    corpus.write_text(KANNADA)
    units.write_text("\n".join("abc12345,"))
    error = run("--charset", units, corpus=corpus).error
    assert "kn.txt is 100 % Kannada (12 of 12 letters), and units.txt has none of these" in error
    assert_nothing_left(out)
    # Who wants digits has a dictionary of digits.
    units.write_text("\n".join("12345,"))
    assert run("--charset", units, corpus=corpus).code == 0


def test_part_of_a_corpus_in_another_script_is_warned_of(
    run: Synth, words: Path, dejavu: list[Path], tmp_path: Path
) -> None:
    corpus, units = tmp_path / "kn.txt", tmp_path / "units.txt"
    corpus.write_text(KANNADA)
    units.write_text("\n".join("abcdefghijklmnopqrstuvwxyz12345,"))
    done = run("--charset", units, corpus=words, fonts=dejavu[0])
    assert done.code == 0 and not done.err
    done = run("--output", tmp_path / "two", "--corpus", corpus, "--charset", units)
    assert done.err == "warning: kn.txt is 100 % Kannada (12 of 12 letters), of which units.txt has no letter\n"
    done = run("--output", tmp_path / "three", "--corpus", corpus)
    assert done.code == 0 and "of which no font has a letter; give --fonts DIR or run" in done.err
    assert done.err.count("\n") == 1


def test_a_dictionary_of_capitals_goes_with_small_letters(run: Synth, words: Path, tmp_path: Path) -> None:
    units = tmp_path / "units.txt"
    units.write_text("\n".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    done = run("--charset", units, "-o", "corpus.case={as_is: 0, upper: 1}")
    assert done.code == 0 and not done.err


def test_what_a_dictionary_lacks_of_corpus_and_templates_is_told_apart(run: Synth, tmp_path: Path) -> None:
    units = tmp_path / "units.txt"
    units.write_text("\n".join("ehortwnuif1"))
    done = run("--charset", units, "-o", "corpus.templates=[{pattern: '[12]'}]", "corpus.template_share=0.5")
    assert "charset  lacks 1 character of the corpus: v U+0076\n" in done.out
    assert "charset  lacks 1 character of the templates: 2 U+0032\n" in done.out


def test_memory_does_not_grow_with_the_corpus(words: Path, dejavu: list[Path], own_cache: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    large = tmp_path / "large.txt"
    with large.open("wb") as file:
        for part in range(64):
            file.write(f"word{part} and some more of Wörter\n".encode() * 30_000)
    assert large.stat().st_size > 60e6
    peaks = []
    for corpus in (words, large):
        code = (
            "import resource, sys\nfrom synth.cli import main\n"
            "try: main(sys.argv[1:])\nexcept SystemExit as end: assert not end.code\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        )
        args = ["generate", "--corpus", corpus, "--fonts", dejavu[0], "--output", tmp_path / corpus.stem, "--count", 20]
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, args), "--recipe", "clean"],
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        peaks.append(int(done.stderr) * (1 if sys.platform == "darwin" else 1024))
    assert resource and peaks[1] - peaks[0] < 100e6, peaks


# -- dictionary -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        (b"", "empty"),
        (b"a\nb\na\n", "line 3: 'a' (U+0061) is already line 1"),
        (b"e\xcc\x81\n\xc3\xa9\n", "line 2"),  # one letter in two spellings
        (b"a\n\nb\n", "line 2: empty"),
        (b"a\tb\n", "line 1"),
        (b"a\n\xe9\n", "line 2: not UTF-8 at byte offset 2"),
        (b"a\n\xe2\x80\x8b\n", "line 2"),  # zero width space
    ],
)
def test_dictionaries_that_cannot_be_used(
    run: Synth, tmp_path: Path, out: Path, content: bytes | None, told: str
) -> None:
    path = tmp_path / "units.txt"
    if content is not None:
        path.write_bytes(content)
    error = run("--charset", path).error
    assert str(path) in error and told in error
    assert_nothing_left(out)


def test_units_of_several_code_points_and_a_space(run: Synth, tmp_path: Path, out: Path) -> None:
    path = tmp_path / "units.txt"
    path.write_text(" \nth\nr\nee\no\nn\ne\n")
    assert run("--charset", path, "-o", "output.polygons=true", count=10).code == 0
    reader = ShardReader(out)
    ends = {}
    for index, (_, label) in enumerate(reader):
        packed = reader.polygons(index)
        assert packed is not None
        ends[label] = packed[2].tolist()
    # In three, t-h is one unit, and so is e-e.
    assert ends == {"one": [1, 2, 3], "three": [2, 3, 5]}


def test_a_dictionary_that_excludes_every_text(run: Synth, words: Path, tmp_path: Path) -> None:
    path = tmp_path / "units.txt"
    path.write_text("x\ny\nz\n")
    error = run("--charset", path).error
    assert str(words) in error and "outside the charset" in error and "'e' U+0065" in error


# -- fonts ------------------------------------------------------------------------------------------------------------


def bitmap_only() -> bytes:
    font = make_font("ABC")
    for tag in ("glyf", "loca"):
        del font[tag]
    data = TTFont(io.BytesIO(font_bytes(font)))
    for tag in ("EBDT", "EBLC"):
        data[tag] = newTable("XXXX")
        data[tag].data = b"\0" * 8
    return font_bytes(data)


def colour_only() -> bytes:
    font = make_font("😀😁0123")
    font["SVG "] = newTable("XXXX")
    font["SVG "].data = bytes(10)
    return font_bytes(font)


def symbol() -> bytes:
    font = make_font("AB")
    table = CmapSubtable.newSubtable(4)
    table.platformID, table.platEncID, table.language = 3, 0, 0
    table.cmap = {0xF041: "uni0041", 0xF042: "uni0042"}
    font["cmap"].tables = [table]
    return font_bytes(font)


BAD_FONTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty.ttf": (lambda: b"", ""),
    "text.otf": (lambda: b"not a font at all", "broken"),
    "cut.ttf": (lambda: font_bytes(make_font("ABC"))[:400], ""),
    "blank.ttf": (lambda: font_bytes(make_font("ABC", empty="ABC")), "empty"),
    "bitmaps.ttf": (bitmap_only, "bitmaps only"),
    "emoji.ttf": (colour_only, "colour only"),
    "symbol.ttf": (symbol, "symbol-encoded"),
}


@pytest.mark.parametrize("name", BAD_FONTS)
def test_fonts_that_cannot_be_used(run: Synth, synth: Synth, tmp_path: Path, out: Path, name: str) -> None:
    make, told = BAD_FONTS[name]
    (tmp_path / name).write_bytes(make())
    error = run(fonts=tmp_path / name).error
    assert f"{tmp_path / name}: not a usable font: " in error and told in error
    assert_nothing_left(out)
    assert str(tmp_path / name) in synth("fonts", "list", tmp_path / name).error


def test_a_font_folder_with_other_things_in_it(run: Synth, tmp_path: Path, dejavu: list[Path], out: Path) -> None:
    folder = tmp_path / "fonts"
    folder.mkdir()
    for name, (make, _) in BAD_FONTS.items():
        (folder / name).write_bytes(make())
    (folder / "LICENSE.txt").write_text("free")
    (folder / "sub.ttf").mkdir()
    error = run(fonts=folder).error
    assert str(folder) in error and f"({len(BAD_FONTS)} rejected in all)" in error
    shutil.copy(dejavu[0], folder / "sub.ttf" / "good.ttf")
    done = run(fonts=folder)
    assert done.code == 0, done.err
    assert f"font files: {len(BAD_FONTS)}" in done.out and "LICENSE" not in done.out


def test_font_paths_without_fonts(run: Synth, synth: Synth, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert f"{tmp_path / 'none'}: holds no font file" in run(fonts=tmp_path / "none").error
    assert f"{tmp_path / 'nowhere'}: no such font file or folder" in run(fonts=tmp_path / "nowhere").error
    assert "no such font file or folder" in synth("fonts", "check", "abc", tmp_path / "nowhere").error
    assert "the text is empty" in synth("fonts", "check", " ").error
    assert "no usable font" in run("-o", "fonts.exclude=[DejaVu Sans]").error


# -- backgrounds ------------------------------------------------------------------------------------------------------


def test_backgrounds_that_cannot_be_used(run: Synth, tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "pictures"
    assert f"{folder} does not exist" in run("--backgrounds", folder).error
    folder.mkdir()
    assert f"{folder} has no usable picture" in run("--backgrounds", folder).error
    (folder / "notes.txt").write_text("no picture")
    (folder / "text.jpg").write_text("no picture")
    (folder / "empty.png").touch()
    Image.new("RGB", (8, 8)).save(folder / "tiny.png")
    Image.new("1", (8000, 8000)).save(folder / "bomb.png")
    error = run("--backgrounds", folder).error
    assert "bomb.png: too large (8000×8000 pixels" in error and "empty.png: cannot be read" in error
    assert_nothing_left(out)


def test_unusable_backgrounds_are_counted(run: Synth, tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 90, (200, 200), np.uint8)
    cv2.imwrite(str(folder / "a.png"), noise)
    Image.fromarray(noise).convert("CMYK").save(folder / "b.jpg")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:20_000])
    (folder / "text.jpg").write_text("no picture")
    done = run("--backgrounds", folder, "-o", "background.kinds={}", "colour.contrast=[100, 255]", count=40)
    assert done.code == 0, done.err
    assert "text.jpg: cannot be read" in done.out
    assert "broken background picture" in done.out
    assert len(paddleocr(out)) == 40


# -- recipe -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--recipe", "sceen"], "recipe 'sceen' is unknown; did you mean scene?"),
        (["--recipe", "nowhere.yml"], "nowhere.yml: there is no such recipe file"),
        (["-o", "layout.hight=48"], "layout.hight: unknown key; did you mean height?"),
        (["-o", "layout.height=tall"], "layout.height: should be a whole number"),
        (["-o", "geometry.rotation.degrees=[5, -5]"], "geometry.rotation.degrees: a range goes from low to high"),
        (["-o", "degrade.blurr={}"], "degrade.blurr: no such pixel operation; did you mean 'blur'?"),
        (["-o", "layout.size=[1,"], "-o layout.size: not YAML"),
        (["-o", "layout.height"], "must be section.key=value"),
        (["-o", "corpus.templates=[{pattern: '[a'}]", "corpus.template_share=1"], "[a"),
        (["-o", "corpus.case={as_is: 0}"], "corpus.case: all weights are zero"),
        (["-o", "corpus.length=[0, 0]"], "corpus.length: [0, 0] leaves no unit"),
        (["-o", "corpus.length=[100, 200]"], "texts in a row were refused"),
        (["-o", "corpus.language=not a language"], "corpus.language"),
        (["-o", "legibility.contrast=255"], "attempts were refused"),
        (["--height", "4"], "layout.height: should be 8 or more, not 4"),
        (["--count", "0"], "count is 0: at least 1 sample"),
        (["--count", "-3"], "count is -3: at least 1 sample"),
    ],
)
def test_recipes_that_cannot_be_used(run: Synth, args: list[str], told: str) -> None:
    assert told in run(*args).error


def test_a_recipe_file_with_a_wrong_key(run: Synth, tmp_path: Path, out: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("layout: {height: 32}\nink:\n  shadow: {p: 0.1, ofset: [0, 1]}\n")
    assert run(recipe=path).error == f"synth: {path}: ink.shadow.ofset: unknown key; did you mean offset?"
    assert_nothing_left(out)


# -- output -----------------------------------------------------------------------------------------------------------


def test_an_output_that_holds_something_else(run: Synth, out: Path) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    for args in ([], ["--resume"], ["--format", "folder"]):
        assert f"{out}: holds other files" in run(*args).error
    assert [path.name for path in out.iterdir()] == ["thesis.txt"] and (out / "thesis.txt").read_text() == "mine"


def test_an_output_that_is_a_file(run: Synth, out: Path) -> None:
    out.write_text("mine")
    assert f"{out}: is a file; name a folder" in run().error
    assert out.read_text() == "mine"


def test_an_output_of_another_recipe(run: Synth, words: Path, out: Path) -> None:
    assert run().code == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert "a complete data set" in run().error
    assert "layout.height" in run("--resume", "--height", "48").error
    assert "count" in run("--resume", count=6).error
    words.write_text("other words\n")
    assert "corpora" in run("--resume").error
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_an_output_that_cannot_be_written(synth: Synth, words: Path, dejavu: list[Path], tmp_path: Path) -> None:
    places = [tmp_path / "file" / "data"]
    (tmp_path / "file").write_text("")
    if sys.platform == "linux":
        places.append(Path("/proc/data"))
    if os.name == "posix" and os.geteuid():
        (tmp_path / "locked").mkdir(0o500)
        places.append(tmp_path / "locked" / "data")
    for place in places:
        common = ("--corpus", words, "--fonts", dejavu[0], "--recipe", "clean", "--count", 3, "--output", place)
        assert str(place) in synth("generate", *common).error
        assert str(place) in synth("preview", *common).error


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
@pytest.mark.parametrize("form", ["lmdb", "folder"])
def test_a_disk_that_is_full_in_mid_run(run: Synth, words: Path, dejavu: list[Path], out: Path, form: str) -> None:
    assert run(count=1).code == 0  # so that all indexes are there
    data = out.parent / "data"
    code = (
        "import resource, sys\nfrom synth.cli import main\n"
        "import synth.pipeline, synth.engine, synth.report.summary\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\nmain(sys.argv[1:], prog_name='synth')"
    )
    args = ["generate", "--corpus", words, "--fonts", dejavu[0], "--recipe", "clean", "--count", 600, "--output", data]
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, *map(str, args), "--format", form, "--workers", "1"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "cannot write" in done.stderr and "--resume" in done.stderr
    assert not list(data.parent.glob(".data*"))


def begun(data: Path, words: Path, dejavu: list[Path], *args: str) -> subprocess.Popen[str]:
    """A long run that has finished its first shard."""
    command = [
        sys.executable,
        "-m",
        "synth.cli",
        "generate",
        "--corpus",
        words,
        "--fonts",
        dejavu[0],
        "--recipe",
        "clean",
    ]
    command += ["--count", "1000000", "--output", data, "-o", "output.shard_size=256", *args]
    process = subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (data / "shard-00000").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c(words: Path, dejavu: list[Path], tmp_path: Path, workers: str) -> None:
    data = tmp_path / "data"
    process = begun(data, words, dejavu, "--workers", workers)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and not out
    assert err.startswith(f"synth: {data}: interrupted; ") and "--resume" in err and err.count("\n") == 1
    assert not list(tmp_path.glob(".data*")) and (data / "shard-00000").is_dir()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
@pytest.mark.usefixtures("own_cache")
def test_a_worker_that_dies(words: Path, dejavu: list[Path], tmp_path: Path) -> None:
    data = tmp_path / "data"
    process = begun(data, words, dejavu, "--workers", "2")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    assert len(workers) == 2
    os.kill(int(workers[0]), signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2 and not out
    assert "a worker was killed by SIGKILL" in err and "--resume" in err and err.count("\n") == 1
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


# -- the other commands -----------------------------------------------------------------------------------------------


def test_commands_on_nothing(synth: Synth, run: Synth, tmp_path: Path, out: Path) -> None:
    nowhere, empty = tmp_path / "nowhere", tmp_path / "empty"
    empty.mkdir()
    for place in (nowhere, empty):
        for command in (["verify", place], ["report", place], ["merge", place, "--output", tmp_path / "both"]):
            assert str(place) in synth(*command).error
    assert not (tmp_path / "both").exists()
    assert run().code == 0
    assert f"{empty.parent}" in synth("merge", out, "--output", out).error
    assert "missing.txt" in synth("verify", out, "--charset", tmp_path / "missing.txt").error
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in synth("report", out, "--output", tmp_path / "file" / "report.html").error


def test_unknown_scripts_are_named(synth: Synth) -> None:
    error = synth("fonts", "install", "Klingon").error
    assert "Klingon" in error
