"""A run that is killed, at any moment, and goes on from what it left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_task import SPEC, config, make_task, trained

from ocr.engine import checkpoint as store
from ocr.engine.checkpoint import Checkpoint

STEPS = 60
# What changes the disk and can be seen from inside; bytes written in between lie in files that are not named yet.
_EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(SPEC, {"w": np.full(9, step, np.float32)}, state={"step": step, "best": {}})


def save_as_the_trainer_does(run: Path, step: int) -> None:
    folder = store.save(run, checkpoint(step))
    if step == 2:
        store.mark_best(run, folder, {"step": step})
    store.prune(run, 1)


def die_in(number: int) -> None:
    """End this process before its event of that number."""
    seen = 0

    def hook(event: str, _: Any) -> None:
        nonlocal seen
        if event in _EVENTS:
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def check_all_moments(folder: Path) -> None:
    """Killed in each event of saving step 2 (and marking it, and removing step 1), and of saving step 3."""
    for step in (2, 3):
        number, ended = 0, -signal.SIGKILL
        while ended == -signal.SIGKILL:
            number += 1
            run = folder / f"{step}-{number}"
            for earlier in range(1, step):
                save_as_the_trainer_does(run, earlier)
            child = os.fork()
            if not child:
                die_in(number)
                save_as_the_trainer_does(run, step)
                os._exit(0)
            ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            newest, broken = store.latest(run)
            assert newest is not None, number
            assert not broken, (number, broken)
            assert store.load(newest).state["step"] in (step - 1, step), number
            store.load_model(store.resolve(run))
            # The next one clears away what the killed one left.
            save_as_the_trainer_does(run, 4)
            marked = store.best(run)
            kept = {"step-00000004", *([marked.name] if marked else [])}
            assert {path.name for path in run.iterdir()} - {"best.json"} == kept, number
        assert ended == 0, ended
        assert number > 15, number


def test_a_kill_in_any_moment_of_saving_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    # In a process of its own, which has one thread: only such a one may fork.
    command = [sys.executable, __file__, "moments", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def settings() -> dict[str, Any]:
    return {"epoch_num": STEPS, "save_epoch_step": 1, "eval_batch_step": [0, 7], "print_batch_step": 1}


def run_on(folder: Path) -> None:
    """Go on from what there is, saving after each step."""
    from ocr import runtime

    runtime.start(1)
    newest, _ = store.latest(folder / "run")
    outcome, weights = trained(config(folder, **settings()), make_task(steps_per_epoch=1), newest)
    assert outcome.step == STEPS
    np.savez(folder / "weights.npz", **weights)


def newest_step(folder: Path) -> int:
    found = store.steps(folder / "run")
    return int(found[0].name[5:]) if found else 0


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    pytest.importorskip("paddle")
    going = [sys.executable, __file__, "run"]
    folder = tmp_path / "killed"
    rng = np.random.default_rng(11)
    for _ in range(3):
        aim = newest_step(folder) + int(rng.integers(1, 12))
        with subprocess.Popen([*going, str(folder)]) as process:
            while newest_step(folder) < aim and process.poll() is None:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.03))  # wherever in a step or in saving it falls, the end must be the same
            process.kill()
    newest, broken = store.latest(folder / "run")
    assert not broken
    assert newest is not None
    # The machine has lost its power, too: what was written last is not whole.
    file = newest / "model.npz"
    file.write_bytes(file.read_bytes()[:-100])
    for run in (folder, tmp_path / "whole"):
        subprocess.run([*going, str(run)], check=True, timeout=300)
    with np.load(folder / "weights.npz") as ended, np.load(tmp_path / "whole" / "weights.npz") as whole:
        assert set(ended.files) == set(whole.files)
        for name in whole.files:
            np.testing.assert_array_equal(ended[name], whole[name], err_msg=name)
    one, two = (store.load(store.steps(tmp_path / kind / "run")[0]) for kind in ("whole", "killed"))
    for name in one.ema:
        np.testing.assert_array_equal(one.ema[name], two.ema[name], err_msg=name)


if __name__ == "__main__":
    {"moments": check_all_moments, "run": run_on}[sys.argv[1]](Path(sys.argv[2]))
