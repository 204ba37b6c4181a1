"""Detectors: networks, loss, squares cut from pages, a run from pages to figures."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from det_runs import drawn_page, drawn_set
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr.config import Config, Crop, DetConfig, load_config
from ocr.data.det import Page, cut_square, parse_label
from ocr.data.sources import BrokenSample
from ocr.spec import DetPreprocess, DetSpec, ModelSpec

paddle = pytest.importorskip("paddle")

from ocr.infer.detector import Detector, MapModelBackend, load_detector  # noqa: E402
from ocr.losses.det import balanced_cross_entropy, db_loss, dice_loss  # noqa: E402
from ocr.models.det import build_detector  # noqa: E402
from ocr.models.pyramids import PYRAMIDS  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
MAPS = {
    "db_light": [1, 1, 64, 96],
    "db_mobilenetv3": [1, 1, 64, 96],
    "db_resnet50": [1, 1, 64, 96],
    "east": [1, 6, 16, 24],
    "pse": [1, 7, 16, 24],
}


small_page = partial(drawn_page, rows=3, wide=(40, 70), high=(14, 22), tilt=5)


# -- networks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"name": "ConvNet", "width": 0.5},
        {"name": "MobileNetV3", "model_name": "large"},
        {"name": "MobileNetV3", "model_name": "small", "disable_se": False},
        {"name": "ResNet_vd", "layers": 18},
        {"name": "ResNet_vd", "layers": 50},
    ],
)
def test_pyramids_have_four_scales(config: dict[str, Any]) -> None:
    pyramid = PYRAMIDS.build(config, "Architecture.Backbone", in_channels=3)
    features = pyramid(paddle.zeros([2, 3, 64, 96]))
    assert [list(feature.shape) for feature in features] == [
        [2, channels, 64 // stride, 96 // stride]
        for channels, stride in zip(pyramid.out_channels, (4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize("name", MAPS)
def test_shipped_configurations(name: str) -> None:
    config = load_config(f"configs/det/{name}.yml")
    assert isinstance(config, DetConfig) and config.Global.name == name
    model = build_detector(config.Architecture, config.Preprocess.channels)
    model.eval()
    assert list(model(paddle.zeros([1, 3, 64, 96])).shape) == MAPS[name]


def test_all_shipped_configurations_are_tested() -> None:
    assert sorted(path.stem for path in (ROOT / "configs/det").iterdir()) == sorted(MAPS)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("Backbone", {"name": "ConvNot"}, "did you mean ConvNet"),
        ("Backbone", {"name": "ConvNet", "width": 9}, "width must be from"),
        ("Backbone", {"name": "ResNet_vd", "layers": 7}, "layers must be"),
        ("Backbone", {"name": "MobileNetV3", "scale": 3}, "scale must be"),
        ("Neck", {"name": "RSEFPN", "out_channels": 18}, "multiple of 4"),
        ("Head", {"name": "DBHead", "kk": 3}, "Architecture.Head.kk"),
    ],
)
def test_parts_that_do_not_fit(key: str, value: dict[str, Any], said: str) -> None:
    architecture = {"Backbone": {"name": "ConvNet"}, "Neck": {"name": "DBFPN"}, key: value}
    config = DetConfig.from_values({"Architecture": architecture, "Train": {"sources": [{"name": "a", "path": "b"}]}})
    with pytest.raises(ScriptoriumError, match=said):
        build_detector(config.Architecture, 3)


# -- loss ----------------------------------------------------------------------------------------------------------


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def test_balanced_cross_entropy_by_hand() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(2, 6, 8))
    text = (rng.random((2, 6, 8)) < 0.15).astype(np.uint8)
    counted = (rng.random((2, 6, 8)) < 0.8).astype(np.uint8)
    losses = -np.log(np.where(text > 0, sigmoid(scores), 1 - sigmoid(scores)))
    positive = [loss for loss, t, c in zip(losses.ravel(), text.ravel(), counted.ravel(), strict=True) if t and c]
    negative = sorted(
        (loss for loss, t, c in zip(losses.ravel(), text.ravel(), counted.ravel(), strict=True) if not t and c),
        reverse=True,
    )
    for ratio in (1.0, 3.0, 1000.0):
        kept = negative[: min(len(negative), int(len(positive) * ratio))]
        expected = (sum(positive) + sum(kept)) / (len(positive) + len(kept))
        found = balanced_cross_entropy(paddle.to_tensor(scores.astype(np.float32)), text, counted, ratio)
        assert float(found) == pytest.approx(expected, rel=1e-5)
    # without any text all pixels that count do
    none = np.zeros_like(text)
    found = balanced_cross_entropy(paddle.to_tensor(scores.astype(np.float32)), none, counted, 3.0)
    every = -np.log(1 - sigmoid(scores))[counted > 0]
    assert float(found) == pytest.approx(every.mean(), rel=1e-5)
    assert float(balanced_cross_entropy(paddle.to_tensor(scores.astype(np.float32)), none, none, 3.0)) == 0


def test_dice_by_hand() -> None:
    binary = np.array([[0.9, 0.2], [0.5, 1.0]], np.float32)
    text = np.array([[1, 0], [1, 1]], np.float32)
    mask = np.array([[1, 1], [1, 0]], np.float32)
    expected = 1 - 2 * (0.9 + 0.5) / ((0.9 + 0.2 + 0.5) + 2)
    assert float(dice_loss(*map(paddle.to_tensor, (binary, text, mask)))) == pytest.approx(expected, rel=1e-5)


def test_the_whole_loss_by_hand() -> None:
    class Fixed:
        """A network whose scores are given."""

        def __init__(self, shrunk: Any, border: Any) -> None:
            self.backbone = self.neck = lambda images: images
            self.head = self
            self.k = 50.0
            self.shrunk, self.border = lambda features: shrunk, lambda features: border

    rng = np.random.default_rng(4)
    scores, level = rng.normal(size=(2, 1, 1, 5, 6))
    shrunk = (rng.random((1, 5, 6)) < 0.3).astype(np.uint8)
    counted = np.ones_like(shrunk)
    border = rng.integers(0, 256, (1, 5, 6)).astype(np.uint8)
    bordered = (rng.random((1, 5, 6)) < 0.5).astype(np.uint8)
    model = Fixed(*(paddle.to_tensor(x.astype(np.float32)) for x in (scores, level)))
    found = db_loss(
        model, None, shrunk, counted, border, bordered, alpha=2.0, beta=3.0, ohem_ratio=1e9
    )  # fmt: skip
    p, t = sigmoid(scores[:, 0]), sigmoid(level[:, 0])
    cross = -np.log(np.where(shrunk > 0, p, 1 - p)).mean()
    difference = np.abs(t - (0.3 + 0.4 * border / 255))[bordered > 0].mean()
    binary = sigmoid(50 * (p - t))
    dice = 1 - 2 * (binary * shrunk).sum() / (binary.sum() + shrunk.sum())
    assert float(found) == pytest.approx(2 * cross + 3 * difference + dice, rel=1e-4)


# -- squares -------------------------------------------------------------------------------------------------------


def test_polygons_lie_where_the_ink_is_in_every_square() -> None:
    rng = np.random.default_rng(6)
    crop = Crop(size=128, scale=(0.5, 2.0), degrees=20)
    seen = whole = 0
    for _ in range(40):
        image, entries = small_page(rng)
        page = Page(image, [np.array(entry["points"], np.float32) for entry in entries], ["text"] * len(entries), "p")
        square, polygons, ignored = cut_square(page, crop, 220, rng)
        assert square.shape == (128, 128, 3)
        ink = (square[:, :, 0] < 90).astype(np.uint8)
        around = np.zeros_like(ink)
        cores = np.zeros_like(ink)
        for polygon in polygons:
            cv2.fillPoly(around, [np.round(polygon * 16 - 8).astype(np.int32)], 1, cv2.LINE_8, 4)
            inner = polygon.mean(0) + (polygon - polygon.mean(0)) * 0.8
            cv2.fillPoly(cores, [np.round(inner * 16 - 8).astype(np.int32)], 1, cv2.LINE_8, 4)
        # All ink is in a polygon (give or take the pixels on its edge), and all that is well inside one is ink.
        outside = ink & ~cv2.dilate(around, np.ones((5, 5), np.uint8))
        assert outside[2:-2, 2:-2].sum() == 0  # at the edge there is the blur of texts just beyond it
        assert (cores & ~ink).sum() <= 0.02 * max(int(cores.sum()), 1) + 2
        seen += len(polygons)
        whole += ignored.count(False)
        for polygon, ignore in zip(polygons, ignored, strict=True):
            inside = polygon.min() >= 0 and polygon.max() <= 128
            assert ignore == (not inside)
    assert whole > 0.5 * seen > 0


def test_a_small_page_lies_in_the_square_and_the_rest_is_filled() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    square, polygons, ignored = cut_square(
        Page(image, [], [], "p"), Crop(size=128, scale=(1, 1), degrees=0), 99, np.random.default_rng(1)
    )
    assert (square == 0).all(2).sum() == pytest.approx(40 * 60, rel=0.05)
    assert set(np.unique(square)) <= set(range(100)) and polygons == [] and ignored == []


def test_labels() -> None:
    entries = [("a", [[0, 0], [9, 0], [9, 5], [0, 5]]), ("b", [[1, 1]] * 3)]
    good = json.dumps([{"transcription": text, "points": points} for text, points in entries])
    polygons, texts = parse_label(good, "k")
    assert texts == ["a"] and polygons[0].shape == (4, 2)  # one without an area is no text
    for bad, said in [
        ("{", "not JSON"),
        ('{"a": 1}', "not a JSON list"),
        ('[{"transcription": "a"}]', "its label: text 1 lacks"),
        ('[{"transcription": "a", "points": [[0,0],[1,1]]}]', "three or more points"),
        ('[{"transcription": "a", "points": [[0,0],[1,1],[2,"x"]]}]', "its points are not"),
        ('[{"transcription": "a", "points": [[0,0],[1,1],[2,NaN]]}]', "its points are not"),
    ]:
        with pytest.raises(BrokenSample, match=said):
            parse_label(bad, "k")


# -- pages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "kind", "size"), [(960, "max", (480, 960)), (320, "max", (160, 320)), (640, "min", (640, 1280))]
)
def test_pages_are_scaled_and_padded(limit: int, kind: str, size: tuple[int, int]) -> None:
    preprocess = DetPreprocess(limit_side_len=limit, limit_type=kind)  # type: ignore[arg-type]
    padded, taken = preprocess(np.full((480, 960), 10, np.uint8))
    assert taken == size
    assert padded.shape[0] % 32 == padded.shape[1] % 32 == 0 and padded.shape[2] == 3
    assert padded.shape[0] - size[0] < 32 and padded.shape[1] - size[1] < 32
    assert (padded[: size[0], : size[1]] == 10).all()


def test_a_run_learns_resumes_and_is_evaluated(tmp_path: Path, ocr: Any) -> None:
    values = {
        "Global": {
            "save_model_dir": str(tmp_path / "run"),
            "max_steps": 60,
            "eval_batch_step": [0, 60],
            "save_epoch_step": 0,
        },
        "Architecture": {
            "model_type": "det",
            "Backbone": {"name": "ConvNet", "width": 0.25},
            "Neck": {"name": "RSEFPN", "out_channels": 16},
        },
        "Preprocess": {"channels": 1},
        "Optimizer": {"name": "AdamW", "lr": {"learning_rate": 0.01, "warmup_epoch": 0.5}, "ema_decay": 0.9},
        "Train": {
            "sources": [{"name": "pages", "path": str(drawn_set(tmp_path / "train", 16, 1, small_page))}],
            "crop": {"size": 96, "scale": [0.8, 1.2]},
            "augment": None,
            "loader": {"batch_size_per_card": 8, "num_workers": 0},
        },
        "Eval": {"sources": [{"name": "val", "path": str(drawn_set(tmp_path / "val", 4, 2, small_page))}]},
    }
    file = tmp_path / "det.yml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    half = ocr("train", "-c", file, "-o", "Global.max_steps=80", "Global.eval_batch_step=[0,1000]")
    assert half.code == 0, half
    done = ocr("train", "-c", file, "--resume")
    assert done.code == 0 and "going on from" in done.out, done
    losses = [
        json.loads(line)["loss"]
        for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()
        if '"train"' in line
    ]
    assert losses[-1] < 0.7 * losses[0]
    said = ocr("eval", "-c", file)
    assert said.code == 0 and "hmean" in said.out, said
    hmean = float(said.out.split()[-1].rstrip("%"))
    assert hmean > 20  # so few steps, so few channels: it is on its way

    network, spec = load_detector(tmp_path / "run")
    detector = Detector(MapModelBackend(network, spec))
    image, entries = small_page(np.random.default_rng(9))
    found = detector.find(image)
    assert 0 < len(found) <= len(entries)
    grey = detector.find(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8))
    np.testing.assert_allclose(grey[0].polygon, found[0].polygon, atol=1e-3)
    with pytest.raises(ScriptoriumError, match="finds texts and does not read them"):
        ModelSpec.load(next((tmp_path / "run").glob("step-*")))
    said = ocr("predict", "--model", tmp_path / "run", tmp_path / "val/0.png")
    assert "finds texts and does not read them" in said.error


def test_what_detection_does_not_take(tmp_path: Path, ocr: Any) -> None:
    values: dict[str, Any] = {
        "Global": {"save_model_dir": str(tmp_path / "run")},
        "Architecture": {"model_type": "det", "Backbone": {"name": "ConvNet"}, "Neck": {"name": "DBFPN"}},
        "Train": {"sources": [{"name": "pages", "path": str(tmp_path / "lines")}]},
    }
    file = tmp_path / "det.yml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    (tmp_path / "lines").mkdir()
    cv2.imwrite(str(tmp_path / "lines/a.png"), np.zeros((9, 9), np.uint8))
    (tmp_path / "lines/labels.tsv").write_text("a.png\thello\n", encoding="utf-8")
    # labels of a recogniser; said before anything is trained
    said = ocr("train", "-c", file)
    assert said.code == 2 and "source pages: " in said.err and "its label: not JSON" in said.err
    for key, value in [
        ("Train.sources", "[{name: a, recipe: scene}]"),
        ("Train.sampler", "{easy_first: 5}"),
        ("Train.crop.scale", "[2, 1]"),
        ("Train.crop.size", "100"),
        ("PostProcess.thresh", "3"),
        ("Architecture.algorithm", "CRNN"),
    ]:
        assert key.split(".")[0] in ocr("train", "-c", file, "-o", f"{key}={value}").error


def test_specs_and_configurations_tell_each_other_apart(tmp_path: Path) -> None:
    DetSpec(architecture={}).save(tmp_path)
    assert DetSpec.load(tmp_path).task == "det"
    (tmp_path / "rec").mkdir()
    ModelSpec(architecture={}, units=("a",), time_stride=4).save(tmp_path / "rec")
    with pytest.raises(ScriptoriumError, match="reads texts and does not find them"):
        DetSpec.load(tmp_path / "rec")
    assert isinstance(load_config("configs/rec/tiny.yml"), Config)
