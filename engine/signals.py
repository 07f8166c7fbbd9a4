"""Stopping on request: a signal asks, and the trainer stops after the step at hand, once it has saved."""

from __future__ import annotations

import signal

from engine import distributed


class StopRequest:
    """Notes SIGINT, SIGTERM and SIGUSR1 inside a `with` block; a second SIGINT interrupts at once."""

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self):
        self._requested = False
        self._previous = {}

    def __enter__(self) -> StopRequest:
        self._previous = {number: signal.signal(number, self._note) for number in self._SIGNALS}
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame) -> None:
        if self._requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._requested = True

    def agreed(self) -> bool:
        """Whether any process was asked to stop: the same answer on all of them, which each must call."""
        return distributed.sum_over_ranks([self._requested]).item() > 0
