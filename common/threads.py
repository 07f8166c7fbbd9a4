"""Work on the rows of arrays, shared by as many threads as Paddle has on a CPU."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

_SMALL = 1 << 15  # elements for which a second thread does not pay


def available() -> int:
    """How many threads Paddle has: `OMP_NUM_THREADS`, of a list of them (for nested ones) the
    first.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return max(1, int(first)) if first.isdigit() else 1


@functools.lru_cache(maxsize=1)
def _pool() -> tuple[int, ThreadPoolExecutor]:
    count = available()
    return count, ThreadPoolExecutor(count, thread_name_prefix="rows")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads stay behind


def parts(rows: int, size: int) -> list[tuple[int, int]]:
    """Begin and end of the rows that each thread should take.

    Args:
        rows: how many.
        size: elements of a row, as a measure of its work.
    """
    count = max(1, min(_pool()[0], rows * size // _SMALL, rows))
    return [(rows * part // count, rows * (part + 1) // count) for part in range(count)]


def in_threads(function: Callable[[int, int, int], object], bounds: list[tuple[int, int]]) -> None:
    """Call `function(part, begin, end)` for each part, in threads of their own but the first.

    Args:
        function: releases Python's lock for most of its time, else threads do not help.
        bounds: from `parts`.
    """
    others = [_pool()[1].submit(function, part, *bounds[part]) for part in range(1, len(bounds))]
    try:
        function(0, *bounds[0])
    finally:
        wait(others)  # they write to what the caller, once interrupted, gives away
    for other in others:
        other.result()
