"""Stops a run on request: a signal or the clock asks; the trainer saves after its step and stops.

Nothing here imports Paddle: a signal counts from the start of the program.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

from common.errors import UserError
from program import streams

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


@contextlib.contextmanager
def handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Gives requests to stop to a handler while the block lasts.

    A program that `nohup` has started goes on without its terminal.
    """
    previous = {
        number: signal.signal(number, handler)
        for number in _SIGNALS
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


@contextlib.contextmanager
def blocked() -> Iterator[None]:
    """Makes signals wait until the block ends, also in the threads that libraries start in it.

    Such a thread (NumPy starts some when it is imported) would otherwise get a signal that the
    main thread blocks, and Paddle's import would abort on it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


class Stopped(BaseException):
    """A stop on request where there is nothing to save; no `except Exception` catches it."""


class StopRequest:
    """Notes a request to stop inside its `with` block, and the end of the allowed time.

    Requests are SIGINT, SIGTERM, SIGUSR1, and SIGHUP: its terminal was closed. A program that
    `nohup` has started goes on without its terminal.

    While there is nothing to save, a signal raises `Stopped` at once. Inside `deferred` it only
    leaves a note, and the trainer asks for it. A second SIGINT ends the process wherever it is:
    what is on the disk is whole at any time.

    Args:
        max_hours: allowed from now on; 0: no limit.
        clock: returns seconds, and never goes back.

    Raises:
        UserError: when `max_hours` is negative, infinite or not a number.
    """

    def __init__(self, max_hours: float = 0.0, clock: Callable[[], float] = time.monotonic):
        if not 0 <= max_hours < math.inf:
            raise UserError(f"--max_hours is {max_hours}, expected 0 (no limit) or more")
        self._clock, self._end = clock, clock() + 3600 * max_hours if max_hours else math.inf
        self._max_hours, self._process = max_hours, os.getpid()
        self._note, self._interrupts, self._deferred = "", 0, False
        self._asked_at: float | None = None
        self._longest_step = self._longest_save = 0.0
        self._previous: dict[signal.Signals, Any] = {}
        self._outlives_terminal = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._agree: Callable[[bool], bool] = bool

    @property
    def reason(self) -> str:
        """What asked for the stop, for a message."""
        return self._note or "another process was asked to"

    def __enter__(self) -> StopRequest:
        self._previous = self._listen()
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _listen(self) -> dict[signal.Signals, Any]:
        ignored = {signal.SIGHUP} if self._outlives_terminal else set()
        handlers = {one: signal.SIG_IGN if one in ignored else self._handle for one in _SIGNALS}
        return {number: signal.signal(number, handlers[number]) for number in _SIGNALS}

    def _handle(self, number: int, frame: object) -> None:
        if os.getpid() != self._process:  # a fork, such as a loader worker: its parent decides
            return
        streams.note_stop()
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1 and number == signal.SIGINT:
            bar = b"\n" if os.isatty(2) else b""  # a progress bar does not end its line
            with contextlib.suppress(OSError):
                os.write(
                    2, bar + b"interrupted; the same command goes on from the newest checkpoint\n"
                )
            os._exit(128 + signal.SIGINT)  # no `finally` and no library can delay it
        self._note = self._note or signal.Signals(number).name
        if not self._deferred:
            raise Stopped(self._note)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Makes signals wait until the block ends, then handles them.

        It is for Paddle's import, which sets handlers of its own: they are replaced.
        """
        with blocked():
            try:
                yield
            finally:
                self._listen()

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Makes a signal only leave a note inside the block, since there is something to save."""
        self._deferred, self._asked_at = True, None
        try:
            yield
        finally:
            self._deferred = False

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Measures a block that writes a state: so much time is kept free before `max_hours`."""
        started = self._clock()
        try:
            yield
        finally:
            self._longest_save = max(self._longest_save, self._clock() - started)

    def agree_by(self, function: Callable[[bool], bool]) -> None:
        """Sets how all processes come to one answer; without it, each decides for itself.

        Args:
            function: returns on all processes whether any of them passed True.
        """
        self._agree = function

    def agreed(self) -> bool:
        """Returns whether any process was asked to stop, the same answer on all processes.

        Each process must call it after a step.
        """
        return self._any()

    def check(self) -> None:
        """Leaves an evaluation when any process was asked to stop; each process must call it.

        Raises:
            Stopped: on all processes.
        """
        if self._any():
            raise Stopped(self.reason)

    def _any(self) -> bool:
        now = self._clock()
        if self._asked_at is not None:
            self._longest_step = max(self._longest_step, now - self._asked_at)
        self._asked_at = now
        # Not before there is something to save: a run advances by one step however short its time.
        if self._deferred and now + self._longest_step + self._longest_save >= self._end:
            self._note = self._note or f"--max_hours={self._max_hours:g}"
        return self._agree(bool(self._note))
