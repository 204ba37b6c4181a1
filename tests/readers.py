"""How two families of trainers read LMDBs, re-stated from their documented behaviour; no code of the project in it."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import lmdb
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def leaf_folders(root: Path) -> list[str]:
    """Both families take every folder without sub-folders for an LMDB, whatever is in it."""
    return [folder for folder, folders, _ in os.walk(f"{root}/") if not folders]


def _samples(root: Path) -> Iterator[tuple[bytes, str]]:
    for folder in leaf_folders(root):
        env = lmdb.open(folder, max_readers=32, readonly=True, lock=False, readahead=False, meminit=False)
        with env, env.begin(write=False) as txn:
            count = int(txn.get(b"num-samples"))
            for number in range(1, count + 1):
                label = txn.get(f"label-{number:09d}".encode())
                image = txn.get(f"image-{number:09d}".encode())
                assert label is not None, f"{folder}: PaddleOCR would silently take another sample for {number}"
                assert image is not None, f"{folder}: no image {number}"
                yield image, label.decode("utf-8")


def paddleocr(root: Path) -> list[tuple[NDArray[np.uint8], str]]:
    """PaddleOCR, `LMDBDataSet` with `DecodeImage(img_mode: BGR)`: images as height × width × 3, BGR."""
    found = []
    for data, label in _samples(root):
        image = cv2.imdecode(np.frombuffer(data, dtype="uint8"), 1)
        assert image is not None
        found.append((image, label))
    return found


def benchmark(root: Path, characters: str | None = None, longest: int = 25) -> list[tuple[NDArray[np.uint8], str]]:
    """deep-text-recognition-benchmark, `LmdbDataset`, and its heirs: RGB by Pillow, filtered by length and letters."""
    found = []
    for data, label in _samples(root):
        if len(label) > longest or (characters and re.search(f"[^{characters}]", label.lower())):
            continue
        found.append((np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), label))
    return found
