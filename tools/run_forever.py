"""Run a command, and start it again when it dies: Paddle's launcher restarts nothing.

    python -m tools.run_forever -- python main.py --config=configs/X.py --workdir=DIR
    python -m tools.run_forever --hours 71 -- \\
        python -m paddle.distributed.launch --nproc_per_node 2 main.py ...

The command must be one that goes on where it was stopped. Its exit code decides:

    0, 1, 2                 done, a failed expectation, bad input: it is not started again
    75                      somebody else, or its own --max_hours, asked it to stop: started again
    any other, or a signal  a crash, such as a killed worker: started again

A killed launcher leaves its workers behind: what is left of a run is killed before the next one.
SIGTERM and SIGINT are passed on, SIGUSR1 and SIGHUP (a closed terminal) as SIGTERM, since they
would kill a launcher. The command then stops in its own time, and is not started again. Under
`nohup` SIGHUP is ignored. The exit code is that of the last run, 128 + n where signal n killed it.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from common.errors import UserError
from program import exits, signals, streams, tool_arguments

_FINAL = {
    exits.DONE: "done",
    exits.FAILED_EXPECTATION: "a failed expectation",
    exits.BAD_INPUT: "bad usage or input",
}
_HEALTHY_SECONDS = 600.0  # a run that was this long made progress: restarts are counted anew
_GRACE_SECONDS = 30.0  # for what is left after a stop on request, as Paddle's launcher has it
_GIVE_UP_SECONDS = 30.0  # until killed processes must be gone


class Policy(NamedTuple):
    """How often and how soon a command is started again."""

    max_restarts: int = 10  # in a row without progress
    backoff: float = 5.0  # seconds before the first restart; double before each further one
    max_backoff: float = 300.0  # seconds
    hours: float = 0.0  # for everything; 0: no limit

    def pause(self, restart: int) -> float:
        """Returns the seconds before a restart, counted from 1."""
        return min(self.backoff * 2.0 ** min(restart - 1, 64), self.max_backoff)


class Supervisor:
    """Runs a command until it is done, or may not be started again.

    Args:
        command: words.
        policy: of restarts.
        clock, sleep: those of the standard library, in seconds, except in tests.
    """

    def __init__(
        self,
        command: list[str],
        policy: Policy,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self._command, self._policy, self._clock, self._sleep = command, policy, clock, sleep
        self._end = clock() + 3600 * policy.hours if policy.hours else math.inf
        self._process: subprocess.Popen | None = None
        self._asked: signal.Signals | None = None  # to stop
        self._running = False  # from the moment at which the command is being started

    def run(self) -> int:
        """Runs the command to its end; returns the last exit code."""
        # Processes that lose their parent, in whatever session, become this one's children (Linux).
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        with signals.handled(self._pass_on):
            return self._run()

    def _run(self) -> int:
        restarts, most = 0, self._policy.max_restarts
        while True:
            started = self._clock()
            code, seconds = self._run_once(), self._clock() - started
            ended = f"{_describe(code)} after {seconds:.0f} s"
            if self._asked or code in _FINAL:
                _say(f"{ended}, not started again")
                return code
            restarts = 1 if seconds >= _HEALTHY_SECONDS else restarts + 1
            if restarts > most:
                _say(f"{ended}; given up, since it was started again {most} times without progress")
                return code
            pause = self._policy.pause(restarts)
            _say(f"{ended}; restart {restarts} of {most} in {pause:g} s")
            self._wait_for(pause)
            if self._asked:
                return code

    def _run_once(self) -> int:
        """Runs the command in a session of its own, kills what is left, returns the exit code."""
        _say(f"starting: {shlex.join(self._command)}")
        self._running = True
        try:
            self._process = subprocess.Popen(self._command, start_new_session=True)
        except OSError as error:
            raise UserError(f"{self._command[0]} can't be started ({error.strerror})") from None
        if self._asked:  # while it was being started
            self._stop(self._asked)
        code = self._wait()
        group, self._process, self._running = self._process.pid, None, False
        if self._asked:
            self._wait_for(_GRACE_SECONDS, until=lambda: not _left(group), request=False)
        self._kill_rest(group)
        return code if code >= 0 else 128 - code

    def _wait(self) -> int:
        """Waits for the command, and asks it to stop when the hours are over."""
        while True:
            left = self._end - self._clock()
            limit = None if left == math.inf or self._asked else max(0.0, left)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(limit)
            _say(f"{self._policy.hours:g} hours are over: asking it to stop")
            self._stop(signal.SIGTERM)

    def _wait_for(
        self, seconds: float, until: Callable[[], bool] = lambda: False, request: bool = True
    ) -> None:
        """Sleeps, but not after a condition, nor (if wanted) a request or the end of the hours."""
        end = self._clock() + seconds
        while self._clock() < end and not until() and not (request and self._asked):
            if request and self._clock() >= self._end:
                self._asked = signal.SIGTERM
                _say(f"{self._policy.hours:g} hours are over: not started again")
                return
            self._sleep(min(0.2, max(0.0, end - self._clock())))

    def _pass_on(self, number: int, frame) -> None:
        streams.note_stop()
        received = f"{signal.Signals(number).name} received"
        _say(f"{received}: asking it to stop" if self._running else received)
        others = signal.SIGUSR1, signal.SIGHUP
        self._stop(signal.SIGTERM if number in others else signal.Signals(number))

    def _stop(self, number: signal.Signals) -> None:
        self._asked = number
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _kill_rest(self, group: int) -> None:
        """Kills what the command has left behind, and waits until it is gone."""
        end, found = self._clock() + _GIVE_UP_SECONDS, set()
        while (rest := _left(group)) and self._clock() < end:
            found |= rest
            for process in rest:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            self._sleep(0.05)
        if found:
            state = "killed" if not rest else f"{len(rest)} of them can't be killed"
            _say(f"processes that were left over: {' '.join(map(str, sorted(found)))} ({state})")


def _left(group: int) -> set[int]:
    """Returns the processes that still run of a command that has ended.

    They are the descendants of this process, and the rest of the command's process group.
    """
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:  # collects those that are dead already
            pass
    running = {}  # parent and group
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, *ids = (
                path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:3]
            )
            if state not in "ZX":
                running[int(path.parent.name)] = tuple(map(int, ids))
    found = {one for one, (_, its_group) in running.items() if its_group == group}
    family = {os.getpid()}
    while more := {one for one, (parent, _) in running.items() if parent in family} - family:
        family |= more
    return (found | family) - {os.getpid()}


def _describe(code: int) -> str:
    if code > 128 and code - 128 in set(signal.Signals):
        return f"killed by {signal.Signals(code - 128).name}"
    meaning = {**_FINAL, exits.STOPPED: "stopped on request"}.get(code)
    return f"exit code {code}" + (f" ({meaning})" if meaning else "")


def _say(text: str) -> None:
    print(f"run_forever: {time.strftime('%Y-%m-%d %H:%M:%S')} {text}", file=sys.stderr, flush=True)


def read_command_line(words: list[str]) -> tuple[Policy, list[str]]:
    """Returns the policy of the flags, and the command after `--`.

    Raises:
        UserError: when there is no command, it would begin anew, or a number has no meaning.
    """
    parser = tool_arguments.ArgumentParser("tools.run_forever", __doc__)
    parser.usage = "python -m tools.run_forever [FLAG ...] -- COMMAND ..."
    helps = {
        "max_restarts": "in a row without progress",
        "backoff": "seconds before the first restart",
        "max_backoff": "longest pause in seconds",
        "hours": "stop it after this many hours in all; 0: never",
    }
    for name, default in Policy()._asdict().items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=helps[name])
    place = words.index("--") if "--" in words else len(words)
    policy, command = Policy(**vars(parser.parse_args(words[:place]))), words[place + 1 :]
    if not command:
        raise UserError(
            "there is no command: give it behind --, as in python -m tools.run_forever -- "
            "python main.py"
        )
    overwrite = re.compile(r"--?overwrite(=(?!(false|f|0)$).*)?", re.IGNORECASE)
    if any(overwrite.fullmatch(word) for word in command):
        raise UserError(
            "the command has --overwrite, with which each restart would begin anew; leave it out"
        )
    for name, value in policy._asdict().items():
        if not 0 <= value < math.inf:
            raise UserError(f"--{name} is {value}, expected 0 or more")
    return policy, command


def main() -> int:
    """Supervises the command of the command line; returns its last exit code."""
    policy, command = read_command_line(sys.argv[1:])
    return Supervisor(command, policy).run()


if __name__ == "__main__":
    exits.run_tool(main)
