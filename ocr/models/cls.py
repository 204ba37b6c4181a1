"""Networks of direction classifiers from the configuration's `Architecture` section: backbone, means, linear layer."""

from __future__ import annotations

from typing import Any, Literal

import paddle
from paddle import nn
from paddle.nn import functional as F

from ocr.config import ClsArchitecture
from ocr.models.build import BACKBONES
from ocr.models.pyramids import PYRAMIDS
from ocr.registry import Registry


class ClsHead(nn.Layer):
    """Scores of the directions from the means of features over the view.

    Args:
        in_channels: of the means.
        classes: directions.
        drop_rate: share of channels left out while training.

    Raises:
        ValueError: `drop_rate` is not from 0 to less than 1.
    """

    def __init__(self, in_channels: int, classes: int, *, drop_rate: float = 0.0) -> None:
        super().__init__()
        if not 0 <= drop_rate < 1:
            raise ValueError(f"drop_rate must be from 0 to less than 1, not {drop_rate}")
        self.drop_rate = drop_rate
        self.classify = nn.Linear(in_channels, classes)

    def forward(self, means: Any) -> Any:
        """N × in_channels → N × classes, unnormalised."""
        if self.drop_rate:
            means = F.dropout(means, self.drop_rate, training=self.training)
        return self.classify(means)


HEADS: Registry[Any] = Registry("head of a direction classifier")
HEADS.register("ClsHead")(ClsHead)


class LineDirection(nn.Layer):
    """The backbone of a recogniser, the mean over its time steps, and a head."""

    def __init__(self, backbone: Any, head: Any) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Any) -> Any:
        """Scores of the directions.

        Args:
            images: `float32` N × C × H × W, normalised; H and W multiples of 32.

        Returns:
            `float32` N × classes, unnormalised.
        """
        return self.head(self.backbone(images).mean(axis=2))


class PageDirection(nn.Layer):
    """The backbone of a detector, the means of its features at all scales but the finest, and a head."""

    def __init__(self, backbone: Any, head: Any) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Any) -> Any:
        """As of `LineDirection`."""
        features = self.backbone(images)
        return self.head(paddle.concat([feature.mean(axis=[2, 3]) for feature in features[1:]], axis=1))


def build_classifier(
    architecture: ClsArchitecture, kind: Literal["crop", "page"], classes: int, channels: int
) -> LineDirection | PageDirection:
    """The network that a configuration describes, its weights drawn by Paddle's global generator (`paddle.seed`).

    Args:
        architecture: see `ClsArchitecture`.
        kind: crop: on the backbone of a recogniser; page: on that of a detector.
        classes: directions.
        channels: of the pictures, 1 or 3.

    Raises:
        ScriptoriumError: an unknown part or key, or a value that does not fit; names the key.
    """
    where, head = "Architecture.Backbone", "Architecture.Head"
    if kind == "crop":
        line = BACKBONES.build(architecture.Backbone, where, in_channels=channels)
        return LineDirection(line, HEADS.build(architecture.Head, head, in_channels=line.out_channels, classes=classes))
    page = PYRAMIDS.build(architecture.Backbone, where, in_channels=channels)
    means = sum(page.out_channels[1:])
    return PageDirection(page, HEADS.build(architecture.Head, head, in_channels=means, classes=classes))
