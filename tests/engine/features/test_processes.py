"""Cached features with several processes, and across a kill."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from conftest import ROOT, launch, run_program, without_page
from feature_runs import LAUNCHED, assert_close, outcome


@pytest.mark.slow
@pytest.mark.parametrize("place", ["memory", "disk"])
def test_two_processes_do_the_same_as_one(tmp_path, place):
    """Each computes every other batch of the images, and gets the others' rows."""
    words = ["main.py", *(f"--config.{name}={value}" for name, value in LAUNCHED.items())]
    weights = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        size = f"--config.train.batch_size={10 // processes}"
        command = [*words, size, f"--workdir={folder}"]
        if place == "disk":
            command += ["--config.train.cache_gb=1e-9", "--config.train.cache_disk_gb=0.1"]
        done = run_program(*command) if processes == 1 else launch(2, tmp_path / "log", *command)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        assert "features: the first 2 blocks run once for" in done.stdout
        weights[processes] = outcome(folder)
    assert_close(weights[2], weights[1])


@pytest.mark.slow
@pytest.mark.parametrize("place", ["memory", "disk"])
def test_a_run_that_is_killed_ends_with_the_same_bits(tmp_path, place):
    """With `kill -9`, in the pass or after some steps."""
    words = ["main.py", *(f"--config.{name}={value}" for name, value in LAUNCHED.items())]
    words += ["--config.train.batch_size=10", "--config.train.steps=300"]
    words += ["--config.train.checkpoint_every_steps=2"]
    if place == "disk":
        words += ["--config.train.cache_gb=1e-9", "--config.train.cache_disk_gb=0.1"]
    whole, cut = (f"--workdir={tmp_path / name}" for name in ("whole", "cut"))
    assert run_program(*words, whole).returncode == 0
    folder, command = tmp_path / "cut", [sys.executable, *without_page([*words, cut])]
    for reached in (folder / "metrics.jsonl", folder / "checkpoints" / "step_00000020"):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        while not reached.exists() and not list(folder.glob("checkpoints/step_000002*")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.wait()
        assert not (folder / "result.json").exists()
    done = run_program(*words, cut)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "going on from step" in done.stdout
    found, expected = outcome(folder), outcome(tmp_path / "whole")
    assert found[1] == expected[1]
    assert all((found[0][name] == array).all() for name, array in expected[0].items())
