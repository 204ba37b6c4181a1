"""`scripts/quickstart`, all of it with few pictures, in an environment that needs no installing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("paddle")

ROOT = Path(__file__).resolve().parent.parent
WORDS = "alder beech cedar fir hazel juniper larch maple oak pine rowan spruce walnut willow yew elm ash birch plum fig"

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="a script for bash")


@pytest.fixture
def environment(own_cache: Path, tmp_path: Path) -> dict[str, str]:
    """Variables that name an environment as `make_environment` leaves it."""
    place = tmp_path / "environment"
    (place / "bin").mkdir(parents=True)
    for name, what in (("python", ""), ("synth", "-m synth.cli"), ("ocr", "-m ocr.cli")):
        program = place / "bin" / name
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" {what} "$@"\n')
        program.chmod(0o755)
    stamp = subprocess.run("cat setup.cfg pyproject.toml | cksum", shell=True, cwd=ROOT, capture_output=True, text=True)
    (place / ".installed--cpu-").write_text(stamp.stdout)
    return {**os.environ, "SCRIPTORIUM_VENV": str(place), "PYTHON": sys.executable}


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
