"""Dropout and stochastic depth, the noise that R-Drop compares.

Sources: Srivastava et al. 2014 (dropout); Huang et al., arXiv:1603.09382 (stochastic depth, here
drop path per sample). Changed from Paddle's own: on a CPU the masks come from numpy's PCG64DXSM
generator with 16 bits an element, several times faster than Paddle's, and each image has its own
place in the random stream. So a batch that is split into micro-batches and processes gets the masks
of the whole one (`batch_rows`). The generator is seeded from Paddle's at each call, so
`paddle.seed` still decides everything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from ppim.models.common import Identity

from models.layers.arrays import Mask
from models.layers.dropout_masks import LAYOUT, LEVELS, Rate, keep_mask, kept_scale
from models.layers.operators import masked, standard


class DropRates(NamedTuple):
    """Drop probabilities of a transformer. `path` is that of the last block (CaiT: of all)."""

    embedding: Rate = 0.0
    attention: float = 0.0
    projection: Rate = 0.0
    mlp: Rate = 0.0
    path: float = 0.0


_AS_ON_GPU: ContextVar[bool] = ContextVar("as_on_gpu", default=False)


@contextlib.contextmanager
def as_on_gpu() -> Iterator[None]:
    """A context in which dropout is Paddle's own on a CPU, too, which keeps as much for the
    gradient as on a GPU.
    """
    token = _AS_ON_GPU.set(True)
    try:
        yield
    finally:
        _AS_ON_GPU.reset(token)


class _Drop(nn.Layer):
    """Noise with probability `rate` in training; evaluation, and a rate of 0, leave `x` as it is.

    Args:
        rate: one for all copies of an image, or one for each copy (a single pass takes the first).
        axis: that of the batch.
    """

    def __init__(self, rate: Rate, axis: int = 0):
        super().__init__()
        self.rate = rate
        self.axis = axis

    @property
    def active(self) -> bool:
        """Whether it draws random numbers in training."""
        rates = self.rate if isinstance(self.rate, tuple) else (self.rate,)
        return any(round(rate * LEVELS) for rate in rates)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x) if self.training and self.active else x

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


@standard
class Dropout(_Drop):
    """Zero single elements with probability `rate` in training."""

    def drop(self, x: Tensor) -> Tensor:
        if x.place.is_cpu_place() and not _AS_ON_GPU.get():
            return masked(x, self.mask(x.shape))
        rates = self._rates()
        parts = zip(x.chunk(len(rates), self.axis), rates) if len(rates) > 1 else [(x, rates[0])]
        return paddle.concat([F.dropout(part, rate) for part, rate in parts], self.axis)

    def mask(self, shape: Sequence[int]) -> Mask | None:
        """On a CPU, what it does to a tensor of this shape; None for nothing."""
        if not (self.training and self.active):
            return None
        return Mask(keep_mask(shape, self.rate, self.axis), tuple(map(kept_scale, self._rates())))

    def _rates(self) -> list[float]:
        """That of all copies, or of each (of a single pass the first)."""
        return (
            [self.rate[copy] for copy in LAYOUT.get().copies]
            if isinstance(self.rate, tuple)
            else [self.rate]
        )


@standard
class DropPath(_Drop):
    """Zero the whole residual branch of single samples with probability `rate` in training; `x` is
    `(B, ...)`.
    """

    def factors(self, images: int) -> np.ndarray | None:
        """On a CPU, what the branches of that many images are multiplied by; None for nothing."""
        if not (self.training and self.active):
            return None
        return keep_mask([images], self.rate, self.axis).numpy() * np.float32(kept_scale(self.rate))

    def drop(self, x: Tensor) -> Tensor:
        shape = [x.shape[0]] + [1] * (x.ndim - 1)
        if x.place.is_cpu_place():
            return x * paddle.to_tensor(self.factors(x.shape[0]), x.dtype).reshape(shape)
        keep = paddle.bernoulli(paddle.full(shape, 1 - self.rate, "float32"))
        return x * (keep / (1 - self.rate)).astype(x.dtype)


def adopt(layer: nn.Layer, rates: DropRates) -> None:
    """Replace PPIM's dropout and drop path layers below a layer by these, with these rates (the
    paths keep theirs).
    """
    own = {
        "pos_drop": rates.embedding,
        "attn_drop": rates.attention,
        "proj_drop": rates.projection,
        "drop": rates.mlp,
        "dp": rates.projection,  # in T2T-ViT's performer
        "3": rates.mlp,
    }
    for parent in layer.sublayers(include_self=True):
        for name, child in parent.named_children():
            if isinstance(child, nn.Dropout):
                setattr(parent, name, Dropout(own[name]))
            elif type(child).__name__ == "DropPath" and not isinstance(child, DropPath):
                setattr(parent, name, DropPath(child.drop_prob))
            elif isinstance(child, Identity) and name == "drop_path":
                setattr(parent, name, DropPath(0.0))


def silence(layer: nn.Layer) -> None:
    """Switch all noise below a layer off, for good."""
    for below in layer.sublayers(include_self=True):
        if isinstance(below, _Drop):
            below.rate = 0.0


def random_layers(model: nn.Layer) -> list[str]:
    """Names of the layers below `model` that draw random numbers in training."""
    return [
        name
        for name, layer in model.named_sublayers(include_self=True)
        if (
            layer.active
            if isinstance(layer, _Drop)
            else isinstance(layer, nn.Dropout) and layer.p > 0
        )
    ]
