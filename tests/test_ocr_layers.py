from __future__ import annotations

import numpy as np
import pytest

from ocr.config import DetArchitecture

paddle = pytest.importorskip("paddle")

from ocr.models.det import DBHead, build_detector  # noqa: E402
from ocr.models.layers import SqueezeExcite  # noqa: E402


def test_squeeze_and_excite_is_the_same_while_training() -> None:
    """Its faster form for training gives the values and the gradients of the product."""
    paddle.seed(3)
    layer = SqueezeExcite(16)
    data = paddle.randn([2, 16, 5, 7]).numpy()
    found = []
    for training in (True, False):
        (layer.train if training else layer.eval)()
        layer.clear_gradients()
        x = paddle.to_tensor(data, stop_gradient=False)
        out = layer(x)
        (out * out).sum().backward()
        found.append([out.numpy(), x.grad.numpy(), *(parameter.grad.numpy() for parameter in layer.parameters())])
    for fast, plain in zip(*found, strict=True):
        assert np.allclose(fast, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("subpixel", [False, True])
def test_maps_have_the_resolution_of_the_picture_and_say_no_text_before_they_have_learnt(subpixel: bool) -> None:
    architecture = DetArchitecture(
        model_type="det",
        algorithm="DB",
        Backbone={"name": "ConvNet", "width": 0.25},
        Neck={"name": "RSEFPN", "out_channels": 16},
        Head={"name": "DBHead", "subpixel": subpixel},
    )
    paddle.seed(1)
    model = build_detector(architecture, 1)
    model.eval()
    probabilities = model.head.maps(model(paddle.randn([2, 1, 64, 96])))
    assert probabilities.shape == [2, 64, 96]
    assert float(probabilities.mean()) < 0.3


def test_subpixels_are_those_of_their_place() -> None:
    """What one place of the features says changes its own 4 × 4 pixels and, by the convolution, its neighbours'."""
    paddle.seed(2)
    head = DBHead(16, subpixel=True)
    head.eval()
    features = paddle.zeros([1, 16, 6, 6])
    before = head(features).numpy()
    changed = features.numpy()
    changed[0, :, 2, 3] = 1
    difference = np.abs(head(paddle.to_tensor(changed)).numpy() - before)[0, 0] > 1e-7
    rows, columns = np.nonzero(difference)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 15, 8, 19)
