"""Confidence intervals: of a share, such as an accuracy, and of the mean of some values."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from scipy import stats


def wilson(hits: int, images: int, level: float = 0.95) -> tuple[float, float]:
    """Returns the Wilson score interval of a share.

    It says how far the accuracy on so many images may be from that on all images of this kind:
    Wilson, JASA 22 (1927), p. 209, without a correction for continuity. It stays within 0 and 1
    also where no image or every image is right.

    Args:
        hits: number of images that are right.
        images: number of all of them; with 0 nothing is known.
        level: of confidence.

    Returns:
        The lower and the upper end, fractions.

    Raises:
        ValueError: for more hits than images, or a level outside 0 to 1.
    """
    if images == 0 and hits == 0:
        return 0.0, 1.0
    interval = stats.binomtest(hits, images).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def of_mean(values: NDArray[Any], level: float = 0.95) -> tuple[float, float]:
    """Returns Student's interval of the mean of at least two values, such as those of seeds.

    Args:
        values: `(n,)`, independent of each other.
        level: of confidence.
    """
    mean, error = float(values.mean()), float(stats.sem(values))
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * error
    return mean - half, mean + half
