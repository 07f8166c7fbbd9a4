"""The random numbers of dropout: a function of seed and step, so that none of them needs to be
saved.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import paddle

import models
from engine import distributed

_STREAM = 0xD80F  # tells these random numbers from those of other uses of the same seed


def _seed(*key: int) -> None:
    paddle.seed(int(np.random.SeedSequence((_STREAM, *key)).generate_state(1)[0]))


@contextlib.contextmanager
def noise(config, step: int, micro_batch: int) -> Iterator[None]:
    """The context of one forward and backward pass.

    On a CPU each image has the masks of its place in the global batch, however cards and
    accumulation share it. On a GPU, where the masks are Paddle's own, every card and micro-batch
    has a seed of its own.

    Args:
        config: a whole config.
        step: number of optimiser steps before this one.
        micro_batch: number of this card's micro-batches before this one in the step.
    """
    if paddle.get_device() != "cpu":
        _seed(config.seed, step, place_in_step(config, micro_batch))
        yield
        return
    _seed(config.seed, step)
    with models.batch_rows(*rows_in_step(config, step, micro_batch)):
        yield


def rows_in_step(config, step: int, micro_batch: int) -> list[range]:
    """The places in the global batch of a micro-batch's images: those with labels, and those
    without, if they pass.
    """
    train, place = config.train, place_in_step(config, micro_batch)
    micro_batches = distributed.world_size() * train.accumulation_steps
    labelled, unlabelled = train.batch_size, config.rdrop.unlabelled_batch_size
    rows = [range(place * labelled, (place + 1) * labelled)]
    if unlabelled and is_rdrop_step(config, step):
        first = micro_batches * labelled + place * unlabelled
        rows.append(range(first, first + unlabelled))
    return rows


def place_in_step(config, micro_batch: int) -> int:
    """The number of a micro-batch of this card among those of all cards in a step."""
    return distributed.rank() * config.train.accumulation_steps + micro_batch


def is_rdrop_step(config, step: int) -> bool:
    """Whether the images pass several times in this step, or once for cross-entropy alone."""
    return config.rdrop.copies > 1 and step % config.rdrop.every_steps == 0
