"""The branch of an attention whose heads exchange what they found (CaiT), for one image after the
other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.fast.blas import set_own_threads
from models.fast.compiler import Floats, Real, compiled
from models.fast.row_loops import masked, residual, softmax, softmax_gradient, sum_of
from models.fast.shared_loops import (
    Inside,
    Noise,
    Weights,
    add_last,
    first_gradient,
    norm_gradient,
    norm_linear,
    of_head,
    part_of_head,
    product,
)

_QUERIES = 48  # that are looked at together where heads talk


class Talking(NamedTuple):
    """How heads exchange scores and weights (CaiT): `(H, H)` from the old to the new heads, and
    `(H,)`.
    """

    before_weight: Floats  # the softmax
    before_bias: Floats
    after_weight: Floats
    after_bias: Floats


@compiled()
def _mix(x: Floats, weight: Floats, bias: Floats, out: Floats) -> None:
    """New heads `(H, ...)` from old ones, all else in one axis."""
    _copy_column(bias, out)
    product(weight.T, x, 1, 1, out)


@compiled()
def _copy_column(column: Floats, out: Floats) -> None:
    for i in range(out.shape[0]):
        result, value = out[i], column[i]
        for j in range(result.size):
            result[j] = value


@compiled()
def _add_mix(x: Floats, upper: Floats, for_weight: Floats, for_bias: Floats) -> None:
    """Add the gradients for what `_mix` is given."""
    product(x, upper.T, 1, 1, for_weight)
    for i in range(upper.shape[0]):
        for_bias[i] += sum_of(upper[i])


@compiled()
def forward(
    begin: int,
    end: int,
    threads: np.int32,
    x: Floats,
    weights: Weights,
    epsilon: np.float32,
    heads: int,
    factor: np.float32,
    talking: Talking,
    noise: Noise,
    inside: Inside,
    all_attended: Floats,
    all_mixed: Floats,
    out: Floats,
) -> None:
    """The branch of the attention, added to `x`, for images `begin` to `end` of `(B, N, D)`, some
    queries at a time.

    The attention's weights, behind the softmax, are `(B, H, N, N)`.
    """
    before = set_own_threads(threads)
    tokens, width, kept = x.shape[1], x.shape[2], inside.first.size > 0
    size = min(_QUERIES, tokens)
    normed, branch = np.empty((tokens, width), Real), np.empty((tokens, width), Real)
    own_qkv, own_mixed = np.empty((tokens, 3 * width), Real), np.empty((tokens, width), Real)
    own_attended = np.empty((0 if kept else heads, tokens, tokens), Real)
    room, other_room = np.empty(heads * size * tokens, Real), np.empty(heads * size * tokens, Real)
    for i in range(begin, end):
        qkv, mixed = (inside.first[i], all_mixed[i]) if kept else (own_qkv, own_mixed)
        attended = all_attended[i] if kept else own_attended
        flat = attended.reshape(heads, tokens * tokens)
        norm_linear(x[i], weights, epsilon, inside.mean[i], inside.scale[i], normed, qkv)
        for a in range(0, tokens, size):
            b = min(a + size, tokens)
            some = heads * (b - a) * tokens
            scores, talked = room[:some].reshape(heads, -1), other_room[:some].reshape(heads, -1)
            for head in range(heads):
                q, k = part_of_head(qkv, 0, heads, head)[a:b], part_of_head(qkv, 1, heads, head)
                product(q, k.T, factor, 0, scores[head].reshape(b - a, tokens))
            _mix(scores, talking.before_weight, talking.before_bias, talked)
            for head in range(heads):
                softmax(talked[head].reshape(b - a, tokens), attended[head, a:b])
            _mix(flat[:, a * tokens : b * tokens], talking.after_weight, talking.after_bias, talked)
            for head in range(heads):
                found = talked[head].reshape(b - a, tokens)
                if noise.inner_keep.size:
                    used = scores[head].reshape(b - a, tokens)
                    masked(
                        found, noise.inner_keep[head, i, a:b], noise.inner_scale[head, i, a:b], used
                    )
                    found = used
                product(
                    found, part_of_head(qkv, 2, heads, head), 1, 0, of_head(mixed[a:b], heads, head)
                )
        product(mixed, weights.last_weight, 1, 0, branch)
        residual(x[i], branch, weights.last_bias, noise.keep[i], noise.scale[i], out[i])
    set_own_threads(before)


@compiled()
def gradient(
    begin: int,
    end: int,
    threads: np.int32,
    x: Floats,
    weights: Weights,
    heads: int,
    factor: np.float32,
    talking: Talking,
    noise: Noise,
    inside: Inside,
    all_attended: Floats,
    all_mixed: Floats,
    upper: Floats,
    out: Floats,
    sums: Weights,
    for_talking: Talking,
) -> None:
    """The gradient `out` for images `begin` to `end` from `upper`; those for parameters are added
    to the others.
    """
    before = set_own_threads(threads)
    tokens, width = x.shape[1], x.shape[2]
    size = min(_QUERIES, tokens)
    normed = np.empty((tokens, width), Real)
    for_branch, for_mixed = np.empty((tokens, width), Real), np.empty((tokens, width), Real)
    for_qkv = np.empty((tokens, 3 * width), Real)
    rooms = np.empty((4, heads * size * tokens), Real)
    for i in range(begin, end):
        qkv, attended = inside.first[i], all_attended[i]
        flat = attended.reshape(heads, tokens * tokens)
        masked(upper[i], noise.keep[i], noise.scale[i], for_branch)
        add_last(all_mixed[i], for_branch, sums)
        product(for_branch, weights.last_weight.T, 1, 0, for_mixed)
        for a in range(0, tokens, size):
            b, added = min(a + size, tokens), min(a, 1)  # to what the first queries gave
            some = heads * (b - a) * tokens
            first, second = rooms[0, :some].reshape(heads, -1), rooms[1, :some].reshape(heads, -1)
            third, fourth = rooms[2, :some].reshape(heads, -1), rooms[3, :some].reshape(heads, -1)
            own = flat[:, a * tokens : b * tokens]
            _mix(own, talking.after_weight, talking.after_bias, first)
            for head in range(heads):
                v, for_v = part_of_head(qkv, 2, heads, head), part_of_head(for_qkv, 2, heads, head)
                for_head, talked = (
                    of_head(for_mixed[a:b], heads, head),
                    first[head].reshape(b - a, tokens),
                )
                for_talked = second[head].reshape(b - a, tokens)
                if noise.inner_keep.size:
                    keep, scale = noise.inner_keep[head, i, a:b], noise.inner_scale[head, i, a:b]
                    dropped, for_dropped = (
                        third[head].reshape(b - a, tokens),
                        fourth[head].reshape(b - a, tokens),
                    )
                    product(for_head, v.T, 1, 0, for_dropped)
                    masked(talked, keep, scale, dropped)
                    masked(for_dropped, keep, scale, for_talked)
                    product(dropped.T, for_head, 1, added, for_v)
                else:
                    product(for_head, v.T, 1, 0, for_talked)
                    product(talked.T, for_head, 1, added, for_v)
            _add_mix(own, second, for_talking.after_weight, for_talking.after_bias)
            product(talking.after_weight, second, 1, 0, third)
            for head in range(heads):
                for_attended, for_scores = (
                    third[head].reshape(b - a, tokens),
                    fourth[head].reshape(b - a, tokens),
                )
                softmax_gradient(attended[head, a:b], for_attended, for_scores)
                q, k = part_of_head(qkv, 0, heads, head)[a:b], part_of_head(qkv, 1, heads, head)
                product(q, k.T, factor, 0, first[head].reshape(b - a, tokens))
            _add_mix(first, fourth, for_talking.before_weight, for_talking.before_bias)
            product(talking.before_weight, fourth, 1, 0, third)
            for head in range(heads):
                q, k = part_of_head(qkv, 0, heads, head)[a:b], part_of_head(qkv, 1, heads, head)
                for_q, for_k = (
                    part_of_head(for_qkv, 0, heads, head)[a:b],
                    part_of_head(for_qkv, 1, heads, head),
                )
                for_scores = third[head].reshape(b - a, tokens)
                product(for_scores, k, factor, 0, for_q)
                product(for_scores.T, q, factor, added, for_k)
        first_gradient(x[i], weights, inside.mean[i], inside.scale[i], for_qkv, normed, sums)
        norm_gradient(
            x[i], weights, inside.mean[i], inside.scale[i], normed, upper[i], out[i], sums
        )
    set_own_threads(before)
