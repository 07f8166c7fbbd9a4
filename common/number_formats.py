"""Decodes numbers that numpy has no type for: bfloat16 and the four kinds of float8.

The layouts of float8 are those of https://arxiv.org/abs/2209.05433 (e4m3fn, e5m2) and of
https://arxiv.org/abs/2206.02915 (fnuz: no negative zero, one NaN, no infinity).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FLOAT8 = {  # bits of the exponent, and its bias
    "float8_e4m3fn": (4, 7),
    "float8_e5m2": (5, 15),
    "float8_e4m3fnuz": (4, 8),
    "float8_e5m2fnuz": (5, 16),
}
WIDENED = ("bfloat16", *_FLOAT8)  # what becomes float32


def size_of(dtype: str) -> int:
    """Returns the bytes of a value; `dtype` is numpy's name of a type, or one of `WIDENED`."""
    if dtype in WIDENED:
        return 2 if dtype == "bfloat16" else 1
    return np.dtype(dtype).itemsize


def numpys(dtype: str) -> np.dtype[Any]:
    """Returns the type of the array that `decode` makes."""
    return np.dtype("float32" if dtype in WIDENED else dtype)


def decode(content: bytes | NDArray[np.uint8], dtype: str) -> NDArray[Any]:
    """Returns the values of some bytes, exactly; what numpy has no type for becomes float32.

    Args:
        content: bytes of the values, the lowest byte first.
        dtype: see `size_of`.
    """
    if dtype == "bfloat16":
        return widen(np.frombuffer(content, np.uint16))
    if dtype in _FLOAT8:
        return _float8(dtype)[np.frombuffer(content, np.uint8)]
    if isinstance(content, np.ndarray):
        return content.view(dtype)
    return np.frombuffer(content, dtype)


def widen(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Converts the bits of bfloat16 values to float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


@cache
def _float8(dtype: str) -> NDArray[np.float32]:
    """Returns the 256 values of a kind of float8."""
    exponent_bits, bias = _FLOAT8[dtype]
    mantissa_bits = 7 - exponent_bits
    bits = np.arange(256)
    sign = np.where(bits & 0x80, -1.0, 1.0)
    exponent = (bits & 0x7F) >> mantissa_bits
    fraction = (bits & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    leading = np.minimum(exponent, 1)  # 0: a subnormal number
    values = sign * (leading + fraction) * 2.0 ** (np.maximum(exponent, 1) - bias)
    if dtype.endswith("fnuz"):
        values[0x80] = np.nan
    elif dtype == "float8_e4m3fn":
        values[[0x7F, 0xFF]] = np.nan
    else:
        values[[0x7C, 0xFC]] = np.inf, -np.inf
        values[[0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF]] = np.nan
    return values.astype(np.float32)
