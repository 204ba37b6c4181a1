"""Backbones: sizes against the papers' tables, and that each part works alone, in training and once exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augment.errors import ScriptoriumError
from ocr.config import Architecture

paddle = pytest.importorskip("paddle")

from ocr.models.backbones.base import BACKBONES  # noqa: E402
from ocr.models.build import build_model  # noqa: E402

SMALLEST: dict[str, dict[str, Any]] = {
    "ConvNet": {"width": 0.25},
    "MobileNetV3": {"model_name": "small", "scale": 0.35},
    "MobileNetV1Enhance": {"scale": 0.25},
    "ResNet": {"layers": 18},
}


def backbone(name: str, channels: int = 1, **keys: Any) -> Any:
    paddle.seed(1)
    model = BACKBONES.build({"name": name, **(keys or SMALLEST[name])}, "Architecture.Backbone", in_channels=channels)
    model.eval()
    return model


def pictures(height: int, width: int, channels: int = 1, count: int = 2) -> Any:
    rng = np.random.default_rng(height * 1000 + width)
    return paddle.to_tensor(rng.standard_normal((count, channels, height, width)).astype(np.float32))


def test_all_are_tested() -> None:
    assert sorted(SMALLEST) == BACKBONES.names


@pytest.mark.parametrize("name", SMALLEST)
def test_time_steps_follow_from_the_width_at_any_height(name: str) -> None:
    model = backbone(name)
    for height in (16, 24, 32, 48, 56):
        for width in (model.time_stride, 72):
            out = model(pictures(height, width, count=1))
            assert out.shape == [1, model.out_channels, width // model.time_stride], (height, width)


@pytest.mark.parametrize(
    ("name", "keys", "channels"),
    [
        ("MobileNetV3", {"model_name": "large", "scale": 1.0}, 960),
        ("MobileNetV3", {"model_name": "large", "scale": 0.5}, 480),
        ("MobileNetV3", {"model_name": "large", "scale": 0.35}, 336),
        ("MobileNetV3", {"model_name": "small", "scale": 1.25}, 720),
        ("MobileNetV1Enhance", {"scale": 0.5}, 512),
        ("ResNet", {"layers": 34}, 512),
    ],
)
def test_channels_of_the_features(name: str, keys: dict[str, Any], channels: int) -> None:
    model = backbone(name, **keys)
    assert model.out_channels == channels
    assert model(pictures(32, 32)).shape == [2, channels, 32 // model.time_stride]


@pytest.mark.parametrize(
    ("name", "keys", "numbers"),
    [
        # What torchvision states for mobilenet_v3_large and _small, less their classifiers.
        ("MobileNetV3", {"model_name": "large", "scale": 1.0}, 5_483_032 - (961 * 1280 + 1281 * 1000)),
        ("MobileNetV3", {"model_name": "small", "scale": 1.0}, 2_542_856 - (577 * 1024 + 1025 * 1000)),
        # What torchvision states for resnet34 and resnet18, less the classifier and with the deep stem for the 7×7.
        ("ResNet", {"layers": 34}, 21_797_672 - 513 * 1000 - (64 * 147 + 128) + (32 * 27 + 32 * 288 + 64 * 288 + 256)),
        ("ResNet", {"layers": 18}, 11_689_512 - 513 * 1000 - (64 * 147 + 128) + (32 * 27 + 32 * 288 + 64 * 288 + 256)),
    ],
)
def test_as_many_parameters_as_published(name: str, keys: dict[str, Any], numbers: int) -> None:
    model = backbone(name, 3, **keys)
    assert sum(int(p.size) for p in model.parameters() if not p.stop_gradient) == numbers


def multiplications(model: Any, images: Any) -> list[int]:
    """Of each convolution in the order in which they run."""
    found = []

    def count(layer: Any, given: Any, out: Any) -> None:
        found.append(int(layer.weight.size) * out.shape[2] * out.shape[3])

    hooks = [
        layer.register_forward_post_hook(count) for layer in model.sublayers() if isinstance(layer, paddle.nn.Conv2D)
    ]
    model(images)
    for hook in hooks:
        hook.remove()
    return found


def test_multiplications_of_the_light_network_by_hand() -> None:
    # PP-OCRv3's recogniser at scale 0.5, on 48 × 320: channels in and out, kernel, height and width of the output.
    table = [
        (16, 32, 3, 24, 160),
        (32, 64, 3, 24, 160),
        (64, 64, 3, 24, 160),
        (64, 128, 3, 12, 160),
        (128, 128, 3, 12, 160),
        (128, 256, 3, 6, 160),
        (256, 256, 5, 6, 160),
        (256, 256, 5, 6, 160),
        (256, 256, 5, 6, 160),
        (256, 256, 5, 6, 160),
        (256, 256, 5, 6, 160),
        (256, 512, 5, 3, 160),
        (512, 512, 5, 3, 80),
    ]
    expected = [3 * 16 * 9 * 24 * 160]
    for before, after, kernel, height, width in table:
        expected.append(before * kernel**2 * height * width)
        if (before, height) == (256, 3) or before == 512:
            expected += [before * before // 4] * 2
        expected.append(before * after * height * width)
    assert multiplications(backbone("MobileNetV1Enhance", 3, scale=0.5), pictures(48, 320, 3, 1)) == expected


def test_multiplications_of_mobilenetv3_by_hand() -> None:
    # Large at scale 1, on 32 × 128: channels in, expanded and out, kernel, excitation's width, height before and after.
    table = [
        (16, 16, 16, 3, 0, 16, 16),
        (16, 64, 24, 3, 0, 16, 8),
        (24, 72, 24, 3, 0, 8, 8),
        (24, 72, 40, 5, 24, 8, 4),
        (40, 120, 40, 5, 32, 4, 4),
        (40, 120, 40, 5, 32, 4, 4),
        (40, 240, 80, 3, 0, 4, 4),
        (80, 200, 80, 3, 0, 4, 4),
        (80, 184, 80, 3, 0, 4, 4),
        (80, 184, 80, 3, 0, 4, 4),
        (80, 480, 112, 3, 120, 4, 4),
        (112, 672, 112, 3, 168, 4, 4),
        (112, 672, 160, 5, 168, 4, 2),
        (160, 960, 160, 5, 240, 2, 2),
        (160, 960, 160, 5, 240, 2, 2),
    ]
    expected = [3 * 16 * 9 * 16 * 64]
    for before, expanded, after, kernel, middle, height, lower in table:
        if expanded != before:
            expected.append(before * expanded * height * 64)
        expected.append(expanded * kernel**2 * lower * 64)
        if middle:
            expected += [expanded * middle] * 2
        expected.append(expanded * after * lower * 64)
    expected.append(160 * 960 * 2 * 64)
    model = backbone("MobileNetV3", 3, model_name="large", scale=1.0)
    assert multiplications(model, pictures(32, 128, 3, 1)) == expected


@pytest.mark.parametrize("name", SMALLEST)
def test_the_gradient_reaches_every_parameter(name: str) -> None:
    model = backbone(name)
    model.train()
    rng = np.random.default_rng(3)
    out = model(pictures(32, 32))
    # Weighted at random: the plain sum of a normalised layer has no gradient.
    (out * paddle.to_tensor(rng.standard_normal(out.shape).astype(np.float32))).sum().backward()
    without = [n for n, p in model.named_parameters() if not p.stop_gradient and not float(p.grad.abs().sum()) > 0]
    assert not without


@pytest.mark.parametrize("name", SMALLEST)
def test_evaluation_is_a_function_of_the_picture(name: str) -> None:
    model = backbone(name)
    images = pictures(32, 48, count=3)
    whole = model(images).numpy()
    np.testing.assert_array_equal(model(images).numpy(), whole)
    for number in range(3):
        np.testing.assert_allclose(model(images[number : number + 1]).numpy()[0], whole[number], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "algorithm", "encoder", "height"),
    [
        ("ConvNet", "CRNN", "rnn", 32),
        ("MobileNetV3", "CRNN", "gru", 32),
        ("ResNet", "Rosetta", "reshape", 24),  # the last stage halves a height of 3
        ("MobileNetV1Enhance", "SVTR_LCNet", "svtr", 48),
    ],
)
def test_a_saved_network_gives_the_same_at_any_width(
    tmp_path: Path, name: str, algorithm: str, encoder: str, height: int
) -> None:
    paddle.seed(5)
    head = {"name": "MultiHead", "guide": {"name": "AttentionHead", "hidden_size": 8}}
    model = build_model(
        Architecture(
            algorithm=algorithm,
            Backbone={"name": name, **SMALLEST[name]},
            Neck={"name": "SequenceEncoder", "encoder_type": encoder},
            Head=head,
        ),
        classes=6,
        channels=1,
    )
    # Statistics of its own, as after training: with the initial ones normalisation would do nothing.
    model.train()
    for _ in range(3):
        model(pictures(height, 64, count=4))
    model.eval()
    given = [paddle.static.InputSpec([None, 1, height, None], "float32")]
    paddle.jit.save(model, str(tmp_path / "model"), input_spec=given)
    loaded = paddle.jit.load(str(tmp_path / "model"))
    loaded.eval()
    for width in (64, 144):
        images = pictures(height, width)
        np.testing.assert_allclose(loaded(images).numpy(), model(images).numpy(), rtol=1e-5, atol=1e-5)
    # The guide stays behind: the file holds the weights of the rest, and some bytes about each.
    kept = [values for part in (model.backbone, model.neck, model.head) for values in part.parameters()]
    size = sum(4 * int(values.size) for values in kept)
    assert size <= (tmp_path / "model.pdiparams").stat().st_size < size + 100 * len(kept)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "MobileNetV4"}, r"Backbone\.name: no backbone 'MobileNetV4'; did you mean MobileNetV3"),
        ({"name": "MobileNetV3", "model_name": "larg"}, "MobileNetV3: model_name: no model 'larg'; did you mean large"),
        ({"name": "MobileNetV3", "scale": 2.0}, "scale must be from 0.35 to 1.25, not 2.0"),
        ({"name": "MobileNetV3", "size": 1.0}, r"Architecture\.Backbone\.size: unknown key of MobileNetV3"),
        ({"name": "MobileNetV1Enhance", "scale": 0}, "scale must be from 0.25 to 2, not 0"),
        ({"name": "ResNet", "layers": 50}, "ResNet: layers must be 18 or 34, not 50"),
    ],
)
def test_what_a_backbone_refuses(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ScriptoriumError, match=message):
        BACKBONES.build(config, "Architecture.Backbone", in_channels=1)
