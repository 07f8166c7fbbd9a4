"""A closed terminal: the run saves and ends with 75; under `nohup` it goes on."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, run_program

from engine.state import checkpoint
from program.signals import StopRequest


def _words(folder) -> list[str]:
    return [
        *("main.py", f"--workdir={folder}", "--config.train.steps=400"),
        *("--config.train.batch_size=8", "--config.train.checkpoint_every_steps=5"),
    ]


def _on_a_terminal(words: list[str]) -> tuple[int, int]:
    """Starts a program on a terminal of its own; returns its process and our end of it."""
    process, master = pty.fork()
    if not process:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, *words])
    return process, master


def _until_checkpoint(folder, master: int) -> None:
    os.set_blocking(master, False)
    end = time.monotonic() + 120
    while not checkpoint.all_steps(folder / "checkpoints"):
        assert time.monotonic() < end
        time.sleep(0.02)
        with contextlib.suppress(BlockingIOError):
            os.read(master, 1 << 16)


@pytest.mark.parametrize("behind", [[], pytest.param(["-u"], marks=pytest.mark.slow)])
def test_a_closed_terminal_saves(tmp_path, behind):
    """The bar, the messages and Python's own end have no place to write to any more."""
    process, master = _on_a_terminal([*behind, *_words(tmp_path / "run")])
    _until_checkpoint(tmp_path / "run", master)
    os.close(master)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 75
    steps = checkpoint.all_steps(tmp_path / "run" / "checkpoints")
    state = checkpoint.newest(tmp_path / "run" / "checkpoints", say=lambda text: 1 / 0)
    assert state.progress.steps_done == steps[0] < 400
    words = _words(tmp_path / "run")
    done = run_program(*words, "--max_hours=1e-9")
    assert f"going on from step {steps[0]}" in done.stdout, done.stderr


def test_under_nohup_a_run_goes_on(tmp_path):
    """The signal is ignored from the start, and what is printed to the terminal is dropped."""
    hup = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    code = hup + "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    words = _words(tmp_path / "run")
    words[2] = "--config.train.steps=60"
    process, master = _on_a_terminal(["-c", code, *words])
    _until_checkpoint(tmp_path / "run", master)
    os.close(master)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert (tmp_path / "run" / "result.json").is_file()


def test_what_is_noted():
    with StopRequest() as stop, stop.deferred():
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.agreed()
        assert stop.reason == "SIGHUP"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop, stop.deferred():
            with stop.held():  # Paddle's import may set handlers of its own
                signal.signal(signal.SIGHUP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.agreed()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


_PRINTS = """
import os, signal, sys
from program import exits
from program.signals import StopRequest
def main():
    with StopRequest() as stop, stop.deferred():
        for number in sys.argv[1:]:
            os.kill(os.getpid(), int(number))
        sys.stdin.read()  # until the reader of our output is gone
        for _ in range(3):
            print("x" * 100_000, flush=True)
        return exits.STOPPED
exits.run_tool(main)
"""


@pytest.mark.parametrize(("signals", "code"), [(["2"], 75), (["1"], 75), ([], 141)])
def test_a_reader_that_the_same_signal_has_ended(signals, code):
    """Ctrl-C also ends the `tee` behind a run; without a signal the end of `head` ends us."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PRINTS, *signals],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    process.stdin.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    assert (process.wait(), said) == (code, "")
