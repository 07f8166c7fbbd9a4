"""Sampler arithmetic: the same global batches for every split, and every image exactly once in evaluation."""

from __future__ import annotations

import pytest

from data import EvalSampler, TrainSampler


def _global_batches(size, ranks, accumulation, batch, steps, seed=0, start=0):
    """The keys of each optimiser step, over all ranks and micro-batches, in the order of the stream."""
    samplers = [
        TrainSampler(range(size), batch, accumulation, steps, seed, start, rank=rank, ranks=ranks)
        for rank in range(ranks)
    ]
    rows = [list(sampler) for sampler in samplers]
    assert all(len(row) == len(sampler) for row, sampler in zip(rows, samplers))
    return [
        [key for row in rows for micro in row[step * accumulation : (step + 1) * accumulation] for key in micro]
        for step in range(steps - start)
    ]


@pytest.mark.parametrize(("ranks", "accumulation", "batch"), [(1, 2, 6), (2, 1, 6), (3, 1, 4), (2, 3, 2), (4, 3, 1)])
def test_any_split_has_the_same_global_batches(ranks, accumulation, batch):
    assert _global_batches(50, ranks, accumulation, batch, 13) == _global_batches(50, 1, 1, 12, 13)


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


@pytest.mark.parametrize(("size", "ranks", "batch"), [(5000, 3, 128), (10, 4, 3), (2, 3, 8), (7, 1, 7)])
def test_evaluation_sees_each_sample_once(size, ranks, batch):
    samplers = [EvalSampler(range(size), batch, rank=rank, ranks=ranks) for rank in range(ranks)]
    assert sorted(i for s in samplers for keys in s for _, i in keys) == list(range(size))
    assert [len(list(sampler)) for sampler in samplers] == [len(sampler) for sampler in samplers]
