"""Tensors in the CPU's memory as arrays, and the masks of dropout."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import paddle
from paddle import Tensor

_KINDS = {paddle.float32: "<f4", paddle.bool: "|b1", paddle.uint8: "|u1"}


class Mask(NamedTuple):
    """Dropout: what is kept, booleans, is multiplied by a scale; the rest becomes 0.

    There is a scale for each of equally long parts of the first axis, the copies of images, one
    after the other.
    """

    keep: Tensor
    scales: tuple[float, ...]

    def factors(self) -> Tensor:
        """What the elements are multiplied by, float32 of the shape of `keep`."""
        scales = paddle.to_tensor(self.scales, "float32").unsqueeze(1)
        return (self.keep.reshape([len(self.scales), -1]).astype("float32") * scales).reshape(
            self.keep.shape
        )

    def row_scales(self) -> np.ndarray:
        """The scale of each row, the last axis of `keep`."""
        rows = self.keep.size // (self.keep.shape[-1] * len(self.scales))
        return np.repeat(np.array(self.scales, np.float32), rows)


def view(tensor: Tensor) -> np.ndarray:
    """The memory of a contiguous tensor on the CPU as an array, which keeps the tensor alive.

    Raises:
        ValueError: when it is not contiguous.
    """
    if not tensor.is_contiguous():
        raise ValueError(f"a tensor {tensor.shape} is not contiguous")
    shape, kind = tuple(tensor.shape), _KINDS[tensor.dtype]
    if 0 in shape:  # it has no address
        return np.empty(shape, kind)
    interface = {"data": (tensor.data_ptr(), False), "shape": shape, "typestr": kind, "version": 3}
    return np.asarray(_Memory(interface, tensor))


class _Memory:
    """What an array has for its base, which keeps the tensor alive."""

    def __init__(self, interface: dict, tensor: Tensor):
        self.__array_interface__ = interface
        self.tensor = tensor
