"""The second form of residual branches: each is one operator with a written gradient, its images shared by threads.

The loops are in `models/fast/*_loops.py`; this file brings tensors there and back.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.autograd import PyLayer

from common.threads import parts, share
from models.fast import attention_loops, mlp_loops, talking_loops
from models.fast.attention_loops import Windows
from models.fast.branch_parts import Inside, Noise, Weights
from models.fast.operators import empty, needed, of_needed
from models.fast.talking_loops import Talking
from models.memory import Mask, view

_PRODUCTS = 16  # that are as much work as an element of other loops


class _Given(NamedTuple):
    """What a branch is given beside tensors."""

    kind: type[_Loops]
    epsilon: float
    heads: int  # of an MLP 0
    factor: float  # of the scores
    queries: int  # tokens of the output
    inner_scales: tuple[float, ...]  # of the masks, by copies
    scales: tuple[float, ...]
    path: np.ndarray | None  # by what each image's branch is multiplied
    kept: bool  # whether there will be a gradient
    windows: tuple[np.ndarray, np.ndarray] | None = None  # the order of the tokens, and the mask


class _Loops:
    """The compiled loops of a kind of branch and their arguments, by images.

    Args:
        x: `(B, N, D)`.
        weights: in the order of `Weights`.
        others: further parameters of the kind.
        masks: of the attention or of the hidden values; of the output.
        kept: what the gradient needs, from `room`; nothing where there will be none.
        given: the rest.
    """

    def __init__(self, x: Tensor, weights, others, masks, kept, given: _Given):
        images, tokens = x.shape[:2]
        inner_keep, keep = masks
        self.x, self.weights, self.others, self.given = view(x), Weights(*map(view, weights)), others, given
        rows, inner = (images, given.queries), self.inner_rows(images, tokens)
        scales = _scales(keep, given.scales, rows)
        if given.path is not None:
            scales *= given.path[:, np.newaxis]
        inner_scales = _scales(inner_keep, given.inner_scales, inner)
        self.noise = Noise(_keep(inner_keep, inner), inner_scales, _keep(keep, rows), scales)
        mean, scale, first, *attention = map(view, kept) if kept else _not_kept(images, tokens)
        self.inside, self.attention = Inside(mean, scale, first), attention

    @functools.cached_property
    def bounds(self) -> list[tuple[int, int]]:
        """Begin and end of each thread's part."""
        return parts(len(self.x), self._work())

    @functools.cached_property
    def threads(self) -> np.int32:
        """How many threads the products of a part may have: several where much work is of few images."""
        return np.int32(max(1, len(parts(len(self.x) * self._work(), 1)) // len(self.bounds)))

    def heads(self) -> tuple[int, np.float32]:
        """Their number, and the factor of their scores."""
        return self.given.heads, np.float32(self.given.factor)

    def _work(self) -> int:
        """Of an image, as many elements of other loops would be."""
        return self.x[0].size * len(self.weights.first_bias) // _PRODUCTS

    def inner_rows(self, images: int, tokens: int) -> tuple[int, ...]:
        """Shape of the inner mask, the last axis left out."""
        raise NotImplementedError

    @staticmethod
    def room(x: Tensor, weights: list[Tensor], given: _Given) -> list[list[int]]:
        """Shapes of what the gradient needs: the fields of `Inside`, the attention's weights, and what they mix."""
        images, tokens = x.shape[:2]
        return [[images, tokens], [images, tokens], [images, tokens, weights[2].shape[1]]]

    def run(self, begin: int, end: int, out: np.ndarray) -> None:
        """Compute part of the output `(B, M, D)`."""
        raise NotImplementedError

    def run_gradient(self, begin: int, end: int, upper: np.ndarray, out: np.ndarray, sums: list[np.ndarray]) -> None:
        """Compute part of the gradient `out`, and add those for weights and others to `sums`."""
        raise NotImplementedError


class _Mlp(_Loops):
    """By rows, not by images."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.x, self.noise, self.inside = (
            _flat(self.x),
            Noise(*map(_flat, self.noise)),
            Inside(*map(_flat, self.inside)),
        )

    def inner_rows(self, images: int, tokens: int) -> tuple[int, ...]:
        return images, tokens

    def run(self, begin, end, out):
        epsilon = np.float32(self.given.epsilon)
        mlp_loops.forward(begin, end, self.threads, self.x, self.weights, epsilon, self.noise, self.inside, _flat(out))

    def run_gradient(self, begin, end, upper, out, sums):
        arguments = self.x, self.weights, self.noise, self.inside, _flat(upper), _flat(out), Weights(*sums)
        mlp_loops.gradient(begin, end, self.threads, *arguments)


class _Attention(_Loops):
    """Of all tokens, or of those of each window."""

    def __init__(self, x, *arguments):
        super().__init__(x, *arguments)
        heads = self.given.heads
        order, mask = self.given.windows or (np.empty(0, np.int64), np.empty((0, 0, 0), np.float32))
        bias = view(self.others[0]) if self.others else np.empty((heads, 0, 0), np.float32)
        self.windows = Windows(order, bias, mask)

    def inner_rows(self, images: int, tokens: int) -> tuple[int, ...]:
        length = self.others[0].shape[-1] if self.others else tokens
        return self.given.heads, images * tokens // length, min(length, self.given.queries)

    @staticmethod
    def room(x, weights, given):
        images, tokens, width = x.shape
        length = given.windows[1].shape[-1] if given.windows else tokens
        windows = tokens // length
        attended = [given.heads, images * windows, given.queries // windows, length]
        return [*_Loops.room(x, weights, given), attended, [images, given.queries, width]]

    def run(self, begin, end, out):
        common = begin, end, self.threads, self.x, self.weights, np.float32(self.given.epsilon), *self.heads()
        attention_loops.forward(*common, self.windows, self.noise, self.inside, *self.attention, out)

    def run_gradient(self, begin, end, upper, out, sums):
        common = begin, end, self.threads, self.x, self.weights, *self.heads()
        for_bias = sums[6] if self.others else np.empty((0, 0, 0), np.float32)
        others = self.windows, self.noise, self.inside, *self.attention
        attention_loops.gradient(*common, *others, upper, out, Weights(*sums[:6]), for_bias)


class _TalkingAttention(_Loops):
    """With heads that exchange what they found."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.talking = Talking(*map(view, self.others))

    def inner_rows(self, images: int, tokens: int) -> tuple[int, ...]:
        return self.given.heads, images, tokens

    @staticmethod
    def room(x, weights, given):
        images, tokens, width = x.shape
        return [*_Loops.room(x, weights, given), [images, given.heads, tokens, tokens], [images, tokens, width]]

    def run(self, begin, end, out):
        common = begin, end, self.threads, self.x, self.weights, np.float32(self.given.epsilon), *self.heads()
        talking_loops.forward(*common, self.talking, self.noise, self.inside, *self.attention, out)

    def run_gradient(self, begin, end, upper, out, sums):
        common = begin, end, self.threads, self.x, self.weights, *self.heads()
        others = self.talking, self.noise, self.inside, *self.attention
        sums = Weights(*sums[:6]), Talking(*sums[6:])
        talking_loops.gradient(*common, *others, upper, out, *sums)


def mlp_branch(x: Tensor, norm: nn.LayerNorm, mlp: nn.Layer, path: nn.Layer, gamma: Tensor | None) -> Tensor:
    """See `models/operators.py`."""
    masks = mlp.drop.mask([*x.shape[:-1], mlp.fc1.weight.shape[1]]), mlp.drop.mask(x.shape)
    return _branch(_Mlp, x, norm, mlp.fc1, mlp.fc2, masks, path, gamma)


def attention_branch(x: Tensor, norm: nn.LayerNorm, attention: nn.Layer, path: nn.Layer, queries: int) -> Tensor:
    """See `models/operators.py`."""
    images, tokens, width = x.shape
    queries = min(queries, tokens)
    weights = attention.attn_drop.mask([attention.heads, images, queries, tokens])
    masks = weights, attention.proj_drop.mask([images, queries, width])
    fields = {"heads": attention.heads, "factor": attention.scale, "queries": queries}
    return _branch(_Attention, x, norm, attention.qkv, attention.proj, masks, path, **fields)


def window_branch(
    x: Tensor,
    norm: nn.LayerNorm,
    attention: nn.Layer,
    path: nn.Layer,
    bias: Tensor,
    order: np.ndarray,
    mask: np.ndarray,
) -> Tensor:
    """The branch of Swin's attention.

    Args:
        x: `(B, N, D)`.
        norm: of the tokens.
        attention: PPIM's layer.
        path: stochastic depth.
        bias: of the scores, `(H, L, L)`.
        order: of the tokens in W windows, `(W * L,)`.
        mask: added to the scores, `(W, L, L)`; nothing: `(0, L, L)`.
    """
    heads, length, _ = bias.shape
    weights = _heads_first(attention.attn_drop.mask([x.shape[0] * (x.shape[1] // length), heads, length, length]))
    masks = weights, attention.proj_drop.mask(x.shape)
    fields = {"heads": heads, "factor": attention.scale, "windows": (order, mask)}
    return _branch(_Attention, x, norm, attention.qkv, attention.proj, masks, path, others=[bias], **fields)


def talking_branch(x: Tensor, norm: nn.LayerNorm, attention: nn.Layer, path: nn.Layer, gamma: Tensor) -> Tensor:
    """The branch of CaiT's attention, PPIM's layer; `gamma` `(D,)` is its layer scale."""
    images, tokens, _ = x.shape
    heads = attention.num_heads
    weights = _heads_first(attention.attn_drop.mask([images, heads, tokens, tokens]))
    masks = weights, attention.proj_drop.mask(x.shape)
    mixing = [attention.proj_l.weight, attention.proj_l.bias, attention.proj_w.weight, attention.proj_w.bias]
    fields = {"heads": heads, "factor": attention.scale, "others": mixing}
    return _branch(_TalkingAttention, x, norm, attention.qkv, attention.proj, masks, path, gamma, **fields)


def _heads_first(mask: Mask | None) -> Mask | None:
    """PPIM's attention has the images on the first axis of its weights, and the heads on the second."""
    return None if mask is None else Mask(mask.keep.transpose([1, 0, 2, 3]).contiguous(), mask.scales)


def _branch(
    kind: type[_Loops],
    x: Tensor,
    norm: nn.LayerNorm,
    first: nn.Linear,
    last: nn.Linear,
    masks: tuple[Mask | None, Mask | None],
    path: nn.Layer,
    gamma: Tensor | None = None,
    heads: int = 0,
    factor: float = 0.0,
    queries: int = 0,
    others: list[Tensor] = (),
    windows: tuple[np.ndarray, np.ndarray] | None = None,
) -> Tensor:
    weights = [norm.weight, norm.bias, first.weight, first.bias, last.weight, last.bias]
    if gamma is not None:  # of the branch's output, so of its last layer's
        weights[4:] = last.weight * gamma, last.bias * gamma
    kept = paddle.is_grad_enabled() and any(needed(x, *weights, *others))
    scales = [mask.scales if mask else () for mask in masks]
    factors = path.factors(x.shape[0])
    given = _Given(kind, norm._epsilon, heads, factor, queries or x.shape[1], *scales, factors, kept, windows)
    tensors = [*weights, *others, *(mask.keep if mask else None for mask in masks)]
    return _Branch.apply(x, *tensors, given) if kept else _forward(x, tensors, given)[0]


def _forward(x: Tensor, tensors: list[Tensor | None], given: _Given) -> tuple[Tensor, list[Tensor]]:
    """The output of a branch, and what its gradient needs of it."""
    x = x.contiguous()
    kept = [empty(shape) for shape in given.kind.room(x, tensors, given)] if given.kept else []
    loops = given.kind(x, tensors[:6], tensors[6:-2], tensors[-2:], kept, given)
    out = empty([x.shape[0], given.queries, x.shape[2]])
    target = view(out)
    share(lambda _, begin, end: loops.run(begin, end, target), loops.bounds)
    return out, [x, *(tensor for tensor in tensors if tensor is not None), *kept]


class _Branch(PyLayer):
    @staticmethod
    def forward(ctx, x, *rest):
        *tensors, given = rest
        ctx.given, ctx.present = given, [tensor is not None for tensor in tensors]
        ctx.needed = needed(x, *tensors[:-2])
        out, saved = _forward(x, tensors, given)
        ctx.save_for_backward(*saved)
        return out

    @staticmethod
    def backward(ctx, upper):
        x, *saved = ctx.saved_tensor()
        tensors = [saved.pop(0) if present else None for present in ctx.present]
        loops = ctx.given.kind(x, tensors[:6], tensors[6:-2], tensors[-2:], saved, ctx.given)
        upper, out, bounds = upper.contiguous(), empty(x.shape), loops.bounds
        shapes = _shapes_of_sums(tensors[:-2], ctx.needed[1:])
        sums = [empty(shape) for shape in shapes]
        own = [[view(one) for one in sums], *([np.empty(shape, np.float32) for shape in shapes] for _ in bounds[1:])]

        def run(part: int, begin: int, end: int) -> None:
            for one in own[part]:
                one.fill(0)
            loops.run_gradient(begin, end, view(upper), view(out), own[part])

        share(run, bounds)
        for others in zip(*own):
            _add_up(others)
        gradients = of_needed(ctx.needed, [out, *sums])
        return (*gradients, *(None for present in ctx.present[-2:] if present))


def _keep(mask: Tensor | None, rows: tuple[int, ...]) -> np.ndarray:
    return np.empty((*rows, 0), np.bool_) if mask is None else view(mask).reshape(*rows, -1)


def _scales(mask: Tensor | None, scales: tuple[float, ...], rows: tuple[int, ...]) -> np.ndarray:
    return np.ones(rows, np.float32) if mask is None else Mask(mask, scales).row_scales().reshape(rows)


def _flat(array: np.ndarray) -> np.ndarray:
    """The first two axes as one."""
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])


def _not_kept(images: int, tokens: int) -> list[np.ndarray]:
    """What there is in the place of `room`: numbers that are always written, and nothing else."""
    shapes = (images, tokens), (images, tokens), (images, tokens, 0), (0, 0, 0, 0), (0, 0, 0)
    return [np.empty(shape, np.float32) for shape in shapes]


def _shapes_of_sums(weights: list[Tensor], due: tuple[bool, ...]) -> list[list[int]]:
    """Of the sums of gradients; nothing for the first and the last layer's matrices where nobody needs theirs."""
    left_out = [place in (2, 4) and not wanted for place, wanted in enumerate(due)]
    return [[0, 0] if out else weight.shape for weight, out in zip(weights, left_out)]


def _add_up(arrays: Sequence[np.ndarray]) -> None:
    """Add all to the first."""
    first, *others = (array.reshape(-1) for array in arrays)

    @np.errstate(over="ignore", invalid="ignore")  # who must know looks at the gradient
    def add(_, begin: int, end: int) -> None:
        for other in others:
            np.add(first[begin:end], other[begin:end], out=first[begin:end])

    if others:
        share(add, parts(first.size, 1))
