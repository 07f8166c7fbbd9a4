"""Dropout and stochastic depth, the noise that R-Drop compares.

Sources: Srivastava et al. 2014 (dropout); Huang et al., arXiv:1603.09382 (stochastic depth, here drop path per sample).
Changed from Paddle's own: on a CPU the masks come from numpy's PCG64DXSM generator with 16 bits an element, several
times faster than Paddle's, and each image has its own place in the random stream. So a batch that is split into
micro-batches and processes gets the masks of the whole one (`batch_rows`). The generator is seeded from Paddle's at
each call, so `paddle.seed` still decides everything.
"""

from __future__ import annotations

import contextlib
import functools
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
from ppim.models.common import Identity

from common.threads import parts, share
from models.memory import Mask, view
from models.operators import masked, standard

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


_AS_ON_GPU: ContextVar[bool] = ContextVar("as_on_gpu", default=False)
_LAYOUT: ContextVar[_Layout] = ContextVar("layout", default=_Layout())  # noqa: B039 (a tuple does not change)


@contextlib.contextmanager
def as_on_gpu() -> Iterator[None]:
    """A context in which dropout is Paddle's own on a CPU, too, which keeps as much for the gradient as on a GPU."""
    token = _AS_ON_GPU.set(True)
    try:
        yield
    finally:
        _AS_ON_GPU.reset(token)


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


def keep_mask(shape: Sequence[int], rate: Rate, axis: int = 0) -> Tensor:
    """What dropout keeps: each element with probability 1 - `rate`, rounded to a multiple of 1/65536.

    Args:
        shape: of the mask.
        rate: one for all copies, or one for each.
        axis: that of the batch; an image may have several entries on it (windows), one after the other.

    Returns:
        Booleans of the shape, in the CPU's memory.

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
    seed = paddle.randint(0, 2**31 - 1, [2]).numpy()
    kept = paddle.empty(shape, paddle.bool).cpu()
    mask = view(kept).reshape(lead, copies, images, size)
    for place, outer in itertools.product(range(copies), range(lead)):
        copy, filled = layout.copies[place], 0
        threshold = _threshold(rate[copy] if isinstance(rate, tuple) else rate)
        for part in rows:
            own = mask[outer, place, filled : filled + len(part)]
            fill = functools.partial(_fill, own, seed, copy * lead + outer, part.start, threshold)
            share(fill, parts(len(part), size))
            filled += len(part)
    return kept


def _fill(mask: np.ndarray, seed: np.ndarray, stream: int, first: int, threshold: int, _, begin: int, end: int) -> None:
    """Draw rows `begin` to `end` of a mask `(images, size)`, whose images are `first` and on in their stream."""
    size = mask.shape[1]
    words = -(-size // 4)  # 64 bits for four elements
    bits = np.random.PCG64DXSM(seed).advance(stream * _ROOM + (first + begin) * words)
    drawn = np.random.Generator(bits).integers(0, 2**64, (end - begin, words), dtype=np.uint64)
    np.greater_equal(drawn.view(np.uint16)[:, :size], threshold, out=mask[begin:end])


def _threshold(rate: float) -> int:
    """How many of `_LEVELS` equally probable numbers mean that an element is dropped."""
    return min(round(rate * _LEVELS), _LEVELS - 1)


def _scale(rate: float) -> float:
    """What the kept elements are multiplied by, so that the mean stays."""
    return _LEVELS / (_LEVELS - _threshold(rate))


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
        return Mask(keep_mask(shape, self.rate, self.axis), tuple(map(_scale, self._rates())))

    def _rates(self) -> list[float]:
        """That of all copies, or of each (of a single pass the first)."""
        return [self.rate[copy] for copy in _LAYOUT.get().copies] if isinstance(self.rate, tuple) else [self.rate]


@standard
class DropPath(_Drop):
    """Zero the whole residual branch of single samples with probability `rate` in training; `x` is `(B, ...)`."""

    def factors(self, images: int) -> np.ndarray | None:
        """On a CPU, what the branches of that many images are multiplied by; None for nothing."""
        if not (self.training and self.active):
            return None
        return keep_mask([images], self.rate, self.axis).numpy() * np.float32(_scale(self.rate))

    def drop(self, x: Tensor) -> Tensor:
        shape = [x.shape[0]] + [1] * (x.ndim - 1)
        if x.place.is_cpu_place():
            return x * paddle.to_tensor(self.factors(x.shape[0]), x.dtype).reshape(shape)
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
        if (layer.active if isinstance(layer, _Drop) else isinstance(layer, nn.Dropout) and layer.p > 0)
    ]
