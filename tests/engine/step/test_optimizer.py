"""Optimisers against their formulas, accumulation, clipping, and a state that another process can
take.
"""

from __future__ import annotations

import numpy as np
import paddle
import pytest

import models
from common.errors import UserError
from configs import default
from engine.step.optimizer import Optimizer


class _Toy(paddle.nn.Layer):
    """A matrix, which decays, and a bias, which does not."""

    def __init__(self):
        super().__init__()
        self.fc = paddle.nn.Linear(2, 1)
        self.fc.weight.set_value(np.array([[1.0], [2.0]], "float32"))
        self.fc.bias.set_value(np.array([0.5], "float32"))

    def forward(self, x):
        return self.fc(x).sum()


def _optimizer(model, name, accumulation=1, **fields):
    config = default.get_config().optim
    config.update(name=name, lr=0.1, schedule="constant", **fields)
    return Optimizer(model, config, 100, accumulation)


def _run(name, steps, **fields):
    """Steps with the constant gradient 1 for every parameter."""
    model = _Toy()
    optimizer = _optimizer(model, name, **fields)
    for _ in range(steps):
        optimizer.accumulate(model(paddle.ones([1, 2])))
        optimizer.step()
    return model.fc.weight.numpy().ravel(), model.fc.bias.numpy()


def test_sgd_and_decay_of_matrices_only():
    weight, bias = _run("sgd", 1, weight_decay=0.5)
    np.testing.assert_allclose(weight, [1 - 0.1 * (1 + 0.5), 2 - 0.1 * (1 + 1.0)], rtol=1e-6)
    np.testing.assert_allclose(bias, [0.4], rtol=1e-6)


def test_momentum():
    weight, bias = _run("momentum", 2, weight_decay=0.5)
    first = 1 - 0.1 * 1.5
    np.testing.assert_allclose(weight[0], first - 0.1 * (0.9 * 1.5 + 1 + 0.5 * first), rtol=1e-6)
    np.testing.assert_allclose(bias, [0.5 - 0.1 - 0.1 * 1.9], rtol=1e-6)


def test_adamw_decay_is_decoupled():
    weight, bias = _run("adamw", 1, weight_decay=0.5)
    np.testing.assert_allclose(weight, [1 * (1 - 0.05) - 0.1, 2 * (1 - 0.05) - 0.1], rtol=1e-5)
    np.testing.assert_allclose(bias, [0.4], rtol=1e-5)


def test_nesterov_looks_one_step_ahead():
    _, bias = _run("momentum", 2, nesterov=True)
    np.testing.assert_allclose(bias, [0.5 - 0.1 * (1 + 0.9) - 0.1 * (1 + 0.9 * 1.9)], rtol=1e-6)


def test_everything_can_decay():
    _, bias = _run("sgd", 1, weight_decay=0.5, decay="all")
    np.testing.assert_allclose(bias, [0.5 - 0.1 * (1 + 0.5 * 0.5)], rtol=1e-6)


def test_lamb_from_its_definition():
    """With the trust ratio for the matrix, without for the bias, which is then Adam."""
    weight, bias, moments = np.array([1.0, 2.0]), 0.5, np.zeros((2, 3))
    for step in range(1, 4):
        gradient = np.ones(3)
        moments[0] = 0.9 * moments[0] + 0.1 * gradient
        moments[1] = 0.99 * moments[1] + 0.01 * gradient**2
        first, second = moments[0] / (1 - 0.9**step), moments[1] / (1 - 0.99**step)
        update = first / (np.sqrt(second) + 1e-6)
        whole = update[:2] + 0.5 * weight
        weight = weight - 0.1 * np.linalg.norm(weight) / np.linalg.norm(whole) * whole
        bias = bias - 0.1 * update[2]
    found = _run("lamb", 3, weight_decay=0.5, beta2=0.99)
    np.testing.assert_allclose(found[0], weight, rtol=1e-5)
    np.testing.assert_allclose(found[1], [bias], rtol=1e-5)


def test_lars_from_its_definition():
    weight, bias, velocity = np.array([1.0, 2.0]), 0.5, np.zeros(3)
    for _ in range(3):
        norm = np.linalg.norm(weight)
        ratio = 0.02 * norm / (2**0.5 + 0.5 * norm)
        velocity = 0.9 * velocity + np.array([*(ratio * (1 + 0.5 * weight)), 1.0])
        weight, bias = weight - 0.1 * velocity[:2], bias - 0.1 * velocity[2]
    found = _run("lars", 3, weight_decay=0.5, lars_coefficient=0.02)
    np.testing.assert_allclose(found[0], weight, rtol=1e-6)
    np.testing.assert_allclose(found[1], [bias], rtol=1e-6)


def test_lars_leaves_a_layer_without_gradient_or_weights_to_momentum():
    model = _Toy()
    model.fc.weight.set_value(np.zeros((2, 1), "float32"))
    optimizer = _optimizer(model, "lars", weight_decay=0.5)
    optimizer.accumulate(model(paddle.ones([1, 2])))
    optimizer.step()
    np.testing.assert_allclose(model.fc.weight.numpy().ravel(), [-0.1, -0.1], rtol=1e-6)


def test_frozen_parameters_stay_and_have_no_moments():
    model = _Toy()
    model.fc.weight.stop_gradient = True
    optimizer = _optimizer(model, "adamw", weight_decay=0.5)
    optimizer.accumulate(model(paddle.ones([1, 2])))
    optimizer.step()
    assert model.fc.weight.numpy().ravel().tolist() == [1.0, 2.0]
    assert {key.partition("/")[0] for key in optimizer.state()} == {"fc.bias"}


def test_clipping_scales_the_whole_gradient():
    weight, bias = _run("sgd", 1, clip_norm=0.5)
    share = 0.5 / 3**0.5
    np.testing.assert_allclose(
        [*weight, *bias], [1 - 0.1 * share, 2 - 0.1 * share, 0.5 - 0.1 * share], rtol=1e-5
    )
    weight, _ = _run("sgd", 1, clip_norm=5.0)
    np.testing.assert_allclose(weight, [0.9, 1.9], rtol=1e-6)


def test_accumulation_is_a_mean_without_leftovers():
    model = _Toy()
    optimizer = _optimizer(model, "sgd", accumulation=4)
    for step in range(2):
        for micro in range(4):
            optimizer.accumulate(model(paddle.full([1, 2], float(micro))))
        optimizer.step()
        assert optimizer.grad_norm == pytest.approx((2 * 1.5**2 + 1) ** 0.5)
        np.testing.assert_allclose(
            model.fc.weight.numpy().ravel(),
            [1 - 0.15 * (step + 1), 2 - 0.15 * (step + 1)],
            rtol=1e-5,
        )


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("adamw", {"layer_decay": 0.7}),
        ("momentum", {}),
        ("momentum", {"nesterov": True}),
        ("sgd", {}),
        ("lamb", {"weight_decay": 0.1, "layer_decay": 0.7}),
        ("lars", {"weight_decay": 0.1}),
    ],
)
def test_state_goes_to_a_model_made_after_others(name, fields):
    """Paddle's automatic names differ when layers were made before; the state is found all the
    same.
    """
    images = paddle.randn([4, 3, 8, 8])

    def steps(model, optimizer, count):
        for _ in range(count):
            optimizer.accumulate(model(images).square().mean())
            optimizer.step()

    paddle.seed(0)
    model = models.create("vit_n_2", num_classes=10)
    optimizer = _optimizer(model, name, **fields)
    steps(model, optimizer, 2)
    state, weights = (
        optimizer.state(),
        {key: value.numpy() for key, value in model.state_dict().items()},
    )
    steps(model, optimizer, 2)

    paddle.nn.Linear(3, 3)
    again = models.create("vit_n_2", num_classes=10)
    again.set_state_dict(weights)
    resumed = _optimizer(again, name, **fields)
    resumed.load_state(state, 2)
    steps(again, resumed, 2)
    for key, value in model.state_dict().items():
        assert (again.state_dict()[key].numpy() == value.numpy()).all(), key
    assert all(
        "/" in key and key.startswith(("blocks.", "head", "norm", "cls", "pos", "patch"))
        for key in state
    )


def test_state_of_another_model():
    with pytest.raises(UserError, match="of another model"):
        _optimizer(_Toy(), "adamw").load_state({"other.weight/moment1_0": np.zeros(1)}, 1)
