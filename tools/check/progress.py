"""Says how far a check of the images is: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time

from engine.results.console import progress_bar

_SECONDS = 30.0  # between two lines


class Progress:
    """Counts images.

    Args:
        total: number of images.
    """

    def __init__(self, total: int):
        self._total, self._done = total, 0
        self._bar, self._said = progress_bar(total), time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def advance(self, count: int) -> None:
        """Adds images that have been read."""
        self._done += count
        self._bar.update(count)
        if not sys.stderr.isatty() and time.monotonic() - self._said > _SECONDS:
            self._said = time.monotonic()
            print(f"read {self._done:,} of {self._total:,} images", flush=True)
