"""Estimates the memory of a step by the model and the config, and what fits into a given memory.

What nobody can know before is left out: the pieces into which memory falls, workspaces of cuDNN,
buffers in which gradients travel between cards, averages of the weights, and a teacher. The reserve
of `memory_rules.py` is for them.
"""

import paddle
from ml_collections import ConfigDict
from paddle import nn

from engine.plan.memory_rules import FLOAT, MOMENTS, Estimate, largest_part
from engine.step import mixed_precision
from models import activation_memory, flops

_CARDS = (16, 32, 40, 80)  # GB of memory that cards have
_HALF = 2  # bytes of half precision


def estimate(model: nn.Layer, config: ConfigDict, on_gpu: bool = False) -> Estimate:
    """Returns what a step of the trainer needs.

    Args:
        model: of the config.
        config: a resolved one.
        on_gpu: on a CPU, whether to return what a GPU would need.
    """
    train, size, copies = config.train, config.model.image_size, config.rdrop.copies
    if on_gpu and paddle.get_device() == "cpu":
        level = mixed_precision.form(train)[0]
        kept, halved = activation_memory.kept_on_gpu(model, size, copies, level), bool(level)
    else:
        kept, halved = activation_memory.kept(model, size, copies), mixed_precision.active(train)
    image, parameters = kept.recomputed if train.recompute else kept.whole, flops.parameters(model)
    trained, moments = flops.parameters(model, trainable=True), MOMENTS[config.optim.name]
    constant = (parameters + trained * (1 + moments)) * FLOAT  # weights; gradients and moments
    if halved:
        constant += _HALF * parameters
    if kept.whole:  # the gradient of the largest tensor is there at the same time
        image += flops.cost(model, size).largest * copies * (_HALF if halved else FLOAT)
    return Estimate(image, constant)


def describe(needed: Estimate, config: ConfigDict) -> str:
    """Returns the line about the memory of this device at the start of a run."""
    kept = needed.image * (config.train.batch_size + config.rdrop.unlabelled_batch_size)
    dtype = mixed_precision.form(config.train)[1]
    kind = dtype if mixed_precision.active(config.train) else "float32"
    unit = "process" if paddle.get_device() == "cpu" else "card"
    activations = gigabytes(kept) if kept else "none are kept; those of a forward pass come to it"
    return (
        f"memory a {unit} (estimate, {kind}): {gigabytes(needed.constant + kept)}, of which "
        f"activations {activations}"
    )


def table(model: nn.Layer, config: ConfigDict) -> list[str]:
    """Returns lines with the micro-batch that fits into GPUs of usual sizes.

    Next to each is the accumulation that makes it the batch of the config.
    """
    train, unlabelled = config.train, config.rdrop.unlabelled_batch_size
    batch, needed = (
        train.batch_size * train.accumulation_steps,
        estimate(model, config, on_gpu=True),
    )
    level, dtype = mixed_precision.form(train)
    kind = f"{dtype} {level}" if level else "float32"
    lines = [
        f"a GPU of   micro-batch x accumulation (estimate, {kind}: {gigabytes(needed.constant)} + "
        f"{gigabytes(needed.image)} an image; 10 % and 1 GB left free)"
    ]
    for size in _CARDS:
        part = largest_part(batch, needed.fits(size * 2**30) - unlabelled)
        split = f"{part:11} x {batch // part}" if part else "not one image fits"
        lines.append(f"{size:5} GB   {split}")
    return lines


def gigabytes(size: float) -> str:
    """Returns a number of bytes for people, in GB or MB."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"
