"""Programs that take turns: each waits, in processes of its own, until it is asked for a step."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable

from common.errors import UserError

_READY, _SECONDS = "ready", "seconds "


def serve(step: Callable[[], float]) -> None:
    """Take a step for each line of the input, and print its seconds."""
    print(_READY, flush=True)
    for _ in sys.stdin:
        print(f"{_SECONDS}{step()!r}", flush=True)


def command(module: str, what: str, options: dict) -> list[str]:
    """The command that runs a tool with these options; None and False stand for those that are not
    given.
    """
    left_out = ("what", "peer", "json")
    words = [
        f"--{name}" if value is True else f"--{name}={value}"
        for name, value in options.items()
        if name not in left_out and value is not None and value is not False
    ]
    return [sys.executable, "-m", module, what, *words]


class Workers:
    """One program in one process or several, which split a batch.

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
                text=True,
            )
            for rank in range(processes)
        ]
        for process in self._processes:
            self._answer(process, _READY)

    def step(self) -> float:
        """Seconds of one step, those of the slowest process."""
        for process in self._processes:
            process.stdin.write("\n")
            process.stdin.flush()
        return max(float(self._answer(process, _SECONDS)) for process in self._processes)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            process.wait()

    def _answer(self, process: subprocess.Popen, begin: str) -> str:
        for line in process.stdout:
            if line.startswith(begin):
                return line[len(begin) :].strip()
        process.kill()
        errors = process.stderr.read().strip().splitlines()
        self.close()
        raise UserError(errors[-1].replace("error: ", "", 1) if errors else "a process ended early")


def _environment(rank: int, ports: list[int]) -> dict[str, str]:
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
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
