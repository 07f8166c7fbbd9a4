"""Stopping on request: a signal or the clock asks, and the trainer stops after the step at hand,
once it has saved.

Nothing here imports Paddle before it is there: a signal counts from the program's start.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator

from common.errors import UserError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@contextlib.contextmanager
def blocked() -> Iterator[None]:
    """A context in which signals wait, also for the threads that libraries start in it, as NumPy
    does when imported.

    Such a thread would be given a signal that the main one holds back, and Paddle's import handles
    it by an abort.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


class Stopped(BaseException):
    """A stop on request, raised where nothing is to be saved; no `except Exception` holds it up."""


class StopRequest:
    """Notes SIGINT, SIGTERM and SIGUSR1 inside its `with` block, and the end of the time that a run
    may take.

    A signal raises `Stopped` at once, as long as there is nothing to save; inside of `deferred` it
    only leaves a note, and the trainer asks for it. A second SIGINT ends the process wherever it
    is: what is on the disk is whole at any instant.

    Args:
        max_hours: from now on; 0: no limit.
        clock: gives seconds, and never goes back.

    Raises:
        UserError: when `max_hours` is no time.
    """

    def __init__(self, max_hours: float = 0.0, clock: Callable[[], float] = time.monotonic):
        if not 0 <= max_hours < math.inf:
            raise UserError(f"--max_hours is {max_hours}, expected 0 (no limit) or more")
        self._clock, self._end = clock, clock() + 3600 * max_hours if max_hours else math.inf
        self._max_hours, self._process = max_hours, os.getpid()
        self._note, self._interrupts, self._deferred = "", 0, False
        self._asked_at: float | None = None
        self._longest_step = self._longest_save = 0.0
        self._previous = {}

    @property
    def reason(self) -> str:
        """What asked, for people."""
        return self._note or "another process was asked to"

    def __enter__(self) -> StopRequest:
        self._previous = self._listen()
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _listen(self) -> dict:
        return {number: signal.signal(number, self._handle) for number in _SIGNALS}

    def _handle(self, number: int, frame) -> None:
        if os.getpid() != self._process:  # a fork, such as a loader worker: its parent decides
            return
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1 and number == signal.SIGINT:
            bar = b"\n" if os.isatty(2) else b""  # a progress bar does not end its line
            os.write(2, bar + b"interrupted; the same command goes on from the newest checkpoint\n")
            os._exit(128 + signal.SIGINT)  # no `finally` and no library holds it up
        self._note = self._note or signal.Signals(number).name
        if not self._deferred:
            raise Stopped(self._note)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """A context at whose end the signals that came in it are handled: Paddle's import sets
        handlers of its own.
        """
        with blocked():
            try:
                yield
            finally:
                self._listen()

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """A context in which a signal only leaves a note, since there is something to save."""
        self._deferred, self._asked_at = True, None
        try:
            yield
        finally:
            self._deferred = False

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """A context around the writing of a state: the time that it takes is kept free at the end
        of the run.
        """
        started = self._clock()
        try:
            yield
        finally:
            self._longest_save = max(self._longest_save, self._clock() - started)

    def agreed(self) -> bool:
        """Whether any process was asked to stop: the same answer on all of them, which each must
        call after a step.
        """
        return self._any()

    def check(self) -> None:
        """Leave an evaluation when any process was asked to stop; each must call it.

        Raises:
            Stopped: on all of them.
        """
        if self._any():
            raise Stopped(self.reason)

    def _any(self) -> bool:
        from engine import distributed  # imports paddle, which reads the environment

        now = self._clock()
        if self._asked_at is not None:
            self._longest_step = max(self._longest_step, now - self._asked_at)
        self._asked_at = now
        # Not before there is something to save: however short the time, a run gets on by a step.
        if self._deferred and now + self._longest_step + self._longest_save >= self._end:
            self._note = self._note or f"--max_hours={self._max_hours:g}"
        return distributed.sum_over_ranks([bool(self._note)]).item() > 0
