"""Prints how far a run or an evaluation is, where no terminal shows a progress bar.

A line comes after 5, 10, 20 and 40 seconds, then about each minute: so a log stays short, and a
short run has no more lines than it needs. Nothing is computed for it: what is shown is counted, or
was logged before.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from engine import distributed

_FIRST, _LONGEST = 5.0, 60.0  # seconds to the first line, and between two at most
# Of a record: its name, how it is shown, and the factor.
_SHOWN = {
    "loss": ("loss {:.4g}", 1),
    "kl": ("KL {:.3g}", 1),
    "accuracy": ("training top-1 {:.1f} %", 100),
    "lr": ("rate {:.3g}", 1),
}


def shows_bar() -> bool:
    """Returns whether a progress bar is seen: standard error is a terminal that has a width.

    One that a program has made (`script` without a terminal of its own) may have no columns.
    """
    if not sys.stderr.isatty():
        return False
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):  # no file behind it
        return True


class GrowingIntervals:
    """Tells when the next line is due.

    Args:
        clock: returns seconds, and never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock, self._begin, self._next = clock, clock(), _FIRST

    def due(self) -> bool:
        """Returns whether it is time for a line; the next one then comes later."""
        seconds = self._clock() - self._begin
        if seconds < self._next:
            return False
        while self._next <= seconds:
            self._next += min(self._next, _LONGEST)
        return True


class CountLines:
    """Prints lines such as `evaluated 512 of 10,000 images, 300 images/s, 32 s left`.

    Args:
        verb: what is done.
        total: how many there are.
        unit: what is counted.
        clock: returns seconds, and never goes back.
    """

    def __init__(
        self, verb: str, total: int, unit: str, clock: Callable[[], float] = time.monotonic
    ):
        self._verb, self._total, self._unit, self._clock = verb, total, unit, clock
        self._done, self._begin, self._intervals = 0, clock(), GrowingIntervals(clock)

    def __call__(self, count: int) -> None:
        """Counts some more, and prints a line when it is due."""
        self._done = min(self._done + count, self._total)
        if self._intervals.due():
            rate = self._done / max(self._clock() - self._begin, 1e-9)
            left = duration((self._total - self._done) / rate) if rate else "unknown time"
            counted = f"{self._verb} {self._done:,} of {self._total:,} {self._unit}"
            print(f"{counted}, {_rounded(rate)} {self._unit}/s, {left} left", flush=True)


def evaluation(images: int, verb: str = "evaluated") -> Callable[[int], None]:
    """Returns what counts the images of a process, and prints lines on the main one.

    Args:
        images: of all processes.
        verb: what is done with them.
    """
    if shows_bar() or not distributed.is_main():
        return lambda count: None
    lines, processes = CountLines(verb, images, "images"), distributed.world_size()
    return lambda count: lines(count * processes)


class TrainingLines:
    """Prints lines such as `step 20 of 200, loss 2.1, KL 0.03, ..., 800 images/s, 27 s left`.

    Args:
        steps: of the whole run.
        steps_done: before the first step of this process.
        values: of the newest record of the training metrics; {} while there is none.
        clock: returns seconds, and never goes back.
    """

    def __init__(
        self,
        steps: int,
        steps_done: int,
        values: dict[str, float],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._steps, self._done, self._values, self._clock = steps, steps_done, values, clock
        self._intervals = GrowingIntervals(clock)
        # From the end of the first step on, which may compile operators.
        self._first: tuple[int, float] | None = None
        self._images, self._since = 0, clock()  # of the line before
        self._last = self._since  # end of the newest step
        self._print()

    def advance(self, images: int) -> None:
        """Counts a step of so many images, and prints a line when it is due."""
        self._done, self._images, self._last = self._done + 1, self._images + images, self._clock()
        self._first = self._first or (self._done, self._last)
        if self._intervals.due():
            self._print()
            self._images, self._since = 0, self._clock()

    def record(self, values: dict[str, float]) -> None:
        """Notes the newest record of the training metrics."""
        self._values = values

    def restart_rate(self) -> None:
        """Leaves the time since the last step out of the images per second."""
        now = self._clock()
        self._since, self._last = self._since + now - self._last, now

    def _print(self) -> None:
        texts = [f"step {self._done} of {self._steps}"]
        for name, (text, factor) in _SHOWN.items():
            if name in self._values:
                texts.append(text.format(factor * self._values[name]))
        seconds = self._last - self._since
        if self._images and seconds > 0:
            texts.append(f"{_rounded(self._images / seconds)} images/s")
        if self._first and self._done > self._first[0]:
            a_step = (self._last - self._first[1]) / (self._done - self._first[0])
            texts.append(f"{duration(a_step * (self._steps - self._done))} left")
        print(", ".join(texts), flush=True)


def duration(seconds: float) -> str:
    """Returns a duration in words: `5 s`, `3 min 20 s`, `2 h 5 min`, `3 days 4 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} days {whole % 86400 // 3600} h"


def _rounded(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
