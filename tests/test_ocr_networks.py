from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augment.errors import ScriptoriumError
from ocr.config import Architecture
from ocr.engine.transfer import transfer

paddle = pytest.importorskip("paddle")

from ocr.losses.ctc import CTCLoss  # noqa: E402
from ocr.losses.rec import recognition_loss  # noqa: E402
from ocr.models.build import build_model  # noqa: E402

BACKBONE = {"name": "ConvNet", "width": 0.25}
GUIDE = {"name": "AttentionHead", "hidden_size": 6}


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


@pytest.mark.parametrize("head", [{"name": "CTCHead", "mid_channels": 8}, {"name": "MultiHead", "guide": GUIDE}])
def test_class_axes_name_the_parameters_that_grow_with_the_dictionary(head: dict[str, Any]) -> None:
    architecture = Architecture(algorithm="Rosetta", Backbone=BACKBONE, Head=head)
    small, large = (build_model(architecture, n, 1).state_dict() for n in (5, 9))
    grown = {
        n: [a != b for a, b in zip(small[n].shape, large[n].shape, strict=True)].index(True)
        for n in small
        if small[n].shape != large[n].shape
    }
    assert build_model(architecture, 5, 1).class_axes() == grown


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


# -- SVTR-LCNet and the guide ----------------------------------------------------------------------------------------


def guided(**keys: Any) -> Any:
    paddle.seed(2)
    return build_model(
        Architecture(
            algorithm="SVTR_LCNet",
            Backbone={"name": "MobileNetV1Enhance", "scale": 0.25},
            Neck={"name": "SequenceEncoder", "encoder_type": "svtr", "hidden_dims": 16, "num_heads": 2, "dims": 24},
            Head={"name": "MultiHead", "guide": GUIDE | keys},
        ),
        classes=5,
        channels=1,
    )


LABELS, LENGTHS = np.array([[1, 2, 2], [4, 9, 9]], np.int32), np.array([3, 1], np.int32)


def pictures(*shape: int) -> Any:
    return paddle.to_tensor(np.random.default_rng(7).standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize(("height", "width"), [(48, 64), (32, 320), (16, 8)])
def test_svtr_keeps_the_time_steps(height: int, width: int) -> None:
    model = guided()
    model.eval()
    assert model(pictures(2, 1, height, width)).shape == [2, width // 8, 5]


def test_svtr_mixes_all_time_steps() -> None:
    neck = guided().neck
    neck.eval()
    features = pictures(1, 256, 12)
    changed = features.clone()
    changed[:, :, 0] += 1.0
    # Beyond the reach of the convolutions, one step to each side twice, only attention carries a difference.
    assert (neck(features) - neck(changed)).abs().max(axis=2)[0, 4:].min() > 1e-6


def test_the_gradient_of_both_branches_reaches_every_parameter() -> None:
    model = guided()
    loss = recognition_loss(model, pictures(2, 1, 48, 64), LABELS, LENGTHS, np.array([8, 5]), 1.0)
    loss.backward()
    without = [n for n, p in model.named_parameters() if not p.stop_gradient and not float(p.grad.abs().sum()) > 0]
    assert not without


def test_the_loss_is_the_sum_of_both_branches() -> None:
    model = guided()
    model.eval()
    images, steps = pictures(2, 1, 48, 64), np.array([8, 5])
    alone = CTCLoss()(model(images), LABELS, LENGTHS, steps)
    guide = model.guide.loss(model.backbone(images), LABELS, LENGTHS, steps)
    for weight in (0.0, 0.5):
        found = recognition_loss(model, images, LABELS, LENGTHS, steps, weight)
        assert float(found) == pytest.approx(float(alone) + weight * float(guide), rel=1e-5)


def test_a_guide_alone_trains_the_backbone() -> None:
    def gradients(weight: float, **keys: Any) -> tuple[Any, Any]:
        model = guided(**keys)  # seeded, so dropout is the same each time
        recognition_loss(model, pictures(2, 1, 48, 64), LABELS, LENGTHS, np.array([8, 5]), weight).backward()
        stem, last = model.backbone.layers[0].conv.weight.grad, model.head.classify.weight.grad
        return stem.numpy(), last.numpy()

    (both, head), (alone, same), (unguided, _) = gradients(1.0), gradients(1.0, alone=True), gradients(0.0, alone=True)
    np.testing.assert_array_equal(head, same)
    np.testing.assert_allclose(both, alone + unguided, rtol=1e-3, atol=1e-5)
    assert np.abs(unguided).max() > 0 < np.abs(alone).max()


def lstm(layer: Any, inputs: Any, state: tuple[Any, Any]) -> tuple[Any, tuple[Any, Any]]:
    """An LSTM of one layer, by its equations."""
    weights = {name: value.numpy().astype(np.float64) for name, value in layer.state_dict().items()}
    hidden, cell = state
    outputs = []
    for row in inputs:
        gates = weights["weight_ih_l0"] @ row + weights["bias_ih_l0"]
        gates += weights["weight_hh_l0"] @ hidden + weights["bias_hh_l0"]
        let_in, forget, new, let_out = gates.reshape(4, -1)
        cell = cell / (1 + np.exp(-forget)) + np.tanh(new) / (1 + np.exp(-let_in))
        hidden = np.tanh(cell) / (1 + np.exp(-let_out))
        outputs.append(hidden)
    return np.array(outputs), (hidden, cell)


def test_the_loss_of_the_guide_by_hand() -> None:
    guide = guided().guide
    features, steps = pictures(2, 256, 8), np.array([8, 5])
    values = {name: value.numpy().astype(np.float64) for name, value in guide.state_dict().items()}
    expected = []
    for picture, label, length, step in zip(features.numpy(), LABELS, LENGTHS, steps, strict=True):
        columns = picture.T[:step].astype(np.float64)
        text = [int(unit) for unit in label[:length]]
        encoded, state = lstm(guide.encoder, columns, (np.zeros(6), np.zeros(6)))
        # The mark is class 5, after the blank and four units: it begins the text, and ends it.
        decoded, _ = lstm(guide.decoder, values["embed.weight"][[5, *text]], state)
        total = 0.0
        for hidden, following in zip(decoded, [*text, 5], strict=True):
            weight = np.exp(encoded @ hidden)
            context = (weight / weight.sum()) @ columns
            joined = np.concatenate([hidden, context]) @ values["combine.weight"] + values["combine.bias"]
            scores = np.tanh(joined) @ values["classify.weight"] + values["classify.bias"]
            total -= scores[following] - np.log(np.exp(scores).sum())
        expected.append(total)
    assert float(guide.loss(features, LABELS, LENGTHS, steps)) == pytest.approx(np.mean(expected), rel=1e-4)


def test_the_guide_sees_only_the_units_before() -> None:
    guide = guided().guide
    features, steps = pictures(1, 256, 8), np.array([8])
    scores, changed = (guide(features, steps, np.array([[5, 1, unit, 2, 3]])).numpy()[0] for unit in (2, 4))
    np.testing.assert_array_equal(scores[:2], changed[:2])
    assert (np.abs(scores[2:] - changed[2:]).max(1) > 1e-6).all()


def test_rows_of_the_guide_go_with_their_units() -> None:
    model = guided()
    own = {name: value.numpy() for name, value in model.state_dict().items()}
    given = {name: value + 1 for name, value in own.items()}
    # The four units in another order, one of them new; the mark stays the mark.
    merged, found = transfer(own, given, model.class_axes(), np.array([0, 3, -1, 1, 2]))
    for name, axis in (("guide.embed.weight", 0), ("guide.classify.weight", 1), ("guide.classify.bias", 0)):
        expected = np.take(given[name], [0, 3, 2, 1, 2, 5], axis)
        new = (slice(None),) * axis + (2,)
        expected[new] = own[name][new]
        np.testing.assert_array_equal(merged[name], expected)
        assert found.by_unit[name] == (4, 1)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"Neck": {"name": "SequenceEncoder", "encoder_type": "rnn"}},
            "rnn does not make a SVTR_LCNet; set it to svtr",
        ),
        ({"Head": {"name": "MultiHead"}}, r"Architecture\.Head\.guide: must be a mapping"),
        (
            {"Head": {"name": "MultiHead", "guide": {"name": "AttentionHead", "hiden_size": 8}}},
            r"Architecture\.Head\.guide\.hiden_size: unknown key of AttentionHead; did you mean hidden_size",
        ),
        (
            {"Head": {"name": "MultiHead", "guide": {"name": "SARHead"}}},
            r"Architecture\.Head\.guide\.name: no guide 'SARHead'",
        ),
        ({"Head": {"name": "CTCHead", "guide": GUIDE}}, r"Architecture\.Head\.guide: unknown key of CTCHead"),
        (
            {"Neck": {"name": "SequenceEncoder", "encoder_type": "svtr", "hidden_dims": 20}},
            "hidden_dims must be a multiple of num_heads 8, not 20",
        ),
    ],
)
def test_parts_that_do_not_fit(parts: dict[str, Any], message: str) -> None:
    whole: dict[str, Any] = {
        "algorithm": "SVTR_LCNet",
        "Backbone": {"name": "MobileNetV1Enhance", "scale": 0.25},
        "Neck": {"name": "SequenceEncoder", "encoder_type": "svtr"},
    }
    with pytest.raises(ScriptoriumError, match=message):
        build_model(Architecture(**whole | parts), 5, 1)
