"""Heads: from features to classes."""

from __future__ import annotations

from typing import Any

from paddle import nn
from paddle.nn import functional as F

from ocr.registry import Registry

HEADS: Registry[Any] = Registry("head")


@HEADS.register("CTCHead")
class CTCHead(nn.Layer):
    """Scores of the CTC classes at every time step: class 0 is the blank, class i + 1 unit i.

    Args:
        in_channels: of the neck's features.
        classes: units and the blank.
        mid_channels: of a layer in between; 0: none.
    """

    def __init__(self, in_channels: int, classes: int, *, mid_channels: int = 0) -> None:
        super().__init__()
        if mid_channels < 0:
            raise ValueError(f"mid_channels must be 0 (none) or more, not {mid_channels}")
        self.middle = nn.Linear(in_channels, mid_channels) if mid_channels else None
        self.classify = nn.Linear(mid_channels or in_channels, classes)

    def forward(self, features: Any) -> Any:
        """N × T × in_channels → N × T × classes, unnormalised."""
        if self.middle is not None:
            features = F.relu(self.middle(features))
        return self.classify(features)

    def class_axes(self) -> dict[str, int]:
        """The axis of classes of each parameter in the state that has one, by name."""
        return {"classify.weight": 1, "classify.bias": 0}
