"""`ocr predict`: from names of pictures to lines of text, in bounded memory however many there are."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from augment.errors import ScriptoriumError
from ocr.infer.backends import open_backend
from ocr.infer.draw import CaptionDrawer
from ocr.infer.images import BadImage, find, load
from ocr.infer.recogniser import Reading, Recogniser

Say = Callable[[str], None]

# Pictures read together: so many, or as many as have so many pixels.
_TOGETHER = 512
_PIXELS = 32_000_000


def predict(
    arguments: Sequence[str],
    model: Path,
    format_: Literal["table", "json"],
    draw: Path | None,
    threads: int,
    out: Say,
    complain: Say,
) -> int:
    """Read pictures and print what they say, in their order.

    Args:
        arguments: files, folders, URLs, `-` for names on standard input: see `ocr.infer.images.find`.
        model: see `open_backend`.
        format_: table: confidence, name and text; json: one object a line with path, text, confidence and units (text
            and confidence of each), or with path and error.
        draw: folder where each picture goes with its text below it, by number and name; made if need be.
        threads: of the network; 0: all cores.
        out: prints a line of the result.
        complain: prints a line about a picture that could not be read, or a text that no font draws.

    Returns:
        How many pictures could not be read.

    Raises:
        ScriptoriumError: no usable model, no picture named, or the folder to draw into cannot be written.
    """
    recogniser = Recogniser(open_backend(model, threads))
    album = None if draw is None else _Album(draw, complain)
    # A list where it can be one, so that the time that remains is known.
    names = find(arguments, sys.stdin.buffer) if "-" in arguments else list(find(arguments))
    shown = sys.stderr.isatty() and not sys.stdout.isatty()
    failed = count = 0
    with tqdm(
        total=len(names) if isinstance(names, list) else None, unit="picture", unit_scale=True, disable=not shown
    ) as bar:
        for chunk in _chunks(names):
            readings = iter(recogniser.read([image for _, image in chunk if not isinstance(image, BadImage)]))
            widest = max(len(name) for name, _ in chunk)
            for name, image in chunk:
                count += 1
                if isinstance(image, BadImage):
                    failed += 1
                    complain(str(image))
                    line = _json(name, image) if format_ == "json" else ""
                else:
                    reading = next(readings)
                    if album is not None:
                        album.add(count, name, image, reading.text)
                    line = _json(name, reading) if format_ == "json" else _table(name, reading, widest)
                if line:
                    out(line.encode(errors="backslashreplace").decode())  # names of files need not be UTF-8
            bar.update(len(chunk))
    if not count:
        raise ScriptoriumError("no picture is named; name files, folders or addresses")
    if failed and count > 1:
        complain(f"{failed:,} of {count:,} pictures could not be read")
    return failed


def _chunks(names: Iterable[str]) -> Iterator[list[tuple[str, NDArray[np.uint8] | BadImage]]]:
    chunk: list[tuple[str, NDArray[np.uint8] | BadImage]] = []
    pixels = 0
    for name in names:
        try:
            image = load(name)
        except BadImage as error:
            chunk.append((name, error))
        else:
            chunk.append((name, image))
            pixels += image.size
        if len(chunk) >= _TOGETHER or pixels >= _PIXELS:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk


def _table(name: str, reading: Reading, widest: int) -> str:
    return f"{reading.confidence:6.1%}  {name:{widest}}  {reading.text}"


def _json(name: str, found: Reading | BadImage) -> str:
    if isinstance(found, BadImage):
        return json.dumps({"path": name, "error": str(found)}, ensure_ascii=False)
    units = [
        {"text": unit, "confidence": round(confidence, 6)}
        for unit, confidence in zip(found.units, found.confidences, strict=True)
    ]
    row = {"path": name, "text": found.text, "confidence": round(found.confidence, 6), "units": units}
    return json.dumps(row, ensure_ascii=False)


class _Album:
    """A folder of pictures with their texts."""

    def __init__(self, folder: Path, complain: Say) -> None:
        self._folder, self._complain = folder, complain
        self._drawer = CaptionDrawer()
        self._said = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ScriptoriumError(f"{folder}: cannot be made ({error.strerror})") from None

    def add(self, number: int, name: str, image: NDArray[np.uint8], text: str) -> None:
        drawn, whole = self._drawer(image, text)
        if not whole and not self._said:
            self._said = True
            self._complain(f"no font draws {text!r}: its picture stays without text; see synth fonts install --help")
        stem = re.sub(r"[^\w.-]+", "_", Path(name).stem)[:60]
        path = self._folder / f"{number:06d}_{stem}.png"
        try:
            path.write_bytes(cv2.imencode(".png", drawn)[1].tobytes())
        except OSError as error:
            raise ScriptoriumError(f"{path}: cannot be written ({error.strerror}); make room") from None
