"""A tiny run of a detector from drawn pages to figures, and its exported models: for tests of several algorithms."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray


def drawn_page(
    rng: np.random.Generator,
    *,
    rows: int = 2,
    wide: tuple[float, float] = (60, 80),
    high: tuple[float, float] = (24, 36),
    tilt: float = 8,
) -> tuple[NDArray[np.uint8], list[Any]]:
    """A light page of 200 × 160 with two columns of dark bars for texts, and its label's entries."""
    image = np.full((160, 200, 3), 220, np.uint8)
    entries = []
    apart = 110 - 20 * rows
    for row in range(rows):
        for column in range(2):
            w, h = rng.uniform(*wide), rng.uniform(*high)
            middle = 80 + apart * (row - (rows - 1) / 2)
            center = (50 + 100 * column + rng.uniform(-5, 5), middle + rng.uniform(-5, 5))
            quad = cv2.boxPoints((center, (w, h), rng.uniform(-tilt, tilt)))
            cv2.fillPoly(image, [np.round(quad * 16 - 8).astype(np.int32)], (40, 30, 60), cv2.LINE_AA, 4)
            entries.append({"transcription": "text", "points": quad.tolist()})
    return image, entries


def drawn_set(folder: Path, count: int, seed: int, draw: Callable[..., Any] = drawn_page) -> Path:
    """Pages with a label file."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        image, entries = draw(rng)
        cv2.imwrite(str(folder / f"{number}.png"), image)
        lines.append(f"{number}.png\t{json.dumps(entries)}\n")
    (folder / "labels.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


def configuration(folder: Path, algorithm: str, steps: int) -> Path:
    """A configuration that trains a tiny network of an algorithm on pages drawn into `folder`."""
    values = {
        "Global": {
            "save_model_dir": str(folder / "run"),
            "max_steps": steps,
            "eval_batch_step": [0, steps],
            "save_epoch_step": 0,
        },
        "Architecture": {
            "model_type": "det",
            "algorithm": algorithm,
            "Backbone": {"name": "ConvNet", "width": 0.25},
            "Neck": {"name": "RSEFPN", "out_channels": 16},
        },
        "Preprocess": {"channels": 1},
        "Optimizer": {"name": "AdamW", "lr": {"learning_rate": 0.01, "warmup_epoch": 0.5}, "ema_decay": 0.9},
        "Train": {
            "sources": [{"name": "pages", "path": str(drawn_set(folder / "train", 16, 1))}],
            "crop": {"size": 96, "scale": [0.8, 1.2], "min_side": 4},
            "augment": None,
            "loader": {"batch_size_per_card": 8, "num_workers": 0},
        },
        "Eval": {"sources": [{"name": "val", "path": str(drawn_set(folder / "val", 4, 2))}]},
    }
    file = folder / "det.yml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    return file


def check_run(folder: Path, algorithm: str, steps: int, least: float, ocr: Callable[..., Any]) -> None:
    """Train and evaluate by the command line: the loss falls, and a share of the texts is found."""
    file = configuration(folder, algorithm, steps)
    done = ocr("train", "-c", file)
    assert done.code == 0, done
    assert f"network  {algorithm}" in done.out
    losses = [
        json.loads(line)["loss"]
        for line in (folder / "run/metrics.jsonl").read_text().splitlines()
        if '"train"' in line
    ]
    assert losses[-1] < 0.7 * losses[0], losses
    said = ocr("eval", "-c", file)
    assert said.code == 0 and float(said.out.split()[-1].rstrip("%")) > least, said
    shown = ocr("show-batch", "-c", file, "--output", folder / "batch.png")
    assert shown.code == 0 and "8 squares of 96 × 96" in shown.out and (folder / "batch.png").stat().st_size > 1000


def check_export(folder: Path, kind: str) -> None:
    """Export the run of `check_run`; the model gives the same maps and the same texts."""
    from ocr.infer.detector import MapModelBackend, load_detector, open_detector
    from ocr.infer.export import export_onnx, export_paddle

    made = (export_onnx if kind == "onnx" else export_paddle)(folder / "run", folder / kind)
    image, entries = drawn_page(np.random.default_rng(9))
    known, found = open_detector(folder / "run"), open_detector(made)
    assert found.spec == known.spec
    batch = known.spec.preprocess(image)[0][None]
    maps = found._backend.run(batch)
    np.testing.assert_allclose(maps, MapModelBackend(*load_detector(folder / "run")).run(batch), atol=1e-3)
    one, other = known.find(image), found.find(image)
    assert len(one) == len(other) and 0 < len(one) <= 2 * len(entries)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.polygon, b.polygon, atol=0.5)
        assert 0 < a.score <= 1
        assert a.polygon.min() >= 0 and (a.polygon <= (200, 160)).all()
