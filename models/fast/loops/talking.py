"""Compiled loops of the branch of an attention whose heads exchange what they found (CaiT)."""

from typing import NamedTuple

import numpy as np

from models.fast.loops.activations import softmax, softmax_gradient
from models.fast.loops.bfloat16 import operand
from models.fast.loops.blas import reset_own_threads, set_own_threads
from models.fast.loops.compiler import Floats, Real, compiled
from models.fast.loops.rows import masked, residual, sum_of
from models.fast.loops.shared import (
    Branch,
    Normed,
    Operand,
    Weights,
    add_last,
    first_gradient,
    norm_gradient,
    norm_linear,
    of_head,
    part_of_head,
    product,
)

_QUERIES = 48  # that are looked at together


class Talking(NamedTuple):
    """How heads exchange scores and weights: `(H, H)` from the old to the new heads, and `(H,)`."""

    before_weight: Floats  # before the softmax
    before_bias: Floats
    after_weight: Floats  # after the softmax
    after_bias: Floats


@compiled()
def _mix(x: Floats, weight: Floats, bias: Floats, out: Floats) -> None:
    """Computes the new heads from the old ones, both `(H, ...)` with all else in one axis."""
    for i in range(out.shape[0]):
        result, value = out[i], bias[i]
        for j in range(result.size):
            result[j] = value
    product(weight.T, x, 1, 1, out)


@compiled()
def _add_mix(x: Floats, upper: Floats, for_weight: Floats, for_bias: Floats) -> None:
    """Adds the gradients of the arguments of `_mix`."""
    product(x, upper.T, 1, 1, for_weight)
    for i in range(upper.shape[0]):
        for_bias[i] += sum_of(upper[i])


@compiled()
def _flat(maps: Floats) -> Floats:
    """Returns `(H, M, N)` as `(H, M * N)`."""
    return maps.reshape(maps.shape[0], maps.shape[1] * maps.shape[2])


@compiled()
def _attend(
    branch: Branch, image: int, a: int, qkv: Operand, attended: Floats, rooms: Floats, mixed: Floats
) -> None:
    """Computes what the heads of some queries mix.

    Args:
        branch: of the attention.
        image: its number.
        a: number of the first query.
        qkv: of all tokens of the image, `(N, 3 * D)`.
        attended: `(H, N, N)`; gets the attention weights of these queries.
        rooms: `(2, H, M, N)`, to be written.
        mixed: gets the result, `(M, D)`.
    """
    heads, talking, noise = branch.heads, branch.extra, branch.noise
    scores, talked, tokens, b = rooms[0], rooms[1], qkv.shape[0], a + mixed.shape[0]
    for head in range(heads):
        q, k = part_of_head(qkv, 0, heads, head)[a:b], part_of_head(qkv, 1, heads, head)
        product(q, k.T, branch.factor, 0, scores[head])
    _mix(_flat(scores), talking.before_weight, talking.before_bias, _flat(talked))
    for head in range(heads):
        softmax(talked[head], attended[head, a:b])
    own = _flat(attended)[:, a * tokens : b * tokens]
    _mix(own, talking.after_weight, talking.after_bias, _flat(talked))
    for head in range(heads):
        found = talked[head]
        if noise.inner_keep.size:
            keep, scale = noise.inner_keep[head, image, a:b], noise.inner_scale[head, image, a:b]
            masked(found, keep, scale, scores[head])
            found = scores[head]
        values = part_of_head(qkv, 2, heads, head)
        product(operand(found, values), values, 1, 0, of_head(mixed, heads, head))


@compiled()
def forward(begin: int, end: int, branch: Branch, out: Floats) -> None:
    """Computes the output `(B, N, D)` of images `begin` to `end`, some queries at a time.

    The attention weights, behind the softmax, are `(B, H, N, N)`.
    """
    before = set_own_threads(branch.threads)
    x, weights, heads = branch.x, branch.weights, branch.heads
    noise, inside = branch.noise, branch.inside
    tokens, width, kept = x.shape[1], x.shape[2], inside.first.size > 0
    matrix = weights.last_weight
    size = min(_QUERIES, tokens)
    normed, last = np.empty((tokens, width), Real), np.empty((tokens, width), Real)
    own_qkv, own_mixed = np.empty((tokens, 3 * width), Real), np.empty((tokens, width), Real)
    own_attended = np.empty((0 if kept else heads, tokens, tokens), Real)
    room = np.empty(2 * heads * size * tokens, Real)
    for i in range(begin, end):
        qkv, mixed = (inside.first[i], inside.mixed[i]) if kept else (own_qkv, own_mixed)
        attended = inside.attended[i] if kept else own_attended
        rows = Normed(x[i], inside.mean[i], inside.scale[i])
        norm_linear(rows, weights, branch.epsilon, normed, qkv)
        own = operand(qkv, matrix)
        for a in range(0, tokens, size):
            b = min(a + size, tokens)
            rooms = room[: 2 * heads * (b - a) * tokens].reshape(2, heads, b - a, tokens)
            _attend(branch, i, a, own, attended, rooms, mixed[a:b])
        product(operand(mixed, matrix), matrix, 1, 0, last)
        residual(x[i], last, weights.last_bias, noise.keep[i], noise.scale[i], out[i])
    reset_own_threads(before)


@compiled()
def _values_gradient(
    branch: Branch,
    image: int,
    a: int,
    qkv: Operand,
    for_mixed: Operand,
    rooms: Floats,
    for_qkv: Floats,
    sums: Talking,
) -> None:
    """Computes the gradients of what follows the softmax, for some queries.

    Args:
        branch: of the attention.
        image: its number.
        a: number of the first query.
        qkv: of all tokens of the image, `(N, 3 * D)`.
        for_mixed: gradient of what they mix, `(M, D)`.
        rooms: `(4, H, M, N)`, to be written. The third gets the gradient of the attention weights.
        for_qkv: `(N, 3 * D)`; the first queries write the gradient of the values, later ones add.
        sums: the gradients of the second exchange are added to it.
    """
    heads, talking, noise = branch.heads, branch.extra, branch.noise
    tokens, b = for_qkv.shape[0], a + rooms.shape[2]
    added = min(a, 1)  # 1: the gradients of keys and values are added to those of earlier queries
    own = _flat(branch.inside.attended[image])[:, a * tokens : b * tokens]
    _mix(own, talking.after_weight, talking.after_bias, _flat(rooms[0]))
    for head in range(heads):
        v, for_v = part_of_head(qkv, 2, heads, head), part_of_head(for_qkv, 2, heads, head)
        for_head, talked, for_talked = (
            of_head(for_mixed, heads, head),
            rooms[0, head],
            rooms[1, head],
        )
        if noise.inner_keep.size:
            keep, scale = noise.inner_keep[head, image, a:b], noise.inner_scale[head, image, a:b]
            dropped, for_dropped = rooms[2, head], rooms[3, head]
            product(for_head, v.T, 1, 0, for_dropped)
            masked(talked, keep, scale, dropped)
            masked(for_dropped, keep, scale, for_talked)
            product(operand(dropped, v).T, for_head, 1, added, for_v)
        else:
            product(for_head, v.T, 1, 0, for_talked)
            product(operand(talked, v).T, for_head, 1, added, for_v)
    _add_mix(own, _flat(rooms[1]), sums.after_weight, sums.after_bias)
    product(talking.after_weight, _flat(rooms[1]), 1, 0, _flat(rooms[2]))


@compiled()
def _scores_gradient(
    branch: Branch,
    image: int,
    a: int,
    qkv: Operand,
    rooms: Floats,
    for_qkv: Floats,
    sums: Talking,
) -> None:
    """Computes the gradients of the softmax and what precedes it, for some queries.

    Args:
        branch: of the attention.
        image: its number.
        a: number of the first query.
        qkv: of all tokens of the image, `(N, 3 * D)`.
        rooms: `(4, H, M, N)`, as `_values_gradient` leaves them; to be written.
        for_qkv: `(N, 3 * D)`; gets the gradient of the queries. The first queries write the
            gradient of the keys, later ones add.
        sums: the gradients of the first exchange are added to it.
    """
    heads, talking, factor = branch.heads, branch.extra, branch.factor
    attended, added, b = branch.inside.attended[image], min(a, 1), a + rooms.shape[2]
    for head in range(heads):
        softmax_gradient(attended[head, a:b], rooms[2, head], rooms[3, head])
        q, k = part_of_head(qkv, 0, heads, head)[a:b], part_of_head(qkv, 1, heads, head)
        product(q, k.T, factor, 0, rooms[0, head])
    _add_mix(_flat(rooms[0]), _flat(rooms[3]), sums.before_weight, sums.before_bias)
    product(talking.before_weight, _flat(rooms[3]), 1, 0, _flat(rooms[2]))
    for head in range(heads):
        q, k = part_of_head(qkv, 0, heads, head)[a:b], part_of_head(qkv, 1, heads, head)
        for_q, for_k = part_of_head(for_qkv, 0, heads, head), part_of_head(for_qkv, 1, heads, head)
        for_scores = operand(rooms[2, head], k)
        product(for_scores, k, factor, 0, for_q[a:b])
        product(for_scores.T, q, factor, added, for_k)


@compiled()
def gradient(
    begin: int,
    end: int,
    branch: Branch,
    upper: Floats,
    out: Floats,
    sums: Weights,
    extra_sums: Talking,
) -> None:
    """Computes images `begin` to `end` of the gradient `out`; adds those of parameters to the sums.

    Args:
        begin: first image.
        end: behind the last image.
        branch: as in `forward`.
        upper: gradient of the output, `(B, N, D)`.
        out: gets the gradient of the input, `(B, N, D)`.
        sums: of the weights' gradients.
        extra_sums: of the gradients of both exchanges.
    """
    before = set_own_threads(branch.threads)
    x, weights, heads = branch.x, branch.weights, branch.heads
    noise, inside = branch.noise, branch.inside
    tokens, width, matrix = x.shape[1], x.shape[2], weights.last_weight
    size = min(_QUERIES, tokens)
    normed, for_qkv = np.empty((tokens, width), Real), np.empty((tokens, 3 * width), Real)
    for_last, for_mixed = np.empty((tokens, width), Real), np.empty((tokens, width), Real)
    room = np.empty(4 * heads * size * tokens, Real)
    for i in range(begin, end):
        masked(upper[i], noise.keep[i], noise.scale[i], for_last)
        add_last(operand(inside.mixed[i], matrix), for_last, sums)
        product(operand(for_last, matrix), matrix.T, 1, 0, for_mixed)
        qkv, given = operand(inside.first[i], matrix), operand(for_mixed, matrix)
        for a in range(0, tokens, size):
            b = min(a + size, tokens)
            rooms = room[: 4 * heads * (b - a) * tokens].reshape(4, heads, b - a, tokens)
            _values_gradient(branch, i, a, qkv, given[a:b], rooms, for_qkv, extra_sums)
            _scores_gradient(branch, i, a, qkv, rooms, for_qkv, extra_sums)
        rows = Normed(x[i], inside.mean[i], inside.scale[i])
        first_gradient(rows, weights, for_qkv, normed, sums)
        norm_gradient(rows, weights, normed, upper[i], out[i], sums)
    reset_own_threads(before)
