"""R-Drop: cross-entropy of several dropout passes plus the KL divergence between their predictions.

Paper: Liang et al., "R-Drop: Regularized Dropout for Neural Networks", arXiv:2106.14448, algorithm 1 and equation (4).
Changed from it: every term is a mean over samples, so that neither the micro-batch nor the number of cards changes the
objective, and two cross-entropies are averaged instead of added. The published forms are kept as presets.

This file needs nothing but Paddle: it can be copied into another project as it is.
"""

from __future__ import annotations

from typing import NamedTuple

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn


class Terms(NamedTuple):
    """The loss and its parts; scalars, in nats."""

    total: Tensor
    ce: Tensor
    kl: Tensor


class Preset(NamedTuple):
    """How one publication weighs the terms, in units of the per-sample means `CE` and `KL` of this module.

    `total = ce_weight * CE + alpha * kl_weight * KL`, and KL is summed over the micro-batch where `kl_sum` is true.
    """

    ce_weight: float
    kl_weight: float
    kl_sum: bool


PRESETS = {
    "per_sample": Preset(ce_weight=1.0, kl_weight=1.0, kl_sum=False),  # 0.5 (CE1 + CE2) + a 0.5 (KL + KL')
    "paper": Preset(ce_weight=2.0, kl_weight=1.0, kl_sum=False),  # CE1 + CE2 + a 0.5 (KL + KL'), equation (4)
    "official_code": Preset(ce_weight=2.0, kl_weight=2.0, kl_sum=True),  # CE1 + CE2 + a (KL + KL'), KL summed
    "paddle_2021": Preset(ce_weight=1.0, kl_weight=1.0, kl_sum=True),  # 0.5 (CE1 + CE2) + a 0.5 (KL + KL'), KL summed
}


def cross_entropy(log_probs: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over copies and samples.

    Args:
        log_probs: log-probabilities, `(m, B, C)`.
        labels: classes, int64 `(B,)`, or target distributions, float `(B, C)`; the same for every copy.
    """
    if labels.ndim == 1:
        labels = F.one_hot(labels, log_probs.shape[-1])
    return -(log_probs * labels).sum(axis=-1).mean()


def mutual_kl(log_probs: Tensor) -> Tensor:
    """Mean over samples of the mean over ordered pairs `i != j` of `KL(p_i || p_j)`; 0 for a single copy.

    Summed over ordered pairs, `sum p_i (l_i - l_j)` is `m` times the covariance sum of `p` and `l = log p` over the
    copies. In that form there is no difference of large numbers when the copies nearly agree, and the cost grows with
    `m`, not with its square.

    Args:
        log_probs: log-probabilities, `(m, B, C)`.
    """
    copies = log_probs.shape[0]
    if copies == 1:
        return paddle.zeros([], log_probs.dtype)
    probs = log_probs.exp()
    covariance = (probs - probs.mean(axis=0, keepdim=True)) * (log_probs - log_probs.mean(axis=0, keepdim=True))
    return covariance.sum(axis=-1).mean() * (copies / (copies - 1))


class RDropLoss(nn.Layer):
    """The R-Drop objective of `m` predictions for the same images.

    Args:
        alpha: weight of the KL term, in the sense of the preset.
        preset: `per_sample` (default), `paper`, `official_code` or `paddle_2021`.

    Raises:
        ValueError: for an unknown preset or a negative alpha.
    """

    def __init__(self, alpha: float = 1.0, preset: str = "per_sample"):
        super().__init__()
        if preset not in PRESETS:
            raise ValueError(f"preset is {preset!r}, expected one of {', '.join(PRESETS)}")
        if alpha < 0:
            raise ValueError(f"alpha is {alpha}, expected 0 or more")
        self.alpha = alpha
        self.preset = preset

    def forward(self, logits: Tensor, labels: Tensor) -> Terms:
        """Compute the loss.

        Args:
            logits: `(m, B, C)`, or `(B, C)` for a single pass.
            labels: int64 `(B,)` or float `(B, C)`.

        Returns:
            `(total, ce, kl)`: the preset's total, and the per-sample means of cross-entropy and KL.

        Raises:
            ValueError: when the shapes do not belong together.
        """
        logits = logits.unsqueeze(0) if logits.ndim == 2 else logits
        _check_shapes(logits, labels)
        log_probs = F.log_softmax(logits.astype("float32"), axis=-1)  # (m, B, C)
        ce, kl = cross_entropy(log_probs, labels), mutual_kl(log_probs)
        preset = PRESETS[self.preset]
        batch = logits.shape[1] if preset.kl_sum else 1
        return Terms(preset.ce_weight * ce + self.alpha * preset.kl_weight * batch * kl, ce, kl)

    def per_sample_alpha(self, micro_batch: int) -> float:
        """The alpha that the default preset would need for the same gradient direction, at this micro-batch."""
        preset = PRESETS[self.preset]
        return self.alpha * preset.kl_weight / preset.ce_weight * (micro_batch if preset.kl_sum else 1)


def _check_shapes(logits: Tensor, labels: Tensor) -> None:
    batch, classes = logits.shape[1:] if logits.ndim == 3 else (0, 0)
    if logits.ndim != 3 or list(labels.shape) not in ([batch], [batch, classes]):
        raise ValueError(
            f"logits have shape {list(logits.shape)} and labels {list(labels.shape)}, "
            "expected (m, B, C) with (B,) or (B, C)"
        )
