"""Mixup and CutMix: pixels and labels are mixed by the same share."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from data import Mixing


def _mixed(mixup: float, cutmix: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Image i is filled with i, of class i."""
    images = paddle.arange(4, dtype="float32").reshape([4, 1, 1, 1]).expand([4, 3, 10, 10])
    mixed, targets = Mixing(mixup, cutmix)(images, paddle.arange(4), 4, np.random.default_rng(seed))
    return mixed.numpy(), targets.numpy()


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_targets_say_what_the_pixels_are(mixup, cutmix):
    for seed in range(20):
        images, targets = _mixed(mixup, cutmix, seed)
        share = targets[0, 0]
        np.testing.assert_allclose(targets, np.eye(4) * share + np.eye(4)[::-1] * (1 - share), atol=1e-6)
        np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), targets @ np.arange(4), atol=1e-5)


def test_cutmix_pastes_one_box_and_mixup_none():
    images, targets = _mixed(0.0, 1.0, 1)
    pasted = images[0, 0] == 3
    rows, columns = pasted.any(axis=1), pasted.any(axis=0)
    assert 0 < pasted.sum() == rows.sum() * columns.sum() == round(100 * (1 - targets[0, 0]))
    assert set(np.unique(images[0])) == {0, 3}
    assert len(np.unique(_mixed(0.8, 0.0, 1)[0][0])) == 1


def test_shares_are_drawn_from_beta():
    shares = [_mixed(0.4, 0.0, seed)[1][0, 0] for seed in range(600)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.06)
    assert np.var(shares) == pytest.approx(1 / (4 * 1.8), rel=0.15)  # of Beta(a, a): 1 / (4 (2 a + 1))


def test_both_are_as_likely():
    boxes = [len(np.unique(_mixed(1.0, 1.0, seed)[0][0])) == 2 for seed in range(300)]
    assert np.mean(boxes) == pytest.approx(0.5, abs=0.1)


def test_off_is_off():
    assert not Mixing(0.0, 0.0).active
