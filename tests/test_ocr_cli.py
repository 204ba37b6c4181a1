"""The command line of `ocr`: help, errors on one line, options, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.terminal import Several

Ocr = Callable[..., Any]

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = (["train"], ["audit"], ["show-batch"], ["eval"], ["export"], ["predict"], ["read"], ["eval-read"])


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import sys
from ocr.cli import main
for command in {[[], *COMMANDS]!r}:
    try:
        main([*command, "--help"], prog_name="ocr")
    except SystemExit as end:
        assert not end.code
heavy = {{"paddle", "numpy", "pydantic", "cv2", "yaml", "PIL", "lmdb", "matplotlib", "onnxruntime", "multiprocessing"}}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert done.stdout.count("Usage: ocr") == 1 + len(COMMANDS)


def test_every_command_is_tried_here() -> None:
    from ocr.cli import main

    assert sorted(main.commands) == sorted(name for (name,) in COMMANDS)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["trian"], "ocr: No such command 'trian'"),
        (["train"], "ocr train: Missing option '-c' / '--config'"),
        (["audit", "-c", "a.yml", "b"], "ocr audit: Got unexpected extra argument (b)"),
        (["show-batch", "-c", "a.yml", "--step", "-1"], "'--step': -1 is not in the range"),
        (["export", "model"], "ocr export: Missing option '--output'"),
        (["predict", "--model", "m"], "ocr predict: Missing argument"),
    ],
)
def test_wrong_options_are_one_line(ocr: Ocr, args: list[str], told: str) -> None:
    error = ocr(*args).error
    assert told in error and error.endswith("--help")


@pytest.mark.parametrize("command", ["train", "audit", "show-batch", "eval"])
def test_a_wrong_configuration_is_one_line(ocr: Ocr, command: str, tmp_path: Path) -> None:
    assert ocr(command, "-c", tmp_path / "none.yml").error.startswith(f"ocr: {tmp_path}/none.yml: cannot be read (")
    assert "Global.epoch_nun" in ocr(command, "-c", "configs/rec/tiny.yml", "-o", "Global.epoch_nun=1").error


def test_overrides_come_one_by_one_or_together(ocr: Ocr, tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text((ROOT / "configs/rec/tiny.yml").read_text(encoding="utf-8"), encoding="utf-8")
    spelt = [
        ["-o", "Global.seed=7", "Global.name=x", "Train.sources.0.path=nowhere"],
        ["-o", "Global.seed=7", "-o", "Global.name=x", "--override", "Train.sources.0.path=nowhere"],
        ["--override=Global.seed=7", "Global.name=x", "Train.sources.0.path=nowhere"],
    ]
    for options in spelt:
        done = ocr("audit", "-c", config, *options, "--output", tmp_path / "page.html")
        assert done.code == 1 and "source synth: nowhere is not there" in done.out, done
        assert "Audit of x" in (tmp_path / "page.html").read_text(encoding="utf-8")
    # What is no KEY=VALUE is not taken for one.
    assert (
        "Got unexpected extra argument (nowhere)" in ocr("audit", "-c", config, "-o", "Global.seed=7", "nowhere").error
    )


_WORD = st.text("ab./=", min_size=1, max_size=4).filter(lambda text: not text.startswith("="))


@given(st.lists(st.lists(_WORD, min_size=1, max_size=4), max_size=4), st.booleans())
def test_several_values_are_those_of_repeated_options(groups: list[list[str]], flag: bool) -> None:
    @click.command(cls=Several)
    @click.option("--file", multiple=True)
    @click.option("--flag", is_flag=True)
    def command(file: tuple[str, ...], flag: bool) -> tuple[tuple[str, ...], bool]:
        return file, flag

    args = [part for group in groups for part in ["--file", *group]] + ["--flag"] * flag
    found = command.main(args, standalone_mode=False)
    assert found == (tuple(word for group in groups for word in group), flag)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(("number", "paddle", "code"), [(signal.SIGTERM, True, 143), (signal.SIGINT, False, 130)])
def test_signals_end_a_command(number: int, paddle: bool, code: int, tmp_path: Path) -> None:
    # Paddle takes SIGTERM for itself, and sets up the root logger, so that others begin to talk.
    program = f"""
import logging, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
from ocr import runtime
from ocr.cli import main
import ocr.data.audit as audit

def wait(config):
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    if {paddle}:
        runtime.start(1)
        runtime.import_paddle()
    assert (root.level, root.handlers) == before
    logging.getLogger("fontTools").info("not heard")
    open({str(tmp_path / "ready")!r}, "w").close()
    time.sleep(60)

audit.audit = wait
main(["audit", "-c", "configs/rec/tiny.yml"], prog_name="ocr")
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "ready").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "", "ocr: interrupted\n")
