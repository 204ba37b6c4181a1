"""Connectionist temporal classification (Graves et al., 2006)."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle.nn import functional as F


class CTCLoss:
    """−log p(text | picture), summed over all alignments; the mean over the samples.

    Paddle's own mean divides by the label's length as well, so that long texts would count for little and an empty one
    for infinity.
    """

    def __call__(
        self, logits: Any, labels: NDArray[np.int32], lengths: NDArray[np.int32], steps: NDArray[np.int32]
    ) -> Any:
        """The loss of a batch.

        Args:
            logits: tensor `float32` N × T × classes, unnormalised; class 0 is the blank.
            labels: classes of the texts, N × L, anything beyond `lengths`.
            lengths: units in each text, N.
            steps: time steps that belong to each picture, N; those beyond are left out.

        Returns:
            A scalar tensor.

        Raises:
            ValueError: a target that is empty, cannot be aligned (fewer steps than units and repeats), or holds the
                blank or a class that does not exist; or more steps than there are. Paddle's loss would be 0, without a
                gradient, or read beyond its arrays.
        """
        _check(labels, lengths, steps, logits.shape)
        losses = F.ctc_loss(
            logits.transpose([1, 0, 2]),
            paddle.to_tensor(np.ascontiguousarray(labels, np.int32)),
            paddle.to_tensor(np.asarray(steps, np.int64)),
            paddle.to_tensor(np.asarray(lengths, np.int64)),
            reduction="none",
        )
        return losses.mean()


def _check(labels: NDArray[np.int32], lengths: NDArray[np.int32], steps: NDArray[np.int32], shape: list[int]) -> None:
    count, longest, classes = shape
    if not len(labels) == len(lengths) == len(steps) == count:
        raise ValueError(f"{count} pictures, {len(labels)} labels, {len(lengths)} lengths, {len(steps)} steps")
    position = np.arange(labels.shape[1])
    own = position < np.asarray(lengths)[:, None]
    repeats = ((labels[:, 1:] == labels[:, :-1]) & own[:, 1:]).sum(1)
    problems = (
        (np.asarray(lengths) < 1, "empty target"),
        (np.asarray(lengths) > labels.shape[1], "length beyond the labels"),
        (np.asarray(lengths) + repeats > steps, "fewer time steps than units and repeats"),
        (np.asarray(steps) > longest, "more time steps than the network gave"),
        ((own & ((labels < 1) | (labels >= classes))).any(1), "blank or unknown class in the target"),
    )
    for wrong, problem in problems:
        if wrong.any():
            at = int(np.argmax(wrong))
            raise ValueError(
                f"sample {at}: {problem} (units {int(lengths[at])}, repeats {int(repeats[at])}, "
                f"steps {int(steps[at])} of {longest}, classes {classes})"
            )
