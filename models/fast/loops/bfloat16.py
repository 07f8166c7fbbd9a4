"""Rounds the operands of matrix products to bfloat16, where a branch computes with it.

A value of bfloat16 is kept as its 16 bits, the upper half of those of a float32, in uint16.
"""

import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import NDArray

from common.threads import in_threads, parts
from models.fast.loops.compiler import Floats, compiled

Halves = NDArray[np.uint16]

_HALF, _LAST, _SHIFT = np.uint32(0x7FFF), np.uint32(1), np.uint32(16)
_POSITIVE, _INFINITE, _NAN = np.uint32(0x7FFFFFFF), np.uint32(0x7F800000), np.uint16(0x7FC0)


@compiled()
def round_rows(x: Floats, out: Halves) -> None:
    """Rounds `(rows, D)` to the nearest value of bfloat16, ties to even; NaN stays NaN."""
    for i in range(x.shape[0]):
        row, result = x[i].view(np.uint32), out[i]
        for j in range(row.size):
            bits = row[j]
            rounded = (bits + _HALF + ((bits >> _SHIFT) & _LAST)) >> _SHIFT
            result[j] = _NAN if (bits & _POSITIVE) > _INFINITE else np.uint16(rounded)


def rounded(matrix: Floats) -> Halves:
    """Returns a matrix rounded to bfloat16; threads share its rows."""
    out = np.empty(matrix.shape, np.uint16)
    in_threads(
        lambda _, begin, end: round_rows(matrix[begin:end], out[begin:end]), parts(*matrix.shape)
    )
    return out


def operand(x: Floats, like: Floats | Halves) -> Floats | Halves:
    """Returns a matrix `(rows, D)` as an operand of products in the type of `like`.

    It is `x` itself where that is float32. For compiled loops only.
    """
    raise NotImplementedError


@overload(operand)
def _operand(x, like):
    if like.dtype == types.uint16:

        def round_operand(x, like):
            out = np.empty(x.shape, np.uint16)
            round_rows(x, out)
            return out

        return round_operand
    return lambda x, like: x
