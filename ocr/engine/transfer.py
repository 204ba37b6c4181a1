"""Weights of another run as the beginning of this one: matched by name, rows of the dictionary matched by unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.engine import checkpoint as store
from ocr.engine.trainer import arrays

_SHOWN = 8


@dataclass
class Transfer:
    """What came of each parameter and buffer, by name.

    Attributes:
        loaded: taken over as it is.
        by_unit: taken over row by row; how many rows came and how many are new.
        missing: not in the checkpoint, or there in another shape: initialised anew.
        unused: in the checkpoint only.
        numbers: how many numbers came, of how many.
    """

    loaded: list[str] = field(default_factory=list)
    by_unit: dict[str, tuple[int, int]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    numbers: tuple[int, int] = (0, 0)

    @property
    def share(self) -> float:
        """The part of the network's numbers that was taken over."""
        return self.numbers[0] / max(1, self.numbers[1])

    def text(self) -> str:
        """The table for people."""
        came, of = self.numbers
        lines = [f"weights   {came:,} of {of:,} numbers taken over ({self.share:.1%})"]
        lines.append(f"  loaded  {len(self.loaded)} parameters and buffers as they are")
        for name, (kept, new) in self.by_unit.items():
            lines.append(f"  by unit {name}: {kept} rows kept, {new} new")
        lines += [f"  missing {name}: {why}" for name, why in list(self.missing.items())[:_SHOWN]]
        if len(self.missing) > _SHOWN:
            lines.append(f"  missing and {len(self.missing) - _SHOWN} more")
        if self.unused:
            more = f" and {len(self.unused) - _SHOWN} more" if len(self.unused) > _SHOWN else ""
            lines.append(f"  unused  {', '.join(self.unused[:_SHOWN])}{more}")
        return "\n".join(lines)


def transfer(
    own: Mapping[str, NDArray[Any]],
    given: Mapping[str, NDArray[Any]],
    class_axes: Mapping[str, int],
    rows: NDArray[np.int64],
) -> tuple[dict[str, NDArray[Any]], Transfer]:
    """Merge the weights of a checkpoint into those of a network.

    Args:
        own: the network's initial weights and buffers.
        given: the checkpoint's.
        class_axes: which of the network's parameters have an axis of classes, and which axis it is.
        rows: for each class of the network the class in the checkpoint, or -1: see `Codec.row_map`.

    Returns:
        The weights to set, all of the network's names, and what came of each.
    """
    merged: dict[str, NDArray[Any]] = {}
    found = Transfer(unused=[name for name in given if name not in own])
    came = total = 0
    kept = rows >= 0
    for name, mine in own.items():
        total += mine.size
        theirs = given.get(name)
        merged[name] = mine
        if theirs is None:
            found.missing[name] = "not in the checkpoint"
            continue
        axis = class_axes.get(name)
        if axis is not None and _but(mine.shape, axis) == _but(theirs.shape, axis) and mine.shape[axis] >= len(rows):
            value = np.moveaxis(mine.copy(), axis, 0)
            # Beyond the dictionary's classes an attention head has marks of its own, counted from the end.
            extra = mine.shape[axis] - len(rows)
            value[: len(rows)][kept] = np.moveaxis(theirs, axis, 0)[rows[kept]]
            if extra and theirs.shape[axis] > extra:
                value[-extra:] = np.moveaxis(theirs, axis, 0)[-extra:]
            merged[name] = np.ascontiguousarray(np.moveaxis(value, 0, axis))
            new = int((~kept).sum())
            found.by_unit[name] = (int(kept.sum()), new)
            came += mine.size - new * (mine.size // mine.shape[axis])
        elif mine.shape == theirs.shape:
            merged[name] = theirs
            found.loaded.append(name)
            came += mine.size
        else:
            found.missing[name] = f"shape {list(theirs.shape)} in the checkpoint, {list(mine.shape)} here"
    found.numbers = came, total
    return merged, found


def begin_by_name(model: Any, path: Path, allow_partial: bool) -> Transfer:
    """Begin from the weights of a run or checkpoint, matched by name.

    Raises:
        ScriptoriumError: no model there, or less than half of it fits.
    """
    import paddle

    folder = store.resolve(path)
    _, weights = store.load_model(folder)
    merged, found = transfer(arrays(model.state_dict()), weights, {}, np.zeros(0, np.int64))
    check_share(found, str(folder), allow_partial)
    model.set_state_dict({name: paddle.to_tensor(value) for name, value in merged.items()})
    return found


def check_share(found: Transfer, where: str, allowed: bool) -> None:
    """Refuse a checkpoint of which less than half fits, unless that is allowed.

    Raises:
        ScriptoriumError: names the share and the first misfits.
    """
    if found.share < 0.5 and not allowed:
        misfits = ", ".join(list(found.missing)[:3]) or "rows of the dictionary"
        raise ScriptoriumError(
            f"{where}: only {found.share:.0%} of the network's weights are in it (not: {misfits}, …); "
            "it is of another architecture; set Global.allow_partial to take what fits"
        )


def _but(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return tuple(shape[:axis]) + tuple(shape[axis + 1 :])
