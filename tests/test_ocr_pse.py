"""PSENet: kernels, loss, progressive scale expansion against a queue, boxes, a run from pages to figures."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from det_runs import check_export, check_run
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ocr.config import ConfigError, load_config
from ocr.data.targets import pse_targets
from ocr.postprocess.db import Detection
from ocr.postprocess.pse import PSEPostProcess, expanded, pse_boxes

# -- targets -------------------------------------------------------------------------------------------------------


def test_kernels_of_a_rectangle() -> None:
    # 160 × 80 pixels are 40 × 20 of the map; area × (1 - r²) / perimeter = 800 / 120 × (1 - r²).
    box = np.array([[40, 40], [200, 40], [200, 120], [40, 120]], np.float32)
    targets = pse_targets([box], [False], 160, 240, kernels=3, shrink_ratio=0.5)
    assert targets.kernels.shape == (3, 40, 60) and targets.counted.all()
    for kernel, ratio in zip(targets.kernels, (1, 0.75, 0.5), strict=True):
        inset = 800 / 120 * (1 - ratio**2)
        x, y = np.arange(60) + 0.5, np.arange(40)[:, None] + 0.5
        inside = (x > 10 + inset) & (x < 50 - inset) & (y > 10 + inset) & (y < 30 - inset)
        np.testing.assert_array_equal(kernel, inside)
    assert (targets.core == targets.kernels[2]).all()


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_kernels_of_polygons(seed: int) -> None:
    import shapely

    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 7))
    polygon = (np.stack((np.cos(angles), np.sin(angles)), 1) * rng.uniform(40, 70, 2) + 80).astype(np.float32)
    targets = pse_targets([polygon], [False], 160, 160, kernels=4, shrink_ratio=0.6, min_side=0)
    shape = shapely.Polygon(polygon / 4)
    centres = shapely.points(*(axis.ravel() + 0.5 for axis in np.meshgrid(np.arange(40), np.arange(40))))
    for number, kernel in enumerate(targets.kernels):
        ratio = 1 - 0.4 * number / 3
        inset = shape.area * (1 - ratio**2) / shape.length
        # Shrinking by a distance leaves what is further than that from the edge.
        expected = shapely.contains(shape, centres) & (shapely.distance(shape.exterior, centres) > inset)
        close = np.abs(shapely.distance(shape.exterior, centres) - inset) < 1e-3
        if targets.kernels[-1].any():
            assert (kernel.ravel() == expected)[~close].all()


def test_ignored_and_small_texts_do_not_count() -> None:
    box = np.array([[40, 40], [120, 40], [120, 80], [40, 80]], np.float32)
    for polygon, ignored, keys in (
        (box, True, {}),
        (box, False, {"min_side": 41}),
        (box / np.float32((1, 8)), False, {"min_side": 0}),
    ):
        targets = pse_targets([polygon], [ignored], 128, 160, **keys)  # type: ignore[arg-type]
        assert not targets.kernels.any() and (targets.counted == 0).sum() > 0
    assert (pse_targets([box], [True], 128, 160).counted == 0).sum() == 20 * 10
    # A text teaches even where an ignored one lies across it.
    across = pse_targets([box, box + np.float32(20)], [False, True], 128, 160)
    assert across.counted[across.kernels[0] > 0].all() and not across.counted.all()


# -- expansion -----------------------------------------------------------------------------------------------------


def by_queue(kernels: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Algorithm 1 of the paper, pixel by pixel."""
    count, rows, columns = kernels.shape
    labels = np.zeros((rows, columns), np.int32)

    def around(y: int, x: int) -> list[tuple[int, int]]:
        near = [(y - 1, x), (y, x - 1), (y, x + 1), (y + 1, x)]
        return [(v, u) for v, u in near if 0 <= v < rows and 0 <= u < columns]

    number = 0
    for y in range(rows):
        for x in range(columns):
            if kernels[-1, y, x] and not labels[y, x]:
                number += 1
                labels[y, x] = number
                stack = [(y, x)]
                while stack:
                    for v, u in around(*stack.pop()):
                        if kernels[-1, v, u] and not labels[v, u]:
                            labels[v, u] = number
                            stack.append((v, u))
    for kernel in kernels[count - 2 :: -1]:
        queue = deque(sorted(zip(*np.nonzero(labels), strict=True), key=lambda at: labels[at]))
        while queue:
            y, x = queue.popleft()
            for at in around(y, x):
                if kernel[at] and not labels[at]:
                    labels[at] = labels[y, x]
                    queue.append(at)
    return labels


@given(st.integers(0, 10**6), st.integers(1, 24), st.integers(1, 24), st.integers(2, 5), st.floats(0.02, 0.6))
@settings(max_examples=60)
def test_expansion_is_that_of_a_queue(seed: int, rows: int, columns: int, count: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    kernels = [rng.random((rows, columns)) < share]
    for _ in range(count - 1):
        kernels.append(kernels[-1] | (rng.random((rows, columns)) < 0.4))
    stacked = np.stack(kernels[::-1])
    np.testing.assert_array_equal(expanded(stacked), by_queue(stacked))
    # Kernels of a network need not lie in one another.
    loose = rng.random((count, rows, columns)) < 0.5
    np.testing.assert_array_equal(expanded(loose), by_queue(loose))


def test_expansion_goes_round_corners_and_parts_what_touches() -> None:
    kernels = np.zeros((2, 5, 9), np.bool_)
    kernels[0, 2] = kernels[0, :, 4] = True
    kernels[1, 2, 0] = kernels[1, 2, 8] = True
    found = expanded(kernels)
    # Both are four steps from the middle: the lower label has it, and all that hangs on it.
    assert found[2].tolist() == [1, 1, 1, 1, 1, 2, 2, 2, 2]
    assert found[:, 4].tolist() == [1] * 5
    assert not expanded(np.zeros((3, 4, 4), np.bool_)).any()


def lines() -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """90 tight lines on 960 × 960 pixels, and their maps."""
    quads = [
        np.asarray(cv2.boxPoints(((160 + column * 310, 20 + row * 31), (290, 24), 1.0)), np.float32)
        for row in range(30)
        for column in range(3)
    ]
    return quads, pse_targets(quads, [False] * 90, 960, 960).kernels * np.float32(0.98)


def test_boxes_of_drawn_maps() -> None:
    import shapely

    quads, maps = lines()
    for kind in ("quad", "poly"):
        found = pse_boxes(maps, PSEPostProcess(box_type=kind), 480, 1920)  # type: ignore[arg-type]
        assert len(found) == 90
        for quad in quads:
            shape = shapely.Polygon(quad * (2, 0.5))
            best = max(found, key=lambda one: shapely.Polygon(one.polygon).intersection(shape).area)
            other = shapely.Polygon(best.polygon)
            # Maps of a quarter of the resolution: six pixels high.
            assert shape.intersection(other).area / shape.union(other).area > 0.8
            assert best.score == pytest.approx(0.98, abs=1e-5)


def test_what_is_no_text() -> None:
    maps = np.zeros((3, 40, 40), np.float32)
    maps[:, 4:10, 4:30] = 0.9
    maps[:, 20:23, 4:9] = 0.9  # 15 pixels
    maps[:, 30:36, 4:30] = 0.7  # unsure
    maps[2, 14:17, 4:30] = 0.9  # a kernel without text
    maps[0, 4:10, 34:39] = 0.9  # text without a kernel
    [found] = pse_boxes(maps, PSEPostProcess(), 160, 160)
    assert isinstance(found, Detection)
    np.testing.assert_allclose(found.polygon, [[16, 16], [120, 16], [120, 40], [16, 40]], atol=1e-3)
    assert len(pse_boxes(maps, PSEPostProcess(min_area=15), 160, 160)) == 2
    assert len(pse_boxes(maps, PSEPostProcess(box_thresh=0.5), 160, 160)) == 2
    assert len(pse_boxes(maps, PSEPostProcess(thresh=0.95), 160, 160)) == 0


def test_expansion_is_fast_enough() -> None:
    _, maps = lines()
    best = float("inf")
    for _ in range(10):
        start = time.process_time()
        expanded(maps > 0.5)
        best = min(best, time.process_time() - start)
    assert best < 0.06


# -- training ------------------------------------------------------------------------------------------------------


def test_loss_by_hand() -> None:
    paddle = pytest.importorskip("paddle")
    from ocr.losses.det import pse_loss

    rng = np.random.default_rng(1)
    scores = rng.normal(size=(2, 3, 5, 6)).astype(np.float32)
    kernels = np.zeros((2, 3, 5, 6), np.uint8)
    kernels[0, 0, 1:4, 1:5] = kernels[0, 1, 2, 1:5] = kernels[0, 2, 2, 2:4] = 1
    counted = np.ones((2, 5, 6), np.uint8)
    counted[1, :2] = 0
    found = float(pse_loss(lambda x: paddle.to_tensor(scores), None, kernels, counted, text_weight=0.7, ohem_ratio=2.0))
    p = 1 / (1 + np.exp(-scores.astype(np.float64)))
    text, negative = kernels[:, 0] * counted, (1 - kernels[:, 0]) * counted
    hard = np.sort(p[:, 0][negative > 0])[::-1][: 2 * int(text.sum())]
    learnt = (text > 0) | ((negative > 0) & (p[:, 0] >= hard[-1]))

    def dice(a: Any, b: Any, mask: Any) -> float:
        return float(1 - 2 * (a * b)[mask].sum() / ((a * a)[mask].sum() + (b * b)[mask].sum()))

    within = ((p[:, 0] > 0.5) | (kernels[:, 0] > 0)) & (counted > 0)
    shrunk = [dice(p[:, number], kernels[:, number], within) for number in (1, 2)]
    expected = 0.7 * dice(p[:, 0], kernels[:, 0], learnt) + 0.3 * np.mean(shrunk)
    assert found == pytest.approx(expected, rel=1e-5)
    # Ignored pixels teach nothing, whatever the network says there.
    scores[1, :, :2] = 9
    again = pse_loss(lambda x: paddle.to_tensor(scores), None, kernels, counted, text_weight=0.7, ohem_ratio=2.0)
    assert float(again) == pytest.approx(found, rel=1e-6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pse")


def test_a_run_learns_and_is_exported(folder: Path, ocr: Any) -> None:
    pytest.importorskip("paddle")
    check_run(folder, "PSE", 60, 20, ocr)
    check_export(folder, "paddle")
    pytest.importorskip("paddle2onnx")
    pytest.importorskip("onnxruntime")
    check_export(folder, "onnx")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("PostProcess.box_tresh", "0.5", "PostProcess.box_tresh: unknown key; did you mean box_thresh"),
        ("PostProcess.name", "DBPostProcess", "PostProcess"),
        ("Loss.text_weight", "2", "Loss.text_weight: should be 1 or less, not 2"),
        ("Loss", "{name: DBLoss}", "DBLoss does not belong to PSE"),
        ("Architecture.Head", "{name: DBHead}", "DBHead does not make PSE"),
    ],
)
def test_sections_of_another_algorithm(key: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config("configs/det/pse.yml", [f"{key}={value}"])
