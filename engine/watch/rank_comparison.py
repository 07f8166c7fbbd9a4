"""Compares the ranks: their configs and data at the start, later exact checksums of all arrays.

A rank that differs (a bit that flipped in its memory, a gradient that was not averaged) does not
show by itself: the loss looks as always, and only the arrays of rank 0 are saved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import paddle
from ml_collections import ConfigDict
from numpy.typing import NDArray
from paddle import Tensor

import data
from common.errors import UserError, listed
from configs.allowed_values import trait
from engine import distributed
from program.config import config_fields

_INTEGERS = {1: "int8", 2: "int16", 4: "int32", 8: "int64"}  # by the bytes of an element


def check_same_config(config: ConfigDict) -> None:
    """Checks that all processes have the same config, except for where each finds its data.

    Raises:
        UserError: on all processes, with the name of a field that differs.
    """
    fields = config_fields.flattened(config)
    own = {name: repr(value) for name, value in fields.items() if not trait(name).may_differ}
    distributed.check_same(own, "configs")


def check_same_data(datasets: Mapping[str, data.ImageDataset | None]) -> None:
    """Checks that all processes have the same data sets.

    Args:
        datasets: by name; None for one that does not exist.

    Raises:
        UserError: on all processes, with the name of what differs.
    """
    if distributed.world_size() > 1:
        own = {
            f"{what} of {name}": value
            for name, dataset in datasets.items()
            if dataset
            for what, value in dataset.digests().items()
        }
        distributed.check_same(own, "data")


@paddle.no_grad()
def checksums(tensors: dict[str, Tensor]) -> NDArray[np.int64]:
    """Returns the sum of each tensor's bits, read as integers: int64 `(N,)`.

    A sum of integers does not depend on their order.
    """
    integers = [t.detach().view(_INTEGERS[t.element_size()]) for t in tensors.values()]
    return paddle.stack([values.astype("int64").sum() for values in integers]).numpy()


def check_ranks(tensors: dict[str, Tensor], steps_done: int) -> None:
    """Compares tensors between the ranks; all of them must call it.

    Args:
        tensors: by name, the same names on all ranks.
        steps_done: number of optimiser steps that are done.

    Raises:
        UserError: on all ranks, with the step, the ranks that differ from the majority (from rank 0
            if there is none), and the first tensor that differs.
    """
    if distributed.world_size() == 1:
        return
    sums = checksums(tensors)
    halves = np.concatenate([sums >> 32, sums & 0xFFFFFFFF])  # float64 holds them exactly
    rows = distributed.rows_of_ranks(halves)
    usual = Counter(row.tobytes() for row in rows).most_common(1)[0][0]
    differing = rows != np.frombuffer(usual)
    ranks = [str(rank) for rank in np.flatnonzero(differing.any(axis=1))]
    if ranks:
        first = list(tensors)[(np.flatnonzero(differing.any(axis=0)) % len(sums)).min()]
        raise UserError(
            f"step {steps_done}: weights or moments of rank {listed(ranks)} are not those of the "
            f"other ranks any more, first {first}; see to the memory of that card, and run again: "
            "it goes on from the newest checkpoint, where all were the same"
        )
