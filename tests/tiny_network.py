"""A tiny recogniser with random weights, sure of what it reads and reading much, and crops to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import paddle

from ocr.config import Architecture
from ocr.engine import checkpoint as store
from ocr.engine.checkpoint import Checkpoint
from ocr.models.build import build_model
from ocr.spec import ModelSpec, Preprocess

UNITS = ("a", "b", "c", "क्ष", "س", " ", "e\u0301")
CRNN: dict[str, Any] = {
    "algorithm": "CRNN",
    "Backbone": {"name": "ConvNet", "width": 0.25},
    "Neck": {"name": "SequenceEncoder", "encoder_type": "rnn", "hidden_size": 16},
}
ROSETTA = CRNN | {"algorithm": "Rosetta", "Neck": {"name": "SequenceEncoder", "encoder_type": "reshape"}}


def crops(count: int, seed: int = 0) -> list[Any]:
    """`uint8` pictures of many sizes, every third of them grey."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        height, width = int(rng.integers(8, 90)), int(rng.integers(4, 500))
        image = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 1.5)
        image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
        found.append(image[..., 0].copy() if number % 3 == 0 else image)
    return found


def network(architecture: dict[str, Any] = CRNN, channels: int = 1) -> tuple[Any, ModelSpec]:
    """The network, in evaluation mode, and its spec; always with the same weights."""
    parsed = Architecture(**architecture)
    paddle.seed(3)
    model = build_model(parsed, len(UNITS) + 1, channels)
    preprocess = Preprocess(channels=channels)  # type: ignore[arg-type]
    pictures = preprocess.stack([preprocess(image)[:, :128] for image in crops(12, 9)], 128)
    images = paddle.to_tensor(preprocess.normalise(pictures))
    with paddle.no_grad():
        for _ in range(12):  # batch normalisation learns what pictures are like
            model(images)
        model.eval()
        scores = model(images).numpy().reshape(-1, len(UNITS) + 1)
    # Scores of all classes get one mean and a wide spread.
    spread = 4 / scores.std(0)
    last = model.head.classify
    last.bias.set_value((last.bias.numpy() - scores.mean(0)) * spread)
    last.weight.set_value(last.weight.numpy() * spread)
    spec = ModelSpec(
        architecture=parsed.model_dump(mode="json"), units=UNITS, time_stride=model.time_stride, preprocess=preprocess
    )
    return model, spec


def checkpoint(run: Path, step: int = 1, *, ema: float = 1.0, **options: Any) -> Path:
    """A checkpoint of that network; `ema` is a factor between its weights and their moving average."""
    model, spec = network(**options)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    average = {name: value * np.float32(ema) for name, value in weights.items()} if ema != 1.0 else {}
    return store.save(run, Checkpoint(spec, weights, average, {}, {"step": step}))
