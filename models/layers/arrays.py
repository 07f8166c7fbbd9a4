"""Views of tensors in CPU memory as numpy arrays, and the masks of dropout."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import paddle
from paddle import Tensor

_TYPES = {paddle.float32: "<f4", paddle.bool: "|b1", paddle.uint8: "|u1"}


class Mask(NamedTuple):
    """A mask of dropout: kept elements are multiplied by a scale, the others become 0.

    The first axis consists of equally long parts, one for each copy of the images. Each part has a
    scale of its own.
    """

    keep: Tensor  # booleans
    scales: tuple[float, ...]  # one for each copy, or one for all

    def factors(self) -> Tensor:
        """Returns the factor of each element, float32, with the shape of `keep`."""
        scales = paddle.to_tensor(self.scales, "float32").unsqueeze(1)
        parts = self.keep.reshape([len(self.scales), -1]).astype("float32")
        return (parts * scales).reshape(self.keep.shape)

    def row_scales(self) -> np.ndarray:
        """Returns the scale of each row; a row is the last axis of `keep`."""
        rows = self.keep.size // (self.keep.shape[-1] * len(self.scales))
        return np.repeat(np.array(self.scales, np.float32), rows)


def view(tensor: Tensor) -> np.ndarray:
    """Returns the memory of a contiguous CPU tensor as an array, which keeps the tensor alive.

    Raises:
        ValueError: when the tensor is not contiguous.
    """
    if not tensor.is_contiguous():
        raise ValueError(f"a tensor {tensor.shape} is not contiguous")
    shape, kind = tuple(tensor.shape), _TYPES[tensor.dtype]
    if 0 in shape:  # such a tensor has no address
        return np.empty(shape, kind)
    interface = {"data": (tensor.data_ptr(), False), "shape": shape, "typestr": kind, "version": 3}
    return np.asarray(SimpleNamespace(__array_interface__=interface, tensor=tensor))
