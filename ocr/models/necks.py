"""Sequence encoders: what gives each time step's features the context of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional as F

from augment.errors import ScriptoriumError
from ocr.models.layers import ConvNorm, scaled
from ocr.registry import Registry
from synth.strict import nearest


class Encoder(nn.Layer):
    """N × in_channels × T → N × T × out_channels."""

    out_channels: int


ENCODERS: Registry[Encoder] = Registry("encoder")


def build_neck(config: Mapping[str, Any], in_channels: int) -> Encoder:
    """The encoder that `Architecture.Neck` describes: name SequenceEncoder, `encoder_type`, and that encoder's keys.

    Raises:
        ScriptoriumError: an unknown name, type or key, or a value that does not fit.
    """
    where = "Architecture.Neck"
    keys = dict(config)
    name = keys.pop("name", None)
    if name != "SequenceEncoder":
        raise ScriptoriumError(f"{where}.name: no neck {name!r}{nearest(str(name), ['SequenceEncoder'])}")
    kind = keys.pop("encoder_type", None)
    if kind is None:
        raise ScriptoriumError(f"{where}.encoder_type: is missing; SequenceEncoder needs one of {_names()}")
    if kind not in ENCODERS.names:
        raise ScriptoriumError(f"{where}.encoder_type: no encoder {kind!r}{nearest(str(kind), ENCODERS.names)}")
    return ENCODERS.build({"name": kind, **keys}, where, in_channels=in_channels)


def _names() -> str:
    return ", ".join(ENCODERS.names)


@ENCODERS.register("reshape")
class Reshape(Encoder):
    """No context beyond the backbone's (Borisyuk et al., "Rosetta", 2018)."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.out_channels = in_channels

    def forward(self, features: Any) -> Any:
        """See `Encoder`."""
        return features.transpose([0, 2, 1])


class _Recurrent(Encoder):
    # It runs over the whole width of the batch, so a narrower picture's padding is read, too: batches hold similar
    # widths, and at prediction the padding follows from the crop alone.
    def __init__(self, cell: Any, in_channels: int, hidden_size: int, layers: int) -> None:
        super().__init__()
        if hidden_size < 1 or layers < 1:
            raise ValueError(f"hidden_size and layers must be at least 1, not {hidden_size} and {layers}")
        self.rnn = cell(in_channels, hidden_size, num_layers=layers, direction="bidirectional")
        self.out_channels = 2 * hidden_size

    def forward(self, features: Any) -> Any:
        """See `Encoder`."""
        return self.rnn(features.transpose([0, 2, 1]))[0]


@ENCODERS.register("rnn")
class Lstm(_Recurrent):
    """LSTM layers that run both ways (Shi et al., "CRNN", 2015).

    Args:
        in_channels: of the features.
        hidden_size: of each layer and direction.
        layers: how many.
    """

    def __init__(self, in_channels: int, *, hidden_size: int = 128, layers: int = 2) -> None:
        super().__init__(nn.LSTM, in_channels, hidden_size, layers)


@ENCODERS.register("gru")
class Gru(_Recurrent):
    """GRU layers that run both ways; arguments as in `Lstm`."""

    def __init__(self, in_channels: int, *, hidden_size: int = 128, layers: int = 2) -> None:
        super().__init__(nn.GRU, in_channels, hidden_size, layers)


class _GlobalMixing(nn.Layer):
    # Self-attention over all time steps, then a feed-forward part; normalised after each, as in PP-OCRv3.
    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self._heads, self._size = heads, channels // heads
        self.project = nn.Linear(channels, 3 * channels)
        self.join = nn.Linear(channels, channels)
        self.widen = nn.Linear(channels, 2 * channels)
        self.narrow = nn.Linear(2 * channels, channels)
        self.first_norm, self.second_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self._dropout = nn.Dropout(dropout)

    def forward(self, x: Any) -> Any:
        """N × T × channels → the same."""
        parts = self.project(x).reshape([0, 0, 3, self._heads, self._size]).transpose([2, 0, 3, 1, 4])
        query, key, value = parts[0], parts[1], parts[2]
        weight = F.softmax(paddle.matmul(query * self._size**-0.5, key, transpose_y=True))
        mixed = paddle.matmul(self._dropout(weight), value).transpose([0, 2, 1, 3])
        mixed = self.join(mixed.reshape([0, 0, self._heads * self._size]))
        x = self.first_norm(x + self._dropout(mixed))
        inner = self._dropout(F.swish(self.widen(x)))
        return self.second_norm(x + self._dropout(self.narrow(inner)))


@ENCODERS.register("svtr")
class Svtr(Encoder):
    """Convolutions that narrow the features, transformer blocks, and the input beside their output, narrowed again.

    PP-OCRv3's encoder, after the global mixing of Du et al., "SVTR" (2022). Attention reads the whole width of the
    batch, padding included, as the recurrent encoders do.

    Args:
        in_channels: of the features.
        dims: of the output.
        depth: transformer blocks.
        hidden_dims: channels in the blocks, a multiple of `num_heads`.
        num_heads: of the attention.
        drop_rate: share of attention weights and activations left out while training.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        dims: int = 64,
        depth: int = 2,
        hidden_dims: int = 120,
        num_heads: int = 8,
        drop_rate: float = 0.1,
    ) -> None:
        super().__init__()
        if min(dims, depth, num_heads) < 1:
            raise ValueError(f"dims, depth and num_heads must be at least 1, not {dims}, {depth} and {num_heads}")
        if hidden_dims < 1 or hidden_dims % num_heads:
            raise ValueError(f"hidden_dims must be a multiple of num_heads {num_heads}, not {hidden_dims}")
        if not 0 <= drop_rate < 1:
            raise ValueError(f"drop_rate must be from 0 to less than 1, not {drop_rate}")
        narrow = scaled(in_channels / 8)
        self.reduce = nn.Sequential(
            ConvNorm(in_channels, narrow, (1, 3), activation="swish"),
            ConvNorm(narrow, hidden_dims, 1, activation="swish"),
        )
        self.blocks = nn.Sequential(*[_GlobalMixing(hidden_dims, num_heads, drop_rate) for _ in range(depth)])
        self.norm = nn.LayerNorm(hidden_dims)
        self.expand = ConvNorm(hidden_dims, in_channels, 1, activation="swish")
        self.join = nn.Sequential(
            ConvNorm(2 * in_channels, narrow, (1, 3), activation="swish"),
            ConvNorm(narrow, dims, 1, activation="swish"),
        )
        self.out_channels = dims

    def forward(self, features: Any) -> Any:
        """See `Encoder`."""
        features = features.unsqueeze(2)  # convolutions over the width alone
        mixed = self.norm(self.blocks(self.reduce(features).squeeze(2).transpose([0, 2, 1])))
        mixed = self.expand(mixed.transpose([0, 2, 1]).unsqueeze(2))
        return self.join(paddle.concat([features, mixed], axis=1)).squeeze(2).transpose([0, 2, 1])
