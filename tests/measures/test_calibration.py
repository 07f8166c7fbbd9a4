"""Calibration against the evaluation's own ECE, and scipy's general minimiser."""

import numpy as np
import pytest
from scipy import optimize, special

from engine.results.evaluation import Counter
from measures import calibration


def _logits(images=400, classes=7, scale=3.0):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, images)
    logits = rng.normal(0, 1, (images, classes))
    logits[np.arange(images), labels] += 0.7
    return (scale * logits).astype(np.float32), labels


def test_ece_is_that_of_the_evaluation():
    logits, labels = _logits()
    counter = Counter()
    counter.add(logits, labels)
    probs = special.softmax(logits.astype(float), axis=1)
    found = calibration.reliability(probs.max(axis=1), probs.argmax(axis=1) == labels)
    assert found.counts.sum() == len(labels)
    assert found.ece == pytest.approx(counter.result(1.0).ece, abs=1e-12)


def test_the_bins_by_hand():
    found = calibration.reliability(np.array([0.1, 0.5, 0.51, 1.0]), np.array([0, 1, 0, 1]) > 0, 2)
    assert found.counts.tolist() == [2, 2]  # an edge belongs to the bin below it
    assert found.accuracy.tolist() == [0.5, 0.5]
    assert found.confidence == pytest.approx([0.3, 0.755])
    assert found.ece == pytest.approx(0.5 * 0.2 + 0.5 * 0.255)
    empty = calibration.reliability(np.zeros(0), np.zeros(0, bool))
    assert np.isnan(empty.ece)


def test_temperature_is_the_minimum_of_the_likelihood():
    """Against a general minimiser over 1/T, which is convex (Guo et al., section 4.2)."""
    logits, labels = _logits()

    def loss(inverse):
        scaled = special.log_softmax(logits.astype(float) * inverse[0], axis=1)
        return -scaled[np.arange(len(labels)), labels].mean()

    expected = 1 / optimize.minimize(loss, [1.0], method="Nelder-Mead", tol=1e-10).x[0]
    assert calibration.fit_temperature(logits, labels) == pytest.approx(expected, rel=1e-4)
    assert calibration.negative_log_likelihood(logits / expected, labels) < loss([1.0])
    assert calibration.fit_temperature(logits[:0], labels[:0]) == 1.0


def test_all_right_is_no_fault():
    assert 0 < calibration.fit_temperature(np.eye(3), np.arange(3)) < 0.05
