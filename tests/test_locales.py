"""From nothing to a balanced data set by the commands that `synth script` names, as `scripts/check_locales.py` does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import fontset
import pytest
from conftest import Done

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from check_locales import run_locale

pytestmark = pytest.mark.usefixtures("one_scan")

Run = Callable[[Sequence[str], Path], tuple[int, str]]

# fmt: off
LOCALES = [  # of each script that the fonts of the tests have
    "ar", "ur", "hy", "bn", "chr", "ru", "hi", "am", "ka", "el", "gu", "he", "kn", "km", "ko", "lo", "ml", "my", "ja",
    "zh", "nqo", "si", "syr", "ta", "te", "th", "bo", "vi",
]
# fmt: on


@pytest.fixture
def run(synth: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> Run:
    def in_this_process(args: Sequence[str], folder: Path) -> tuple[int, str]:
        monkeypatch.chdir(folder)
        done = synth(*args)
        return done.code, done.out + done.err

    return in_this_process


@pytest.mark.parametrize("locale", LOCALES)
def test_every_unit_is_reached(locale: str, run: Run, tmp_path: Path) -> None:
    row = run_locale(locale, tmp_path, 1, [Path(folder) for folder in fontset.folders()], run)
    assert not row.faults
    assert row.units > 30 and row.reached == row.units and not row.unreached
    assert row.shaped > 10
