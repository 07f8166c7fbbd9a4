"""The branch of the attention, of all tokens or of those of each window (Swin), for one image after
the other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.fast.blas import set_own_threads
from models.fast.compiler import Floats, Order, Real, compiled
from models.fast.row_loops import add, masked, residual, softmax, softmax_gradient
from models.fast.shared_loops import (
    Inside,
    Noise,
    Weights,
    add_last,
    as_rows,
    first_gradient,
    images_together,
    norm_gradient,
    norm_linear,
    of_head,
    part_of_head,
    product,
)


class Windows(NamedTuple):
    """Parts of the tokens that attend to themselves alone, W of L tokens each (Swin); nothing for
    one of them all.
    """

    order: Order  # (W * L,): where each token of the windows is among all
    bias: Floats  # (H, L, L), added to the scores
    mask: Floats  # (W, L, L), likewise, or nothing


@compiled()
def _taken(x: Floats, order: Order, out: Floats) -> None:
    """Rows in another order."""
    for i in range(order.size):
        row, result = x[order[i]], out[i]
        for j in range(row.size):
            result[j] = row[j]


@compiled()
def _put_back(x: Floats, order: Order, out: Floats) -> None:
    """The reverse of it."""
    for i in range(order.size):
        row, result = x[i], out[order[i]]
        for j in range(row.size):
            result[j] = row[j]


@compiled()
def _qkv(x: Floats, queries: int, heads: int, head: int) -> tuple[Floats, Floats, Floats]:
    """Of `(N, 3 * D)` a head's queries, of which there are fewer, keys and values."""
    q, k, v = (
        part_of_head(x, 0, heads, head),
        part_of_head(x, 1, heads, head),
        part_of_head(x, 2, heads, head),
    )
    return q[:queries], k, v


@compiled()
def _scores(
    q: Floats, k: Floats, windows: Windows, window: int, head: int, factor: np.float32, out: Floats
) -> None:
    """What softmax is taken of: `(M, L)`."""
    if windows.order.size == 0:
        product(q, k.T, factor, 0, out)
        return
    for i in range(out.shape[0]):
        row, result = windows.bias[head, i], out[i]
        if windows.mask.size:
            masks = windows.mask[window, i]
            for j in range(row.size):
                result[j] = row[j] + masks[j]
        else:
            for j in range(row.size):
                result[j] = row[j]
    product(q, k.T, factor, 1, out)


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
    windows: Windows,
    noise: Noise,
    inside: Inside,
    all_attended: Floats,
    all_mixed: Floats,
    out: Floats,
) -> None:
    """The branch of the attention, added to `x`, for images `begin` to `end` of `(B, N, D)`.

    Without windows, `out` may have fewer tokens, `(B, M, D)`: then only the first M attend, to all
    of them. The attention's weights, `(H, B * W, M, L)`, and what they mix, `(B, M, D)`, are kept
    where `inside` is.
    """
    before = set_own_threads(threads)
    tokens, width, queries = x.shape[1], x.shape[2], out.shape[1]
    length, kept, ordered = (
        windows.bias.shape[1] or tokens,
        inside.first.size > 0,
        windows.order.size > 0,
    )
    parts, asked, size = tokens // length, min(length, queries), images_together(tokens, begin, end)
    room, taken = (
        np.empty((size, tokens, width), Real),
        np.empty((size if ordered else 0, tokens, width), Real),
    )
    branch, own_mixed = (
        np.empty((size, queries, width), Real),
        np.empty((size, queries, width), Real),
    )
    own_qkv, given = (
        np.empty((size, tokens, 3 * width), Real),
        np.empty((queries if ordered else 0, width), Real),
    )
    scores, own_attended = np.empty((asked, length), Real), np.empty((asked, length), Real)
    for a in range(begin, end, size):
        b = min(a + size, end)
        if ordered:
            for i in range(a, b):
                _taken(x[i], windows.order, taken[i - a])
        own = taken[: b - a] if ordered else x[a:b]
        qkv, mixed = (
            (inside.first[a:b], all_mixed[a:b]) if kept else (own_qkv[: b - a], own_mixed[: b - a])
        )
        mean, scale = inside.mean[a:b].reshape(-1), inside.scale[a:b].reshape(-1)
        norm_linear(
            as_rows(own), weights, epsilon, mean, scale, as_rows(room[: b - a]), as_rows(qkv)
        )
        for place in range(a * parts, b * parts):
            i, window = place // parts - a, place % parts
            rows = qkv[i, window * length : (window + 1) * length]
            target = mixed[i, window * asked : (window + 1) * asked]
            for head in range(heads):
                q, k, v = _qkv(rows, asked, heads, head)
                attended = all_attended[head, place] if kept else own_attended
                _scores(q, k, windows, window, head, factor, scores)
                softmax(scores, attended)
                if noise.inner_keep.size:
                    masked(
                        attended,
                        noise.inner_keep[head, place],
                        noise.inner_scale[head, place],
                        scores,
                    )
                    attended = scores
                product(attended, v, 1, 0, of_head(target, heads, head))
        product(as_rows(mixed), weights.last_weight, 1, 0, as_rows(branch[: b - a]))
        for i in range(a, b):
            result = given if ordered else out[i]
            residual(
                own[i - a], branch[i - a], weights.last_bias, noise.keep[i], noise.scale[i], result
            )
            if ordered:
                _put_back(given, windows.order, out[i])
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
    windows: Windows,
    noise: Noise,
    inside: Inside,
    all_attended: Floats,
    all_mixed: Floats,
    upper: Floats,
    out: Floats,
    sums: Weights,
    for_bias: Floats,
) -> None:
    """The gradient `out` for images `begin` to `end` from `upper`; those for parameters are added
    to the others.
    """
    before = set_own_threads(threads)
    tokens, width, queries = x.shape[1], x.shape[2], upper.shape[1]
    length, ordered = windows.bias.shape[1] or tokens, windows.order.size > 0
    parts, asked, size = tokens // length, min(length, queries), images_together(tokens, begin, end)
    room, apart = np.empty((size, tokens, width), Real), size if ordered else 0
    taken, taken_upper = (
        np.empty((apart, tokens, width), Real),
        np.empty((apart, tokens, width), Real),
    )
    for_branch, for_mixed = (
        np.empty((size, queries, width), Real),
        np.empty((size, queries, width), Real),
    )
    dropped, for_dropped = np.empty((asked, length), Real), np.empty((asked, length), Real)
    for_attended, for_scores = np.empty((asked, length), Real), np.empty((asked, length), Real)
    for_qkv, given = (
        np.zeros((size, tokens, 3 * width), Real),
        np.empty((tokens if ordered else 0, width), Real),
    )
    for a in range(begin, end, size):
        b = min(a + size, end)
        if ordered:
            for i in range(a, b):
                _taken(x[i], windows.order, taken[i - a])
                _taken(upper[i], windows.order, taken_upper[i - a])
        own, up = (taken[: b - a], taken_upper[: b - a]) if ordered else (x[a:b], upper[a:b])
        for i in range(a, b):
            masked(up[i - a], noise.keep[i], noise.scale[i], for_branch[i - a])
        add_last(as_rows(all_mixed[a:b]), as_rows(for_branch[: b - a]), sums)
        product(
            as_rows(for_branch[: b - a]), weights.last_weight.T, 1, 0, as_rows(for_mixed[: b - a])
        )
        for place in range(a * parts, b * parts):
            i, window = place // parts - a, place % parts
            rows = inside.first[a + i, window * length : (window + 1) * length]
            for_rows = for_qkv[i, window * length : (window + 1) * length]
            for_target = for_mixed[i, window * asked : (window + 1) * asked]
            for head in range(heads):
                q, k, v = _qkv(rows, asked, heads, head)
                for_q, for_k, for_v = _qkv(for_rows, asked, heads, head)
                for_head, attended = of_head(for_target, heads, head), all_attended[head, place]
                if noise.inner_keep.size:
                    keep, scale = noise.inner_keep[head, place], noise.inner_scale[head, place]
                    product(for_head, v.T, 1, 0, for_dropped)
                    masked(attended, keep, scale, dropped)
                    masked(for_dropped, keep, scale, for_attended)
                    product(dropped.T, for_head, 1, 0, for_v)
                else:
                    product(for_head, v.T, 1, 0, for_attended)
                    product(attended.T, for_head, 1, 0, for_v)
                softmax_gradient(attended, for_attended, for_scores)
                if for_bias.size:
                    add(for_scores, for_bias[head])
                product(for_scores, k, factor, 0, for_q)
                product(for_scores.T, q, factor, 0, for_k)
        mean, deviation = inside.mean[a:b].reshape(-1), inside.scale[a:b].reshape(-1)
        first_gradient(
            as_rows(own),
            weights,
            mean,
            deviation,
            as_rows(for_qkv[: b - a]),
            as_rows(room[: b - a]),
            sums,
        )
        for i in range(a, b):
            result = given if ordered else out[i]
            norm_gradient(
                own[i - a],
                weights,
                inside.mean[i],
                inside.scale[i],
                room[i - a],
                up[i - a],
                result,
                sums,
            )
            if ordered:
                _put_back(given, windows.order, out[i])
    set_own_threads(before)
