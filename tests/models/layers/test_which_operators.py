"""When compiled operators replace Paddle's: where they can run, and where no result changes."""

from __future__ import annotations

import sys

import numpy as np
import paddle
import pytest

from models.families import vit, vit_layers
from models.fast import single_operators
from models.fast.loops import blas, compiler
from models.layers import basic_layers, operators
from models.layers.dropout import DropRates

_WIDTH, _HEADS = 24, 3
_SHAPE = [4, 19, _WIDTH]


def test_which_operators_run():
    x = paddle.ones([2, 3])
    assert operators.compiled_operators(x) is single_operators
    assert operators.compiled_operators(x.astype("float64")) is None
    assert operators.compiled_operators(x.astype("bfloat16")) is None
    with operators.plain():
        assert operators.compiled_operators(x) is None
    assert operators.compiled_operators(paddle.ones([0, 3])) is None


def test_layers_that_somebody_watches_or_replaces_are_called():
    seen = []
    block = vit.Block(_WIDTH, _HEADS, 40, DropRates())
    x = paddle.randn(_SHAPE)
    expected = block(x).numpy()
    hook = block.mlp.fc1.register_forward_post_hook(
        lambda layer, inputs, output: seen.append(output.shape)
    )
    np.testing.assert_allclose(block(x).numpy(), expected, atol=1e-5)
    assert seen == [[*_SHAPE[:-1], 40]]
    hook.remove()
    block(x)
    assert len(seen) == 1

    class Doubled(type(block.attn.proj)):
        def forward(self, x):
            return 2 * super().forward(x)

    block.attn.proj.__class__ = Doubled
    with operators.plain():
        plain = block(x).numpy()
    assert np.abs(block(x).numpy() - plain).max() < 2e-6
    assert np.abs(plain - expected).max() > 1e-3


def test_a_class_whose_forward_somebody_replaces_is_called(monkeypatch):
    block, x = vit.Block(_WIDTH, _HEADS, 40, DropRates()), paddle.randn(_SHAPE)
    monkeypatch.setattr(vit_layers.Mlp, "forward", lambda self, x: x * float("nan"))
    assert block(x).isnan().all()


class _Halved(vit_layers.Attention):
    def _mixed(self, x, queries):
        return 0.5 * super()._mixed(x, queries)


@pytest.mark.parametrize("change", ["scale", "method", "no bias"])
def test_a_changed_block_computes_what_it_says(change):
    paddle.seed(0)
    block, x = vit.Block(_WIDTH, _HEADS, 40, DropRates()), paddle.randn(_SHAPE)
    for parameter in block.parameters():
        parameter.set_value(parameter + 0.3 * paddle.randn(parameter.shape))
    before = block(x).numpy()
    if change == "scale":
        block.attn.scale *= 4
    elif change == "method":
        block.attn.__class__ = _Halved
    else:
        block.attn.qkv.bias = None
    with operators.plain():
        expected = block(x).numpy()
    np.testing.assert_allclose(
        block(x).numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max()
    )
    assert np.abs(before - expected).max() > 1e-2 * np.abs(expected).max()


def test_the_approximate_gelu_stays_one():
    network = paddle.nn.Sequential(paddle.nn.GELU(approximate=True), paddle.nn.GELU())
    basic_layers.replace_layers(network)
    assert [type(layer) is basic_layers.GELU for layer in network] == [False, True]


def test_a_missing_library_is_named(monkeypatch):
    """The results are the same, only slower."""
    x = paddle.randn(_SHAPE)
    expected = operators.gelu(x).numpy()
    assert operators.describe_operators() == "compiled operators"
    with operators.plain():
        assert "model.operators" in operators.describe_operators()
    monkeypatch.setitem(sys.modules, "models.fast.single_operators", None)
    monkeypatch.delattr("models.fast.single_operators")
    operators._load_compiled.cache_clear()
    try:
        assert operators.compiled_operators(x) is None
        assert "slow" in operators.describe_operators()
        assert "models.fast.single_operators" in operators.describe_operators()
        np.testing.assert_allclose(operators.gelu(x).numpy(), expected, atol=1e-6)
    finally:
        operators._load_compiled.cache_clear()


def test_what_compiled_operators_need(monkeypatch, tmp_path):
    monkeypatch.setattr(paddle, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ImportError, match="no matrix library is known in"):
        blas._library("libmklml_intel.so")
    monkeypatch.setattr(compiler.config, "DISABLE_JIT", True)
    with pytest.raises(ImportError, match="NUMBA_DISABLE_JIT is set"):
        compiler._set_up()
