"""What is in the wheel, and that it works outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = ("configs", "corpora", "fonts")
CODE = ("augment", "ocr", "synth")


def run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sources(*tops: str) -> set[str]:
    """Files of the checkout below some folders, without what tools leave behind."""
    found = {path for top in tops for path in (ROOT / top).rglob("*") if path.is_file()}
    return {
        path.relative_to(ROOT).as_posix()
        for path in found
        if "__pycache__" not in path.parts and not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # from a copy: setuptools leaves build/ and *.egg-info where it works
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    for name in sources(*CODE, *DATA) | {"setup.cfg", "pyproject.toml"}:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    (copy / "README.md").write_text("x")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "--no-index")
    run(*pip, "--no-build-isolation", "--wheel-dir", str(out), str(copy), cwd=copy)
    (found,) = out.glob("scriptorium-*.whl")
    return found


def test_everything_is_in_the_wheel(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == sources(*CODE) | {f"synth/shipped/{name}" for name in sources(*DATA)}


def test_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "installed"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--no-index")
    run(*pip, "--target", str(place), str(wheel), cwd=tmp_path)
    code = (
        "import synth; from synth.data import data_file; from synth.fonts.install import find_script;"
        "print(synth.__file__); print(data_file('fonts/catalog.yml')); print(data_file('configs/recipes'));"
        "print(find_script('bengali').code)"
    )
    lines = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(place)).splitlines()
    assert [Path(line).is_relative_to(place) for line in lines[:3]] == [True, True, True]
    assert lines[3] == "Beng"
