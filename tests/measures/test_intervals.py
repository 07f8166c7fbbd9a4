"""Wilson's interval, against published values and its closed form; Student's, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from measures.intervals import of_mean, wilson

_Z = 1.959963984540054  # the 97.5 % point of the normal distribution


@pytest.mark.parametrize(
    ("hits", "images", "expected"),
    [  # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_published_values(hits, images, expected):
    assert wilson(hits, images) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("hits", "images"), [(1, 1), (482, 500), (7_531, 10_000), (50, 50)])
def test_the_closed_form(hits, images):
    share, weight = hits / images, _Z**2 / images
    middle = (share + weight / 2) / (1 + weight)
    half = _Z * math.sqrt(share * (1 - share) / images + weight / images / 4) / (1 + weight)
    low, high = wilson(hits, images)
    assert (low, high) == pytest.approx((middle - half, min(middle + half, 1.0)), abs=1e-12)
    assert 0 <= low <= share <= high <= 1


def test_no_images_and_wrong_counts():
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="."):
        wilson(3, 2)


def test_a_higher_level_is_wider():
    narrow, wide = wilson(80, 100), wilson(80, 100, 0.99)
    assert wide[0] < narrow[0] < 0.8 < narrow[1] < wide[1]


def test_the_interval_of_a_mean():
    # t(0.975, 2) = 4.302653 in tables; the standard error of 1, 2, 3 is 1 / sqrt(3)
    half = 4.302653 / math.sqrt(3)
    assert of_mean(np.array([1.0, 2.0, 3.0])) == pytest.approx((2 - half, 2 + half), abs=1e-6)
