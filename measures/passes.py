"""How far the passes of an image through different dropout masks are apart.

These are what R-Drop (arXiv:2106.14448) makes small: it trains with the KL between two passes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from measures.calibration import log_softmax


class Passes(NamedTuple):
    """One value for each image, `(B,)`.

    Attributes:
        kl: KL(p_i || p_j) in nats, the mean over ordered pairs of passes i != j.
        agreement: the share of pairs of passes that name the same class.
        spread: the standard deviation of a logit over the passes, the mean over classes.
    """

    kl: NDArray[np.float64]
    agreement: NDArray[np.float64]
    spread: NDArray[np.float64]


def compare(logits: NDArray[Any]) -> Passes:
    """Compares the passes of each image.

    Args:
        logits: `(m, B, C)` of m >= 2 passes.
    """
    passes, _, classes = logits.shape
    log_probs = log_softmax(logits)
    pairs = passes * (passes - 1)
    probs = np.exp(log_probs)
    # sum over i != j of sum_c p_i (log p_i - log p_j), without the m^2 pairs
    own = passes * (probs * log_probs).sum(axis=(0, 2))
    cross = (probs.sum(axis=0) * log_probs.sum(axis=0)).sum(axis=1)
    named = logits.argmax(axis=-1)  # (m, B)
    votes = np.stack([(named == one).sum(axis=0) for one in range(classes)])  # (C, B)
    agreement = (votes * (votes - 1)).sum(axis=0) / pairs
    spread = logits.astype(np.float64).std(axis=0, ddof=1).mean(axis=1)
    return Passes(np.maximum((own - cross) / pairs, 0.0), agreement, spread)
