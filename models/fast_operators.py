"""The second form of `models/operators.py`: compiled loops and matrix products, with written gradients.

What a gradient needs is kept as tensors, so that Paddle's `recompute` can drop it; it loses strides, so all of it is
contiguous.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.autograd import PyLayer

from common.threads import parts, share
from models import compiled
from models.compiled import Inside, Noise, Weights
from models.memory import Mask, view

_BLOCK = 64  # rows whose sums are taken together


def _empty(shape) -> Tensor:
    return paddle.empty(shape, paddle.float32)


def _rows(tensor: Tensor) -> np.ndarray:
    return view(tensor).reshape(-1, tensor.shape[-1])


def _needed(*inputs: Tensor) -> tuple[bool, ...]:
    """Which of them a backward function must give gradients for; it must give None for the others."""
    return tuple(not tensor.stop_gradient for tensor in inputs)


def _of_needed(needed: tuple[bool, ...], gradients: list[Tensor]) -> tuple[Tensor | None, ...]:
    return tuple(gradient if due else None for gradient, due in zip(gradients, needed))


# The residual branches


class _Given(NamedTuple):
    """What a branch is given beside tensors."""

    epsilon: float
    heads: int  # 0: it is an MLP
    queries: int  # tokens of the output
    inner_scales: tuple[float, ...]  # of the masks, by copies
    scales: tuple[float, ...]
    path: np.ndarray | None  # by what each image's branch is multiplied
    kept: bool  # whether there will be a gradient


def attention_branch(x: Tensor, norm: nn.LayerNorm, attention: nn.Layer, path: nn.Layer, queries: int) -> Tensor:
    """See `models/operators.py`."""
    images, tokens, width = x.shape
    masks = (
        attention.attn_drop.mask([attention.heads, images, queries, tokens]),
        attention.proj_drop.mask([images, queries, width]),
    )
    return _branch(x, norm, attention.qkv, attention.proj, masks, path, attention.heads, queries)


def mlp_branch(x: Tensor, norm: nn.LayerNorm, mlp: nn.Layer, path: nn.Layer) -> Tensor:
    """See `models/operators.py`."""
    masks = mlp.drop.mask([*x.shape[:-1], mlp.fc1.weight.shape[1]]), mlp.drop.mask(x.shape)
    return _branch(x, norm, mlp.fc1, mlp.fc2, masks, path, 0, x.shape[1])


def _branch(
    x: Tensor,
    norm: nn.LayerNorm,
    first: nn.Linear,
    last: nn.Linear,
    masks: tuple[Mask | None, Mask | None],
    path: nn.Layer,
    heads: int,
    queries: int,
) -> Tensor:
    weights = [norm.weight, norm.bias, first.weight, first.bias, last.weight, last.bias]
    kept = paddle.is_grad_enabled() and any(_needed(x, *weights))
    scales = [mask.scales if mask else () for mask in masks]
    given = _Given(norm._epsilon, heads, queries, *scales, path.factors(x.shape[0]), kept)
    arguments = x, *weights, *(mask.keep if mask else None for mask in masks), given
    return _Branch.apply(*arguments) if kept else _forward(*arguments)[0]


def _forward(x: Tensor, *rest) -> tuple[Tensor, list[Tensor]]:
    """The output of a branch, and what its gradient needs of it."""
    *weights, inner_keep, keep, given = rest
    x = x.contiguous()
    out, kept = _empty([x.shape[0], given.queries, *x.shape[2:]]), _to_keep(x, weights, given)
    arrays = _Arrays(x, weights, inner_keep, keep, kept, given)

    def run(_, begin: int, end: int) -> None:
        common = begin, end, arrays.x, arrays.weights, np.float32(given.epsilon)
        if given.heads:
            compiled.attention(*common, given.heads, arrays.noise, arrays.inside, *arrays.attention, view(out))
        else:
            compiled.mlp(*common, arrays.noise, arrays.inside, _rows(out))

    share(run, arrays.bounds)
    return out, [x, *weights, *(mask for mask in (inner_keep, keep) if mask is not None), *kept]


class _Branch(PyLayer):
    @staticmethod
    def forward(ctx, x, *rest):
        *weights, inner_keep, keep, given = rest
        ctx.given, ctx.needed = given, _needed(x, *weights)
        ctx.masked = [mask is not None for mask in (inner_keep, keep)]
        out, saved = _forward(x, *rest)
        ctx.save_for_backward(*saved)
        return out

    @staticmethod
    def backward(ctx, upper):
        x, *rest = ctx.saved_tensor()
        weights, rest, given = rest[:6], rest[6:], ctx.given
        inner_keep, keep = (rest.pop(0) if masked else None for masked in ctx.masked)
        upper, out = upper.contiguous(), _empty(x.shape)
        arrays = _Arrays(x, weights, inner_keep, keep, rest, given)
        sums = [_zeros(weights, ctx.needed[1:]) for _ in arrays.bounds]

        def run(part: int, begin: int, end: int) -> None:
            common, own = (begin, end, arrays.x, arrays.weights), Weights(*map(view, sums[part]))
            if given.heads:
                others = arrays.noise, arrays.inside, *arrays.attention
                compiled.attention_gradient(*common, given.heads, *others, view(upper), view(out), own)
            else:
                compiled.mlp_gradient(*common, arrays.noise, arrays.inside, _rows(upper), _rows(out), own)

        share(run, arrays.bounds)
        for others in zip(*sums):
            _add_up([view(one) for one in others])
        gradients = _of_needed(ctx.needed, [out, *sums[0]])
        return (*gradients, *(None for masked in ctx.masked if masked))


def _to_keep(x: Tensor, weights: list[Tensor], given: _Given) -> list[Tensor]:
    """Room for what the gradient needs, in the order of `Inside`; what only attention has is left out for an MLP."""
    if not given.kept:
        return []
    images, tokens, width = x.shape
    shapes = [[images, tokens], [images, tokens], [images, tokens, weights[2].shape[1]]]
    if given.heads:
        shapes += [[given.heads, images, given.queries, tokens], [images, given.queries, width]]
    return [_empty(shape) for shape in shapes]


class _Arrays:
    """The arguments of the compiled loops: those of attention go by images, those of an MLP by rows."""

    def __init__(self, x, weights, inner_keep, keep, kept, given: _Given):
        images, tokens = x.shape[:2]
        self.x, self.weights = view(x), Weights(*map(view, weights))
        rows = (images, given.queries)
        inner = (given.heads, *rows) if given.heads else (images, tokens)
        scales = _scales(keep, given.scales, rows)
        if given.path is not None:
            scales *= given.path[:, np.newaxis]
        inner_scales = _scales(inner_keep, given.inner_scales, inner)
        self.noise = Noise(_keep(inner_keep, inner), inner_scales, _keep(keep, rows), scales)
        mean, scale, first, *attention = map(view, kept) if kept else _not_kept(images, tokens)
        self.inside, self.attention = Inside(mean, scale, first), attention
        if not given.heads:
            self.x, self.noise, self.inside = (
                _flat(self.x),
                Noise(*map(_flat, self.noise)),
                Inside(*map(_flat, self.inside)),
            )
        self.bounds = parts(len(self.x), self.x[0].size)


def _keep(mask: Tensor | None, rows: tuple[int, ...]) -> np.ndarray:
    return np.empty((*rows, 0), np.bool_) if mask is None else view(mask)


def _scales(mask: Tensor | None, scales: tuple[float, ...], rows: tuple[int, ...]) -> np.ndarray:
    return np.ones(rows, np.float32) if mask is None else Mask(mask, scales).row_scales().reshape(rows)


def _flat(array: np.ndarray) -> np.ndarray:
    """The first two axes as one."""
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])


def _not_kept(images: int, tokens: int) -> list[np.ndarray]:
    """What there is in the place of `_to_keep`: numbers that are always written, and nothing else."""
    shapes = (images, tokens), (images, tokens), (images, tokens, 0), (0, 0, 0, 0), (0, 0, 0)
    return [np.empty(shape, np.float32) for shape in shapes]


def _zeros(weights: list[Tensor], needed: tuple[bool, ...]) -> list[Tensor]:
    """Room for sums of gradients; none for matrices whose gradients nobody needs."""
    return [
        paddle.zeros([0, 0] if len(weight.shape) == 2 and not due else weight.shape)
        for weight, due in zip(weights, needed)
    ]


def _add_up(arrays: list[np.ndarray]) -> None:
    """Add all to the first."""
    first, *others = (array.reshape(-1) for array in arrays)

    def add(_, begin: int, end: int) -> None:
        for other in others:
            np.add(first[begin:end], other[begin:end], out=first[begin:end])

    if others:
        share(add, parts(first.size, 1))


# Single operators


def normalise(images: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """See `models/operators.py`."""
    pixels = view(images.contiguous()).reshape(images.shape[0] * images.shape[1], -1)
    mean, deviation = (np.tile(np.array(one, np.float32), images.shape[0]) for one in (mean, deviation))
    return _by_rows(compiled.normalise, pixels, mean, deviation).reshape(images.shape)


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
    return _by_rows(compiled.masked, _rows(x.contiguous()), _rows(mask.keep), mask.row_scales()).reshape(x.shape)


def _by_rows(loop: Callable, *arrays: np.ndarray) -> Tensor:
    """Call `loop` with rows of the arrays, and those of a new tensor of the shape of the first, which it gives."""
    out = _empty(list(arrays[0].shape))
    target = view(out)
    share(lambda _, begin, end: loop(*(array[begin:end] for array in arrays), target[begin:end]), parts(*out.shape))
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

    share(run, parts(blocks, _BLOCK * width))
    return [paddle.to_tensor(total) for total in partial.sum(axis=0)]


class Gelu(PyLayer):
    @staticmethod
    def forward(ctx, x):
        x = x.contiguous()
        ctx.save_for_backward(x)
        return _by_rows(_gelu, _rows(x)).reshape(x.shape)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensor()
        return _by_rows(_gelu_gradient, _rows(x), _rows(gradient.contiguous())).reshape(x.shape)


def _undisturbed(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """No bias, no mask, and the scale 1."""
    return np.zeros(x.shape[1], np.float32), np.empty((0, 0), np.bool_), np.ones(len(x), np.float32)


def _gelu(x: np.ndarray, out: np.ndarray) -> None:
    compiled.gelu(x, *_undisturbed(x), out)


def _gelu_gradient(x: np.ndarray, upper: np.ndarray, out: np.ndarray) -> None:
    compiled.gelu_gradient(x, *_undisturbed(x), upper, np.empty_like(x), out)


class Softmax(PyLayer):
    @staticmethod
    def forward(ctx, x):
        loop = lambda x, out: compiled.softmax(x, np.float32(1), out)  # noqa: E731
        out = _by_rows(loop, _rows(x.contiguous())).reshape(x.shape)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx, gradient):
        (weights,) = ctx.saved_tensor()
        loop = lambda weights, upper, out: compiled.softmax_gradient(weights, np.float32(1), upper, out)  # noqa: E731
        return _by_rows(loop, _rows(weights), _rows(gradient.contiguous())).reshape(weights.shape)


class LayerNorm(PyLayer):
    @staticmethod
    def forward(ctx, x, weight, bias, epsilon):
        x = x.contiguous()
        rows = _rows(x)
        mean, scale = (_empty([len(rows)]) for _ in range(2))

        def loop(x: np.ndarray, mean: np.ndarray, scale: np.ndarray, out: np.ndarray) -> None:
            compiled.layer_norm(x, view(weight), view(bias), np.float32(epsilon), mean, scale, out)

        ctx.save_for_backward(x, weight, mean, scale)
        ctx.needed = _needed(x, weight, bias)
        return _by_rows(loop, rows, view(mean), view(scale)).reshape(x.shape)

    @staticmethod
    def backward(ctx, gradient):
        x, weight, mean, scale = ctx.saved_tensor()
        out = _empty(x.shape)
        by_rows = [_rows(x), view(mean), view(scale), _rows(gradient.contiguous()), _rows(out)]

        def loop(begin: int, end: int, for_weight: np.ndarray, for_bias: np.ndarray) -> None:
            x, mean, scale, upper, out = (array[begin:end] for array in by_rows)
            compiled.layer_norm_gradient(x, view(weight), mean, scale, upper, x[:0], out, for_weight, for_bias)

        return _of_needed(ctx.needed, [out, *_by_blocks(loop, by_rows[0], 2)])


class Linear(PyLayer):
    @staticmethod
    def forward(ctx, x, weight, bias):
        x = x.contiguous()
        ctx.save_for_backward(x, weight)
        ctx.needed = _needed(*(tensor for tensor in (x, weight, bias) if tensor is not None))
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
    return _by_blocks(lambda begin, end, total: compiled.add_rows(rows[begin:end], total), rows, 1)[0]
