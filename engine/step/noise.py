"""The random numbers of dropout as a function of seed and step: nothing to save.

Also the places of the images in the global batch, by which the numbers are drawn.
"""

import contextlib
from collections.abc import Iterator

import numpy as np
import paddle
from ml_collections import ConfigDict

import models
from engine import distributed

_STREAM = 0xD80F  # tells these random numbers from those of other uses of the same seed


@contextlib.contextmanager
def noise(config: ConfigDict, step: int, micro_batch: int) -> Iterator[None]:
    """A context for one forward and backward pass, which decides its dropout masks.

    On a CPU each image has the masks of its place in the global batch: they do not depend on how
    cards and accumulation share the batch. On a GPU the masks are Paddle's own, and every card and
    micro-batch has its own seed.

    Args:
        config: a whole config.
        step: number of optimiser steps before this one.
        micro_batch: number of this card's micro-batches before this one in the step.
    """
    on_cpu = paddle.get_device() == "cpu"
    place = () if on_cpu else (place_in_step(config, micro_batch),)
    seeds = np.random.SeedSequence((_STREAM, config.seed, step, *place))
    paddle.seed(int(seeds.generate_state(1)[0]))
    rows = rows_in_step(config, step, micro_batch)
    with models.batch_rows(*rows) if on_cpu else contextlib.nullcontext():
        yield


def rows_in_step(config: ConfigDict, step: int, micro_batch: int) -> list[range]:
    """Returns the places in the global batch of a micro-batch's images.

    Returns:
        A range of those with labels, and one of those without, if they pass in this step.
    """
    train, place = config.train, place_in_step(config, micro_batch)
    labelled, unlabelled = train.batch_size, config.rdrop.unlabelled_batch_size
    rows = [range(place * labelled, (place + 1) * labelled)]
    if unlabelled and is_rdrop_step(config, step):
        micro_batches = distributed.world_size() * train.accumulation_steps
        first = micro_batches * labelled + place * unlabelled
        rows.append(range(first, first + unlabelled))
    return rows


def place_in_step(config: ConfigDict, micro_batch: int) -> int:
    """Returns the number of this card's micro-batch among those of all cards in a step."""
    return distributed.rank() * config.train.accumulation_steps + micro_batch


def is_rdrop_step(config: ConfigDict, step: int) -> bool:
    """Returns whether images pass several times in a step, or once for cross-entropy alone."""
    return config.rdrop.copies > 1 and step % config.rdrop.every_steps == 0
