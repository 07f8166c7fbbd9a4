"""Hooks and changed attributes of layers come off when a context ends, also by an error."""

from __future__ import annotations

import paddle
import pytest

import models
from models import activation_memory, flops
from models.layers import changed, watched


def _fail(*_) -> None:
    raise RuntimeError("in the middle")


def _state(model) -> list:
    layers = model.sublayers(include_self=True)
    hooks = [len(layer._forward_pre_hooks) + len(layer._forward_post_hooks) for layer in layers]
    return [hooks, [layer.training for layer in layers], model.blocks[-1].queries, model.joined]


@pytest.mark.parametrize(
    "use",
    [
        lambda model: flops.cost(model, 8),
        lambda model: models.freeze(model, "head_and_norm", 8),
        lambda model: activation_memory.kept(model, 8, 2),
        lambda model: activation_memory.kept_on_gpu(model, 8, 2, "O1"),
    ],
)
def test_an_error_in_a_pass_leaves_the_model_as_it_was(use):
    model = models.create("vit_n_2", 3)
    model.blocks[1].eval()
    hook = model.norm.register_forward_pre_hook(_fail)
    before, drawn = _state(model), paddle.get_rng_state()[0].current_seed()
    with pytest.raises(RuntimeError, match="in the middle"):
        use(model)
    assert _state(model) == before
    assert paddle.get_rng_state()[0].current_seed() == drawn
    hook.remove()


def test_functions_are_called_until_the_context_ends():
    layer, seen = paddle.nn.Linear(2, 2), []
    note = lambda layer, *given: seen.append(len(given))  # noqa: E731
    with watched([layer], before=note, after=note):
        layer(paddle.ones([1, 2]))
    layer(paddle.ones([1, 2]))
    assert seen == [1, 2]


def test_attributes_of_each_layer_get_their_own_value_back():
    layers = [paddle.nn.Dropout(0.1), paddle.nn.Dropout(0.2)]
    with changed(layers, p=0.0, training=False):
        assert [layer.p for layer in layers] == [0.0, 0.0]
        assert not any(layer.training for layer in layers)
    assert [layer.p for layer in layers] == [0.1, 0.2]
    assert all(layer.training for layer in layers)
