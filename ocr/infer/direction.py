"""How pictures stand: lines on their head, pages on their side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.infer.classifier import Classifier, open_network
from ocr.spec import ClsSpec


class Direction(Classifier[ClsSpec]):
    """Tells how pictures stand; the classes are degrees, and a picture is turned from `thresh` on. See `Classifier`."""

    def turns(self, images: Sequence[NDArray[np.uint8]]) -> list[tuple[int, float]]:
        """Quarter turns counter-clockwise, 0 to 3, that make each picture upright, and how probable that is.

        Where the likeliest direction is less probable than `thresh` the picture is to stay: no turns, with the
        probability that it stands upright.

        Args:
            images: `uint8`, H × W × 3 (BGR) or H × W (grey).
        """
        labels = self.spec.postprocess.label_list
        found = []
        for row in self.probabilities(images):
            best = int(row.argmax())
            if row[best] < self.thresh:
                best = labels.index(0)
            found.append((labels[best] // 90, float(row[best])))
        return found


def open_turner(
    path: str | Path, kind: Literal["crop", "page"] | None = None, thresh: float | None = None, threads: int = 0
) -> Direction:
    """A direction classifier ready to use, whatever form it has.

    Args:
        path: a run directory (its best or newest checkpoint), a checkpoint, or an exported model.
        kind: what it must be for; None: for either.
        thresh: see `Direction`.
        threads: of the network; 0: all cores.

    Raises:
        ScriptoriumError: there is no classifier, it is broken or of the other kind, or what runs it is not installed.
    """
    network = open_network(path, ClsSpec, threads)
    trained = network.spec.preprocess.kind
    if kind not in (None, trained):
        raise ScriptoriumError(f"{path}: was trained on pictures of kind {trained}; name one of {kind}")
    return Direction(network, thresh)
