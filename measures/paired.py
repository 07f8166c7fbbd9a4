"""Two models compared on the same images, or by runs with the same seeds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
_RESAMPLES = 2000


class Difference(NamedTuple):
    """The first minus the second, with an interval at `LEVEL`, and a p-value; nan: not defined.

    `method` is `mcnemar` or `t`, `pairs` the number of pairs: images or seeds.
    """

    mean: float
    low: float
    high: float
    p: float
    pairs: int
    method: str


def same_images(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Difference:
    """Compares which images two models classify right.

    p is of McNemar's exact test; the interval is a percentile bootstrap over images with a fixed
    seed (both from scipy).

    Args:
        first: `(N,)`, whether the first model is right.
        second: of the second model, for the same images.
    """
    from scipy import stats

    gains = first.astype(float) - second.astype(float)
    wins, losses = int((gains > 0).sum()), int((gains < 0).sum())
    if not len(gains):
        nan = float("nan")
        return Difference(nan, nan, nan, nan, 0, "mcnemar")
    p = float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
    low = high = float(gains.mean())
    if np.ptp(gains):
        found = stats.bootstrap(
            (gains,),
            np.mean,
            n_resamples=_RESAMPLES,
            batch=100,
            confidence_level=LEVEL,
            method="percentile",
            random_state=np.random.default_rng(0),
        ).confidence_interval
        low, high = float(found.low), float(found.high)
    return Difference(float(gains.mean()), low, high, p, len(gains), "mcnemar")


def same_seeds(first: NDArray[Any], second: NDArray[Any]) -> Difference:
    """Compares figures of runs with the same seeds, by the paired t-test.

    Args:
        first: `(n,)`, of the first setting, in the order of the seeds.
        second: of the second.
    """
    from scipy import stats

    from measures.intervals import of_mean

    gains = np.asarray(first, float) - np.asarray(second, float)
    nan = float("nan")
    if not len(gains):
        return Difference(nan, nan, nan, nan, 0, "t")
    mean = float(gains.mean())
    if len(gains) < 2:
        return Difference(mean, nan, nan, nan, 1, "t")
    if not np.ptp(gains):  # no spread: the test divides by it
        return Difference(mean, mean, mean, 0.0 if mean else 1.0, len(gains), "t")
    low, high = of_mean(gains, LEVEL)
    p = float(stats.ttest_rel(first, second).pvalue)
    return Difference(mean, low, high, p, len(gains), "t")
