"""ResNet, variant D, for lines of text."""

from __future__ import annotations

from typing import Any

from paddle import nn
from paddle.nn import functional as F

from ocr.models.backbones.base import BACKBONES, Backbone
from ocr.models.layers import ConvNorm

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
_CHANNELS = (64, 128, 256, 512)


class _Basic(nn.Layer):
    """Two 3×3 convolutions and a shortcut, which averages where the height is halved."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.first = ConvNorm(in_channels, out_channels, stride=(stride, 1))
        self.second = ConvNorm(out_channels, out_channels, activation=None)
        self._stride = stride
        self.project = None if in_channels == out_channels else ConvNorm(in_channels, out_channels, 1, activation=None)

    def forward(self, x: Any) -> Any:
        """N × in_channels × H × W → N × out_channels × ceil(H / stride) × W."""
        shortcut = x
        if self._stride > 1:
            size = (self._stride, 1)
            shortcut = F.avg_pool2d(shortcut, size, size, ceil_mode=True)
        if self.project is not None:
            shortcut = self.project(shortcut)
        return F.relu(self.second(self.first(x)) + shortcut)


@BACKBONES.register("ResNet")
class ResNet(Backbone):
    """ResNet of basic blocks (He et al., 2016) in variant D (He et al., "Bag of Tricks", 2018).

    The stem is three 3×3 convolutions, and shortcuts average before they project. As in PaddleOCR's `_vd` recognisers,
    only poolings after the stem and at the end halve the width; the stages halve the height alone.

    Args:
        in_channels: of the pictures.
        layers: 18 or 34.

    Raises:
        ValueError: no such number of layers.
    """

    time_stride = 4

    def __init__(self, in_channels: int, *, layers: int = 34) -> None:
        super().__init__()
        if layers not in _BLOCKS:
            raise ValueError(f"layers must be {' or '.join(map(str, _BLOCKS))}, not {layers}")
        self.stem = nn.Sequential(
            ConvNorm(in_channels, 32), ConvNorm(32, 32), ConvNorm(32, 64), nn.MaxPool2D(3, 2, padding=1)
        )
        blocks: list[Any] = []
        before = 64
        for stage, (channels, count) in enumerate(zip(_CHANNELS, _BLOCKS[layers], strict=True)):
            for number in range(count):
                blocks.append(_Basic(before, channels, 2 if stage and not number else 1))
                before = channels
        self.blocks = nn.Sequential(*blocks)
        self.out_channels = before

    def forward(self, images: Any) -> Any:
        """See `Backbone.forward`."""
        return F.max_pool2d(self.blocks(self.stem(images)), (1, 2), (1, 2)).mean(axis=2)
