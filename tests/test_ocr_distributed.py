"""Two processes that train together on the processor; each pair is started anew, as the launcher would."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr import runtime
from ocr.config import Config
from ocr.engine import checkpoint as store
from ocr.spec import ModelSpec

pytest.importorskip("paddle")
runtime.start(1)

SPEC = ModelSpec(architecture={"Backbone": {"name": "ConvNet"}}, units=("a", "b"), time_stride=4)
STEPS, SHARD = 8, 6
Weights = dict[str, NDArray[np.float32]]


def config(run: Path) -> Config:
    return Config.from_values(
        {
            "Global": {
                "character_dict_path": "chars.txt",
                "save_model_dir": str(run),
                "max_steps": STEPS,
                "eval_batch_step": [0, 2],
                "keep_checkpoints": 9,
            },
            "Architecture": {"Backbone": {"name": "ConvNet"}},
            "Train": {"sources": [{"name": "real", "path": "data"}]},
            # The gradients of this task are far longer than 0.1.
            "Optimizer": {"clip_norm": 0.1, "ema_decay": 0.9, "lr": {"learning_rate": 0.02}},
        }
    )


def shard(step: int, rank: int) -> NDArray[np.float32]:
    return np.random.default_rng((step, rank)).standard_normal((SHARD, 5)).astype(np.float32) * 3


def make_task(ranks: tuple[int, ...], event: str = "", at: int = -1, folder: Path = Path()) -> Any:
    """Fits a line to the shards of some ranks; at one step something happens to it."""
    import paddle

    from ocr.tasks.base import Evaluation, Task

    class Toy(Task):
        def __init__(self) -> None:
            paddle.seed(3)
            with paddle.utils.unique_name.guard():
                self.model = paddle.nn.Sequential(
                    paddle.nn.Linear(4, 16), paddle.nn.LayerNorm(16), paddle.nn.Tanh(), paddle.nn.Linear(16, 1)
                )
            self.spec, self.steps_per_epoch = SPEC, 4

        @contextmanager
        def batches(self, start: int) -> Iterator[Any]:
            class Batches:
                waited = 0.0

                def __iter__(self) -> Iterator[Any]:
                    for step in range(start, 10**6):
                        if step == at and event == "SIGTERM":
                            signal.raise_signal(signal.SIGTERM)
                        if step == at and event == "SIGKILL":
                            os.kill(os.getpid(), signal.SIGKILL)
                        yield step, np.concatenate([shard(step, rank) for rank in ranks])

            yield Batches()

        def loss(self, batch: Any) -> tuple[Any, int]:
            step, data = batch
            tensor = paddle.to_tensor(data)
            loss = (self.model(tensor[:, :4]) - tensor[:, 4:]).square().mean()
            return (loss * float("nan") if step == at and event == "nan" else loss), len(data)

        def keep(self, batch: Any, folder: Path) -> None:
            folder.mkdir(parents=True)

        def evaluate(self) -> Evaluation:
            if event == "slow":
                time.sleep(0.5)
                number = len(list(folder.glob("evaluated-*")))
                (folder / f"evaluated-{number}").touch()
            return Evaluation({"acc": 0.5}, 0.5)

    return Toy()


def trained(run: Path, task: Any, start: Path | None = None) -> tuple[Any, Weights]:
    from ocr.engine.distributed import Group
    from ocr.engine.trainer import Trainer, arrays

    group = Group()
    trainer = Trainer(config(run), task, group, lambda line: None)
    if start is not None:
        trainer.restore(start)
    group.same_weights(task.model)
    return trainer.train(), arrays(task.model.state_dict())


def normalised_network() -> Any:
    """With batch normalisation, a parameter that only the first process uses, and one that none does."""
    import paddle

    paddle.seed(5)
    body = paddle.nn.Sequential(paddle.nn.Linear(4, 8), paddle.nn.BatchNorm1D(8), paddle.nn.Linear(8, 1))
    return paddle.nn.LayerDict({"body": body, "sometimes": paddle.nn.Linear(4, 1), "never": paddle.nn.Linear(4, 1)})


def gradients(network: Any, rank: int) -> None:
    import paddle

    data = paddle.to_tensor(shard(0, rank))
    out = network["body"](data[:, :4])
    if rank == 0:
        out = out + network["sometimes"](data[:, :4])
    (out - data[:, 4:]).square().mean().backward()


def worker(folder: Path, event: str, at: int, who: int) -> None:
    """What each process of a pair does; `event` happens to process `who` at batch `at`."""
    from ocr.engine.distributed import Group

    rank = int(os.environ["PADDLE_TRAINER_ID"])
    run = folder / "run"
    if event == "full" and rank == who:

        def full(*_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

        store.write_arrays = full
    early: list[int] = []
    if event == "slow" and rank == 1:
        import paddle

        own = paddle.distributed.all_reduce
        calls: list[int] = []

        def watched(*values: Any) -> Any:
            # One message a step; before that of step 2 n the n-th evaluation must have ended.
            if len(list(folder.glob("evaluated-*"))) < len(calls) // 2:
                early.append(len(calls))
            calls.append(len(calls))
            return own(*values)

        paddle.distributed.all_reduce = watched
    told: dict[str, Any] = {"early": early}
    start, _ = store.latest(run)
    try:
        task = make_task((rank,), event if rank == who or event == "slow" else "", at, folder)
        outcome, weights = trained(run, task, start)
    except ScriptoriumError as error:
        told |= {"kind": type(error).__name__, "error": str(error)}
    else:
        told |= {"step": outcome.step, "stopped": outcome.stopped, "samples": outcome.samples}
        np.savez(folder / f"weights-{rank}.npz", **weights)  # type: ignore[arg-type]
    (folder / f"told-{rank}.json").write_text(json.dumps(told))
    if event == "slow":
        network = normalised_network()
        gradients(network, rank)
        group = Group()
        group.meet()
        group.average_gradients(network)
        found = {name: p.grad.numpy() for name, p in network.named_parameters() if p.grad is not None}
        np.savez(folder / f"gradients-{rank}.npz", **found)
    sys.exit(2 if "error" in told else 0)


def launch(folder: Path, event: str = "", at: int = -1, who: int = 1) -> list[int]:
    """Start a pair without the launcher, which would end what hangs; returns how each ended."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ends = [f"127.0.0.1:{server.getsockname()[1]}" for server in (one, two)]
    pair = []
    for rank in (0, 1):
        places = {
            "PADDLE_TRAINER_ID": str(rank),
            "PADDLE_TRAINERS_NUM": "2",
            "PADDLE_TRAINER_ENDPOINTS": ",".join(ends),
            "PADDLE_CURRENT_ENDPOINT": ends[rank],
            "PADDLE_DISTRI_BACKEND": "gloo",
        }
        log = (folder / f"log-{rank}").open("w")
        command = [sys.executable, __file__, str(folder), event, str(at), str(who)]
        pair.append(subprocess.Popen(command, env=os.environ | places, stdout=log, stderr=subprocess.STDOUT))
        log.close()
    try:
        return [process.wait(300) for process in pair]
    finally:
        for process in pair:
            process.kill()
            process.wait()


def told(folder: Path, rank: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"told-{rank}.json").read_text())
    return found


def stored(path: Path) -> Weights:
    with np.load(path) as found:
        return dict(found)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happens to, started by Paddle's launcher."""
    folder = tmp_path_factory.mktemp("whole")
    launcher = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node=2", "--backend=gloo"]
    command = [*launcher, f"--log_dir={folder / 'log'}", __file__, str(folder), "slow", "-1", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    logs = [path.read_text() for path in sorted((folder / "log").glob("workerlog.*"))]
    assert done.returncode == 0, (done.stdout, done.stderr, logs)
    return folder


def test_two_processes_equal_one_with_the_joint_batch(whole: Path, tmp_path: Path) -> None:
    outcome, joint = trained(tmp_path, make_task((0, 1)))
    assert outcome.samples == told(whole, 0)["samples"] == STEPS * 2 * SHARD
    for rank in (0, 1):
        weights = stored(whole / f"weights-{rank}.npz")
        assert weights.keys() == joint.keys()
        for name in joint:
            np.testing.assert_allclose(weights[name], joint[name], rtol=0, atol=1e-5, err_msg=name)
    start = {name: value.numpy() for name, value in make_task((0, 1)).model.state_dict().items()}
    assert all(np.abs(start[name] - joint[name]).max() > 0.01 for name in joint)


def test_gradients_are_the_mean_of_the_shards(whole: Path) -> None:
    parts = []
    for rank in (0, 1):
        network = normalised_network()
        gradients(network, rank)
        parts.append({name: p.grad.numpy() for name, p in network.named_parameters() if p.grad is not None})
    for rank in (0, 1):
        averaged = stored(whole / f"gradients-{rank}.npz")
        assert averaged.keys() == parts[0].keys()
        assert not any(name.startswith("never") for name in averaged)
        for name in averaged:
            mean = (parts[0][name] + parts[1].get(name, np.zeros_like(averaged[name]))) / 2
            np.testing.assert_allclose(averaged[name], mean, rtol=1e-6, atol=1e-7, err_msg=name)


def test_no_collective_waits_for_an_evaluation(whole: Path) -> None:
    assert len(list(whole.glob("evaluated-*"))) == STEPS // 2
    assert told(whole, 1)["early"] == []


def test_a_signal_to_one_stops_both_and_both_go_on(whole: Path, tmp_path: Path) -> None:
    assert launch(tmp_path, "SIGTERM", at=4, who=1) == [0, 0]
    assert [(told(tmp_path, rank)["step"], told(tmp_path, rank)["stopped"]) for rank in (0, 1)] == [(5, "SIGTERM")] * 2
    assert [folder.name[-1] for folder in store.steps(tmp_path / "run")] == ["5", "4", "2"]
    assert launch(tmp_path) == [0, 0]
    for rank in (0, 1):
        ended, uninterrupted = (stored(folder / f"weights-{rank}.npz") for folder in (tmp_path, whole))
        for name in ended:
            np.testing.assert_array_equal(ended[name], uninterrupted[name], err_msg=name)
    one, two = (store.load(store.steps(folder / "run")[0]) for folder in (tmp_path, whole))
    assert one.state == two.state
    for name in one.ema:
        np.testing.assert_array_equal(one.ema[name], two.ema[name], err_msg=name)
    evaluated = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in evaluated if line["kind"] == "eval"] == [2, 4, 6, 8]


@pytest.mark.parametrize(
    ("event", "who", "message"),
    [
        ("nan", 1, r"step 4: the loss is nan; the batch is kept in .*not-finite-00000004-process-1"),
        ("full", 0, "No space left on device"),
        ("SIGKILL", 0, ""),
        ("SIGKILL", 1, ""),
    ],
)
def test_a_failure_of_one_ends_both(tmp_path: Path, event: str, who: int, message: str) -> None:
    codes = launch(tmp_path, event, at=3, who=who)
    if event == "SIGKILL":
        assert codes[who] == -signal.SIGKILL
    else:
        assert codes[who] == 2
        assert re.search(message, told(tmp_path, who)["error"])
    assert codes[1 - who] == 2
    other = told(tmp_path, 1 - who)
    assert other["kind"] == "LostProcess"
    assert "another process of this run has ended" in other["error"]


if __name__ == "__main__":
    worker(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
