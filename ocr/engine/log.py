"""The record of a run: metrics as JSON lines, a plot, and VisualDL or TensorBoard where they are installed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from augment.errors import ScriptoriumError

METRICS_FILE = "metrics.jsonl"
PLOT_FILE = "curves.png"


class RunLog:
    """Appends to `metrics.jsonl` of a run directory.

    Args:
        run: the run directory.
        step: the step that the run goes on from; lines of later steps, of a run that was killed, are taken out.

    Raises:
        ScriptoriumError: something could not be written; the methods raise it, too.
    """

    def __init__(self, run: Path, step: int) -> None:
        self._run = run
        self._path = run / METRICS_FILE
        kept = [line for line in _lines(self._path) if line["step"] <= step]
        aside = run / f".{METRICS_FILE}"  # one that a kill left is written over
        with _written(self._path):
            run.mkdir(parents=True, exist_ok=True)
            aside.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
            aside.replace(self._path)
            self._file = self._path.open("a", encoding="utf-8")
        self._board = _board(run)

    def add(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Append one line; `kind` is train or eval."""
        with _written(self._path):
            self._file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
            self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{kind}/{name}", value, step)

    def plot(self) -> Path:
        """Draw loss, learning rate and evaluation figures over the steps to `curves.png`."""
        from matplotlib.figure import Figure

        lines = _lines(self._path)
        train = [line for line in lines if line["kind"] == "train"]
        evals = [line for line in lines if line["kind"] == "eval"]
        names = [
            name for name, value in (evals[-1] if evals else {}).items() if name.endswith(("acc", "cer")) and value >= 0
        ]
        figure = Figure(figsize=(8, 3 * (2 if names else 1)), layout="constrained")
        top, *below = figure.subplots(2 if names else 1, 1, squeeze=False)[:, 0]
        top.plot([line["step"] for line in train], [line["loss"] for line in train], color="tab:blue")
        top.set_yscale("log")
        top.set_ylabel("loss", color="tab:blue")
        rate = top.twinx()
        rate.plot([line["step"] for line in train], [line["lr"] for line in train], color="tab:gray", linewidth=1)
        rate.set_ylabel("learning rate", color="tab:gray")
        for axis in below:
            for name in names:
                points = [(line["step"], line[name]) for line in evals if name in line]
                axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
            axis.set_ylim(0, 1)
            axis.legend()
        figure.axes[-1].set_xlabel("step")
        aside = self._run / f".{PLOT_FILE}"
        with _written(self._run / PLOT_FILE):
            figure.savefig(aside, dpi=100)
            aside.replace(self._run / PLOT_FILE)
        return self._run / PLOT_FILE

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ScriptoriumError(
            f"{path}: cannot be written ({error.strerror or error}); mend that and go on with --resume"
        ) from error


def _lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file; a last one that a kill cut short is left out."""
    if not path.is_file():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def _board(run: Path) -> Any:
    """A writer of VisualDL or TensorBoard, whichever is installed; None without either."""
    try:
        from visualdl import LogWriter
    except ImportError:
        pass
    else:
        return LogWriter(logdir=str(run / "visualdl"))
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(run / "tensorboard"))
