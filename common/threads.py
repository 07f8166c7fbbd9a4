"""Shares the rows of an array among threads; Paddle's own number of threads is used."""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

_SMALL = 1 << 15  # elements; for fewer a second thread does not pay


def available() -> int:
    """Returns the number of threads that Paddle uses on a CPU.

    It is `OMP_NUM_THREADS`, the first number of a list (for nested loops), or 1.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return max(1, int(first)) if first.isdigit() else 1


@functools.lru_cache(maxsize=1)
def _pool() -> tuple[int, ThreadPoolExecutor]:
    count = available()
    return count, ThreadPoolExecutor(count, thread_name_prefix="rows")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a fork does not copy threads


def parts(rows: int, size: int) -> list[tuple[int, int]]:
    """Divides rows among the threads.

    Args:
        rows: number of rows.
        size: elements of a row, as a measure of its work.

    Returns:
        `(begin, end)` for each thread; one part when the work is small.
    """
    count = max(1, min(_pool()[0], rows * size // _SMALL, rows))
    return [(rows * part // count, rows * (part + 1) // count) for part in range(count)]


def in_threads(function: Callable[[int, int, int], object], bounds: list[tuple[int, int]]) -> None:
    """Calls `function(part, begin, end)` for each part, and waits for all of them.

    The first part runs in this thread, each other part in a thread of the pool.

    Args:
        function: releases Python's lock (GIL) most of the time; otherwise threads do not help.
        bounds: from `parts`.
    """
    others = [_pool()[1].submit(function, part, *bounds[part]) for part in range(1, len(bounds))]
    try:
        function(0, *bounds[0])
    finally:
        wait(others)  # they write to memory that an interrupted caller is about to free
    for other in others:
        other.result()
