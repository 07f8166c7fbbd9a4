"""What is kept for the gradient, against Paddle's counters and against sums by hand."""

from __future__ import annotations

import gc

import paddle
import pytest
from paddle.base import core

import models
from models import activation_memory

_TOKENS, _WIDTH, _HEADS, _BLOCKS = 197, 192, 3, 12
_SIZE = _TOKENS * _WIDTH  # values of the tokens of an image
_MAPS = _HEADS * _TOKENS**2  # and of its attention weights


def _model(name="vit_ti_16", **fields):
    return models.create(name, num_classes=10, drop_rate=0.1, **fields)


def _left_behind(model, images: int, copies: int) -> int:
    gc.collect()
    model.train()
    before = core.host_memory_stat_current_value("Allocated", 0)
    logits = model(paddle.zeros([images, 3, 32, 32]), copies=copies)
    found = core.host_memory_stat_current_value("Allocated", 0) - before
    del logits
    return found


@pytest.mark.parametrize("operators", ["plain", "auto"])
@pytest.mark.parametrize(
    ("name", "fields"), [("vit_ti_16", {}), ("vit_ti_16", {"shared_blocks": 6}), ("resnet_18", {})]
)
def test_it_is_what_a_forward_pass_leaves_behind(operators, name, fields):
    """Three images keep three times as much as one."""
    model = models.create(name, num_classes=10, image_size=32, drop_rate=0.1, **fields)
    if operators == "plain":
        model.use_plain_operators()
    found = activation_memory.kept(model, 32, 2)
    assert 3 * found.whole == pytest.approx(_left_behind(model, 3, 2), rel=0.06)


def test_blocks_that_run_again():
    model = models.create("vit_ti_16", num_classes=10, image_size=32, drop_rate=0.1)
    whole = activation_memory.kept(model, 32, 2)
    model.recompute()
    found = activation_memory.kept(model, 32, 2)
    assert found == whole
    assert 3 * (found.outside + found.boundaries) == pytest.approx(
        _left_behind(model, 3, 2), rel=0.04
    )
    assert found.block == pytest.approx(whole.whole / _BLOCKS, rel=0.2)
    assert found.recomputed == found.outside + found.boundaries + found.block < whole.whole / 3


# Of a block, by hand: what goes into both norms, and out of them; queries, keys and values; what
# attention mixes; what goes into GELU, and into the layer behind it; and the attention weights. A
# mask is a byte for each value.
_FLOATS = (1 + 1) + (1 + 1) + 3 + 1 + (4 + 4)
_MASKS = 1 + 4 + 1


@pytest.mark.parametrize(
    ("half", "values", "maps"),
    [
        ("", 4 * _FLOATS, 4),
        ("O2", 2 * _FLOATS, 0),  # attention is fused
        ("O1", 2 * _FLOATS + 2 * 2, 0),  # what goes into the norms is float32
    ],
)
def test_what_a_gpu_keeps(half, values, maps):
    found = activation_memory.kept_on_gpu(_model(), 224, 1, half)
    assert found.block == pytest.approx((values + _MASKS) * _SIZE + maps * _MAPS, rel=0.03)
    inputs = (_BLOCKS + 1) * (2 if half == "O2" else 4) * _SIZE
    assert found.boundaries == pytest.approx(inputs, rel=0.01)
    assert found.whole == pytest.approx(_BLOCKS * found.block, rel=0.06)


def test_what_the_compiled_operators_keep():
    """Of a block: inputs of both branches, GELU's input, masks.

    Also queries, keys and values, attention weights, and what they mix.
    """
    found = activation_memory.kept(_model(), 224, 1)
    assert found.block == pytest.approx(
        (4 * (2 + 3 + 1 + 4) + _MASKS) * _SIZE + 4 * _MAPS, rel=0.03
    )


def test_layer_scale_keeps_no_scaled_matrices():
    found, plain = (
        activation_memory.kept(_model(image_size=32, layer_scale=scale), 32, 1).whole
        for scale in (0.1, 0.0)
    )
    assert found == pytest.approx(plain, rel=1e-3)


def test_nothing_is_kept_below_what_is_trained():
    model = _model()
    whole = activation_memory.kept(model, 224, 1).whole
    models.freeze(model, "head", 224)
    found = activation_memory.kept(model, 224, 1)
    assert found.whole < 0.03 * whole
    assert (found.block, found.boundaries) == (0, 0)


def test_the_model_stays_as_it_is():
    model = models.create("resnet_18", num_classes=10, image_size=32, drop_rate=0.1)
    model.eval()
    norm = models.batch_norms(model)[0]
    norm.train()
    before = (
        norm._variance.numpy().copy(),
        [layer.training for layer in model.sublayers(include_self=True)],
    )
    activation_memory.kept(model, 32, 2)
    activation_memory.kept_on_gpu(model, 32, 2, "O1")
    assert (norm._variance.numpy() == before[0]).all()
    assert [layer.training for layer in model.sublayers(include_self=True)] == before[1]
    assert all(parameter.grad is None for parameter in model.parameters())


def test_random_numbers_come_as_without_it():
    model = _model(image_size=32)
    drawn = []
    for count in (False, True):
        paddle.seed(5)
        if count:
            activation_memory.kept(model, 32, 2)
            activation_memory.kept_on_gpu(model, 32, 2)
        drawn.append(paddle.rand([4]).numpy().tolist())
    assert drawn[0] == drawn[1]
