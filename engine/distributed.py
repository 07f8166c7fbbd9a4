"""Several processes, or one: collectives that are no-ops for one, where Paddle's own would raise."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import paddle
import paddle.distributed as dist
from paddle import nn

import models

_LONGEST_TEXT = 4000  # bytes


def start() -> None:
    """Join the other processes of a launch, if there are any."""
    if dist.get_world_size() > 1 and not dist.is_initialized():
        dist.init_parallel_env()


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank()


def is_main() -> bool:
    """Whether this process is the one that writes and prints."""
    return rank() == 0


def on_main(context: contextlib.AbstractContextManager) -> contextlib.AbstractContextManager:
    """A context for the main process; the others enter none."""
    return context if is_main() else contextlib.nullcontext()


def say(*lines: str) -> None:
    """Print lines, if there are any, once for all processes."""
    if lines and is_main():
        print(*lines, sep="\n", flush=True)


def world_size() -> int:
    """How many processes (cards) train together."""
    return dist.get_world_size()


def sum_over_ranks(values) -> np.ndarray:
    """Add arrays of the same shape over all ranks; float64 in, float64 out."""
    values = np.asarray(values, np.float64)
    if world_size() == 1:
        return values
    tensor = paddle.to_tensor(values)
    dist.all_reduce(tensor)
    return tensor.numpy()


def rows_of_ranks(values) -> np.ndarray:
    """What each rank gives, an array `(N,)` of the same length, on all of them: float64 `(ranks, N)`."""
    values = np.asarray(values, np.float64)
    rows = np.zeros((world_size(), len(values)))
    rows[rank()] = values
    return sum_over_ranks(rows)


def texts_of_ranks(text: str) -> list[str]:
    """What each rank has to say, on all of them; of a long text the beginning."""
    content = text.encode()[:_LONGEST_TEXT].ljust(_LONGEST_TEXT, b"\0")
    rows = rows_of_ranks(np.frombuffer(content, np.uint8)).astype(np.uint8)
    return [row.tobytes().rstrip(b"\0").decode(errors="ignore") for row in rows]


def from_main(value: float) -> float:
    """The main process's value of a number, on all processes."""
    return sum_over_ranks([value if is_main() else 0.0]).item()


def average_buffers(model: nn.Layer) -> None:
    """Average the running statistics of batch norms over all ranks, so that they stay the same everywhere.

    Those of frozen ones do not change.
    """
    buffers = [buffer for norm in models.batch_norms(model) for buffer in (norm._mean, norm._variance)]
    if world_size() == 1 or not buffers:
        return
    joined = paddle.concat([buffer.flatten() for buffer in buffers])
    dist.all_reduce(joined)
    parts = (joined / world_size()).split([math.prod(buffer.shape) for buffer in buffers])
    for buffer, part in zip(buffers, parts):
        buffer.set_value(part.reshape(buffer.shape))


def barrier() -> None:
    """Wait for all processes."""
    sum_over_ranks([0.0])


def wrap(model: nn.Layer) -> nn.Layer:
    """The model for training on several cards: its gradients are then averaged over them."""
    return paddle.DataParallel(model) if world_size() > 1 else model


def gradient_sync(model: nn.Layer, due: bool):
    """A context for one micro-batch: gradients are averaged over the cards only where `due`."""
    return contextlib.nullcontext() if due or world_size() == 1 else model.no_sync()
