from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.errors import ScriptoriumError
from ocr.config import Sampler
from ocr.data.sampler import CHUNK, Endless, MixedBatch, Passes, Plan, Ratio, Stream, build_plan

SIZES = {"real": 1000, "synth": 12_345, "few": 7}


def passes(size: int, number: int = 0, seed: int = 0) -> Passes:
    """A source of which a third is dropped: indexes are 0, 1, 3, 4, 6, …"""
    indexes = np.arange(size) // 2 * 3 + np.arange(size) % 2
    widths = np.random.default_rng((seed, number)).integers(16, 320, size)
    return Passes(indexes, widths, seed, number)


def mixed(counts: list[int], rank: int = 0, size: int = 1, heights: tuple[int, ...] = (32,), seed: int = 0) -> Plan:
    streams = [passes(length, number, seed) for number, length in enumerate(SIZES.values())]
    return MixedBatch(streams, counts, 50, heights, seed, rank, size)


def drawn(plan: Plan, step: int) -> list[tuple[int, int]]:
    return [(draw.source, draw.index) for draw in plan.batch(step).draws]


def test_counts_are_exact_over_ten_thousand_batches() -> None:
    plan = mixed([5, 10, 1])
    seen: list[Counter[int]] = [Counter(), Counter(), Counter()]
    for step in range(10_000):
        draws = plan.batch(step).draws
        assert [draw.source for draw in draws] == [0] * 5 + [1] * 10 + [2]
        for draw in draws:
            seen[draw.source][draw.index] += 1
    for count, size, counted in zip((5, 10, 1), SIZES.values(), seen, strict=True):
        whole, rest = divmod(10_000 * count, size)
        assert len(counted) == size
        # The last pass may stand anywhere within the chunk under way.
        assert set(counted.values()) <= {whole - 1, whole, whole + 1, whole + 2}
        assert counted.total() == whole * size + rest


def test_each_pass_goes_through_the_whole_source_in_an_order_of_its_own() -> None:
    stream = passes(1000)
    everything = sorted(stream.stretch(0, 1000)[0])
    first, second = stream.stretch(0, 1000)[0], stream.stretch(1000, 2000)[0]
    assert sorted(second) == everything == sorted(np.arange(1000) // 2 * 3 + np.arange(1000) % 2)
    assert (first != second).any()
    across = stream.stretch(700, 2300)[0]
    np.testing.assert_array_equal(across, np.concatenate([stream.stretch(i, i + 1)[0] for i in range(700, 2300)]))


def test_chunks_that_fill_passes_draw_every_sample_equally_often() -> None:
    count, size = 5, 4 * CHUNK * 5
    plan = MixedBatch([passes(size)], [count], 50, (32,), 3)
    counted = Counter(draw for step in range(3 * 4 * CHUNK) for draw in drawn(plan, step))
    assert len(counted) == size
    assert set(counted.values()) == {3}


def ratio(rank: int = 0, size: int = 1, heights: tuple[int, ...] = (32,), seed: int = 0) -> Plan:
    streams = [passes(length, number, seed) for number, length in enumerate(SIZES.values())]
    return Ratio(streams, [500, 800, 14], 12, heights, seed, rank, size)


@pytest.mark.parametrize("make", [lambda **k: mixed([5, 10, 1], **k), ratio], ids=["mixed", "ratio"])
@given(seed=st.integers(0, 2**31 - 1), steps=st.lists(st.integers(0, 3000), min_size=1, max_size=8))
@settings(max_examples=15, deadline=None)
def test_a_batch_is_a_pure_function_of_seed_and_step(make: Any, seed: int, steps: list[int]) -> None:
    plan = make(seed=seed)
    found = [plan.batch(step) for step in steps]
    assert [make(seed=seed).batch(step) for step in steps] == found
    assert [plan.batch(step) for step in reversed(steps)] == found[::-1]
    assert any(make(seed=seed + 1).batch(step) != batch for step, batch in zip(steps, found, strict=True))


@pytest.mark.parametrize("make", [lambda **k: mixed([5, 10, 1], **k), ratio], ids=["mixed", "ratio"])
@pytest.mark.parametrize("size", [2, 3])
def test_processes_share_the_joint_batch(make: Any, size: int) -> None:
    ranks = [make(rank=rank, size=size) for rank in range(size)]
    if isinstance(ranks[0], MixedBatch):
        joint: Plan = mixed([5 * size, 10 * size, size])
    else:
        streams = [passes(length, number) for number, length in enumerate(SIZES.values())]
        joint = Ratio(streams, [500, 800, 14], 12 * size, (32,), 0)
    for step in (*range(70), 500):
        parts = [drawn(plan, step) for plan in ranks]
        assert {len(part) for part in parts} == {len(parts[0])}
        assert Counter(draw for part in parts for draw in part) == Counter(drawn(joint, step))


def test_processes_draw_no_sample_twice_in_a_pass() -> None:
    size = 2 * CHUNK * 5 * 2
    plans = [MixedBatch([passes(size)], [5], 50, (32,), 0, rank, 2) for rank in range(2)]
    parts = [{draw for step in range(2 * CHUNK) for draw in drawn(plan, step)} for plan in plans]
    assert not parts[0] & parts[1]
    assert len(parts[0]) == len(parts[1]) == size // 2


def spread(plan: Plan, widths: np.ndarray[Any, Any], steps: int) -> float:
    """Padding as a share of the pixels where each batch has the width of its widest."""
    batches = [widths[[draw.index for draw in plan.batch(step).draws]] for step in range(steps)]
    return 1 - sum(batch.sum() for batch in batches) / sum(batch.max() * len(batch) for batch in batches)


def test_widths_within_a_batch_are_alike() -> None:
    rng = np.random.default_rng(1)
    widths = rng.integers(16, 320, 6400)
    one = Passes(np.arange(6400), widths, 0, 0)
    at_random = 1 - widths.mean() / np.mean([rng.choice(widths, 64).max() for _ in range(1000)])
    assert at_random > 0.4
    assert spread(MixedBatch([one], [64], 100, (32,), 0), widths, 96) < 0.05
    assert spread(Ratio([one], [6400], 64, (32,), 0), widths, 96) < 0.05
    # The wide ones do not come together in time.
    batches = [
        widths[[draw.index for draw in MixedBatch([one], [64], 100, (32,), 0).batch(s).draws]] for s in range(96)
    ]
    means = np.array([batch.mean() for batch in batches])
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.4


def test_processes_get_batches_of_like_width() -> None:
    widths = np.random.default_rng(1).integers(16, 320, 6400)
    one = Passes(np.arange(6400), widths, 0, 0)
    ranks = [MixedBatch([one], [64], 100, (32,), 0, rank, 2) for rank in range(2)]
    widest = np.array(
        [[widths[[d.index for d in plan.batch(step).draws]].max() for plan in ranks] for step in range(96)]
    )
    assert np.abs(widest[:, 0] - widest[:, 1]).max() <= 4


def test_heights_take_turns_anew_in_each_epoch_and_alike_in_all_processes() -> None:
    heights = (24, 32, 48)
    plan, other = (mixed([5, 10, 1], rank=rank, size=2, heights=heights) for rank in range(2))
    epochs = [[plan.batch(epoch * 50 + step).height for step in range(50)] for epoch in range(4)]
    for epoch, found in enumerate(epochs):
        assert [other.batch(epoch * 50 + step).height for step in range(50)] == found
        counts = Counter(found)
        assert set(counts) == set(heights)
        assert max(counts.values()) - min(counts.values()) <= 1
    assert len(set(map(tuple, epochs))) == 4


@pytest.mark.parametrize(("sizes", "shares"), [((1000, 1000), (300, 700)), ((400, 200), (300, 700))])
def test_ratios_of_a_fixed_epoch(sizes: tuple[int, int], shares: tuple[int, int]) -> None:
    sampler = Sampler(name="Ratio", ratio_list=(0.3, 0.7), epoch_size=1000)
    plan = build_plan(sampler, ["a", "b"], [passes(size, n) for n, size in enumerate(sizes)], 10, 32, 0)
    assert plan.steps_per_epoch == 100
    for epoch in range(2):
        draws = [draw for step in range(100) for draw in drawn(plan, epoch * 100 + step)]
        assert Counter(source for source, _ in draws) == Counter({0: shares[0], 1: shares[1]})
        # Of the larger source other ones each time; of the smaller one some more than once.
        for source in (0, 1):
            counts = Counter(index for number, index in draws if number == source)
            assert max(counts.values()) - min(counts.values()) <= 1


def test_ratios_as_shares_of_each_source() -> None:
    sampler = Sampler(name="Ratio", ratio_list=(0.5, 1.0, 2.5))
    streams = [passes(size, number) for number, size in enumerate((400, 300, 80))]
    plan = build_plan(sampler, ["a", "b", "c"], streams, 7, 32, 0)
    assert isinstance(plan, Ratio)
    assert plan.shares == (200, 300, 200)
    assert (plan.steps_per_epoch, plan.left_out) == (100, 0)
    epochs = [Counter(draw for step in range(100) for draw in drawn(plan, e * 100 + step)) for e in range(2)]
    for epoch in epochs:
        assert Counter({n: sum(c for (m, _), c in epoch.items() if m == n) for n in range(3)}) == {
            0: 200,
            1: 300,
            2: 200,
        }
        assert {count for (number, _), count in epoch.items() if number == 1} == {1}
        assert {count for (number, _), count in epoch.items() if number == 2} == {2, 3}
    both = epochs[0] + epochs[1]
    assert sorted(index for number, index in both if number == 0) == sorted(streams[0].stretch(0, 400)[0])
    assert {count for (number, _), count in both.items() if number == 0} == {1}
    assert {count for (number, _), count in both.items() if number == 2} == {5}


@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4),
    ratios=st.lists(st.floats(0, 3), min_size=4, max_size=4),
    batch=st.integers(1, 20),
    epoch=st.integers(0, 500),
    world=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_ratio_properties(sizes: list[int], ratios: list[float], batch: int, epoch: int, world: int) -> None:
    ratios = ratios[: len(sizes)]
    if not sum(ratios) > 1e-6:
        ratios[0] = 1.0
    sampler = Sampler(name="Ratio", ratio_list=tuple(ratios), epoch_size=epoch)
    streams: list[Stream] = [passes(size, number) for number, size in enumerate(sizes)]
    names = list("abcd"[: len(sizes)])
    try:
        plans = [build_plan(sampler, names, streams, batch, 32, 5, rank=rank, size=world) for rank in range(world)]
    except ScriptoriumError:
        least = epoch or sum(size * ratio for size, ratio in zip(sizes, ratios, strict=True))
        assert least < batch * world + len(sizes)
        return
    plan = plans[0]
    assert isinstance(plan, Ratio)
    for share, size, part in zip(plan.shares, sizes, ratios, strict=True):
        wanted = epoch * part / sum(ratios) if epoch else size * part
        assert abs(share - wanted) <= 1
    if epoch:
        assert sum(plan.shares) == epoch
    for first in (0, 7 * plan.steps_per_epoch):
        counted: Counter[tuple[int, int]] = Counter()
        for step in range(first, first + plan.steps_per_epoch):
            for other in plans:
                draws = drawn(other, step)
                assert len(draws) == batch
                counted.update(draws)
        assert counted.total() == sum(plan.shares) - plan.left_out
        assert 0 <= plan.left_out < batch * world
        for number, (share, size) in enumerate(zip(plan.shares, sizes, strict=True)):
            most = max((count for (source, _), count in counted.items() if source == number), default=0)
            assert most <= -(-share // size) + 1


@given(
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=3),
    counts=st.lists(st.integers(1, 9), min_size=3, max_size=3),
    world=st.integers(1, 3),
    step=st.integers(0, 5000),
)
@settings(max_examples=60, deadline=None)
def test_mixed_batch_properties(sizes: list[int], counts: list[int], world: int, step: int) -> None:
    counts = counts[: len(sizes)]
    streams = [passes(size, number) for number, size in enumerate(sizes)]
    plans = [MixedBatch(streams, counts, 9, (16, 32), 1, rank, world) for rank in range(world)]
    parts = [plan.batch(step) for plan in plans]
    assert len({part.height for part in parts}) == 1
    for part in parts:
        assert Counter(draw.source for draw in part.draws) == Counter(dict(enumerate(counts)))
    # A chunk of all processes together is a stretch of each stream.
    start = step // CHUNK * CHUNK
    chunk = Counter(draw for at in range(start, start + CHUNK) for plan in plans for draw in drawn(plan, at))
    for number, (stream, count) in enumerate(zip(streams, counts, strict=True)):
        expected = stream.stretch(start * count * world, (start + CHUNK) * count * world)[0]
        assert Counter({index: c for (source, index), c in chunk.items() if source == number}) == Counter(expected)


def test_a_live_source_runs_on_and_is_sorted_by_the_length_of_its_texts() -> None:
    lengths = np.random.default_rng(0).integers(1, 25, 4096)
    plan = MixedBatch([Endless(lambda index: int(lengths[index]))], [16], 10, (32,), 0)
    indexes = [draw.index for step in range(4 * CHUNK) for draw in plan.batch(step).draws]
    assert sorted(indexes) == list(range(4 * CHUNK * 16))
    within = np.mean([np.ptp(lengths[[draw.index for draw in plan.batch(step).draws]]) for step in range(4 * CHUNK)])
    assert within < 2


def test_easy_first_sorts_the_beginning_of_the_first_pass_alone() -> None:
    rng = np.random.default_rng(2)
    widths = rng.integers(16, 320, 4000)
    plain, easy = (Passes(np.arange(4000), widths, 0, 0, first) for first in (0, 1500))
    begun = easy.stretch(0, 1500)[0]
    assert (np.diff(widths[begun]) >= 0).all()
    assert sorted(begun) == sorted(plain.stretch(0, 1500)[0])
    np.testing.assert_array_equal(easy.stretch(1500, 12_000)[0], plain.stretch(1500, 12_000)[0])


def test_the_length_of_an_epoch() -> None:
    names, streams = ["real", "synth"], [passes(1000, 0), passes(3000, 1)]
    one = build_plan(Sampler(), ["real"], streams[:1], 64, 32, 0)
    assert isinstance(one, MixedBatch) and one.counts == (64,) and one.steps_per_epoch == 1000 // 64
    both = build_plan(Sampler(mix={"synth": 3, "real": 1}), names, streams, 64, 32, 0)
    assert isinstance(both, MixedBatch) and both.counts == (16, 48) and both.steps_per_epoch == 62
    assert build_plan(Sampler(), ["real"], streams[:1], 64, 32, 0, size=2).steps_per_epoch == 1000 // 128
    sized = Sampler(mix={"synth": 3, "real": 1}, epoch_size=6400)
    assert build_plan(sized, names, streams, 64, 32, 0, size=2).steps_per_epoch == 50
    live: list[Stream] = [Endless(lambda index: 1)]
    assert build_plan(Sampler(epoch_size=640), ["live"], live, 64, 32, 0).steps_per_epoch == 10
    with pytest.raises(ScriptoriumError, match=r"Train\.sampler\.epoch_size: is missing"):
        build_plan(Sampler(), ["live"], live, 64, 32, 0)
    with pytest.raises(ScriptoriumError, match="an epoch has 50 samples, less than a batch of 64"):
        build_plan(Sampler(name="Ratio", ratio_list=(0.05,)), ["real"], streams[:1], 64, 32, 0)
