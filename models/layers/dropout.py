"""Dropout and stochastic depth: the noise that R-Drop compares.

Sources: Srivastava et al. 2014 (dropout); Huang et al., arXiv:1603.09382 (stochastic depth, here
drop path for each sample). Changed from Paddle's own layers: on a CPU the masks are those of
`models/layers/dropout_masks.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from ppim.models.common import Identity

from models.layers.arrays import Mask
from models.layers.dropout_masks import Rate, copy_rates, drop_threshold, keep_mask, kept_scale
from models.layers.operators import masked, replaceable
from models.layers.temporary_changes import set_to


class DropRates(NamedTuple):
    """Drop probabilities of a transformer; `path` is that of the last block (CaiT: of all)."""

    embedding: Rate = 0.0
    attention: float = 0.0
    projection: Rate = 0.0
    mlp: Rate = 0.0
    path: float = 0.0


# The place of a dropout layer, a field of `DropRates`, by the name that its parent has for it.
_PLACES = {
    "pos_drop": "embedding",
    "attn_drop": "attention",
    "proj_drop": "projection",
    "drop": "mlp",
    "dp": "projection",  # in T2T-ViT's performer
    "3": "mlp",
}
_AS_ON_GPU: ContextVar[bool] = ContextVar("as_on_gpu", default=False)


def as_on_gpu() -> AbstractContextManager:
    """Returns a context in which dropout on a CPU is Paddle's own.

    It then keeps as much memory for the gradient as on a GPU.
    """
    return set_to(_AS_ON_GPU, True)


class _Drop(nn.Layer):
    """Noise in training; in evaluation, and at a rate of 0, it returns its input.

    Args:
        rate: drop probability of all copies of an image, or one for each copy (a single pass takes
            the first).
        axis: of the batch.
    """

    def __init__(self, rate: Rate, axis: int = 0):
        super().__init__()
        self.rate, self.axis = rate, axis

    @property
    def active(self) -> bool:
        """Whether it draws random numbers in training."""
        rates = self.rate if isinstance(self.rate, tuple) else (self.rate,)
        return any(map(drop_threshold, rates))

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x) if self.training and self.active else x


@replaceable
class Dropout(_Drop):
    """Sets single elements to 0 in training."""

    def drop(self, x: Tensor) -> Tensor:
        if x.place.is_cpu_place() and not _AS_ON_GPU.get():
            return masked(x, self.mask(x.shape))
        rates = copy_rates(self.rate)
        parts = zip(x.chunk(len(rates), self.axis), rates) if len(rates) > 1 else [(x, rates[0])]
        return paddle.concat([F.dropout(part, rate) for part, rate in parts], self.axis)

    def mask(self, shape: Sequence[int]) -> Mask | None:
        """Returns the mask for a CPU tensor of this shape; None where there is no dropout."""
        if not (self.training and self.active):
            return None
        keep = keep_mask(shape, self.rate, self.axis)
        return Mask(keep, tuple(map(kept_scale, copy_rates(self.rate))))


@replaceable
class DropPath(_Drop):
    """Sets the residual branch `(B, ...)` of single samples to 0 in training."""

    def factors(self, images: int) -> np.ndarray | None:
        """Returns the factors of the branches of some images, on a CPU; None for factors of 1."""
        if not (self.training and self.active):
            return None
        return keep_mask([images], self.rate, self.axis).numpy() * np.float32(kept_scale(self.rate))

    def drop(self, x: Tensor) -> Tensor:
        shape = [x.shape[0]] + [1] * (x.ndim - 1)
        if x.place.is_cpu_place():
            return x * paddle.to_tensor(self.factors(x.shape[0]), x.dtype).reshape(shape)
        keep = paddle.bernoulli(paddle.full(shape, 1 - self.rate, "float32"))
        return x * (keep / (1 - self.rate)).astype(x.dtype)


def replace_dropout(layer: nn.Layer, rates: DropRates) -> None:
    """Replaces PPIM's dropout and drop path layers below a layer by the ones of this file.

    Dropout gets the rates of `rates`; each drop path keeps its own rate.
    """
    for parent in layer.sublayers(include_self=True):
        for name, child in parent.named_children():
            if isinstance(child, nn.Dropout):
                setattr(parent, name, Dropout(getattr(rates, _PLACES[name])))
            elif type(child).__name__ == "DropPath" and not isinstance(child, DropPath):
                setattr(parent, name, DropPath(child.drop_prob))
            elif isinstance(child, Identity) and name == "drop_path":
                setattr(parent, name, DropPath(0.0))


def noise_layers(model: nn.Layer) -> dict[str, list[Dropout | DropPath]]:
    """Returns the dropout and drop path layers below a model by their places, also those at rate 0.

    A place is a field of `DropRates`, or `head`: in front of the classifier of a whole network.
    """
    found: dict[str, list[Dropout | DropPath]] = {}
    for name, layer in model.named_sublayers():
        if isinstance(layer, _Drop):
            place = _PLACES.get(name.rpartition(".")[2], "head")
            place = "path" if isinstance(layer, DropPath) else place
            found.setdefault(place, []).append(layer)
    return found


def silence(layer: nn.Layer) -> None:
    """Switches all noise below a layer off, for good."""
    for below in layer.sublayers(include_self=True):
        if isinstance(below, _Drop):
            below.rate = 0.0


def random_layers(model: nn.Layer) -> list[str]:
    """Returns the names of the layers below `model` that draw random numbers in training."""
    return [
        name
        for name, layer in model.named_sublayers(include_self=True)
        if (isinstance(layer, _Drop) and layer.active)
        or (isinstance(layer, nn.Dropout) and layer.p > 0)
    ]
