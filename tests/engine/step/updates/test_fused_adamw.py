"""AdamW in one compiled pass, against Paddle's own, and its state."""

from __future__ import annotations

import contextlib

import numpy as np
import paddle
import pytest

import models
from common import threads
from configs import default
from engine.step.optimizer import Optimizer
from engine.step.updates.fused_adamw import FusedAdamW
from models.layers import compiled_operators, plain

pytestmark = pytest.mark.skipif(
    not compiled_operators(paddle.ones([1])), reason="this machine has no compiled operators"
)


class _Toy(paddle.nn.Layer):
    """More elements than one piece has, a bias without decay, and a parameter without gradient."""

    def __init__(self):
        super().__init__()
        self.fc = paddle.nn.Linear(150, 250)
        self.unused = self.create_parameter([3])
        paddle.seed(0)
        for parameter in self.parameters():
            parameter.set_value(paddle.randn(parameter.shape))

    def forward(self, seed):
        """Returns a loss whose gradient does not depend on the parameters."""
        paddle.seed(100 + seed)
        used = self.fc.weight, self.fc.bias
        return sum((one * paddle.randn(one.shape)).sum() for one in used)


def _optimizer(model, **fields):
    config = default.get_config().optim
    config.update(name="adamw", lr=0.1, schedule="constant", weight_decay=0.3, **fields)
    return Optimizer(model, config, 100)


def _step(model, optimizer, begin, end):
    for seed in range(begin, end):
        optimizer.accumulate(model(seed))
        optimizer.step()


def _same(ours, paddle_s, name):
    """Fails unless both are equal: to the bit where Paddle has a kernel that says how to round."""
    from llvmlite import binding

    tolerance = 0 if "avx512f" in binding.get_host_cpu_features() else 1e-5
    np.testing.assert_allclose(ours, paddle_s, rtol=tolerance, atol=tolerance / 10, err_msg=name)


def _values(model):
    return {name: one.numpy() for name, one in model.named_parameters()}


@pytest.mark.parametrize("fields", [{}, {"clip_norm": 0.01}, {"beta1": 0.8, "beta2": 0.95}])
def test_as_paddle(fields):
    ours, theirs = _Toy(), _Toy()
    compiled = _optimizer(ours, **fields)
    with plain():
        reference = _optimizer(theirs, **fields)
    assert isinstance(compiled._optimizer, FusedAdamW)
    assert isinstance(reference._optimizer, paddle.optimizer.AdamW)
    before = _values(ours)
    _step(ours, compiled, 0, 20)
    _step(theirs, reference, 0, 20)
    for name, value in _values(theirs).items():
        _same(_values(ours)[name], value, name)
        assert (before[name] != value).any() == (name != "unused")
    expected = reference.state()
    assert compiled.state().keys() == expected.keys()
    for name, value in expected.items():
        _same(compiled.state()[name], value, name)


def test_shares_of_the_rate_are_paddle_s():
    """Layer-wise rates, which scale the decay, too."""

    def run():
        paddle.seed(3)
        model = models.create("vit_n_8", num_classes=3, image_size=16)
        optimizer = _optimizer(model, layer_decay=0.5)
        before = _values(model)
        optimizer.accumulate(sum((one * (1 + one)).sum() for one in model.parameters()))
        optimizer.step()
        return {name: value - before[name] for name, value in _values(model).items()}

    ours = run()
    with plain():
        theirs = run()
    assert len({float(np.abs(value).max().round(3)) for value in ours.values()}) > 3
    for name, value in theirs.items():
        _same(ours[name], value, name)


def test_goes_on_to_the_bit():
    whole, first = _Toy(), _Toy()
    _step(whole, _optimizer(whole), 0, 6)
    optimizer = _optimizer(first)
    _step(first, optimizer, 0, 4)
    second = _Toy()
    second.set_state_dict(first.state_dict())
    resumed = _optimizer(second)
    resumed.load_state(optimizer.state(), steps_done=4)
    _step(second, resumed, 4, 6)
    for name, value in _values(whole).items():
        np.testing.assert_array_equal(_values(second)[name], value)


@pytest.mark.parametrize("ours_first", [True, False])
def test_each_goes_on_from_the_other_s_state(ours_first):
    def optimizer_of(model, ours):
        with contextlib.nullcontext() if ours else plain():
            return _optimizer(model)

    whole, first, second = _Toy(), _Toy(), _Toy()
    _step(whole, optimizer_of(whole, True), 0, 6)
    before = optimizer_of(first, ours_first)
    _step(first, before, 0, 4)
    second.set_state_dict(first.state_dict())
    after = optimizer_of(second, not ours_first)
    after.load_state(before.state(), steps_done=4)
    _step(second, after, 4, 6)
    for name, value in _values(whole).items():
        _same(_values(second)[name], value, name)


def test_the_same_bits_by_any_number_of_threads(monkeypatch):
    found = []
    for count in (1, 2, 3):
        monkeypatch.setenv("OMP_NUM_THREADS", str(count))
        threads._pool.cache_clear()
        model = _Toy()
        _step(model, _optimizer(model), 0, 3)
        found.append(_values(model))
    threads._pool.cache_clear()
    for other in found[1:]:
        for name, value in found[0].items():
            np.testing.assert_array_equal(other[name], value)
