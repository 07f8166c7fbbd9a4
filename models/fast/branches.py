"""Compiled residual branches: each is one operator with a written gradient.

Threads share its images. The loops are in `models/fast/loops/`, their arguments in
`models/fast/branch_kinds.py`; this file makes operators of Paddle's from them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.autograd import PyLayer

from common.threads import in_threads, parts
from models.fast.branch_kinds import AttentionKind, Kind, MlpKind, Settings, TalkingKind
from models.fast.single_operators import empty, needed, of_needed
from models.layers.arrays import Mask, view
from models.layers.precision import computes_in_bfloat16


def mlp_branch(
    x: Tensor,
    norm: nn.LayerNorm,
    mlp: nn.Layer,
    path: nn.Layer,
    gamma: Tensor | None,
    activation: str,
) -> Tensor:
    """See `models/layers/operators.py`."""
    shape = [*x.shape[:-1], mlp.fc1.weight.shape[1]]
    inner, outer = mlp.drop.mask(shape), mlp.drop.mask(x.shape)
    layers = norm, mlp.fc1, mlp.fc2, path
    fields = {"gamma": gamma, "activation": activation}
    return _branch(MlpKind, x, layers, shape, inner, outer, **fields)


def attention_branch(
    x: Tensor,
    norm: nn.LayerNorm,
    attention: nn.Layer,
    path: nn.Layer,
    queries: int,
    gamma: Tensor | None,
) -> Tensor:
    """See `models/layers/operators.py`."""
    images, tokens, width = x.shape
    shape = [attention.heads, images, min(queries, tokens), tokens]
    inner = attention.attn_drop.mask(shape)
    outer = attention.proj_drop.mask([images, shape[2], width])
    layers = norm, attention.qkv, attention.proj, path
    fields = {"factor": attention.scale, "queries": shape[2], "gamma": gamma}
    return _branch(AttentionKind, x, layers, shape, inner, outer, **fields)


def window_branch(
    x: Tensor,
    norm: nn.LayerNorm,
    attention: nn.Layer,
    path: nn.Layer,
    bias: Tensor,
    windows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> Tensor:
    """Computes the branch of Swin's attention.

    Args:
        x: `(B, N, D)`.
        norm: of the tokens.
        attention: PPIM's layer.
        path: stochastic depth.
        bias: of the scores, `(H, L, L)`.
        windows: the order of the tokens in W windows, `(W * L,)`, and its inverse; and what is
            added to the scores, `(W, L, L)`, or `(0, L, L)` for nothing.
    """
    heads, length, _ = bias.shape
    shape = [heads, x.shape[0] * (x.shape[1] // length), length, length]
    fields = {"factor": attention.scale, "others": [bias], "windows": windows}
    layers, masks = (norm, attention.qkv, attention.proj, path), _masks(attention, x, shape)
    return _branch(AttentionKind, x, layers, shape, *masks, **fields)


def talking_branch(
    x: Tensor, norm: nn.LayerNorm, attention: nn.Layer, path: nn.Layer, gamma: Tensor
) -> Tensor:
    """Computes the branch of CaiT's attention, PPIM's layer; `gamma` `(D,)` is its layer scale."""
    images, tokens, _ = x.shape
    before, after = attention.proj_l, attention.proj_w
    shape = [attention.num_heads, images, tokens, tokens]
    others = [before.weight, _bias(before), after.weight, _bias(after)]
    fields = {"factor": attention.scale, "others": others, "gamma": gamma}
    layers, masks = (norm, attention.qkv, attention.proj, path), _masks(attention, x, shape)
    return _branch(TalkingKind, x, layers, shape, *masks, **fields)


def _masks(attention: nn.Layer, x: Tensor, shape: list[int]) -> tuple[Mask | None, Mask | None]:
    """Returns the masks of PPIM's attention; it has images before heads in its weights."""
    heads, images, *tokens = shape
    inner = attention.attn_drop.mask([images, heads, *tokens])
    if inner:
        inner = inner._replace(keep=inner.keep.transpose([1, 0, 2, 3]).contiguous())
    return inner, attention.proj_drop.mask(x.shape)


def _branch(
    kind: type[Kind],
    x: Tensor,
    layers: tuple[nn.LayerNorm, nn.Linear, nn.Linear, nn.Layer],
    inner_shape: list[int],
    inner: Mask | None,
    outer: Mask | None,
    *,
    gamma: Tensor | None = None,
    factor: float = 0.0,
    queries: int = 0,
    others: Sequence[Tensor] = (),
    windows: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    activation: str = "gelu",
) -> Tensor:
    """Computes a branch, and records it for the gradient where one is needed.

    Args:
        kind: of branch.
        x: `(B, N, D)`.
        layers: norm, first and last linear layer, stochastic depth.
        inner_shape: of the attention weights, heads first, or of the hidden values of an MLP.
        inner: dropout mask of these; None: nothing drops.
        outer: dropout mask of the output; None: nothing drops.
        gamma: layer scale, `(D,)`; None for 1.
        factor: of the attention scores.
        queries: number of tokens of the output; 0 for all.
        others: further parameters of the kind.
        windows: as in `window_branch`.
        activation: of an MLP.
    """
    norm, first, last, path = layers
    linear = first.weight, _bias(first), last.weight, _bias(last)
    parameters = [norm.weight, norm.bias, *linear, *others]
    scale = [] if gamma is None else [gamma]
    settings = Settings(
        kind,
        norm._epsilon,
        queries or x.shape[1],
        factor,
        windows,
        activation,
        inner_shape,
        inner_scales=inner.scales if inner else (),
        scales=outer.scales if outer else (),
        path_factors=path.factors(x.shape[0]),
        has_gradient=paddle.is_grad_enabled() and any(needed(x, *parameters, *scale)),
        bfloat16=computes_in_bfloat16(),
    )
    tensors = [*parameters, gamma, inner and inner.keep, outer and outer.keep]
    if settings.has_gradient:
        return _Branch.apply(x, *tensors, settings)
    return _forward(x, tensors, settings)[0]


def _bias(layer: nn.Linear) -> Tensor:
    """Returns the bias of a layer; zeros, which need no gradient, where it has none."""
    return paddle.zeros([layer.weight.shape[1]]) if layer.bias is None else layer.bias


def _forward(
    x: Tensor, tensors: list[Tensor | None], settings: Settings
) -> tuple[Tensor, list[Tensor]]:
    """Returns the output of a branch, and the tensors that its gradient needs."""
    x = x.contiguous()
    shapes = settings.kind.kept_shapes(x, tensors, settings) if settings.has_gradient else []
    kept = list(map(empty, shapes))
    branch = settings.kind(x, tensors, kept, settings)
    out = empty([x.shape[0], settings.queries, x.shape[2]])
    target = view(out)
    in_threads(lambda _, begin, end: branch.run(begin, end, target), branch.bounds)
    return out, [x, *(tensor for tensor in tensors if tensor is not None), *kept]


class _Branch(PyLayer):
    @staticmethod
    def forward(ctx, x, *rest):
        *tensors, settings = rest
        ctx.settings, ctx.present = settings, [tensor is not None for tensor in tensors]
        ctx.needed = needed(x, *(tensor for tensor in tensors[:-2] if tensor is not None))
        out, saved = _forward(x, tensors, settings)
        ctx.save_for_backward(*saved)
        return out

    @staticmethod
    def backward(ctx, upper):
        x, *saved = ctx.saved_tensor()
        tensors = [saved.pop(0) if present else None for present in ctx.present]
        branch = ctx.settings.kind(x, tensors, saved, ctx.settings)
        upper, out = upper.contiguous(), empty(x.shape)
        *parameters, gamma = tensors[:-2]
        due = [*ctx.needed[1:], False][: len(tensors) - 2]  # the last one is that of the scale
        # The first and the last layer's matrices get no elements if their gradients are not needed.
        unneeded = [place == 2 and not due[2] for place in range(len(parameters))]
        unneeded[4] = not (due[4] or due[-1])
        shapes = [[0, 0] if skip else one.shape for one, skip in zip(parameters, unneeded)]
        sums = list(map(empty, shapes))
        by_part = [
            [view(one) for one in sums],
            *([np.empty(shape, np.float32) for shape in shapes] for _ in branch.bounds[1:]),
        ]

        def run(part: int, begin: int, end: int) -> None:
            for one in by_part[part]:
                one.fill(0)
            branch.run_gradient(begin, end, view(upper), view(out), by_part[part])

        in_threads(run, branch.bounds)
        for arrays in zip(*by_part):
            _add_up(arrays)
        if gamma is not None:
            sums.append(_unscaled(parameters, gamma, sums))
        gradients = of_needed(ctx.needed, [out, *sums])
        return (*gradients, *(None for present in ctx.present[-2:] if present))


def _unscaled(parameters: list[Tensor], gamma: Tensor, sums: list[Tensor]) -> Tensor:
    """Turns the gradients of a scaled last layer into those of the layer, in `sums`.

    Returns:
        The gradient of the scale; it has no meaning where the layer's is not computed.
    """
    weight, bias, factors = view(parameters[4]), view(parameters[5]), view(gamma)
    for_weight, for_bias = view(sums[4]), view(sums[5])
    with np.errstate(over="ignore", invalid="ignore"):  # the optimiser checks the gradient
        total = bias * for_bias
        if for_weight.size:
            total += np.einsum("ij,ij->j", weight, for_weight)
            for_weight *= factors
        for_bias *= factors
    return paddle.to_tensor(total)


def _add_up(arrays: Sequence[np.ndarray]) -> None:
    """Adds all arrays to the first."""
    first, *others = (array.reshape(-1) for array in arrays)

    @np.errstate(over="ignore", invalid="ignore")  # the optimiser checks the gradient
    def add(_, begin: int, end: int) -> None:
        for other in others:
            np.add(first[begin:end], other[begin:end], out=first[begin:end])

    if others:
        in_threads(add, parts(first.size, 1))
