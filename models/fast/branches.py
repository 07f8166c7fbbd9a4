"""The second form of residual branches: each is one operator with a written gradient, its images
shared by threads.

The loops are in `models/fast/*_loops.py`; this file brings tensors there and back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.autograd import PyLayer

from common.threads import in_threads, parts
from models.fast.branch_kinds import AttentionLoops, Given, Loops, MlpLoops, TalkingLoops
from models.fast.single import empty, needed, of_needed
from models.layers.arrays import Mask, view


def mlp_branch(
    x: Tensor, norm: nn.LayerNorm, mlp: nn.Layer, path: nn.Layer, gamma: Tensor | None
) -> Tensor:
    """See `models/layers/operators.py`."""
    masks = mlp.drop.mask([*x.shape[:-1], mlp.fc1.weight.shape[1]]), mlp.drop.mask(x.shape)
    return _branch(MlpLoops, x, norm, mlp.fc1, mlp.fc2, masks, path, gamma)


def attention_branch(
    x: Tensor, norm: nn.LayerNorm, attention: nn.Layer, path: nn.Layer, queries: int
) -> Tensor:
    """See `models/layers/operators.py`."""
    images, tokens, width = x.shape
    queries = min(queries, tokens)
    weights = attention.attn_drop.mask([attention.heads, images, queries, tokens])
    masks = weights, attention.proj_drop.mask([images, queries, width])
    fields = {"heads": attention.heads, "factor": attention.scale, "queries": queries}
    return _branch(AttentionLoops, x, norm, attention.qkv, attention.proj, masks, path, **fields)


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
    weights = _heads_first(
        attention.attn_drop.mask([x.shape[0] * (x.shape[1] // length), heads, length, length])
    )
    masks = weights, attention.proj_drop.mask(x.shape)
    fields = {"heads": heads, "factor": attention.scale, "windows": (order, mask)}
    return _branch(
        AttentionLoops, x, norm, attention.qkv, attention.proj, masks, path, others=[bias], **fields
    )


def talking_branch(
    x: Tensor, norm: nn.LayerNorm, attention: nn.Layer, path: nn.Layer, gamma: Tensor
) -> Tensor:
    """The branch of CaiT's attention, PPIM's layer; `gamma` `(D,)` is its layer scale."""
    images, tokens, _ = x.shape
    heads = attention.num_heads
    weights = _heads_first(attention.attn_drop.mask([images, heads, tokens, tokens]))
    masks = weights, attention.proj_drop.mask(x.shape)
    mixing = [
        attention.proj_l.weight,
        attention.proj_l.bias,
        attention.proj_w.weight,
        attention.proj_w.bias,
    ]
    fields = {"heads": heads, "factor": attention.scale, "others": mixing}
    return _branch(
        TalkingLoops, x, norm, attention.qkv, attention.proj, masks, path, gamma, **fields
    )


def _heads_first(mask: Mask | None) -> Mask | None:
    """PPIM's attention has the images on the first axis of its weights, and the heads on the
    second.
    """
    return (
        None if mask is None else Mask(mask.keep.transpose([1, 0, 2, 3]).contiguous(), mask.scales)
    )


def _branch(
    kind: type[Loops],
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
    given = Given(
        kind, norm._epsilon, heads, factor, queries or x.shape[1], *scales, factors, kept, windows
    )
    tensors = [*weights, *others, *(mask.keep if mask else None for mask in masks)]
    return _Branch.apply(x, *tensors, given) if kept else _forward(x, tensors, given)[0]


def _forward(x: Tensor, tensors: list[Tensor | None], given: Given) -> tuple[Tensor, list[Tensor]]:
    """The output of a branch, and what its gradient needs of it."""
    x = x.contiguous()
    kept = [empty(shape) for shape in given.kind.room(x, tensors, given)] if given.kept else []
    loops = given.kind(x, tensors[:6], tensors[6:-2], tensors[-2:], kept, given)
    out = empty([x.shape[0], given.queries, x.shape[2]])
    target = view(out)
    in_threads(lambda _, begin, end: loops.run(begin, end, target), loops.bounds)
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
        own = [
            [view(one) for one in sums],
            *([np.empty(shape, np.float32) for shape in shapes] for _ in bounds[1:]),
        ]

        def run(part: int, begin: int, end: int) -> None:
            for one in own[part]:
                one.fill(0)
            loops.run_gradient(begin, end, view(upper), view(out), own[part])

        in_threads(run, bounds)
        for others in zip(*own):
            _add_up(others)
        gradients = of_needed(ctx.needed, [out, *sums])
        return (*gradients, *(None for present in ctx.present[-2:] if present))


def _shapes_of_sums(weights: list[Tensor], due: tuple[bool, ...]) -> list[list[int]]:
    """Of the sums of gradients; nothing for the first and the last layer's matrices where nobody
    needs theirs.
    """
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
        in_threads(add, parts(first.size, 1))
