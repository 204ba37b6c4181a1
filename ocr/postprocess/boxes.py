"""What a detector's maps say, whatever its algorithm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ocr.postprocess.db import DBPostProcess, Detection, db_boxes
from ocr.postprocess.east import EASTPostProcess, east_boxes
from ocr.postprocess.pse import PSEPostProcess, pse_boxes


def boxes(
    maps: NDArray[np.float32], config: DBPostProcess | PSEPostProcess | EASTPostProcess, height: float, width: float
) -> list[Detection]:
    """Find the texts in maps; arguments as of `db_boxes`, `pse_boxes` and `east_boxes`, which `config` chooses."""
    if isinstance(config, PSEPostProcess):
        return pse_boxes(maps, config, height, width)
    if isinstance(config, EASTPostProcess):
        return east_boxes(maps, config, height, width)
    return db_boxes(maps, config, height, width)
