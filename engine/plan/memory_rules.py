"""What a step and a run need, and what fits, from numbers alone: this needs Python and no more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ml_collections import ConfigDict

RESERVE_SHARE, _RESERVE = 0.1, 2**30  # a share of the memory, and bytes, that stay free
# A process on a CPU takes more memory than it needs: the C library keeps freed memory, in pieces
# (`program/paddle_setup.py`). See `--keep_freed` of tools/measure/peak_memory.py.
PIECES = 1.5
# Tensors that an optimiser keeps for each weight.
MOMENTS = {"adamw": 2, "lamb": 2, "momentum": 1, "lars": 1, "sgd": 0}
FLOAT = 4  # bytes


class Estimate(NamedTuple):
    """Bytes of a step: of each image of a micro-batch with all its copies, and of the rest."""

    image: int
    constant: int

    def fits(self, size: float) -> int:
        """Returns how many images fit into a memory of `size` bytes, less the reserve."""
        room = (1 - RESERVE_SHARE) * size - _RESERVE - self.constant
        return max(0, int(room // max(self.image, 1)))


def largest_part(batch: int, most: int) -> int:
    """Returns the largest divisor of a batch that is at most `most`; 0 for none."""
    small = [part for part in range(1, math.isqrt(batch) + 1) if batch % part == 0]
    return max(
        (part for part in (*small, *(batch // other for other in small)) if part <= most), default=0
    )


def checkpoint_bytes(config: ConfigDict, parameters: int, trained: int) -> int:
    """Returns the size of a checkpoint: weights, averages, and the moments of what is trained."""
    kept = parameters * (1 + _averages(config)) + trained * MOMENTS[config.optim.name]
    return FLOAT * kept


def run_bytes(config: ConfigDict, parameters: int, trained: int) -> int:
    """Returns the size of a run's folder at its largest, without cached features.

    There are the checkpoints that are kept, the best one, and one that is being written; then the
    weights of the result, and of what is evaluated with them.

    Args:
        config: of the run.
        parameters: of the model.
        trained: how many of them are.
    """
    checkpoints = config.train.keep_checkpoints + 2
    weights = FLOAT * parameters * (1 + _averages(config))
    return checkpoints * checkpoint_bytes(config, parameters, trained) + weights


def _averages(config: ConfigDict) -> int:
    return int(config.average.ema_decay > 0) + int(config.average.swa_start > 0)
