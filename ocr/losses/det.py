"""Losses of detectors: differentiable binarization (Liao et al., 2020, section 3.5), PSENet (Wang et al., 2019, section
3.5) and EAST (Zhou et al., 2017, section 3.4)."""

from __future__ import annotations

import math
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
    weight = hardest(losses.detach().numpy(), text, counted, ratio)
    return (losses * paddle.to_tensor(weight)).sum() / max(float(weight.sum()), 1)


def hardest(
    values: NDArray[np.float32], text: NDArray[np.uint8], counted: NDArray[np.uint8], ratio: float
) -> NDArray[np.float32]:
    """Online hard example mining (Shrivastava et al., 2016): 1 where a pixel is learnt, else 0.

    Those are all with text, and of those without the ones with the highest values: outside the graph, for which ones
    are hardest is not learnt; of equal ones any.

    Args:
        values: N × H × W, higher where a pixel without text is harder.
        text, counted, ratio: see `balanced_cross_entropy`.
    """
    positive = (text > 0) & (counted > 0)
    negative = (text == 0) & (counted > 0)
    has, lacks = int(positive.sum()), int(negative.sum())
    kept = min(lacks, int(has * ratio)) if has else lacks
    weight = positive.astype(np.float32)
    if kept == lacks:
        weight[negative] = 1
    elif kept:
        flat = np.where(negative, values, -np.inf).ravel()
        weight.ravel()[np.argpartition(flat, -kept)[-kept:]] = 1
    return weight


def dice_loss(binary: Any, text: Any, mask: Any) -> Any:
    """1 - 2 |binary ∩ text| / (|binary| + |text|), counted pixels only (Milletari et al., 2016)."""
    common = (binary * text * mask).sum()
    return 1 - 2 * common / ((binary * mask).sum() + (text * mask).sum() + _TINY)


def pse_loss(
    model: Any,
    images: Any,
    kernels: NDArray[np.uint8],
    counted: NDArray[np.uint8],
    *,
    text_weight: float,
    ohem_ratio: float,
) -> Any:
    """text_weight × dice loss of the whole texts + (1 - text_weight) × mean dice loss of the shrunk ones.

    As in the paper the whole texts are learnt with hard negatives, and the shrunk ones only where there is text; that
    is, where the network finds it or where it is. Dice losses are of the batch, so that pages without text teach, too.

    Args:
        model: an `ocr.models.det.DetectionModel`.
        images: tensor `float32` N × C × H × W, normalised.
        kernels: N × n × H / 4 × W / 4; see `ocr.data.targets.PSETargets`.
        counted: N × H / 4 × W / 4.
        text_weight: λ.
        ohem_ratio: see `balanced_cross_entropy`.

    Returns:
        A scalar tensor.
    """
    found = F.sigmoid(model(images))
    goal = paddle.to_tensor(kernels.astype(np.float32))
    whole = found[:, 0].detach().numpy()
    learnt = hardest(whole, kernels[:, 0], counted, ohem_ratio)
    within = ((whole > 0.5) | (kernels[:, 0] > 0)) & (counted > 0)
    mask = paddle.to_tensor(within.astype(np.float32))
    shrunk = [squared_dice_loss(found[:, number], goal[:, number], mask) for number in range(1, kernels.shape[1])]
    text = squared_dice_loss(found[:, 0], goal[:, 0], paddle.to_tensor(learnt))
    return text_weight * text + (1 - text_weight) * sum(shrunk) / len(shrunk)


def squared_dice_loss(found: Any, text: Any, mask: Any) -> Any:
    """1 - 2 Σ found × text / (Σ found² + Σ text²), counted pixels only: PSENet's form (equation 5)."""
    found, text = found * mask, text * mask
    return 1 - 2 * (found * text).sum() / ((found * found).sum() + (text * text).sum() + _TINY)


def east_loss(
    model: Any,
    images: Any,
    score: NDArray[np.uint8],
    counted: NDArray[np.uint8],
    geometry: NDArray[np.float32],
    *,
    geometry_weight: float,
    angle_weight: float,
    ohem_ratio: float,
) -> Any:
    """Balanced cross-entropy of the score + geometry_weight × (-log IoU + angle_weight × (1 - cos Δangle)).

    The paper balances the cross-entropy by the share of text; here hard negatives do, as in `db_loss`. The IoU is of
    boxes that share a pixel and an angle, so it follows from the four distances (Yu et al., "UnitBox", 2016); its mean
    is over all pixels of shrunk texts.

    Args:
        model: an `ocr.models.det.DetectionModel`.
        images: tensor `float32` N × C × H × W, normalised.
        score, counted: N × H / 4 × W / 4; see `ocr.data.targets.EASTTargets`.
        geometry: N × 5 × H / 4 × W / 4.
        geometry_weight, angle_weight: λ_g and λ_θ.
        ohem_ratio: see `balanced_cross_entropy`.

    Returns:
        A scalar tensor.
    """
    found = model(images)
    loss = balanced_cross_entropy(found[:, 0], score, counted, ohem_ratio)
    text = (score > 0).astype(np.float32)
    count = float(text.sum())
    if not count:
        return loss
    distances = paddle.exp(found[:, 1:5])
    # Where there is no text any box will do: it is not counted.
    goal = paddle.to_tensor(np.where(score[:, None] > 0, geometry, np.float32(1)).astype(np.float32))
    known = goal[:, :4]
    common = paddle.minimum(distances, known)
    areas = [(part[:, 0] + part[:, 2]) * (part[:, 1] + part[:, 3]) for part in (distances, known, common)]
    overlap = paddle.log(areas[0] + areas[1] - areas[2]) - paddle.log(areas[2])
    turn = 1 - paddle.cos(angles(found[:, 5]) - goal[:, 4])
    return loss + geometry_weight * ((overlap + angle_weight * turn) * paddle.to_tensor(text)).sum() / count


def angles(scores: Any) -> Any:
    """Angles in radians, between -π/4 and π/4, from EAST's scores."""
    return (F.sigmoid(scores) - 0.5) * (math.pi / 2)
