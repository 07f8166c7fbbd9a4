"""Turns labels into targets that are distributions over classes.

Source of label smoothing: Szegedy et al., "Rethinking the Inception Architecture",
arXiv:1512.00567, section 7.
"""

import paddle.nn.functional as F
from paddle import Tensor


def smooth(labels: Tensor, classes: int, smoothing: float) -> Tensor:
    """Smooths labels: moves a part of the probability to the uniform distribution over classes.

    Args:
        labels: int64 `(B,)`.
        classes: their number.
        smoothing: the part that is moved; 0 (labels are returned as they are) to 1 (uniform).

    Returns:
        int64 `(B,)` without smoothing, else float32 `(B, C)` whose rows sum to 1.
    """
    if smoothing == 0:
        return labels
    return F.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
