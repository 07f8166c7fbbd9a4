"""Compiled operators: outputs and gradients are those of Paddle's operators, the definition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import pytest

from models.families import vit
from models.fast import activation_loops
from models.layers import arrays, operators
from models.layers.dropout import Dropout, DropRates
from models.layers.dropout_masks import batch_copies

_IMAGES, _TOKENS, _WIDTH, _HEADS = 4, 19, 24, 3
_SHAPE = [_IMAGES, _TOKENS, _WIDTH]
_TOLERANCE = 2e-6  # of the largest value


def _both(
    function, *shapes: list[int], frozen: tuple[int, ...] = (), parameters=()
) -> list[list[np.ndarray]]:
    """Returns outputs and gradients of inputs: of compiled operators, and of Paddle's."""
    found, rng = [], np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    for context in (paddle.enable_grad, operators.plain):
        inputs = [
            paddle.to_tensor(array, stop_gradient=place in frozen)
            for place, array in enumerate(arrays)
        ]
        paddle.seed(3)
        with context():
            outputs = function(*inputs)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            rng = np.random.default_rng(1)
            weights = [
                paddle.to_tensor(rng.standard_normal(output.shape).astype(np.float32))
                for output in outputs
            ]
            sum((output * weight).sum() for output, weight in zip(outputs, weights)).backward()
        gradients = [
            None if tensor.grad is None else tensor.grad.numpy()
            for tensor in (*inputs, *parameters)
        ]
        for parameter in parameters:
            parameter.clear_gradient(set_to_zero=False)
        found.append([output.numpy() for output in outputs] + gradients)
    return found


def _agree(function, *shapes: list[int], frozen: tuple[int, ...] = (), parameters=()) -> None:
    fast, plain = _both(function, *shapes, frozen=frozen, parameters=parameters)
    for own, expected in zip(fast, plain):
        assert (own is None) == (expected is None)
        if own is not None:
            np.testing.assert_allclose(
                own, expected, rtol=0, atol=_TOLERANCE * np.abs(expected).max()
            )


def _dropout(rate) -> Dropout:
    layer = Dropout(rate)
    layer.train()
    return layer


@pytest.mark.parametrize("frozen", [(), (0,), (1,), (2,), (0, 1), (1, 2)])
@pytest.mark.parametrize("name", ["layer_norm", "linear"])
def test_with_parameters_that_may_be_frozen(name, frozen):
    if name == "linear":
        _agree(operators.linear, _SHAPE, [_WIDTH, 10], [10], frozen=frozen)
    else:
        _agree(
            lambda *inputs: operators.layer_norm(*inputs, 1e-6),
            _SHAPE,
            [_WIDTH],
            [_WIDTH],
            frozen=frozen,
        )


def test_a_linear_layer_without_bias():
    _agree(lambda x, weight: operators.linear(x, weight, None), _SHAPE, [_WIDTH, 10])


def test_gelu():
    _agree(lambda x: operators.gelu(x * 3), _SHAPE)


@pytest.mark.parametrize("rate", [0.3, (0.1, 0.6)])
def test_dropout(rate):
    with batch_copies(range(2 if isinstance(rate, tuple) else 1)):
        _agree(_dropout(rate), _SHAPE)


def _softmax(x: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    activation_loops.softmax(x.reshape(-1, x.shape[-1]), out.reshape(-1, x.shape[-1]))
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
    activation_loops.softmax_gradient(found, upper, gradient)
    for own, other in ((found, expected.numpy()), (gradient, given.grad.numpy())):
        np.testing.assert_allclose(own, other, rtol=0, atol=_TOLERANCE * np.abs(other).max())


def _branch(
    kind: str, rates: DropRates
) -> tuple[Callable[..., paddle.Tensor], list[paddle.Tensor]]:
    """Makes a residual branch of a ViT block.

    Returns:
        The branch as a function of tokens (attention: and of how many of them attend), and its
        parameters, which are far from 0.
    """
    paddle.seed(0)
    block = vit.Block(_WIDTH, _HEADS, 40, rates)
    block.train()
    norm, branch = (block.norm1, block.attn) if kind == "attention" else (block.norm2, block.mlp)
    for parameter in (parameters := [*norm.parameters(), *branch.parameters()]):
        parameter.set_value(parameter + 0.3 * paddle.randn(parameter.shape))
    if kind == "attention":
        return lambda x, queries=_TOKENS: operators.attention_branch(
            x, norm, branch, block.drop_path, queries
        ), parameters
    return lambda x: operators.mlp_branch(x, norm, branch, block.drop_path), parameters


def _same(forward, parameters: list[paddle.Tensor], shape: list[int] = _SHAPE, **fields) -> None:
    """Checks that both agree: the output, and the gradients of the input and all parameters."""
    _agree(lambda x, *_: forward(2 * x, **fields), shape, parameters=parameters)


RATES = {
    "none": DropRates(),
    "all": DropRates(attention=0.2, projection=0.3, mlp=0.4, path=0.5),
    "attention": DropRates(attention=0.3),
    "of copies": DropRates(projection=(0.1, 0.6), mlp=(0.6, 0.1)),
    "path": DropRates(path=0.4),
}


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("kind", ["attention", "mlp"])
def test_branches(kind, rates):
    with batch_copies(range(2 if rates == "of copies" else 1)):
        _same(*_branch(kind, RATES[rates]))


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("queries", [1, 2, 7])
def test_attention_of_the_first_tokens(queries, rates):
    with batch_copies(range(2 if rates == "of copies" else 1)):
        _same(*_branch("attention", RATES[rates]), queries=queries)


@pytest.mark.parametrize("kind", ["attention", "mlp"])
@pytest.mark.parametrize("frozen", range(7))
def test_branches_with_a_frozen_parameter(kind, frozen):
    forward, parameters = _branch(kind, RATES["all"])
    for place, parameter in enumerate(parameters):
        parameter.stop_gradient = place == frozen or frozen == 6
    _same(forward, parameters)


@pytest.mark.parametrize("kind", ["attention", "mlp"])
@pytest.mark.parametrize("shape", [[1, 1, _WIDTH], [3, 700, _WIDTH], [50, 2, _WIDTH]])
def test_branches_of_other_shapes(kind, shape):
    forward, parameters = _branch(kind, RATES["all"])
    _same(forward, parameters, shape, **({"queries": shape[1]} if kind == "attention" else {}))


@pytest.mark.parametrize("kind", ["attention", "mlp"])
def test_branches_without_gradients(kind):
    forward, _ = _branch(kind, RATES["none"])
    x = paddle.randn(_SHAPE)
    expected = forward(x).numpy()
    with paddle.no_grad():
        assert (forward(x).numpy() == expected).all()


@pytest.mark.parametrize("kind", ["attention", "mlp"])
def test_branches_of_what_is_not_contiguous(kind):
    forward, parameters = _branch(kind, RATES["all"])
    swapped = [_TOKENS, _IMAGES, _WIDTH]
    _agree(
        lambda x: forward(x.transpose([1, 0, 2])).transpose([1, 0, 2]).contiguous() * 1.0,
        swapped,
        parameters=parameters,
    )


def test_threads_change_no_output_and_no_gradient_beyond_rounding(set_threads):
    found = []
    for count in (1, 3):
        set_threads(count)
        for kind in ("attention", "mlp"):
            forward, parameters = _branch(kind, RATES["all"])
            x = paddle.ones([9, 60, _WIDTH]).cumsum(0).cumsum(1)
            x.stop_gradient = False
            out = forward(x)
            out.square().mean().backward()
            found.append(
                [out.numpy(), x.grad.numpy(), *(parameter.grad.numpy() for parameter in parameters)]
            )
    for one, three in zip(found[:2], found[2:]):
        assert all((first == second).all() for first, second in zip(one[:2], three[:2]))
        for first, second in zip(one[2:], three[2:]):
            np.testing.assert_allclose(first, second, rtol=0, atol=2e-6 * np.abs(first).max())


@pytest.mark.parametrize("kind", ["attention", "mlp"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_branches_keep_what_is_not_finite(kind, bad):
    forward, _ = _branch(kind, RATES["none"])
    x = np.random.default_rng(0).standard_normal(_SHAPE).astype(np.float32)
    x[1, 2, 3] = bad
    found = np.isfinite(forward(paddle.to_tensor(x)).numpy()).all(axis=-1)
    expected = np.ones([_IMAGES, _TOKENS], bool)
    expected[1, 2 if kind == "mlp" else slice(None)] = False
    assert (found == expected).all()


def test_inputs_that_are_not_contiguous():
    swapped = [_TOKENS, _IMAGES, _WIDTH]
    _agree(lambda x: operators.gelu(x.transpose([1, 0, 2])), swapped)
    _agree(
        lambda x, weight, bias: operators.linear(x.transpose([1, 0, 2]), weight, bias),
        swapped,
        [_WIDTH, 5],
        [5],
    )
    with pytest.raises(ValueError, match="not contiguous"):
        arrays.view(paddle.ones([3, 4]).transpose([1, 0]))


def test_gradients_that_are_not_contiguous():
    _agree(lambda x: operators.gelu(x).transpose([1, 0, 2]).contiguous() * 1.0, _SHAPE)


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


def test_there_are_no_more_queries_than_tokens():
    forward, _ = _branch("attention", DropRates())
    x = paddle.randn([2, 3, _WIDTH])
    assert (forward(x, 5).numpy() == forward(x, 3).numpy()).all()


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
