"""ViT and DeiT: exact sizes, several passes as one batch, and the ways to compute attention."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

import models
from common.errors import UserError
from models import flops
from models.families import vit_layers
from models.layers import operators
from models.layers.dropout import Dropout, DropRates


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("vit_ti_16", 5_717_416),
        ("vit_s_16", 22_050_664),
        ("vit_b_16", 86_567_656),
        ("vit_b_32", 88_224_232),
        ("vit_b_16_384", 86_859_496),
        ("deit_ti_distilled", 5_910_800),
        ("deit_s_distilled", 22_436_432),
        ("deit_b_distilled_384", 87_630_032),
    ],
)
def test_exact_parameter_counts_at_1000_classes(name, parameters):
    assert flops.parameters(models.create(name)) == parameters


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters"), [("vit_l_16", 304_326_632), ("vit_h_14", 632_045_800)]
)
def test_exact_parameter_counts_of_the_large(name, parameters):
    assert flops.parameters(models.create(name)) == parameters


def test_multiply_adds():
    """DeiT-Ti at 224: 1.258 G as published by timm's benchmark, within 1 %."""
    assert flops.cost(models.create("deit_ti"), 224).multiply_adds == pytest.approx(
        1.258e9, rel=0.01
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("cait_s_36_384", 48.0e9),
        ("swin_l_384", 103.9e9),
        ("deit_b_distilled_384", 55.5e9),
        ("vit_l_16_384", 190.7e9),
    ],
)
def test_multiply_adds_at_384(name, published):
    """As published, within 1 %."""
    model = models.create(name)
    assert flops.cost(model, 384).multiply_adds == pytest.approx(published, rel=0.01)


def test_what_comes_before_the_noise_runs_once(monkeypatch):
    """With drop path alone, the first block has rate 0.

    So it sees each image once, and the second block sees every copy.
    """
    model = models.create("vit_n_2", num_classes=10, drop_path_rate=0.3)
    seen = []
    for block in model.blocks:
        block.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].shape[0]))
    model(paddle.randn([4, 3, 8, 8]), copies=2)
    assert seen == [4, 8, 8, 8]


def test_zero_head_and_bad_arguments():
    model = models.create("vit_n_2", num_classes=10, head_init="zero")
    assert (model(paddle.randn([2, 3, 8, 8])).numpy() == 0).all()
    with pytest.raises(UserError, match="did you mean 'vit_b_16'"):
        models.create("vit_b16")
    for classes in (0, -1, "10"):
        with pytest.raises(UserError, match="num_classes is"):
            models.create("vit_n_2", num_classes=classes)
    for size in (100, (224, 100), 0.5, -16, (16, 16, 16)):
        with pytest.raises(UserError, match="image_size"):
            models.create("vit_ti_16", image_size=size)
    for name in ("swin_ti", "resnet_18", "levit_128s"):
        with pytest.raises(UserError, match="expected one side"):
            models.create(name, image_size=(224, 448))
    with pytest.raises(UserError, match="drop rate is 1.5"):
        models.create("vit_n_2", drop_rate=1.5)


def test_same_seed_same_weights():
    states = []
    for _ in range(2):
        paddle.seed(3)
        states.append(models.create("vit_n_2", num_classes=10).state_dict())
    assert all((states[0][name].numpy() == states[1][name].numpy()).all() for name in states[0])


def _of_attention(layer: vit_layers.Attention, x: paddle.Tensor, queries: int) -> list[np.ndarray]:
    """Returns the output and the parameters' gradients, with the same random numbers each time."""
    paddle.seed(1)
    found = layer(x, queries)
    found.square().sum().backward()
    gradients = [parameter.grad.numpy() for parameter in layer.parameters()]
    layer.clear_gradients()
    return [found.numpy(), *gradients]


@pytest.mark.parametrize("queries", [1, 9])
def test_fused_attention_is_the_same(queries, monkeypatch):
    """This is what a GPU runs in half precision, here in float32."""
    paddle.seed(0)
    layer, x = vit_layers.Attention(24, 3, DropRates()), paddle.randn([2, 9, 24])
    expected = _of_attention(layer, x, queries)
    monkeypatch.setattr(vit_layers, "fuses_attention", lambda *_: True)
    monkeypatch.setattr(layer, "_mixed", None)
    for found, array in zip(_of_attention(layer, x, queries), expected):
        np.testing.assert_allclose(found, array, atol=1e-5)


@pytest.mark.parametrize("queries", [1, 9])
def test_transposed_heads_are_the_same(queries, monkeypatch):
    """This is what a GPU and programs run, here on a CPU, with dropout of the same weights."""
    paddle.seed(0)
    layer, x = vit_layers.Attention(24, 3, DropRates(attention=0.3)), paddle.randn([2, 9, 24])
    layer.train()
    expected = _of_attention(layer, x, queries)
    monkeypatch.setattr(vit_layers, "_slices_heads", lambda x: False)
    monkeypatch.setattr(layer, "_sliced", None)
    for found, array in zip(_of_attention(layer, x, queries), expected):
        np.testing.assert_allclose(found, array, atol=1e-5)


def test_when_attention_is_fused(monkeypatch):
    class OnGpu:
        place = type("Place", (), {"is_gpu_place": lambda self: True})()

        def __init__(self, dtype):
            self.dtype = dtype

    drop = Dropout(0.1)
    drop.train()
    assert operators.fuses_attention(OnGpu(paddle.bfloat16), Dropout(0.0))
    assert not operators.fuses_attention(OnGpu(paddle.bfloat16), drop)
    drop.eval()
    assert operators.fuses_attention(OnGpu(paddle.float16), drop)
    assert not operators.fuses_attention(OnGpu(paddle.float32), drop)
    assert not operators.fuses_attention(paddle.ones([1], "bfloat16"), drop)
