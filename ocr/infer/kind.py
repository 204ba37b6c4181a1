"""Of what kind lines are: which script, print or handwriting, whatever the classes are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ocr.infer.classifier import Classifier, open_network
from ocr.spec import KindSpec


class Kinds(Classifier[KindSpec]):
    """Tells of what kind lines are, and so which recogniser is to read them: a chooser for `ocr.read.reader.Router`.

    See `Classifier` for the arguments.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Of the kinds."""
        return self.spec.postprocess.label_list

    def choose(self, images: Sequence[NDArray[np.uint8]]) -> list[str | None]:
        """The kind of each line; None where the likeliest is less probable than `thresh`.

        Args:
            images: `uint8`, H × W × 3 (BGR) or H × W (grey), upright.
        """
        rows = self.probabilities(images)
        return [self.names[int(row.argmax())] if row.max() >= self.thresh else None for row in rows]


def open_chooser(path: str | Path, thresh: float | None = None, threads: int = 0) -> Kinds:
    """A classifier of kinds of lines ready to use, whatever form it has.

    Args:
        path: a run directory (its best or newest checkpoint), a checkpoint, or an exported model.
        thresh: see `Classifier`.
        threads: of the network; 0: all cores.

    Raises:
        ScriptoriumError: there is no such classifier, it is broken, or what runs it is not installed.
    """
    return Kinds(open_network(path, KindSpec, threads), thresh)
