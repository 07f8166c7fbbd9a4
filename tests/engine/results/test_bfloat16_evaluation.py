"""Evaluation in bfloat16 on a CPU against float32."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

import models
from common.errors import UserError
from engine.results import bfloat16_evaluation

OLD = paddle.__version__.startswith("2.")
_TOLERANCE = 0.03  # of the largest logit; 8 bits are 0.004 an operation
_ORDER = 1e-5  # of the largest logit: sums of float32 in another order differ by some 1e-6 of it


@pytest.mark.skipif(OLD, reason="Paddle 2 can't")
@pytest.mark.parametrize(("name", "size"), [("deit_ti_distilled", 32), ("resnet_18", 32)])
def test_the_logits_are_close_for_any_size_of_the_batch(name, size):
    paddle.seed(0)
    model = models.create(name, 10, size)
    model.eval()
    images = paddle.randn([5, 3, size, size])
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    with paddle.no_grad():
        expected = model(images).numpy()
    largest = np.abs(expected).max()
    predictor = bfloat16_evaluation.Predictor(model, size)
    predictor.eval()
    found = predictor(images).numpy()
    assert 0 < np.abs(found - expected).max() < _TOLERANCE * largest
    assert np.abs(predictor(images[:2]).numpy() - found[:2]).max() <= _TOLERANCE * largest
    # The model still computes in float32. Paddle's engine leaves one thread to MKL, which adds up
    # the products of matrices in another order where two threads had shared them.
    assert all((value.numpy() == weights[name]).all() for name, value in model.state_dict().items())
    with paddle.no_grad():
        np.testing.assert_allclose(model(images).numpy(), expected, atol=_ORDER * largest)


def test_what_paddle_can_not_run_is_one_line(monkeypatch):
    monkeypatch.setattr(paddle, "__version__", "3.0.0")

    def fail(*arguments, **fields):
        raise RuntimeError("first line\n  the last line")

    monkeypatch.setattr(paddle.jit, "save", fail)
    with pytest.raises(
        UserError,
        match=r"^--precision=bfloat16: Paddle can't run this model in it \(the last line\)$",
    ):
        bfloat16_evaluation.Predictor(models.create("vit_n_2", 10, 8), 8)
    monkeypatch.setattr(paddle, "__version__", "2.6.2")
    with pytest.raises(UserError, match="needs Paddle 3, this is 2.6.2"):
        bfloat16_evaluation.Predictor(models.create("vit_n_2", 10, 8), 8)
