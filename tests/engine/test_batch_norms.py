"""Running statistics of batch norms are the mean over all ranks: all evaluate and save the same."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from conftest import ROOT, launch
from paddle import nn

from common.errors import UserError
from configs import default
from engine import distributed
from engine.commands import single_run
from engine.step import batch_norm_sync
from models import read_arrays
from program import exits
from program.signals import StopRequest

_WORKER = """
import sys; sys.path.insert(0, {root!r})
from program import paddle_setup; paddle_setup.load_paddle()
import numpy as np, paddle
from engine import distributed
from engine.step import batch_norm_sync
distributed.start()
norm = paddle.nn.BatchNorm1D(3)
norm(paddle.full([4, 3], float(distributed.rank())))
batch_norm_sync.average_statistics(paddle.nn.Sequential(norm))
np.save(sys.argv[1] + "/" + str(distributed.rank()), norm._mean.numpy())
"""


def test_one_process_or_no_batch_norms_change_nothing(monkeypatch):
    norm = nn.Sequential(nn.BatchNorm1D(3))
    norm(paddle.ones([4, 3]))
    before = norm[0]._mean.numpy()
    batch_norm_sync.average_statistics(norm)
    assert (norm[0]._mean.numpy() == before).all()
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    batch_norm_sync.average_statistics(nn.Linear(3, 3))
    norm[0]._use_global_stats = True  # frozen: a mean of equal numbers could differ in its last bit
    batch_norm_sync.average_statistics(norm)


def test_two_processes_have_the_mean(tmp_path):
    """Momentum 0.9: after one batch the rank of zeros has a mean of 0, that of ones of 0.1."""
    worker = tmp_path / "worker.py"
    worker.write_text(_WORKER.format(root=str(ROOT)))
    done = launch(2, tmp_path / "log", worker, tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for rank in range(2):
        np.testing.assert_allclose(np.load(tmp_path / f"{rank}.npy"), [0.05] * 3, rtol=1e-6)


def test_a_stopped_run_goes_on_with_the_same_bits(painted, tmp_path, monkeypatch):
    """Statistics of batch norms are saved, and averaged after each of the 4 + 4 steps."""
    config, calls, found = default.get_config(), [], []
    config.data.update(name="folder", root=str(painted), holdout=0.2)
    config.model.update(name="rexnet_1_0", image_size=32, drop_rate=0.1)
    config.train.update(steps=4, batch_size=4, accumulation_steps=2, log_every_steps=1)
    average = batch_norm_sync.average_statistics
    count = lambda model: calls.append(average(model))  # noqa: E731
    monkeypatch.setattr(batch_norm_sync, "average_statistics", count)
    assert single_run.train(config, tmp_path / "whole") == exits.DONE
    steps = iter([False, True, False, False])
    monkeypatch.setattr(StopRequest, "agreed", lambda self: next(steps))
    assert single_run.train(config, tmp_path / "cut") == exits.STOPPED
    config.train.update(batch_size=2, accumulation_steps=4)  # other batches have other statistics
    with pytest.raises(UserError, match="the run had train.batch_size=4, now it is 2"):
        single_run.train(config, tmp_path / "cut")
    config.train.update(batch_size=4, accumulation_steps=2)
    assert single_run.train(config, tmp_path / "cut") == exits.DONE
    assert len(calls) == 8
    for folder in ("whole", "cut"):
        found.append(read_arrays(tmp_path / folder / "weights.safetensors")[0])
    whole, cut = found
    assert "features.1._mean" in whole
    assert whole["features.1._mean"].any()
    assert all((whole[name] == cut[name]).all() for name in whole)
