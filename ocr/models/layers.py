"""Layers that several networks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional as F

Size = int | tuple[int, int]
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": F.relu, "hardswish": F.hardswish, "swish": F.swish}


def scaled(channels: float) -> int:
    """The multiple of 8 nearest to a scaled number of channels, at least 8 and at least 90 % of it.

    The rule of the MobileNets (Sandler et al., "MobileNetV2", 2018, in the authors' code).
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class ConvNorm(nn.Layer):
    """Convolution without bias, which the batch normalisation after it would undo; then an activation.

    The padding keeps the size at stride 1; at stride s a side of n becomes ceil(n / s).

    Args:
        activation: a key of `ACTIVATIONS`, or None.
        groups: of channels that are convolved apart; `in_channels` for a depth-wise convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Size = 3,
        stride: Size = 1,
        *,
        groups: int = 1,
        activation: str | None = "relu",
    ) -> None:
        super().__init__()
        padding = kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
        # Paddle's default would count all channels as inputs of a depth-wise filter, which sees one.
        self.conv = nn.Conv2D(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=padding,
            groups=groups,
            weight_attr=nn.initializer.KaimingNormal(),
            bias_attr=False,
        )
        self.norm = nn.BatchNorm2D(out_channels)
        self._activate = ACTIVATIONS[activation] if activation else None

    def forward(self, x: Any) -> Any:
        """N × in_channels × H × W → N × out_channels × H / stride × W / stride."""
        x = self.norm(self.conv(x))
        return self._activate(x) if self._activate else x


class SqueezeExcite(nn.Layer):
    """Scales each channel by a function of all channels' means (Hu et al., "Squeeze-and-Excitation Networks", 2018).

    In between there are a quarter of the channels, rounded by `scaled`; the function ends in a hard sigmoid. Both as in
    MobileNetV3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = scaled(channels / 4)
        self.squeeze = nn.Conv2D(channels, middle, 1)
        self.excite = nn.Conv2D(middle, channels, 1)

    def forward(self, x: Any) -> Any:
        """N × C × H × W → the same."""
        weight = F.relu(self.squeeze(x.mean(axis=[2, 3], keepdim=True)))
        weight = F.hardsigmoid(self.excite(weight), slope=1 / 6, offset=0.5)
        if not self.training:
            return x * weight
        # The same; but what a product of a channel's weight gives back is then a dot product, which Paddle finds five
        # times as fast on processors as a sum over a broadcast.
        count, channels, height, width = x.shape
        flat = x.reshape([count * channels, 1, height * width])
        return paddle.bmm(weight.reshape([count * channels, 1, 1]), flat).reshape(x.shape)


def upsampled(x: Any, factor: int) -> Any:
    """N × C × H × W → N × C × factor H × factor W, each value repeated.

    As `interpolate` by the nearest value, in less time; and Paddle 3.3's predictor cannot run that one with oneDNN.
    """
    count, channels, height, width = x.shape
    spread = x.reshape([count, channels, height, 1, width, 1]).expand([count, channels, height, factor, width, factor])
    return spread.reshape([count, channels, height * factor, width * factor])
