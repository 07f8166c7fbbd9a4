"""The masks of dropout on a CPU: each image has its own place in the random stream.

So a batch that is split into micro-batches and processes gets the masks of the whole one
(`batch_rows`), and copies of an image get masks of their own (`batch_copies`). The masks come from
numpy's PCG64DXSM generator with 16 bits an element, several times faster than Paddle's. It is
seeded from Paddle's at each call, so `paddle.seed` decides everything.
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
from paddle import Tensor

from common.threads import in_threads, parts
from models.layers.arrays import view

Rate = Union[
    float, tuple[float, ...]
]  # a probability, 0 to below 1, for all copies of an image or one for each
LEVELS = 1 << 16
_ROOM = 1 << 64  # words between the random streams of two copies


class _Layout(NamedTuple):
    """What a batch holds: these copies, one after the other, of images that are these rows of a
    larger batch.
    """

    copies: range = range(1)
    rows: tuple[range, ...] = ()



LAYOUT: ContextVar[_Layout] = ContextVar("layout", default=_Layout())


@contextlib.contextmanager
def layout(**changes) -> Iterator[None]:
    token = LAYOUT.set(LAYOUT.get()._replace(**changes))
    try:
        yield
    finally:
        LAYOUT.reset(token)


def batch_rows(*rows: range):
    """A context in which the images of a forward pass are these rows of a larger batch.

    With the same seed at its start, every micro-batch then gets the masks that its images have in
    the larger batch.
    """
    return layout(rows=rows)


def batch_copies(copies: range):
    """A context in which a batch holds these copies of the images, one after the other."""
    return layout(copies=copies)


def replay() -> Callable[[], AbstractContextManager]:
    """A function that gives the context of now again later: what the batch holds, and the same
    random numbers.

    The numbers that are drawn after such a context are those that would have come without it.
    """
    now, state = LAYOUT.get(), paddle.get_rng_state()

    @contextlib.contextmanager
    def again() -> Iterator[None]:
        later = paddle.get_rng_state()
        paddle.set_rng_state(state)
        try:
            with layout(**now._asdict()):
                yield
        finally:
            paddle.set_rng_state(later)

    return again


def keep_mask(shape: Sequence[int], rate: Rate, axis: int = 0) -> Tensor:
    """What dropout keeps: each element with probability 1 - `rate`, rounded to a multiple of
    1/65536.

    Args:
        shape: of the mask.
        rate: one for all copies, or one for each.
        axis: that of the batch; an image may have several entries on it (windows), one after the
            other.

    Returns:
        Booleans of the shape, in the CPU's memory.

    Raises:
        ValueError: when the batch is not a multiple of the copies and rows that were announced.
    """
    layout = LAYOUT.get()
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
        threshold = drop_threshold(rate[copy] if isinstance(rate, tuple) else rate)
        for part in rows:
            own = mask[outer, place, filled : filled + len(part)]
            fill = functools.partial(_fill, own, seed, copy * lead + outer, part.start, threshold)
            in_threads(fill, parts(len(part), size))
            filled += len(part)
    return kept


def _fill(
    mask: np.ndarray,
    seed: np.ndarray,
    stream: int,
    first: int,
    threshold: int,
    _,
    begin: int,
    end: int,
) -> None:
    """Draw rows `begin` to `end` of a mask `(images, size)`, whose images are `first` and on in
    their stream.
    """
    size = mask.shape[1]
    words = -(-size // 4)  # 64 bits for four elements
    bits = np.random.PCG64DXSM(seed).advance(stream * _ROOM + (first + begin) * words)
    drawn = np.random.Generator(bits).integers(0, 2**64, (end - begin, words), dtype=np.uint64)
    np.greater_equal(drawn.view(np.uint16)[:, :size], threshold, out=mask[begin:end])


def drop_threshold(rate: float) -> int:
    """How many of `_LEVELS` equally probable numbers mean that an element is dropped."""
    return min(round(rate * LEVELS), LEVELS - 1)


def kept_scale(rate: float) -> float:
    """What the kept elements are multiplied by, so that the mean stays."""
    return LEVELS / (LEVELS - drop_threshold(rate))
