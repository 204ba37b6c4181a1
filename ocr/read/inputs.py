"""What is to be read, page by page: pictures, pages of TIFF and PDF files, and frames of films that differ."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from ocr.infer.images import MAX_PIXELS, SUFFIXES, BadImage, contents, decode, from_pillow, is_url

FILMS: Final = frozenset((".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv"))
ALL: Final = SUFFIXES | FILMS | {".pdf"}
"""Suffixes of the files in a folder that are read, in small letters."""

_ANIMATED: Final = ("GIF", "WEBP", "PNG")
_REDUCED: Final = 254  # TIFF's tag of pages that are smaller versions of others (its lowest bit)
_CELLS: Final = 64  # parts of a side in which frames are compared
_DIFFERENT: Final = 12.0  # levels between two means of a part: more than noise and compression make
_BROKEN: Final = 0.95  # of the frames that a film's head promises; heads are not exact
_DPI: Final = 72  # of PDF


@dataclass(frozen=True)
class Sheet:
    """One page or frame.

    Attributes:
        name: of the file, as given.
        number: of the page from 1; of a film's frame, its number among those that are read.
        image: `uint8`, H × W × 3 (BGR) or H × W (grey).
        seconds: where it stands in a film; else None.
    """

    name: str
    number: int
    image: NDArray[np.uint8]
    seconds: float | None = None


def sheets(name: str, *, dpi: int = 200, every: float = 1.0) -> Iterator[Sheet]:
    """The pages of a file or address, one after the other.

    Args:
        name: of a file, or an http or https address.
        dpi: dots per inch at which pages of a PDF file are drawn.
        every: seconds of a film or animation between two frames that are looked at; those that look like the one
            before are passed over.

    Raises:
        BadImage: it cannot be read, or is of no known kind; of a film that breaks off, after the frames before.
    """
    if Path(name).suffix.lower() in FILMS:
        yield from _film(name, every)
        return
    data = contents(name)
    if b"%PDF-" in data[:1024]:
        yield from _pdf(data, name, dpi)
        return
    pages = _frames(data)
    if pages == 1:
        yield Sheet(name, 1, decode(data, name))
    else:
        yield from _many(data, name, every)


def _frames(data: bytes) -> int:
    """How many pictures a file holds; 1 also where it holds none, of which `decode` then speaks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = Image.open(io.BytesIO(data))
        except Exception:  # decoders raise anything at a broken file
            return 1
        with picture:
            if picture.format not in (*_ANIMATED, "TIFF"):
                return 1
            try:
                return int(getattr(picture, "n_frames", 1))
            except Exception:
                return 2  # it breaks off somewhere, which `_many` finds out


def _many(data: bytes, name: str, every: float) -> Iterator[Sheet]:
    number = 0
    clock = 0.0
    kept = _Kept()
    due = 0.0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as picture:
                still = picture.format == "TIFF"
                for frame in ImageSequence.Iterator(picture):
                    if frame.width * frame.height > MAX_PIXELS:
                        raise BadImage(
                            f"{name}: page {number + 1} has more than {MAX_PIXELS // 1_000_000} million pixels"
                        )
                    if still:
                        if _reduced(frame):
                            continue
                        image = from_pillow(frame, name)
                        number += 1
                        yield Sheet(name, number, image)
                        continue
                    if clock >= due:
                        due += every * ((clock - due) // every + 1)
                        image = from_pillow(frame, name)
                        if kept.differs(image):
                            number += 1
                            yield Sheet(name, number, image, clock)
                    clock += float(frame.info.get("duration", 100) or 100) / 1000
    except BadImage:
        raise
    except Exception as error:
        raise BadImage(f"{name}: is broken after page {number} ({error or type(error).__name__})") from None


def _reduced(frame: Any) -> bool:
    return bool(int(getattr(frame, "tag_v2", {}).get(_REDUCED, 0)) & 1)


def _pdf(data: bytes, name: str, dpi: int) -> Iterator[Sheet]:
    try:
        import pypdfium2
    except ImportError:
        raise BadImage(f"{name}: needs pypdfium2; install it with: pip install scriptorium[pdf]") from None
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        why = "is locked with a password; unlock it first" if locked else f"is broken ({error})"
        raise BadImage(f"{name}: {why}") from None
    with contextlib.closing(document):
        if not len(document):
            raise BadImage(f"{name}: has no pages")
        for number in range(len(document)):
            try:
                page = document[number]
                width, height = page.get_size()
                if width * height * (dpi / _DPI) ** 2 > MAX_PIXELS:
                    raise BadImage(
                        f"{name}: page {number + 1} has more than {MAX_PIXELS // 1_000_000} million pixels at {dpi} "
                        "dots per inch; read it with fewer (--dpi)"
                    )
                bitmap = page.render(scale=dpi / _DPI)
                image = np.array(bitmap.to_numpy(), np.uint8)  # its own memory, which outlives the page
                page.close()
            except pypdfium2.PdfiumError as error:
                raise BadImage(f"{name}: page {number + 1} is broken ({error})") from None
            yield Sheet(name, number + 1, image if image.ndim == 2 else image[..., :3])


def _film(name: str, every: float) -> Iterator[Sheet]:
    if not is_url(name):
        if not Path(name).is_file():
            raise BadImage(
                f"{name}: {'is no file' if Path(name).exists() else 'cannot be read (No such file or directory)'}"
            )
        yield from _opened_film(name, name, every)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "film" + Path(name).suffix)
        file.write_bytes(contents(name))
        yield from _opened_film(str(file), name, every)


def _opened_film(file: str, name: str, every: float) -> Iterator[Sheet]:
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # quiet: what is wrong is said here
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)
    try:
        film = cv2.VideoCapture(file, cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)
    try:
        rate = film.get(cv2.CAP_PROP_FPS) or 25.0
        promised = film.get(cv2.CAP_PROP_FRAME_COUNT)
        step = max(1, round(every * rate))
        kept = _Kept()
        number = at = 0
        # Frames between are not decoded to pictures.
        while film.grab():
            if at % step == 0:
                well, image = film.retrieve()
                if not well:
                    break
                frame = np.asarray(image, np.uint8)
                if kept.differs(frame):
                    number += 1
                    yield Sheet(name, number, frame, at / rate)
            at += 1
        if not at:
            raise BadImage(f"{name}: is no film that can be read")
        if at < _BROKEN * promised:
            raise BadImage(
                f"{name}: breaks off after {at / rate:.1f} of {promised / rate:.1f} s; what came before is read"
            )
    finally:
        film.release()


class _Kept:
    """Remembers the last frame that was read, as means of its parts."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None

    def differs(self, image: NDArray[np.uint8]) -> bool:
        grey = image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
        means = np.asarray(cv2.resize(grey, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA), np.float32)
        if self._last is not None and float(np.abs(means - self._last).max()) <= _DIFFERENT:
            return False
        self._last = means
        return True
