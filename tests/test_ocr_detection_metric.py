"""Detection figures on cases worked out by hand after the ICDAR 2015 protocol."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ocr.metrics.detection import DetectionMetric


def box(left: float, top: float, right: float, bottom: float) -> NDArray[np.float32]:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def test_one_of_three_is_found_and_one_find_is_wrong() -> None:
    metric = DetectionMetric()
    page = metric.add(
        [box(0, 0, 10, 10), box(100, 100, 120, 110)],
        [box(0, 0, 10, 10), box(20, 0, 30, 10), box(40, 0, 50, 10)],
        ["a", "b", "c"],
        key="p",
    )
    assert (page.matches, page.missed, page.wrong) == ([(0, 0)], [1, 2], [1])
    result = metric.result()
    assert result["precision"] == pytest.approx(1 / 2) and result["recall"] == pytest.approx(1 / 3)
    assert result["hmean"] == pytest.approx(0.4) and "e2e_hmean" not in result


def test_the_overlap_must_be_above_one_half() -> None:
    # two boxes of 10 × 10 shifted by s: (10 - s) / (10 + s); one half at s = 10 / 3
    for shift, hits in ((3.3, 1), (3.4, 0)):
        metric = DetectionMetric()
        assert len(metric.add([box(shift, 0, 10 + shift, 10)], [box(0, 0, 10, 10)], ["a"], key="p").matches) == hits
    metric = DetectionMetric()
    metric.add([box(0, 0, 5, 10)], [box(0, 0, 10, 10)], ["a"], key="exactly a half")
    assert metric.result()["hmean"] == 0


def test_ignored_texts_count_neither_for_nor_against() -> None:
    metric = DetectionMetric()
    page = metric.add(
        [box(0, 0, 10, 10), box(22, 2, 28, 8), box(27, 0, 37, 10), box(60, 0, 70, 10)],
        [box(0, 0, 10, 10), box(20, 0, 30, 10)],
        ["a", "###"],
        key="p",
    )
    # the second lies in the ignored one; of the third only three tenths do; the fourth lies nowhere
    assert (page.found, page.labelled, page.wrong, page.missed) == (3, 1, [2, 3], [])
    assert metric.result()["precision"] == pytest.approx(1 / 3) and metric.result()["recall"] == 1


def test_a_text_is_matched_once() -> None:
    metric = DetectionMetric()
    page = metric.add([box(0, 0, 10, 10), box(0, 0, 10, 9)], [box(0, 0, 10, 10)], ["a"], key="p")
    assert page.matches == [(0, 0)] and page.wrong == [1]
    # and one find matches one text
    page = metric.add([box(0, 0, 10, 10)], [box(0, 0, 10, 9), box(0, 1, 10, 10)], ["a", "b"], key="q")
    assert page.matches == [(0, 0)] and page.missed == [1]


def test_pictures_add_up() -> None:
    metric = DetectionMetric()
    metric.add([box(0, 0, 10, 10)], [box(0, 0, 10, 10)], ["a"], key="p")
    metric.add([], [box(0, 0, 10, 10)] * 3, ["a"] * 3, key="q")
    metric.add([box(0, 0, 10, 10)], [], [], key="r")
    result = metric.result()
    assert result["precision"] == pytest.approx(1 / 2) and result["recall"] == pytest.approx(1 / 4)


def test_nothing_at_all_is_no_success() -> None:
    assert DetectionMetric().result() == {"precision": 0, "recall": 0, "hmean": 0}
    metric = DetectionMetric()
    metric.add([], [], [], key="an empty page")
    assert metric.result()["hmean"] == 0


def test_texts_are_compared_where_boxes_match() -> None:
    for fold, right in ((True, 2), (False, 1)):
        metric = DetectionMetric(fold_case=fold)
        page = metric.add(
            [box(0, 0, 10, 10), box(20, 0, 30, 10), box(40, 0, 50, 10), box(80, 0, 90, 10)],
            [box(0, 0, 10, 10), box(20, 0, 30, 10), box(40, 0, 50, 10)],
            ["One", "TWO", "three"],
            key="p",
            read=["One", "two", "tree", "four"],
        )
        assert page.read == right
        result = metric.result()
        assert result["e2e_recall"] == pytest.approx(right / 3) and result["e2e_precision"] == pytest.approx(right / 4)
        assert result["recall"] == 1


def test_turned_and_crossing_polygons() -> None:
    diamond = np.array([[10, 0], [20, 10], [10, 20], [0, 10]], np.float32)
    metric = DetectionMetric()
    assert metric.add([diamond[::-1].copy()], [diamond], ["a"], key="p").matches == [(0, 0)]
    # a bow tie covers its two triangles: half of the square
    bow = np.array([[0, 0], [10, 10], [10, 0], [0, 10]], np.float32)
    assert metric.add([bow], [box(0, 0, 10, 10)], ["a"], key="q").matches == []
    assert metric.add([bow], [bow], ["a"], key="r").matches == [(0, 0)]
