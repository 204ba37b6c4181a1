"""Reading from a program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ocr.infer.backends import open_backend
from ocr.infer.images import from_pillow, load
from ocr.infer.recogniser import Reading, Recogniser

Picture = str | Path | NDArray[np.uint8] | Image.Image


class Recognizer:
    """A model that reads crops of words and lines; for one thread at a time.

    >>> recognizer = Recognizer("output/rec")                           # doctest: +SKIP
    >>> reading = recognizer.read("word.png")                           # doctest: +SKIP
    >>> reading.text, reading.confidence                                # doctest: +SKIP
    ('Scriptorium', 0.98)

    Args:
        path: a run directory (its best or newest checkpoint), a checkpoint, or an exported model.
        threads: of the network; 0: all cores. Paddle takes it only if nothing imported Paddle before; it then stands in
            the environment as OMP_NUM_THREADS and MKL_NUM_THREADS, with MKL's fast path for AMD (see `ocr.runtime`).

    Raises:
        ScriptoriumError: there is no model, it is broken, or what runs it is not installed.
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        self._recogniser = Recogniser(open_backend(Path(path), threads))

    @overload
    def read(self, pictures: Picture) -> Reading: ...  # type: ignore[overload-overlap]  # a str is a sequence of str

    @overload
    def read(self, pictures: Sequence[Picture]) -> list[Reading]: ...

    def read(self, pictures: Picture | Sequence[Picture]) -> Reading | list[Reading]:
        """Read one picture or several, which then are all held in memory.

        Args:
            pictures: each the name of a file, an http or https address, a Pillow picture, or a `uint8` array, H × W
                (grey) or H × W × 3 (BGR).

        Returns:
            One `Reading`, or a list of them in order.

        Raises:
            ScriptoriumError: a picture cannot be read, or is an array of another shape or type.
        """
        if isinstance(pictures, str | Path | np.ndarray | Image.Image):
            return self._recogniser.read([as_array(pictures)])[0]
        return self._recogniser.read([as_array(picture) for picture in pictures])


def as_array(picture: Picture) -> NDArray[np.uint8]:
    """A picture as an array; one that is an array already comes as it is. Raises ScriptoriumError: see `load`."""
    if isinstance(picture, str | Path):
        return load(str(picture))
    return from_pillow(picture) if isinstance(picture, Image.Image) else picture
