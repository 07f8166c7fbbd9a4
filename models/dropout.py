"""Dropout and stochastic depth, the noise that R-Drop compares.

Sources: Srivastava et al. 2014 (dropout); Huang et al., arXiv:1603.09382 (stochastic depth, here drop path per sample).
Changed from Paddle's own: on a CPU the masks come from numpy's PCG64DXSM generator with 16 bits an element, several
times faster than Paddle's, and each image has its own place in the random stream. So a batch that is split into
micro-batches and processes gets the masks of the whole one (`batch_rows`). The generator is seeded from Paddle's at
each call, so `paddle.seed` still decides everything.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import NamedTuple, Union

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

Rate = Union[float, tuple[float, ...]]  # a probability, 0 to below 1, for all copies of an image or one for each
_LEVELS = 1 << 16
_ROOM = 1 << 64  # words between the random streams of two copies


class DropRates(NamedTuple):
    """Drop probabilities of a transformer. `path` is that of the last block (CaiT: of all)."""

    embedding: Rate = 0.0
    attention: float = 0.0
    projection: Rate = 0.0
    mlp: Rate = 0.0
    path: float = 0.0


class _Layout(NamedTuple):
    """What a batch holds: these copies, one after the other, of images that are these rows of a larger batch."""

    copies: range = range(1)
    rows: tuple[range, ...] = ()


_LAYOUT: ContextVar[_Layout] = ContextVar("layout", default=_Layout())  # noqa: B039 (a tuple does not change)


@contextlib.contextmanager
def _layout(**changes) -> Iterator[None]:
    token = _LAYOUT.set(_LAYOUT.get()._replace(**changes))
    try:
        yield
    finally:
        _LAYOUT.reset(token)


def batch_rows(*rows: range):
    """A context in which the images of a forward pass are these rows of a larger batch.

    With the same seed at its start, every micro-batch then gets the masks that its images have in the larger batch.
    """
    return _layout(rows=rows)


def batch_copies(copies: range):
    """A context in which a batch holds these copies of the images, one after the other."""
    return _layout(copies=copies)


def replay() -> Callable[[], AbstractContextManager]:
    """A function that gives the context of now again later: what the batch holds, and the same random numbers.

    The numbers that are drawn after such a context are those that would have come without it.
    """
    layout, state = _LAYOUT.get(), paddle.get_rng_state()

    @contextlib.contextmanager
    def again() -> Iterator[None]:
        later = paddle.get_rng_state()
        paddle.set_rng_state(state)
        try:
            with _layout(**layout._asdict()):
                yield
        finally:
            paddle.set_rng_state(later)

    return again


def keep_mask(shape: Sequence[int], rate: Rate, axis: int = 0) -> np.ndarray:
    """A mask for inverted dropout: 0 with probability `rate`, else `1 / (1 - rate)`, so that its mean is 1.

    A rate is rounded to a multiple of 1/65536, and the scale follows the rounded one.

    Args:
        shape: of the mask.
        rate: one for all copies, or one for each.
        axis: that of the batch; an image may have several entries on it (windows), one after the other.

    Returns:
        float32, of the shape.

    Raises:
        ValueError: when the batch is not a multiple of the copies and rows that were announced.
    """
    layout = _LAYOUT.get()
    copies = len(layout.copies)
    rows = layout.rows or (range(shape[axis] // copies),)
    images = sum(map(len, rows))
    lead, batch, inner = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    if isinstance(rate, tuple) and layout.copies.stop > len(rate):
        raise ValueError(f"{layout.copies.stop} copies, but drop rates for {len(rate)}: {rate}")
    if images == 0 or batch % (copies * images):
        raise ValueError(f"a batch of {batch} is not {copies} copies of {images} images")
    size = inner * batch // (copies * images)  # elements of one image
    words = -(-size // 4)  # 64 bits for four of them
    bits = np.random.PCG64DXSM(paddle.randint(0, 2**31 - 1, [2]).numpy())
    generator, position = np.random.Generator(bits), 0
    mask = np.empty((lead, copies, images, size), np.float32)
    for place, outer in itertools.product(range(copies), range(lead)):
        copy = layout.copies[place]
        block = copy * lead + outer
        own = rate[copy] if isinstance(rate, tuple) else rate
        threshold = min(round(own * _LEVELS), _LEVELS - 1)
        scale = np.float32(_LEVELS / (_LEVELS - threshold))
        filled = 0
        for part in rows:
            begin = block * _ROOM + part.start * words
            bits.advance((begin - position) % 2**128)
            drawn = generator.integers(0, 2**64, len(part) * words, dtype=np.uint64)
            position = begin + len(drawn)
            kept = drawn.view(np.uint16).reshape(len(part), 4 * words)[:, :size] >= threshold
            np.multiply(kept, scale, out=mask[outer, place, filled : filled + len(part)])
            filled += len(part)
    return mask.reshape(shape)


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
        return any(round(rate * _LEVELS) for rate in rates)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x) if self.training and self.active else x

    def mask(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """A mask from numpy where `x` is."""
        return paddle.to_tensor(keep_mask(shape, self.rate, self.axis), place=x.place).astype(x.dtype)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


class Dropout(_Drop):
    """Zero single elements with probability `rate` in training."""

    def drop(self, x: Tensor) -> Tensor:
        if x.place.is_cpu_place():
            return x * self.mask(x, x.shape)
        if not isinstance(self.rate, tuple):
            return F.dropout(x, self.rate)
        copies = _LAYOUT.get().copies
        parts = zip(x.chunk(len(copies), self.axis), copies)
        return paddle.concat([F.dropout(part, self.rate[copy]) for part, copy in parts], self.axis)


class DropPath(_Drop):
    """Zero the whole residual branch of single samples with probability `rate` in training; `x` is `(B, ...)`."""

    def drop(self, x: Tensor) -> Tensor:
        shape = [x.shape[0]] + [1] * (x.ndim - 1)
        if x.place.is_cpu_place():
            return x * self.mask(x, shape)
        keep = paddle.bernoulli(paddle.full(shape, 1 - self.rate, "float32"))
        return x * (keep / (1 - self.rate)).astype(x.dtype)


def adopt(layer: nn.Layer, rates: DropRates) -> None:
    """Replace PPIM's dropout and drop path layers below a layer by these, with these rates (the paths keep theirs)."""
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
        if (layer.active if isinstance(layer, _Drop) else isinstance(layer, nn.Dropout) and layer.p > 0)
    ]
