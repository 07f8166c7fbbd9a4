"""Label smoothing against its definition."""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F

from losses import RDropLoss, smooth


def test_off_means_off():
    labels = paddle.to_tensor([1, 2])
    assert smooth(labels, 4, 0.0) is labels


def test_rows_of_the_definition():
    rows = smooth(paddle.to_tensor([1, 2]), 4, 0.2).numpy()
    np.testing.assert_allclose(
        rows, [[0.05, 0.85, 0.05, 0.05], [0.05, 0.05, 0.85, 0.05]], rtol=1e-6
    )


def test_agrees_with_paddle():
    logits, labels = paddle.randn([6, 5]), paddle.to_tensor([0, 1, 2, 3, 4, 0])
    reference = F.cross_entropy(
        logits, F.label_smooth(F.one_hot(labels, 5), epsilon=0.1), soft_label=True
    )
    found = RDropLoss()(logits, smooth(labels, 5, 0.1)).ce
    np.testing.assert_allclose(found.item(), reference.item(), rtol=1e-6)
