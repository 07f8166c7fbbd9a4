"""Work is shared by threads that are there, and nobody leaves before all have ended."""

from __future__ import annotations

import os
import threading
import time

import pytest
from conftest import run_program

from common import threads


@pytest.mark.parametrize(("words", "count"), [("3", 3), ("4,2", 4), ("", 1), ("0", 1), ("many", 1)])
def test_how_many_threads(monkeypatch, words, count):
    monkeypatch.setenv("OMP_NUM_THREADS", words)
    assert threads.available() == count


def test_all_parts_are_done_once(set_threads):
    set_threads(3)
    done = []
    threads.in_threads(lambda *given: done.append(given), threads.parts(100, 1 << 15))
    assert sorted(done) == [(0, 0, 33), (1, 33, 66), (2, 66, 100)]
    assert threads.parts(100, 1) == [(0, 100)]


def test_an_interrupted_part_waits_for_the_others(set_threads):
    """They write to memory that would be somebody else's by then."""
    set_threads(3)
    begun, ended = threading.Barrier(3), []

    def run(part: int, *_) -> None:
        begun.wait()
        if part == 0:
            raise KeyboardInterrupt
        time.sleep(0.2)
        ended.append(part)

    with pytest.raises(KeyboardInterrupt):
        threads.in_threads(run, threads.parts(3, 1 << 20))
    assert sorted(ended) == [1, 2]


_FORKED = """
import os, signal
from common.threads import in_threads, parts
in_threads(lambda *_: None, parts(9, 1 << 20))
process = os.fork()
signal.alarm(60)
in_threads(lambda *_: None, parts(9, 1 << 20))
os.write(1, b"done\\n")  # in one piece, from either process
os.waitpid(process, 0) if process else os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_has_threads_of_its_own():
    done = run_program("-c", _FORKED, OMP_NUM_THREADS="2")
    assert done.stdout == "done\n" * 2, done.stderr
