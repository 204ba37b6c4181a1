"""Sequence encoders: what gives each time step's features the context of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paddle import nn

from augment.errors import ScriptoriumError
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
