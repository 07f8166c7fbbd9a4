"""Compiled versions of single operators of `models/layers/operators.py`, with written gradients.

What a gradient needs is kept as tensors, so that Paddle's `recompute` can drop it. That loses
strides, so all these tensors are contiguous.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import paddle
from paddle import Tensor
from paddle.autograd import PyLayer

from common.threads import in_threads, parts
from models.fast.loops import activations
from models.fast.loops import rows as row_loops
from models.layers.arrays import Mask, view

_BLOCK = 64  # rows whose sums are taken together


def empty(shape: Sequence[int]) -> Tensor:
    """Returns a float32 tensor whose values are still to be written."""
    return paddle.empty(shape, paddle.float32)


def _as_rows(tensor: Tensor) -> np.ndarray:
    return view(tensor).reshape(-1, tensor.shape[-1])


def needed(*inputs: Tensor) -> tuple[bool, ...]:
    """Returns which inputs need a gradient; a backward function must return None for the others."""
    return tuple(not tensor.stop_gradient for tensor in inputs)


def of_needed(due: tuple[bool, ...], gradients: list[Tensor]) -> tuple[Tensor | None, ...]:
    """Returns the gradients, with None for those that are not due."""
    return tuple(gradient if wanted else None for gradient, wanted in zip(gradients, due))


def normalise(images: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """See `models/layers/operators.py`."""
    pixels = view(images.contiguous()).reshape(images.shape[0] * images.shape[1], -1)
    mean, deviation = (
        np.tile(np.array(one, np.float32), images.shape[0]) for one in (mean, deviation)
    )
    return _by_rows(row_loops.normalise, pixels, mean, deviation).reshape(images.shape)


class Masked(PyLayer):
    @staticmethod
    def forward(ctx, x, keep, scales):
        ctx.save_for_backward(keep)
        ctx.scales = scales
        return _masked(x, Mask(keep, scales))

    @staticmethod
    def backward(ctx, gradient):
        return _masked(gradient, Mask(*ctx.saved_tensor(), ctx.scales)), None


def _masked(x: Tensor, mask: Mask) -> Tensor:
    arrays = _as_rows(x.contiguous()), _as_rows(mask.keep), mask.row_scales()
    return _by_rows(row_loops.masked, *arrays).reshape(x.shape)


def _by_rows(loop: Callable, *arrays: np.ndarray) -> Tensor:
    """Returns a tensor of the first array's shape that `loop(*arrays, out)` fills, in threads."""
    out = empty(list(arrays[0].shape))
    target = view(out)
    in_threads(
        lambda _, begin, end: loop(*(array[begin:end] for array in arrays), target[begin:end]),
        parts(*out.shape),
    )
    return out


def _by_blocks(loop: Callable, rows: np.ndarray, sums: int) -> list[Tensor]:
    """Calls `loop(begin, end, *sums)` for blocks of rows, and returns the totals, each `(D,)`.

    The blocks are the same for any number of threads, and so are the totals.
    """
    blocks, width = math.ceil(len(rows) / _BLOCK), rows.shape[1]
    partial = np.zeros((blocks, sums, width), np.float32)

    def run(_, begin: int, end: int) -> None:
        for block in range(begin, end):
            loop(block * _BLOCK, min((block + 1) * _BLOCK, len(rows)), *partial[block])

    in_threads(run, parts(blocks, _BLOCK * width))
    with np.errstate(over="ignore", invalid="ignore"):  # the optimiser checks the gradient
        return [paddle.to_tensor(total) for total in partial.sum(axis=0)]


class Gelu(PyLayer):
    @staticmethod
    def forward(ctx, x):
        x = x.contiguous()
        ctx.save_for_backward(x)
        return _by_rows(_gelu, _as_rows(x)).reshape(x.shape)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensor()
        upper = _as_rows(gradient.contiguous())
        return _by_rows(_gelu_gradient, _as_rows(x), upper).reshape(x.shape)


def _unchanged(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns no bias, no mask, and the scale 1."""
    return np.zeros(x.shape[1], np.float32), np.empty((0, 0), np.bool_), np.ones(len(x), np.float32)


def _gelu(x: np.ndarray, out: np.ndarray) -> None:
    activations.gelu(x, *_unchanged(x), out)


def _gelu_gradient(x: np.ndarray, upper: np.ndarray, out: np.ndarray) -> None:
    activations.gelu_gradient(x, *_unchanged(x), upper, np.empty_like(x), out)


class LayerNorm(PyLayer):
    @staticmethod
    def forward(ctx, x, weight, bias, epsilon):
        x = x.contiguous()
        rows = _as_rows(x)
        mean, scale = empty([len(rows)]), empty([len(rows)])

        def loop(x: np.ndarray, mean: np.ndarray, scale: np.ndarray, out: np.ndarray) -> None:
            parameters = view(weight), view(bias), np.float32(epsilon)
            row_loops.layer_norm(x, *parameters, mean, scale, out)

        ctx.save_for_backward(x, weight, mean, scale)
        ctx.needed = needed(x, weight, bias)
        return _by_rows(loop, rows, view(mean), view(scale)).reshape(x.shape)

    @staticmethod
    def backward(ctx, gradient):
        x, weight, mean, scale = ctx.saved_tensor()
        out, rows, upper = empty(x.shape), _as_rows(x), _as_rows(gradient.contiguous())
        by_rows = [rows, view(mean), view(scale), upper, _as_rows(out)]

        def loop(begin: int, end: int, for_weight: np.ndarray, for_bias: np.ndarray) -> None:
            x, mean, scale, upper, out = (array[begin:end] for array in by_rows)
            sums = for_weight, for_bias
            row_loops.layer_norm_gradient(x, view(weight), mean, scale, upper, x[:0], out, *sums)

        return of_needed(ctx.needed, [out, *_by_blocks(loop, rows, 2)])


class Linear(PyLayer):
    @staticmethod
    def forward(ctx, x, weight, bias):
        x = x.contiguous()
        ctx.save_for_backward(x, weight)
        ctx.needed = needed(*(tensor for tensor in (x, weight, bias) if tensor is not None))
        rows = x.reshape([-1, x.shape[-1]])
        out = paddle.matmul(rows, weight) if bias is None else paddle.addmm(bias, rows, weight)
        return out.reshape([*x.shape[:-1], weight.shape[1]])

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensor()
        upper = gradient.reshape([-1, gradient.shape[-1]])
        gradients = (
            lambda: paddle.matmul(upper, weight, transpose_y=True).reshape(x.shape),
            lambda: paddle.matmul(x.reshape([-1, x.shape[-1]]), upper, transpose_x=True),
            lambda: _sum_of_rows(view(upper.contiguous())),
        )
        return tuple(one() if due else None for one, due in zip(gradients, ctx.needed))


def _sum_of_rows(rows: np.ndarray) -> Tensor:
    def add(begin: int, end: int, total: np.ndarray) -> None:
        row_loops.add_rows(rows[begin:end], total)

    return _by_blocks(add, rows, 1)[0]
