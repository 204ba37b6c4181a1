"""Reading from a program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from augment.errors import ScriptoriumError
from ocr.infer.backends import open_backend
from ocr.infer.images import from_pillow, load
from ocr.infer.recogniser import Reading, Recogniser

Picture = str | Path | NDArray[np.uint8] | Image.Image
_BYTES = bytes | bytearray | memoryview
_SINGLE = str | Path | np.ndarray | Image.Image | _BYTES


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
        if not isinstance(path, str | PathLike):
            raise ScriptoriumError(
                f"model: is {type(path).__name__}; name a run directory, a checkpoint or an exported model"
            )
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
        if isinstance(pictures, _SINGLE) or not isinstance(pictures, Iterable):
            return self._recogniser.read([as_array(pictures, "picture")])[0]
        return self._recogniser.read([as_array(picture, f"picture {at}") for at, picture in enumerate(pictures)])


def as_array(picture: Picture, where: str) -> NDArray[np.uint8]:
    """A picture as an array; one that is an array already comes as it is, unchecked.

    Args:
        picture: a file's name, a Pillow picture or an array.
        where: begins the error's message.

    Raises:
        ScriptoriumError: it is none of these, or cannot be read.
    """
    if isinstance(picture, str | Path):
        if Path(picture).is_dir():
            raise ScriptoriumError(
                f"{where}: {picture} is a folder; give the files in it, such as sorted(Path(...).glob('*.jpg'))"
            )
        return load(str(picture))
    if isinstance(picture, Image.Image):
        return from_pillow(picture)
    if not isinstance(picture, np.ndarray):
        known = "the name of a file, a Pillow picture, or an array of uint8"
        if isinstance(picture, _BYTES):
            known += "; of a file's contents, cv2.imdecode or Pillow make such"
        raise ScriptoriumError(f"{where}: is {type(picture).__name__}; give {known}")
    return picture
