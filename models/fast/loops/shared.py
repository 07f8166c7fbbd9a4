"""What the loops of all branches share: their arguments, matrix products, first and last layers.

A branch is a norm, a linear layer, something between (the kind of branch), and a linear layer.
"""

from __future__ import annotations

from typing import NamedTuple, Union

import numpy as np

from models.fast.loops.bfloat16 import Halves, operand
from models.fast.loops.blas import Matrix, Shape, multiply
from models.fast.loops.compiler import Booleans, Floats, Real, compiled
from models.fast.loops.rows import (
    add_rows,
    copy_row,
    layer_norm,
    layer_norm_again,
    layer_norm_gradient,
)

Operand = Union[Floats, Halves]
MANY = 256  # rows at a time: what is between the layers of a branch should fit in 2 MB of cache


class Weights(NamedTuple):
    """Parameters of a branch, or the gradients of them: norm, first and last linear layer.

    The matrices of a branch that computes with bfloat16 are `Halves`; its gradients are floats.
    """

    norm_weight: Floats  # (D,)
    norm_bias: Floats  # (D,)
    first_weight: Operand  # (D, E)
    first_bias: Floats  # (E,)
    last_weight: Operand  # (F, D)
    last_bias: Floats  # (D,)


class Noise(NamedTuple):
    """The dropout masks of a branch, each with the scale of each row; no elements: nothing drops.

    The inner one is of the attention weights, or of the hidden values of an MLP.
    """

    inner_keep: Booleans
    inner_scale: Floats
    keep: Booleans  # of the output
    scale: Floats


class Inside(NamedTuple):
    """What a branch keeps for its gradient; only the norm's are written without a gradient."""

    mean: Floats  # (B, N), of the rows that are normalised
    scale: Floats  # (B, N), 1 over the deviation of these rows
    first: Floats  # (B, N, E), output of the first layer; no elements: there will be no gradient
    attended: Floats  # attention weights after the softmax; the shape depends on the kind
    mixed: Floats  # (B, M, D), input of the last layer of an attention


class Branch(NamedTuple):
    """The arguments of a branch that its forward and its gradient loops share.

    An MLP has all images in one axis, `(B * N, D)`, and does not read `heads` and `factor`.
    """

    x: Floats  # (B, N, D)
    weights: Weights
    epsilon: np.float32  # of the norm
    heads: int
    factor: np.float32  # of the attention scores
    extra: NamedTuple | tuple[()]  # arguments that only this kind has
    noise: Noise
    inside: Inside
    threads: np.int32 = np.int32(1)  # of a matrix product


class Normed(NamedTuple):
    """Rows that are normalised, `(rows, D)`, with the mean and the scale of each row."""

    x: Floats
    mean: Floats
    scale: Floats


@compiled()
def product(a: Operand, b: Operand, scale: float, kept: float, out: Floats) -> None:
    """Computes `out = scale * a @ b + kept * out`, where `a` and `b` are of the same type.

    The last axis of `out` is contiguous; of `a` and `b` either axis may be.
    """
    rows, columns, inner = out.shape[0], out.shape[1], a.shape[1]
    as_is_a, as_is_b = a.strides[1] == a.itemsize, b.strides[1] == b.itemsize
    next_a = a.strides[0 if as_is_a else 1] // a.itemsize
    next_b = b.strides[0 if as_is_b else 1] // b.itemsize
    multiply(
        a.itemsize == 2,
        Shape(rows, columns, inner),
        Matrix(a.ctypes.data, max(next_a, inner if as_is_a else rows), as_is_a),
        Matrix(b.ctypes.data, max(next_b, columns if as_is_b else inner), as_is_b),
        Matrix(out.ctypes.data, max(out.strides[0] // out.itemsize, columns), True),
        Real(scale),
        Real(kept),
    )


@compiled()
def of_head(x: Floats, heads: int, head: int) -> Floats:
    """Returns the part `(N, D / H)` of a head from `(N, D)`."""
    size = x.shape[1] // heads
    return x[:, head * size : (head + 1) * size]


@compiled()
def part_of_head(x: Floats, part: int, heads: int, head: int) -> Floats:
    """Returns a head's queries (part 0), keys (1) or values (2), `(N, D / H)` from `(N, 3 * D)`."""
    return of_head(x, 3 * heads, part * heads + head)


@compiled()
def add_last(x: Operand, for_branch: Floats, sums: Weights) -> None:
    """Adds the gradients of the last linear layer, whose input is `x`, to `sums`.

    That of the matrix is left out where `sums` has no elements for it.
    """
    add_rows(for_branch, sums.last_bias)
    if sums.last_weight.size:
        product(x.T, operand(for_branch, x), 1, 1, sums.last_weight)


@compiled()
def norm(rows: Normed, weights: Weights, epsilon: np.float32, out: Floats) -> None:
    """Computes the norm, and writes the mean and the scale of the rows."""
    layer_norm(rows.x, weights.norm_weight, weights.norm_bias, epsilon, rows.mean, rows.scale, out)


@compiled()
def norm_linear(
    rows: Normed, weights: Weights, epsilon: np.float32, room: Floats, out: Floats
) -> None:
    """Computes the norm and the first linear layer; `room` is as large as the rows."""
    norm(rows, weights, epsilon, room)
    copy_row(weights.first_bias, out)
    product(operand(room, weights.first_weight), weights.first_weight, 1, 1, out)


@compiled()
def first_gradient(
    rows: Normed, weights: Weights, for_first: Floats, room: Floats, sums: Weights
) -> None:
    """Adds the gradients of the first linear layer to `sums`; `room` gets that of its input."""
    add_rows(for_first, sums.first_bias)
    upper = operand(for_first, weights.first_weight)
    if sums.first_weight.size:
        layer_norm_again(
            rows.x, weights.norm_weight, weights.norm_bias, rows.mean, rows.scale, room
        )
        product(operand(room, weights.first_weight).T, upper, 1, 1, sums.first_weight)
    product(upper, weights.first_weight.T, 1, 0, room)


@compiled()
def norm_gradient(
    rows: Normed, weights: Weights, for_normed: Floats, upper: Floats, out: Floats, sums: Weights
) -> None:
    """Computes the gradient of the branch's input, and adds those of the norm to `sums`.

    Args:
        rows: the input.
        weights: of the branch.
        for_normed: gradient of the norm's output.
        upper: gradient of the branch's output, which is also one of its input; it may have fewer
            rows.
        out: gets the gradient of the input.
        sums: gradients of the weights.
    """
    weight, for_weight, for_bias = weights.norm_weight, sums.norm_weight, sums.norm_bias
    x, mean, scale = rows
    layer_norm_gradient(x, weight, mean, scale, for_normed, upper, out, for_weight, for_bias)


@compiled()
def as_rows(x: Floats) -> Floats:
    """Returns `(B, N, D)` as `(B * N, D)`."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


@compiled()
def images_together(tokens: int, images: int) -> int:
    """Returns how many of some images with so few tokens share a product."""
    return min(max(1, MANY // tokens), images)
