"""The user's own pictures, whatever they are, as `uint8` arrays: grey (H × W) or BGR (H × W × 3)."""

from __future__ import annotations

import http.client
import io
import os
import re
import struct
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from augment.errors import ScriptoriumError

MAX_PIXELS = 100_000_000  # a sheet of A3 at 600 dots per inch has 70 million
MAX_BYTES = 256 << 20
_SECONDS = 60.0  # for one download
_SILENCE = 20.0  # seconds without an answer
_CHUNK = 1 << 16
_STRIP = 1024  # rows
_URL = re.compile(r"https?://", re.IGNORECASE)
SUFFIXES = frozenset(
    (
        ".avif",
        ".bmp",
        ".dib",
        ".gif",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tga",
        ".tif",
        ".tiff",
        ".webp",
    )
)
_FRAMES = frozenset((0xC0, 0xC1, 0xC2))  # baseline, extended, progressive
# Tables, comments and application data that do not turn the picture: DHT, DQT, DRI, COM, APP0, APP2 to APP15.
_SEGMENTS = frozenset((0xC4, 0xDB, 0xDD, 0xFE, 0xE0, *range(0xE2, 0xF0)))
_PNG_NOTES = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")  # where Pillow looks for an orientation
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BadImage(ScriptoriumError):
    """A picture that cannot be read; the message begins with its name."""


def find(arguments: Sequence[str], lines: Iterable[bytes] = (), suffixes: Collection[str] = SUFFIXES) -> Iterator[str]:
    """The names that arguments stand for, to be given to `load`.

    Args:
        arguments: files and URLs, which come as they are; folders; `-` for the names in `lines`.
        lines: one file, folder or URL each; empty ones are passed over.
        suffixes: of the files in folders that are meant, in small letters.

    Yields:
        Names of files and URLs. A folder gives the pictures in it and in its subfolders, told by their suffix, in
        natural order (2 before 10), without hidden ones; one that has none gives itself, so that `load` says so.

    Raises:
        ScriptoriumError: `lines` are no names.
    """
    for argument in arguments:
        names = (os.fsdecode(line.rstrip(b"\r\n")) for line in lines) if argument == "-" else iter((argument,))
        for name in names:
            if "\0" in name:
                raise ScriptoriumError(
                    "standard input holds no names but something else, such as a picture; give the file itself"
                )
            if name and not is_url(name) and Path(name).is_dir():
                yield from _in_folder(Path(name), suffixes)
            elif name:
                yield name


def _in_folder(top: Path, suffixes: Collection[str]) -> Iterator[str]:
    found = False
    for folder, folders, files in os.walk(top):
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=_natural)
        for name in sorted(files, key=_natural):
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                found = True
                yield str(Path(folder, name))
    if not found:
        yield str(top)


def _natural(name: str) -> str:
    return re.sub(r"\d+", lambda digits: digits[0].zfill(20), name.casefold())


def load(name: str) -> NDArray[np.uint8]:
    """Read a picture file, or fetch one by http or https.

    Returns:
        See `decode`.

    Raises:
        BadImage: it does not exist, cannot be read or fetched, or see `decode`.
    """
    return decode(contents(name), name)


def is_url(name: str) -> bool:
    """Whether a name is an http or https address."""
    return bool(_URL.match(name))


def contents(name: str) -> bytes:
    """The bytes of a file or of what stands at an http or https address.

    Raises:
        BadImage: it does not exist, cannot be read or fetched, or has more than `MAX_BYTES`.
    """
    return _fetch(name) if is_url(name) else _read(name)


def _read(name: str) -> bytes:
    path = Path(name)
    try:
        if path.is_dir():
            raise BadImage(f"{name}: a folder without pictures")
        if path.exists() and not path.is_file():
            raise BadImage(f"{name}: is no file")
        if path.stat().st_size > MAX_BYTES:
            raise BadImage(f"{name}: has more than {MAX_BYTES >> 20} MB; cut it into smaller pictures")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise BadImage(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _fetch(url: str) -> bytes:
    end = time.monotonic() + _SECONDS
    data = bytearray()
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "scriptorium"})
        with urllib.request.urlopen(request, timeout=_SILENCE) as answer:
            while chunk := answer.read1(_CHUNK):
                data += chunk
                if len(data) > MAX_BYTES:
                    raise BadImage(f"{url}: has more than {MAX_BYTES >> 20} MB; fetch it yourself and cut it")
                if time.monotonic() > end:
                    raise BadImage(f"{url}: not here after {_SECONDS:.0f} s; fetch it yourself and name the file")
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise BadImage(f"{url}: cannot be fetched ({reason})") from None
    return bytes(data)


def decode(data: bytes, name: str) -> NDArray[np.uint8]:
    """The picture in a file's contents.

    Of an animation it is the first frame; EXIF's orientation is followed, transparency laid on white, 16 bits per
    channel scaled to 8.

    Args:
        data: of a format that Pillow knows.
        name: for messages.

    Returns:
        Grey, H × W, or BGR, H × W × 3.

    Raises:
        BadImage: empty, broken, cut short, of an unknown format, of more than `MAX_PIXELS` pixels, or with 32 bits per
            pixel of grey.
    """
    if not data:
        raise BadImage(f"{name}: is empty")
    head = _jpeg_head(data)
    if head is not None and head[0] * head[1] <= MAX_PIXELS:
        image = _decode_jpeg(data, grey=head[2] == 1)
        if image is not None:
            return image
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's about sizes, which have our own limit, and about odd metadata
            with Image.open(io.BytesIO(data)) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise BadImage(_too_large(name))
                image = _plain_jpeg(picture, data)
                return from_pillow(picture, name) if image is None else image
    except BadImage:
        raise
    except Image.DecompressionBombError:
        raise BadImage(_too_large(name)) from None
    except UnidentifiedImageError:
        raise BadImage(f"{name}: is no picture of a known format") from None
    except Exception as error:  # decoders raise anything at a broken file
        raise BadImage(f"{name}: is broken ({error or type(error).__name__})") from None


def _too_large(name: str) -> str:
    return f"{name}: has more than {MAX_PIXELS // 1_000_000} million pixels; cut it or scale it down"


def _plain_jpeg(picture: Image.Image, data: bytes) -> NDArray[np.uint8] | None:
    if picture.format != "JPEG" or picture.mode not in ("L", "RGB") or _orientation(picture) != 1:
        return None
    return _decode_jpeg(data, grey=picture.mode == "L")


def _decode_jpeg(data: bytes, *, grey: bool) -> NDArray[np.uint8] | None:
    """OpenCV's decoding of a JPEG that needs nothing else, in half of Pillow's time; it is the same to the bit."""
    if b"\xff\xd9" not in data[-64:]:  # OpenCV fills up what is cut off; Pillow refuses it
        return None
    flag = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:  # larger than OpenCV's own limits
        return None
    return None if image is None else image.astype(np.uint8, copy=False)


def size(data: bytes) -> tuple[int, int] | None:
    """Height and width of the picture that `decode` gives, where the head of a JPEG or PNG alone tells; else None.

    Whether the rest is sound, only decoding shows.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 33 and not any(map(data.__contains__, _PNG_NOTES)):
        width, height = struct.unpack_from(">II", data, 16)
    elif (head := _jpeg_head(data)) is not None:
        height, width, _ = head
    else:
        return None
    return (height, width) if 0 < height * width <= MAX_PIXELS else None


def _jpeg_head(data: bytes) -> tuple[int, int, int] | None:
    """Height, width and channels of a grey or colour JPEG without EXIF or XMP data, which may turn it; else None.

    See ITU-T T.81, annex B; most files of a data set are told by it at a hundredth of the cost of opening them.
    """
    if not data.startswith(b"\xff\xd8"):
        return None
    at, end = 2, len(data) - 9
    while at < end and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAMES:
            depth, height, width, channels = struct.unpack_from(">BHHB", data, at + 4)
            return (height, width, channels) if height and width and depth == 8 and channels in (1, 3) else None
        if marker not in _SEGMENTS:
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def from_pillow(picture: Image.Image, name: str = "picture") -> NDArray[np.uint8]:
    """A Pillow picture of any mode as `decode` gives it. Raises BadImage for 32 bits per pixel of grey."""
    turn = _TURNS.get(_orientation(picture))
    if turn is not None:
        picture = picture.transpose(turn)
    mode = picture.mode
    if mode.startswith("I;16") or mode == "I":
        levels = np.asarray(picture).astype(np.int64)
        if levels.size and not 0 <= levels.min() <= levels.max() <= 65535:
            raise BadImage(f"{name}: has 32 bits per pixel; save it with 8 or 16")
        return ((levels + 128) // 257).astype(np.uint8)
    if mode == "F":
        raise BadImage(f"{name}: has 32 bits per pixel; save it with 8 or 16")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("L" if mode in ("LA", "La") else "RGB")
    elif mode == "1":
        picture = picture.convert("L")
    elif mode not in ("L", "RGB"):
        picture = picture.convert("RGB")
    if picture.mode == "L":
        return np.asarray(picture, np.uint8)
    image = np.empty((picture.height, picture.width, 3), np.uint8)
    # By strips: Pillow hands pixels over by way of copies, several times a large scan.
    for top in range(0, picture.height, _STRIP):
        strip = picture.crop((0, top, picture.width, min(top + _STRIP, picture.height)))
        cv2.cvtColor(np.asarray(strip), cv2.COLOR_RGB2BGR, image[top : top + _STRIP])
    return image


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # broken metadata; the pixels may be well
        return 1
