"""Random masks of dropout on a CPU: each image has its own place in the random stream.

So a batch that is split into micro-batches and processes gets the masks of the whole batch
(`batch_rows`), and copies of an image get different masks (`batch_copies`). The numbers come from
numpy's PCG64DXSM generator, 16 bits for each element: several times faster than Paddle's. Each call
seeds it from Paddle's generator, so `paddle.seed` decides everything.
"""

import contextlib
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
from models.layers.temporary_changes import set_to

# A drop probability, 0 to below 1: one for all copies of an image, or one for each copy.
Rate = Union[float, tuple[float, ...]]
_LEVELS = 1 << 16  # probabilities are rounded to multiples of 1 / _LEVELS
_LITTLE = 8  # how many times less work an element is than elsewhere
_STREAM_LENGTH = 1 << 64  # words between the random streams of two copies


class _Layout(NamedTuple):
    """The content of a batch: some copies, one after the other, of some rows of a larger batch."""

    copies: range = range(1)
    rows: tuple[range, ...] = ()


_LAYOUT: ContextVar[_Layout] = ContextVar("layout", default=_Layout())  # noqa: B039 (immutable)


def batch_rows(*rows: range) -> AbstractContextManager:
    """Returns a context in which the images of a forward pass are these rows of a larger batch.

    With the same seed at its start, each micro-batch gets the masks that its images have in the
    larger batch.
    """
    return set_to(_LAYOUT, _LAYOUT.get()._replace(rows=rows))


def batch_copies(copies: range) -> AbstractContextManager:
    """Returns a context in which a batch holds these copies of the images, one after the other."""
    return set_to(_LAYOUT, _LAYOUT.get()._replace(copies=copies))


def replay() -> Callable[[], AbstractContextManager]:
    """Returns a function that makes contexts in which the masks of this moment are drawn again.

    Such a context has the batch content and the random state of this moment. Random numbers that
    are drawn after it are the same as without it.
    """
    layout, state = _LAYOUT.get(), paddle.get_rng_state()

    @contextlib.contextmanager
    def again() -> Iterator[None]:
        later = paddle.get_rng_state()
        paddle.set_rng_state(state)
        try:
            with set_to(_LAYOUT, layout):
                yield
        finally:
            paddle.set_rng_state(later)

    return again


def copy_rates(rate: Rate) -> list[float]:
    """Returns the rate of each copy in the batch; one rate where all copies have the same."""
    return [rate[copy] for copy in _LAYOUT.get().copies] if isinstance(rate, tuple) else [rate]


def keep_mask(shape: Sequence[int], rate: Rate, axis: int = 0) -> Tensor:
    """Draws which elements dropout keeps, each with probability 1 - `rate`.

    Args:
        shape: of the mask.
        rate: for all copies, or one for each; rounded to a multiple of 1/65536.
        axis: of the batch. An image may have several entries on it (windows), one after the other.

    Returns:
        Booleans of that shape, in CPU memory.

    Raises:
        ValueError: when the batch is not a multiple of the announced copies and rows.
    """
    layout, batch = _LAYOUT.get(), shape[axis]
    copies = len(layout.copies)
    rows = layout.rows or (range(batch // copies),)
    images = sum(map(len, rows))
    if isinstance(rate, tuple) and layout.copies.stop > len(rate):
        raise ValueError(f"{layout.copies.stop} copies, but drop rates for {len(rate)}: {rate}")
    if images == 0 or batch % (copies * images):
        raise ValueError(f"a batch of {batch} is not {copies} copies of {images} images")
    lead = math.prod(shape[:axis])
    seed = paddle.randint(0, 2**31 - 1, [2]).numpy()
    keep = paddle.empty(shape, paddle.bool).cpu()
    masks = view(keep).reshape(lead, copies, images, -1)  # the last axis: elements of one image
    for place, outer in itertools.product(range(copies), range(lead)):
        copy, filled = layout.copies[place], 0
        threshold = drop_threshold(rate[copy] if isinstance(rate, tuple) else rate)
        for part in rows:
            mask = masks[outer, place, filled : filled + len(part)]
            _draw(mask, seed, copy * lead + outer, part.start, threshold)
            filled += len(part)
    return keep


def _draw(mask: np.ndarray, seed: np.ndarray, stream: int, first: int, threshold: int) -> None:
    """Fills a mask `(images, size)`; its images are number `first` and on of a random stream."""
    size = mask.shape[1]
    words = -(-size // 4)  # 64 bits for four elements

    def draw(_, begin: int, end: int) -> None:
        skipped = stream * _STREAM_LENGTH + (first + begin) * words
        generator = np.random.Generator(np.random.PCG64DXSM(seed).advance(skipped))
        drawn = generator.integers(0, 2**64, (end - begin, words), dtype=np.uint64)
        np.greater_equal(drawn.view(np.uint16)[:, :size], threshold, out=mask[begin:end])

    in_threads(draw, parts(len(mask), size // _LITTLE))


def drop_threshold(rate: float) -> int:
    """Returns how many of the 65,536 equally probable numbers mean that an element is dropped."""
    return min(round(rate * _LEVELS), _LEVELS - 1)


def kept_scale(rate: float) -> float:
    """Returns the factor of kept elements, which leaves the mean as it is."""
    return _LEVELS / (_LEVELS - drop_threshold(rate))
