"""Loops over the rows of arrays: what Paddle's CPU build has in slow or single-threaded form.

They take float32 and any number of rows, so that threads can share them: a row's result does not
depend on how they do. No output is an input: compilers would not vectorise the loop. NaN stays NaN.
An array without elements stands for nothing.

Exponential and Gaussian tail are polynomials fitted to `numpy.exp` and `scipy.special.erfcx` at
Chebyshev nodes, with relative errors below 2e-7 and 4e-7; compilers turn them into vector
instructions, which calls of the C library they can't. tests/models/layers/test_operators.py holds
that softmax is off by less than 1e-6 and GELU by 4e-6, far from 0.
"""

from __future__ import annotations

import math

import numpy as np

from models.fast.compiler import Booleans, Bytes, Floats, Real, compiled

ZERO, HALF, ONE = Real(0), Real(0.5), Real(1)
_LOG2_E = Real(math.log2(math.e))
_LN2_HIGH, _LN2_LOW = (
    Real(0.693359375),
    Real(-2.12194440e-4),
)  # of 9 bits, so n * it is exact; the rest of ln 2
_LOWEST = Real(
    -80
)  # below it exp is 0: a part of it would be a denormal number, with which products are slow
_E3, _E4 = Real(0.16666415333747864), Real(0.041666217148303986)
_E5, _E6 = Real(0.008375128731131554), Real(0.001394858118146658)
_P = Real(0.33 * math.sqrt(0.5))  # of t = 1 / (1 + 0.33 x), x = |z| / sqrt(2)
_T0, _T1 = Real(0.186353862285614), Real(0.18301211297512054)
_T2, _T3 = Real(0.20089899003505707), Real(0.0482112392783165)
_T4, _T5 = Real(0.40677767992019653), Real(-0.3494378328323364)
_T6, _T7 = Real(0.4593341648578644), Real(-0.1351502537727356)
_DENSITY = Real(1 / math.sqrt(2 * math.pi))


@compiled()
def _exp(x: np.float32) -> np.float32:
    """e^x for x <= 0."""
    low = x < _LOWEST  # so written, NaN stays
    x = _LOWEST if low else x
    n = np.floor(x * _LOG2_E + HALF)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)  # 2^n
    found = power * (ONE + r * (ONE + r * (HALF + r * (_E3 + r * (_E4 + r * (_E5 + r * _E6))))))
    return ZERO if low else found


@compiled()
def _normal(z: np.float32) -> tuple[np.float32, np.float32]:
    """The standard normal distribution: `exp(-z^2 / 2)`, and the probability of a value below z."""
    bell = _exp(-HALF * z * z)
    t = ONE / (ONE + _P * abs(z))
    tail = _T0 + t * (_T1 + t * (_T2 + t * (_T3 + t * (_T4 + t * (_T5 + t * (_T6 + t * _T7))))))
    tail *= HALF * bell * t
    return bell, (tail if z < ZERO else ONE - tail)


@compiled()
def _ordered(bits: np.int32) -> np.int32:
    """Bits of a float32 as an integer that is ordered as the numbers are; its own inverse."""
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@compiled()
def _largest(row: Floats) -> np.float32:
    """As integers: compilers find no vector instructions for the maximum of numbers, which may be
    NaN.
    """
    bits = row.view(np.int32)
    largest = _ordered(bits[0])
    for j in range(bits.size):
        number = _ordered(bits[j])
        largest = number if number > largest else largest
    return np.int32(_ordered(largest)).view(np.float32)


@compiled("reassoc")
def sum_of(row: Floats) -> np.float32:
    """The sum of `(N,)`."""
    total = ZERO
    for j in range(row.size):
        total += row[j]
    return total


@compiled("reassoc")
def _squares(row: Floats, mean: np.float32) -> np.float32:
    total = ZERO
    for j in range(row.size):
        total += (row[j] - mean) * (row[j] - mean)
    return total


@compiled("reassoc")
def _dot(first: Floats, second: Floats) -> np.float32:
    total = ZERO
    for j in range(first.size):
        total += first[j] * second[j]
    return total


@compiled("reassoc")
def _projections(
    row: Floats, upper: Floats, weight: Floats, mean: np.float32
) -> tuple[np.float32, np.float32]:
    total, along = ZERO, ZERO
    for j in range(row.size):
        total += upper[j] * weight[j]
        along += upper[j] * weight[j] * (row[j] - mean)
    return total, along


@compiled()
def normalise(pixels: Bytes, mean: Floats, deviation: Floats, out: Floats) -> None:
    """Rows of uint8 `(channels of images, pixels)` less their `mean`, over their `deviation`."""
    for i in range(pixels.shape[0]):
        row, result, m, d = pixels[i], out[i], mean[i], deviation[i]
        for j in range(row.size):
            result[j] = (Real(row[j]) - m) / d


@compiled()
def masked(x: Floats, keep: Booleans, scale: Floats, out: Floats) -> None:
    """`x` times its row's `scale` where `keep`, else 0, of `(rows, D)`."""
    for i in range(x.shape[0]):
        row, result, factor = x[i], out[i], scale[i]
        if keep.size:
            kept = keep[i]
            for j in range(row.size):
                result[j] = row[j] * (factor if kept[j] else ZERO)
        else:
            for j in range(row.size):
                result[j] = row[j] * factor


@compiled()
def gelu(x: Floats, bias: Floats, keep: Booleans, scale: Floats, out: Floats) -> None:
    """`gelu(x + bias)` of the rows of `(rows, D)`, times its row's `scale` where `keep`, else 0."""
    for i in range(x.shape[0]):
        row, result, factor = x[i], out[i], scale[i]
        if keep.size:
            kept = keep[i]
            for j in range(row.size):
                z = row[j] + bias[j]
                result[j] = z * _normal(z)[1] * (factor if kept[j] else ZERO)
        else:
            for j in range(row.size):
                z = row[j] + bias[j]
                result[j] = z * _normal(z)[1] * factor


@compiled()
def gelu_gradient(
    x: Floats,
    bias: Floats,
    keep: Booleans,
    scale: Floats,
    upper: Floats,
    again: Floats,
    out: Floats,
) -> None:
    """The gradient for `x + bias` from `upper`, that of the output; and the output `again`."""
    for i in range(x.shape[0]):
        row, up, active, result, factor = x[i], upper[i], again[i], out[i], scale[i]
        if keep.size:
            kept = keep[i]
            for j in range(row.size):
                z = row[j] + bias[j]
                bell, below = _normal(z)
                own = factor if kept[j] else ZERO
                active[j] = z * below * own
                result[j] = up[j] * (below + z * bell * _DENSITY) * own
        else:
            for j in range(row.size):
                z = row[j] + bias[j]
                bell, below = _normal(z)
                active[j] = z * below * factor
                result[j] = up[j] * (below + z * bell * _DENSITY) * factor


@compiled()
def softmax(x: Floats, out: Floats) -> None:
    """Softmax over the rows of `(rows, N)`."""
    for i in range(x.shape[0]):
        row, result = x[i], out[i]
        largest = _largest(row)
        for j in range(row.size):
            result[j] = _exp(row[j] - largest)
        factor = ONE / sum_of(result)
        for j in range(row.size):
            result[j] *= factor


@compiled()
def softmax_gradient(weights: Floats, upper: Floats, out: Floats) -> None:
    """The gradient for `x` from `upper`, that of `weights = softmax(x)`."""
    for i in range(weights.shape[0]):
        row, up, result = weights[i], upper[i], out[i]
        mean = _dot(row, up)
        for j in range(row.size):
            result[j] = row[j] * (up[j] - mean)


@compiled()
def layer_norm(
    x: Floats,
    weight: Floats,
    bias: Floats,
    epsilon: np.float32,
    mean: Floats,
    scale: Floats,
    out: Floats,
) -> None:
    """Layer norm of the rows of `(rows, D)`; `mean` and `scale` (1 over the deviation) are kept for
    the gradient.
    """
    width = Real(x.shape[1])
    for i in range(x.shape[0]):
        row = x[i]
        mean[i] = m = sum_of(row) / width
        scale[i] = ONE / np.sqrt(_squares(row, m) / width + epsilon)
    layer_norm_again(x, weight, bias, mean, scale, out)


@compiled()
def layer_norm_again(
    x: Floats, weight: Floats, bias: Floats, mean: Floats, scale: Floats, out: Floats
) -> None:
    """The same from the `mean` and `scale` that are known."""
    for i in range(x.shape[0]):
        row, result, m, s = x[i], out[i], mean[i], scale[i]
        for j in range(row.size):
            result[j] = (row[j] - m) * s * weight[j] + bias[j]


@compiled()
def layer_norm_gradient(
    x: Floats,
    weight: Floats,
    mean: Floats,
    scale: Floats,
    upper: Floats,
    base: Floats,
    out: Floats,
    for_weight: Floats,
    for_bias: Floats,
) -> None:
    """The gradients from `upper`, that of the output: `out` is it and `base`, of the rows that this
    has; to the others it is added.
    """
    width = Real(x.shape[1])
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
                result[j] = ZERO
        for j in range(row.size):
            normed = (row[j] - m) * s
            result[j] += (up[j] * weight[j] - total - normed * along) * s
            for_weight[j] += up[j] * normed
            for_bias[j] += up[j]


@compiled()
def add_rows(x: Floats, total: Floats) -> None:
    """Add the rows of `(rows, D)` to `(D,)`."""
    for i in range(x.shape[0]):
        row = x[i]
        for j in range(row.size):
            total[j] += row[j]


@compiled()
def residual(
    x: Floats, branch: Floats, bias: Floats, keep: Booleans, scale: Floats, out: Floats
) -> None:
    """`x` and, masked, `branch + bias`."""
    for i in range(branch.shape[0]):
        row, left, result, factor = branch[i], x[i], out[i], scale[i]
        if keep.size:
            kept = keep[i]
            for j in range(row.size):
                result[j] = left[j] + (row[j] + bias[j]) * (factor if kept[j] else ZERO)
        else:
            for j in range(row.size):
                result[j] = left[j] + (row[j] + bias[j]) * factor


@compiled()
def add(x: Floats, out: Floats) -> None:
    """Add `(rows, N)` to `out`."""
    for i in range(x.shape[0]):
        row, result = x[i], out[i]
        for j in range(row.size):
            result[j] += row[j]


@compiled()
def copy_row(row: Floats, out: Floats) -> None:
    """The same `(D,)` in each row of `out`."""
    for i in range(out.shape[0]):
        result = out[i]
        for j in range(row.size):
            result[j] = row[j]
