"""Whether all ranks do the same: their configs and data before they begin, and later an exact
checksum of every array.

A rank that has gone its own way (a bit that flipped in its memory, a gradient that was not
averaged) says nothing by itself: the loss looks as it always does, and what is saved is rank 0's.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import paddle
from ml_collections import ConfigDict
from paddle import Tensor

from common.errors import UserError, listed
from engine import distributed
from program import config_fields

_INTEGERS = {1: "int8", 2: "int16", 4: "int32", 8: "int64"}  # by the bytes of an element
_PLACES = (
    "data.root",
    "data.cache_dir",
    "data.unlabelled_root",
    "data.workers",
)  # may be others on other machines


def check_same_config(config: ConfigDict) -> None:
    """See that all processes have the same config, where each finds its data aside.

    Raises:
        UserError: on all of them, naming the field.
    """
    own = {
        name: repr(value)
        for name, value in config_fields.flattened(config).items()
        if name not in _PLACES
    }
    distributed.check_same(own, "configs")


def check_same_data(datasets: dict) -> None:
    """See that all processes have the same data sets, by their names; None for one that there is
    not.

    Raises:
        UserError: on all of them, naming what differs.
    """
    if distributed.world_size() > 1:
        present = {name: dataset for name, dataset in datasets.items() if dataset}
        distributed.check_same(
            {
                f"{what} of {name}": value
                for name, one in present.items()
                for what, value in one.digests().items()
            },
            "data",
        )


@paddle.no_grad()
def checksums(tensors: dict[str, Tensor]) -> np.ndarray:
    """The sum of each tensor's bits, taken as integers: int64 `(N,)`, the same in whatever order
    they are added.
    """
    sums = [
        t.detach().view(_INTEGERS[t.element_size()]).astype("int64").sum() for t in tensors.values()
    ]
    return paddle.stack(sums).numpy()


def check_ranks(tensors: dict[str, Tensor], step: int) -> None:
    """Compare tensors between the ranks, each of which must call this.

    Args:
        tensors: by name, the same names everywhere.
        step: counted from 1.

    Raises:
        UserError: on all of them, naming the step, the ranks that differ from the majority (or from
            rank 0, where there is none), and the first tensor.
    """
    if distributed.world_size() == 1:
        return
    sums = checksums(tensors)
    halves = np.concatenate(
        [sums >> 32, sums & 0xFFFFFFFF]
    )  # which float64, that travels, holds exactly
    rows = distributed.rows_of_ranks(halves)
    usual = Counter(row.tobytes() for row in rows).most_common(1)[0][0]
    differing = rows != np.frombuffer(usual)
    ranks = np.flatnonzero(differing.any(axis=1))
    if len(ranks):
        first = list(tensors)[(np.flatnonzero(differing.any(axis=0)) % len(sums)).min()]
        raise UserError(
            f"step {step}: weights or moments of rank {listed([str(rank) for rank in ranks])} are not those of the "
            f"other ranks any more, first {first}; see to the memory of that card, and run again: it goes on from the "
            "newest checkpoint, where all were the same"
        )
