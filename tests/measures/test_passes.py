"""The distance of passes against loops over all pairs, and R-Drop's own KL."""

import itertools

import numpy as np
import paddle
import pytest
from scipy import special

from losses import RDropLoss
from measures import passes


def test_against_loops():
    logits = np.random.default_rng(0).normal(0, 2, (4, 6, 3)).astype(np.float32)
    found = passes.compare(logits)
    probs = special.softmax(logits.astype(float), axis=-1)
    for image in range(6):
        pairs = list(itertools.permutations(range(4), 2))
        kl = [special.rel_entr(probs[i, image], probs[j, image]).sum() for i, j in pairs]
        agree = [logits[i, image].argmax() == logits[j, image].argmax() for i, j in pairs]
        assert found.kl[image] == pytest.approx(np.mean(kl))
        assert found.agreement[image] == pytest.approx(np.mean(agree))
        spread = np.mean([np.std(logits[:, image, c], ddof=1) for c in range(3)])
        assert found.spread[image] == pytest.approx(spread, rel=1e-5)


def test_two_passes_are_what_training_reports():
    logits = np.random.default_rng(1).normal(0, 2, (2, 5, 4)).astype(np.float32)
    _, _, kl = RDropLoss(1.0)(paddle.to_tensor(logits), paddle.zeros([5], "int64"))
    assert passes.compare(logits).kl.mean() == pytest.approx(float(kl), rel=1e-5)


def test_no_noise():
    logits = np.repeat(np.random.default_rng(2).normal(size=(1, 5, 4)), 3, axis=0)
    found = passes.compare(logits)
    assert found.kl.max() < 1e-12
    assert (found.agreement == 1).all()
    assert found.spread.max() < 1e-12
