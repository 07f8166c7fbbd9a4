"""Writing checkpoints in the background: killed at any operation, on a full disk, and behind
training.
"""

from __future__ import annotations

import errno
import os
import threading
import time

import numpy as np
import pytest
from conftest import run_program
from safetensors import SafetensorError

from common.atomic_writing import remove_partial
from common.errors import UserError
from engine.state import checkpoint, checkpoint_writer
from engine.state.progress import Progress

# Writes states 1 to 3, once for each operation of the file system at which it is killed.
_KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
import common.reading, shutil
from engine.state import checkpoint
from engine.state.progress import Progress

folder, fatal, count = Path(sys.argv[1]), 0, 0

def watched(function):
    def call(*arguments, **named):
        global count
        if count == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1
        return function(*arguments, **named)
    return call

def write(place):
    for step in (1, 2, 3):
        arrays = {"w": np.full(1000, step, "float32")}
        state = checkpoint.State(arrays, dict(arrays), Progress(step, best_step=1), {})
        checkpoint.save(place, state, keep=1)
        open(f"{place}.finished", "a").write(f"{step} ")

calls = [(os, name) for name in ("fsync", "rename", "replace", "unlink", "rmdir", "mkdir")]
for owner, name in [*calls, (checkpoint, "save_file"), (checkpoint, "sha256")]:
    setattr(owner, name, watched(getattr(owner, name)))
while True:
    child = os.fork()
    if not child:
        write(folder / str(fatal))
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
    fatal += 1
"""


def _state(step, best=-1):
    arrays = {"w": np.full(3, step, "float32")}
    return checkpoint.State(arrays, dict(arrays), Progress(step, best_step=best), {})


def test_killed_at_any_operation_the_newest_or_the_one_before_is_whole(tmp_path):
    done = run_program("-c", _KILLED, tmp_path)
    assert done.returncode == 0, done.stderr
    folders = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(folders) > 40
    for folder in folders:
        record = folder.with_name(f"{folder.name}.finished")
        finished = int(record.read_text().split()[-1]) if record.exists() else 0
        steps = checkpoint.all_steps(folder)
        found = [checkpoint.load(folder, step).model["w"][0] for step in steps]
        assert found == steps
        assert max(steps, default=0) in (finished, finished + 1)
        assert not finished or 1 in steps, "the best is kept"
        remove_partial(folder)
        assert {path.name for path in folder.iterdir()} == {f"step_{step:08d}" for step in steps}


def test_training_goes_on_while_a_state_is_written(tmp_path, monkeypatch):
    go, original = threading.Event(), checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda *arguments: go.wait() and original(*arguments))
    with checkpoint_writer.Writer(tmp_path, keep=2) as writer:
        writer.save(_state(1))
        assert checkpoint.all_steps(tmp_path) == []
        writer.check()
        go.set()
        writer.save(_state(2))
        assert 1 in checkpoint.all_steps(tmp_path)
    assert checkpoint.all_steps(tmp_path) == [2, 1]


def test_an_error_of_the_run_waits_for_the_state(tmp_path, monkeypatch):
    original = checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda *arguments: time.sleep(0.2) or original(*arguments)
    )
    with pytest.raises(UserError, match="mine"):
        _save_and_raise(tmp_path, UserError("mine"))
    assert checkpoint.all_steps(tmp_path) == [1]


def _save_and_raise(folder, error):
    with checkpoint_writer.Writer(folder, keep=2) as writer:
        writer.save(_state(1))
        raise error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system"),
        SafetensorError("Error while serializing: I/O error: Disk quota exceeded (os error 122)"),
    ],
    ids=str,
)
def test_a_state_that_can_not_be_written(tmp_path, monkeypatch, error):
    checkpoint.save(tmp_path, _state(1), 2)

    def refuse(*arguments):
        raise error

    monkeypatch.setattr(checkpoint, "save_file", refuse)
    writer = checkpoint_writer.Writer(tmp_path, keep=2)
    writer.save(_state(2))
    with pytest.raises(
        UserError, match=r"step_00000002 could not be written .*; make room, and the same command"
    ):
        writer.wait()
    told = []
    with checkpoint_writer.Writer(tmp_path, keep=2, stop=False, say=told.append) as writer:
        writer.save(_state(3))
        writer.save(_state(4))
    assert [line.split(" could")[0][-13:] for line in told] == ["step_00000003", "step_00000004"]
    assert all("going on without it" in line for line in told)
    assert os.listdir(tmp_path) == ["step_00000001"]
    assert checkpoint.newest(tmp_path).progress.steps_done == 1


def test_what_a_run_has_passed_over_goes_when_a_new_state_is_safe(tmp_path):
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, _state(step), 3)
    for step in (2, 3):
        (tmp_path / f"step_0000000{step}" / "model.safetensors").write_bytes(b"")
    assert checkpoint.newest(tmp_path, say=lambda line: None).progress.steps_done == 1
    checkpoint.save(tmp_path, _state(2), 1)
    assert checkpoint.all_steps(tmp_path) == [2]
    assert checkpoint.newest(tmp_path).progress.steps_done == 2
