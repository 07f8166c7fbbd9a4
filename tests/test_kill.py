"""Runs that are killed with `kill -9` at random instants end with the bits of one that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT
from visualdl import LogReader

from common.reading import sha256
from engine.results import metrics_reader
from engine.state import checkpoint
from models.layers import missing_for_bfloat16
from program import run_folder

# Dropout, mixing, accumulation, averages and a schedule are in play. Records, checkpoints and
# validations come at steps of their own, and an epoch has 8 steps and a part of one.
_FILE = """
from configs import default

def get_config():
    config = default.get_config()
    config.data.update(name="folder", root={root!r}, holdout=0.2, crop_scale=(0.5, 1.0))
    config.data.workers = {workers}
    config.data.update(mixup_alpha=0.8, cutmix_alpha=1.0, mix_mode="elem", erase_probability=0.25)
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1, drop_path_rate=0.1)
    config.optim.update(lr=3e-3, warmup_steps=5, clip_norm=1.0)
    config.average.update(ema_decay=0.9)
    config.train.update(steps=50, batch_size={batch}, accumulation_steps=2)
    config.train.update(log_every_steps=4, checkpoint_every_steps=3)
    config.eval.update(every_steps=7)
    config.train.amp = {amp!r}
    return config
"""
_TIMES = ("seconds", "images_per_second")


class _Run:
    """A run on painted images that can be started, killed and compared."""

    def __init__(self, root: Path, folder: Path, processes: int, workers: int, amp: str):
        self.folder, self._processes = folder, processes
        config = folder.with_suffix(".py")
        config.write_text(
            _FILE.format(root=str(root), workers=workers, batch=12 // processes, amp=amp)
        )
        launcher = ["-m", "paddle.distributed.launch", "--nproc_per_node", str(processes)]
        launcher += ["--log_dir", str(folder.with_suffix(".log"))]
        self._command = [
            sys.executable,
            *(launcher if processes > 1 else ()),
            "main.py",
            f"--config={config}",
        ]
        self._command.append(f"--workdir={folder}")

    def start(self) -> subprocess.Popen:
        """Begin or go on; returns when the run has its folder."""
        before = self._owner()
        with open(self.folder.with_suffix(".txt"), "w") as output:
            process = subprocess.Popen(
                self._command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
            )
        while self._owner() == before and process.poll() is None:
            time.sleep(0.01)
        return process

    def _owner(self) -> str:
        path = self.folder / run_folder.LOCK
        return path.read_text() if path.is_file() else ""

    def kill(self, process: subprocess.Popen) -> None:
        """End all processes of the run at once: launcher, ranks and loader workers."""
        while alive := self._alive():
            for number in alive:
                os.kill(number, signal.SIGKILL)
            time.sleep(0.01)
        process.wait()

    def _alive(self) -> list[int]:
        mark, found = f"--workdir={self.folder}".encode(), []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
            except OSError:  # it has ended
                continue
        return found

    def finish(self, process: subprocess.Popen) -> None:
        code = process.wait()
        assert code == 0, self.folder.with_suffix(".txt").read_text()[-3000:]

    def outcome(self) -> dict:
        """All that must be the same: the bits of the last state and of the result, and each
        record.
        """
        checkpoints = self.folder / run_folder.CHECKPOINTS
        states = {}
        for step in checkpoint.all_steps(checkpoints):
            path = checkpoints / f"step_{step:08d}"
            states[step] = [
                sha256(path / f"{name}.safetensors") for name in ("model", "optimizer", "averages")
            ]
            progress = json.loads((path / "progress.json").read_text())
            states[step].append(
                {name: value for name, value in progress.items() if name not in _TIMES}
            )
        records = [_timeless(record) for record in metrics_reader.read_metrics(self.folder)]
        result = _timeless(run_folder.result(self.folder))
        weights = {path.name: sha256(path) for path in self.folder.glob("weights*.safetensors")}
        shown = LogReader(file_path=str(self.folder / run_folder.VISUALDL))
        points = {
            tag: [(point.id, point.value) for point in shown.get_data("scalar", tag)]
            for tag in shown.get_tags()["scalar"]
            if not tag.endswith("images_per_second")
        }
        return {
            "states": states,
            "records": records,
            "result": result,
            "weights": weights,
            "points": points,
        }


def _timeless(record: dict) -> dict:
    return {name: value for name, value in record.items() if name not in _TIMES}


def _compare(
    root: Path,
    folder: Path,
    processes: int,
    workers: int,
    kills: int,
    seed: int,
    amp: str = "",
) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    whole = _Run(root, folder / "whole", processes, workers, amp)
    process, started = whole.start(), time.monotonic()
    whole.finish(process)
    length = time.monotonic() - started
    expected = whole.outcome()
    rounds = 0
    while kills:
        run = _Run(root, folder / f"killed_{rounds}", processes, workers, amp)
        rounds += 1
        process = run.start()
        while kills:
            time.sleep(chance.uniform(0, length / 2))
            if process.poll() is not None:
                break
            run.kill(process)
            kills -= 1
            process = run.start()
        run.finish(process)
        found = run.outcome()
        for name, value in expected.items():
            assert found[name] == value, name


def test_two_kills(painted, tmp_path):
    _compare(painted, tmp_path, processes=1, workers=0, kills=2, seed=random.randrange(10**6))


@pytest.mark.skipif(bool(missing_for_bfloat16()), reason=missing_for_bfloat16())
def test_a_kill_in_bfloat16(painted, tmp_path):
    seed = random.randrange(10**6)
    _compare(painted, tmp_path, processes=1, workers=2, kills=1, seed=seed, amp="bf16")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("processes", [1, 2])
def test_many_kills(painted, tmp_path, processes, workers):
    _compare(painted, tmp_path, processes, workers, kills=8, seed=random.randrange(10**6))
