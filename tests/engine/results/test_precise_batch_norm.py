"""Exact statistics of batch norms against float64 sums over all images, also on two processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest
from conftest import ROOT, launch
from paddle import nn

import data
import models
from configs import default
from engine.commands import single_run
from engine.plan import resolve_config
from engine.results.precise_batch_norm import estimate, precise_statistics
from models import read_arrays
from models.input_images import normalise
from program.signals import Stopped


class _Net(nn.Layer):
    def __init__(self):
        super().__init__()
        paddle.seed(0)
        self.conv = nn.Conv2D(3, 4, 3)
        self.first = nn.BatchNorm2D(4)
        self.second = nn.BatchNorm1D(4)

    def forward(self, images):
        x = self.first(self.conv(images))
        return self.second(x.square().mean([2, 3]))


def _batches(count=5):
    rng = np.random.default_rng(0)
    return [
        paddle.to_tensor(rng.normal(2, 3, (6, 3, 8, 8)).astype("float32")) for _ in range(count)
    ]


def _expected(net, batches):
    """Mean and variance of each batch norm's input by numpy; each batch has its own statistics."""
    first = [net.conv(images).numpy().astype(np.float64) for images in batches]
    second = []
    for x in first:
        normed = (x - x.mean((0, 2, 3), keepdims=True)) / np.sqrt(
            x.var((0, 2, 3), keepdims=True) + 1e-5
        )
        second.append((normed**2).mean((2, 3)))
    first, second = np.concatenate(first), np.concatenate(second)
    return first.mean((0, 2, 3)), first.var((0, 2, 3)), second.mean(0), second.var(0)


def _found(net):
    return [
        value.numpy() for norm in (net.first, net.second) for value in (norm._mean, norm._variance)
    ]


@pytest.mark.parametrize("training", [True, False])
def test_exact(training):
    net, batches = _Net(), _batches()
    net.train() if training else net.eval()
    estimate(net, batches)
    for found, expected in zip(_found(net), _expected(net, batches)):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
    assert net.training is training
    assert net.first.training is training


def test_statistics_before_do_not_matter():
    """A second estimate is the same, and the hooks are gone."""
    net, batches = _Net(), _batches()
    estimate(net, batches)
    first = _found(net)
    net.first._mean.set_value(np.full(4, 9, "float32"))
    estimate(net, batches)
    assert all((a == b).all() for a, b in zip(first, _found(net)))
    net.eval()
    net(batches[0])
    assert all((a == b).all() for a, b in zip(first, _found(net)))


_WORKER = """
import sys; sys.path[:0] = [{root!r}, {tests!r}]
import conftest, numpy as np, paddle
from engine import distributed
from test_precise_batch_norm import _Net, _batches, _found
from engine.results.precise_batch_norm import estimate
distributed.start()
net = _Net()
estimate(net, _batches(4)[distributed.rank()::2])
np.savez(sys.argv[1] + "/" + str(distributed.rank()), *_found(net))
"""


def test_two_processes(tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text(_WORKER.format(root=str(ROOT / "tests"), tests=str(Path(__file__).parent)))
    done = launch(2, tmp_path / "log", worker, tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    net = _Net()
    estimate(net, _batches(4))
    for rank in range(2):
        arrays = np.load(tmp_path / f"{rank}.npz")
        for found, expected in zip(arrays.values(), _found(net)):
            np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.fixture
def config(painted):
    config = default.get_config()
    config.data.update(name="folder", root=str(painted), crop="none")
    config.model.update(name="resnet_18", image_size=32, drop_rate=0.1)
    config.optim.update(lr=1e-3)
    config.average.update(swa_start=0.3, swa_every_steps=2, precise_bn_batches=3)
    config.train.update(steps=6, batch_size=12)
    return config


def test_a_run_evaluates_and_saves_exact_statistics(config, tmp_path):
    """The weights of SWA have statistics of their own, and so have the raw weights."""
    single_run.train(config, tmp_path)
    full = resolve_config.with_classes(resolve_config.with_input(config), 3)
    dataset = data.build(full, "train")
    sampler = data.TrainSampler(dataset, 12, 1, 3, config.seed)
    batches = [normalise(batch.images, full.model) for batch in data.load(dataset, sampler, 0)]
    for name in ("weights", "weights_raw"):
        arrays, _ = read_arrays(tmp_path / f"{name}.safetensors")
        model = models.build(full.model)
        models.assign_all(model, arrays, name)
        estimate(model, batches)
        for norm, key in ((model.net.bn1, "bn1"), (model.net.layer4[1].bn2, "layer4.1.bn2")):
            assert (norm._mean.numpy() == arrays[f"{key}._mean"]).all(), name
            assert (norm._variance.numpy() == arrays[f"{key}._variance"]).all(), name


def test_the_running_ones_come_back(config):
    """Training goes on with its own."""
    full = resolve_config.with_classes(resolve_config.with_input(config), 3)
    model, dataset = models.build(full.model), data.build(full, "train")
    before = model.net.bn1._mean.numpy(), model.net.bn1._variance.numpy()
    with precise_statistics(model, dataset, full):
        assert (model.net.bn1._mean.numpy() != before[0]).any()
    assert (model.net.bn1._mean.numpy() == before[0]).all()
    assert (model.net.bn1._variance.numpy() == before[1]).all()


def test_the_running_ones_come_back_after_a_stop(config):
    """Asked to leave before the second of its batches, when the first has moved them."""
    full = resolve_config.with_classes(resolve_config.with_input(config), 3)
    full.unlock().average.precise_bn_batches = 2
    model, dataset, asked = models.build(full.model), data.build(full, "train"), []
    before = model.net.bn1._mean.numpy(), model.net.bn1._variance.numpy()

    def check():
        asked.append((model.net.bn1._mean.numpy() != before[0]).any())
        if len(asked) == 2:
            raise Stopped

    with pytest.raises(Stopped), precise_statistics(model, dataset, full, check):
        pass
    assert asked == [False, True]
    assert (model.net.bn1._mean.numpy() == before[0]).all()
    assert (model.net.bn1._variance.numpy() == before[1]).all()


def test_off_means_off(config):
    config.average.precise_bn_batches = 0
    model = models.create("resnet_18", 3)
    before = model.net.bn1._mean.numpy()
    with precise_statistics(model, None, config):
        assert (model.net.bn1._mean.numpy() == before).all()
