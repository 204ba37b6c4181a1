"""Networks of classifiers from the configuration's `Architecture` section: backbone, mean, linear layer."""

from __future__ import annotations

from typing import Any

from paddle import nn
from paddle.nn import functional as F

from ocr.config import ClassifierArchitecture
from ocr.models.backbones import convnet, lcnet, mobilenetv3, resnet
from ocr.models.backbones.base import BACKBONES, Backbone
from ocr.registry import Registry

# Importing a module registers its backbones.
_BACKBONES = (convnet, lcnet, mobilenetv3, resnet)


class ClsHead(nn.Layer):
    """Scores of the classes from the mean of features over the view.

    Args:
        in_channels: of the features.
        classes: how many.
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


HEADS: Registry[Any] = Registry("head of a classifier")
HEADS.register("ClsHead")(ClsHead)


class ClsModel(nn.Layer):
    """The backbone of a recogniser, the mean over its time steps, and a head."""

    def __init__(self, backbone: Backbone, head: Any) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Any) -> Any:
        """Scores of the classes.

        Args:
            images: `float32` N × C × H × W, normalised; H and W multiples of 32.

        Returns:
            `float32` N × classes, unnormalised.
        """
        return self.head(self.backbone(images).mean(axis=2))


def build_classifier(architecture: ClassifierArchitecture, classes: int, channels: int) -> ClsModel:
    """The network that a configuration describes, its weights drawn by Paddle's global generator (`paddle.seed`).

    Args:
        architecture: see `ClassifierArchitecture`.
        classes: how many.
        channels: of the pictures, 1 or 3.

    Raises:
        ScriptoriumError: an unknown part or key, or a value that does not fit; names the key.
    """
    backbone = BACKBONES.build(architecture.Backbone, "Architecture.Backbone", in_channels=channels)
    head = HEADS.build(architecture.Head, "Architecture.Head", in_channels=backbone.out_channels, classes=classes)
    return ClsModel(backbone, head)
