"""Precision-recall and ROC curves of each class against the others, as VisualDL draws them.

VisualDL takes `n` points for the thresholds `i / (n - 1)`. Its own computation fails with a current
numpy (`np.float`), and its true positive rate is divided by the number of negatives; so the counts
are made here, and its functions only make records of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = 127


class Curve(NamedTuple):
    """Counts of images at each threshold, from the lowest, int64 `(n,)`.

    At a threshold, all images with at least this probability are taken for the class.
    """

    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    tn: NDArray[np.int64]
    fn: NDArray[np.int64]

    @property
    def precision(self) -> NDArray[np.float64]:
        """TP / (TP + FP); 1 where no image is taken for the class, as in scikit-learn."""
        return _share(self.tp, self.tp + self.fp, empty=1.0)

    @property
    def recall(self) -> NDArray[np.float64]:
        """TP / (TP + FN), which is also the true positive rate of a ROC curve."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def false_positive_rate(self) -> NDArray[np.float64]:
        """FP / (FP + TN)."""
        return _share(self.fp, self.fp + self.tn)


def curve(is_class: NDArray[np.bool_], probability: NDArray[np.floating]) -> Curve:
    """Counts hits and misses of one class at `THRESHOLDS` thresholds.

    Args:
        is_class: whether an image is of the class, `(N,)`.
        probability: of the class, `(N,)`, from 0 to 1; what is not a number counts as 0.
    """
    scores = np.clip(np.nan_to_num(probability.astype(np.float64)), 0, 1)
    buckets = np.floor(scores * (THRESHOLDS - 1)).astype(np.int64)
    tp, fp = (
        np.bincount(buckets[chosen], minlength=THRESHOLDS)[::-1].cumsum()[::-1]
        for chosen in (is_class, ~is_class)
    )
    return Curve(tp, fp, fp[0] - fp, tp[0] - tp)


def _share(
    part: NDArray[np.int64], whole: NDArray[np.int64], empty: float = 0.0
) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), empty)
