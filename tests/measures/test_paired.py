"""Paired comparisons against numbers worked out by hand, and other functions of scipy."""

import numpy as np
import pytest
from scipy import stats

from measures import paired


def test_mcnemar_by_hand():
    """8 images only the first has right, 2 only the second: p = 2 * P(X <= 2), X ~ B(10, 1/2)."""
    first = np.array([1] * 8 + [0] * 2 + [1] * 30 + [0] * 10, bool)
    second = np.array([0] * 8 + [1] * 2 + [1] * 30 + [0] * 10, bool)
    found = paired.same_images(first, second)
    assert found.p == pytest.approx(2 * (1 + 10 + 45) / 2**10)
    assert found.mean == pytest.approx(6 / 50)
    # The normal interval of a mean is near the bootstrap's.
    gains = first.astype(float) - second
    half = 1.96 * gains.std() / np.sqrt(50)
    assert (found.low, found.high) == pytest.approx((0.12 - half, 0.12 + half), abs=0.02)
    assert found == paired.same_images(first, second)  # the same at every call
    back = paired.same_images(second, first)
    assert back.mean == -found.mean
    assert back.p == found.p


def test_the_same_answers():
    right = np.ones(5, bool)
    assert paired.same_images(right, right)[:4] == (0.0, 0.0, 0.0, 1.0)
    assert np.isnan(paired.same_images(right[:0], right[:0]).mean)


def test_seeds():
    first, second = np.array([0.9, 0.8, 0.95, 0.85]), np.array([0.85, 0.8, 0.9, 0.86])
    found = paired.same_seeds(first, second)
    test = stats.ttest_1samp(first - second, 0)
    interval = test.confidence_interval(0.95)
    assert found[:4] == pytest.approx((0.0225, interval.low, interval.high, test.pvalue))
    assert found.pairs == 4
    assert np.isnan(paired.same_seeds(first[:1], second[:1]).p)
    assert paired.same_seeds(first, first)[:4] == (0, 0, 0, 1)
