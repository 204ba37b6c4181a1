"""What a backbone is."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from paddle import nn

from ocr.registry import Registry


class Backbone(nn.Layer):
    """Turns pictures into sequences of features, one per time step.

    Attributes:
        out_channels: of the features.
        time_stride: pixels of width per time step.
    """

    out_channels: int
    time_stride: int

    @abstractmethod
    def forward(self, images: Any) -> Any:
        """Features of pictures.

        Args:
            images: `float32` N × C × H × W; any H from 16, any W from `time_stride`.

        Returns:
            `float32` N × out_channels × T; T = W / time_stride where that divides W.
        """


BACKBONES: Registry[Backbone] = Registry("backbone")
