"""Compiled operators: outputs and gradients are those of Paddle's operators, the definition."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from agreement import TOLERANCE, agree

from models.fast.loops import activations
from models.layers import arrays, operators
from models.layers.dropout import Dropout
from models.layers.dropout_masks import batch_copies

_IMAGES, _TOKENS, _WIDTH = 4, 19, 24
_SHAPE = [_IMAGES, _TOKENS, _WIDTH]


def _dropout(rate) -> Dropout:
    layer = Dropout(rate)
    layer.train()
    return layer


@pytest.mark.parametrize("frozen", [(), (0,), (1,), (2,), (0, 1), (1, 2)])
@pytest.mark.parametrize("name", ["layer_norm", "linear"])
def test_with_parameters_that_may_be_frozen(name, frozen):
    if name == "linear":
        agree(operators.linear, _SHAPE, [_WIDTH, 10], [10], frozen=frozen)
    else:
        agree(
            lambda *inputs: operators.layer_norm(*inputs, 1e-6),
            _SHAPE,
            [_WIDTH],
            [_WIDTH],
            frozen=frozen,
        )


def test_a_linear_layer_without_bias():
    agree(lambda x, weight: operators.linear(x, weight, None), _SHAPE, [_WIDTH, 10])


def test_gelu():
    agree(lambda x: operators.gelu(x * 3), _SHAPE)


@pytest.mark.parametrize("rate", [0.3, (0.1, 0.6)])
def test_dropout(rate):
    with batch_copies(range(2 if isinstance(rate, tuple) else 1)):
        agree(_dropout(rate), _SHAPE)


def _softmax(x: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    activations.softmax(x.reshape(-1, x.shape[-1]), out.reshape(-1, x.shape[-1]))
    return out


def test_softmax():
    rng = np.random.default_rng(0)
    x, upper = (
        5 * rng.standard_normal((_IMAGES * _TOKENS, _WIDTH)).astype(np.float32) for _ in range(2)
    )
    given = paddle.to_tensor(x, stop_gradient=False)
    expected = paddle.nn.functional.softmax(given, axis=-1)
    (expected * paddle.to_tensor(upper)).sum().backward()
    found, gradient = _softmax(x), np.empty_like(x)
    activations.softmax_gradient(found, upper, gradient)
    for own, other in ((found, expected.numpy()), (gradient, given.grad.numpy())):
        np.testing.assert_allclose(own, other, rtol=0, atol=TOLERANCE * np.abs(other).max())


def test_inputs_that_are_not_contiguous():
    swapped = [_TOKENS, _IMAGES, _WIDTH]
    agree(lambda x: operators.gelu(x.transpose([1, 0, 2])), swapped)
    agree(
        lambda x, weight, bias: operators.linear(x.transpose([1, 0, 2]), weight, bias),
        swapped,
        [_WIDTH, 5],
        [5],
    )
    with pytest.raises(ValueError, match="not contiguous"):
        arrays.view(paddle.ones([3, 4]).transpose([1, 0]))


def test_gradients_that_are_not_contiguous():
    agree(lambda x: operators.gelu(x).transpose([1, 0, 2]).contiguous() * 1.0, _SHAPE)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_stays_so(bad):
    x = np.ones(_SHAPE, np.float32)
    x[1, 2, 3] = bad
    ones = paddle.ones([_WIDTH])
    for function in (operators.gelu, lambda x: operators.layer_norm(x, ones, ones, 1e-6)):
        fast = function(paddle.to_tensor(x)).isfinite().numpy()
        with operators.plain():
            assert (fast == function(paddle.to_tensor(x)).isfinite().numpy()).all()
    rows = np.isnan(_softmax(x)).all(axis=-1)
    spreads = bad != float("-inf")  # Paddle's own returns finite numbers for rows of 8 and more
    assert rows.sum() == spreads
    assert rows[1, 2] == spreads


def test_large_and_small_values():
    """Exponential and normal distribution over the range of float32, against float64."""
    special = pytest.importorskip("scipy.special")
    z = np.concatenate([np.linspace(-15, 15, 60001), [0.0, -1e-30, 1e-30, -80, 1e4]]).astype(
        np.float32
    )
    found = operators.gelu(paddle.to_tensor(z)).numpy()
    exact = z.astype(np.float64) * special.ndtr(z.astype(np.float64))
    normal = np.abs(exact) > 1e-30
    # The square in the exponent is rounded.
    assert np.abs(found[normal] / exact[normal] - 1).max() < 4e-6
    assert np.abs(found - exact).max() < 1e-6 * 15
    x = np.linspace(-80, 0, 4001, dtype=np.float32)
    found = _softmax(np.stack([x, np.zeros_like(x)], axis=1))[:, 0]
    assert np.abs(found / special.expit(x.astype(np.float64)) - 1).max() < 1e-6


def test_softmax_gives_no_denormal_numbers():
    """Products with denormal numbers take ten times as long.

    Masked scores are far below the others, so the numbers would be everywhere.
    """
    found = _softmax(np.linspace(-200, 0, 577, dtype=np.float32)[np.newaxis])
    assert ((found == 0) | (found >= np.finfo(np.float32).tiny)).all()
    assert (found == 0).any()
    assert found.sum() == pytest.approx(1, abs=1e-6)
    assert np.isnan(_softmax(np.array([[0.0, np.nan, -200.0]], np.float32))).all()


def test_number_of_threads_does_not_matter(set_threads):
    x, ones = paddle.randn([40, 50, 96]), paddle.ones([96])
    found = []
    for count in (1, 3):
        set_threads(count)
        x.stop_gradient = False
        y = operators.layer_norm(operators.gelu(x), ones * 0.5, ones, 1e-6)
        y.square().sum().backward()
        found.append((y.numpy(), x.grad.numpy()))
        x.clear_gradient()
    assert all((first == second).all() for first, second in zip(*found))


def test_a_view_keeps_its_tensor():
    array = arrays.view(paddle.ones([1000]) * 3)
    paddle.zeros([1000])
    assert (array == 3).all()
    assert array.base.tensor.shape == [1000]


def test_pixels_are_normalised_to_the_same_bits():
    pixels = paddle.to_tensor(
        np.random.default_rng(0).integers(0, 256, (5, 3, 40, 30), dtype=np.uint8)
    )
    given = [100.5, 120.25, 7.125], [50.2, 60.3, 70.4]
    fast = operators.normalise(pixels, *given).numpy()
    with operators.plain():
        assert (fast == operators.normalise(pixels, *given).numpy()).all()
    swapped = operators.normalise(pixels.transpose([0, 1, 3, 2]), *given).numpy()
    assert (swapped == fast.transpose(0, 1, 3, 2)).all()
