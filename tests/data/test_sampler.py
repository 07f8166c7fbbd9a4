"""The same global batches for every split, and every image exactly once in evaluation."""

from __future__ import annotations

import collections

import pytest

from data import EvalSampler, TrainSampler, ViewSampler
from data.sampler import permutation


def _global_batches(size, ranks, accumulation, batch, steps, seed=0, start=0, repeats=1):
    """Returns the keys of each optimiser step, over all ranks, in the order of the stream."""
    samplers = [
        TrainSampler(
            range(size), batch, accumulation, steps, seed, start, repeats, rank=rank, ranks=ranks
        )
        for rank in range(ranks)
    ]
    rows = [list(sampler) for sampler in samplers]
    assert all(len(row) == len(sampler) for row, sampler in zip(rows, samplers))
    return [
        [
            key
            for row in rows
            for micro in row[step * accumulation : (step + 1) * accumulation]
            for key in micro
        ]
        for step in range(steps - start)
    ]


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize(
    ("ranks", "accumulation", "batch"), [(1, 2, 6), (2, 1, 6), (3, 1, 4), (2, 3, 2), (4, 3, 1)]
)
def test_any_split_has_the_same_global_batches(ranks, accumulation, batch, repeats):
    whole = _global_batches(50, 1, 1, 12, 13, repeats=repeats)
    assert _global_batches(50, ranks, accumulation, batch, 13, repeats=repeats) == whole


def test_the_stream_is_that_of_the_permutations():
    stream = [(epoch, int(index)) for epoch in range(4) for index in permutation(7, epoch, 50)]
    assert [key for batch in _global_batches(50, 2, 2, 3, 16, seed=7) for key in batch] == stream[
        :192
    ]


@pytest.mark.parametrize("repeats", [2, 3, 4])
def test_repeats_are_in_the_same_global_batch(repeats):
    steps = _global_batches(50, 2, 2, 3, 60, repeats=repeats)
    for batch in steps:
        seen = collections.Counter(index for _, index, _ in batch)
        # An image may come again in the next epoch, so images are told apart with their epoch.
        assert len({key[:2] for key in batch}) == 12 // repeats
        assert all(count % repeats == 0 for count in seen.values())
        assert len(set(batch)) == 12  # each with an augmentation of its own
        assert {key[2] for key in batch} == set(range(repeats))
    once = [key for batch in steps for key in batch if key[2] == 0]
    assert [key[:2] for key in once] == [
        key for batch in _global_batches(50, 1, 1, 12 // repeats, 60) for key in batch
    ]


def test_a_batch_that_is_no_multiple_of_the_repeats():
    """As DeiT's 1024 images of three repeats: the last samples come once less.

    The next batch has other samples.
    """
    first, second = _global_batches(50, 1, 1, 10, 2, repeats=3)
    assert collections.Counter(key[:2] for key in first) == {
        key[:2]: 3 - (place > 1) for place, key in enumerate(first[:4])
    }
    assert not {key[:2] for key in first} & {key[:2] for key in second}
    assert len(set(first)) == 10


def test_an_epoch_of_repeats_shows_a_part_and_in_the_long_run_all_alike():
    steps = _global_batches(48, 1, 1, 12, 12, repeats=3)
    # 48 images are seen, a third of them different.
    assert len({key[:2] for batch in steps[:4] for key in batch}) == 16
    counts = collections.Counter(index for batch in steps for _, index, _ in batch)
    assert counts == dict.fromkeys(range(48), 3)


def test_repeats_go_to_different_cards():
    samplers = [
        TrainSampler(range(50), 6, 1, 1, 0, repeats=2, rank=rank, ranks=2) for rank in range(2)
    ]
    first, second = (next(iter(sampler)) for sampler in samplers)
    assert [key[:2] for key in first] == [key[:2] for key in second]
    assert {key[2] for key in first} == {0}


def test_every_epoch_has_every_sample_once():
    keys = [key for batch in _global_batches(50, 2, 1, 5, 20) for key in batch]
    assert len(keys) == 200
    for epoch in range(4):
        assert sorted(index for e, index in keys if e == epoch) == list(range(50))
    orders = [[index for e, index in keys if e == epoch] for epoch in (0, 1)]
    assert orders[0] != orders[1]


def test_epoch_boundary_inside_a_batch():
    keys = [key for batch in _global_batches(10, 1, 1, 7, 10) for key in batch]
    assert [sum(epoch == e for epoch, _ in keys) for e in range(7)] == [10] * 7


def test_position_is_resumable_and_seed_matters():
    whole = _global_batches(50, 2, 2, 3, 13)
    assert _global_batches(50, 2, 2, 3, 13, start=9) == whole[9:]
    assert _global_batches(50, 2, 2, 3, 13, seed=1) != whole
    repeated = _global_batches(50, 2, 2, 3, 13, repeats=2)
    assert _global_batches(50, 2, 2, 3, 13, start=9, repeats=2) == repeated[9:]


@pytest.mark.parametrize(
    ("size", "ranks", "batch"), [(5000, 3, 128), (10, 4, 3), (2, 3, 8), (7, 1, 7)]
)
def test_evaluation_sees_each_sample_once(size, ranks, batch):
    samplers = [EvalSampler(range(size), batch, rank=rank, ranks=ranks) for rank in range(ranks)]
    assert sorted(i for s in samplers for keys in s for _, i in keys) == list(range(size))
    assert [len(list(sampler)) for sampler in samplers] == [len(sampler) for sampler in samplers]
    assert samplers[0].common_batches == min(len(sampler) for sampler in samplers)


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_a_view_has_the_same_batches_on_any_number_of_ranks(ranks):
    samplers = [ViewSampler(range(50), (2, 1), 12, rank, ranks) for rank in range(ranks)]
    rows = [[*sampler] for sampler in samplers]
    assert [len(sampler) for sampler in samplers] == [len(row) for row in rows]
    assert {sampler.common_batches for sampler in samplers} == {min(map(len, rows))}
    batches = sorted(batch for row in rows for batch in row)
    assert [len(batch) for batch in batches] == [12, 12, 12, 12, 2]
    assert [key for batch in batches for key in batch] == [(2, index, 1) for index in range(50)]


@pytest.mark.parametrize(("start", "repeats"), [(0, 1), (5, 1), (16, 1), (0, 3), (5, 3)])
def test_the_epochs_of_a_run(start, repeats):
    batches = _global_batches(50, 2, 2, 3, 25, start=start, repeats=repeats)
    epochs = TrainSampler(range(50), 3, 2, 25, 0, start, repeats, rank=0, ranks=2).epochs
    assert {key[0] for batch in batches for key in batch} == {*epochs}
