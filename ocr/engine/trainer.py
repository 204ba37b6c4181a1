"""The training loop: steps, checkpoints, evaluation, logging. It knows no algorithm by name.

Step s is a function of the weights and optimiser state before it and of (seed, s): batches, augmentation, dropout and
the learning rate all follow from them. So a run that goes on from a checkpoint gives the weights of one that never
stopped (on processors, with the same number of threads).
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from augment.errors import ScriptoriumError
from ocr.config import AnyConfig
from ocr.engine import checkpoint as store
from ocr.engine.checkpoint import Checkpoint
from ocr.engine.distributed import Group
from ocr.engine.log import PLOT_FILE, RunLog
from ocr.engine.optimiser import build_optimiser, freeze, freeze_statistics, learning_rate
from ocr.tasks.base import Task

CONFIG_FILE = "config.yml"
_SILENCE = 60.0  # seconds after which a line says how training goes, where no bar does


class NotFinite(ScriptoriumError):
    """The loss became infinite or NaN."""


@dataclass
class Outcome:
    """How a run ended.

    Attributes:
        step: the step it stands at.
        steps: the steps it was to take.
        checkpoint: the last one.
        best: figures of the best evaluation, with its step; empty where there was none.
        stopped: why it ended early: a signal's name or "max_minutes"; empty when it was done.
        seconds: of this process's part.
        samples: trained on in this process's part.
        waited: seconds spent waiting for batches.
    """

    step: int
    steps: int
    checkpoint: Path | None
    best: dict[str, Any]
    stopped: str
    seconds: float
    samples: int
    waited: float


class Trainer:
    """Trains a task's network.

    Args:
        config: see `ocr.config`.
        task: see `Task`.
        group: the processes that train together.
        log: where lines for people go.

    Raises:
        ScriptoriumError: the configuration names what the network does not have, or a checkpoint does not fit.
    """

    def __init__(self, config: AnyConfig, task: Task, group: Group, log: Callable[[str], None]) -> None:
        self.config, self.task, self.group, self._log = config, task, group, log
        self.run = config.Global.save_model_dir
        every_epoch = task.steps_per_epoch // config.Optimizer.accumulate
        if not every_epoch:
            raise ScriptoriumError(
                f"Optimizer.accumulate: {config.Optimizer.accumulate} batches a step, but an epoch has only "
                f"{task.steps_per_epoch}"
            )
        self.steps_per_epoch = every_epoch
        self.steps = config.Global.max_steps or config.Global.epoch_num * every_epoch
        self._frozen = freeze(task.model, config.Global.freeze) if config.Global.freeze else 0
        self._optimiser = build_optimiser(config.Optimizer, task.model)
        self._rate = learning_rate(config.Optimizer.lr, self.steps, every_epoch)
        self._ema: dict[str, Any] = {}
        if config.Optimizer.ema_decay and group.first:
            self._ema = {name: value.clone() for name, value in task.model.state_dict().items()}
        self.step = 0
        self._best: dict[str, Any] = {}
        self._last: Path | None = None

    # -- state ---------------------------------------------------------------------------------------------------

    def restore(self, folder: Path) -> None:
        """Go on from a checkpoint with all its state.

        Raises:
            ScriptoriumError: it is of another network or dictionary, or broken.
        """
        found = store.load(folder)
        mine, theirs = self.task.spec, found.spec
        if theirs.architecture != mine.architecture:
            raise ScriptoriumError(
                f"{folder}: is of another architecture; to begin from its weights set Global.pretrained_model instead"
            )
        if getattr(theirs, "units", ()) != getattr(mine, "units", ()):
            raise ScriptoriumError(
                f"{folder}: has another dictionary; to keep the units that stay set Global.pretrained_model instead"
            )
        set_weights(self.task.model, found.weights, str(folder))
        self._optimiser.set_state_dict(_tensors(found.optimiser))
        if self._ema:
            import paddle

            stored = found.ema or found.weights
            self._ema = {name: paddle.to_tensor(stored[name]) for name in self._ema}
        self.step = int(found.state["step"])
        self._best = dict(found.state["best"])
        self._last = folder

    def save(self) -> Path | None:
        """Write a checkpoint of the present step; of a group only the first process does.

        Returns:
            Where it is; None in the other processes.
        """
        if not self.group.first:
            return None
        state = {"step": self.step, "steps_per_epoch": self.steps_per_epoch, "best": self._best}
        found = Checkpoint(
            self.task.spec,
            arrays(self.task.model.state_dict()),
            arrays(self._ema),
            arrays(self._optimiser.state_dict()),
            state,
        )
        self._last = store.save(self.run, found, {CONFIG_FILE: self.config.to_yaml()})
        if self._best.get("step") == self.step:
            store.mark_best(self.run, self._last, self._best)
        store.prune(self.run, self.config.Global.keep_checkpoints)
        return self._last

    # -- the loop ------------------------------------------------------------------------------------------------

    def train(self) -> Outcome:
        """Take all steps that are left.

        SIGTERM and Ctrl-C end it after the step under way, with a checkpoint. Of several processes one that gets the
        signal ends all.

        Raises:
            NotFinite: the loss became infinite or NaN; the batch is kept in the run directory.
            LostProcess: another process of the group failed.
            ScriptoriumError: a checkpoint could not be written, or the data failed.
        """
        try:
            return self._train()
        except BaseException:
            self.group.close()
            raise

    def _train(self) -> Outcome:
        first = self.group.first
        record = RunLog(self.run, self.step) if first else None
        with _stoppable() as stop, self.task.batches(self.step * self.config.Optimizer.accumulate) as batches:
            bar = tqdm(
                total=self.steps, initial=self.step, unit="step", disable=None if first else True, dynamic_ncols=True
            )
            try:
                outcome = self._loop(iter(batches), batches, stop, record, bar)
            finally:
                bar.close()
                if record is not None:
                    record.close()
        return outcome

    def _loop(self, batches: Iterator[Any], source: Any, stop: list[str], record: RunLog | None, bar: Any) -> Outcome:
        settings = self.config.Global
        began = saved = printed = told = time.monotonic()
        samples = since = 0
        waited = 0.0
        losses: list[float] = []
        ended = ""
        self._train_mode()
        while self.step < self.steps and not ended:
            loss, count = self._gradients(batches)
            if settings.max_minutes and time.monotonic() - began > settings.max_minutes * 60:
                stop.append("max_minutes")
            # What all agree on; a signal that comes after this counts in the next step.
            ended = self.group.meet(stop[0] if stop else "")
            self._update()
            samples += count
            since += count
            losses.append(loss)
            self.step += 1
            bar.update()
            now = time.monotonic()
            done = self.step == self.steps
            if record is not None and (self.step % settings.print_batch_step == 0 or done):
                seconds = now - printed
                wait = (source.waited - waited) / seconds
                values = {
                    "epoch": round(self.step / self.steps_per_epoch, 3),
                    "loss": round(float(np.mean(losses)), 5),
                    "lr": self._rate(self.step - 1),
                    "samples_per_second": round(since * self.group.size / seconds, 1),
                    "waiting": round(wait, 4),
                }
                record.add("train", self.step, values)
                news = f"loss {values['loss']:.3f}, {values['samples_per_second']:.0f} samples/s, waiting {wait:.1%}"
                bar.set_postfix_str(news)
                if bar.disable and now - told >= _SILENCE:
                    self._log(f"step {self.step:,} of {self.steps:,}: {news}")
                    told = now
                printed, waited, since = now, source.waited, 0
                losses.clear()
            start, every = settings.eval_batch_step
            if done or (self.step >= start and (self.step - start) % every == 0):
                self._evaluate(record)
                saved = self._saved(saved)
                printed, waited, since = time.monotonic(), source.waited, 0
            elif self._due(saved):
                saved = self._saved(saved)
        if self._last != self.run / store.folder_name(self.step):
            self.save()
        if record is not None:
            record.plot()
        reason = ended if self.step < self.steps else ""
        return Outcome(
            self.step,
            self.steps,
            self._last,
            self._best,
            reason,
            time.monotonic() - began,
            samples * self.group.size,
            source.waited,
        )

    def _gradients(self, batches: Iterator[Any]) -> tuple[float, int]:
        """The gradients of one step; returns the loss, averaged over its batches, and the samples."""
        import paddle

        accumulate = self.config.Optimizer.accumulate
        total, samples = 0.0, 0
        for part in range(accumulate):
            batch = next(batches)
            # Dropout draws from Paddle's global generator: setting it anew each time leaves nothing to be saved.
            number = (self.step * accumulate + part) * self.group.size + self.group.rank
            paddle.seed((self.config.Global.seed * 1_000_003 + number) % 2**31)
            with paddle.amp.auto_cast(enable=self.config.Global.use_amp, dtype="bfloat16"):
                loss, count = self.task.loss(batch)
            value = float(loss)
            if not math.isfinite(value):
                self._not_finite(value, batch)
            (loss / accumulate).backward()
            total += value / accumulate
            samples += count
        return total, samples

    def _update(self) -> None:
        """One step of the optimiser with the gradients of all processes."""
        import paddle

        self.group.average_gradients(self.task.model)
        self._optimiser.set_lr(self._rate(self.step))
        # The optimiser names its arrays in the first step it takes, and finds stored ones by these names.
        with paddle.utils.unique_name.guard():
            self._optimiser.step()
        self._optimiser.clear_grad()
        if self._ema:
            self._move_average()

    def _move_average(self) -> None:
        import paddle

        # Early on the average follows closely: the first weights are random.
        decay = min(self.config.Optimizer.ema_decay, (1 + self.step) / (10 + self.step))
        with paddle.no_grad():
            for name, value in self.task.model.state_dict().items():
                kept = self._ema[name]
                self._ema[name] = kept * decay + value * (1 - decay) if value.is_floating_point() else value.clone()

    def _train_mode(self) -> None:
        self.task.model.train()
        if self._frozen:
            freeze_statistics(self.task.model)

    def _evaluate(self, record: RunLog | None) -> None:
        if record is None:
            return
        with self._averaged():
            found = self.task.evaluate()
        self._train_mode()
        if found is not None:
            record.add("eval", self.step, found.figures)
            record.plot()
            shown = ", ".join(f"{name} {value:.4f}" for name, value in found.figures.items())
            before = self._best.get("main")
            better = before is None or (found.main > before if found.higher_is_better else found.main < before)
            if better:
                self._best = {"step": self.step, "main": found.main, **found.figures}
            self._log(f"step {self.step}: {shown}{' (best)' if better else ''}")

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The network with the moving average in the place of its weights."""
        if not self._ema:
            yield
            return
        model = self.task.model
        own = {name: value.clone() for name, value in model.state_dict().items()}
        model.set_state_dict(self._ema)
        try:
            yield
        finally:
            model.set_state_dict(own)

    def _due(self, saved: float) -> bool:
        settings = self.config.Global
        every = settings.save_epoch_step * self.steps_per_epoch
        late = time.monotonic() - saved > settings.save_minutes * 60
        return late or bool(every and self.step % every == 0)

    def _saved(self, saved: float) -> float:
        self.save()
        return time.monotonic()

    def _not_finite(self, value: float, batch: Any) -> None:
        process = f"-process-{self.group.rank}" if self.group.size > 1 else ""
        folder = self.run / f"not-finite-{self.step + 1:08d}{process}"
        self.task.keep(batch, folder)
        where = f"; go on from {self._last} with a smaller rate" if self._last else "; try a smaller rate"
        raise NotFinite(f"step {self.step + 1}: the loss is {value}; the batch is kept in {folder}{where}")


def arrays(tensors: dict[str, Any]) -> dict[str, Any]:
    """A state dictionary as arrays; entries that are not tensors (the optimiser's schedule) are left out."""
    return {name: value.numpy() for name, value in tensors.items() if hasattr(value, "numpy")}


def _tensors(found: dict[str, Any]) -> dict[str, Any]:
    import paddle

    return {name: paddle.to_tensor(value) for name, value in found.items()}


def set_weights(model: Any, weights: dict[str, Any], where: str) -> None:
    """Put weights into a network that has exactly these.

    Raises:
        ScriptoriumError: names or shapes differ.
    """
    own = model.state_dict()
    lacking = [name for name in own if name not in weights]
    strange = [name for name in weights if name not in own]
    wrong = [name for name in own if name in weights and list(own[name].shape) != list(weights[name].shape)]
    if lacking or strange or wrong:
        name = (lacking or strange or wrong)[0]
        how = "lacks" if lacking else "has no place for" if strange else "has another shape of"
        subject = "the checkpoint" if lacking or wrong else "the network"
        raise ScriptoriumError(f"{where}: {subject} {how} {name}: it is of another architecture")
    model.set_state_dict(_tensors(weights))


@contextmanager
def _stoppable() -> Iterator[list[str]]:
    """SIGTERM and SIGINT put their name into the list that this yields; Ctrl-C after that interrupts at once.

    A second SIGTERM does not: the launcher of several processes sends it after a second.
    """
    stop: list[str] = []

    def note(number: int, frame: object) -> None:
        if stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.append(signal.Signals(number).name)
        if sys.stderr.isatty():
            os.write(2, b"\nstopping after this step; Ctrl-C to stop at once\n")

    previous = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            previous[number] = signal.signal(number, note)
    except ValueError:  # not the main thread: whoever runs that one handles signals
        pass
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


__all__ = ["CONFIG_FILE", "PLOT_FILE", "NotFinite", "Outcome", "Trainer", "arrays", "set_weights"]
