"""Loops over the rows of arrays, compiled by numba: what Paddle's CPU build has in slow or single-threaded form.

The second half are a block's two residual branches whole, attention for one image and MLP for some rows at a time, so
that all that happens between reading the input and writing the output happens in the processor's cache. They read best
beside `models/operators.py`, which defines what they compute.

Every function works on float32 and on a part of the rows, so that threads can share them: a row's result does
not depend on how they do. No output is an input: compilers would not vectorise the loop. Numbers that are not finite
stay so. An array without elements stands for nothing.

Exponential and Gaussian tail are polynomials fitted to `numpy.exp` and `scipy.special.erfcx` at Chebyshev nodes; their
relative errors are below 2e-7 and 4e-7 (tests/models/test_operators.py), and compilers turn them into vector
instructions, which calls of the C library they can't.

All compiled code is in this file: what numba keeps on disk is made anew when the file changes, but not when a function
of another file does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from llvmlite import binding
from numba import config, njit

from models.blas import set_own_threads, sgemm

_F = np.float32  # of every constant: a float64 among them would make all arithmetic float64
_ZERO, _HALF, _ONE = _F(0), _F(0.5), _F(1)
_LOG2_E = _F(math.log2(math.e))
_LN2_HIGH, _LN2_LOW = _F(0.693359375), _F(-2.12194440e-4)  # their sum is ln 2; the first has 9 bits, so n * it is exact
_LOWEST = _F(-87)  # exp of it is just not denormal; what is less counts as this
_E3, _E4 = _F(0.16666415333747864), _F(0.041666217148303986)
_E5, _E6 = _F(0.008375128731131554), _F(0.001394858118146658)
_P = _F(0.33 * math.sqrt(0.5))  # of t = 1 / (1 + 0.33 x), x = |z| / sqrt(2)
_T0, _T1, _T2, _T3 = _F(0.186353862285614), _F(0.18301211297512054), _F(0.20089899003505707), _F(0.0482112392783165)
_T4, _T5, _T6, _T7 = _F(0.40677767992019653), _F(-0.3494378328323364), _F(0.4593341648578644), _F(-0.1351502537727356)
_DENSITY = _F(1 / math.sqrt(2 * math.pi))
_BYTES = 4  # of a number
_ROW_MAJOR, _AS_IS, _TRANSPOSED = np.int32(101), np.int32(111), np.int32(112)  # CBLAS's words
_FEW, _MANY = 160, 256  # rows at a time: what is between the layers of a branch should fit in 2 MB of cache
_NARROW = 1024  # of its hidden width
_QUERIES = 48  # that are looked at together where heads talk


def _use_wide_vectors() -> None:
    """Have all 64 bytes of AVX-512 used: compilers take half of them, and GELU a third more time."""
    features = binding.get_host_cpu_features()
    if features.get("avx512f") and config.CPU_FEATURES is None:
        config.CPU_FEATURES = f"{features.flatten()},-prefer-256-bit"


_use_wide_vectors()


def _compile(*relaxed: str) -> Callable:
    """Compile, keep the machine code for the next start where that is possible, and release Python's lock.

    Args:
        relaxed: what the order of arithmetic may give up beside fused multiply-adds. It is fixed when it is compiled.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", *relaxed}}

    def decorate(function: Callable) -> Callable:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # no folder can be written
            return njit(**options)(function)

    return decorate


@_compile()
def _exp(x):
    """e^x for x <= 0."""
    x = _LOWEST if x < _LOWEST else x  # so written, NaN stays
    n = np.floor(x * _LOG2_E + _HALF)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)  # 2^n
    return power * (_ONE + r * (_ONE + r * (_HALF + r * (_E3 + r * (_E4 + r * (_E5 + r * _E6))))))


@_compile()
def _normal(z):
    """The standard normal distribution: `exp(-z^2 / 2)`, and the probability of a value below z."""
    bell = _exp(-_HALF * z * z)
    t = _ONE / (_ONE + _P * abs(z))
    tail = _T0 + t * (_T1 + t * (_T2 + t * (_T3 + t * (_T4 + t * (_T5 + t * (_T6 + t * _T7))))))
    tail *= _HALF * bell * t
    return bell, (tail if z < _ZERO else _ONE - tail)


@_compile()
def _ordered(bits):
    """Bits of a float32 as an integer that is ordered as the numbers are; its own inverse."""
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@_compile()
def _largest(row):
    """As integers: compilers find no vector instructions for the maximum of numbers, which may be NaN."""
    bits = row.view(np.int32)
    largest = _ordered(bits[0])
    for j in range(bits.size):
        number = _ordered(bits[j])
        largest = number if number > largest else largest
    return np.int32(_ordered(largest)).view(np.float32)


@_compile("reassoc")
def _sum(row):
    total = _ZERO
    for j in range(row.size):
        total += row[j]
    return total


@_compile("reassoc")
def _squares(row, mean):
    total = _ZERO
    for j in range(row.size):
        total += (row[j] - mean) * (row[j] - mean)
    return total


@_compile("reassoc")
def _dot(first, second):
    total = _ZERO
    for j in range(first.size):
        total += first[j] * second[j]
    return total


@_compile("reassoc")
def _projections(row, upper, weight, mean):
    total, along = _ZERO, _ZERO
    for j in range(row.size):
        total += upper[j] * weight[j]
        along += upper[j] * weight[j] * (row[j] - mean)
    return total, along


@_compile()
def normalise(pixels, mean, deviation, out):
    """Rows of uint8 `(channels of images, pixels)` less their `mean`, over their `deviation`."""
    for i in range(pixels.shape[0]):
        row, result, m, d = pixels[i], out[i], mean[i], deviation[i]
        for j in range(row.size):
            result[j] = (_F(row[j]) - m) / d


@_compile()
def masked(x, keep, scale, out):
    """`x` times its row's `scale` where `keep`, else 0, of `(rows, D)`."""
    for i in range(x.shape[0]):
        row, result, factor = x[i], out[i], scale[i]
        if keep.size:
            kept = keep[i]
            for j in range(row.size):
                result[j] = row[j] * (factor if kept[j] else _ZERO)
        else:
            for j in range(row.size):
                result[j] = row[j] * factor


@_compile()
def gelu(x, bias, keep, scale, out):
    """`gelu(x + bias)` of the rows of `(rows, D)`, times its row's `scale` where `keep`, else 0."""
    for i in range(x.shape[0]):
        row, result, factor = x[i], out[i], scale[i]
        if keep.size:
            kept = keep[i]
            for j in range(row.size):
                z = row[j] + bias[j]
                result[j] = z * _normal(z)[1] * (factor if kept[j] else _ZERO)
        else:
            for j in range(row.size):
                z = row[j] + bias[j]
                result[j] = z * _normal(z)[1] * factor


@_compile()
def gelu_gradient(x, bias, keep, scale, upper, again, out):
    """The gradient for `x + bias` from `upper`, that of the output; and the output `again`."""
    for i in range(x.shape[0]):
        row, up, active, result, factor = x[i], upper[i], again[i], out[i], scale[i]
        if keep.size:
            kept = keep[i]
            for j in range(row.size):
                z = row[j] + bias[j]
                bell, below = _normal(z)
                own = factor if kept[j] else _ZERO
                active[j] = z * below * own
                result[j] = up[j] * (below + z * bell * _DENSITY) * own
        else:
            for j in range(row.size):
                z = row[j] + bias[j]
                bell, below = _normal(z)
                active[j] = z * below * factor
                result[j] = up[j] * (below + z * bell * _DENSITY) * factor


@_compile()
def softmax(x, scale, out):
    """Softmax of `scale * x`, scale > 0, over the rows of `(rows, N)`."""
    for i in range(x.shape[0]):
        row, result = x[i], out[i]
        largest = _largest(row)
        for j in range(row.size):
            result[j] = _exp((row[j] - largest) * scale)
        factor = _ONE / _sum(result)
        for j in range(row.size):
            result[j] *= factor


@_compile()
def softmax_gradient(weights, scale, upper, out):
    """The gradient for `x` from `upper`, that of `weights = softmax(scale * x)`."""
    for i in range(weights.shape[0]):
        row, up, result = weights[i], upper[i], out[i]
        mean = _dot(row, up)
        for j in range(row.size):
            result[j] = scale * row[j] * (up[j] - mean)


@_compile()
def layer_norm(x, weight, bias, epsilon, mean, scale, out):
    """Layer norm of the rows of `(rows, D)`; `mean` and `scale` (1 over the deviation) are kept for the gradient."""
    width = _F(x.shape[1])
    for i in range(x.shape[0]):
        row = x[i]
        mean[i] = m = _sum(row) / width
        scale[i] = _ONE / np.sqrt(_squares(row, m) / width + epsilon)
    _normed(x, weight, bias, mean, scale, out)


@_compile()
def _normed(x, weight, bias, mean, scale, out):
    for i in range(x.shape[0]):
        row, result, m, s = x[i], out[i], mean[i], scale[i]
        for j in range(row.size):
            result[j] = (row[j] - m) * s * weight[j] + bias[j]


@_compile()
def layer_norm_gradient(x, weight, mean, scale, upper, base, out, for_weight, for_bias):
    """The gradients from `upper`, that of the output: `out` is it and `base`, of the rows that this has; to the others
    it is added."""
    width = _F(x.shape[1])
    for i in range(x.shape[0]):
        row, up, result, m, s = x[i], upper[i], out[i], mean[i], scale[i]
        total, along = _projections(row, up, weight, m)
        total, along = total / width, along * s / width
        if i < base.shape[0]:
            below = base[i]
            for j in range(row.size):
                result[j] = below[j]
        else:
            for j in range(row.size):
                result[j] = _ZERO
        for j in range(row.size):
            normed = (row[j] - m) * s
            result[j] += (up[j] * weight[j] - total - normed * along) * s
            for_weight[j] += up[j] * normed
            for_bias[j] += up[j]


@_compile()
def add_rows(x, total):
    """Add the rows of `(rows, D)` to `(D,)`."""
    for i in range(x.shape[0]):
        row = x[i]
        for j in range(row.size):
            total[j] += row[j]


class Weights(NamedTuple):
    """Parameters of a branch, or gradients for them: of its norm, of the linear layer at its begin and at its end."""

    norm_weight: np.ndarray  # (D,)
    norm_bias: np.ndarray
    first_weight: np.ndarray  # (D, E)
    first_bias: np.ndarray
    last_weight: np.ndarray  # (F, D)
    last_bias: np.ndarray


class Noise(NamedTuple):
    """What a branch is multiplied by inside, and at its end: nothing or booleans, and a scale of each row."""

    inner_keep: np.ndarray
    inner_scale: np.ndarray
    keep: np.ndarray
    scale: np.ndarray


class Inside(NamedTuple):
    """What a branch keeps for its gradient: of the norm its rows' mean and scale, and what the first layer gives."""

    mean: np.ndarray  # (B, N), as `scale`
    scale: np.ndarray
    first: np.ndarray  # (B, N, E); nothing: there will be no gradient


@_compile()
def _product(a, b, scale, kept, out):
    """`out = scale * a @ b + kept * out`; of `out` the last axis is contiguous, of `a` and `b` either."""
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
        _F(scale),
        a.ctypes.data,
        np.int32(max(next_a // _BYTES, inner if as_is_a else rows)),
        b.ctypes.data,
        np.int32(max(next_b // _BYTES, columns if as_is_b else inner)),
        _F(kept),
        out.ctypes.data,
        np.int32(max(out.strides[0] // _BYTES, columns)),
    )


@_compile()
def _residual(x, branch, bias, keep, scale, out):
    """`x` and, masked, `branch + bias`."""
    for i in range(branch.shape[0]):
        row, left, result, factor = branch[i], x[i], out[i], scale[i]
        if keep.size:
            kept = keep[i]
            for j in range(row.size):
                result[j] = left[j] + (row[j] + bias[j]) * (factor if kept[j] else _ZERO)
        else:
            for j in range(row.size):
                result[j] = left[j] + (row[j] + bias[j]) * factor


@_compile()
def _add(x, out):
    for i in range(x.shape[0]):
        row, result = x[i], out[i]
        for j in range(row.size):
            result[j] += row[j]


@_compile()
def _copies(row, out):
    for i in range(out.shape[0]):
        result = out[i]
        for j in range(row.size):
            result[j] = row[j]


@_compile()
def _own(x, heads, head):
    """Of `(N, D)` the `(N, D / H)` of a head."""
    size = x.shape[1] // heads
    return x[:, head * size : (head + 1) * size]


@_compile()
def _head(x, part, heads, head):
    """Of `(N, parts * D)` the `(N, D / H)` of a head: of queries, keys, values."""
    return _own(x, 3 * heads, part * heads + head)


@_compile()
def _add_last(x, for_branch, sums):
    """Add the gradients for the last linear layer, whose input is `x`; matrices only where they are asked for."""
    add_rows(for_branch, sums.last_bias)
    if sums.last_weight.size:
        _product(x.T, for_branch, 1, 1, sums.last_weight)


@_compile()
def _first(x, weights, epsilon, mean, scale, room, out):
    """The norm of `x` and the first linear layer; `room` is as large as `x`."""
    layer_norm(x, weights.norm_weight, weights.norm_bias, epsilon, mean, scale, room)
    _copies(weights.first_bias, out)
    _product(room, weights.first_weight, 1, 1, out)


@_compile()
def _first_gradient(x, weights, mean, scale, for_first, room, sums):
    """Add the gradients for the first linear layer; that for the norm of `x` is in `room`, which is as large, then."""
    add_rows(for_first, sums.first_bias)
    if sums.first_weight.size:
        _normed(x, weights.norm_weight, weights.norm_bias, mean, scale, room)
        _product(room.T, for_first, 1, 1, sums.first_weight)
    _product(for_first, weights.first_weight.T, 1, 0, room)


@_compile()
def _norm_gradient(x, weights, mean, scale, for_normed, upper, out, sums):
    """From the gradient of the norm, that for `x`, to which `upper` is added, of the rows that it has."""
    layer_norm_gradient(x, weights.norm_weight, mean, scale, for_normed, upper, out, sums.norm_weight, sums.norm_bias)


@_compile()
def _rows(x):
    """`(B, N, D)` as `(B * N, D)`."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


@_compile()
def _images_together(tokens, begin, end):
    """How many images of few tokens share a product."""
    return min(max(1, _MANY // tokens), end - begin)


class Windows(NamedTuple):
    """Parts of the tokens that attend to themselves alone, W of L tokens each (Swin); nothing for one of them all."""

    order: np.ndarray  # (W * L,): where each token of the windows is among all
    bias: np.ndarray  # (H, L, L), added to the scores
    mask: np.ndarray  # (W, L, L), likewise, or nothing


@_compile()
def _taken(x, order, out):
    """Rows in another order."""
    for i in range(order.size):
        row, result = x[order[i]], out[i]
        for j in range(row.size):
            result[j] = row[j]


@_compile()
def _put_back(x, order, out):
    """The reverse of it."""
    for i in range(order.size):
        row, result = x[i], out[order[i]]
        for j in range(row.size):
            result[j] = row[j]


@_compile()
def _scores(q, k, windows, window, head, out):
    factor = _F(q.shape[1]) ** -_HALF
    if windows.order.size == 0:
        _product(q, k.T, factor, 0, out)
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
    _product(q, k.T, factor, 1, out)


@_compile()
def attention(begin, end, x, weights, epsilon, heads, windows, noise, inside, all_attended, all_mixed, out):
    """The branch of the attention, added to `x`, for images `begin` to `end` of `(B, N, D)`.

    Without windows, `out` may have fewer tokens, `(B, M, D)`: then only the first M attend, to all of them. The
    attention's weights, `(H, B * W, M, L)`, and what they mix, `(B, M, D)`, are kept where `inside` is.
    """
    before = set_own_threads(np.int32(1))
    tokens, width, queries = x.shape[1], x.shape[2], out.shape[1]
    length, kept, ordered = windows.bias.shape[1] or tokens, inside.first.size > 0, windows.order.size > 0
    parts, asked, size = tokens // length, min(length, queries), _images_together(tokens, begin, end)
    room, taken = np.empty((size, tokens, width), _F), np.empty((size if ordered else 0, tokens, width), _F)
    branch, own_mixed = np.empty((size, queries, width), _F), np.empty((size, queries, width), _F)
    own_qkv, given = np.empty((size, tokens, 3 * width), _F), np.empty((queries if ordered else 0, width), _F)
    scores, own_attended = np.empty((asked, length), _F), np.empty((asked, length), _F)
    for a in range(begin, end, size):
        b = min(a + size, end)
        if ordered:
            for i in range(a, b):
                _taken(x[i], windows.order, taken[i - a])
        own = taken[: b - a] if ordered else x[a:b]
        qkv, mixed = (inside.first[a:b], all_mixed[a:b]) if kept else (own_qkv[: b - a], own_mixed[: b - a])
        mean, scale = inside.mean[a:b].reshape(-1), inside.scale[a:b].reshape(-1)
        _first(_rows(own), weights, epsilon, mean, scale, _rows(room[: b - a]), _rows(qkv))
        for place in range(a * parts, b * parts):
            i, window = place // parts - a, place % parts
            rows = qkv[i, window * length : (window + 1) * length]
            target = mixed[i, window * asked : (window + 1) * asked]
            for head in range(heads):
                q, k, v = _head(rows, 0, heads, head)[:asked], _head(rows, 1, heads, head), _head(rows, 2, heads, head)
                attended = all_attended[head, place] if kept else own_attended
                _scores(q, k, windows, window, head, scores)
                softmax(scores, _ONE, attended)
                if noise.inner_keep.size:
                    masked(attended, noise.inner_keep[head, place], noise.inner_scale[head, place], scores)
                    attended = scores
                _product(attended, v, 1, 0, _own(target, heads, head))
        _product(_rows(mixed), weights.last_weight, 1, 0, _rows(branch[: b - a]))
        for i in range(a, b):
            result = given if ordered else out[i]
            _residual(own[i - a], branch[i - a], weights.last_bias, noise.keep[i], noise.scale[i], result)
            if ordered:
                _put_back(given, windows.order, out[i])
    set_own_threads(before)


@_compile()
def attention_gradient(
    begin, end, x, weights, heads, windows, noise, inside, all_attended, all_mixed, upper, out, sums, for_bias
):
    """The gradient `out` for images `begin` to `end` from `upper`; those for parameters are added to the others."""
    before = set_own_threads(np.int32(1))
    tokens, width, queries = x.shape[1], x.shape[2], upper.shape[1]
    factor, length, ordered = _F(width // heads) ** -_HALF, windows.bias.shape[1] or tokens, windows.order.size > 0
    parts, asked, size = tokens // length, min(length, queries), _images_together(tokens, begin, end)
    room, apart = np.empty((size, tokens, width), _F), size if ordered else 0
    taken, taken_upper = np.empty((apart, tokens, width), _F), np.empty((apart, tokens, width), _F)
    for_branch, for_mixed = np.empty((size, queries, width), _F), np.empty((size, queries, width), _F)
    dropped, for_dropped = np.empty((asked, length), _F), np.empty((asked, length), _F)
    for_attended, for_scores = np.empty((asked, length), _F), np.empty((asked, length), _F)
    for_qkv, given = np.zeros((size, tokens, 3 * width), _F), np.empty((tokens if ordered else 0, width), _F)
    for a in range(begin, end, size):
        b = min(a + size, end)
        if ordered:
            for i in range(a, b):
                _taken(x[i], windows.order, taken[i - a])
                _taken(upper[i], windows.order, taken_upper[i - a])
        own, up = (taken[: b - a], taken_upper[: b - a]) if ordered else (x[a:b], upper[a:b])
        for i in range(a, b):
            masked(up[i - a], noise.keep[i], noise.scale[i], for_branch[i - a])
        _add_last(_rows(all_mixed[a:b]), _rows(for_branch[: b - a]), sums)
        _product(_rows(for_branch[: b - a]), weights.last_weight.T, 1, 0, _rows(for_mixed[: b - a]))
        for place in range(a * parts, b * parts):
            i, window = place // parts - a, place % parts
            rows = inside.first[a + i, window * length : (window + 1) * length]
            for_rows = for_qkv[i, window * length : (window + 1) * length]
            for_target = for_mixed[i, window * asked : (window + 1) * asked]
            for head in range(heads):
                q, k, v = _head(rows, 0, heads, head)[:asked], _head(rows, 1, heads, head), _head(rows, 2, heads, head)
                for_q, for_k = _head(for_rows, 0, heads, head)[:asked], _head(for_rows, 1, heads, head)
                for_v, for_head = _head(for_rows, 2, heads, head), _own(for_target, heads, head)
                attended = all_attended[head, place]
                if noise.inner_keep.size:
                    keep, scale = noise.inner_keep[head, place], noise.inner_scale[head, place]
                    _product(for_head, v.T, 1, 0, for_dropped)
                    masked(attended, keep, scale, dropped)
                    masked(for_dropped, keep, scale, for_attended)
                    _product(dropped.T, for_head, 1, 0, for_v)
                else:
                    _product(for_head, v.T, 1, 0, for_attended)
                    _product(attended.T, for_head, 1, 0, for_v)
                softmax_gradient(attended, _ONE, for_attended, for_scores)
                if for_bias.size:
                    _add(for_scores, for_bias[head])
                _product(for_scores, k, factor, 0, for_q)
                _product(for_scores.T, q, factor, 0, for_k)
        mean, deviation = inside.mean[a:b].reshape(-1), inside.scale[a:b].reshape(-1)
        _first_gradient(_rows(own), weights, mean, deviation, _rows(for_qkv[: b - a]), _rows(room[: b - a]), sums)
        for i in range(a, b):
            result = given if ordered else out[i]
            _norm_gradient(own[i - a], weights, inside.mean[i], inside.scale[i], room[i - a], up[i - a], result, sums)
            if ordered:
                _put_back(given, windows.order, out[i])
    set_own_threads(before)


class Talking(NamedTuple):
    """How heads exchange scores and weights (CaiT): `(H, H)` from the old to the new heads, and `(H,)`."""

    before_weight: np.ndarray  # the softmax
    before_bias: np.ndarray
    after_weight: np.ndarray
    after_bias: np.ndarray


@_compile()
def _mix(x, weight, bias, out):
    """New heads `(H, ...)` from old ones, all else in one axis."""
    _copies_down(bias, out)
    _product(weight.T, x, 1, 1, out)


@_compile()
def _copies_down(column, out):
    for i in range(out.shape[0]):
        result, value = out[i], column[i]
        for j in range(result.size):
            result[j] = value


@_compile()
def _add_mix(x, upper, for_weight, for_bias):
    """Add the gradients for what `_mix` is given."""
    _product(x, upper.T, 1, 1, for_weight)
    for i in range(upper.shape[0]):
        for_bias[i] += _sum(upper[i])


@_compile()
def talking_attention(begin, end, x, weights, epsilon, heads, talking, noise, inside, all_attended, all_mixed, out):
    """Like `attention`, with heads that exchange what they found, for some queries at a time.

    The attention's weights, behind the softmax, are `(B, H, N, N)`.
    """
    before = set_own_threads(np.int32(1))
    tokens, width, kept = x.shape[1], x.shape[2], inside.first.size > 0
    factor, size = _F(width // heads) ** -_HALF, min(_QUERIES, tokens)
    normed, branch = np.empty((tokens, width), _F), np.empty((tokens, width), _F)
    own_qkv, own_mixed = np.empty((tokens, 3 * width), _F), np.empty((tokens, width), _F)
    own_attended = np.empty((0 if kept else heads, tokens, tokens), _F)
    room, other_room = np.empty(heads * size * tokens, _F), np.empty(heads * size * tokens, _F)
    for i in range(begin, end):
        qkv, mixed = (inside.first[i], all_mixed[i]) if kept else (own_qkv, own_mixed)
        attended = all_attended[i] if kept else own_attended
        flat = attended.reshape(heads, tokens * tokens)
        _first(x[i], weights, epsilon, inside.mean[i], inside.scale[i], normed, qkv)
        for a in range(0, tokens, size):
            b = min(a + size, tokens)
            some = heads * (b - a) * tokens
            scores, talked = room[:some].reshape(heads, -1), other_room[:some].reshape(heads, -1)
            for head in range(heads):
                q, k = _head(qkv, 0, heads, head)[a:b], _head(qkv, 1, heads, head)
                _product(q, k.T, factor, 0, scores[head].reshape(b - a, tokens))
            _mix(scores, talking.before_weight, talking.before_bias, talked)
            for head in range(heads):
                softmax(talked[head].reshape(b - a, tokens), _ONE, attended[head, a:b])
            _mix(flat[:, a * tokens : b * tokens], talking.after_weight, talking.after_bias, talked)
            for head in range(heads):
                found = talked[head].reshape(b - a, tokens)
                if noise.inner_keep.size:
                    used = scores[head].reshape(b - a, tokens)
                    masked(found, noise.inner_keep[head, i, a:b], noise.inner_scale[head, i, a:b], used)
                    found = used
                _product(found, _head(qkv, 2, heads, head), 1, 0, _own(mixed[a:b], heads, head))
        _product(mixed, weights.last_weight, 1, 0, branch)
        _residual(x[i], branch, weights.last_bias, noise.keep[i], noise.scale[i], out[i])
    set_own_threads(before)


@_compile()
def talking_attention_gradient(
    begin, end, x, weights, heads, talking, noise, inside, all_attended, all_mixed, upper, out, sums, for_talking
):
    """The gradient `out` for images `begin` to `end` from `upper`; those for parameters are added to the others."""
    before = set_own_threads(np.int32(1))
    tokens, width = x.shape[1], x.shape[2]
    factor, size = _F(width // heads) ** -_HALF, min(_QUERIES, tokens)
    normed = np.empty((tokens, width), _F)
    for_branch, for_mixed = np.empty((tokens, width), _F), np.empty((tokens, width), _F)
    for_qkv = np.empty((tokens, 3 * width), _F)
    rooms = np.empty((4, heads * size * tokens), _F)
    for i in range(begin, end):
        qkv, attended = inside.first[i], all_attended[i]
        flat = attended.reshape(heads, tokens * tokens)
        masked(upper[i], noise.keep[i], noise.scale[i], for_branch)
        _add_last(all_mixed[i], for_branch, sums)
        _product(for_branch, weights.last_weight.T, 1, 0, for_mixed)
        for a in range(0, tokens, size):
            b, added = min(a + size, tokens), min(a, 1)  # to what the first queries gave
            some = heads * (b - a) * tokens
            first, second = rooms[0, :some].reshape(heads, -1), rooms[1, :some].reshape(heads, -1)
            third, fourth = rooms[2, :some].reshape(heads, -1), rooms[3, :some].reshape(heads, -1)
            own = flat[:, a * tokens : b * tokens]
            _mix(own, talking.after_weight, talking.after_bias, first)
            for head in range(heads):
                v, for_v = _head(qkv, 2, heads, head), _head(for_qkv, 2, heads, head)
                for_head, talked = _own(for_mixed[a:b], heads, head), first[head].reshape(b - a, tokens)
                for_talked = second[head].reshape(b - a, tokens)
                if noise.inner_keep.size:
                    keep, scale = noise.inner_keep[head, i, a:b], noise.inner_scale[head, i, a:b]
                    dropped, for_dropped = third[head].reshape(b - a, tokens), fourth[head].reshape(b - a, tokens)
                    _product(for_head, v.T, 1, 0, for_dropped)
                    masked(talked, keep, scale, dropped)
                    masked(for_dropped, keep, scale, for_talked)
                    _product(dropped.T, for_head, 1, added, for_v)
                else:
                    _product(for_head, v.T, 1, 0, for_talked)
                    _product(talked.T, for_head, 1, added, for_v)
            _add_mix(own, second, for_talking.after_weight, for_talking.after_bias)
            _product(talking.after_weight, second, 1, 0, third)
            for head in range(heads):
                for_attended, for_scores = third[head].reshape(b - a, tokens), fourth[head].reshape(b - a, tokens)
                softmax_gradient(attended[head, a:b], _ONE, for_attended, for_scores)
                q, k = _head(qkv, 0, heads, head)[a:b], _head(qkv, 1, heads, head)
                _product(q, k.T, factor, 0, first[head].reshape(b - a, tokens))
            _add_mix(first, fourth, for_talking.before_weight, for_talking.before_bias)
            _product(talking.before_weight, fourth, 1, 0, third)
            for head in range(heads):
                q, k = _head(qkv, 0, heads, head)[a:b], _head(qkv, 1, heads, head)
                for_q, for_k = _head(for_qkv, 0, heads, head)[a:b], _head(for_qkv, 1, heads, head)
                for_scores = third[head].reshape(b - a, tokens)
                _product(for_scores, k, factor, 0, for_q)
                _product(for_scores.T, q, factor, added, for_k)
        _first_gradient(x[i], weights, inside.mean[i], inside.scale[i], for_qkv, normed, sums)
        _norm_gradient(x[i], weights, inside.mean[i], inside.scale[i], normed, upper[i], out[i], sums)
    set_own_threads(before)


@_compile()
def mlp(begin, end, x, weights, epsilon, noise, inside, out):
    """The branch of the MLP, added to `x`, for rows `begin` to `end` of `(rows, D)`."""
    before = set_own_threads(np.int32(1))
    hidden = weights.first_bias.size
    size = min(_FEW if hidden <= _NARROW else _MANY, end - begin)
    all_normed, all_branch = np.empty((size, x.shape[1]), _F), np.empty((size, x.shape[1]), _F)
    all_active, own_first = np.empty((size, hidden), _F), np.empty((size, hidden), _F)
    for a in range(begin, end, size):
        b = min(a + size, end)
        normed, branch, active = all_normed[: b - a], all_branch[: b - a], all_active[: b - a]
        first = inside.first[a:b] if inside.first.size else own_first[: b - a]
        layer_norm(x[a:b], weights.norm_weight, weights.norm_bias, epsilon, inside.mean[a:b], inside.scale[a:b], normed)
        _product(normed, weights.first_weight, 1, 0, first)
        gelu(first, weights.first_bias, noise.inner_keep[a:b], noise.inner_scale[a:b], active)
        _product(active, weights.last_weight, 1, 0, branch)
        _residual(x[a:b], branch, weights.last_bias, noise.keep[a:b], noise.scale[a:b], out[a:b])
    set_own_threads(before)


@_compile()
def mlp_gradient(begin, end, x, weights, noise, inside, upper, out, sums):
    """The gradient `out` for rows `begin` to `end` from `upper`; those for the weights are added to `sums`."""
    before = set_own_threads(np.int32(1))
    width, hidden = x.shape[1], weights.first_bias.size
    size = min(_FEW if hidden <= _NARROW else _MANY, end - begin)
    all_room, all_for_branch = np.empty((size, width), _F), np.empty((size, width), _F)
    all_active, all_for_first = np.empty((size, hidden), _F), np.empty((size, hidden), _F)
    all_for_active = np.empty((size, hidden), _F)
    for a in range(begin, end, size):
        b = min(a + size, end)
        room, for_branch = all_room[: b - a], all_for_branch[: b - a]
        active, for_active, for_first = all_active[: b - a], all_for_active[: b - a], all_for_first[: b - a]
        masked(upper[a:b], noise.keep[a:b], noise.scale[a:b], for_branch)
        _product(for_branch, weights.last_weight.T, 1, 0, for_active)
        gelu_gradient(
            inside.first[a:b],
            weights.first_bias,
            noise.inner_keep[a:b],
            noise.inner_scale[a:b],
            for_active,
            active,
            for_first,
        )
        _add_last(active, for_branch, sums)
        mean, scale = inside.mean[a:b], inside.scale[a:b]
        _first_gradient(x[a:b], weights, mean, scale, for_first, room, sums)
        _norm_gradient(x[a:b], weights, mean, scale, room, upper[a:b], out[a:b], sums)
    set_own_threads(before)
