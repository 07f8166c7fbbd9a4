"""Decides which images each step, card and micro-batch sees.

The global batches are the same for any number of cards, accumulation steps and workers.

Changed from Paddle's `DistributedBatchSampler`: its shuffle ignores the seed and restarts after a
resume, and it pads the last batch with repeated samples.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from paddle.io import Dataset, DistributedBatchSampler

_STREAM = 0x0DE2  # separates these random numbers from other uses of the same seed


# The samples are read in order: a labelled and an unlabelled set need two epochs each.
@functools.lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, size: int) -> NDArray[np.int_]:
    """Returns the order of the samples in one epoch; it is the same on every rank."""
    return np.random.default_rng((_STREAM, seed, epoch)).permutation(size)


class TrainSampler(DistributedBatchSampler):
    """Yields one rank's micro-batches of a training run, from any step on.

    A micro-batch is a list of keys `(epoch, index)`, or `(epoch, index, repeat)`.

    The epochs' permutations form one endless stream. The global batch has `G = batch_size * ranks *
    accumulation` samples, and optimiser step `s` takes the samples `s * G ... (s + 1) * G - 1`. So
    no batch is short, padded or dropped, every sample is seen equally often, and the step alone
    tells the position. Rank `r` takes the `r`-th part of each global batch, as `accumulation`
    micro-batches.

    With `repeats` (repeated augmentation: Hoffer et al., arXiv:1901.09335, as in DeiT) a step takes
    `G / repeats` samples of the stream, rounded up. It takes all of them once, then all once more,
    and so on until the batch is full. So the repeats of a sample are far from each other, mostly on
    different cards. As in DeiT, `N` images shown of a data set of `N` are `N / repeats` different
    ones. Changed from DeiT: the stream continues from there, so every sample is still seen equally
    often. When `G` is no multiple of `repeats`, some samples of a batch come once less.

    Args:
        dataset: only its length is used.
        batch_size: images of one micro-batch on one card.
        accumulation: micro-batches of one optimiser step on one card.
        steps: optimiser steps of the whole run.
        seed: of the shuffle.
        start: the first step, for a resumed run.
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
        self.accumulation, self.repeats, self.seed = accumulation, repeats, seed
        self.start, self.steps = start, steps
        global_batch = batch_size * self.nranks * accumulation
        self.samples = -(-global_batch // repeats)  # different ones in a global batch

    def __len__(self) -> int:
        return (self.steps - self.start) * self.accumulation

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        for step in range(self.start, self.steps):
            for micro in range(self.accumulation):
                begin = (self.local_rank * self.accumulation + micro) * self.batch_size
                yield [self._key(step, place) for place in range(begin, begin + self.batch_size)]

    @property
    def epochs(self) -> range:
        """The epochs that the steps from `start` on are in."""
        size = len(self.dataset)
        first, last = self.start * self.samples, self.steps * self.samples - 1
        return range(first // size, last // size + 1)

    def _key(self, step: int, place: int) -> tuple[int, ...]:
        """Returns the key at a place in the global batch of a step."""
        repeat, offset = divmod(place, self.samples)
        epoch, position = divmod(step * self.samples + offset, len(self.dataset))
        index = int(permutation(self.seed, epoch, len(self.dataset))[position])
        return (epoch, index) if self.repeats == 1 else (epoch, index, repeat)


class ViewSampler(DistributedBatchSampler):
    """Yields the keys of all images in one view, in order; rank `r` has every `ranks`-th batch.

    The batches are the same for any number of ranks, and the last one may be short.

    Args:
        dataset: only its length is used.
        view: its epoch and, where there is one, its repeat.
        batch_size: images of a batch.
        rank: of this process; None: Paddle's.
        ranks: number of processes; None: Paddle's.
    """

    def __init__(
        self,
        dataset: Dataset,
        view: tuple[int, ...],
        batch_size: int,
        rank: int | None = None,
        ranks: int | None = None,
    ):
        super().__init__(
            dataset, batch_size, num_replicas=ranks, rank=rank, shuffle=False, drop_last=False
        )
        self.view = view

    @property
    def common_batches(self) -> int:
        """Number of batches that every rank has."""
        return -(-len(self.dataset) // self.batch_size) // self.nranks

    def __len__(self) -> int:
        return len(self._begins())

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        epoch, *repeat = self.view
        for begin in self._begins():
            end = min(begin + self.batch_size, len(self.dataset))
            yield [(epoch, index, *repeat) for index in range(begin, end)]

    def _begins(self) -> range:
        first, step = self.local_rank * self.batch_size, self.nranks * self.batch_size
        return range(first, len(self.dataset), step)


class EvalSampler(DistributedBatchSampler):
    """Yields batches of keys `(0, index)`; each sample comes exactly once over all ranks.

    No rank is padded, so some ranks may have one batch more.
    """

    def __init__(
        self, dataset: Dataset, batch_size: int, rank: int | None = None, ranks: int | None = None
    ):
        super().__init__(
            dataset, batch_size, num_replicas=ranks, rank=rank, shuffle=False, drop_last=False
        )

    @property
    def common_batches(self) -> int:
        """Number of batches that every rank has."""
        return -(-(len(self.dataset) // self.nranks) // self.batch_size)

    def _mine(self) -> range:
        return range(self.local_rank, len(self.dataset), self.nranks)

    def __len__(self) -> int:
        return -(-len(self._mine()) // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        mine = self._mine()
        for begin in range(0, len(mine), self.batch_size):
            yield [(0, index) for index in mine[begin : begin + self.batch_size]]
