"""Several processes, or one: collectives that are no-ops for one, where Paddle's own would
raise.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import socket
from collections.abc import Iterator

import numpy as np
import paddle
import paddle.distributed as dist
from paddle import nn
from paddle.base import core

import models
from common.errors import UserError

_exchanges = itertools.count()  # each has keys of its own in the store


def start() -> None:
    """Join the other processes of a launch, if there are any.

    Raises:
        UserError: when they can't be joined.
    """
    if dist.get_world_size() > 1 and not dist.is_initialized():
        if is_main():
            _check_port()
        dist.init_parallel_env()


def _check_port() -> None:
    """See that the main process can listen where the others will look for it: Paddle's store would
    abort.

    Raises:
        UserError: when another program listens there.
    """
    own = (
        os.environ.get("PADDLE_MASTER")
        or os.environ.get("PADDLE_TRAINER_ENDPOINTS", "").split(",")[0]
    )
    if os.environ.get("MASTER_ADDR") and os.environ.get("MASTER_PORT"):
        own = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    port = own.rpartition(":")[2]
    if not port.isdigit():
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", int(port)))
        except (OSError, OverflowError) as error:
            raise UserError(
                f"the processes are to meet at {own}, but the port can't be had ({error}); stop what uses it, or start "
                "them with another port in --master"
            ) from None


def exchange(text: str) -> list[str]:
    """One text of each process, in the order of the ranks, on all of them; as slow as the slowest.

    It goes through the store where the processes have met, which waits for minutes where a
    collective of gloo gives up after 30 seconds.
    """
    if world_size() == 1:
        return [text]
    store, number = core.create_or_get_global_tcp_store(), _tell(text)
    keys = [f"rdrop/{number}/{other}" for other in range(world_size())]
    for key in keys:
        store.wait(key)
    return [bytes(store.get(key)).decode() for key in keys]


def _tell(text: str) -> int:
    """Say a text to the others without waiting for theirs; gives the number of the exchange."""
    number = next(_exchanges)
    if world_size() > 1:
        core.create_or_get_global_tcp_store().set(f"rdrop/{number}/{rank()}", text.encode())
    return number


@contextlib.contextmanager
def together() -> Iterator[None]:
    """A block that ends well on all processes, or on none: what one of them refuses, stops the
    others, too.

    The block must not use collectives.

    Raises:
        UserError: its own, or where this process has none, that of the first that has one.
    """
    own = None
    try:
        yield
    except UserError as error:
        own = error
    except BaseException as error:  # a request to stop, or a fault: the others need not wait
        _tell(type(error).__name__)
        raise
    said = exchange(str(own) if own else "")
    if own:
        raise own
    for other, message in enumerate(said):
        if message:
            raise UserError(f"process {other} stopped: {message}")


def check_same(own: dict[str, str], what: str) -> None:
    """See that all processes have the same values.

    Args:
        own: values by name.
        what: they are, for the message.

    Raises:
        UserError: on all of them, naming the first value that differs, and two processes that have
            others.
    """
    rows = [json.loads(text) for text in exchange(json.dumps(own))]
    for name in sorted(set().union(*rows)):
        for other, row in enumerate(rows):
            if row.get(name) != rows[0].get(name):
                first, second = (
                    str(values.get(name, "missing"))[:200] for values in (rows[0], row)
                )
                raise UserError(
                    f"the processes have different {what}: {name} is {first} on process 0, {second} on process {other};"
                    " start all of them with the same command, code and data"
                )


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank()


def is_main() -> bool:
    """Whether this process is the one that writes and prints."""
    return rank() == 0


@contextlib.contextmanager
def on_main(context: contextlib.AbstractContextManager) -> Iterator[None]:
    """A context for the main process; the others enter none, but stop where it refuses."""
    with contextlib.ExitStack() as held:
        with together():
            if is_main():
                held.enter_context(context)
        yield


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
    """What each rank gives, an array `(N,)` of the same length, on all of them: float64 `(ranks,
    N)`.
    """
    values = np.asarray(values, np.float64)
    rows = np.zeros((world_size(), len(values)))
    rows[rank()] = values
    return sum_over_ranks(rows)


def from_main(value: float) -> float:
    """The main process's value of a number, on all processes."""
    return sum_over_ranks([value if is_main() else 0.0]).item()


def average_buffers(model: nn.Layer) -> None:
    """Average the running statistics of batch norms over all ranks, so that they stay the same
    everywhere.

    Those of frozen ones do not change.
    """
    buffers = [
        buffer for norm in models.batch_norms(model) for buffer in (norm._mean, norm._variance)
    ]
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
