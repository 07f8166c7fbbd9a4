"""Dropout and drop path: rates, independence, repetition from a seed, and off means off."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

import models
from models.dropout import Dropout, DropPath, keep_mask


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_rate_and_mean(rate):
    paddle.seed(1)
    mask = keep_mask([1000, 1000], rate).numpy()
    assert (mask == 0).mean() == pytest.approx(rate, abs=5 * (rate * (1 - rate) / 1e6) ** 0.5)
    assert mask.mean() == pytest.approx(1, abs=5 * (rate / (1 - rate) / 1e6) ** 0.5)
    assert len(np.unique(mask)) == 2


def test_calls_differ_and_seeds_repeat():
    paddle.seed(7)
    first, second = keep_mask([64, 64], 0.3).numpy(), keep_mask([64, 64], 0.3).numpy()
    paddle.seed(7)
    assert (keep_mask([64, 64], 0.3).numpy() == first).all()
    assert (first == second).mean() < 0.75  # independent masks agree in 0.58 of the places


def test_gradient_has_the_same_mask():
    paddle.seed(0)
    x = paddle.ones([50, 50])
    x.stop_gradient = False
    y = Dropout(0.4)(x)
    y.sum().backward()
    assert (x.grad.numpy() == y.numpy()).all()


def test_drop_path_drops_whole_samples():
    paddle.seed(0)
    y = DropPath(0.25)(paddle.ones([4000, 3, 2])).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (y.reshape(4000, -1).std(axis=1) == 0).all()
    assert (y[:, 0, 0] == 0).mean() == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize("layer", [Dropout(0.5), DropPath(0.5)])
def test_evaluation_is_untouched(layer):
    x = paddle.randn([8, 4])
    layer.eval()
    assert layer(x) is x
    layer.train()


def test_random_layers_knows_ours_and_the_libraries():
    noisy = paddle.nn.Sequential(paddle.nn.Dropout(0.1), paddle.nn.Dropout(0.0), Dropout(0.2), DropPath(0.0))
    assert models.random_layers(noisy) == ["0", "2"]
    assert models.random_layers(models.create("vit_n_2", drop_rate=0.0)) == []
    assert models.random_layers(models.create("vit_n_2", drop_path_rate=0.1))
