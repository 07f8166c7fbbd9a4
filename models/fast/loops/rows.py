"""Compiled loops over the rows of arrays: sums, masks, layer norm, residual connections, pixels.

These are operators that are slow or single-threaded in Paddle's CPU build. The loops of this folder
take float32 and any number of rows, so that threads can share the rows: the result of a row does
not depend on how they are shared. No output is also an input, since compilers would not vectorise
such a loop. NaN stays NaN. An array without elements stands for no array.
"""

import numpy as np

from models.fast.loops.compiler import ONE, ZERO, Booleans, Bytes, Floats, Real, compiled


@compiled("reassoc")
def sum_of(row: Floats) -> np.float32:
    """Returns the sum of `(N,)`."""
    total = ZERO
    for j in range(row.size):
        total += row[j]
    return total


@compiled("reassoc")
def dot(first: Floats, second: Floats) -> np.float32:
    """Returns the inner product of two arrays `(N,)`."""
    total = ZERO
    for j in range(first.size):
        total += first[j] * second[j]
    return total


@compiled()
def normalise(pixels: Bytes, mean: Floats, deviation: Floats, out: Floats) -> None:
    """Subtracts each row's `mean` from uint8 `(rows, pixels)`, and divides by its `deviation`."""
    for i in range(pixels.shape[0]):
        row, result, m, d = pixels[i], out[i], mean[i], deviation[i]
        for j in range(row.size):
            result[j] = (Real(row[j]) - m) / d


@compiled()
def masked(x: Floats, keep: Booleans, scale: Floats, out: Floats) -> None:
    """Multiplies `(rows, D)` by the row's `scale` where `keep`; the other elements become 0."""
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
def add_rows(x: Floats, total: Floats) -> None:
    """Adds the rows of `(rows, D)` to `(D,)`."""
    for i in range(x.shape[0]):
        row = x[i]
        for j in range(row.size):
            total[j] += row[j]


@compiled()
def residual(
    x: Floats, branch: Floats, bias: Floats, keep: Booleans, scale: Floats, out: Floats
) -> None:
    """Adds the masked `branch + bias` to `x`; all are `(rows, D)`, `bias` is `(D,)`."""
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
    """Adds `(rows, N)` to `out`."""
    for i in range(x.shape[0]):
        row, result = x[i], out[i]
        for j in range(row.size):
            result[j] += row[j]


@compiled()
def copy_row(row: Floats, out: Floats) -> None:
    """Copies `(D,)` to each row of `out`."""
    for i in range(out.shape[0]):
        result = out[i]
        for j in range(row.size):
            result[j] = row[j]


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
