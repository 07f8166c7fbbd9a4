"""The R-Drop loss against numbers by hand, its presets, and its gradient in closed form."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest
from conftest import labelled_logits

from losses import PRESETS, RDropLoss


def test_hand_computed():
    """p = (1/2, 1/2), q = (3/4, 1/4), label 0: every term is a logarithm of small numbers."""
    logits = paddle.to_tensor([[[0.0, 0.0]], [[math.log(3), 0.0]]])
    terms = RDropLoss(alpha=2.0)(logits, paddle.to_tensor([0]))
    ce = 0.5 * (math.log(2) + math.log(4 / 3))
    kl = 0.5 * (
        0.5 * math.log(2 / 3) + 0.5 * math.log(2) + 0.75 * math.log(3 / 2) + 0.25 * math.log(1 / 2)
    )
    assert terms.ce.item() == pytest.approx(ce, rel=1e-6)
    assert terms.kl.item() == pytest.approx(kl, rel=1e-6)
    assert terms.total.item() == pytest.approx(ce + 2 * kl, rel=1e-6)


@pytest.mark.parametrize("copies", [2, 3, 4])
def test_kl_is_the_mean_over_ordered_pairs(copies):
    logits, labels = labelled_logits(copies, 5, 7)
    exact = logits.numpy().astype(np.float64)
    log_p = exact - np.log(np.exp(exact).sum(-1, keepdims=True))
    pairs = [
        (np.exp(log_p[i]) * (log_p[i] - log_p[j])).sum(-1).mean()
        for i in range(copies)
        for j in range(copies)
        if i != j
    ]
    assert RDropLoss()(logits, labels).kl.item() == pytest.approx(np.mean(pairs), rel=2e-6)


def test_gradient_in_closed_form():
    """The gradients of CE and KL, with d = l_i - l_j.

    d CE / d z_i = (p_i - y) / (m B); d KL / d z_i = p_i (d - E_p[d]) / 2B + (p_i - p_j) / 2B.
    """
    logits, labels = labelled_logits(2, 6, 5)
    RDropLoss(alpha=0.7)(logits, labels).total.backward()
    z = logits.detach().numpy().astype(np.float64)
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    target = np.eye(5)[labels.numpy()]
    expected = np.empty_like(p)
    for i in (0, 1):
        mine, other = p[i], p[1 - i]
        difference = np.log(mine) - np.log(other)
        inner = (mine * difference).sum(-1, keepdims=True)
        expected[i] = (mine - target) / 12 + 0.7 * (mine * (difference - inner) + mine - other) / 12
    np.testing.assert_allclose(logits.grad.numpy(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("batch", [1, 8, 32])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets_are_ours_at_the_converted_alpha(preset, batch):
    published = RDropLoss(alpha=0.3, preset=preset)
    factor = PRESETS[preset].ce_weight  # the published form is this many times ours
    ours = RDropLoss(alpha=published.per_sample_alpha(batch))
    gradients = []
    for loss in (published, ours):
        logits, labels = labelled_logits(2, batch, 10)
        terms = loss(logits, labels)
        terms.total.backward()
        gradients.append((terms.total.item(), logits.grad.numpy()))
    assert gradients[0][0] == pytest.approx(factor * gradients[1][0], rel=1e-5)
    np.testing.assert_allclose(gradients[0][1], factor * gradients[1][1], rtol=1e-4, atol=1e-7)


def test_published_defaults_as_per_sample_alpha():
    assert RDropLoss(0.3, "official_code").per_sample_alpha(32) == pytest.approx(9.6)
    assert RDropLoss(0.3, "paddle_2021").per_sample_alpha(8) == pytest.approx(2.4)
    assert RDropLoss(0.6, "paper").per_sample_alpha(128) == pytest.approx(0.3)


def test_soft_labels_agree_with_hard_ones():
    logits, labels = labelled_logits(2, 4, 3)
    soft = paddle.nn.functional.one_hot(labels, 3)
    assert RDropLoss()(logits, labels).total.item() == pytest.approx(
        RDropLoss()(logits, soft).total.item(), rel=1e-6
    )


def test_one_copy_is_cross_entropy():
    logits, labels = labelled_logits(1, 4, 3)
    terms = RDropLoss(alpha=5.0)(logits[0], labels)
    reference = paddle.nn.functional.cross_entropy(logits[0], labels)
    assert terms.kl.item() == 0
    assert terms.total.item() == pytest.approx(reference.item(), rel=1e-6)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_exact_for_large_logits(precision):
    """Two copies are certain of opposite classes.

    Both KL are the distance of the logits; CE is half of it.
    """
    large = paddle.to_tensor([[[1e4, 0.0]], [[-1e4, 0.0]]])
    terms = RDropLoss(precision=precision)(large, paddle.to_tensor([0]))
    assert terms.ce.item() == pytest.approx(5e3)
    assert terms.kl.item() == pytest.approx(1e4)


def test_never_negative_for_nearly_equal_logits():
    logits, labels = labelled_logits(1, 64, 100)
    near = paddle.concat([logits, logits + 1e-4 * paddle.randn(logits.shape)])
    assert RDropLoss()(near, labels).kl.item() >= 0


def test_bad_arguments():
    logits, labels = labelled_logits(2, 4, 3)
    with pytest.raises(ValueError, match="expected one of per_sample"):
        RDropLoss(preset="sum")
    with pytest.raises(ValueError, match="alpha"):
        RDropLoss(alpha=-1.0)
    with pytest.raises(ValueError, match="labels"):
        RDropLoss()(logits, labels[:3])
