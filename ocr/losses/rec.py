"""The loss of a recognition network: of its CTC branch, and of the attention branch that guides it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr.losses.ctc import CTCLoss


def recognition_loss(
    model: Any,
    images: Any,
    labels: NDArray[np.int32],
    lengths: NDArray[np.int32],
    steps: NDArray[np.int32],
    guide_weight: float,
) -> Any:
    """The loss of a batch, each part the mean over the samples of −log p(text | picture).

    Args:
        model: an `ocr.models.build.RecognitionModel`.
        images: tensor `float32` N × C × H × W, normalised.
        labels: CTC classes of the texts, N × L, anything beyond `lengths`.
        lengths: units in each text, N.
        steps: time steps that belong to each picture, N.
        guide_weight: factor on the loss of the model's guide; without a guide it does not matter.

    Returns:
        A scalar tensor.

    Raises:
        ValueError: targets that CTC cannot take; see `CTCLoss`.
    """
    features = model.backbone(images)
    guide = model.guide if guide_weight else None
    read = features.detach() if guide is not None and guide.alone else features
    loss = CTCLoss()(model.head(model.neck(read)), labels, lengths, steps)
    if guide is not None:
        loss = loss + guide_weight * guide.loss(features, labels, lengths, steps)
    return loss
