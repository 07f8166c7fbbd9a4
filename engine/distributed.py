"""Collectives for several processes; for one, where Paddle's would raise, they do nothing."""

import contextlib
import itertools
import json
import os
import socket
from collections.abc import Iterator

import numpy as np
import paddle
import paddle.distributed as dist
from numpy.typing import ArrayLike, NDArray
from paddle import nn
from paddle.base import core

from common.errors import UserError

_exchanges = itertools.count()  # each exchange has its own keys in the store


def start() -> None:
    """Joins the other processes of a launch, if there are any.

    Raises:
        UserError: when they can't be joined.
    """
    if dist.get_world_size() > 1 and not dist.is_initialized():
        if is_main():
            _check_port()
        dist.init_parallel_env()


def _check_port() -> None:
    """Checks that the main process can listen where the others look for it.

    Paddle's store would abort otherwise.

    Raises:
        UserError: when another program listens there.
    """
    get = os.environ.get
    own = get("PADDLE_MASTER") or get("PADDLE_TRAINER_ENDPOINTS", "").split(",")[0]
    if get("MASTER_ADDR") and get("MASTER_PORT"):
        own = f"{get('MASTER_ADDR')}:{get('MASTER_PORT')}"
    port = own.rpartition(":")[2]
    if not port.isdigit():
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", int(port)))
        except (OSError, OverflowError) as error:
            raise UserError(
                f"the processes are to meet at {own}, but the port can't be had ({error}); stop "
                "what uses it, or start them with another port in --master"
            ) from None


def exchange(text: str) -> list[str]:
    """Returns one text of each process, in the order of the ranks, on all of them.

    It waits for the slowest process. The texts go through the store where the processes have met:
    it waits for minutes, where a collective of gloo gives up after 30 seconds.
    """
    if world_size() == 1:
        return [text]
    store, number = core.create_or_get_global_tcp_store(), _tell(text)
    keys = [f"rdrop/{number}/{other}" for other in range(world_size())]
    for key in keys:
        store.wait(key)
    return [bytes(store.get(key)).decode() for key in keys]


def _tell(text: str) -> int:
    """Sends a text to the others without waiting for theirs; returns the exchange's number."""
    number = next(_exchanges)
    if world_size() > 1:
        core.create_or_get_global_tcp_store().set(f"rdrop/{number}/{rank()}", text.encode())
    return number


@contextlib.contextmanager
def together() -> Iterator[None]:
    """A context for a block that succeeds on all processes or on none.

    An error on one of them stops the others, too. The block must not use collectives.

    Raises:
        UserError: that of this process, else that of the first process that has one.
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
    """Checks that all processes have the same values.

    Args:
        own: the values of this process, by name.
        what: what they are, for the message.

    Raises:
        UserError: on all processes, with the name of the first value that differs, and with two
            processes on which it does.
    """
    rows = [json.loads(text) for text in exchange(json.dumps(own))]
    for name in sorted(set().union(*rows)):
        for other, row in enumerate(rows):
            if row.get(name) != rows[0].get(name):
                first, second = (str(one.get(name, "missing"))[:200] for one in (rows[0], row))
                raise UserError(
                    f"the processes have different {what}: {name} is {first} on process 0, "
                    f"{second} on process {other}; start all of them with the same command, code "
                    "and data"
                )


def rank() -> int:
    """Returns the number of this process, from 0."""
    return dist.get_rank()


def is_main() -> bool:
    """Returns whether this process is the one that writes and prints."""
    return rank() == 0


@contextlib.contextmanager
def on_main(context: contextlib.AbstractContextManager[object]) -> Iterator[None]:
    """Enters a context on the main process; an error there stops the others, too."""
    with contextlib.ExitStack() as held:
        with together():
            if is_main():
                held.enter_context(context)
        yield


def say(*lines: str) -> None:
    """Prints lines, if there are any, once for all processes."""
    if lines and is_main():
        print(*lines, sep="\n", flush=True)


def world_size() -> int:
    """Returns the number of processes (cards) that train together."""
    return dist.get_world_size()


def sum_over_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Adds arrays of the same shape over all ranks; the result is float64, on all of them."""
    values = np.asarray(values, np.float64)
    if world_size() == 1:
        return values
    tensor = paddle.to_tensor(values)
    dist.all_reduce(tensor)
    return tensor.numpy()


def any_rank(flag: bool) -> bool:
    """Returns on all ranks whether any of them passed True."""
    return sum_over_ranks([bool(flag)]).item() > 0


def rows_of_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Returns the values `(N,)` of all ranks on each of them, as float64 `(ranks, N)`."""
    values = np.asarray(values, np.float64)
    rows = np.zeros((world_size(), len(values)))
    rows[rank()] = values
    return sum_over_ranks(rows)


def from_main(value: float) -> float:
    """Returns the main process's value of a number on all processes."""
    return sum_over_ranks([value if is_main() else 0.0]).item()


def barrier() -> None:
    """Waits for all processes."""
    sum_over_ranks([0.0])


def wrap(model: nn.Layer) -> nn.Layer:
    """Returns the model for training: on several cards its gradients are averaged over them."""
    return paddle.DataParallel(model) if world_size() > 1 else model


def gradient_sync(model: nn.Layer, due: bool) -> contextlib.AbstractContextManager[None]:
    """A context for one micro-batch: gradients are averaged over the cards only if `due`."""
    return contextlib.nullcontext() if due or world_size() == 1 else model.no_sync()
