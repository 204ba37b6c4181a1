"""The light network of depth-wise convolutions that PP-OCRv3 reads lines with."""

from __future__ import annotations

from typing import Any

from paddle import nn
from paddle.nn import functional as F

from ocr.models.backbones.base import BACKBONES, Backbone
from ocr.models.layers import ConvNorm, SqueezeExcite, scaled

_STEM = 32
# Channels, kernel, stride of height and width, squeeze-and-excite.
_BLOCKS: tuple[tuple[int, int, tuple[int, int], bool], ...] = (
    (64, 3, (1, 1), False),
    (128, 3, (1, 1), False),
    (128, 3, (1, 1), False),
    (256, 3, (2, 1), False),
    (256, 3, (1, 1), False),
    (512, 3, (2, 1), False),
    *[(512, 5, (1, 1), False)] * 5,
    (1024, 5, (2, 1), True),
    (1024, 5, (1, 2), True),
)


@BACKBONES.register("MobileNetV1Enhance")
class MobileNetV1Enhance(Backbone):
    """MobileNetV1's blocks with PP-LCNet's changes (Cui et al., "PP-LCNet", 2021): hard-swish, 5×5, late excitation.

    Layers and strides are those of PP-OCRv3's recogniser, its last strides (1, 2) and average pooling included; meant
    for pictures 48 high.

    Args:
        in_channels: of the pictures.
        scale: factor on all channels.

    Raises:
        ValueError: `scale` is not in 0.25 to 2.
    """

    time_stride = 8

    def __init__(self, in_channels: int, *, scale: float = 0.5) -> None:
        super().__init__()
        if not 0.25 <= scale <= 2:
            raise ValueError(f"scale must be from 0.25 to 2, not {scale}")
        before = scaled(_STEM * scale)
        layers: list[Any] = [ConvNorm(in_channels, before, stride=2, activation="hardswish")]
        for base, kernel, stride, squeeze in _BLOCKS:
            channels = scaled(base * scale)
            layers.append(ConvNorm(before, before, kernel, stride, groups=before, activation="hardswish"))
            if squeeze:
                layers.append(SqueezeExcite(before))
            layers.append(ConvNorm(before, channels, 1, activation="hardswish"))
            before = channels
        self.layers = nn.Sequential(*layers)
        self.out_channels = before

    def forward(self, images: Any) -> Any:
        """See `Backbone.forward`."""
        return F.avg_pool2d(self.layers(images), (1, 2), (1, 2)).mean(axis=2)
