"""A disk that is really full: one line, a state that is whole, and the same bits when there is room
again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import paint
from in_process import run_here

from common.reading import sha256
from common.safetensors_files import read_safetensors
from engine.results import metrics_reader
from engine.state import checkpoint

_STATE = 1400  # kilobytes of a checkpoint, roughly


class _Disk:
    """A small file system of its own, in memory."""

    def __init__(self, place: Path):
        self.place = place
        place.mkdir()

    def mount(self, kilobytes: int) -> None:
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(self.place)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a small file system can't be mounted here: {done.stderr.strip()}")

    def grow(self, kilobytes: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(self.place)], check=True)


@pytest.fixture
def disk(tmp_path):
    """A disk to be mounted; it is gone behind the test, whatever that does."""
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("only root on Linux can mount a small file system")
    disk = _Disk(tmp_path / "disk")
    try:
        yield disk
    finally:
        while os.path.ismount(disk.place):
            subprocess.run(["umount", "--lazy", str(disk.place)], check=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Images to train on."""
    root = tmp_path_factory.mktemp("painted")
    paint(root / "train", 3, 12)
    paint(root / "test", 3, 5)
    return root


def _train(root: Path, folder: Path, *more: str):
    """A run that keeps each of its twelve states."""
    words = ["--config.data.name=folder", f"--config.data.root={root}", "--config.data.holdout=0.2"]
    words += [
        "--config.model.name=vit_n_8",
        "--config.model.image_size=16",
        "--config.model.drop_rate=0.1",
    ]
    words += [
        "--config.average.ema_decay=0.9",
        "--config.train.steps=12",
        "--config.train.batch_size=6",
    ]
    words += ["--config.train.log_every_steps=1", "--config.train.checkpoint_every_steps=1"]
    words += ["--config.train.keep_checkpoints=50", "--config.eval.every_steps=4"]
    return run_here("main.py", f"--workdir={folder}", *words, *more)


class _Outcome(NamedTuple):
    """All that must be the same, without times: files of weights, the bits of the last state, and
    the records.
    """

    weights: dict[str, str]
    state: dict[str, str]
    records: list[dict]


def _outcome(folder: Path) -> _Outcome:
    weights = {path.name: sha256(path) for path in sorted(folder.glob("weights*.safetensors"))}
    last = folder / "checkpoints" / "step_00000012"
    state = {path.name: sha256(path) for path in sorted(last.glob("*.safetensors"))}
    timing = ("seconds", "images_per_second")
    records = [
        {k: v for k, v in r.items() if k not in timing} for r in metrics_reader.read_metrics(folder)
    ]
    return _Outcome(weights, state, records)


@pytest.fixture(scope="module")
def whole(root, tmp_path_factory) -> Path:
    """The folder of a run that had room."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = _train(root, folder)
    assert done.returncode == 0, done.stderr
    return folder


# Full in the first records, the first state, a later one, the weights of the result, and its curve.
@pytest.mark.parametrize(
    ("kilobytes", "what", "states"),
    [
        (28, "metrics.jsonl", 0),
        (_STATE // 2, "step_00000001", 0),
        (3 * _STATE + _STATE // 2, "step_00000004", 3),
        (12 * _STATE + 200, "weights", 12),
        (12 * _STATE + 500, "curve.png", 12),
    ],
)
def test_it_stops_in_one_line_and_goes_on_with_the_same_bits(
    disk, root, whole, kilobytes, what, states
):
    disk.mount(kilobytes)
    folder = disk.place / "run"
    done = _train(root, folder)
    said = [line for line in done.stderr.splitlines() if line.strip()]
    assert (done.returncode, len(said)) == (2, 1), done.stderr
    assert said[0].startswith("error: ")
    for part in ("No space left on device", "make room", f"{folder}/", what):
        assert part in said[0]
    assert "Traceback" not in done.stdout
    steps = checkpoint.all_steps(folder / "checkpoints")
    assert steps == list(range(states, 0, -1))
    assert [
        checkpoint.load(folder / "checkpoints", step).progress.steps_done for step in steps
    ] == steps
    assert not list(folder.rglob(".partial-*"))
    assert not (folder / "result.json").exists()
    disk.grow(40_000)
    done = _train(root, folder)
    assert done.returncode == 0, done.stderr
    assert ("going on from step" in done.stdout) == bool(states)
    assert f"going on from step {states}" in done.stdout or not states
    assert _outcome(folder) == _outcome(whole)


def test_it_goes_on_without_states_where_that_is_wanted(disk, root, whole):
    """Each that is lost is told. There is room for the result, which is of the last weights, and
    the same.
    """
    disk.mount(3 * _STATE - 300)
    folder = disk.place / "run"
    done = _train(root, folder, "--config.train.stop_unless_saved=false")
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if "could not be written" in line]
    assert [line.split("step_")[1][:8] for line in told] == [f"{step:08d}" for step in range(3, 13)]
    assert all(
        line.startswith("warning: ") and line.endswith("; going on without it") for line in told
    )
    assert "warning: the best weights, of step 12, are lost, the last are used" in done.stdout
    assert checkpoint.all_steps(folder / "checkpoints") == [2, 1]
    assert checkpoint.newest(folder / "checkpoints").progress.steps_done == 2
    assert _outcome(folder).records == _outcome(whole).records
    weights, expected = (
        read_safetensors(place / "weights.safetensors")[0] for place in (folder, whole)
    )
    assert all((weights[name] == value).all() for name, value in expected.items())
