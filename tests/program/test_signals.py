"""Requests to stop: when a signal or the clock is heard, and how a program then ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from conftest import ROOT, run_program

from common.errors import UserError
from program import exits
from program.signals import Stopped, StopRequest


def _send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_is_noted_where_there_is_something_to_save(number):
    before = signal.getsignal(number)
    with StopRequest() as stop, stop.deferred():
        assert not stop.agreed()
        _send(number)
        assert stop.agreed()
        assert stop.reason == number.name
        with pytest.raises(Stopped, match=number.name):
            stop.check()
    with StopRequest(), pytest.raises(Stopped, match=number.name):
        _send(number)
    assert signal.getsignal(number) == before


def test_all_processes_agree():
    told = []
    stop = StopRequest()
    stop.agree_by(lambda own: told.append(own) or True)
    assert stop.agreed()
    assert told == [False]
    assert stop.reason == "another process was asked to"
    with pytest.raises(Stopped, match="another process"):
        stop.check()


def test_handlers_of_others_are_replaced_and_signals_wait_for_that():
    def import_paddle(stop):
        with stop.held():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

    with StopRequest() as stop:
        with pytest.raises(Stopped, match="SIGTERM"):
            import_paddle(stop)
        assert signal.getsignal(signal.SIGTERM) == stop._handle


_STUBBORN = """
import os, signal, sys, time
from program.signals import StopRequest
with StopRequest() as stop, stop.deferred():
    try:
        for number in sys.argv[1:]:
            os.kill(os.getpid(), int(number))
        print("still here", flush=True)
    except BaseException:
        print("caught")
    finally:
        print("left")
"""


@pytest.mark.parametrize(
    ("numbers", "leaves"), [((2, 2), True), ((15, 2), False), ((15, 15, 15, 10), False)]
)
def test_a_second_ctrl_c_leaves_at_once(numbers, leaves):
    """Nothing can delay it, and it prints one line. Several SIGTERM, as of a launcher, are one."""
    done = subprocess.run(
        [sys.executable, "-c", _STUBBORN, *map(str, numbers)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if leaves:
        assert (done.returncode, done.stdout) == (130, "")
        assert done.stderr == "interrupted; the same command goes on from the newest checkpoint\n"
    else:
        assert (done.returncode, done.stdout) == (0, "still here\nleft\n")


def test_the_time_that_a_step_and_a_save_take_is_kept_free():
    now = [0.0]
    stop = StopRequest(max_hours=1, clock=lambda: now[0])
    with stop.deferred():
        for second in (100, 400, 500):  # steps of 300 s at most; the first hundred are the start's
            now[0] = second
            assert not stop.agreed()
        with stop.saving():
            now[0] = 550
        now[0] = 3600 - 300 - 50 - 1
        stop._asked_at = now[0] - 10
        assert not stop.agreed()
        now[0] += 1
        assert stop.agreed()
        assert stop.reason == "--max_hours=1"
    assert StopRequest(clock=lambda: 1e9).agreed() is False


_THREADS = """
import main, sys, pathlib
assert "numpy" in sys.modules and "paddle" not in sys.modules
for task in pathlib.Path("/proc/self/task").iterdir():
    print((task / "status").read_text())
"""


def test_no_thread_of_numpy_takes_a_signal():
    """It would get one that the main thread blocks while Paddle is imported, which aborts on it."""
    done = run_program("-c", _THREADS, OPENBLAS_NUM_THREADS="4")
    masks = [
        int(line.split()[1], 16) for line in done.stdout.splitlines() if line.startswith("SigBlk")
    ]
    if len(masks) < 2:
        pytest.skip("NumPy has no threads of its own here")
    wanted = sum(1 << number - 1 for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1))
    assert sorted(mask & wanted for mask in masks) == [0] + [wanted] * (len(masks) - 1)


@pytest.mark.parametrize("hours", [-1.0, float("nan"), float("inf")])
def test_hours_that_are_none(hours):
    with pytest.raises(UserError, match=f"--max_hours is {hours}, expected 0"):
        StopRequest(hours)


def test_hours_on_the_command_line(tmp_path):
    """The time is over at once: a step is taken, so that runs of any length end. Then a mistake."""
    words = [
        "main.py",
        f"--workdir={tmp_path / 'run'}",
        "--config.train.steps=2",
        "--config.data.holdout=0.0",
    ]
    done = run_program(*words, "--max_hours=1e-9")
    assert done.returncode == 75, done.stderr
    assert done.stdout.splitlines()[-1].startswith(
        "stopped after step 1 (--max_hours=1e-09), saved; the same command"
    )
    done = run_program(*words, "--max_hours=-1")
    assert (done.returncode, done.stderr) == (
        2,
        "error: --max_hours is -1.0, expected 0 (no limit) or more\n",
    )


def test_a_fault_is_told_from_a_failed_expectation(capsys):
    with pytest.raises(SystemExit) as end:
        exits.run_tool(lambda: 1 / 0)
    assert end.value.code == exits.FAULT
    assert "ZeroDivisionError" in capsys.readouterr().err
