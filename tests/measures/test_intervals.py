"""Wilson's interval by its formula."""

import pytest

from measures.intervals import wilson


@pytest.mark.parametrize(("hits", "count"), [(489, 500), (0, 10), (1, 1), (7, 13)])
def test_wilson(hits, count):
    z, p = 1.959963984540054, hits / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * (p * (1 - p) / count + z * z / (4 * count**2)) ** 0.5
    assert wilson(hits, count) == pytest.approx((middle - half, middle + half), abs=1e-12)


def test_no_images():
    assert wilson(0, 0) == (0.0, 1.0)
