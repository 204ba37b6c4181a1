"""A plain network of dense 3×3 convolutions: what processors without a GPU do best."""

from __future__ import annotations

from typing import Any

from paddle import nn

from ocr.models.backbones.base import BACKBONES, Backbone
from ocr.models.layers import ConvNorm, scaled

# Channels of the convolutions between two poolings; the first comes after the stem.
_STAGES = ((48,), (96, 96), (160, 160), (256,))
_POOLS = ((2, 2), (2, 1), (2, 1))
_STEM = 32


@BACKBONES.register("ConvNet")
class ConvNet(Backbone):
    """Seven 3×3 convolutions with batch normalisation, in the manner of VGG and of CRNN (Shi et al., 2015).

    Convolutions at full resolution move much memory for little arithmetic, so the stem has stride 2; depth-wise ones
    reach a small part of a processor's rate, so all are dense. At width 1 a picture of 32 × 128 takes 117 million
    multiplications.

    Args:
        in_channels: of the pictures.
        width: factor on all channels.

    Raises:
        ValueError: `width` is not in 0.25 to 4.
    """

    time_stride = 4

    def __init__(self, in_channels: int, *, width: float = 1.0) -> None:
        super().__init__()
        if not 0.25 <= width <= 4:
            raise ValueError(f"width must be from 0.25 to 4, not {width}")
        channels = scaled(_STEM * width)
        layers: list[Any] = [ConvNorm(in_channels, channels, stride=2)]
        for number, stage in enumerate(_STAGES):
            if number:
                pool = _POOLS[number - 1]
                layers.append(nn.MaxPool2D(pool, pool))
            for base in stage:
                layers.append(ConvNorm(channels, scaled(base * width)))
                channels = scaled(base * width)
        self.layers = nn.Sequential(*layers)
        self.out_channels = channels

    def forward(self, images: Any) -> Any:
        """See `Backbone.forward`."""
        return self.layers(images).mean(axis=2)
