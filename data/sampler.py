"""Which samples go where: the same global batches however many cards, accumulation steps and
workers share them.

Changed from Paddle's `DistributedBatchSampler`, whose shuffle ignores the seed, restarts after a
resume, and pads the last batch with repeated samples.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from paddle.io import Dataset, DistributedBatchSampler

_STREAM = 0x0DE2  # tells these random numbers from those of other uses of the same seed


def permutation(seed: int, epoch: int, size: int) -> np.ndarray:
    """The order of the samples in one epoch: a function of its arguments, the same on every
    rank.
    """
    return np.random.default_rng((_STREAM, seed, epoch)).permutation(size)


class TrainSampler(DistributedBatchSampler):
    """Micro-batches of keys `(epoch, index)`, or `(epoch, index, repeat)`, for one rank, from any
    step on.

    The epochs' permutations are joined into one endless stream, and optimiser step `s` takes its
    samples `s * G ... (s + 1) * G - 1`, where `G = batch_size * ranks * accumulation` is the global
    batch. So no batch is short, padded or dropped, every sample is seen equally often, and the
    position is the step alone. Of each global batch, rank `r` takes the `r`-th part, as
    `accumulation` micro-batches.

    With `repeats` (repeated augmentation: Hoffer et al., arXiv:1901.09335, as in DeiT) a step takes
    `G / repeats` samples of the stream, rounded up, all of them once, then all once more, and so on
    until the batch is full: the repeats of a sample are far from each other, mostly on different
    cards. As in DeiT, as many images as the data set has show `1 / repeats` of its samples; changed
    from it, the stream goes on from there, so that every sample is still seen equally often (where
    G is a multiple of the repeats; else some come once less).

    Args:
        dataset: sized.
        batch_size: images of one micro-batch on one card.
        accumulation: micro-batches of one optimiser step on one card.
        steps: optimiser steps of the whole run.
        seed: of the shuffle.
        start: the step to begin with, for a resumed run.
        repeats: how often a sample comes in its global batch.
        rank: of this process; None: Paddle's.
        ranks: number of processes; None: Paddle's.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        accumulation: int,
        steps: int,
        seed: int,
        start: int = 0,
        repeats: int = 1,
        rank: int | None = None,
        ranks: int | None = None,
    ):
        super().__init__(
            dataset, batch_size, num_replicas=ranks, rank=rank, shuffle=True, drop_last=True
        )
        self.accumulation = accumulation
        self.steps = steps
        self.seed = seed
        self.start = start
        self.repeats = repeats
        self.global_batch = batch_size * self.nranks * accumulation
        self.samples = -(-self.global_batch // repeats)  # different ones in a global batch

    def __len__(self) -> int:
        return (self.steps - self.start) * self.accumulation

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        size, samples = len(self.dataset), self.samples
        orders: dict[int, np.ndarray] = {}
        for step in range(self.start, self.steps):
            first = step * samples
            epochs = range(first // size, (first + samples - 1) // size + 1)
            orders = {
                epoch: orders[epoch] if epoch in orders else permutation(self.seed, epoch, size)
                for epoch in epochs
            }
            for micro in range(self.accumulation):
                begin = (self.local_rank * self.accumulation + micro) * self.batch_size
                yield [
                    self._key(first, place, orders)
                    for place in range(begin, begin + self.batch_size)
                ]

    def _key(self, first: int, place: int, orders: dict[int, np.ndarray]) -> tuple[int, ...]:
        """What is at a place in the global batch whose first sample is at `first` in the stream."""
        repeat, offset = divmod(place, self.samples)
        epoch, position = divmod(first + offset, len(self.dataset))
        index = int(orders[epoch][position])
        return (epoch, index) if self.repeats == 1 else (epoch, index, repeat)


class EvalSampler(DistributedBatchSampler):
    """Batches of keys `(0, index)` in which every sample comes exactly once over all ranks; no rank
    is padded.
    """

    def __init__(
        self, dataset: Dataset, batch_size: int, rank: int | None = None, ranks: int | None = None
    ):
        super().__init__(
            dataset, batch_size, num_replicas=ranks, rank=rank, shuffle=False, drop_last=False
        )

    @property
    def common_batches(self) -> int:
        """The batches that every rank has: some may have one more."""
        return -(-(len(self.dataset) // self.nranks) // self.batch_size)

    def _mine(self) -> range:
        return range(self.local_rank, len(self.dataset), self.nranks)

    def __len__(self) -> int:
        return -(-len(self._mine()) // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        mine = self._mine()
        for begin in range(0, len(mine), self.batch_size):
            yield [(0, index) for index in mine[begin : begin + self.batch_size]]
