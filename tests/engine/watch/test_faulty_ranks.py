"""Trouble on one of two real processes: all stop together, with one line that names the rank."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest
from conftest import launch

import data
from engine.commands import single_run
from engine.results import metrics_reader
from engine.state import checkpoint
from engine.watch import nonfinite
from engine.watch.rank_comparison import checksums

_WORKER = Path(__file__).with_name("faulty_worker.py")


def _errors(folder: Path) -> list[str]:
    """The line with which each of the two ranks stopped."""
    texts = [(folder / f"workerlog.{rank}").read_text() for rank in range(2)]
    assert not any("Traceback" in text for text in texts), texts
    return [line for text in texts for line in text.splitlines() if line.startswith("error: ")]


def test_a_layer_a_gradient_and_a_weight_of_one_rank(tmp_path):
    """All ranks leave out two steps; one bit of a weight shows at the next comparison."""
    from faulty_worker import faulty_config

    done = launch(
        2,
        tmp_path / "log",
        _WORKER,
        tmp_path / "run",
        "layer:0",
        "gradient:1",
        "weight:2",
        POLICY="skip",
    )
    assert done.returncode != 0
    first, second = (
        record["text"]
        for record in metrics_reader.read_metrics(tmp_path / "run")
        if record["split"] == "nonfinite"
    )
    sampler = data.TrainSampler(
        range(1297), 4, 2, 8, faulty_config().seed, start=0, rank=1, ranks=2
    )
    positions = ", ".join(str(index) for _, index in list(sampler)[1])
    named = "is the first layer whose output is not finite on rank 1"
    assert first == f"step 1: patch_embed.proj {named}; images: {positions}"
    assert second.startswith("step 2: the gradient of head.bias is not finite, while")
    assert " on rank 1; images: " in second
    errors = _errors(tmp_path / "log")
    assert len(errors) == 2
    assert len(set(errors)) == 1
    assert errors[0].startswith(
        "error: step 3: weights or moments of rank 1 are not those of the other ranks any more"
    )
    assert checkpoint.all_steps(tmp_path / "run" / "checkpoints") == []


@pytest.mark.slow
def test_all_ranks_stop_for_the_trouble_of_one(tmp_path):
    done = launch(2, tmp_path / "log", _WORKER, tmp_path / "run", "layer:4")
    assert done.returncode != 0
    errors = _errors(tmp_path / "log")
    assert len(errors) == 2
    assert len(set(errors)) == 1
    assert errors[0].startswith(
        "error: step 5: patch_embed.proj is the first layer whose output is not finite on rank 1"
    )


@pytest.mark.parametrize("rank", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_all_ranks_stop_where_one_can_not_read_the_checkpoints(tmp_path, rank):
    """The first before it has chosen one, the other one the one that was chosen."""
    if rank:
        launch(2, tmp_path / "before", _WORKER, tmp_path / "run", "layer:5")
        assert checkpoint.all_steps(tmp_path / "run" / "checkpoints") == [4]
    done = launch(2, tmp_path / "log", _WORKER, tmp_path / "run", f"unreadable:{rank}")
    assert done.returncode != 0
    said = _errors(tmp_path / "log")
    assert len(said) == 2
    assert "can't be read (Input/output error)" in said[rank]
    assert said[1 - rank] == f"error: process {rank} stopped: {said[rank][7:]}"


@pytest.mark.slow
def test_all_ranks_go_back_for_the_trouble_of_one(tmp_path):
    """They stay the same, which is looked at every three steps."""
    done = launch(2, tmp_path / "log", _WORKER, tmp_path / "run", "layer:6", POLICY="rollback")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "not finite on rank 1; images: " in done.stdout
    assert "back to step 4, from there at 0.5 of the rate" in done.stdout
    steps = [
        record["step"]
        for record in metrics_reader.read_metrics(tmp_path / "run")
        if record["split"] == "train"
    ]
    assert steps == list(range(1, 9))


def test_what_is_compared_and_when(tmp_path, monkeypatch):
    """Weights and moments: after every third step, and before each checkpoint (4 and the last)."""
    from faulty_worker import faulty_config

    seen = []
    monkeypatch.setattr(
        nonfinite, "check_ranks", lambda tensors, step: seen.append((step, set(tensors)))
    )
    single_run.train(faulty_config(), tmp_path)
    assert [step for step, _ in seen] == [0, 3, 4, 6, 8]
    state = checkpoint.load(tmp_path / "checkpoints", 8)
    assert state.model.keys() <= seen[-1][1]
    moments = {
        name
        for name, value in state.optimizer.items()
        if name.startswith("head.weight/") and value.ndim == 2
    }
    assert len(moments) == 2
    assert moments <= seen[-1][1]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bfloat16"])
def test_a_checksum_sees_a_bit(dtype):
    """It is that of numpy's integers, and any bit changes it."""
    values = np.random.default_rng(0).normal(0, 1000, (5, 7))
    tensor = paddle.to_tensor(values).astype(dtype)
    (before,) = checksums({"x": tensor})
    integers = {"float32": np.int32, "float64": np.int64, "int64": np.int64}.get(dtype)
    if integers:
        with np.errstate(over="ignore"):
            assert before == tensor.numpy().view(integers).astype(np.int64).sum()
    flipped = tensor.view({4: "int32", 8: "int64", 2: "int16"}[tensor.element_size()]).clone()
    flipped[2, 3] = flipped[2, 3] ^ paddle.ones([], flipped.dtype)
    assert abs(checksums({"x": flipped})[0] - before) == 1


def test_signs_and_numbers_that_are_none_have_checksums():
    """Unlike in a mean of floats, where 0 and -0 are the same and NaN hides everything."""
    zeros = [checksums({"x": paddle.to_tensor([value, float("nan")])})[0] for value in (0.0, -0.0)]
    assert zeros[0] != zeros[1]
