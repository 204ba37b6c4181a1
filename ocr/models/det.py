"""Networks of detectors from the configuration's `Architecture` section: backbone, feature pyramid, head."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional as F

from ocr.config import DetArchitecture
from ocr.losses.det import angles
from ocr.models.layers import ConvNorm, SqueezeExcite, scaled, upsampled
from ocr.models.pyramids import PYRAMIDS, Pyramid
from ocr.registry import Registry


class FeaturePyramid(nn.Layer):
    """Joins features of four scales into one map at a quarter of the resolution (Lin et al., 2017).

    Attributes:
        out_channels: of the map.
    """

    out_channels: int

    @abstractmethod
    def forward(self, features: list[Any]) -> Any:
        """Four tensors, as a `Pyramid` gives them → N × out_channels × H / 4 × W / 4."""


FEATURE_PYRAMIDS: Registry[FeaturePyramid] = Registry("neck of a detector")


class _Joined(FeaturePyramid):
    """Lateral layers, sums from the coarsest scale down, smoothing layers, all upsampled and side by side."""

    def __init__(self, laterals: list[Any], smoothers: list[Any], out_channels: int) -> None:
        super().__init__()
        self.laterals, self.smoothers = nn.LayerList(laterals), nn.LayerList(smoothers)
        self.out_channels = out_channels

    def forward(self, features: list[Any]) -> Any:
        """See `FeaturePyramid.forward`."""
        # Paddle's export rewrites loops, and knows no `zip` with `strict`.
        sums = [lateral(features[number]) for number, lateral in enumerate(self.laterals)]
        for fine in (2, 1, 0):
            sums[fine] = sums[fine] + upsampled(sums[fine + 1], 2)
        maps = []
        for number, smooth in enumerate(self.smoothers):
            feature = smooth(sums[number])
            maps.append(upsampled(feature, 1 << number) if number else feature)
        return paddle.concat(maps[::-1], axis=1)


def _plain(in_channels: int, out_channels: int, kernel: int) -> Any:
    return nn.Conv2D(
        in_channels,
        out_channels,
        kernel,
        padding=kernel // 2,
        weight_attr=nn.initializer.KaimingNormal(),
        bias_attr=False,
    )


def _quarter(out_channels: int) -> int:
    if out_channels < 16 or out_channels % 4:
        raise ValueError(f"out_channels must be a multiple of 4 from 16 up, not {out_channels}")
    return out_channels // 4


@FEATURE_PYRAMIDS.register("DBFPN")
class DBFPN(_Joined):
    """DB's neck: plain convolutions.

    Args:
        in_channels: of the four scales.
        out_channels: of the joined map; of the sums, too.

    Raises:
        ValueError: `out_channels` is no multiple of 4 from 16 up.
    """

    def __init__(self, in_channels: list[int], *, out_channels: int = 256) -> None:
        part = _quarter(out_channels)
        laterals = [_plain(channels, out_channels, 1) for channels in in_channels]
        super().__init__(laterals, [_plain(out_channels, part, 3) for _ in in_channels], out_channels)


class _Weighed(nn.Layer):
    """A convolution whose channels are weighed by their means, with a shortcut past the weighing."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv, self.weigh = _plain(in_channels, out_channels, kernel), SqueezeExcite(out_channels)

    def forward(self, x: Any) -> Any:
        x = self.conv(x)
        return x + self.weigh(x)


@FEATURE_PYRAMIDS.register("RSEFPN")
class RSEFPN(_Joined):
    """PP-OCRv3's neck: DBFPN with residual squeeze-and-excite (Li et al., "PP-OCRv3", 2022).

    Args:
        in_channels: of the four scales.
        out_channels: of the joined map; of the sums, too.

    Raises:
        ValueError: `out_channels` is no multiple of 4 from 16 up.
    """

    def __init__(self, in_channels: list[int], *, out_channels: int = 96) -> None:
        part = _quarter(out_channels)
        laterals = [_Weighed(channels, out_channels, 1) for channels in in_channels]
        super().__init__(laterals, [_Weighed(out_channels, part, 3) for _ in in_channels], out_channels)


_RARE = -math.log((1 - 0.05) / 0.05)  # the score of a probability of one twentieth


class _Branch(nn.Layer):
    """From a quarter of the resolution to the whole, one channel; `bias` is what it says before it has learnt."""

    def __init__(self, in_channels: int, bias: float = 0.0) -> None:
        super().__init__()
        middle = in_channels // 4
        self.conv = ConvNorm(in_channels, middle)
        self.up = nn.Conv2DTranspose(middle, middle, 2, stride=2, weight_attr=nn.initializer.KaimingNormal())
        self.norm = nn.BatchNorm2D(middle)
        self.out = nn.Conv2DTranspose(
            middle,
            1,
            2,
            stride=2,
            weight_attr=nn.initializer.KaimingNormal(),
            bias_attr=nn.initializer.Constant(bias),
        )

    def forward(self, x: Any) -> Any:
        return self.out(F.relu(self.norm(self.up(self.conv(x)))))


class _SubpixelBranch(nn.Layer):
    """What `_Branch` is for, in less time: the 16 pixels of each place are channels until the end.

    Shi et al., "Real-Time Single Image and Video Super-Resolution", 2016.
    """

    def __init__(self, in_channels: int, bias: float = 0.0) -> None:
        super().__init__()
        middle = scaled(in_channels / 2)
        self.conv = ConvNorm(in_channels, middle)
        self.out = nn.Conv2D(
            middle,
            16,
            1,
            weight_attr=nn.initializer.KaimingNormal(),
            bias_attr=nn.initializer.Constant(bias),
        )

    def forward(self, x: Any) -> Any:
        return F.pixel_shuffle(self.out(self.conv(x)), 4)


class DBHead(nn.Layer):
    """Differentiable binarization's head (Liao et al., 2020): scores of the shrunk texts, and of the threshold.

    Args:
        in_channels: of the features.
        k: steepness of the binarization while training.
        subpixel: come to the whole resolution by one shuffle of channels instead of two transposed convolutions.
    """

    def __init__(self, in_channels: int, *, k: float = 50.0, subpixel: bool = False) -> None:
        super().__init__()
        self.k = float(k)
        branch = _SubpixelBranch if subpixel else _Branch
        # Few pixels are text: that need not be learnt first (Lin et al., "Focal Loss", 2017, section 4.1).
        self.shrunk, self.border = branch(in_channels, _RARE), branch(in_channels)

    def forward(self, features: Any) -> Any:
        """N × in_channels × H / 4 × W / 4 → scores of the shrunk texts, N × 1 × H × W."""
        return self.shrunk(features)

    def maps(self, scores: Any) -> Any:
        """Scores as post-processing takes them: probabilities, N × H × W."""
        return F.sigmoid(scores).squeeze(1)


class PSEHead(nn.Layer):
    """PSENet's head (Wang et al., 2019): scores of the texts and of their ever smaller kernels.

    Args:
        in_channels: of the features.
        kernels: how many maps, the whole texts among them.

    Raises:
        ValueError: fewer than two kernels.
    """

    def __init__(self, in_channels: int, *, kernels: int = 7) -> None:
        super().__init__()
        if kernels < 2:
            raise ValueError(f"kernels must be at least 2, not {kernels}")
        self.kernels = kernels
        self.conv = ConvNorm(in_channels, in_channels)
        self.out = nn.Conv2D(in_channels, kernels, 1, bias_attr=nn.initializer.Constant(_RARE))

    def forward(self, features: Any) -> Any:
        """N × in_channels × H / 4 × W / 4 → scores, N × kernels × H / 4 × W / 4, the whole texts first."""
        return self.out(self.conv(features))

    def maps(self, scores: Any) -> Any:
        """Scores as post-processing takes them: probabilities."""
        return F.sigmoid(scores)


class EASTHead(nn.Layer):
    """EAST's head (Zhou et al., 2017): the score of a pixel and the rotated box that it lies in (RBOX).

    Args:
        in_channels: of the features.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = ConvNorm(in_channels, in_channels)
        self.score = nn.Conv2D(in_channels, 1, 1, bias_attr=nn.initializer.Constant(_RARE))
        self.geometry = nn.Conv2D(in_channels, 5, 1)

    def forward(self, features: Any) -> Any:
        """N × in_channels × H / 4 × W / 4 → N × 6 × H / 4 × W / 4.

        The maps are the score; logarithms of the distances to the box's top, right, bottom and left side, in pixels of
        the map; and a score of its angle, see `ocr.losses.det.angles`.
        """
        features = self.conv(features)
        return paddle.concat([self.score(features), self.geometry(features)], axis=1)

    def maps(self, scores: Any) -> Any:
        """Scores as post-processing takes them: probability, logarithms of distances, angle in radians."""
        return paddle.concat([F.sigmoid(scores[:, :1]), scores[:, 1:5], angles(scores[:, 5:])], axis=1)


HEADS: Registry[Any] = Registry("head of a detector")
HEADS.register("DBHead")(DBHead)
HEADS.register("PSEHead")(PSEHead)
HEADS.register("EASTHead")(EASTHead)


class DetectionModel(nn.Layer):
    """Backbone, feature pyramid and head.

    Attributes:
        head: a `DBHead`, `PSEHead` or `EASTHead`; its `maps` makes of scores what post-processing takes.
    """

    def __init__(self, backbone: Pyramid, neck: FeaturePyramid, head: Any) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = backbone, neck, head

    def forward(self, images: Any) -> Any:
        """Scores, as the head gives them.

        Args:
            images: `float32` N × C × H × W, normalised; H and W multiples of 32.
        """
        return self.head(self.neck(self.backbone(images)))


def build_detector(architecture: DetArchitecture, channels: int) -> DetectionModel:
    """The network that a configuration describes, its weights drawn by Paddle's global generator (`paddle.seed`).

    Args:
        architecture: see `DetArchitecture`.
        channels: of the pictures, 1 or 3.

    Raises:
        ScriptoriumError: an unknown part or key, or a value that does not fit; names the key.
    """
    backbone = PYRAMIDS.build(architecture.Backbone, "Architecture.Backbone", in_channels=channels)
    neck = FEATURE_PYRAMIDS.build(architecture.Neck, "Architecture.Neck", in_channels=backbone.out_channels)
    head = HEADS.build(architecture.Head, "Architecture.Head", in_channels=neck.out_channels)
    return DetectionModel(backbone, neck, head)
