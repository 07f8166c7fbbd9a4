"""bfloat16 in compiled branches: against Paddle's operators with rounded operands of products."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle.autograd import PyLayer

import models
from models.families.vit import Block
from models.fast.loops import bfloat16
from models.layers import DropRates, in_bfloat16, missing_for_bfloat16, plain

pytestmark = pytest.mark.skipif(bool(missing_for_bfloat16()), reason=missing_for_bfloat16())

_WIDTH, _HEADS = 64, 4


def _nearest(values):
    """Rounds to 8 bits of the mantissa, ties to even, by float64 (Paddle 2.6 cuts bits off)."""
    values = np.asarray(values, np.float64)
    _, exponent = np.frexp(values)
    unit = np.ldexp(1.0, np.maximum(exponent - 8, -133))  # the last bit; -133: of the smallest
    with np.errstate(over="ignore", invalid="ignore"):
        return (np.rint(values / unit) * unit).astype(np.float32)


def _rounded(x):
    return paddle.to_tensor(_nearest(x.numpy()))


def _turned(x):
    """Exchanges the last two axes."""
    return x.transpose([*range(x.ndim - 2), x.ndim - 1, x.ndim - 2])


class _Product(PyLayer):
    """A product of rounded operands, whose gradient is a product of rounded operands, too."""

    @staticmethod
    def forward(ctx, a, b):
        a, b = _rounded(a), _rounded(b)
        ctx.save_for_backward(a, b)
        return a @ b

    @staticmethod
    def backward(ctx, upper):
        a, b = ctx.saved_tensor()
        upper = _rounded(upper)
        return upper @ _turned(b), _turned(a) @ upper


def _linear(x, layer):
    rows = x.reshape([-1, x.shape[-1]])
    return _Product.apply(rows, layer.weight).reshape([*x.shape[:-1], -1]) + layer.bias


def _norm(x, layer):
    return F.layer_norm(x, x.shape[-1:], layer.weight, layer.bias, layer._epsilon)


def _reference(block, x):
    """The block as the paper has it, of Paddle's operators, without noise."""
    images, tokens, width = x.shape
    qkv = _linear(_norm(x, block.norm1), block.attn.qkv)
    q, k, v = qkv.reshape([images, tokens, 3, _HEADS, -1]).transpose([2, 0, 3, 1, 4])
    # The scale is a power of 2, so it does not matter whether it comes before or after rounding.
    scores = _Product.apply(q, _turned(k)) * block.attn.scale
    mixed = _Product.apply(F.softmax(scores), v).transpose([0, 2, 1, 3])
    x = x + _linear(mixed.reshape([images, tokens, width]), block.attn.proj)
    hidden = F.gelu(_linear(_norm(x, block.norm2), block.mlp.fc1))
    return x + _linear(hidden, block.mlp.fc2)


def _result(function, block, x):
    """Returns the output and all gradients."""
    x = x.clone()
    x.stop_gradient = False
    out = function(x)
    (out * paddle.sin(paddle.arange(out.size, dtype="float32")).reshape(out.shape)).sum().backward()
    found = [out, x.grad, *(one.grad for one in block.parameters())]
    arrays = [one.numpy().copy() for one in found]
    block.clear_gradients()
    return arrays


def _shake(model):
    """Makes fresh weights larger: branches matter then."""
    for parameter in model.parameters():
        parameter.set_value(parameter + 0.05 * paddle.randn(parameter.shape))


def _distance(one, other):
    return float(np.sqrt(np.mean((one - other) ** 2)))


@pytest.mark.parametrize("tokens", [5, 70])
def test_a_block_is_that_of_rounded_operands(tokens):
    """The distance to it is small beside that to float32; a value may be rounded the other way."""
    paddle.seed(3)
    block = Block(_WIDTH, _HEADS, 4 * _WIDTH, DropRates())
    _shake(block)
    x = paddle.randn([3, tokens, _WIDTH])
    with in_bfloat16():
        ours = _result(block, block, x)
    exact = _result(block, block, x)
    with plain():
        expected = _result(lambda x: _reference(block, x), block, x)
    for name, *arrays in zip(
        ("output", "input", *dict(block.named_parameters())), ours, expected, exact
    ):
        own, reference, float32 = arrays
        rounding, size = _distance(reference, float32), _distance(reference, 0)
        assert rounding > 1e-4 * size or name == "mlp.fc2.bias", name  # its gradient is a sum
        assert _distance(own, reference) < 0.1 * rounding + 1e-5 * size, name


def test_rounding():
    """To nearest, ties to even; infinite values and NaN stay."""
    bits = np.random.default_rng(0).integers(0, 2**32, (64, 4096), np.uint64).astype(np.uint32)
    ties = np.arange(0x3F7F0000, 0x3F830000, 0x8000, np.uint32)
    special = np.array([0, 1 << 31, 0x7F800000, 0xFF800000, 0x7FFFFFFF, 0x7F7FFFFF, 1], np.uint32)
    bits[0, : ties.size], bits[1, : special.size] = ties, special
    values = bits.view(np.float32)
    found = bfloat16.rounded(values).astype(np.uint32) << 16
    np.testing.assert_array_equal(found.view(np.float32), _nearest(values))


@pytest.mark.parametrize("name", ["deit_ti_distilled", "cait_xxs_24", "swin_ti"])
def test_whole_models_with_noise(name):
    """The masks are those of float32, so results are near; the same step has the same bits."""
    size = {"swin_ti": 224}.get(name, 64)
    paddle.seed(0)
    model = models.create(name, 10, size, drop_rate=0.2, drop_path_rate=0.2)
    _shake(model)
    images = paddle.randn([2, 3, size, size])

    def step(context):
        paddle.seed(5)
        with context:
            logits = model(images, copies=2)
        (logits**2).mean().backward()
        found = {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}
        model.clear_gradients()
        return {"logits": logits.numpy(), **found}

    exact, rounded, again = step(nullcontext()), step(in_bfloat16()), step(in_bfloat16())
    for key, array in exact.items():
        assert (rounded[key] == again[key]).all(), key
        if not key.endswith(("proj_l.bias", "attn.k.bias")):  # rounding errors around 0
            assert _distance(rounded[key], array) < 0.03 * _distance(array, 0), key
    assert (rounded["logits"] != exact["logits"]).mean() > 0.9
