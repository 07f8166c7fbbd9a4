"""Compiled residual branches of ViT: outputs and gradients are those of Paddle's operators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import pytest
from agreement import agree

from models.families import vit
from models.families.parts import PLAIN, Parts
from models.layers import operators
from models.layers.dropout import DropRates
from models.layers.dropout_masks import batch_copies

_IMAGES, _TOKENS, _WIDTH, _HEADS = 4, 19, 24, 3
_SHAPE = [_IMAGES, _TOKENS, _WIDTH]


def _branch(
    kind: str, rates: DropRates, parts: Parts = PLAIN
) -> tuple[Callable[..., paddle.Tensor], list[paddle.Tensor]]:
    """Makes a residual branch of a ViT block.

    Returns:
        The branch as a function of tokens (attention: and of how many of them attend), and its
        parameters, which are far from 0.
    """
    paddle.seed(0)
    block = vit.Block(_WIDTH, _HEADS, 40, rates, parts)
    block.train()
    norm, branch = (block.norm1, block.attn) if kind == "attention" else (block.norm2, block.mlp)
    scale = block.ls1 if kind == "attention" else block.ls2
    for parameter in (parameters := [x for y in (norm, branch, scale) for x in y.parameters()]):
        parameter.set_value(parameter + 0.3 * paddle.randn(parameter.shape))
    if kind == "attention":
        return lambda x, queries=_TOKENS: operators.attention_branch(
            x, norm, branch, block.drop_path, queries, scale.gamma
        ), parameters
    return lambda x: operators.mlp_branch(
        x, norm, branch, block.drop_path, scale.gamma, parts.activation
    ), parameters


def _same(forward, parameters: list[paddle.Tensor], shape: list[int] = _SHAPE, **fields) -> None:
    """Checks that both agree: the output, and the gradients of the input and all parameters."""
    agree(lambda x, *_: forward(2 * x, **fields), shape, parameters=parameters)


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
@pytest.mark.parametrize("frozen", [*range(7), "all but the scale", "none"])
def test_scaled_branches_with_a_frozen_parameter(kind, frozen):
    parts = PLAIN._replace(layer_scale=0.5, activation="quick_gelu", qkv_bias=False)
    forward, parameters = _branch(kind, RATES["all"], parts)
    *others, scale = range(len(parameters))
    chosen = {"all but the scale": others, "none": []}.get(frozen, [scale, frozen])
    for place, parameter in enumerate(parameters):
        parameter.stop_gradient = place in chosen
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
    agree(
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


def test_there_are_no_more_queries_than_tokens():
    forward, _ = _branch("attention", DropRates())
    x = paddle.randn([2, 3, _WIDTH])
    assert (forward(x, 5).numpy() == forward(x, 3).numpy()).all()
