from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augment.errors import ScriptoriumError
from ocr.config import Architecture

paddle = pytest.importorskip("paddle")

from ocr.losses.ctc import CTCLoss  # noqa: E402
from ocr.losses.rec import recognition_loss  # noqa: E402
from ocr.models.build import build_model  # noqa: E402

BACKBONE = {"name": "ConvNet", "width": 0.25}


def network(classes: int = 5, encoder: str = "rnn", **backbone: Any) -> Any:
    paddle.seed(1)
    neck = {"name": "SequenceEncoder", "encoder_type": encoder}
    if encoder != "reshape":
        neck["hidden_size"] = 16  # type: ignore[assignment]
    algorithm = "Rosetta" if encoder == "reshape" else "CRNN"
    return build_model(Architecture(algorithm=algorithm, Backbone=BACKBONE | backbone, Neck=neck), classes, 1)


@pytest.mark.parametrize("encoder", ["rnn", "gru", "reshape"])
@pytest.mark.parametrize(("height", "width"), [(32, 64), (48, 16), (16, 336)])
def test_time_steps_follow_from_the_width(encoder: str, height: int, width: int) -> None:
    model = network(7, encoder)
    out = model(paddle.randn([2, 1, height, width]))
    assert out.shape == [2, width // model.time_stride, 7]


def test_class_axes_name_the_parameters_that_grow_with_the_dictionary() -> None:
    small, large = (network(n).state_dict() for n in (5, 9))
    grown = {
        n: [a != b for a, b in zip(small[n].shape, large[n].shape, strict=True)].index(True)
        for n in small
        if small[n].shape != large[n].shape
    }
    assert network().class_axes() == grown


def test_a_wrong_key_is_named() -> None:
    with pytest.raises(
        ScriptoriumError, match=r"Architecture\.Backbone\.widht: unknown key of ConvNet; did you mean width"
    ):
        network(widht=1)
    with pytest.raises(
        ScriptoriumError, match=r"Architecture\.Backbone\.name: no backbone 'ConvNet2'; did you mean ConvNet"
    ):
        network(name="ConvNet2")


def forward_algorithm(logits: Any, labels: list[int]) -> float:
    """-log p by the recursion of Graves et al. (2006), in double precision."""
    scores = logits.astype(np.float64)
    probs = np.exp(scores - scores.max(1, keepdims=True))
    probs /= probs.sum(1, keepdims=True)
    path = [0]
    for label in labels:
        path += [label, 0]
    alpha = np.zeros(len(path))
    alpha[:2] = probs[0, path[:2]]
    for step in probs[1:]:
        before = alpha.copy()
        for s, label in enumerate(path):
            total = before[s] + (before[s - 1] if s else 0)
            if s > 1 and label and label != path[s - 2]:
                total += before[s - 2]
            alpha[s] = total * step[label]
    return float(-np.log(alpha[-1] + alpha[-2]))


def test_the_loss_is_that_of_the_forward_algorithm() -> None:
    rng = np.random.default_rng(4)
    logits = rng.standard_normal((3, 9, 5)).astype(np.float32)
    labels = np.array([[1, 1, 2], [3, 0, 0], [4, 2, 0]], np.int32)
    lengths, steps = np.array([3, 1, 2], np.int32), np.array([9, 6, 2], np.int32)
    expected = [
        forward_algorithm(x[:t], list(row[:n])) for x, row, n, t in zip(logits, labels, lengths, steps, strict=True)
    ]
    found = CTCLoss()(paddle.to_tensor(logits), labels, lengths, steps)
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-4)


@pytest.mark.parametrize(
    ("labels", "length", "steps", "message"),
    [
        ([1, 1], 2, 2, "fewer time steps"),
        ([1, 1], 0, 4, "empty target"),
        ([1, 5], 2, 4, "unknown class"),
        ([1, 2], 2, 5, "more time"),
    ],
)
def test_targets_that_cannot_be_aligned_are_refused(labels: list[int], length: int, steps: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CTCLoss()(paddle.zeros([1, 4, 5]), np.array([labels], np.int32), np.array([length]), np.array([steps]))


def test_a_network_learns_a_few_pictures_by_heart() -> None:
    rng = np.random.default_rng(2)
    model = network()
    images = paddle.to_tensor(rng.standard_normal((4, 1, 32, 32)).astype(np.float32))
    labels = np.array([[1, 2], [3, 4], [2, 2], [4, 1]], np.int32)
    lengths, steps = np.full(4, 2, np.int32), np.full(4, 8, np.int32)
    optimiser = paddle.optimizer.Adam(0.01, parameters=model.parameters())
    losses = []
    for _ in range(60):
        loss = CTCLoss()(model(images), labels, lengths, steps)
        loss.backward()
        optimiser.step()
        optimiser.clear_grad()
        losses.append(float(loss))
    assert losses[-1] < 0.1 < losses[0]


def test_the_loss_of_a_network_without_a_guide_is_that_of_ctc() -> None:
    rng = np.random.default_rng(6)
    model = network()
    model.eval()
    images = paddle.to_tensor(rng.standard_normal((2, 1, 32, 32)).astype(np.float32))
    labels, lengths, steps = (
        np.array([[1, 2], [3, 9]], np.int32),
        np.array([2, 1], np.int32),
        np.array([8, 6], np.int32),
    )
    expected = CTCLoss()(model(images), labels, lengths, steps)
    found = recognition_loss(model, images, labels, lengths, steps, 1.0)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)
