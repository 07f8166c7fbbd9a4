"""R-Drop: cross-entropy of several dropout passes plus the disagreement of their predictions.

Paper: Liang et al., "R-Drop: Regularized Dropout for Neural Networks", arXiv:2106.14448, algorithm
1 and equation (4). Changed from it: every term is a mean over samples, so that neither the
micro-batch nor the number of cards changes the objective; and the cross-entropies are averaged, not
added. With m copies of the logits z, shape (m, B, C):

    CE   = mean over copies and samples of CE(z_i, y)
    KL   = mean over samples of the mean over ordered pairs i != j of KL(p_i || p_j)
    loss = CE + alpha * KL

The published forms are presets, and other measures of disagreement can take the place of KL. This
file needs nothing but Paddle: it can be copied into another project as it is.

Shapes: m copies, B samples, C classes; `...` stands for further axes (tokens of a sequence, heads
of a model). A mean over samples is also a mean over them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn


class Terms(NamedTuple):
    """The loss and its parts, scalars; `kl` is the measure `consistency`, without alpha."""

    total: Tensor
    ce: Tensor
    kl: Tensor


class Preset(NamedTuple):
    """How one publication weighs the per-sample means `CE` and `KL` of this module.

    `total = ce_weight * CE + alpha * kl_weight * KL`. With `kl_sum` KL is summed over the samples
    of the micro-batch; over further axes it is always a mean. The comments below show the
    published totals, which are for two copies; for more, CE and KL are means as above.
    """

    ce_weight: float
    kl_weight: float
    kl_sum: bool


PRESETS = {
    # 0.5 (CE1 + CE2) + a 0.5 (KL + KL')
    "per_sample": Preset(ce_weight=1.0, kl_weight=1.0, kl_sum=False),
    # CE1 + CE2 + a 0.5 (KL + KL'), equation (4)
    "paper": Preset(ce_weight=2.0, kl_weight=1.0, kl_sum=False),
    # CE1 + CE2 + a (KL + KL'), KL summed
    "official_code": Preset(ce_weight=2.0, kl_weight=2.0, kl_sum=True),
    # 0.5 (CE1 + CE2) + a 0.5 (KL + KL'), KL summed
    "paddle_2021": Preset(ce_weight=1.0, kl_weight=1.0, kl_sum=True),
}


# Cross-entropy and the measures of disagreement: a value for each sample (and further axes).
# `stop_gradient` takes the first of two copies that are compared as a constant target.


def cross_entropy(log_probs: Tensor, targets: Tensor) -> Tensor:
    """Returns `(m, B, ...)` from log-probabilities `(m, B, ..., C)` and targets `(B, ..., C)`."""
    return -(log_probs * targets).sum(axis=-1)


def symmetric_kl(log_probs: Tensor, stop_gradient: bool) -> Tensor:
    """The paper's: the mean over ordered pairs `i != j` of `KL(p_i || p_j)`, `(B, ...)`.

    Summed over ordered pairs, `sum p_i (l_i - l_j)` is `m` times the covariance sum of `p` and
    `l = log p` over the copies. This form has no difference of large numbers when the copies nearly
    agree, and its cost grows with `m`, not with its square.
    """
    if stop_gradient:
        return _mean_over_pairs(kl_divergence, log_probs, itertools.permutations, stop_gradient)
    copies, probs = log_probs.shape[0], log_probs.exp()
    probs_off = probs - probs.mean(axis=0, keepdim=True)
    covariance = probs_off * (log_probs - log_probs.mean(axis=0, keepdim=True))
    return covariance.sum(axis=-1).mean(axis=0) * (copies / (copies - 1))


def forward_kl(log_probs: Tensor, stop_gradient: bool) -> Tensor:
    """One direction: the mean over `i < j` of `KL(p_i || p_j)`; the earlier copy is the target."""
    return _mean_over_pairs(kl_divergence, log_probs, itertools.combinations, stop_gradient)


def jensen_shannon(log_probs: Tensor, stop_gradient: bool) -> Tensor:
    """The mean over copies of `KL(p_i || q)`, `q` the mean of all `p`: AugMix, arXiv:1912.02781.

    Through `q` no gradient flows (the probabilities that meet it sum to 1): there is none to stop.
    """
    copies, *places = log_probs.shape
    flat = log_probs.flatten(1)  # logsumexp takes at most four axes
    mixture = paddle.logsumexp(flat, axis=0) - math.log(copies)
    return kl_divergence(log_probs, mixture.reshape(places)).mean(axis=0)


def squared_error(logits: Tensor, stop_gradient: bool) -> Tensor:
    """The mean over ordered pairs and classes of `(z_i - z_j)^2`."""

    def measure(target: Tensor, other: Tensor) -> Tensor:
        return ((target - other) ** 2).mean(axis=-1)

    return _mean_over_pairs(measure, logits, itertools.permutations, stop_gradient)


def cosine(logits: Tensor, stop_gradient: bool) -> Tensor:
    """The mean over ordered pairs of `1 - cos(z_i, z_j)`; 1 where a vector is 0: no direction."""

    def measure(target: Tensor, other: Tensor) -> Tensor:
        return 1 - F.cosine_similarity(target, other, axis=-1)

    return _mean_over_pairs(measure, logits, itertools.permutations, stop_gradient)


def kl_divergence(target: Tensor, other: Tensor) -> Tensor:
    """`KL(p || q)` of two log-probabilities, over the last axis."""
    return (target.exp() * (target - other)).sum(axis=-1)


def _mean_over_pairs(
    measure: Callable[[Tensor, Tensor], Tensor],
    values: Tensor,
    pairs: Callable[[list[Tensor], int], Iterable[tuple[Tensor, ...]]],
    stop_gradient: bool,
) -> Tensor:
    copies = paddle.unbind(values)  # m of (B, ..., C)
    found = [measure(i.detach() if stop_gradient else i, j) for i, j in pairs(copies, 2)]
    return sum(found) / len(found)


CONSISTENCY = {  # of probabilities, or of logits as they are
    "symmetric_kl": symmetric_kl,
    "kl": forward_kl,
    "js": jensen_shannon,
    "mse": squared_error,
    "cosine": cosine,
}
_OF_LOGITS = ("mse", "cosine")
FORMS = ("softmax", "sigmoid")


class RDropLoss(nn.Layer):
    """The R-Drop objective of `m` predictions for the same images, from logits and labels.

    Args:
        alpha: weight of the consistency term, in the sense of the preset.
        preset: `per_sample` (default), `paper`, `official_code` or `paddle_2021`.
        consistency: `symmetric_kl` (default, the paper's), `kl` (one direction), `js`, `mse` or
            `cosine` (the last two of logits).
        temperature: divides the logits in the consistency term. The term is multiplied by its
            square, so that its gradient keeps its size (Hinton et al., arXiv:1503.02531).
        stop_gradient: no gradient through the target of each comparison, as in cosub
            (arXiv:2212.04884). It halves the gradient of `mse` and `cosine`.
        form: `softmax` (default): one class of C. `sigmoid`: C yes-or-no questions, with the binary
            cross-entropy and the divergence of each, averaged over classes. With a stopped
            gradient, sigmoid and alpha 1 the gradient is twice that of cosub, whose constant factor
            is one half.
        precision: of the arithmetic, whatever the type of the logits. `float32` halves the memory,
            for large vocabularies. The gradient is then off by up to 6e-6 of its largest element,
            since Paddle's float32 `exp` is inexact.

    Raises:
        ValueError: for an unknown name, a negative alpha, or options that have no effect together.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        preset: str = "per_sample",
        consistency: str = "symmetric_kl",
        temperature: float = 1.0,
        stop_gradient: bool = False,
        form: str = "softmax",
        precision: str = "float64",
    ):
        super().__init__()
        for name, value, known in (
            ("preset", preset, PRESETS),
            ("consistency", consistency, CONSISTENCY),
            ("form", form, FORMS),
            ("precision", precision, ("float64", "float32")),
        ):
            if value not in known:
                raise ValueError(f"{name} is {value!r}, expected one of {', '.join(known)}")
        if not alpha >= 0:
            raise ValueError(f"alpha is {alpha}, expected 0 or more")
        if not 1e-3 <= temperature <= 1e3:
            raise ValueError(f"temperature is {temperature}, expected 0.001 to 1000")
        if temperature != 1 and consistency in _OF_LOGITS:
            raise ValueError(
                f"temperature is {temperature}, but consistency={consistency} has none"
            )
        if stop_gradient and consistency == "js":
            raise ValueError(
                "stop_gradient changes nothing in consistency=js: its mixture has no gradient "
                "anyway"
            )
        self.alpha, self.preset, self.form, self.precision = alpha, preset, form, precision
        self.consistency, self.temperature = consistency, temperature
        self.stop_gradient = stop_gradient

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        mask: Tensor | None = None,
        alpha: float | None = None,
    ) -> Terms:
        """Computes the loss.

        Args:
            logits: `(m, B, ..., C)`, or `(B, C)` for a single pass.
            labels: int64 `(B, ...)`, or `(B, ..., 1)` as Paddle's data sets have them, or targets
                of classes, float `(B, ..., C)`; the same for every copy. Along axes that they lack,
                all places have the label of their sample.
            mask: bool `(B, ...)`, false where there is nothing to predict (padding); every mean is
                over the rest.
            alpha: in place of the layer's, for this call.

        Returns:
            `(total, ce, kl)`, float32: the preset's total, and the per-sample means of
            cross-entropy and consistency.

        Raises:
            ValueError: when the shapes do not belong together.
        """
        logits = logits.unsqueeze(0) if logits.ndim == 2 else logits
        targets = _aligned(logits, labels, mask)
        logits = _visible(logits.astype(self.precision), mask)
        log_probs = _log_probs(logits, self.form)  # (m, B, ..., C); for sigmoid one more axis of 2
        probs = _as_probs(targets.astype(self.precision), self.form)
        ce = _mean(cross_entropy(log_probs, probs), mask, axis=1)
        kl = _mean(self._disagreement(logits, log_probs), mask, axis=0)
        preset = PRESETS[self.preset]
        samples = _samples(logits, mask) if preset.kl_sum else 1
        weight = (self.alpha if alpha is None else alpha) * preset.kl_weight * samples
        total = preset.ce_weight * ce + weight * kl
        return Terms(*(term.astype("float32") for term in (total, ce, kl)))

    def unlabelled(self, logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns the consistency term alone, a mean over samples, for images without labels.

        Args:
            logits: `(m, B, ..., C)`.
            mask: as in `forward`.

        Raises:
            ValueError: for logits without the axis of the copies.
        """
        if logits.ndim < 3:
            raise ValueError(f"logits have shape {list(logits.shape)}, expected (m, B, C)")
        logits = _visible(logits.astype(self.precision), mask)
        kl = self._disagreement(logits, _log_probs(logits, self.form))
        return _mean(kl, mask, axis=0).astype("float32")

    @property
    def sums_kl(self) -> bool:
        """Whether the meaning of alpha depends on the micro-batch."""
        return PRESETS[self.preset].kl_sum

    def per_sample_alpha(self, micro_batch: int) -> float:
        """Returns the alpha of the default preset with the same direction of the gradient."""
        preset, samples = PRESETS[self.preset], micro_batch if self.sums_kl else 1
        return self.alpha * preset.kl_weight / preset.ce_weight * samples

    def _disagreement(self, logits: Tensor, log_probs: Tensor) -> Tensor:
        """Returns the consistency of each sample, `(B, ...)`; 0 for a single copy."""
        if logits.shape[0] == 1:
            return paddle.zeros(logits.shape[1:-1], logits.dtype)
        if self.temperature != 1:
            log_probs = _log_probs(logits / self.temperature, self.form)
        values = logits if self.consistency in _OF_LOGITS else log_probs
        return CONSISTENCY[self.consistency](values, self.stop_gradient) * self.temperature**2


# The two forms of a prediction. A sigmoid is a softmax of two for each class: (..., C, 2).


def log_softmax(logits: Tensor) -> Tensor:
    """Log-softmax over the last axis. Paddle's own is never below -64 on a CPU."""
    shifted = logits - logits.detach().max(axis=-1, keepdim=True)
    return shifted - shifted.exp().sum(axis=-1, keepdim=True).log()


def _log_probs(logits: Tensor, form: str) -> Tensor:
    if form == "softmax":
        return log_softmax(logits)
    return paddle.stack([F.log_sigmoid(logits), F.log_sigmoid(-logits)], axis=-1)


def _as_probs(targets: Tensor, form: str) -> Tensor:
    return targets if form == "softmax" else paddle.stack([targets, 1 - targets], axis=-1)


# Shapes and masks.


def _aligned(logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
    """Returns targets with as many axes as a copy of the logits, after a check of all shapes."""
    places, classes = list(logits.shape[1:-1]), logits.shape[-1]  # places: (B, ...)
    soft = labels.is_floating_point()
    labels = labels if soft else labels.astype("int64")
    if not soft and labels.shape[-1:] == [1] and labels.shape != places[: labels.ndim]:
        labels = labels.squeeze(-1)
    owners = list(labels.shape[:-1] if soft else labels.shape)  # places with a label of their own
    fits = owners and places[: len(owners)] == owners and (not soft or labels.shape[-1] == classes)
    if mask is not None:
        fits = fits and places[: mask.ndim] == list(mask.shape) and mask.ndim > 0
    if logits.ndim < 3 or not fits:
        masked = "" if mask is None else f" and mask {list(mask.shape)}"
        raise ValueError(
            f"logits have shape {list(logits.shape)} and labels {list(labels.shape)}{masked}, "
            "expected (m, B, C) with (B,) or (B, C)"
        )
    if mask is not None and mask.ndim <= len(
        owners
    ):  # what pads the labels (such as -100) is no class
        labels = paddle.where(
            _spread(mask, labels.shape, axis=0), labels, paddle.zeros_like(labels)
        )
    targets = labels if soft else F.one_hot(labels, classes)
    return targets.reshape(owners + [1] * (len(places) - len(owners)) + [classes])


def _spread(mask: Tensor, shape: list[int], axis: int) -> Tensor:
    """Expands a mask `(B, ...)` to a shape, in which `axis` is that of the samples."""
    after = [1] * (len(shape) - axis - mask.ndim)
    return mask.astype("bool").reshape([1] * axis + list(mask.shape) + after).expand(shape)


def _samples(logits: Tensor, mask: Tensor | None) -> Tensor | int:
    """Counts the samples that have a place where the mask is true."""
    if mask is None:
        return logits.shape[1]
    return mask.astype(logits.dtype).reshape([logits.shape[1], -1]).max(axis=1).sum()


def _visible(logits: Tensor, mask: Tensor | None) -> Tensor:
    """Returns logits with 0 where the mask is false: no NaN there may reach a gradient."""
    if mask is None:
        return logits
    return paddle.where(_spread(mask, logits.shape, axis=1), logits, paddle.zeros_like(logits))


def _mean(values: Tensor, mask: Tensor | None, axis: int) -> Tensor:
    """Returns the mean over all values, or where the mask is true; `axis` is of the samples."""
    if mask is None:
        return values.mean()
    weights = _spread(mask, values.shape, axis).astype(values.dtype)
    return (values * weights).sum() / weights.sum().clip(min=1)
