"""Calls a function on items in threads, some ahead of what is used, and keeps their order."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_order(
    function: Callable[[_Item], _Result], items: Iterable[_Item], ahead: int, workers: int
) -> Iterator[_Result]:
    """Yields the results of a function, in the order of the items.

    Args:
        function: releases Python's lock (GIL) most of the time, as reading an image does.
        items: are taken as they are needed.
        ahead: how many items are begun before their results are used, at least one.
        workers: number of threads.

    Raises:
        Exception: what the function raises, in the place of its result.
    """
    remaining, begun = iter(items), deque[Future[_Result]]()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="read")
    try:
        begun.extend(pool.submit(function, one) for one in itertools.islice(remaining, ahead))
        while begun:
            result = begun.popleft().result()
            begun.extend(pool.submit(function, one) for one in itertools.islice(remaining, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
