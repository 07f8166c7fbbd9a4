"""The second form of residual branches: each is one operator with a written gradient, its images
shared by threads.

The loops are in `models/fast/*_loops.py`; this file brings tensors there and back.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from paddle import Tensor

from common.threads import parts
from models.fast import attention_loops, mlp_loops, talking_loops
from models.fast.attention_loops import Windows
from models.fast.shared_loops import Inside, Noise, Weights
from models.fast.talking_loops import Talking
from models.layers.arrays import Mask, view

_PRODUCTS = 16  # that are as much work as an element of other loops


class Given(NamedTuple):
    """What a branch is given beside tensors."""

    kind: type[Loops]
    epsilon: float
    heads: int  # of an MLP 0
    factor: float  # of the scores
    queries: int  # tokens of the output
    inner_scales: tuple[float, ...]  # of the masks, by copies
    scales: tuple[float, ...]
    path: np.ndarray | None  # by what each image's branch is multiplied
    kept: bool  # whether there will be a gradient
    windows: tuple[np.ndarray, np.ndarray] | None = None  # the order of the tokens, and the mask


class Loops:
    """The compiled loops of a kind of branch and their arguments, by images.

    Args:
        x: `(B, N, D)`.
        weights: in the order of `Weights`.
        others: further parameters of the kind.
        masks: of the attention or of the hidden values; of the output.
        kept: what the gradient needs, from `room`; nothing where there will be none.
        given: the rest.
    """

    def __init__(self, x: Tensor, weights, others, masks, kept, given: Given):
        images, tokens = x.shape[:2]
        inner_keep, keep = masks
        self.x, self.weights, self.others, self.given = (
            view(x),
            Weights(*map(view, weights)),
            others,
            given,
        )
        rows, inner = (images, given.queries), self.inner_rows(images, tokens)
        scales = _scales(keep, given.scales, rows)
        if given.path is not None:
            scales *= given.path[:, np.newaxis]
        inner_scales = _scales(inner_keep, given.inner_scales, inner)
        self.noise = Noise(_keep(inner_keep, inner), inner_scales, _keep(keep, rows), scales)
        mean, scale, first, *attention = map(view, kept) if kept else _not_kept(images, tokens)
        self.inside, self.attention = Inside(mean, scale, first), attention

    @functools.cached_property
    def bounds(self) -> list[tuple[int, int]]:
        """Begin and end of each thread's part."""
        return parts(len(self.x), self._work())

    @functools.cached_property
    def threads(self) -> np.int32:
        """How many threads the products of a part may have: several where much work is of few
        images.
        """
        return np.int32(max(1, len(parts(len(self.x) * self._work(), 1)) // len(self.bounds)))

    def heads(self) -> tuple[int, np.float32]:
        """Their number, and the factor of their scores."""
        return self.given.heads, np.float32(self.given.factor)

    def _work(self) -> int:
        """Of an image, as many elements of other loops would be."""
        return self.x[0].size * len(self.weights.first_bias) // _PRODUCTS

    def inner_rows(self, images: int, tokens: int) -> tuple[int, ...]:
        """Shape of the inner mask, the last axis left out."""
        raise NotImplementedError

    @staticmethod
    def room(x: Tensor, weights: list[Tensor], given: Given) -> list[list[int]]:
        """Shapes of what the gradient needs: the fields of `Inside`, the attention's weights, and
        what they mix.
        """
        images, tokens = x.shape[:2]
        return [[images, tokens], [images, tokens], [images, tokens, weights[2].shape[1]]]

    def run(self, begin: int, end: int, out: np.ndarray) -> None:
        """Compute part of the output `(B, M, D)`."""
        raise NotImplementedError

    def run_gradient(
        self, begin: int, end: int, upper: np.ndarray, out: np.ndarray, sums: list[np.ndarray]
    ) -> None:
        """Compute part of the gradient `out`, and add those for weights and others to `sums`."""
        raise NotImplementedError


class MlpLoops(Loops):
    """By rows, not by images."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.x, self.noise, self.inside = (
            _flat(self.x),
            Noise(*map(_flat, self.noise)),
            Inside(*map(_flat, self.inside)),
        )

    def inner_rows(self, images: int, tokens: int) -> tuple[int, ...]:
        return images, tokens

    def run(self, begin, end, out):
        epsilon = np.float32(self.given.epsilon)
        mlp_loops.forward(
            begin,
            end,
            self.threads,
            self.x,
            self.weights,
            epsilon,
            self.noise,
            self.inside,
            _flat(out),
        )

    def run_gradient(self, begin, end, upper, out, sums):
        arguments = (
            self.x,
            self.weights,
            self.noise,
            self.inside,
            _flat(upper),
            _flat(out),
            Weights(*sums),
        )
        mlp_loops.gradient(begin, end, self.threads, *arguments)


class AttentionLoops(Loops):
    """Of all tokens, or of those of each window."""

    def __init__(self, x, *arguments):
        super().__init__(x, *arguments)
        heads = self.given.heads
        order, mask = self.given.windows or (np.empty(0, np.int64), np.empty((0, 0, 0), np.float32))
        bias = view(self.others[0]) if self.others else np.empty((heads, 0, 0), np.float32)
        self.windows = Windows(order, bias, mask)

    def inner_rows(self, images: int, tokens: int) -> tuple[int, ...]:
        length = self.others[0].shape[-1] if self.others else tokens
        return self.given.heads, images * tokens // length, min(length, self.given.queries)

    @staticmethod
    def room(x, weights, given):
        images, tokens, width = x.shape
        length = given.windows[1].shape[-1] if given.windows else tokens
        windows = tokens // length
        attended = [given.heads, images * windows, given.queries // windows, length]
        return [*Loops.room(x, weights, given), attended, [images, given.queries, width]]

    def run(self, begin, end, out):
        common = (
            begin,
            end,
            self.threads,
            self.x,
            self.weights,
            np.float32(self.given.epsilon),
            *self.heads(),
        )
        attention_loops.forward(
            *common, self.windows, self.noise, self.inside, *self.attention, out
        )

    def run_gradient(self, begin, end, upper, out, sums):
        common = begin, end, self.threads, self.x, self.weights, *self.heads()
        for_bias = sums[6] if self.others else np.empty((0, 0, 0), np.float32)
        others = self.windows, self.noise, self.inside, *self.attention
        attention_loops.gradient(*common, *others, upper, out, Weights(*sums[:6]), for_bias)


class TalkingLoops(Loops):
    """With heads that exchange what they found."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.talking = Talking(*map(view, self.others))

    def inner_rows(self, images: int, tokens: int) -> tuple[int, ...]:
        return self.given.heads, images, tokens

    @staticmethod
    def room(x, weights, given):
        images, tokens, width = x.shape
        return [
            *Loops.room(x, weights, given),
            [images, given.heads, tokens, tokens],
            [images, tokens, width],
        ]

    def run(self, begin, end, out):
        common = (
            begin,
            end,
            self.threads,
            self.x,
            self.weights,
            np.float32(self.given.epsilon),
            *self.heads(),
        )
        talking_loops.forward(*common, self.talking, self.noise, self.inside, *self.attention, out)

    def run_gradient(self, begin, end, upper, out, sums):
        common = begin, end, self.threads, self.x, self.weights, *self.heads()
        others = self.talking, self.noise, self.inside, *self.attention
        sums = Weights(*sums[:6]), Talking(*sums[6:])
        talking_loops.gradient(*common, *others, upper, out, *sums)


def _keep(mask: Tensor | None, rows: tuple[int, ...]) -> np.ndarray:
    return np.empty((*rows, 0), np.bool_) if mask is None else view(mask).reshape(*rows, -1)


def _scales(mask: Tensor | None, scales: tuple[float, ...], rows: tuple[int, ...]) -> np.ndarray:
    return (
        np.ones(rows, np.float32) if mask is None else Mask(mask, scales).row_scales().reshape(rows)
    )


def _flat(array: np.ndarray) -> np.ndarray:
    """The first two axes as one."""
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])


def _not_kept(images: int, tokens: int) -> list[np.ndarray]:
    """What there is in the place of `room`: numbers that are always written, and nothing else."""
    shapes = (images, tokens), (images, tokens), (images, tokens, 0), (0, 0, 0, 0), (0, 0, 0)
    return [np.empty(shape, np.float32) for shape in shapes]
