"""Several processes do the same as one: gradients, counts, and a run from start to end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, launch, run_program

_WORKER = Path(__file__).with_name("gradient_worker.py")


def _step(folder: Path, processes: int, *arguments: object) -> dict[str, np.ndarray]:
    """Loss and gradients of a step: batch, accumulation, shared blocks, family, order of copies."""
    path = folder / "gradients.npz"
    words = (_WORKER, path, *arguments)
    done = run_program(*words) if processes == 1 else launch(processes, folder / "log", *words)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return dict(np.load(path))


def _compare(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Sums of float32 differ by their order, by some 1e-6 of the largest gradient."""
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    assert expected["kl_unlabelled"] > 1e-6
    assert found.keys() == expected.keys()
    gradients = expected.keys() - {"loss", "kl_unlabelled"}
    largest = max(np.abs(expected[name]).max() for name in gradients)
    assert largest > 0.01
    for name in gradients:
        np.testing.assert_allclose(found[name], expected[name], atol=3e-6 * largest, err_msg=name)


@pytest.fixture(scope="module")
def joint(tmp_path_factory) -> dict[int, dict[str, np.ndarray]]:
    """Loss and gradients of one process on the joint batch, by the number of shared blocks."""
    return {
        shared: _step(tmp_path_factory.mktemp("joint"), 1, 24, 1, shared, "distilled")
        for shared in (0, 2)
    }


@pytest.mark.parametrize(
    ("processes", "batch", "accumulation", "shared"),
    [
        (1, 12, 2, 0),
        (2, 4, 3, 0),
        (3, 4, 2, 2),
        pytest.param(2, 12, 1, 0, marks=pytest.mark.slow),
        pytest.param(2, 12, 1, 2, marks=pytest.mark.slow),
    ],
)
def test_loss_and_gradients_of_any_split(joint, tmp_path, processes, batch, accumulation, shared):
    """Dropout and all: the masks are those of the joint batch."""
    how = "one_by_one" if batch == 4 else "joined"
    _compare(
        _step(tmp_path, processes, batch, accumulation, shared, "distilled", how), joint[shared]
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["joined", "one_by_one"])
@pytest.mark.parametrize("family", ["cait", "swin"])
def test_other_families_on_two_processes(tmp_path, family, how):
    """Half of the blocks are shared, with accumulation. In Swin they are the first stage."""
    (tmp_path / "joint").mkdir()
    _compare(
        _step(tmp_path, 2, 6, 2, 2, family, how), _step(tmp_path / "joint", 1, 24, 1, 2, family)
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["joined", "one_by_one"])
@pytest.mark.parametrize("family", ["distilled", "cait", "swin"])
def test_recomputed_blocks_on_two_processes(tmp_path, family, how):
    """The gradients are those of one process that keeps everything, also with dropout."""
    (tmp_path / "joint").mkdir()
    recomputed = _step(tmp_path, 2, 6, 2, 2, family, how, "recompute")
    _compare(recomputed, _step(tmp_path / "joint", 1, 24, 1, 2, family))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["distilled", "swin"])
def test_a_frozen_part_on_two_processes(tmp_path, family):
    """Nobody waits for the gradients of frozen weights; those of the others are as always."""
    (tmp_path / "joint").mkdir()
    found = _step(tmp_path, 2, 6, 2, 0, family, "attention")
    whole = _step(tmp_path / "joint", 1, 24, 1, 0, family)
    assert len(found) < 0.6 * len(whole)
    assert all(
        ".attn." in name or "head" in name
        for name in found.keys() - {"loss", "kl_unlabelled", "pos_embed"}
    )
    _compare(found, {name: whole[name] for name in found})


def test_a_run_on_two_processes_and_its_evaluation_on_three(tmp_path):
    """Two processes train; three and one then count the same 500 images and the same hits."""
    overrides = [
        "--config.train.steps=30",
        "--config.train.batch_size=16",
        "--config.data.workers=1",
    ]
    done = launch(2, tmp_path / "log", "main.py", f"--workdir={tmp_path / 'run'}", *overrides)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "16 images a card x 2 cards x 1 accumulation = 32 images a step" in done.stdout
    weights = tmp_path / "run" / "weights.safetensors"
    counts = []
    for processes in (1, 3):
        path = tmp_path / f"{processes}.json"
        words = ["val.py", f"--weights={weights}", f"--json={path}", "--by_class"]
        words.append("--config.eval.batch_size=64")
        done = run_program(*words) if processes == 1 else launch(3, tmp_path / "log3", *words)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        counts.append(json.loads(path.read_text()))
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    for field in ("top1", "top5"):
        assert counts[0][field] == counts[1][field] == result[field]
    assert counts[0]["seen"] == counts[1]["seen"] == 500
    assert counts[0]["by_class"] == counts[1]["by_class"]
    assert counts[0]["loss"] == pytest.approx(counts[1]["loss"], rel=1e-6)
    assert counts[0]["ece"] == pytest.approx(counts[1]["ece"], abs=1e-6)


@pytest.mark.slow
def test_two_processes_stop_and_go_on_with_the_same_bits(tmp_path):
    """A signal reaches the ranks one after the other; they stop at the same step."""
    overrides = [
        "--config.train.steps=40",
        "--config.train.batch_size=16",
        "--config.train.log_every_steps=1",
    ]
    done = launch(2, tmp_path / "log", "main.py", f"--workdir={tmp_path / 'whole'}", *overrides)
    assert done.returncode == 0, done.stdout[-3000:]
    folder = tmp_path / "cut"
    launcher = [
        "-m",
        "paddle.distributed.launch",
        "--nproc_per_node",
        "2",
        "--log_dir",
        str(tmp_path / "log2"),
    ]
    command = [sys.executable, *launcher, "main.py", f"--workdir={folder}", *overrides]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (folder / "metrics.jsonl").is_file() or not (folder / "metrics.jsonl").read_text():
        assert process.poll() is None
        time.sleep(0.01)
    process.terminate()
    process.wait()
    assert not (folder / "result.json").exists()
    done = launch(2, tmp_path / "log3", "main.py", f"--workdir={folder}", *overrides)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "going on from step" in done.stdout
    assert (folder / "weights.safetensors").read_bytes() == (
        tmp_path / "whole" / "weights.safetensors"
    ).read_bytes()
    steps = [
        json.loads(line)["step"]
        for line in (folder / "metrics.jsonl").read_text().splitlines()
        if '"train"' in line
    ]
    assert steps == list(range(1, 41))
