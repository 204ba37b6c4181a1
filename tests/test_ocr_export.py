from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augment.errors import ScriptoriumError

paddle = pytest.importorskip("paddle")

from tiny_network import CRNN, ROSETTA, checkpoint, crops  # noqa: E402

from ocr import Recognizer  # noqa: E402
from ocr.infer import export  # noqa: E402
from ocr.infer.backends import (  # noqa: E402
    NETWORKS,
    ModelBackend,
    OnnxBackend,
    PaddleBackend,
    load_network,
    open_backend,
)
from ocr.infer.export import export_onnx, export_paddle  # noqa: E402
from ocr.infer.recogniser import Recogniser  # noqa: E402
from ocr.spec import ModelSpec  # noqa: E402

SVTR: dict[str, Any] = {
    "algorithm": "SVTR_LCNet",
    "Backbone": {"name": "MobileNetV1Enhance", "scale": 0.5},
    "Neck": {"name": "SequenceEncoder", "encoder_type": "svtr"},
    "Head": {"name": "MultiHead", "guide": {"name": "AttentionHead"}},
}
MOBILE: dict[str, Any] = CRNN | {"Backbone": {"name": "MobileNetV3", "model_name": "small", "scale": 0.35}}
CASES = {"crnn": CRNN, "svtr": SVTR, "mobile": MOBILE}
SHAPES = [(1, 32, 16), (5, 32, 48), (2, 32, 320), (3, 32, 1152)]


@pytest.fixture(scope="module", params=CASES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with one checkpoint, whose weights' moving average differs from them."""
    folder = tmp_path_factory.mktemp(request.param)
    checkpoint(folder, ema=0.9, architecture=CASES[request.param])
    return folder


def pictures(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(1).integers(0, 256, (*shape, 1), np.uint8)


def the_same(backend: Any, run: Path, tolerance: float) -> None:
    expected = open_backend(run)
    assert isinstance(expected, ModelBackend)
    assert backend.spec == expected.spec
    for shape in SHAPES:
        found = backend.run(pictures(shape))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.sum(2), 1, atol=1e-5)
        np.testing.assert_allclose(found, expected.run(pictures(shape)), atol=tolerance, rtol=0)
    images = crops(30)
    readings = zip(Recogniser(backend).read(images), Recogniser(expected).read(images), strict=True)
    for one, other in readings:
        assert one.text == other.text
        assert one.confidences == pytest.approx(other.confidences, abs=tolerance)


def test_paddle_reads_as_the_network(run: Path, tmp_path: Path) -> None:
    folder = export_paddle(run, tmp_path / "new" / "model")
    assert folder == tmp_path / "new" / "model"
    backend = open_backend(folder)
    assert isinstance(backend, PaddleBackend)
    the_same(backend, run, 1e-5)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_onnx_reads_as_the_network(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("paddle2onnx")
    pytest.importorskip("onnxruntime")
    folder = export_onnx(run, tmp_path / "model")
    assert sorted(path.name for path in folder.iterdir()) == ["inference.onnx", "spec.json"]
    backend = open_backend(folder)
    assert isinstance(backend, OnnxBackend)
    the_same(backend, run, 1e-4)
    assert Recognizer(folder).read(crops(1)[0]).text == Recognizer(run).read(crops(1)[0]).text


# -- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    return export_paddle(checkpoint(folder / "run", architecture=ROSETTA), folder / "model")


def test_only_a_new_or_empty_folder_is_written_to(exported: Path, tmp_path: Path) -> None:
    run = exported.parent / "run"
    (tmp_path / "notes.txt").touch()
    for output in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(ScriptoriumError, match="exists already; remove it, or name a new folder"):
            export_paddle(run, output)
    with pytest.raises(ScriptoriumError, match=r"cannot be written \("):
        export_paddle(run, tmp_path / "notes.txt" / "model")
    (tmp_path / "empty").mkdir()
    assert isinstance(open_backend(export_paddle(run, tmp_path / "empty")), PaddleBackend)


def test_standard_output_is_left_to_the_results(exported: Path, capfd: pytest.CaptureFixture[str]) -> None:
    open_backend(exported).run(pictures((1, 32, 64)))
    assert capfd.readouterr().out == ""


def test_an_export_is_no_checkpoint(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ScriptoriumError, match="no checkpoint there; name a run directory"):
        export_paddle(exported, tmp_path / "again")


def test_a_network_that_reads_otherwise_is_not_left_behind(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(folder: Path) -> Any:
        model, spec = load_network(folder)
        model.head.classify.bias.set_value(model.head.classify.bias.numpy()[::-1].copy())
        return model, spec

    run = exported.parent / "run"
    wrong, spec = other(run / "step-00000001")
    monkeypatch.setitem(export._PADDLE, "rec", lambda folder: ModelBackend(wrong, spec))
    with pytest.raises(ScriptoriumError, match=r"away from the network's at 16 pixels of width, more than 0\.0001"):
        export_paddle(run, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_damaged_exports_are_named(exported: Path, tmp_path: Path) -> None:
    spec = ModelSpec.load(exported)
    network_file = next(exported / name for name in NETWORKS if (exported / name).is_file())
    parameters = (exported / "inference.pdiparams").read_bytes()
    for broken, contents, message in (
        ("alone", {}, "inference.pdiparams is missing"),
        (
            "cut",
            {"inference.pdiparams": parameters[:100]},
            "Paddle cannot read it",
        ),
    ):
        folder = tmp_path / broken
        folder.mkdir()
        spec.save(folder)
        (folder / network_file.name).write_bytes(network_file.read_bytes())
        for name, data in contents.items():
            (folder / name).write_bytes(data)
        with pytest.raises(ScriptoriumError, match=message):
            open_backend(folder)
    pytest.importorskip("onnxruntime")
    folder = tmp_path / "onnx"
    folder.mkdir()
    spec.save(folder)
    (folder / "inference.onnx").write_bytes(b"no network")
    with pytest.raises(ScriptoriumError, match="ONNX Runtime cannot read it"):
        open_backend(folder)


def test_onnx_without_its_packages(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnxruntime", "paddle2onnx"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ScriptoriumError, match=r"needs onnxruntime; install it, with Paddle 3, by: pip install"):
        export_onnx(exported.parent / "run", tmp_path / "model")
    ModelSpec.load(exported).save(tmp_path)
    (tmp_path / "inference.onnx").touch()
    with pytest.raises(ScriptoriumError, match=r"needs ONNX Runtime; install it with: pip install scriptorium\[onnx\]"):
        open_backend(tmp_path)
