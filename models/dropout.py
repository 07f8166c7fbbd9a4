"""Dropout and stochastic depth, the noise that R-Drop compares.

Sources: Srivastava et al. 2014 (dropout); Huang et al., arXiv:1603.09382 (stochastic depth, here drop path per sample).
Changed from Paddle's own: on a CPU the masks come from numpy's SFC64 generator with 16 bits an element, several times
faster than Paddle's. The generator is seeded from Paddle's at each call, so `paddle.seed` still decides everything.
"""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

_LEVELS = 1 << 16


def keep_mask(shape: list[int], rate: float) -> Tensor:
    """A mask for inverted dropout on a CPU: 0 with probability `rate`, else `1 / (1 - rate)`, so that its mean is 1.

    The rate is rounded to a multiple of 1/65536, and the scale follows the rounded one.
    """
    threshold = min(round(rate * _LEVELS), _LEVELS - 1)
    size = int(np.prod(shape))
    seed = paddle.randint(0, 2**31 - 1, [2]).numpy()
    words = np.random.Generator(np.random.SFC64(seed)).integers(0, 2**64, -(-size // 4), dtype=np.uint64)
    mask = (words.view(np.uint16)[:size] >= threshold).astype(np.float32)
    mask *= np.float32(_LEVELS / (_LEVELS - threshold))
    return paddle.to_tensor(mask.reshape(shape), place=paddle.CPUPlace())


class _Drop(nn.Layer):
    """Noise with probability `rate` in training; evaluation, and a rate of 0, leave `x` as it is."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x) if self.training and self.rate else x

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


class Dropout(_Drop):
    """Zero single elements with probability `rate` in training."""

    def drop(self, x: Tensor) -> Tensor:
        if x.place.is_cpu_place():
            return x * keep_mask(x.shape, self.rate).astype(x.dtype)
        return F.dropout(x, self.rate)


class DropPath(_Drop):
    """Zero the whole residual branch of single samples with probability `rate` in training; `x` is `(B, ...)`."""

    def drop(self, x: Tensor) -> Tensor:
        keep = paddle.bernoulli(paddle.full([x.shape[0]] + [1] * (x.ndim - 1), 1 - self.rate, "float32"))
        return x * (keep / (1 - self.rate)).astype(x.dtype)


def random_layers(model: nn.Layer) -> list[str]:
    """Names of the layers below `model` that draw random numbers in training, whichever library they are from."""
    rates = ("rate", "p", "drop_prob")  # ours, Paddle's, PPIM's
    return [
        name
        for name, layer in model.named_sublayers(include_self=True)
        if type(layer).__name__.startswith("Drop") and any(getattr(layer, rate, 0) for rate in rates)
    ]
