"""How much memory a step needs: an estimate by the model and the config, and what fits into a given
one.

Left out is what nobody can know before: the pieces into which memory falls, workspaces of cuDNN,
buffers in which gradients travel between cards, averages of the weights, and a teacher.
`RESERVE_SHARE` and `RESERVE` are for them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import paddle
from ml_collections import ConfigDict
from paddle import nn

from engine.step import mixed_precision
from models import activation_memory, flops

RESERVE_SHARE, RESERVE = 0.1, 2**30  # of what there is, and bytes: they stay free
CARDS = (16, 32, 40, 80)  # GB of memory that cards have
_MOMENTS = {"adamw": 2, "lamb": 2, "momentum": 1, "lars": 1, "sgd": 0}
_BYTES, _HALF = 4, 2  # float32, half precision


class Estimate(NamedTuple):
    """Bytes of a step: those of an image of a micro-batch with all its copies, and those beside the
    images.
    """

    image: int
    constant: int

    def fits(self, size: float) -> int:
        """How many images fit into a memory of `size` bytes, with the reserve; 0: none."""
        room = (1 - RESERVE_SHARE) * size - RESERVE - self.constant
        return max(0, int(room // max(self.image, 1)))


def estimate(model: nn.Layer, config: ConfigDict, on_gpu: bool = False) -> Estimate:
    """What a step of the trainer needs.

    Args:
        model: of the config.
        config: a resolved one.
        on_gpu: on a CPU, what a GPU would need; else what this device does.
    """
    train, size, copies = config.train, config.model.image_size, config.rdrop.copies
    elsewhere = on_gpu and paddle.get_device() == "cpu"
    half = train.amp if elsewhere else ""
    kept = (
        activation_memory.kept_on_gpu(model, size, copies, half)
        if elsewhere
        else activation_memory.kept(model, size, copies)
    )
    halved = bool(half) or mixed_precision.active(train)
    # The gradient of the largest tensor is there at the same time.
    gradient = (
        flops.cost(model, size).largest * copies * (_HALF if halved else _BYTES)
        if kept.whole
        else 0
    )
    return Estimate(
        (kept.recomputed if train.recompute else kept.whole) + gradient,
        _states(model, config.optim.name) + (_HALF * flops.parameters(model) if halved else 0),
    )


def _states(model: nn.Layer, optimizer: str) -> int:
    """Bytes of weights, gradients and moments."""
    count, trained = flops.parameters(model), flops.parameters(model, trainable=True)
    return (count + trained * (1 + _MOMENTS[optimizer])) * _BYTES


def largest_part(batch: int, most: int) -> int:
    """The largest divisor of a batch that is no more than `most`; 0 for none."""
    small = [part for part in range(1, math.isqrt(batch) + 1) if batch % part == 0]
    return max(
        (part for part in (*small, *(batch // other for other in small)) if part <= most), default=0
    )


def describe(needed: Estimate, config: ConfigDict) -> str:
    """The line about this device."""
    images = config.train.batch_size + config.rdrop.unlabelled_batch_size
    kept = needed.image * images
    kind = config.train.amp_dtype if mixed_precision.active(config.train) else "float32"
    return (
        f"memory a {_unit()} (estimate, {kind}): {gigabytes(needed.constant + kept)}, of which activations "
        + (gigabytes(kept) if kept else "none are kept; those of a forward pass come to it")
    )


def table(model: nn.Layer, config: ConfigDict) -> list[str]:
    """What fits into GPUs of usual sizes: micro-batches, and the accumulation that gives the batch
    of the config.
    """
    train, needed = config.train, estimate(model, config, on_gpu=True)
    batch, unlabelled = (
        train.batch_size * train.accumulation_steps,
        config.rdrop.unlabelled_batch_size,
    )
    kind = f"{train.amp_dtype} {train.amp}" if train.amp else "float32"
    sizes = f"{gigabytes(needed.constant)} + {gigabytes(needed.image)} an image"
    lines = [
        f"a GPU of   micro-batch x accumulation (estimate, {kind}: {sizes}; 10 % and 1 GB left free)"
    ]
    for size in CARDS:
        part = largest_part(batch, needed.fits(size * 2**30) - unlabelled)
        lines.append(
            f"{size:5} GB   " + (f"{part:11} x {batch // part}" if part else "not one image fits")
        )
    return lines


def gigabytes(size: float) -> str:
    """A number of bytes for people."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"


def _unit() -> str:
    return "process" if paddle.get_device() == "cpu" else "card"
