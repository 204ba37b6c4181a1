"""Checkpoints: one directory each, written aside and renamed; a kill or a full disk leaves the earlier ones usable.

A checkpoint `step-00001000/` holds `model.npz` (weights by name), `ema.npz` (their moving average, where kept; it is
what evaluation, prediction and export use), `optimiser.npz`, `spec.json`, `state.json` (step, best figure, progress)
and, last, `contents.json` with the size and SHA-256 of each. `best.json` beside the checkpoints names the best of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.spec import SPEC_FILE, AnySpec, load_spec

Arrays = dict[str, NDArray[Any]]

_NAME = re.compile(r"step-(\d{8,})")
_CONTENTS = "contents.json"
_BEST = "best.json"


class BrokenCheckpoint(ScriptoriumError):
    """A checkpoint that is incomplete or damaged."""


@dataclass
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        spec: see `ocr.spec`.
        weights: parameters and buffers of the network by name.
        ema: moving average of the weights by name; empty where none is kept.
        optimiser: arrays of the optimiser's state by name.
        state: step, best figure and the like, as JSON holds it.
    """

    spec: AnySpec
    weights: Arrays
    ema: Arrays = field(default_factory=dict)
    optimiser: Arrays = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)


def folder_name(step: int) -> str:
    """What the checkpoint of a step is called."""
    return f"step-{step:08d}"


def save(run: Path, checkpoint: Checkpoint, extra: Mapping[str, str] | None = None) -> Path:
    """Write a checkpoint into a run directory; `state["step"]` names it.

    Args:
        run: the run directory.
        checkpoint: what to keep.
        extra: texts to keep beside it, by file name.

    Raises:
        ScriptoriumError: it could not be written; what was there before is as it was.
    """
    target = run / folder_name(checkpoint.state["step"])
    aside = run / f".{target.name}.{os.getpid()}"
    try:
        run.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for name, arrays in (
            ("model.npz", checkpoint.weights),
            ("ema.npz", checkpoint.ema),
            ("optimiser.npz", checkpoint.optimiser),
        ):
            if arrays:
                write_arrays(aside / name, arrays)
        checkpoint.spec.save(aside)
        texts = {"state.json": json.dumps(checkpoint.state, indent=1), **(extra or {})}
        for name, text in texts.items():
            (aside / name).write_text(text, encoding="utf-8")
        contents = {
            path.name: {"size": path.stat().st_size, "sha256": _digest(path)} for path in sorted(aside.iterdir())
        }
        (aside / _CONTENTS).write_text(json.dumps(contents, indent=1), encoding="utf-8")
        for path in (*aside.iterdir(), aside):
            _sync(path)
        if target.exists():  # the same step again, after going on from an earlier checkpoint
            old = run / f".old-{target.name}.{os.getpid()}"
            target.rename(old)
            aside.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            aside.rename(target)
        _sync(run)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise ScriptoriumError(
            f"{target}: checkpoint could not be written ({error.strerror or error}); "
            "make room and go on from the last one with --resume"
        ) from error
    return target


def load(folder: Path) -> Checkpoint:
    """Read a checkpoint whole, after checking that all of it is there.

    Raises:
        BrokenCheckpoint: files are missing, cut short or changed.
        ScriptoriumError: no checkpoint there.
    """
    check(folder)
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    weights, ema, optimiser = (_arrays(folder / f"{name}.npz") for name in ("model", "ema", "optimiser"))
    return Checkpoint(load_spec(folder), weights, ema, optimiser, state)


def load_model(folder: Path) -> tuple[AnySpec, Arrays]:
    """The spec and the weights to predict with: the moving average where there is one. Raises as `load`."""
    check(folder)
    return load_spec(folder), _arrays(folder / "ema.npz") or _arrays(folder / "model.npz")


def check(folder: Path) -> None:
    """Make sure that a checkpoint is whole. Raises as `load`."""
    path = folder / _CONTENTS
    try:
        contents: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if folder.is_dir() and any(folder.glob("*.npz")):
            raise BrokenCheckpoint(f"{folder}: {_CONTENTS} is missing, so it is incomplete; name another") from None
        raise ScriptoriumError(f"{folder}: no checkpoint there; name a run directory or a checkpoint in it") from None
    except (OSError, ValueError) as error:
        raise BrokenCheckpoint(f"{path}: cannot be read ({error}); name another checkpoint") from None
    for name, told in contents.items():
        file = folder / name
        if not file.is_file():
            raise BrokenCheckpoint(f"{file}: is missing; name another checkpoint")
        size = file.stat().st_size
        if size != told["size"]:
            raise BrokenCheckpoint(f"{file}: has {size:,} bytes of {told['size']:,}; name another checkpoint")
        if _digest(file) != told["sha256"]:
            raise BrokenCheckpoint(f"{file}: its contents have changed; name another checkpoint")


def steps(run: Path) -> list[Path]:
    """The checkpoints of a run directory, newest first, unchecked."""
    found = [path for path in run.iterdir() if path.is_dir() and _NAME.fullmatch(path.name)] if run.is_dir() else []
    return sorted(found, key=lambda path: int(path.name[5:]), reverse=True)


def latest(run: Path) -> tuple[Path | None, list[str]]:
    """The newest whole checkpoint of a run directory, and what is wrong with the newer ones."""
    broken = []
    for folder in steps(run):
        try:
            check(folder)
        except BrokenCheckpoint as error:
            broken.append(str(error))
        else:
            return folder, broken
    return None, broken


def mark_best(run: Path, folder: Path, figure: Mapping[str, Any]) -> None:
    """Note which checkpoint of a run is the best, in one step.

    Raises:
        ScriptoriumError: it could not be written; the earlier note is as it was.
    """
    aside = run / f".{_BEST}.{os.getpid()}"
    try:
        aside.write_text(json.dumps({"checkpoint": folder.name, **figure}, indent=1), encoding="utf-8")
        _sync(aside)
        aside.replace(run / _BEST)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise ScriptoriumError(
            f"{run / _BEST}: could not be written ({error.strerror or error}); make room and go on with --resume"
        ) from error


def best(run: Path) -> Path | None:
    """The best checkpoint of a run directory; None where none is marked, or the marked one is gone."""
    try:
        name = str(json.loads((run / _BEST).read_text(encoding="utf-8"))["checkpoint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    folder = run / Path(name).name
    return folder if folder.is_dir() else None


def prune(run: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints and the best, and what killed runs left aside."""
    kept = best(run)
    for folder in steps(run)[keep:]:
        if folder != kept:
            shutil.rmtree(folder, ignore_errors=True)
    for left in (*run.glob(".step-*"), *run.glob(".old-step-*")):
        shutil.rmtree(left, ignore_errors=True)
    for left in run.glob(f".{_BEST}.*"):
        left.unlink(missing_ok=True)


def resolve(path: str | Path) -> Path:
    """The folder of the model that is meant: a checkpoint or exported model itself; of a run, its best or newest.

    Raises:
        ScriptoriumError: there is no model.
    """
    path = Path(path)
    if (path / SPEC_FILE).is_file():
        return path
    if not path.exists():
        raise ScriptoriumError(f"{path}: does not exist; name a run directory, a checkpoint or an exported model")
    marked = best(path)
    if marked is not None:
        return marked
    newest, broken = latest(path)
    if newest is None:
        why = f" ({broken[0]})" if broken else ""
        raise ScriptoriumError(f"{path}: no model there{why}; name a run directory, a checkpoint or an exported model")
    return newest


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an `.npz` file. Raises OSError: `numpy.savez` does, too, but goes on about it when it is tidied up."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, value, allow_pickle=False)


def _arrays(path: Path) -> Arrays:
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BrokenCheckpoint(f"{path}: cannot be read ({error}); name another checkpoint") from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
