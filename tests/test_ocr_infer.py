from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from augment.errors import ScriptoriumError
from ocr.spec import Decoder, ModelSpec, Preprocess

paddle = pytest.importorskip("paddle")

from tiny_network import CRNN, ROSETTA, UNITS, checkpoint, crops, network  # noqa: E402

from ocr import Recognizer  # noqa: E402
from ocr.engine import checkpoint as store  # noqa: E402
from ocr.infer.backends import ModelBackend, open_backend  # noqa: E402
from ocr.infer.draw import CaptionDrawer  # noqa: E402
from ocr.infer.predict import predict  # noqa: E402
from ocr.infer.recogniser import Recogniser  # noqa: E402
from ocr.order import as_read  # noqa: E402

# -- normalisation and batches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_normalisation_by_hand(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 24, channels), np.uint8)
    found = Preprocess(channels=channels, mean=100.0, scale=50.0).normalise(images)  # type: ignore[arg-type]
    assert found.dtype == np.float32
    assert found.flags["C_CONTIGUOUS"]
    expected = np.moveaxis((images.astype(np.float64) - 100) / 50, 3, 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


GRU = CRNN | {"Neck": {"name": "SequenceEncoder", "encoder_type": "gru", "hidden_size": 16}}


@pytest.mark.parametrize("architecture", [CRNN, GRU, ROSETTA], ids=["lstm", "gru", "rosetta"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_read_does_not_depend_on_the_rest(architecture: dict[str, Any], channels: int) -> None:
    model, spec = network(architecture, channels)
    reader = Recogniser(ModelBackend(model, spec), max_batch_pixels=32 * 700)
    images = crops(40)
    together = reader.read(images)
    assert len({reading.text for reading in together}) > 20
    for image, found in zip(images, together, strict=True):
        (alone,) = reader.read([image])
        assert alone.text == found.text == "".join(found.units)
        assert alone.confidences == pytest.approx(found.confidences, abs=1e-5)
        assert found.confidence == pytest.approx(np.mean(found.confidences or [0]))


def test_readings_are_those_of_the_network_itself() -> None:
    model, spec = network()
    for image, found in zip(crops(8), Recogniser(ModelBackend(model, spec)).read(crops(8)), strict=True):
        picture = spec.preprocess(image)
        padded = np.full((32, spec.preprocess.padded_width(picture.shape[1])), 127.5, np.float32)
        padded[:, : picture.shape[1]] = picture
        # The padding is the whole level that is nearest.
        padded[padded == 127.5] = 128
        scores = model(paddle.to_tensor((padded - 127.5)[None, None] / np.float32(127.5)))[0].numpy()
        best = scores.argmax(1)
        kept = [c for c, before in zip(best, [0, *best[:-1]], strict=True) if c and c != before]
        assert found.units == [unit for _, unit in as_read([UNITS[c - 1] for c in kept])]


class Recorder:
    """A backend that notes its batches and reads nothing."""

    def __init__(self) -> None:
        self.spec = ModelSpec(architecture={}, units=("a",), time_stride=4)
        self.shapes: list[tuple[int, ...]] = []

    def run(self, images: Any) -> Any:
        self.shapes.append(images.shape)
        return np.tile(np.float32([1, 0]), (len(images), images.shape[2] // 4, 1))


def test_batches_are_bounded_by_pixels_and_of_one_width() -> None:
    backend = Recorder()
    images = [np.zeros((32, width), np.uint8) for width in [100] * 25 + [1000] * 3 + [300]]
    readings = Recogniser(backend, max_batch_pixels=32 * 1120).read(images)
    assert [reading.text for reading in readings] == [""] * 29
    assert sorted(backend.shapes) == [
        (1, 32, 320, 1),
        *[(1, 32, 1024, 1)] * 3,
        (5, 32, 112, 1),
        *[(10, 32, 112, 1)] * 2,
    ]
    assert Recogniser(backend).read([]) == []


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4)), "picture 1: is float64; give an array of uint8"),
        (np.zeros((4, 4, 4), np.uint8), "picture 1: is 4 × 4 × 4; give height × width"),
        (np.zeros((0, 4), np.uint8), "picture 1: is 0 × 4; give"),
        ("x.png", "picture 1: is str; give an array"),
    ],
)
def test_arrays_of_another_kind(image: Any, message: str) -> None:
    with pytest.raises(ScriptoriumError, match=message):
        Recogniser(Recorder()).read([np.zeros((4, 4), np.uint8), image])


def test_training_goes_on_as_before() -> None:
    model, spec = network()
    model.train()
    before = {name: value.numpy() for name, value in model.state_dict().items()}
    Recogniser(ModelBackend(model, spec)).read(crops(3))
    assert model.training
    assert all(layer.training for layer in model.sublayers())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_the_decoder_of_the_spec_is_used() -> None:
    class Unsure(Recorder):
        # The likeliest text is "a" (0.64), the likeliest path is empty (0.36).
        def run(self, images: Any) -> Any:
            return np.tile(np.float32([0.6, 0.4]), (len(images), 2, 1))

    backend = Unsure()
    image = np.zeros((32, 8), np.uint8)
    assert Recogniser(backend).read([image])[0].text == ""
    backend.spec = backend.spec.model_copy(update={"decoder": Decoder(beam=4)})
    assert Recogniser(backend).read([image])[0].text == "a"


# -- checkpoints -----------------------------------------------------------------------------------------------------


def test_runs_and_checkpoints_are_opened_with_the_averaged_weights(tmp_path: Path) -> None:
    checkpoint(tmp_path, 1)
    newest = checkpoint(tmp_path, 2, ema=0.5)
    model, _ = network()
    model.set_state_dict({name: value * 0.5 for name, value in model.state_dict().items()})
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 1), np.uint8)
    expected = ModelBackend(model, open_backend(newest).spec).run(images)
    for path in (tmp_path, newest):
        np.testing.assert_array_equal(open_backend(path).run(images), expected)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path)
    found = store.load(folder)
    found.spec = found.spec.model_copy(update={"units": UNITS[:-1]})
    other = store.save(tmp_path / "other", found)
    with pytest.raises(ScriptoriumError, match="the weights are not those of the architecture"):
        open_backend(other)


# -- SDK and command -------------------------------------------------------------------------------------------------


def test_the_sdk_takes_names_arrays_and_pillow_pictures(tmp_path: Path) -> None:
    (image,) = crops(1, seed=5)
    cv2.imwrite(str(tmp_path / "crop.png"), image)
    recognizer = Recognizer(checkpoint(tmp_path / "run"))
    one = recognizer.read(tmp_path / "crop.png")
    assert one.text
    several = recognizer.read([str(tmp_path / "crop.png"), image, Image.fromarray(image)])
    assert [reading.text for reading in several] == [one.text] * 3
    assert [reading.confidence for reading in several] == pytest.approx([one.confidence] * 3, abs=1e-5)
    with pytest.raises(ScriptoriumError, match=r"none\.png: cannot be read"):
        recognizer.read([image, "none.png"])


def read(arguments: list[str], run: Path, format_: Any = "json", draw: Path | None = None) -> tuple[int, list, list]:
    out: list[str] = []
    err: list[str] = []
    failed = predict(arguments, run, format_, draw, 1, out.append, err.append)
    return failed, out, err


def test_one_broken_picture_among_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint(tmp_path / "run")
    folder = tmp_path / "crops"
    folder.mkdir()
    images = crops(12)
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number}.png"), image)
    (folder / "7.png").write_bytes((folder / "6.png").read_bytes()[:60])
    monkeypatch.setattr("ocr.infer.predict._TOGETHER", 5)
    failed, out, err = read([str(folder)], tmp_path / "run")
    assert failed == 1
    assert len(err) == 2
    assert err[0].startswith(f"{folder}/7.png: is broken")
    assert err[1] == "1 of 12 pictures could not be read"
    rows = [json.loads(line) for line in out]
    assert [row["path"] for row in rows] == [f"{folder}/{number}.png" for number in range(12)]
    assert rows[7] == {"path": f"{folder}/7.png", "error": err[0]}
    reader = Recogniser(open_backend(tmp_path / "run"))
    for row, image in zip(rows, images, strict=True):
        if "error" not in row:
            (expected,) = reader.read([image])
            assert row["text"] == expected.text == "".join(unit["text"] for unit in row["units"])
            assert row["confidence"] == pytest.approx(expected.confidence, abs=1e-5)
            assert [unit["confidence"] for unit in row["units"]] == pytest.approx(expected.confidences, abs=1e-5)
    table = read([str(folder)], tmp_path / "run", "table")[1]
    assert len(table) == 11
    assert table[0].split(maxsplit=2)[1] == f"{folder}/0.png"


def test_names_from_standard_input_are_read_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint(tmp_path / "run")
    cv2.imwrite(str(tmp_path / "a.png"), crops(1)[0])
    lines = f"{tmp_path}/a.png\nnone\udce9.png\n".encode(errors="surrogateescape")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    failed, out, _ = read(["-"], tmp_path / "run")
    assert failed == 1
    assert json.loads(out[1])["path"] == "none\udce9.png"
    assert out[1].encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(ScriptoriumError, match="no picture is named"):
        read(["-"], tmp_path / "run")


def test_drawn_pictures_hold_the_picture_and_its_text(tmp_path: Path, own_cache: Path) -> None:
    checkpoint(tmp_path / "run")
    (image,) = crops(1, seed=5)
    cv2.imwrite(str(tmp_path / "a b.png"), image)
    failed, _, _ = read([str(tmp_path / "a b.png")], tmp_path / "run", draw=tmp_path / "drawn")
    assert not failed
    drawn = cv2.imread(str(tmp_path / "drawn/000001_a_b.png"))
    height, width = image.shape[:2]
    assert drawn is not None
    np.testing.assert_array_equal(drawn[:height, :width, 0], image)
    (tmp_path / "file").touch()
    with pytest.raises(ScriptoriumError, match="file: cannot be made"):
        read([str(tmp_path / "a b.png")], tmp_path / "run", draw=tmp_path / "file")


def test_captions_are_shaped(own_cache: Path) -> None:
    drawer = CaptionDrawer()
    image = np.zeros((40, 30), np.uint8)
    widths = {}
    for text in ("سلام", "\u200c".join("سلام"), "Hamburg"):
        drawn, whole = drawer(image, text)
        assert whole
        assert (drawn[:40, :30] == 0).all()
        below = drawn[40:]
        assert below.min() < 60
        widths[text] = int((below.min(axis=(0, 2)) < 128).sum())
    # Joined letters are narrower than the same letters kept apart.
    assert widths["سلام"] < widths["\u200c".join("سلام")]
    blank, whole = drawer(image, "")
    assert whole
    assert (blank[40:] == 255).all()
    _, whole = drawer(image, "\U000e0fff")
    assert not whole


def test_the_package_and_the_sdk_name_are_light() -> None:
    code = "import sys, ocr; print([n for n in ('paddle', 'numpy', 'cv2', 'PIL') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"
