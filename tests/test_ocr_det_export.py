"""Detectors as exported models, their overrides, and the audit and the drawn batch of their data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from augment.errors import ScriptoriumError
from ocr.spec import DetPreprocess, DetSpec

paddle = pytest.importorskip("paddle")

from ocr.config import DetArchitecture  # noqa: E402
from ocr.engine import checkpoint as store  # noqa: E402
from ocr.engine.checkpoint import Checkpoint  # noqa: E402
from ocr.infer.backends import MapOnnxBackend, MapPaddleBackend  # noqa: E402
from ocr.infer.detector import MapModelBackend, load_detector, open_detector  # noqa: E402
from ocr.infer.export import export_onnx, export_paddle  # noqa: E402
from ocr.models.det import build_detector  # noqa: E402
from ocr.models.layers import upsampled  # noqa: E402

NETWORKS: dict[str, dict[str, Any]] = {
    "light": {"Backbone": {"name": "ConvNet", "width": 0.25}, "Neck": {"name": "RSEFPN", "out_channels": 16}},
    "mobile": {
        "Backbone": {"name": "MobileNetV3", "model_name": "small", "scale": 0.35, "disable_se": True},
        "Neck": {"name": "DBFPN", "out_channels": 16},
    },
}
SHAPES = [(1, 32, 32), (2, 96, 64), (1, 160, 320)]


@pytest.fixture(scope="module", params=NETWORKS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    architecture = DetArchitecture(**NETWORKS[request.param])
    paddle.seed(5)
    with paddle.utils.unique_name.guard():
        model = build_detector(architecture, 3)
    rng = np.random.default_rng(7)
    pictures = [cv2.GaussianBlur(rng.integers(0, 256, (96, 96, 3), np.uint8), (0, 0), 2) for _ in range(4)]
    images = paddle.to_tensor(np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32) / 60 - 2)
    with paddle.no_grad():
        for _ in range(12):  # batch normalisation learns what pictures are like
            model(images)
    # Scores around zero, so that maps have all probabilities.
    last = model.head.shrunk.out
    last.weight.set_value(last.weight.numpy() * 2)
    last.bias.set_value(np.zeros(1, np.float32))
    spec = DetSpec(
        architecture=architecture.model_dump(mode="json"), preprocess=DetPreprocess(limit_side_len=320, channels=3)
    )
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    folder = tmp_path_factory.mktemp("run")
    store.save(folder, Checkpoint(spec, weights, {}, {}, {"step": 1}))
    return folder


def the_same(folder: Path, run: Path, kind: type[Any], tolerance: float) -> None:
    backend = kind(folder)
    network, spec = load_detector(run)
    expected = MapModelBackend(network, spec)
    assert backend.spec == spec
    rng = np.random.default_rng(2)
    for count, height, width in SHAPES:
        images = rng.integers(0, 256, (count, height, width, 3), np.uint8)
        one, other = backend.run(images), expected.run(images)
        assert one.shape == (count, height, width) and one.dtype == np.float32
        assert np.ptp(other) > 0.1
        np.testing.assert_allclose(one, other, atol=tolerance, rtol=0)
    image = rng.integers(0, 256, (200, 500, 3), np.uint8)
    found, known = open_detector(folder).find(image), open_detector(run).find(image)
    assert len(found) == len(known)


def test_paddle_finds_as_the_network(run: Path, tmp_path: Path) -> None:
    the_same(export_paddle(run, tmp_path / "model"), run, MapPaddleBackend, 1e-4)


def test_onnx_finds_as_the_network(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("paddle2onnx")
    pytest.importorskip("onnxruntime")
    the_same(export_onnx(run, tmp_path / "model"), run, MapOnnxBackend, 1e-4)


def test_the_command_says_what_comes_next(run: Path, tmp_path: Path, ocr: Any) -> None:
    done = ocr("export", run, "--output", tmp_path / "model")
    assert done.code == 0 and f"next     ocr read --det {tmp_path / 'model'} --rec DIR IMAGE…" in done.out


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_upsampled_repeats_each_value(factor: int) -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 5, 7)).astype(np.float32)
    expected = values.repeat(factor, 2).repeat(factor, 3)
    np.testing.assert_array_equal(upsampled(paddle.to_tensor(values), factor).numpy(), expected)


def test_overrides(run: Path) -> None:
    spec = open_detector(run, ["postprocess.box_thresh=0.4", "preprocess.limit_type=min"]).spec
    assert spec.postprocess.box_thresh == 0.4 and spec.preprocess.limit_type == "min"
    assert open_detector(run).spec.postprocess.box_thresh == 0.6
    for wrong, message in (
        ("box_thresh=0.4", r"-o box_thresh=0\.4: must be postprocess\.key=value"),
        ("postprocess.box_tresh=0.4", "postprocess.box_tresh: unknown key; did you mean box_thresh"),
        ("postprocess.box_thresh=4", "postprocess.box_thresh: should be less than 1"),
        ("preprocess.mean=4", "belongs to the weights; free are limit_side_len, limit_type"),
    ):
        with pytest.raises(ScriptoriumError, match=message):
            open_detector(run, [wrong])


# -- the data ------------------------------------------------------------------------------------------------------


def pages(folder: Path, labels: list[str]) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(len(labels))
    lines = []
    for number, label in enumerate(labels):
        image = rng.integers(0, 256, (100, 200, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), image)
        lines.append(f"{number}.png\t{label}\n")
    (folder / "labels.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


def entry(points: list[list[float]], text: str = "text") -> dict[str, Any]:
    return {"transcription": text, "points": points}


GOOD = [entry([[10, 10], [90, 10], [90, 40], [10, 40]]), entry([[5, 60], [60, 60], [60, 90], [5, 90]], "###")]
ODD = [
    *GOOD,
    entry([[10, 10], [90, 40], [90, 10], [10, 20]]),  # crosses itself
    entry([[150, 50], [260, 50], [260, 70], [150, 70]]),  # reaches beyond
    entry([[250, 50], [260, 50], [260, 70], [250, 70]]),  # beyond
    entry([[10, 10], [20, 10], [30, 10]]),  # flat
    entry([[10, 40], [40, 40], [40, 10], [10, 10], [5, 25]]),  # the other way round, five corners
    entry([[100, 10], [140, 10], [140, 12], [100, 12]]),  # too small
]


def config(tmp_path: Path, train: Path, evaluation: Path) -> Path:
    values: dict[str, Any] = {
        "Global": {"save_model_dir": str(tmp_path / "run")},
        "Architecture": {"model_type": "det", **NETWORKS["light"]},
        "Train": {
            "sources": [{"name": "mine", "path": str(train)}],
            "crop": {"size": 64, "scale": [0.5, 2.0]},
            "loader": {"batch_size_per_card": 4},
        },
        "Eval": {"sources": [{"name": "theirs", "path": str(evaluation)}]},
    }
    (tmp_path / "det.yml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return tmp_path / "det.yml"


def test_the_audit_counts_what_is_wrong(tmp_path: Path, ocr: Any) -> None:
    train = pages(tmp_path / "train", [json.dumps(label) for label in (GOOD, ODD, [], GOOD)])
    evaluation = pages(tmp_path / "eval", [json.dumps(GOOD)] * 2)
    (evaluation / "0.png").write_bytes((train / "1.png").read_bytes())
    done = ocr("audit", "-c", config(tmp_path, train, evaluation))
    assert done.code == 0
    assert "train    mine: 4 of 4 pages can be read, 8 texts, 3 ignored; 1 page without texts" in done.out
    for count, kind in (
        (1, "polygons wholly beyond the picture"),
        (1, "polygons without an area, left out"),
        (1, "polygons that cross themselves"),
        (1, "polygons that reach beyond the picture"),
        (1, "texts too small to be learnt at any scale of the training squares"),
    ):
        assert f"{count:10,} {kind}, such as in {train / '1.png'}" in done.out
    assert "corners: 10 with 4, 1 with 5" in done.out
    assert "warning  source mine: 1 polygon wholly beyond the picture" in done.out
    assert "1 picture of mine are in theirs, too" in done.out
    html = (tmp_path / "run" / "audit.html").read_text(encoding="utf-8")
    assert "polygons that cross themselves" in html and html.count("<img") >= 5


def test_the_audit_fails_where_training_would(tmp_path: Path, ocr: Any) -> None:
    train = pages(tmp_path / "train", [json.dumps(GOOD), "no JSON", '{"a": 1}', '[{"points": [[1, 2]]}]'])
    (train / "0.png").unlink()
    evaluation = pages(tmp_path / "eval", [json.dumps(GOOD), "[1]"])
    done = ocr("audit", "-c", config(tmp_path, train, evaluation))
    assert done.code == 1
    assert "4 broken records" in done.out and "its label: not JSON" in done.out
    assert "error    source mine: 4 of 4 records are broken" in done.out
    assert "error    source theirs: 1 record broken; evaluation would stop there" in done.out
    gone = ocr("audit", "-c", config(tmp_path, tmp_path / "absent", evaluation))
    assert gone.code == 1 and "error    source mine: " in gone.out


def test_a_batch_is_drawn(tmp_path: Path, ocr: Any) -> None:
    train = pages(tmp_path / "train", [json.dumps(GOOD)] * 4)
    done = ocr("show-batch", "-c", config(tmp_path, train, train), "--output", tmp_path / "batch.png")
    assert done.code == 0 and "batch    0: 4 squares of 64 × 64 pixels" in done.out
    drawn = cv2.imread(str(tmp_path / "batch.png"))
    assert drawn is not None and min(drawn.shape[:2]) > 64
    # Green where a text is to be found, grey where one is ignored; noise has hardly any colour there by itself.
    again = ocr("show-batch", "-c", tmp_path / "det.yml", "--output", tmp_path / "again.png")
    assert again.code == 0
    np.testing.assert_array_equal(drawn, cv2.imread(str(tmp_path / "again.png")))
