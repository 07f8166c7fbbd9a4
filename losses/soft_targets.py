"""Targets that are distributions over classes instead of one class.

Source of label smoothing: Szegedy et al., "Rethinking the Inception Architecture",
arXiv:1512.00567, section 7.
"""

from __future__ import annotations

import paddle.nn.functional as F
from paddle import Tensor


def smooth(labels: Tensor, classes: int, smoothing: float) -> Tensor:
    """Move `smoothing` of the probability from the label to the uniform distribution over all
    classes.

    Args:
        labels: int64 `(B,)`.
        classes: how many there are.
        smoothing: 0 (labels are returned as they are) to 1 (uniform).

    Returns:
        int64 `(B,)` for no smoothing, else float32 `(B, C)` whose rows sum to 1.
    """
    if smoothing == 0:
        return labels
    return F.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
