"""Calibration: how often predictions of a confidence are right, before and after one temperature.

Source: Guo et al., "On Calibration of Modern Neural Networks", arXiv:1706.04599.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 15
_LOWEST, _HIGHEST = -5.0, 5.0  # of the logarithm of a temperature: 0.007 to 148


class Reliability(NamedTuple):
    """Bins of equal width over the confidence; each array is `(bins,)`.

    `counts` are images, `accuracy` and `confidence` means of a bin, nan where it has no image.
    """

    counts: NDArray[np.int64]
    accuracy: NDArray[np.float64]
    confidence: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """The expected calibration error, a fraction; nan without images."""
        total = self.counts.sum()
        if not total:
            return float("nan")
        gaps = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float((self.counts * gaps).sum() / total)


def log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Returns log-probabilities over the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def bins_of(confidence: NDArray[Any], bins: int = BINS) -> NDArray[np.int64]:
    """Returns the bin of each confidence, `(N,)`; a bin has its upper edge, the first also 0."""
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)


def reliability(confidence: NDArray[Any], hits: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Counts predictions by their confidence.

    Args:
        confidence: `(N,)`, the largest probability of each image.
        hits: `(N,)`, whether its class is right.
        bins: how many.
    """
    index = bins_of(confidence, bins)
    counts = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        accuracy = np.bincount(index, hits, bins) / counts
        mean = np.bincount(index, confidence, bins) / counts
    return Reliability(counts, accuracy, mean)


def negative_log_likelihood(logits: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Returns the mean cross-entropy in nats of logits `(N, C)` and labels `(N,)`."""
    return float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())


def fit_temperature(logits: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Returns the temperature T that makes the cross-entropy of `logits / T` smallest.

    Args:
        logits: `(N, C)` of images that the figure after scaling is not of.
        labels: `(N,)`.

    Returns:
        T, from 0.007 to 148: where all predictions are right the best T is 0, which no one has.
        1.0 without images.
    """
    from scipy.optimize import minimize_scalar

    if not len(labels):
        return 1.0
    logits = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(logits / np.exp(log_temperature), labels)

    bounds = (_LOWEST, _HIGHEST)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))
