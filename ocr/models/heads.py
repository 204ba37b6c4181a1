"""Heads: from features to classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn
from paddle.nn import functional as F

from ocr.registry import Registry

HEADS: Registry[Any] = Registry("head")
GUIDES: Registry[Any] = Registry("guide")


# MultiHead: the same beside a guide, which `ocr.models.build` makes.
@HEADS.register("MultiHead")
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


@GUIDES.register("AttentionHead")
class AttentionHead(nn.Layer):
    """Reads the backbone's features unit by unit with attention; a guide for training, never run at prediction.

    CTC alone teaches features poorly which part of the picture belongs to a unit; an attention decoder on the same
    features mends that (Hu et al., "GTC: Guided Training of CTC", 2020). An LSTM runs over the time steps; its last
    state begins a second one, which runs over the units read so far, as in Li et al., "Show, Attend and Read" (2019).
    Attention is by dot product, and the next unit follows from state and context (Luong et al., 2015, equations 5–8).
    In training all units before are known, so both LSTMs run over all positions at once.

    Classes are those of CTC and, last, a mark that begins and ends each text; the blank occurs nowhere.

    Args:
        in_channels: of the backbone's features.
        classes: units and the blank.
        hidden_size: of both LSTMs.
        alone: CTC trains only neck and head, and the guide alone the backbone, as in GTC and PP-OCRv3; otherwise both
            losses reach the backbone.
    """

    def __init__(self, in_channels: int, classes: int, *, hidden_size: int = 256, alone: bool = False) -> None:
        super().__init__()
        if hidden_size < 1:
            raise ValueError(f"hidden_size must be at least 1, not {hidden_size}")
        self.alone, self.mark = alone, classes
        self.encoder = nn.LSTM(in_channels, hidden_size)
        self.embed = nn.Embedding(classes + 1, hidden_size)
        self.decoder = nn.LSTM(hidden_size, hidden_size)
        self.combine = nn.Linear(hidden_size + in_channels, hidden_size)
        self.classify = nn.Linear(hidden_size, classes + 1)

    def forward(self, features: Any, steps: NDArray[np.integer], before: NDArray[np.integer]) -> Any:
        """Scores of the unit that follows at each position.

        Args:
            features: `float32` N × in_channels × T.
            steps: time steps that belong to each picture, N; those beyond are not looked at.
            before: classes of the mark and the units before each position, N × P.

        Returns:
            `float32` N × P × (classes + 1), unnormalised.
        """
        features = features.transpose([0, 2, 1])
        own = paddle.to_tensor(np.arange(features.shape[1]) < np.asarray(steps)[:, None])
        encoded, state = self.encoder(features, sequence_length=paddle.to_tensor(np.asarray(steps, np.int32)))
        decoded, _ = self.decoder(self.embed(paddle.to_tensor(np.asarray(before, np.int64))), state)
        scores = paddle.matmul(decoded, encoded, transpose_y=True)
        scores = paddle.where(own.unsqueeze(1).expand_as(scores), scores, paddle.full_like(scores, -1e4))
        context = paddle.matmul(F.softmax(scores), features)
        return self.classify(F.tanh(self.combine(paddle.concat([decoded, context], axis=2))))

    def loss(
        self, features: Any, labels: NDArray[np.integer], lengths: NDArray[np.integer], steps: NDArray[np.integer]
    ) -> Any:
        """−log p(text and its end | picture), the mean over the samples: a scalar tensor.

        Args:
            features: `float32` N × in_channels × T.
            labels: CTC classes of the texts, N × L, anything beyond `lengths`.
            lengths: units in each text, N.
            steps: time steps that belong to each picture, N.
        """
        lengths = np.asarray(lengths)
        longest = int(lengths.max())
        place = np.arange(longest + 1)
        units = np.pad(np.asarray(labels, np.int64)[:, :longest], ((0, 0), (0, 1)))
        after = np.where(place < lengths[:, None], units, self.mark)
        before = np.concatenate([np.full((len(units), 1), self.mark), after[:, :-1]], axis=1)
        losses = F.cross_entropy(
            self(features, steps, before), paddle.to_tensor(after).unsqueeze(2), reduction="none"
        ).squeeze(2)
        own = paddle.to_tensor((place <= lengths[:, None]).astype(np.float32))
        return (losses * own).sum(axis=1).mean()

    def class_axes(self) -> dict[str, int]:
        """As of `CTCHead`."""
        return {"embed.weight": 0, "classify.weight": 1, "classify.bias": 0}
