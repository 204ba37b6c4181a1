"""The loss of differentiable binarization (Liao et al., 2020, section 3.5)."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle.nn import functional as F

_TINY = 1e-6


def db_loss(
    model: Any,
    images: Any,
    shrunk: NDArray[np.uint8],
    counted: NDArray[np.uint8],
    border: NDArray[np.uint8],
    bordered: NDArray[np.uint8],
    *,
    alpha: float,
    beta: float,
    ohem_ratio: float,
) -> Any:
    """alpha × balanced cross-entropy + beta × mean difference of the border + dice loss of the binary map.

    Args:
        model: an `ocr.models.det.DetectionModel`.
        images: tensor `float32` N × C × H × W, normalised.
        shrunk, counted, border, bordered: N × H × W, see `ocr.data.targets.DBTargets`.
        alpha, beta: weights.
        ohem_ratio: see `balanced_cross_entropy`.

    Returns:
        A scalar tensor.
    """
    features = model.neck(model.backbone(images))
    scores = model.head.shrunk(features).squeeze(1)
    level = F.sigmoid(model.head.border(features).squeeze(1))
    binary = F.sigmoid(model.head.k * (F.sigmoid(scores) - level))
    text = paddle.to_tensor(shrunk.astype(np.float32))
    mask = paddle.to_tensor(counted.astype(np.float32))
    # From 0.3 away from a text's edge to 0.7 on it, as in the paper.
    goal = paddle.to_tensor(np.float32(0.3) + border.astype(np.float32) * np.float32(0.4 / 255))
    where = paddle.to_tensor(bordered.astype(np.float32))
    difference = (paddle.abs(level - goal) * where).sum() / (where.sum() + _TINY)
    return (
        alpha * balanced_cross_entropy(scores, shrunk, counted, ohem_ratio)
        + beta * difference
        + dice_loss(binary, text, mask)
    )


def balanced_cross_entropy(scores: Any, text: NDArray[np.uint8], counted: NDArray[np.uint8], ratio: float) -> Any:
    """Cross-entropy over all pixels with text and the hardest without.

    Args:
        scores: tensor N × H × W, before the sigmoid.
        text, counted: N × H × W, 0 or 1; where `counted` is 0 a pixel does not count.
        ratio: pixels without text that count, for each one with text. Where a batch has no text, all of them count:
            a page of none is to be learnt, too.
    """
    losses = F.binary_cross_entropy_with_logits(scores, paddle.to_tensor(text.astype(np.float32)), reduction="none")
    positive = (text > 0) & (counted > 0)
    negative = (text == 0) & (counted > 0)
    has, lacks = int(positive.sum()), int(negative.sum())
    kept = min(lacks, int(has * ratio)) if has else lacks
    weight = positive.astype(np.float32)
    if kept:
        values = losses.detach().numpy()
        if kept < lacks:
            # Which pixels are hardest is not learnt: chosen outside the graph, of equal ones the first.
            flat = np.where(negative, values, -np.inf).ravel()
            weight.ravel()[np.argpartition(flat, -kept)[-kept:]] = 1
        else:
            weight[negative] = 1
    return (losses * paddle.to_tensor(weight)).sum() / max(has + kept, 1)


def dice_loss(binary: Any, text: Any, mask: Any) -> Any:
    """1 - 2 |binary ∩ text| / (|binary| + |text|), counted pixels only (Milletari et al., 2016)."""
    common = (binary * text * mask).sum()
    return 1 - 2 * common / ((binary * mask).sum() + (text * mask).sum() + _TINY)
