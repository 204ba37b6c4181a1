from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ocr.postprocess.ctc import Path, align, beam, decode, decode_batch, greedy, greedy_batch, prefix_search
from ocr.spec import Decoder


def softmax(values: NDArray[np.float64]) -> NDArray[np.float32]:
    powers = np.exp(values - values.max(-1, keepdims=True))
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


def outputs(seed: int, *shape: int, sharpness: float = 1.5) -> NDArray[np.float32]:
    return softmax(np.random.default_rng(seed).normal(0, sharpness, shape))


def collapsed(alignment: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(number for number, _ in itertools.groupby(alignment) if number)


def brute_force(probabilities: NDArray[np.float32]) -> dict[tuple[int, ...], float]:
    """The probability of every text, by all alignments."""
    steps, classes = probabilities.shape
    texts: dict[tuple[int, ...], float] = defaultdict(float)
    rows = probabilities.astype(np.float64)
    for alignment in itertools.product(range(classes), repeat=steps):
        texts[collapsed(alignment)] += math.prod(rows[step, number] for step, number in enumerate(alignment))
    return texts


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


@given(st.integers(0, 2**32), st.integers(0, 5), st.integers(0, 7))
def test_a_batch_reads_as_one_by_one(seed: int, count: int, steps: int) -> None:
    # Few classes: the run at the end of one picture often goes on at the beginning of the next.
    probabilities = outputs(seed, count, steps, 3)
    assert greedy_batch(probabilities) == [greedy(picture) for picture in probabilities]


@pytest.mark.parametrize(("steps", "classes"), [(1, 4), (3, 4), (5, 3), (6, 3), (4, 5), (7, 2)])
def test_a_wide_beam_finds_every_text_and_its_probability(steps: int, classes: int) -> None:
    for seed in range(8):
        probabilities = outputs(seed, steps, classes)
        expected = brute_force(probabilities)
        found = {tuple(text): value for text, value in prefix_search(probabilities, 10_000, prune=0)}
        assert found.keys() == expected.keys()
        for text, value in found.items():
            assert value == pytest.approx(math.log(expected[text]), abs=1e-9)
        ranked = [value for _, value in prefix_search(probabilities, 10_000, prune=0)]
        assert ranked == sorted(ranked, reverse=True)
        assert tuple(beam(probabilities, 10_000).classes) == max(expected, key=lambda text: expected[text])


def test_it_finds_what_the_best_path_misses() -> None:
    # Graves (2012), figure 7.5: the best path is blank (0.36), but "a" has 0.64 in its three alignments.
    probabilities = np.array([[0.6, 0.4], [0.6, 0.4]], np.float32)
    assert greedy(probabilities).classes == []
    path = beam(probabilities, 2)
    assert path.classes == [1]
    assert path.confidences == pytest.approx([0.4])
    assert prefix_search(probabilities, 2)[0][1] == pytest.approx(math.log(0.64))


@given(st.integers(0, 2**32), st.integers(1, 4), st.sampled_from([0.0, 0.001, 0.1]))
def test_a_narrow_beam_claims_no_more_than_there_is(seed: int, width: int, prune: float) -> None:
    probabilities = outputs(seed, 5, 4, sharpness=3)
    expected = brute_force(probabilities)
    found = prefix_search(probabilities, width, prune=prune)
    assert 1 <= len(found) <= width
    assert len({tuple(text) for text, _ in found}) == len(found)
    for text, value in found:
        assert value <= math.log(expected[tuple(text)]) + 1e-6


def test_a_prefix_that_fell_out_and_came_back_is_one_text() -> None:
    for seed in range(100):
        found = prefix_search(outputs(seed, 20, 3, sharpness=2), 8)
        assert len({tuple(text) for text, _ in found}) == len(found)


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_the_alignment_is_the_likeliest(seed: int, steps: int) -> None:
    probabilities = outputs(seed, steps, 3)
    best: dict[tuple[int, ...], float] = defaultdict(float)
    rows = probabilities.astype(np.float64)
    for alignment in itertools.product(range(3), repeat=steps):
        chance = math.prod(rows[step, number] for step, number in enumerate(alignment))
        best[collapsed(alignment)] = max(best[collapsed(alignment)], chance)
    for text, chance in best.items():
        path = align(probabilities, list(text))
        assert collapsed(tuple(path.tolist())) == text
        assert math.prod(rows[np.arange(steps), path]) == pytest.approx(chance)


def test_confidences_are_those_of_greedy_where_both_read_the_same() -> None:
    same = 0
    for seed in range(200):
        probabilities = outputs(seed, 12, 5, sharpness=4)
        by_beam, by_greedy = beam(probabilities, 8), greedy(probabilities)
        if by_beam.classes == by_greedy.classes:
            same += 1
            assert by_beam == by_greedy
            assert align(probabilities, by_greedy.classes).tolist() == probabilities.argmax(1).tolist()
        else:
            assert len(by_beam.steps) == len(by_beam.confidences) == len(by_beam.classes)
            assert by_beam.steps == sorted(set(by_beam.steps))
            assert all(0 < confidence <= 1 for confidence in by_beam.confidences)
    assert 0 < same < 200


def test_what_cannot_be_aligned_is_refused() -> None:
    with pytest.raises(ValueError, match="2 units cannot be aligned with 2 time steps"):
        align(outputs(0, 2, 3), [1, 1])
    with pytest.raises(ValueError, match="1 units cannot"):
        align(np.array([[1, 0]], np.float32), [1])


def test_certain_outputs_and_no_outputs() -> None:
    probabilities = np.eye(4, dtype=np.float32)[[1, 1, 0, 1, 2, 0, 3]]
    assert prefix_search(probabilities, 5) == [([1, 1, 2, 3], 0.0)]
    assert beam(probabilities, 5) == greedy(probabilities) == Path([1, 1, 2, 3], [1.0] * 4, [0, 3, 4, 6])
    nothing = np.zeros((0, 4), np.float32)
    assert beam(nothing, 3) == greedy(nothing) == Path([], [], [])
    assert greedy_batch(np.zeros((2, 0, 4), np.float32)) == [Path([], [], [])] * 2


def test_the_likeliest_class_is_followed_where_all_are_rare() -> None:
    probabilities = softmax(np.concatenate([np.zeros(5000), [0.5]])[None])
    assert prefix_search(probabilities, 3)[0][0] == [5000]


def test_the_decoder_chooses() -> None:
    probabilities = np.array([[0.6, 0.4], [0.6, 0.4]], np.float32)
    assert decode(probabilities, Decoder()).classes == []
    assert decode(probabilities, Decoder(beam=5)).classes == [1]
    both = np.stack([probabilities, probabilities[:, ::-1]])
    assert [path.classes for path in decode_batch(both, Decoder())] == [[], [1]]
    assert [path.classes for path in decode_batch(both, Decoder(beam=5))] == [[1], [1]]
