"""Backbones of detectors: networks that give features at a quarter, an eighth, a 16th and a 32nd of the resolution."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from paddle import nn
from paddle.nn import functional as F

from ocr.models.backbones.mobilenetv3 import MODELS, Row
from ocr.models.layers import ConvNorm, SqueezeExcite, scaled
from ocr.registry import Registry
from synth.strict import nearest


class Pyramid(nn.Layer):
    """Turns pictures into features at four scales.

    Attributes:
        out_channels: of the features at strides 4, 8, 16 and 32.
    """

    out_channels: list[int]

    @abstractmethod
    def forward(self, images: Any) -> list[Any]:
        """Features of pictures.

        Args:
            images: `float32` N × C × H × W; H and W multiples of 32.

        Returns:
            Four tensors N × out_channels[i] × H / 2^(i+2) × W / 2^(i+2).
        """


PYRAMIDS: Registry[Pyramid] = Registry("backbone of a detector")


class _Staged(Pyramid):
    """A stem, then stages whose results are all given."""

    def __init__(self, stem: Any, stages: list[Any], channels: list[int]) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.LayerList(stages)
        self.out_channels = channels

    def forward(self, images: Any) -> list[Any]:
        """See `Pyramid.forward`."""
        x = self.stem(images)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class _Residual(nn.Layer):
    """Two 3×3 convolutions beside a shortcut (He et al., 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = ConvNorm(channels, channels), ConvNorm(channels, channels, activation=None)

    def forward(self, x: Any) -> Any:
        return F.relu(x + self.second(self.first(x)))


@PYRAMIDS.register("ConvNet")
class ConvPyramid(_Staged):
    """Dense 3×3 convolutions throughout, as processors without a GPU like them; a residual block in each stage.

    Args:
        in_channels: of the pictures.
        width: factor on all channels.

    Raises:
        ValueError: `width` is not in 0.25 to 4.
    """

    def __init__(self, in_channels: int, *, width: float = 1.0) -> None:
        if not 0.25 <= width <= 4:
            raise ValueError(f"width must be from 0.25 to 4, not {width}")
        channels = [scaled(base * width) for base in (24, 48, 80, 128)]
        stem = ConvNorm(in_channels, scaled(16 * width), stride=2)
        stages = []
        before = scaled(16 * width)
        for number, after in enumerate(channels):
            layers = [ConvNorm(before, after, stride=2)]
            if number:  # a quarter of the resolution is where most of the time goes
                layers.append(_Residual(after))
            stages.append(nn.Sequential(*layers))
            before = after
        super().__init__(stem, stages, channels)


class _Inverted(nn.Layer):
    """MobileNetV3's block with a square stride."""

    def __init__(self, in_channels: int, row: Row, stride: int, scale: float, squeeze: bool) -> None:
        super().__init__()
        kernel, expanded, out_channels, weighed, activation, _ = row
        middle, self.out_channels = scaled(expanded * scale), scaled(out_channels * scale)
        layers: list[Any] = []
        if middle != in_channels:
            layers.append(ConvNorm(in_channels, middle, 1, activation=activation))
        layers.append(ConvNorm(middle, middle, kernel, stride, groups=middle, activation=activation))
        if weighed and squeeze:
            layers.append(SqueezeExcite(middle))
        layers.append(ConvNorm(middle, self.out_channels, 1, activation=None))
        self.layers = nn.Sequential(*layers)
        self._shortcut = stride == 1 and in_channels == self.out_channels

    def forward(self, x: Any) -> Any:
        return x + self.layers(x) if self._shortcut else self.layers(x)


# The blocks that halve the resolution in the paper's tables, by number.
_HALVINGS = {"large": (1, 3, 6, 12), "small": (0, 1, 3, 8)}


@PYRAMIDS.register("MobileNetV3")
class MobilePyramid(_Staged):
    """MobileNetV3 (Howard et al., 2019); at scale 0.5 without squeeze-and-excite the backbone of PP-OCR's detectors.

    Args:
        in_channels: of the pictures.
        model_name: large or small, as in the paper.
        scale: factor on all channels.
        disable_se: leave squeeze-and-excite out.

    Raises:
        ValueError: no such model, or `scale` is not in 0.35 to 1.25.
    """

    def __init__(
        self, in_channels: int, *, model_name: str = "large", scale: float = 0.5, disable_se: bool = True
    ) -> None:
        if model_name not in MODELS:
            raise ValueError(f"model_name: no model {model_name!r}{nearest(str(model_name), list(MODELS))}")
        if not 0.35 <= scale <= 1.25:
            raise ValueError(f"scale must be from 0.35 to 1.25, not {scale}")
        rows, halvings = MODELS[model_name], _HALVINGS[model_name]
        before = scaled(16 * scale)
        stem: list[Any] = [ConvNorm(in_channels, before, stride=2, activation="hardswish")]
        stages: list[Any] = []
        channels: list[int] = []
        current = stem
        for number, row in enumerate(rows):
            halves = number in halvings
            if halves:
                if current is not stem:
                    stages.append(nn.Sequential(*current))
                    channels.append(before)
                current = []
            current.append(_Inverted(before, row, 2 if halves else 1, scale, not disable_se))
            before = current[-1].out_channels
        wide = scaled(rows[-1][1] * scale)
        current.append(ConvNorm(before, wide, 1, activation="hardswish"))
        stages.append(nn.Sequential(*current))
        super().__init__(nn.Sequential(*stem), stages, [*channels, wide])


class _Shortcut(nn.Layer):
    """Variant D's: average before projecting."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self._stride = stride
        same = in_channels == out_channels and stride == 1
        self.project = None if same else ConvNorm(in_channels, out_channels, 1, activation=None)

    def forward(self, x: Any) -> Any:
        if self._stride > 1:
            x = F.avg_pool2d(x, self._stride, self._stride, ceil_mode=True)
        return x if self.project is None else self.project(x)


class _Block(nn.Layer):
    """Basic (two 3×3) or bottleneck (1×1, 3×3, 1×1 of four times the channels)."""

    def __init__(self, in_channels: int, channels: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        self.out_channels = channels * 4 if bottleneck else channels
        if bottleneck:
            layers = [
                ConvNorm(in_channels, channels, 1),
                ConvNorm(channels, channels, stride=stride),
                ConvNorm(channels, self.out_channels, 1, activation=None),
            ]
        else:
            layers = [ConvNorm(in_channels, channels, stride=stride), ConvNorm(channels, channels, activation=None)]
        self.layers = nn.Sequential(*layers)
        self.shortcut = _Shortcut(in_channels, self.out_channels, stride)

    def forward(self, x: Any) -> Any:
        return F.relu(self.layers(x) + self.shortcut(x))


_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


@PYRAMIDS.register("ResNet_vd")
class ResNetPyramid(_Staged):
    """ResNet (He et al., 2016) in variant D (He et al., "Bag of Tricks", 2018).

    Args:
        in_channels: of the pictures.
        layers: 18, 34 or 50.

    Raises:
        ValueError: no such number of layers.
    """

    def __init__(self, in_channels: int, *, layers: int = 50) -> None:
        if layers not in _DEPTHS:
            raise ValueError(f"layers must be {', '.join(map(str, _DEPTHS))}, not {layers}")
        stem = nn.Sequential(
            ConvNorm(in_channels, 32, stride=2), ConvNorm(32, 32), ConvNorm(32, 64), nn.MaxPool2D(3, 2, padding=1)
        )
        stages: list[Any] = []
        channels: list[int] = []
        before = 64
        for number, depth in enumerate(_DEPTHS[layers]):
            blocks = []
            for place in range(depth):
                blocks.append(_Block(before, 64 << number, 2 if number and not place else 1, layers >= 50))
                before = blocks[-1].out_channels
            stages.append(nn.Sequential(*blocks))
            channels.append(before)
        super().__init__(stem, stages, channels)
