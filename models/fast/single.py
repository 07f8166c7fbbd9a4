"""The second form of single operators of `models/layers/operators.py`: compiled loops with written
gradients.

What a gradient needs is kept as tensors, so that Paddle's `recompute` can drop it; it loses
strides, so all of it is contiguous.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import paddle
from paddle import Tensor
from paddle.autograd import PyLayer

from common.threads import in_threads, parts
from models.fast import row_loops as loops
from models.layers.arrays import Mask, view

_BLOCK = 64  # rows whose sums are taken together


def empty(shape) -> Tensor:
    return paddle.empty(shape, paddle.float32)


def as_rows(tensor: Tensor) -> np.ndarray:
    return view(tensor).reshape(-1, tensor.shape[-1])


def needed(*inputs: Tensor) -> tuple[bool, ...]:
    """Which of them a backward function must give gradients for; it must give None for the
    others.
    """
    return tuple(not tensor.stop_gradient for tensor in inputs)


def of_needed(due: tuple[bool, ...], gradients: list[Tensor]) -> tuple[Tensor | None, ...]:
    return tuple(gradient if wanted else None for gradient, wanted in zip(gradients, due))


def normalise(images: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """See `models/layers/operators.py`."""
    pixels = view(images.contiguous()).reshape(images.shape[0] * images.shape[1], -1)
    mean, deviation = (
        np.tile(np.array(one, np.float32), images.shape[0]) for one in (mean, deviation)
    )
    return _by_rows(loops.normalise, pixels, mean, deviation).reshape(images.shape)


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
    return _by_rows(
        loops.masked, as_rows(x.contiguous()), as_rows(mask.keep), mask.row_scales()
    ).reshape(x.shape)


def _by_rows(loop: Callable, *arrays: np.ndarray) -> Tensor:
    """Call `loop` with rows of the arrays, and those of a new tensor of the shape of the first,
    which it gives.
    """
    out = empty(list(arrays[0].shape))
    target = view(out)
    in_threads(
        lambda _, begin, end: loop(*(array[begin:end] for array in arrays), target[begin:end]),
        parts(*out.shape),
    )
    return out


def _by_blocks(loop: Callable, rows: np.ndarray, sums: int) -> list[Tensor]:
    """Call `loop(begin, end, *sums)` for blocks of rows; gives the totals of the sums, each `(D,)`.

    The blocks are the same for any number of threads, and so are the totals.
    """
    blocks, width = math.ceil(len(rows) / _BLOCK), rows.shape[1]
    partial = np.zeros((blocks, sums, width), np.float32)

    def run(_, begin: int, end: int) -> None:
        for block in range(begin, end):
            loop(block * _BLOCK, min((block + 1) * _BLOCK, len(rows)), *partial[block])

    in_threads(run, parts(blocks, _BLOCK * width))
    with np.errstate(over="ignore", invalid="ignore"):  # who must know looks at the gradient
        return [paddle.to_tensor(total) for total in partial.sum(axis=0)]


class Gelu(PyLayer):
    @staticmethod
    def forward(ctx, x):
        x = x.contiguous()
        ctx.save_for_backward(x)
        return _by_rows(_gelu, as_rows(x)).reshape(x.shape)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensor()
        return _by_rows(_gelu_gradient, as_rows(x), as_rows(gradient.contiguous())).reshape(x.shape)


def _undisturbed(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """No bias, no mask, and the scale 1."""
    return np.zeros(x.shape[1], np.float32), np.empty((0, 0), np.bool_), np.ones(len(x), np.float32)


def _gelu(x: np.ndarray, out: np.ndarray) -> None:
    loops.gelu(x, *_undisturbed(x), out)


def _gelu_gradient(x: np.ndarray, upper: np.ndarray, out: np.ndarray) -> None:
    loops.gelu_gradient(x, *_undisturbed(x), upper, np.empty_like(x), out)


class LayerNorm(PyLayer):
    @staticmethod
    def forward(ctx, x, weight, bias, epsilon):
        x = x.contiguous()
        rows = as_rows(x)
        mean, scale = (empty([len(rows)]) for _ in range(2))

        def loop(x: np.ndarray, mean: np.ndarray, scale: np.ndarray, out: np.ndarray) -> None:
            loops.layer_norm(x, view(weight), view(bias), np.float32(epsilon), mean, scale, out)

        ctx.save_for_backward(x, weight, mean, scale)
        ctx.needed = needed(x, weight, bias)
        return _by_rows(loop, rows, view(mean), view(scale)).reshape(x.shape)

    @staticmethod
    def backward(ctx, gradient):
        x, weight, mean, scale = ctx.saved_tensor()
        out = empty(x.shape)
        by_rows = [
            as_rows(x),
            view(mean),
            view(scale),
            as_rows(gradient.contiguous()),
            as_rows(out),
        ]

        def loop(begin: int, end: int, for_weight: np.ndarray, for_bias: np.ndarray) -> None:
            x, mean, scale, upper, out = (array[begin:end] for array in by_rows)
            loops.layer_norm_gradient(
                x, view(weight), mean, scale, upper, x[:0], out, for_weight, for_bias
            )

        return of_needed(ctx.needed, [out, *_by_blocks(loop, by_rows[0], 2)])


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
        given = (
            lambda: paddle.matmul(upper, weight, transpose_y=True).reshape(x.shape),
            lambda: paddle.matmul(x.reshape([-1, x.shape[-1]]), upper, transpose_x=True),
            lambda: _sum_of_rows(view(upper.contiguous())),
        )
        return tuple(gradient() if due else None for gradient, due in zip(given, ctx.needed))


def _sum_of_rows(rows: np.ndarray) -> Tensor:
    return _by_blocks(lambda begin, end, total: loops.add_rows(rows[begin:end], total), rows, 1)[0]
