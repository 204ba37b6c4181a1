"""A task that takes milliseconds to train, for tests of the engine."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ocr.config import Config
from ocr.spec import ModelSpec

SPEC = ModelSpec(architecture={"Backbone": {"name": "ConvNet"}}, units=("a", "b"), time_stride=4)
VALUES: dict[str, Any] = {
    "Global": {"character_dict_path": "chars.txt"},
    "Architecture": {"Backbone": {"name": "ConvNet"}},
    "Train": {"sources": [{"name": "real", "path": "data"}]},
}


def config(folder: Path, **settings: Any) -> Config:
    """Of a run in `folder`/run."""
    values = VALUES | {"Global": VALUES["Global"] | {"save_model_dir": str(folder / "run")} | settings}
    return Config.from_values(values | {"Optimizer": {"ema_decay": 0.9, "lr": {"learning_rate": 0.05}}})


def make_task(steps_per_epoch: int = 6, stop_at: int = -1, bad_at: int = -1) -> Any:
    """Fits a line, with dropout, so that its random state matters; gets SIGTERM or a NaN at a step."""
    import paddle

    from ocr.tasks.base import Evaluation, Task

    class Line(Task):
        def __init__(self) -> None:
            paddle.seed(3)
            with paddle.utils.unique_name.guard():
                self.model = paddle.nn.Sequential(
                    paddle.nn.Linear(4, 8), paddle.nn.BatchNorm1D(8), paddle.nn.Dropout(0.3), paddle.nn.Linear(8, 1)
                )
            self.spec, self.steps_per_epoch = SPEC, steps_per_epoch

        @contextmanager
        def batches(self, start: int) -> Iterator[Any]:
            class Batches:
                waited = 0.0

                def __iter__(self) -> Iterator[Any]:
                    for step in range(start, 10**6):
                        if step == stop_at:
                            signal.raise_signal(signal.SIGTERM)
                        yield step, np.random.default_rng((1, step)).standard_normal((8, 5)).astype(np.float32)

            yield Batches()

        def loss(self, batch: Any) -> tuple[Any, int]:
            step, data = batch
            data = paddle.to_tensor(data)
            loss = (self.model(data[:, :4]) - data[:, 4:]).square().mean()
            return (loss * float("nan") if step == bad_at else loss), 8

        def keep(self, batch: Any, folder: Path) -> None:
            folder.mkdir(parents=True)
            np.save(folder / "batch.npy", batch[1])

        def evaluate(self) -> Evaluation:
            figure = float(sum(p.square().sum() for p in self.model.parameters()))
            return Evaluation({"acc": figure}, figure)

    return Line()


def trained(config: Config, task: Any, start: Path | None = None) -> tuple[Any, dict[str, Any]]:
    """What came of a run, and the weights; it goes on from `start`."""
    from ocr.engine.distributed import Group
    from ocr.engine.trainer import Trainer, arrays

    trainer = Trainer(config, task, Group(), lambda line: None)
    if start is not None:
        trainer.restore(start)
    return trainer.train(), arrays(task.model.state_dict())
