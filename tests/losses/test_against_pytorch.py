"""The loss against an independent PyTorch implementation.

The default tests read its stored results; the slow tests run it.
"""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from pytorch_reference import ALPHA, BATCHES, GOLDEN, loss_and_gradient, random_batch

from losses import PRESETS, RDropLoss


def _compare(preset, logits, labels, alpha, expected, precision="float64", tolerance=1e-6) -> None:
    """Returns the loss and the largest error of the gradient.

    Both are relative to PyTorch's in float64, the error to the gradient's largest element.
    """
    values = paddle.to_tensor(logits, stop_gradient=False)
    total = RDropLoss(alpha, preset, precision=precision)(values, paddle.to_tensor(labels)).total
    total.backward()
    assert total.item() == pytest.approx(float(expected[0]), rel=1e-6)
    np.testing.assert_allclose(
        values.grad.numpy(), expected[1], rtol=0, atol=tolerance * np.abs(expected[1]).max()
    )


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_stored(preset, batch):
    with np.load(GOLDEN) as golden:
        expected = (golden[f"{preset}/{batch}/total"], golden[f"{preset}/{batch}/gradient"])
    _compare(preset, *random_batch(batch), ALPHA, expected)
    _compare(preset, *random_batch(batch), ALPHA, expected, precision="float32", tolerance=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_live(preset):
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for _ in range(50):
        batch, classes, scale, alpha = (
            rng.integers(1, 40),
            rng.integers(2, 200),
            rng.uniform(0.1, 5),
            rng.uniform(0, 10),
        )
        logits = rng.normal(0, scale, (2, batch, classes)).astype(np.float32)
        labels = rng.integers(0, classes, batch)
        _compare(
            preset,
            logits,
            labels,
            alpha,
            loss_and_gradient(preset, logits, labels, alpha),
            tolerance=2e-7,
        )
