"""Whole models: logits and gradients of the compiled operators are those of Paddle's."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

import models
from models.fast import branches
from models.fast.loops import attention
from models.layers import operators

_TOLERANCE = 1e-5  # of the largest value of an array
# CaiT has 64 tokens, more than it looks at together.
_SIZES = {
    "deit_ti": 32,
    "deit_ti_distilled": 64,
    "cait_xxs_24": 128,
    "swin_ti": 224,
    "vit_ti_16": (32, 64),
}
_NOISE = {"drop_rate": 0.2, "attn_drop_rate": 0.3, "drop_path_rate": 0.2}
# They move all scores of a softmax alike, so their gradients are rounding errors.
_SHIFTS = ("proj_l.bias", "attn.k.bias")


def _model(name: str, **fields) -> paddle.nn.Layer:
    paddle.seed(0)
    model = models.create(name, 10, _SIZES[name], **fields)
    for parameter in model.parameters():
        parameter.set_value(parameter + 0.05 * paddle.randn(parameter.shape))
    return model


def _images(name: str, count: int) -> paddle.Tensor:
    size = _SIZES[name]
    height, width = size if isinstance(size, tuple) else (size, size)
    return paddle.to_tensor(
        np.random.default_rng(0).standard_normal((count, 3, height, width)).astype(np.float32)
    )


def _step(model, images, context, copies: int = 2) -> dict[str, np.ndarray]:
    """Returns the logits and the gradients of a step."""
    paddle.seed(5)
    with context():
        logits = model(images, copies=copies)
        logits.square().mean().backward()
    found = {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}
    model.clear_gradients()
    return {"logits": logits.numpy(), **found}


def _agree(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        if not name.endswith(_SHIFTS):
            atol = _TOLERANCE * np.abs(array).max()
            np.testing.assert_allclose(found[name], array, rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("noise", [{}, {"drop_rate": 0.1}, _NOISE], ids=["none", "dropout", "all"])
@pytest.mark.parametrize("name", _SIZES)
def test_logits_and_gradients_agree(name, noise):
    if name == "swin_ti" and noise is not _NOISE:
        pytest.skip("Swin's smallest image has 3,136 tokens: once is enough")
    model, images = _model(name, **noise), _images(name, 1)
    model.train()
    _agree(_step(model, images, paddle.enable_grad), _step(model, images, operators.plain))


@pytest.mark.parametrize(("images", "expected"), [(1, 3), (2, 1), (3, 1)])
def test_the_products_of_one_image_have_all_threads(images, expected, monkeypatch, set_threads):
    """One image alone leaves no other work for the threads. The results stay the same."""
    given, run = set(), attention.gradient
    monkeypatch.setattr(
        attention, "gradient", lambda *words: given.add(int(words[2].threads)) or run(*words)
    )
    set_threads(3)
    model, pixels = _model("deit_ti_distilled"), _images("deit_ti_distilled", images)
    _agree(_step(model, pixels, paddle.enable_grad, 1), _step(model, pixels, operators.plain, 1))
    assert given == {expected}


@pytest.mark.parametrize("name", ["deit_ti", "cait_xxs_24"])
def test_recompute_gives_the_same_bits(name):
    model, images = _model(name, **_NOISE), _images(name, 2)
    model.train()
    expected = _step(model, images, paddle.enable_grad)
    model.recompute()
    found = _step(model, images, paddle.enable_grad)
    for key, array in expected.items():
        assert (found[key] == array).all(), key


@pytest.mark.parametrize("name", _SIZES)
def test_the_compiled_branches_are_taken(name, monkeypatch):
    calls = []
    run = branches._forward

    def counted(x, tensors, settings):
        calls.append(settings.kind.__name__)
        return run(x, tensors, settings)

    monkeypatch.setattr(branches, "_forward", counted)
    model = _model(name)
    model.eval()
    with paddle.no_grad():
        model(_images(name, 1))
        blocks = len(model.block_groups()) - 1
        assert len(calls) == 2 * blocks
        with operators.plain():
            model(_images(name, 1))
    assert len(calls) == 2 * blocks
