"""Networks from the configuration's `Architecture` section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paddle import nn

from augment.errors import ScriptoriumError
from ocr.config import Architecture
from ocr.models.backbones import convnet, lcnet, mobilenetv3, resnet
from ocr.models.backbones.base import BACKBONES, Backbone
from ocr.models.heads import GUIDES, HEADS
from ocr.models.necks import Encoder, build_neck
from synth.strict import nearest

# Which encoders make which algorithm.
_ALGORITHMS = {"CRNN": ("rnn", "gru"), "Rosetta": ("reshape",), "SVTR_LCNet": ("svtr",)}
# Importing a module registers its backbones.
_BACKBONES = (convnet, lcnet, mobilenetv3, resnet)


class RecognitionModel(nn.Layer):
    """Backbone, sequence encoder and CTC head.

    Attributes:
        guide: a head on the backbone's features that only training uses, or None: see `ocr.losses.rec`.
        time_stride: pixels of width per time step.
    """

    def __init__(self, backbone: Backbone, neck: Encoder, head: Any, guide: Any = None) -> None:
        super().__init__()
        self.backbone, self.neck, self.head, self.guide = backbone, neck, head, guide
        self.time_stride = backbone.time_stride

    def forward(self, images: Any) -> Any:
        """Class scores of CTC.

        Args:
            images: `float32` N × C × H × W, normalised; H a multiple of 8, at least 16.

        Returns:
            `float32` N × T × classes, unnormalised; T = W / time_stride where that divides W.
        """
        return self.head(self.neck(self.backbone(images)))

    def class_axes(self) -> dict[str, int]:
        """Which parameters of the state have an axis of classes, and which axis it is."""
        parts = {"head": self.head} if self.guide is None else {"head": self.head, "guide": self.guide}
        return {f"{part}.{name}": axis for part, head in parts.items() for name, axis in head.class_axes().items()}


def build_model(architecture: Architecture, classes: int, channels: int) -> RecognitionModel:
    """The network that a configuration describes, its weights drawn by Paddle's global generator (`paddle.seed`).

    Args:
        architecture: see `Architecture`.
        classes: units of the dictionary and the blank.
        channels: of the pictures, 1 or 3.

    Raises:
        ScriptoriumError: an unknown algorithm, part or key, a value that does not fit, or a neck of another algorithm;
            names the key.
    """
    encoders = _ALGORITHMS.get(architecture.algorithm)
    if encoders is None:
        near = nearest(architecture.algorithm, list(_ALGORITHMS))
        raise ScriptoriumError(f"Architecture.algorithm: no algorithm {architecture.algorithm!r}{near}")
    backbone = BACKBONES.build(architecture.Backbone, "Architecture.Backbone", in_channels=channels)
    neck = build_neck(architecture.Neck, backbone.out_channels)
    kind = architecture.Neck["encoder_type"]
    if kind not in encoders:
        raise ScriptoriumError(
            f"Architecture.Neck.encoder_type: {kind} does not make a {architecture.algorithm}; "
            f"set it to {' or '.join(encoders)}, or set another Architecture.algorithm"
        )
    head_keys = dict(architecture.Head)
    guide = None
    if head_keys.get("name") == "MultiHead":
        guide_keys = head_keys.pop("guide", None)
        if not isinstance(guide_keys, Mapping):
            raise ScriptoriumError("Architecture.Head.guide: must be a mapping of a guide's name and keys")
        guide = GUIDES.build(guide_keys, "Architecture.Head.guide", in_channels=backbone.out_channels, classes=classes)
    head = HEADS.build(head_keys, "Architecture.Head", in_channels=neck.out_channels, classes=classes)
    return RecognitionModel(backbone, neck, head, guide)
