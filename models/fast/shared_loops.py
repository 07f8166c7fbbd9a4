"""What residual branches are made of: their arguments, products of matrices, and the layers at both
ends.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.fast.blas import sgemm
from models.fast.compiler import Booleans, Floats, Real, compiled
from models.fast.row_loops import (
    add_rows,
    copy_row,
    layer_norm,
    layer_norm_again,
    layer_norm_gradient,
)

_BYTES = 4  # of a number
_ROW_MAJOR, _AS_IS, _TRANSPOSED = np.int32(101), np.int32(111), np.int32(112)  # CBLAS's words
MANY = 256  # rows at a time: what is between the layers of a branch should fit in 2 MB of cache


class Weights(NamedTuple):
    """Parameters of a branch, or gradients for them: of its norm, of the linear layer at its begin
    and at its end.
    """

    norm_weight: Floats  # (D,)
    norm_bias: Floats
    first_weight: Floats  # (D, E)
    first_bias: Floats
    last_weight: Floats  # (F, D)
    last_bias: Floats


class Noise(NamedTuple):
    """What a branch is multiplied by inside, and at its end: nothing or booleans, and a scale of
    each row.
    """

    inner_keep: Booleans
    inner_scale: Floats
    keep: Booleans
    scale: Floats


class Inside(NamedTuple):
    """What a branch keeps for its gradient: of the norm its rows' mean and scale, and what the
    first layer gives.
    """

    mean: Floats  # (B, N), as `scale`
    scale: Floats
    first: Floats  # (B, N, E); nothing: there will be no gradient


@compiled()
def product(a: Floats, b: Floats, scale: float, kept: float, out: Floats) -> None:
    """`out = scale * a @ b + kept * out`; of `out` the last axis is contiguous, of `a` and `b`
    either.
    """
    rows, columns, inner = out.shape[0], out.shape[1], a.shape[1]
    as_is_a, as_is_b = a.strides[1] == _BYTES, b.strides[1] == _BYTES
    next_a, next_b = (a.strides[0 if as_is_a else 1]), (b.strides[0 if as_is_b else 1])
    sgemm(
        _ROW_MAJOR,
        _AS_IS if as_is_a else _TRANSPOSED,
        _AS_IS if as_is_b else _TRANSPOSED,
        np.int32(rows),
        np.int32(columns),
        np.int32(inner),
        Real(scale),
        a.ctypes.data,
        np.int32(max(next_a // _BYTES, inner if as_is_a else rows)),
        b.ctypes.data,
        np.int32(max(next_b // _BYTES, columns if as_is_b else inner)),
        Real(kept),
        out.ctypes.data,
        np.int32(max(out.strides[0] // _BYTES, columns)),
    )


@compiled()
def of_head(x: Floats, heads: int, head: int) -> Floats:
    """Of `(N, D)` the `(N, D / H)` of a head."""
    size = x.shape[1] // heads
    return x[:, head * size : (head + 1) * size]


@compiled()
def part_of_head(x: Floats, part: int, heads: int, head: int) -> Floats:
    """Of `(N, parts * D)` the `(N, D / H)` of a head: of queries, keys, values."""
    return of_head(x, 3 * heads, part * heads + head)


@compiled()
def add_last(x: Floats, for_branch: Floats, sums: Weights) -> None:
    """Add the gradients for the last linear layer, whose input is `x`; matrices only where they are
    asked for.
    """
    add_rows(for_branch, sums.last_bias)
    if sums.last_weight.size:
        product(x.T, for_branch, 1, 1, sums.last_weight)


@compiled()
def norm_linear(
    x: Floats,
    weights: Weights,
    epsilon: np.float32,
    mean: Floats,
    scale: Floats,
    room: Floats,
    out: Floats,
) -> None:
    """The norm of `x` and the first linear layer; `room` is as large as `x`."""
    layer_norm(x, weights.norm_weight, weights.norm_bias, epsilon, mean, scale, room)
    copy_row(weights.first_bias, out)
    product(room, weights.first_weight, 1, 1, out)


@compiled()
def first_gradient(
    x: Floats,
    weights: Weights,
    mean: Floats,
    scale: Floats,
    for_first: Floats,
    room: Floats,
    sums: Weights,
) -> None:
    """Add the gradients for the first linear layer; that for the norm of `x` is in `room`, which is
    as large, then.
    """
    add_rows(for_first, sums.first_bias)
    if sums.first_weight.size:
        layer_norm_again(x, weights.norm_weight, weights.norm_bias, mean, scale, room)
        product(room.T, for_first, 1, 1, sums.first_weight)
    product(for_first, weights.first_weight.T, 1, 0, room)


@compiled()
def norm_gradient(
    x: Floats,
    weights: Weights,
    mean: Floats,
    scale: Floats,
    for_normed: Floats,
    upper: Floats,
    out: Floats,
    sums: Weights,
) -> None:
    """From the gradient of the norm, that for `x`, to which `upper` is added, of the rows that it
    has.
    """
    layer_norm_gradient(
        x,
        weights.norm_weight,
        mean,
        scale,
        for_normed,
        upper,
        out,
        sums.norm_weight,
        sums.norm_bias,
    )


@compiled()
def as_rows(x: Floats) -> Floats:
    """`(B, N, D)` as `(B * N, D)`."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


@compiled()
def images_together(tokens: int, begin: int, end: int) -> int:
    """How many images of few tokens share a product."""
    return min(max(1, MANY // tokens), end - begin)
