"""MobileNetV3 for lines of text."""

from __future__ import annotations

from typing import Any

from paddle import nn
from paddle.nn import functional as F

from ocr.models.backbones.base import BACKBONES, Backbone
from ocr.models.layers import ConvNorm, SqueezeExcite, scaled
from synth.strict import nearest

_STEM = 16
# The paper's tables 1 and 2: kernel, expanded channels, channels, squeeze-and-excite, activation, stride of the height.
Row = tuple[int, int, int, bool, str, int]
_LARGE: tuple[Row, ...] = (
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hardswish", 1),
    (3, 200, 80, False, "hardswish", 1),
    (3, 184, 80, False, "hardswish", 1),
    (3, 184, 80, False, "hardswish", 1),
    (3, 480, 112, True, "hardswish", 1),
    (3, 672, 112, True, "hardswish", 1),
    (5, 672, 160, True, "hardswish", 2),
    (5, 960, 160, True, "hardswish", 1),
    (5, 960, 160, True, "hardswish", 1),
)
_SMALL: tuple[Row, ...] = (
    (3, 16, 16, True, "relu", 1),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hardswish", 2),
    (5, 240, 40, True, "hardswish", 1),
    (5, 240, 40, True, "hardswish", 1),
    (5, 120, 48, True, "hardswish", 1),
    (5, 144, 48, True, "hardswish", 1),
    (5, 288, 96, True, "hardswish", 2),
    (5, 576, 96, True, "hardswish", 1),
    (5, 576, 96, True, "hardswish", 1),
)
MODELS = {"large": _LARGE, "small": _SMALL}


class _Bottleneck(nn.Layer):
    """Expand, filter each channel, weigh the channels, project; with a shortcut where the size stays."""

    def __init__(self, in_channels: int, row: Row, scale: float) -> None:
        super().__init__()
        kernel, expanded, out_channels, squeeze, activation, stride = row
        middle, self.out_channels = scaled(expanded * scale), scaled(out_channels * scale)
        layers: list[Any] = []
        if middle != in_channels:
            layers.append(ConvNorm(in_channels, middle, 1, activation=activation))
        layers.append(ConvNorm(middle, middle, kernel, (stride, 1), groups=middle, activation=activation))
        if squeeze:
            layers.append(SqueezeExcite(middle))
        layers.append(ConvNorm(middle, self.out_channels, 1, activation=None))
        self.layers = nn.Sequential(*layers)
        self._shortcut = stride == 1 and in_channels == self.out_channels

    def forward(self, x: Any) -> Any:
        return x + self.layers(x) if self._shortcut else self.layers(x)


@BACKBONES.register("MobileNetV3")
class MobileNetV3(Backbone):
    """MobileNetV3 (Howard et al., "Searching for MobileNetV3", 2019) up to its last convolution.

    As in PaddleOCR, only the stem and a pooling at the end halve the width; the blocks' strides halve the height alone,
    and the small model's first block keeps it.

    Args:
        in_channels: of the pictures.
        model_name: large or small, as in the paper.
        scale: factor on all channels.

    Raises:
        ValueError: no such model, or `scale` is not in 0.35 to 1.25.
    """

    time_stride = 4

    def __init__(self, in_channels: int, *, model_name: str = "small", scale: float = 0.5) -> None:
        super().__init__()
        if model_name not in MODELS:
            raise ValueError(f"model_name: no model {model_name!r}{nearest(str(model_name), list(MODELS))}")
        if not 0.35 <= scale <= 1.25:
            raise ValueError(f"scale must be from 0.35 to 1.25, not {scale}")
        channels = scaled(_STEM * scale)
        layers: list[Any] = [ConvNorm(in_channels, channels, stride=2, activation="hardswish")]
        for row in MODELS[model_name]:
            layers.append(_Bottleneck(channels, row, scale))
            channels = layers[-1].out_channels
        self.out_channels = scaled(MODELS[model_name][-1][1] * scale)
        layers.append(ConvNorm(channels, self.out_channels, 1, activation="hardswish"))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Any) -> Any:
        """See `Backbone.forward`."""
        return F.max_pool2d(self.layers(images), (1, 2), (1, 2)).mean(axis=2)
