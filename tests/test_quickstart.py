"""`scripts/quickstart`, all of it with few pictures, in an environment that needs no installing."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from font_maker import save_font

from augment.errors import ScriptoriumError
from synth.fonts.index import scan

pytest.importorskip("paddle")

ROOT = Path(__file__).resolve().parent.parent
WORDS = "alder beech cedar fir hazel juniper larch maple oak pine rowan spruce walnut willow yew elm ash birch plum fig"

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="a script for bash")


@pytest.fixture
def environment(own_cache: Path, tmp_path: Path) -> dict[str, str]:
    """Variables that name an environment as `make_environment` leaves it, and from which no font can be fetched."""
    place = tmp_path / "environment"
    (place / "bin").mkdir(parents=True)
    for name, what in (("python", ""), ("synth", "-m synth.cli"), ("ocr", "-m ocr.cli")):
        program = place / "bin" / name
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" {what} "$@"\n')
        program.chmod(0o755)
    for name in ("npm", "apt-get"):
        (place / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
        (place / "bin" / name).chmod(0o755)
    stamp = subprocess.run("cat setup.cfg pyproject.toml | cksum", shell=True, cwd=ROOT, capture_output=True, text=True)
    (place / ".installed--cpu-").write_text(stamp.stdout)
    return {
        **os.environ,
        "SCRIPTORIUM_VENV": str(place),
        "PYTHON": sys.executable,
        "SCRIPTORIUM_FONTS": str(tmp_path / "fonts"),
    }


def test_from_a_text_file_to_pictures_read(environment: dict[str, str], tmp_path: Path) -> None:
    work = tmp_path / "my work"
    work.mkdir()

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(ROOT / "scripts" / "quickstart"), *args, "--count", "160", "--epochs", "1"]
        return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)

    (work / "trees.txt").write_text(WORDS.replace(" ", "\n") + "\n")
    folder = work / "quickstart-trees"
    first = run("trees.txt")
    assert first.returncode == 0, first.stderr
    assert "made     160 images" in first.stdout and "words that were never seen" in first.stdout
    kept = set((folder / "test.txt").read_text().split())
    assert len(kept) == 2 and not kept & set((folder / "train.txt").read_text().split())
    assert (folder / "read.png").is_file() and (folder / "exported" / "spec.json").is_file()
    (printed,) = [line for line in first.stdout.splitlines() if line.startswith("$ ocr predict -")]
    listed = Path(shlex.split(printed)[-1]).read_text(encoding="utf-8").splitlines()
    assert len(listed) == 24 and all(Path(line).is_file() for line in listed)

    pictures = work / "mine"
    pictures.mkdir()
    shutil.copy(next((folder / "shown").rglob("*.jpg")), pictures / "one.jpg")
    again = run("trees.txt", "mine")
    assert again.returncode == 0 and "all there already" in again.stdout, again.stderr
    assert len(list((folder / "yours").iterdir())) == 1

    (work / "trees.txt").write_text(WORDS.upper())
    other = run("trees.txt")
    assert other.returncode == 2 and "quickstart-trees" in other.stderr and "Traceback" not in other.stderr
    (work / "short.txt").write_text("one\n")
    short = run("short.txt")
    assert short.returncode == 2 and "only 1 different words" in short.stderr


# --- its choice of fonts ---

LETTERS = "abcdefghijklmnop"


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program as a module that knows only the fonts in `tmp_path`."""
    spec = importlib.util.spec_from_file_location("quickstart", ROOT / "scripts" / "quickstart.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "fonts").mkdir()
    monkeypatch.setattr(module, "scan", lambda: scan([tmp_path / "fonts"], cache_dir=tmp_path / "cache"))
    return module


def add(root: Path, *families: str) -> None:
    for family in families:
        save_font(root / "fonts" / f"{family}.ttf", LETTERS, family=family)


def drawn_apart(root: Path, *families: str) -> None:
    """Families that look different: the rectangles of each are wider than those of the one before."""
    for turn, family in enumerate(families, 1):
        others = "".join(map(chr, range(0xE000, 0xE000 + 150 * turn)))
        save_font(root / "fonts" / f"{family}.ttf", others + LETTERS, family=family)


def test_a_family_counts_if_it_draws_all_and_a_copy_counts_once(quick: Any, tmp_path: Path) -> None:
    add(tmp_path, "One", "Two")
    save_font(tmp_path / "fonts" / "poor.ttf", LETTERS[1:], family="Poor")
    (tmp_path / "fonts" / "again").mkdir()
    shutil.copy(tmp_path / "fonts" / "One.ttf", tmp_path / "fonts" / "again" / "other.ttf")
    found = quick.able([LETTERS[:8], LETTERS[8:]])
    assert {family: len(faces) for family, faces in found.items()} == {"One": 1, "Two": 1}


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        (["ab", "cd."], ["Latn"]),
        (["かな", "漢字書"], ["Jpan"]),
        (["漢字", "書"], ["Hans"]),
        (["абв", "abc", "α"], ["Cyrl", "Latn"]),
        (["12", "."], []),
        (["𐡀𐡁"], []),
    ],
)
def test_scripts_to_fetch_fonts_for(quick: Any, words: list[str], codes: list[str]) -> None:
    assert [script.code for script in quick.catalogued(words)] == codes


def test_fonts_are_fetched_where_few_draw_the_words(
    quick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called: list[tuple[str, ...]] = []

    def fetch(*command: str) -> int:
        called.append(command)
        add(tmp_path, "Three")
        return 0

    monkeypatch.setattr(quick, "call", fetch)
    monkeypatch.setattr(quick, "FEW_FAMILIES", 3)
    add(tmp_path, "One", "Two")
    words = [LETTERS]
    latin = quick.catalogued(words)
    assert set(quick.enough(quick.able(words), latin, words)) == {"One", "Two", "Three"}
    assert called == [("synth", "fonts", "install", "Latn")]
    assert set(quick.enough(quick.able(words), latin, words)) == {"One", "Two", "Three"} and len(called) == 1
    # without a network
    (tmp_path / "fonts" / "Three.ttf").unlink()
    monkeypatch.setattr(quick, "call", lambda *command: 2)
    capsys.readouterr()
    assert set(quick.enough(quick.able(words), latin, words)) == {"One", "Two"}
    assert "going on with the 2 families that are here" in capsys.readouterr().out


def test_the_kept_font_is_catalogued_and_no_variant(quick: Any, tmp_path: Path) -> None:
    words = [LETTERS]
    drawn_apart(tmp_path, "A Sans", "DejaVu Sans", "DejaVu Serif")
    latin = quick.catalogued(words)
    assert quick.kept_font(quick.able(words), latin, words) == ("DejaVu Sans", [])
    add(tmp_path, "DejaVu Sans Mono")
    assert quick.kept_font(quick.able(words), latin, words) == ("DejaVu Serif", [])
    assert quick.kept_font(quick.able(words), [], words) == ("A Sans", [])


def test_look_alikes_are_kept_out_too(quick: Any, tmp_path: Path) -> None:
    words = [LETTERS]
    add(tmp_path, "DejaVu Serif", "Renamed")
    with pytest.raises(ScriptoriumError, match="1 font families cover the corpus, and two are needed"):
        quick.kept_font(quick.able(words), quick.catalogued(words), words)
    drawn_apart(tmp_path, "Other")
    assert quick.kept_font(quick.able(words), quick.catalogued(words), words) == ("DejaVu Serif", ["Renamed"])
    assert quick.kept_font(quick.able(words), [], words) == ("DejaVu Serif", ["Renamed"])


def test_no_font_at_all(quick: Any) -> None:
    with pytest.raises(ScriptoriumError, match="0 font families cover the corpus, and two are needed"):
        quick.kept_font({}, [], ["ab"])
