"""Noise drawn once from a fixed seed, of which every sample takes a random window.

Drawing fresh normal noise for a 32 × 120 crop costs ten times as much as taking a window and scaling it.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT: Final = 512
WIDTH: Final = 2048
SPREAD: Final = 40.0  # standard deviation of WHITE and GRAIN; the mean is 128
CLOUD: Final = 8  # px between independent values of CLOUDS


def _normal(rng: np.random.Generator, sigma: float) -> NDArray[np.uint8]:
    noise = rng.standard_normal((HEIGHT, WIDTH, 3), np.float32)
    if sigma:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)
    noise *= SPREAD / noise.std()
    noise += 128.0 - noise.mean()
    return np.rint(noise).clip(0, 255).astype(np.uint8)


@functools.cache
def white() -> NDArray[np.uint8]:
    """Independent normal noise, HEIGHT × WIDTH × 3, mean 128, standard deviation SPREAD (clipped at 3.2 of them)."""
    return _normal(np.random.default_rng(1), 0.0)


@functools.cache
def grain() -> NDArray[np.uint8]:
    """Normal noise whose neighbours are alike, as after demosaicing or scaling; otherwise as `white`."""
    return _normal(np.random.default_rng(2), 0.8)


@functools.cache
def white_grey() -> NDArray[np.uint8]:
    """One channel of `white`, HEIGHT × WIDTH."""
    return white()[:, :, 0].copy()


@functools.cache
def grain_grey() -> NDArray[np.uint8]:
    """One channel of `grain`, HEIGHT × WIDTH."""
    return grain()[:, :, 0].copy()


@functools.cache
def signed() -> NDArray[np.int16]:
    """`white` less its mean, HEIGHT × WIDTH × 3."""
    return white().astype(np.int16) - 128


@functools.cache
def _cloud_bank() -> NDArray[np.uint8]:
    rough = np.random.default_rng(3).standard_normal((HEIGHT // CLOUD, WIDTH // CLOUD), np.float32)
    smooth = np.asarray(cv2.resize(rough, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.float32)
    # Equalised, so that a threshold at k/256 covers k/256 of the surface; by counting, as sorting takes 0.15 s.
    low, high = float(smooth.min()), float(smooth.max())
    levels = ((smooth - low) * (65535 / (high - low))).astype(np.uint16)
    below = np.cumsum(np.bincount(levels.ravel(), minlength=65536))
    return np.asarray(((below - 1) * 256 // smooth.size).astype(np.uint8)[levels])


def window(bank: NDArray[Any], height: int, width: int, rng: np.random.Generator) -> NDArray[Any]:
    """A random height × width window of a bank; a view, or mirrored repetitions where the bank is too small."""
    rows, columns = bank.shape[:2]
    if height > rows or width > columns:
        bank = np.asarray(
            cv2.copyMakeBorder(bank, 0, max(0, height - rows), 0, max(0, width - columns), cv2.BORDER_REFLECT)
        )
        rows, columns = bank.shape[:2]
    top = int(rng.random() * (rows - height + 1))
    left = int(rng.random() * (columns - width + 1))
    return bank[top : top + height, left : left + width]


def clouds(height: int, width: int, size: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A smooth random field, height × width, uniform over 0..255, with blobs about `size` pixels apart."""
    scale = CLOUD / max(size, 1.0)
    rows = min(HEIGHT, max(2, round(height * scale)))
    columns = min(WIDTH, max(2, round(width * scale)))
    view = window(_cloud_bank(), rows, columns, rng)
    return np.asarray(cv2.resize(view, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
