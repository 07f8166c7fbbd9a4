"""The programs of a reproduction: their errors, signals, and what `kill -9` leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT

from common.errors import UserError
from tools.reproduction.work import children, state

# Says that it is there, and ends in its own time after SIGTERM, as a training does.
_OBEDIENT = """
import signal, sys, time
def stop(number, frame):
    time.sleep(0.3)
    open(sys.argv[1] + ".saved", "w").close()
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
open(sys.argv[1], "w").close()
while True:
    time.sleep(0.01)
"""
_PARENT = """
import sys
from tools.reproduction.work import children
words = ["-c", sys.argv[1], sys.argv[2]]
children.run(words, "training", lambda process: print(process, flush=True))
"""


def test_codes():
    assert children.run(["-c", ""], "it") == 0
    assert children.run(["-c", "raise SystemExit(1)"], "it") == 1
    with pytest.raises(children.Asked, match="stopped while it"):
        children.run(["-c", "raise SystemExit(75)"], "it")


def test_its_error_becomes_ours(capfd):
    code = (
        "import sys; print('a\\nerror: the disk is full; make room', file=sys.stderr); sys.exit(2)"
    )
    message = r"^training: the disk is full; make room; the same command goes on from here$"
    with pytest.raises(UserError, match=message):
        children.run(["-c", code], "training")
    assert capfd.readouterr().err == "a\n"


def test_the_error_of_what_it_starts(tmp_path):
    """Paddle's launcher writes it into a log, and ends with another code."""
    log = tmp_path / "workerlog.0"
    with pytest.raises(UserError, match="ended with exit code 2"):
        children.run(["-c", "raise SystemExit(2)"], "training", log=log)
    log.write_text("error: an older one\nerror: the data lacks a class; get all\nbye\n")
    with pytest.raises(UserError, match="training: the data lacks a class; get all; the same"):
        children.run(["-c", "raise SystemExit(2)"], "training", log=log)


@pytest.mark.parametrize("code", ["raise SystemExit(2)", "import os; os.kill(os.getpid(), 9)"])
def test_without_an_error_of_its_own(code):
    with pytest.raises(UserError, match=r"it ended with exit code (2|-9); its lines above"):
        children.run(["-c", code], "the dry run")


def test_a_signal_is_passed_on(tmp_path):
    mark = tmp_path / "begun"

    def ask() -> None:
        while not mark.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=ask)
    before = signal.getsignal(signal.SIGTERM)
    thread.start()
    with pytest.raises(children.Asked):
        children.run(["-c", _OBEDIENT, str(mark)], "training")
    thread.join()
    assert mark.with_suffix(".saved").exists()
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_system_ends_it_with_us():
    """PR_GET_PDEATHSIG of the program is SIGTERM, with which a training saves and stops."""
    code = "import ctypes; n = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(n)); "
    assert children.run(["-c", code + "raise SystemExit(n.value != 15)"], "it") == 0


def test_kill_leaves_nothing_that_runs_on(tmp_path):
    """The system asks the program to stop when its parent is killed; the next start waits."""
    mark = tmp_path / "begun"
    words = [sys.executable, "-c", _PARENT, _OBEDIENT, str(mark)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        while not mark.exists():
            time.sleep(0.01)
        known = children.identity(child)
        assert known
        parent.kill()
        parent.wait()
        children.wait_for(child, known)
    assert children.identity(child) != known
    assert mark.with_suffix(".saved").exists()


def test_another_process_of_the_same_number_is_left_alone():
    children.wait_for(os.getpid(), "12345")
    children.wait_for(2**22 + 1, "12345")
    assert children.identity(2**22 + 1) == ""


def test_state(tmp_path, capsys):
    what = {"figure": "a", "scale": "tiny"}
    first = state.State(tmp_path, what)
    first.begun(os.getpid())
    assert first.run("data", lambda: {"root": "x"})["root"] == "x"
    again = state.State(tmp_path, what)
    assert again.run("data", lambda: pytest.fail("it was done before"))["root"] == "x"
    assert again.done("weights") is None
    assert list(again.stages()) == ["data"]
    assert "data: done before" in capsys.readouterr().out
    with pytest.raises(UserError, match="holds a reproduction with figure = 'a', not 'b'"):
        state.State(tmp_path, {**what, "figure": "b"})
    (tmp_path / state.FILE).write_text("[]")
    with pytest.raises(UserError, match="is not the state of a reproduction"):
        state.State(tmp_path, what)


def test_a_stage_that_fails_is_not_done(tmp_path):
    found = state.State(tmp_path, {})
    with pytest.raises(UserError):
        found.run("data", lambda: (_ for _ in ()).throw(UserError("no")))
    assert state.State(tmp_path, {}).done("data") is None


def test_a_folder_has_one_reproduction_at_a_time(tmp_path):
    code = "import sys; from pathlib import Path; from tools.reproduction.work import state\n"
    code += "with state.lock(Path(sys.argv[1])): print('mine', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(UserError, match="in use by another"), state.lock(tmp_path):
            pass
        other.communicate("")
    with state.lock(tmp_path):
        pass
