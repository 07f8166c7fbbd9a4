"""Runs programs in turns: each waits, in processes of its own, until it is asked for a step."""

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
from collections.abc import Callable

from common.errors import UserError
from tools.measure import interleaved

_READY, _SECONDS = "ready", "seconds "
_OF_THE_PARENT = ("what", "peer", "json")  # options that a worker process is not given


def compare(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Returns the seconds of this project and of `--peer`, measured in turns.

    Each side runs in one process, and in one for each core when these can share the batch.

    Returns:
        The seconds by side and number of processes: first the peer's, then ours; of each side the
        faster way first.
    """
    cores, sides = os.cpu_count() or 1, {}
    with contextlib.ExitStack() as stack:
        for processes in sorted({1, cores if arguments.batch % cores == 0 else 1}):
            for side in ("ours", arguments.peer):
                name = f"{side}, {processes} process{'es' * (processes > 1)}"
                share = arguments.batch // processes
                workers = Workers(command(arguments, batch=share, serve=side), processes)
                sides[name] = stack.enter_context(contextlib.closing(workers)).step
        seconds = interleaved.measure(sides, arguments.rounds)
    return dict(
        sorted(
            seconds.items(),
            key=lambda item: (item[0].startswith("ours"), statistics.median(item[1])),
        )
    )


def serve(step: Callable[[], float]) -> None:
    """Takes a step for each line of the input, and prints its seconds."""
    print(_READY, flush=True)
    for _ in sys.stdin:
        print(f"{_SECONDS}{step()!r}", flush=True)


def command(arguments: argparse.Namespace, **changed: object) -> list[str]:
    """Returns the command of a worker process: the same options, some of them changed."""
    options = {**vars(arguments), **changed}
    words = [
        f"--{name}" if value is True else f"--{name}={value}"
        for name, value in options.items()
        if name not in _OF_THE_PARENT and value is not None and value is not False
    ]
    return [sys.executable, "-m", "tools.benchmark", arguments.what, *words]


def last_error(errors: str, otherwise: str) -> str:
    """Returns the message of a process that ended with an error, from what it printed."""
    lines = errors.strip().splitlines()
    return lines[-1].replace("error: ", "", 1) if lines else otherwise


class Workers:
    """Runs one program in one process or several, which split a batch.

    Args:
        command: of each process.
        processes: how many; they find each other as those of `paddle.distributed.launch` and
            `torchrun` do.
    """

    def __init__(self, command: list[str], processes: int):
        ports = _free_ports(processes + 1)
        threads = str(max(1, (os.cpu_count() or 1) // processes))
        self._processes = [
            subprocess.Popen(
                command,
                env={**os.environ, "OMP_NUM_THREADS": threads, **_environment(rank, ports)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
            )
            for rank in range(processes)
        ]
        for process in self._processes:
            self._answer(process, _READY)

    def step(self) -> float:
        """Returns the seconds of one step: those of the slowest process."""
        for process in self._processes:
            process.stdin.write("\n")
            process.stdin.flush()
        return max(float(self._answer(process, _SECONDS)) for process in self._processes)

    def close(self) -> None:
        """Ends the processes."""
        for process in self._processes:
            process.kill()
            process.wait()

    def _answer(self, process: subprocess.Popen, begin: str) -> str:
        """Returns the rest of the next line of a process that begins with some text."""
        for line in process.stdout:
            if line.startswith(begin):
                return line[len(begin) :].strip()
        process.kill()
        message = last_error(process.stderr.read(), "a process ended early")
        self.close()
        raise UserError(message)


def _environment(rank: int, ports: list[int]) -> dict[str, str]:
    """Returns the variables by which several processes find each other; {} for one."""
    endpoints = [f"127.0.0.1:{port}" for port in ports[1:]]
    if len(endpoints) == 1:
        return {}
    return {
        "PADDLE_TRAINER_ID": str(rank),
        "PADDLE_TRAINERS_NUM": str(len(endpoints)),
        "PADDLE_LOCAL_SIZE": str(len(endpoints)),
        "PADDLE_TRAINER_ENDPOINTS": ",".join(endpoints),
        "PADDLE_CURRENT_ENDPOINT": endpoints[rank],
        "PADDLE_MASTER": endpoints[0],
        "PADDLE_DISTRI_BACKEND": "gloo",
        "RANK": str(rank),
        "WORLD_SIZE": str(len(endpoints)),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(ports[0]),
    }


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]
