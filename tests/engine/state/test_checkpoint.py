"""Checkpoints: whole or not used, the newest and the best kept."""

from __future__ import annotations

import errno
import json

import numpy as np
import pytest

from common.errors import UserError
from common.reading import sha256
from engine.results.training_meter import Meter
from engine.state import checkpoint
from engine.state.progress import Progress


def _save(folder, step, best=-1, keep=2):
    arrays = {"w": np.full(3, step, "float32")}
    state = checkpoint.State(arrays, {"w/moment": arrays["w"]}, Progress(step, best_step=best), {})
    return checkpoint.save(folder, state, keep)


def test_round_trip(tmp_path):
    _save(tmp_path, 7)
    state = checkpoint.newest(tmp_path)
    assert state.progress.steps_done == 7
    assert (state.model["w"] == 7).all()
    assert list(state.optimizer) == ["w/moment"]
    assert checkpoint.newest(tmp_path / "absent") is None


def test_newest_and_best_are_kept(tmp_path):
    for step in (1, 2, 3, 4, 5):
        _save(tmp_path, step, best=2)
    assert checkpoint.all_steps(tmp_path) == [5, 4, 2]


@pytest.mark.parametrize(
    "incidents",
    [
        7,
        [7],
        [{}],
        [{"step": 1, "action": "skip"}],
        [{"step": "1", "action": "skip", "text": ""}],
        [{"step": 1, "action": "leave", "text": ""}],
        [{"step": 1, "action": "rollback", "text": "", "back_to": -1}],
    ],
)
def test_incidents_that_are_none(tmp_path, incidents):
    arrays = {"w": np.ones(3, "float32")}
    good = {"step": 1, "action": "rollback", "text": "", "back_to": 0}
    checkpoint.save(
        tmp_path, checkpoint.State(arrays, arrays, Progress(1, incidents=[good]), {}), 2
    )
    assert checkpoint.load(tmp_path, 1).progress.incidents == [good]
    checkpoint.save(
        tmp_path, checkpoint.State(arrays, arrays, Progress(1, incidents=incidents), {}), 2
    )
    with pytest.raises(UserError, match="not a whole checkpoint"):
        checkpoint.load(tmp_path, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"step": 1.0},
        {"step": True},
        {"best_top1": 10**400},
        {"seconds": float("inf")},
        {"best_step": "1"},
    ],
)
def test_progress_that_is_none(tmp_path, change):
    arrays, progress = {"w": np.ones(3, "float32")}, Progress(1, best_top1=0.5, seconds=3.0)
    path = checkpoint.save(tmp_path, checkpoint.State(arrays, arrays, progress, {}), 2)
    assert checkpoint.load(tmp_path, 1).progress == progress
    (path / "progress.json").write_text(json.dumps({**progress.to_json(), **change}))
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["progress.json"] = sha256(path / "progress.json")
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="not a whole checkpoint"):
        checkpoint.load(tmp_path, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"ranks": [[1.0, 2, 3]]},
        {"ranks": [[1.0, 2, 3, 4, float("inf")]]},
        {"ranks": [[]]},
        {"terms": ["ce", "kl"]},
        {"terms": ["%bad"]},
        {"terms": [1]},
    ],
)
def test_means_in_progress_that_are_none(change):
    good = {"terms": ["ce"], "ranks": [[1.5, 2, 3, 4, 5]]}
    Meter().load_state(good)
    with pytest.raises(ValueError, match="not that of a run"):
        Meter().load_state({**good, **change})


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.safetensors", "progress.json", "manifest.json"]
)
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_damaged_ones_are_named_and_passed_over(tmp_path, capsys, name, damage):
    _save(tmp_path, 1)
    path = _save(tmp_path, 2) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if damage != "gone":
        path.write_bytes(content if damage == "flip" else content[:-5])
    assert checkpoint.newest(tmp_path).progress.steps_done == 1
    assert "step_00000002" in capsys.readouterr().out
    with pytest.raises(UserError):
        checkpoint.load(tmp_path, 2)


def test_a_disk_that_fails_is_like_damage(tmp_path, capsys, monkeypatch):
    for step in (1, 2):
        _save(tmp_path, step)

    def failing(path):
        if "step_00000002" in str(path):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return sha256(path)

    monkeypatch.setattr(checkpoint, "sha256", failing)
    assert checkpoint.newest(tmp_path).progress.steps_done == 1
    assert "trying the one before" in capsys.readouterr().out
    with pytest.raises(
        UserError, match=r"step_00000002/\w+.\w+: can't be read \(Input/output error\)"
    ):
        checkpoint.load(tmp_path, 2)


def test_states_that_can_not_be_listed_are_not_taken_for_none(tmp_path):
    """The run would begin anew, over what is there."""
    (tmp_path / "checkpoints").write_text("mine")
    with pytest.raises(UserError, match="checkpoints: can't be read .Not a directory.; mend that"):
        checkpoint.newest(tmp_path / "checkpoints")


def test_a_crash_while_writing_leaves_the_old_state(tmp_path, monkeypatch):
    _save(tmp_path, 1)
    monkeypatch.setattr(checkpoint, "sha256", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        _save(tmp_path, 2)
    monkeypatch.undo()
    assert checkpoint.all_steps(tmp_path) == [1]
    assert checkpoint.newest(tmp_path).progress.steps_done == 1
