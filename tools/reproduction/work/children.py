"""Runs the programs of a reproduction: their errors are ours, and signals are passed on to them.

A program that is left behind by `kill -9` gets SIGTERM from the system (Linux), and so saves and
stops; the next start waits for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from common.errors import UserError
from program import exits, signals

_ROOT = Path(__file__).resolve().parents[3]
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl
_ERROR = "error: "
_WAIT_SECONDS = 0.2


class Asked(Exception):
    """A stop was requested while a program ran; it has ended."""


def run(
    words: Sequence[str],
    doing: str,
    begun: Callable[[int], None] = lambda process: None,
    log: Path | None = None,
    environment: dict[str, str] | None = None,
) -> int:
    """Runs a Python program in the project's folder to its end.

    Args:
        words: behind the interpreter.
        doing: what it does, for a message.
        begun: is called with the number of the process.
        log: where what it starts may have written its last error.
        environment: variables in addition to our own.

    Returns:
        The exit code, which is 0 or 1.

    Raises:
        UserError: when it refuses its input, or dies; its own last error is the reason.
        Asked: after a signal, or when it stopped by itself.
    """
    command = [sys.executable, *words]
    with subprocess.Popen(
        command,
        cwd=_ROOT,
        env={**os.environ, **(environment or {})},
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="backslashreplace",
        start_new_session=True,
        preexec_fn=_end_with_parent,
    ) as process:
        begun(process.pid)
        with _passing_on(process) as asked:
            reason = _relay(process)
            code = process.wait()
    if asked or code == exits.STOPPED:
        raise Asked(f"stopped while {doing}")
    if code not in (exits.DONE, exits.FAILED_EXPECTATION):
        if not reason and log and code == exits.BAD_INPUT:
            reason = _last_error(log)
        ended = reason or f"it ended with exit code {code}; its lines above say more"
        raise UserError(f"{doing}: {ended}; the same command goes on from here")
    return code


def _end_with_parent() -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)


def _relay(process: subprocess.Popen[str]) -> str:
    """Passes on what a program writes to its error stream; its last error is returned instead."""
    reason = ""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(_ERROR):
            reason = line[len(_ERROR) :].strip()
            continue
        print(line, end="", file=sys.stderr, flush=True)
    return reason


def _last_error(log: Path) -> str:
    """Returns the last error in a log; empty for none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    errors = [line[len(_ERROR) :].strip() for line in lines if line.startswith(_ERROR)]
    return errors[-1] if errors else ""


@contextlib.contextmanager
def _passing_on(process: subprocess.Popen[str]) -> Iterator[list[int]]:
    """Passes signals on to a program while the block lasts; yields those that came."""
    asked: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        asked.append(number)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)

    with signals.handled(pass_on):
        yield asked


def identity(process: int) -> str:
    """Returns what tells a process from a later one of the same number: when it began.

    Returns:
        An empty string for a process that has ended.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = fields.rpartition(")")[2].split()
    return "" if state in "ZX" else rest[18]


def wait_for(process: int, known: str) -> None:
    """Waits until a program of an earlier start has ended, which is saving and stopping.

    Args:
        process: its number.
        known: its `identity`.
    """
    if not known or identity(process) != known:
        return
    print(f"waiting for process {process} of the start before, which is stopping", flush=True)
    with contextlib.suppress(OSError):
        os.kill(process, signal.SIGTERM)
    while identity(process) == known:
        time.sleep(_WAIT_SECONDS)
