"""Results come in the order of the items, and no more is begun than asked for."""

from __future__ import annotations

import threading
import time

import pytest

from inference.reading_ahead import in_order


def test_the_order_is_kept_whatever_takes_longest():
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number % 4 == 0 else 0)
        return number * number

    assert list(in_order(slow_first, range(20), ahead=5, workers=4)) == [n * n for n in range(20)]
    assert list(in_order(slow_first, [], ahead=5, workers=4)) == []


def test_items_are_taken_as_results_are_used():
    taken = []
    results = in_order(lambda item: item, (taken.append(n) or n for n in range(100)), 3, 2)
    assert taken == []
    assert next(results) == 0
    assert len(taken) == 4
    results.close()
    assert len(taken) == 4


def test_an_error_comes_in_its_place_and_ends_the_threads():
    before = threading.active_count()
    results = in_order(lambda item: 6 // item, [3, 0, 2], ahead=2, workers=2)
    assert next(results) == 2
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert threading.active_count() == before
