"""Compiled layer norm of the rows of arrays, and its gradient."""

import numpy as np

from models.fast.compiler import ONE, ZERO, Floats, Real, compiled
from models.fast.row_loops import sum_of


@compiled("reassoc")
def _squares(row: Floats, mean: np.float32) -> np.float32:
    total = ZERO
    for j in range(row.size):
        total += (row[j] - mean) * (row[j] - mean)
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
def layer_norm(
    x: Floats,
    weight: Floats,
    bias: Floats,
    epsilon: np.float32,
    mean: Floats,
    scale: Floats,
    out: Floats,
) -> None:
    """Normalises the rows of `(rows, D)`.

    It also writes the `mean` and the `scale` (1 over the deviation) of each row, which the gradient
    needs.
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
    """Normalises rows whose `mean` and `scale` are known."""
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
    """Computes the gradients from `upper`, that of the output.

    Args:
        x: the input, `(rows, D)`.
        weight: `(D,)`.
        mean: of each row of `x`.
        scale: of each row of `x`.
        upper: `(rows, D)`.
        base: added to the gradient of `x`; it may have fewer rows, or none.
        out: gets the gradient of `x`.
        for_weight: the gradient of `weight` is added to it.
        for_bias: the gradient of the bias is added to it.
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
