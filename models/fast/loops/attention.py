"""Compiled loops of the branch of an attention: of all tokens, or of each window's (Swin)."""

from typing import NamedTuple

import numpy as np

from models.fast.loops.activations import softmax, softmax_gradient
from models.fast.loops.bfloat16 import operand
from models.fast.loops.blas import reset_own_threads, set_own_threads
from models.fast.loops.compiler import Floats, Order, Real, compiled
from models.fast.loops.rows import add, masked, residual
from models.fast.loops.shared import (
    Branch,
    Normed,
    Operand,
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
    """W windows of L tokens each; a token attends to those of its window only (Swin).

    No elements: all tokens attend to each other.
    """

    order: Order  # (W * L,): where each token of the windows is among all tokens
    inverse: Order  # (W * L,): where each token is among those of the windows
    bias: Floats  # (H, L, L), added to the scores
    mask: Floats  # (W, L, L), added to the scores; or no elements


@compiled()
def _gather(x: Floats, order: Order, out: Floats) -> None:
    """Copies rows into another order."""
    for i in range(order.size):
        row, result = x[order[i]], out[i]
        for j in range(row.size):
            result[j] = row[j]


@compiled()
def _qkv(x: Operand, queries: int, heads: int, head: int) -> tuple[Operand, Operand, Operand]:
    """Returns a head's first queries, its keys and its values from `(L, 3 * D)`."""
    q, k = part_of_head(x, 0, heads, head), part_of_head(x, 1, heads, head)
    return q[:queries], k, part_of_head(x, 2, heads, head)


@compiled()
def _scores(
    q: Operand,
    k: Operand,
    windows: Windows,
    window: int,
    head: int,
    factor: np.float32,
    out: Floats,
) -> None:
    """Computes the arguments `(M, L)` of the softmax."""
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
def _attend(
    branch: Branch, place: int, window: int, qkv: Operand, rooms: Floats, mixed: Floats
) -> None:
    """Computes what the attention of one window mixes, for all heads.

    Args:
        branch: of the attention.
        place: of the window among those of all images.
        window: its number in the image.
        qkv: `(L, 3 * D)`.
        rooms: `(2, M, L)`, to be written.
        mixed: gets the result, `(M, D)`.
    """
    heads, noise, inside = branch.heads, branch.noise, branch.inside
    scores = rooms[0]
    for head in range(heads):
        q, k, v = _qkv(qkv, mixed.shape[0], heads, head)
        attended = inside.attended[head, place] if inside.first.size else rooms[1]
        _scores(q, k, branch.extra, window, head, branch.factor, scores)
        softmax(scores, attended)
        if noise.inner_keep.size:
            keep, scale = noise.inner_keep[head, place], noise.inner_scale[head, place]
            masked(attended, keep, scale, scores)
            attended = scores
        product(operand(attended, v), v, 1, 0, of_head(mixed, heads, head))


@compiled()
def forward(begin: int, end: int, branch: Branch, out: Floats) -> None:
    """Computes the output `(B, M, D)` of images `begin` to `end`.

    Without windows it may have fewer tokens than the input: only the first M tokens then attend, to
    all of them. The attention weights are `(H, B, M, N)`, with windows `(H, B * W, L, L)`.
    """
    before = set_own_threads(branch.threads)
    x, weights, windows = branch.x, branch.weights, branch.extra
    noise, inside = branch.noise, branch.inside
    tokens, width, queries = x.shape[1], x.shape[2], out.shape[1]
    matrix, kept, ordered = weights.last_weight, inside.first.size > 0, windows.order.size > 0
    length = windows.bias.shape[1] or tokens
    parts, asked = tokens // length, min(length, queries)
    size = images_together(tokens, end - begin)
    room = np.empty((size, tokens, width), Real)
    taken = np.empty((size if ordered else 0, tokens, width), Real)
    own_qkv = np.empty((size, tokens, 3 * width), Real)
    shape = (size, queries, width)
    own_mixed, all_last = np.empty(shape, Real), np.empty(shape, Real)
    rooms = np.empty((2, asked, length), Real)
    given = np.empty((queries if ordered else 0, width), Real)
    for a in range(begin, end, size):
        b = min(a + size, end)
        for i in range(a, b if ordered else a):
            _gather(x[i], windows.order, taken[i - a])
        own = taken[: b - a] if ordered else x[a:b]
        qkv = inside.first[a:b] if kept else own_qkv[: b - a]
        mixed = inside.mixed[a:b] if kept else own_mixed[: b - a]
        mean, scale = inside.mean[a:b].reshape(-1), inside.scale[a:b].reshape(-1)
        rows = Normed(as_rows(own), mean, scale)
        norm_linear(rows, weights, branch.epsilon, as_rows(room[: b - a]), as_rows(qkv))
        for place in range(a * parts, b * parts):
            i, window = place // parts - a, place % parts
            own_rows = operand(qkv[i, window * length : (window + 1) * length], matrix)
            target = mixed[i, window * asked : (window + 1) * asked]
            _attend(branch, place, window, own_rows, rooms, target)
        last = all_last[: b - a]
        product(operand(as_rows(mixed), matrix), matrix, 1, 0, as_rows(last))
        for i in range(a, b):
            result, keep, scale = given if ordered else out[i], noise.keep[i], noise.scale[i]
            residual(own[i - a], last[i - a], weights.last_bias, keep, scale, result)
            if ordered:
                _gather(given, windows.inverse, out[i])
    reset_own_threads(before)


@compiled()
def _attend_gradient(
    branch: Branch,
    place: int,
    qkv: Operand,
    for_mixed: Operand,
    rooms: Floats,
    for_qkv: Floats,
    for_bias: Floats,
) -> None:
    """Computes the gradients of `_attend` for one window.

    Args:
        branch: of the attention.
        place: of the window among those of all images.
        qkv: `(L, 3 * D)`.
        for_mixed: gradient of the result, `(M, D)`.
        rooms: `(4, M, L)`, to be written.
        for_qkv: gets the gradient of `qkv`.
        for_bias: the gradient of the bias is added to it; no elements: there is no bias.
    """
    heads, factor, noise = branch.heads, branch.factor, branch.noise
    dropped, for_dropped, for_attended, for_scores = rooms[0], rooms[1], rooms[2], rooms[3]
    for head in range(heads):
        q, k, v = _qkv(qkv, for_mixed.shape[0], heads, head)
        for_q, for_k, for_v = _qkv(for_qkv, for_mixed.shape[0], heads, head)
        for_head, attended = of_head(for_mixed, heads, head), branch.inside.attended[head, place]
        if noise.inner_keep.size:
            keep, scale = noise.inner_keep[head, place], noise.inner_scale[head, place]
            product(for_head, v.T, 1, 0, for_dropped)
            masked(attended, keep, scale, dropped)
            masked(for_dropped, keep, scale, for_attended)
            product(operand(dropped, v).T, for_head, 1, 0, for_v)
        else:
            product(for_head, v.T, 1, 0, for_attended)
            product(operand(attended, v).T, for_head, 1, 0, for_v)
        softmax_gradient(attended, for_attended, for_scores)
        if for_bias.size:
            add(for_scores, for_bias[head])
        upper = operand(for_scores, k)
        product(upper, k, factor, 0, for_q)
        product(upper.T, q, factor, 0, for_k)


@compiled()
def gradient(
    begin: int,
    end: int,
    branch: Branch,
    upper: Floats,
    out: Floats,
    sums: Weights,
    for_bias: Floats,
) -> None:
    """Computes images `begin` to `end` of the gradient `out`; adds those of parameters to the sums.

    Args:
        begin: first image.
        end: behind the last image.
        branch: as in `forward`.
        upper: gradient of the output, `(B, M, D)`.
        out: gets the gradient of the input, `(B, N, D)`.
        sums: of the weights' gradients.
        for_bias: sum of the gradients of the windows' bias, `(H, L, L)`; or no elements.
    """
    before = set_own_threads(branch.threads)
    x, weights, windows = branch.x, branch.weights, branch.extra
    noise, inside = branch.noise, branch.inside
    tokens, width, queries = x.shape[1], x.shape[2], upper.shape[1]
    length, ordered = windows.bias.shape[1] or tokens, windows.order.size > 0
    parts, asked = tokens // length, min(length, queries)
    size = images_together(tokens, end - begin)
    room, matrix = np.empty((size, tokens, width), Real), weights.last_weight
    apart, shape = (size if ordered else 0, tokens, width), (size, queries, width)
    taken, taken_upper = np.empty(apart, Real), np.empty(apart, Real)
    all_for_last, all_for_mixed = np.empty(shape, Real), np.empty(shape, Real)
    rooms = np.empty((4, asked, length), Real)
    for_qkv = np.zeros((size, tokens, 3 * width), Real)
    given = np.empty((tokens if ordered else 0, width), Real)
    for a in range(begin, end, size):
        b = min(a + size, end)
        for i in range(a, b if ordered else a):
            _gather(x[i], windows.order, taken[i - a])
            _gather(upper[i], windows.order, taken_upper[i - a])
        own, up = (taken[: b - a], taken_upper[: b - a]) if ordered else (x[a:b], upper[a:b])
        for_last, for_mixed = all_for_last[: b - a], all_for_mixed[: b - a]
        for i in range(a, b):
            masked(up[i - a], noise.keep[i], noise.scale[i], for_last[i - a])
        add_last(operand(as_rows(inside.mixed[a:b]), matrix), as_rows(for_last), sums)
        product(operand(as_rows(for_last), matrix), matrix.T, 1, 0, as_rows(for_mixed))
        for place in range(a * parts, b * parts):
            i, window = place // parts - a, place % parts
            own_rows = inside.first[a + i, window * length : (window + 1) * length]
            target = for_qkv[i, window * length : (window + 1) * length]
            given_rows = for_mixed[i, window * asked : (window + 1) * asked]
            operands = operand(own_rows, matrix), operand(given_rows, matrix)
            _attend_gradient(branch, place, *operands, rooms, target, for_bias)
        mean, scale = inside.mean[a:b].reshape(-1), inside.scale[a:b].reshape(-1)
        rows = Normed(as_rows(own), mean, scale)
        first_gradient(rows, weights, as_rows(for_qkv[: b - a]), as_rows(room[: b - a]), sums)
        for i in range(a, b):
            result = given if ordered else out[i]
            rows = Normed(own[i - a], inside.mean[i], inside.scale[i])
            norm_gradient(rows, weights, room[i - a], up[i - a], result, sums)
            if ordered:
                _gather(given, windows.inverse, out[i])
    reset_own_threads(before)
