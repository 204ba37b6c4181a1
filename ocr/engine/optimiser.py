"""The optimiser and the learning rate, from the configuration."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from augment.errors import ScriptoriumError
from ocr.config import LearningRate, Optimizer
from synth.strict import nearest


def learning_rate(config: LearningRate, steps: int, steps_per_epoch: int) -> Callable[[int], float]:
    """The learning rate as a function of the step (from 0): a linear rise, then a cosine to zero at `steps`."""
    warmup = round(config.warmup_epoch * steps_per_epoch)

    def at(step: int) -> float:
        if step < warmup:
            return config.learning_rate * (step + 1) / warmup
        if config.name == "Const":
            return config.learning_rate
        part = (step - warmup) / max(1, steps - warmup)
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, part)))

    return at


def freeze(model: Any, prefixes: tuple[str, ...]) -> int:
    """Stop the training of parameters whose names begin so; returns how many numbers stay as they are.

    Normalisation layers all of whose parameters are frozen keep their running statistics too: see `freeze_statistics`.

    Raises:
        ScriptoriumError: a prefix that no parameter's name has.
    """
    names = [name for name, _ in model.named_parameters()]
    for prefix in prefixes:
        if not any(_under(name, prefix) for name in names):
            raise ScriptoriumError(f"Global.freeze: no parameter is named {prefix}…{nearest(prefix, _tops(names))}")
    frozen = 0
    for name, parameter in model.named_parameters():
        if any(_under(name, prefix) for prefix in prefixes):
            parameter.stop_gradient = True
            frozen += math.prod(parameter.shape)
    return frozen


def freeze_statistics(model: Any) -> None:
    """Put normalisation layers whose parameters are frozen into evaluation mode; to be called after `model.train()`."""
    import paddle

    for layer in model.sublayers():
        if isinstance(layer, paddle.nn.layer.norm._BatchNormBase):
            own = layer.parameters(include_sublayers=False)
            if own and all(parameter.stop_gradient for parameter in own):
                layer.eval()


def build_optimiser(config: Optimizer, model: Any) -> Any:
    """An optimiser over the parameters that are trained; the trainer sets the rate before each step.

    `lr_factors` scale the rate of parameters by the longest of its prefixes that fits. AdamW decays weights only, not
    biases and normalisation; Adam and SGD add the decay to every gradient, as in PaddleOCR.

    Raises:
        ScriptoriumError: a prefix in `lr_factors` that no parameter's name has, or nothing is left to train.
    """
    import paddle

    named = [(name, parameter) for name, parameter in model.named_parameters() if not parameter.stop_gradient]
    if not named:
        raise ScriptoriumError("Global.freeze: nothing is left to train; take a prefix out")
    for prefix in config.lr_factors:
        if not any(_under(name, prefix) for name, _ in named):
            known = _tops([name for name, _ in named])
            raise ScriptoriumError(
                f"Optimizer.lr_factors.{prefix}: no trained parameter is named so{nearest(prefix, known)}"
            )
    groups: dict[tuple[float, bool], list[Any]] = {}
    for name, parameter in named:
        fitting = [prefix for prefix in config.lr_factors if _under(name, prefix)]
        factor = config.lr_factors[max(fitting, key=len)] if fitting else 1.0
        groups.setdefault((factor, len(parameter.shape) > 1), []).append(parameter)
    clip = paddle.nn.ClipGradByGlobalNorm(config.clip_norm) if config.clip_norm else None
    decay = config.regularizer.factor
    adamw = config.name == "AdamW"
    parameters = [
        {"params": members, "learning_rate": factor, "weight_decay": decay if matrix or not adamw else 0.0}
        for (factor, matrix), members in groups.items()
    ]
    common = {"learning_rate": config.lr.learning_rate, "parameters": parameters, "grad_clip": clip}
    if config.name == "SGD":
        return paddle.optimizer.Momentum(momentum=config.momentum, **common)
    kind = paddle.optimizer.AdamW if adamw else paddle.optimizer.Adam
    return kind(beta1=config.beta1, beta2=config.beta2, **common)


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix.rstrip(".") + ".")


def _tops(names: list[str]) -> list[str]:
    return sorted({name.split(".")[0] for name in names})
