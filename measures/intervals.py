"""Intervals of measured figures."""

from __future__ import annotations


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Returns the Wilson interval of a share, at 95 %, as fractions (from scipy).

    Args:
        hits: how many of the images are right.
        count: how many there are; with 0 the interval is (0, 1).
    """
    from scipy.stats import binomtest

    if not count:
        return 0.0, 1.0
    found = binomtest(hits, count).proportion_ci(method="wilson")
    return float(found.low), float(found.high)
