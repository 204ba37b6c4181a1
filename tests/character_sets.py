"""Sets of single characters, drawn from fonts by several "writers", in the shapes that such sets come in."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.fonts.face import Face
from synth.fonts.index import scan

Grey = NDArray[np.uint8]


class Character(NamedTuple):
    text: str
    writer: str
    image: Grey


def drawn(face: Face, text: str, size: int = 28, slant: float = 0.0, bold: int = 0, frame: int = 48) -> Grey:
    """A letter in black on white, in a square frame."""
    got = face.rasterise(face.hb.get_nominal_glyph(ord(text)), size)
    assert got is not None, text
    mask = got[0]
    height, width = mask.shape
    canvas = np.zeros((frame, frame), np.uint8)
    y, x = (frame - height) // 2, (frame - width) // 2
    canvas[y : y + height, x : x + width] = mask
    if slant:
        matrix = np.array(((1.0, -slant, slant * frame / 2), (0.0, 1.0, 0.0)))
        canvas = cv2.warpAffine(canvas, matrix, (frame, frame))
    if bold:
        canvas = cv2.dilate(canvas, np.ones((bold + 1, bold + 1), np.uint8))
    return np.asarray(255 - canvas, np.uint8)


HANDS = {"ann": (0.0, 0), "bob": (0.35, 0), "cid": (-0.1, 2)}
"""Slant and boldness of three writers."""


def characters(
    font: Path, texts: Sequence[str], writers: Sequence[str] = tuple(HANDS), each: int = 2
) -> list[Character]:
    """Each letter by each writer, `each` times, never quite the same."""
    face = Face(scan([font]).faces[0])
    found = []
    for writer in writers:
        slant, bold = HANDS[writer]
        for text in texts:
            for k in range(each):
                found.append(Character(text, writer, drawn(face, text, 26 + 2 * k, slant + 0.02 * k, bold)))
    return found


def png(image: Grey) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def folder(root: Path, found: Sequence[Character], name: str = "{0}") -> Path:
    """A folder for each class, the writer before the file's name."""
    for number, (text, writer, image) in enumerate(found):
        place = root / name.format(text, f"{ord(text):04X}")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{writer}_{number}.png").write_bytes(png(image))
    return root


def idx(data: NDArray[np.uint8], packed: bool = False) -> bytes:
    head = struct.pack(">HBB", 0, 8, data.ndim) + struct.pack(f">{data.ndim}I", *data.shape)
    whole = head + data.tobytes()
    return gzip.compress(whole) if packed else whole


def gnt(found: Sequence[Character]) -> bytes:
    """The format of CASIA-HWDB: size, GBK code, width, height, pixels."""
    parts = []
    for text, _, image in found:
        code = text.encode("gb2312").ljust(2, b"\0")
        height, width = image.shape
        parts.append(struct.pack("<I2sHH", 10 + width * height, code, width, height) + image.tobytes())
    return b"".join(parts)


def broken_zip(data: bytes) -> bytes:
    """An archive with a byte of its first member's content turned round."""
    at = len(data) // 3
    return data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]


__all__ = ["Character", "broken_zip", "characters", "drawn", "folder", "gnt", "idx", "png"]
