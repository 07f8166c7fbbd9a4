"""A run's folder belongs to one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, run_program

from common.errors import UserError
from program import run_folder

_HOLDER = """
import os, sys, time
from pathlib import Path
from program import run_folder
with run_folder.lock(Path(sys.argv[1])):
    print("held", flush=True)
    {then}
"""


def _holder(folder, then="time.sleep(600)"):
    command = [sys.executable, "-c", _HOLDER.format(then=then), str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_run_is_refused_and_a_dead_one_is_not_waited_for(tmp_path):
    folder = tmp_path / "run"
    process = _holder(folder)
    with (
        pytest.raises(UserError, match=rf"in use by process {process.pid} on .+; stop that run"),
        run_folder.lock(folder),
    ):
        pass
    done = run_program("main.py", f"--workdir={folder}", "--overwrite", "--config.train.steps=1")
    assert done.returncode == 2
    assert f"process {process.pid} on" in done.stderr
    assert os.listdir(folder) == [run_folder.LOCK]
    process.kill()
    process.wait()
    with run_folder.lock(folder):
        assert str(os.getpid()) in (folder / run_folder.LOCK).read_text()


def test_workers_that_outlive_a_run_do_not_hold_its_folder(tmp_path):
    """A lock that a fork inherits would be theirs until they notice."""
    process = _holder(
        tmp_path, then="worker = os.fork(); worker and print(worker, flush=True); time.sleep(600)"
    )
    worker = int(process.stdout.readline())
    process.kill()
    process.wait()
    with run_folder.lock(tmp_path):
        os.kill(worker, signal.SIGKILL)


def test_what_a_killed_run_has_half_written_is_removed(tmp_path):
    (tmp_path / run_folder.CHECKPOINTS / ".partial-step_00000007.x1").mkdir(parents=True)
    (tmp_path / ".partial-weights.x2.safetensors").touch()
    (tmp_path / "mine").touch()
    with run_folder.lock(tmp_path):
        assert sorted(os.listdir(tmp_path)) == [run_folder.LOCK, run_folder.CHECKPOINTS, "mine"]
        assert not os.listdir(tmp_path / run_folder.CHECKPOINTS)


def test_a_folder_that_can_not_be_made(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match="file/run can't be written"),
        run_folder.lock(tmp_path / "file" / "run"),
    ):
        pass
