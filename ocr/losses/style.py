"""Losses of networks that give texts another look (Wu et al., "Editing Text in the Wild", 2019).

The adversarial part is that of least squares (Mao et al., 2017), which does not saturate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import paddle
from paddle import nn
from paddle.nn import functional as F

from ocr.config import StyleLoss
from ocr.models.style import Restyled, StyleModel
from ocr.spec import Preprocess

_BGR = (0.114, 0.587, 0.299)  # luma of ITU-R BT.601


class Targets(NamedTuple):
    """What a generator should make, as `Restyled` has it, and what it is made from.

    Attributes:
        images: N × 4 × H × W, normalised: the look, and the plain text.
    """

    images: Any
    ink: Any
    skeleton: Any
    text: Any
    mask: Any
    background: Any
    fused: Any


def dice_loss(found: Any, wanted: Any) -> Any:
    """1 - 2 Σ found · wanted / (Σ found + Σ wanted), over each picture, then the mean (Milletari et al., 2016).

    Args:
        found, wanted: N × 1 × H × W, 0 to 1. Where both are empty the loss is 0.
    """
    axes = [1, 2, 3]
    common = (found * wanted).sum(axis=axes)
    total = found.sum(axis=axes) + wanted.sum(axis=axes)
    return (1 - (2 * common + 1) / (total + 1)).mean()


def gram(features: Any) -> Any:
    """Products of all channels with each other, over the picture: N × C × H × W → N × C × C, divided by C · H · W."""
    count, channels, height, width = features.shape
    flat = features.reshape([count, channels, height * width])
    return paddle.bmm(flat, flat.transpose([0, 2, 1])) / (channels * height * width)


def weighed_difference(found: Any, wanted: Any, mask: Any, weight: float) -> Any:
    """Mean absolute difference; pixels count 1, and under letters `weight` more, by their coverage."""
    share = 1 + weight * mask
    return ((found - wanted).abs() * share).sum() / (share.sum() * found.shape[1])


def judges_loss(model: StyleModel, made: Restyled, targets: Targets) -> Any:
    """What the discriminators are to make small: (1 - real)² + made², halved; the generator gets no gradient."""
    total = 0.0
    for judge, beside, false, true in _judged(model, made, targets):
        real = judge(paddle.concat([beside, true], axis=1))
        fake = judge(paddle.concat([beside, false.detach()], axis=1))
        total = total + (((real - 1) ** 2).mean() + (fake**2).mean()) / 2
    return total


def deceit_loss(model: StyleModel, made: Restyled, targets: Targets) -> Any:
    """What the generator is to make small: (1 - made)²; the discriminators get no gradient."""
    with _held(model.discriminators):
        total = 0.0
        for judge, beside, false, _ in _judged(model, made, targets):
            total = total + ((judge(paddle.concat([beside, false], axis=1)) - 1) ** 2).mean()
    return total


def _judged(model: StyleModel, made: Restyled, targets: Targets) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Discriminator, what stands beside the picture, what was made, and what should be."""
    judges, images = model.discriminators, targets.images
    yield judges["background"], images[:, :3], made.background, targets.background
    yield judges["fusion"], images[:, 3:], made.fused, targets.fused


@contextmanager
def _held(layer: Any) -> Iterator[None]:
    """While the graph is built, take parameters for constants."""
    trained = [parameter for parameter in layer.parameters() if not parameter.stop_gradient]
    for parameter in trained:
        parameter.stop_gradient = True
    try:
        yield
    finally:
        for parameter in trained:
            parameter.stop_gradient = False


class Perception:
    """What a recogniser sees in pictures: its features after the last normalisation at each size.

    Args:
        model: a network of `ocr.models.build`; it is held as it is.
        preprocess: what goes with it.
    """

    def __init__(self, model: Any, preprocess: Preprocess) -> None:
        self._backbone, self._preprocess = model.backbone, preprocess
        model.eval()
        for parameter in model.parameters():
            parameter.stop_gradient = True
        self._seen: list[Any] = []
        for layer in self._backbone.sublayers():
            if isinstance(layer, nn.layer.norm._BatchNormBase):
                layer.register_forward_post_hook(lambda _, given, found: self._seen.append(found))

    def features(self, images: Any) -> list[Any]:
        """Features of pictures as generators make them: N × 3 × H × W, -1 to 1."""
        levels = images * 127.5 + 127.5
        if self._preprocess.channels == 1:
            levels = (levels * paddle.to_tensor(_BGR).reshape([1, 3, 1, 1])).sum(axis=1, keepdim=True)
        self._seen = []
        self._backbone((levels - self._preprocess.mean) / self._preprocess.scale)
        seen, self._seen = self._seen, []
        last = {tuple(found.shape[2:]): found for found in seen}
        return list(last.values())

    def loss(self, found: Any, wanted: Any, content: float, look: float) -> Any:
        """Mean absolute differences of features, times `content`, and of their Gram matrices, times `look`.

        Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution" (2016).
        """
        with paddle.no_grad():
            goal = self.features(wanted)
        total = 0.0
        for one, other in zip(self.features(found), goal, strict=True):
            if content:
                total = total + content * F.l1_loss(one, other)
            if look:
                total = total + look * F.l1_loss(gram(one), gram(other))
        return total


def style_loss(
    model: StyleModel, made: Restyled, targets: Targets, config: StyleLoss, perception: Perception | None
) -> Any:
    """The sum of all that a configuration weighs; discriminators learn from their own part alone.

    One sum for both sides: each side's parameters are constants in the other's part, so one optimiser serves for both,
    and both take their steps from the same state.
    """
    heavy = config.letters
    total = config.text * weighed_difference(made.text, targets.text, targets.mask, heavy)
    total = total + config.ink * dice_loss(made.ink, targets.ink)
    total = total + config.skeleton * dice_loss(made.skeleton, targets.skeleton)
    total = total + config.mask * dice_loss(made.mask, targets.mask)
    total = total + config.background * F.l1_loss(made.background, targets.background)
    total = total + config.fusion * weighed_difference(made.fused, targets.fused, targets.mask, heavy)
    if model.discriminators is not None:
        total = total + config.adversarial * deceit_loss(model, made, targets) + judges_loss(model, made, targets)
    if perception is not None and config.perceptual is not None:
        total = total + perception.loss(made.fused, targets.fused, config.perceptual.content, config.perceptual.look)
    return total
