"""Compiled activations and softmax of the rows of arrays, and their gradients.

Exponential and Gaussian tail are polynomials, fitted to `numpy.exp` and `scipy.special.erfcx` at
Chebyshev nodes with relative errors below 2e-7 and 4e-7. Compilers turn polynomials into vector
instructions; calls of the C library they can't. tests/models/layers/test_operators.py checks that
softmax is off by less than 1e-6, and GELU by less than 4e-6 where it is not close to 0.
"""

import math
from typing import NamedTuple

import numpy as np

from models.fast.loops.compiler import HALF, ONE, ZERO, Booleans, Floats, Real, compiled
from models.fast.loops.rows import dot, sum_of

_LOG2_E = Real(math.log2(math.e))
# ln 2 in two parts: the high one has 9 bits, so its product with an integer is exact.
_LN2_HIGH, _LN2_LOW = Real(0.693359375), Real(-2.12194440e-4)
# Below it, exp is 0. It would soon be a denormal number, and products with those are slow.
_LOWEST = Real(-80)
_E3, _E4, _E5, _E6 = (
    Real(0.16666415333747864),
    Real(0.041666217148303986),
    Real(0.008375128731131554),
    Real(0.001394858118146658),
)
_P = Real(0.33 * math.sqrt(0.5))  # of t = 1 / (1 + 0.33 x), x = |z| / sqrt(2)
_T0, _T1, _T2, _T3, _T4, _T5, _T6, _T7 = (
    Real(0.186353862285614),
    Real(0.18301211297512054),
    Real(0.20089899003505707),
    Real(0.0482112392783165),
    Real(0.40677767992019653),
    Real(-0.3494378328323364),
    Real(0.4593341648578644),
    Real(-0.1351502537727356),
)
_DENSITY = Real(1 / math.sqrt(2 * math.pi))
_THREE = Real(3)


class Gate(NamedTuple):
    """An activation `x * sigmoid(linear * x + cubic * x^3)`; a `linear` of 0 stands for GELU."""

    linear: np.float32
    cubic: np.float32


_TANH = math.sqrt(8 / math.pi)  # (1 + tanh(u)) / 2 is sigmoid(2 u)
GATES = {  # by the names of `mlp_branch`
    "gelu": Gate(ZERO, ZERO),
    "quick_gelu": Gate(Real(1.702), ZERO),
    "gelu_tanh": Gate(Real(_TANH), Real(0.044715 * _TANH)),
    "silu": Gate(ONE, ZERO),
}


@compiled()
def _exp(x: np.float32) -> np.float32:
    """Returns e^x for x <= 0."""
    low = x < _LOWEST  # false for NaN, which stays NaN
    x = _LOWEST if low else x
    n = np.floor(x * _LOG2_E + HALF)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)  # 2^n
    found = power * (ONE + r * (ONE + r * (HALF + r * (_E3 + r * (_E4 + r * (_E5 + r * _E6))))))
    return ZERO if low else found


@compiled()
def _normal(z: np.float32) -> tuple[np.float32, np.float32]:
    """Returns exp(-z^2 / 2) and the probability that a standard normal value is below z."""
    bell = _exp(-HALF * z * z)
    t = ONE / (ONE + _P * abs(z))
    tail = _T0 + t * (_T1 + t * (_T2 + t * (_T3 + t * (_T4 + t * (_T5 + t * (_T6 + t * _T7))))))
    tail *= HALF * bell * t
    return bell, (tail if z < ZERO else ONE - tail)


@compiled()
def _ordered(bits: np.int32) -> np.int32:
    """Maps the bits of a float32 to an integer of the same order; it is its own inverse."""
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@compiled()
def _largest(row: Floats) -> np.float32:
    """Returns the largest element.

    The comparisons are of integers: compilers find no vector instructions for the maximum of floats
    that may be NaN.
    """
    bits = row.view(np.int32)
    largest = _ordered(bits[0])
    for j in range(bits.size):
        number = _ordered(bits[j])
        largest = number if number > largest else largest
    return np.int32(_ordered(largest)).view(np.float32)


@compiled()
def gelu(x: Floats, bias: Floats, keep: Booleans, scale: Floats, out: Floats) -> None:
    """Computes gelu(x + bias) of `(rows, D)`, times the row's `scale` where `keep`, else 0."""
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
    """Computes the gradient of `x + bias` from `upper`, that of the output.

    The output is also computed `again`.
    """
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
def _sigmoid(t: np.float32) -> np.float32:
    """Returns 1 / (1 + exp(-t))."""
    low = _exp(-abs(t))
    share = ONE / (ONE + low)
    return low * share if t < ZERO else share


@compiled()
def _gated(x: Floats, bias: Floats, keep: Booleans, scale: Floats, gate: Gate, out: Floats) -> None:
    """Computes what `activate` does, for an activation with a sigmoid."""
    for i in range(x.shape[0]):
        row, result, factor = x[i], out[i], scale[i]
        if keep.size:
            kept = keep[i]
            for j in range(row.size):
                z = row[j] + bias[j]
                share = _sigmoid(z * (gate.linear + gate.cubic * z * z))
                result[j] = z * share * (factor if kept[j] else ZERO)
        else:
            for j in range(row.size):
                z = row[j] + bias[j]
                result[j] = z * _sigmoid(z * (gate.linear + gate.cubic * z * z)) * factor


@compiled()
def _gated_gradient(
    x: Floats,
    bias: Floats,
    keep: Booleans,
    scale: Floats,
    gate: Gate,
    upper: Floats,
    again: Floats,
    out: Floats,
) -> None:
    """Computes what `activate_gradient` does, for an activation with a sigmoid."""
    for i in range(x.shape[0]):
        row, up, active, result, factor = x[i], upper[i], again[i], out[i], scale[i]
        for j in range(row.size):
            z = row[j] + bias[j]
            square = gate.cubic * z * z
            share = _sigmoid(z * (gate.linear + square))
            steep = z * (ONE - share) * (gate.linear + _THREE * square)
            active[j] = z * share * factor
            result[j] = up[j] * share * (ONE + steep) * factor
        if keep.size:
            kept = keep[i]
            for j in range(row.size):
                active[j] *= ONE if kept[j] else ZERO
                result[j] *= ONE if kept[j] else ZERO


@compiled()
def activate(
    x: Floats, bias: Floats, keep: Booleans, scale: Floats, gate: Gate, out: Floats
) -> None:
    """Computes the activation of `x + bias` `(rows, D)`, times the row's scale where `keep`."""
    if gate.linear == ZERO:
        gelu(x, bias, keep, scale, out)
    else:
        _gated(x, bias, keep, scale, gate, out)


@compiled()
def activate_gradient(
    x: Floats,
    bias: Floats,
    keep: Booleans,
    scale: Floats,
    gate: Gate,
    upper: Floats,
    again: Floats,
    out: Floats,
) -> None:
    """Computes the gradient of `x + bias` from `upper`, and the output `again`."""
    if gate.linear == ZERO:
        gelu_gradient(x, bias, keep, scale, upper, again, out)
    else:
        _gated_gradient(x, bias, keep, scale, gate, upper, again, out)


@compiled()
def softmax(x: Floats, out: Floats) -> None:
    """Computes the softmax of each row of `(rows, N)`."""
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
    """Computes the gradient of `x` from `upper`, that of `weights = softmax(x)`."""
    for i in range(weights.shape[0]):
        row, up, result = weights[i], upper[i], out[i]
        mean = dot(row, up)
        for j in range(row.size):
            result[j] = row[j] * (up[j] - mean)
