from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ocr.postprocess.ctc import greedy


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=4, max_size=4), max_size=12))
def test_greedy_is_the_plain_loop(rows: list[list[float]]) -> None:
    probabilities = np.array(rows, np.float32).reshape(-1, 4)
    classes: list[int] = []
    confidences: list[float] = []
    steps: list[int] = []
    last = 0
    for step, row in enumerate(probabilities.tolist()):
        best = row.index(max(row))
        if best and best == last:
            confidences[-1] = max(confidences[-1], row[best])
        elif best:
            classes.append(best)
            confidences.append(row[best])
            steps.append(step)
        last = best
    path = greedy(probabilities)
    assert (path.classes, path.confidences, path.steps) == (classes, confidences, steps)


def test_a_blank_parts_equal_units_and_the_score_is_their_mean() -> None:
    probabilities = np.eye(3, dtype=np.float32)[[1, 1, 0, 1, 2]] * np.array(
        [[0.5], [0.75], [1], [0.25], [0.5]], np.float32
    )
    path = greedy(probabilities)
    assert (path.classes, path.steps) == ([1, 1, 2], [0, 3, 4])
    assert path.confidences == [0.75, 0.25, 0.5]
    assert path.score == 0.5
    assert greedy(probabilities[2:3]).score == 0.0
