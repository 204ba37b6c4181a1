"""`scripts/quickstart`, with an environment that needs no installing and commands that only say their name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="a script for bash")

SYNTH = """#!{python}
import sys
sys.path.insert(0, {root!r})
from synth.cli import main
if sys.argv[1] != "generate":
    sys.exit(print("ran", sys.argv[1]))
args = ["3" if arg == "5000" else arg for arg in sys.argv[1:]]
main([*args, "--fonts", {font!r}, "--recipe", "clean"], prog_name="synth")
"""


@pytest.fixture
def environment(own_cache: Path, dejavu: list[Path], tmp_path: Path) -> dict[str, str]:
    """Variables that name an environment as `make_environment` leaves it."""
    place = tmp_path / "environment"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").symlink_to(sys.executable)
    (place / "bin" / "synth").write_text(SYNTH.format(python=sys.executable, root=str(ROOT), font=str(dejavu[0])))
    (place / "bin" / "synth").chmod(0o755)
    stamp = subprocess.run("cat setup.cfg pyproject.toml | cksum", shell=True, cwd=ROOT, capture_output=True, text=True)
    (place / ".installed-").write_text(stamp.stdout)
    return {**os.environ, "SCRIPTORIUM_VENV": str(place), "PYTHON": sys.executable}


def test_a_second_run_goes_on_and_another_corpus_has_a_folder_of_its_own(
    environment: dict[str, str], tmp_path: Path
) -> None:
    work = tmp_path / "my work"
    work.mkdir()

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(ROOT / "scripts" / "quickstart"), *args]
        return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)

    (work / "one.txt").write_text("one\n")
    (work / "two.txt").write_text("two\n")
    for name in ("one", "two"):
        first = run(f"{name}.txt")
        assert first.returncode == 0 and "made     3 images" in first.stdout, first.stderr
        assert first.stdout.endswith("ran verify\nran report\nran preview\n")
        assert (work / f"quickstart-{name}" / "manifest.json").is_file()
    again = run("one.txt")
    assert again.returncode == 0 and "all there already" in again.stdout, again.stderr
    assert again.stdout.endswith("ran verify\nran report\nran preview\n")

    (work / "one.txt").write_text("changed\n")
    other = run("one.txt")
    assert other.returncode == 2 and not other.stdout
    assert other.stderr.count("\n") == 1 and "holds another or an older data set; remove it (rm -r" in other.stderr
    missing = run("one.txt", "quickstart-two/manifest.json")
    assert missing.returncode == 2 and "is a file; name a folder" in missing.stderr
