"""The operators of transformers: Paddle's own, or on a CPU compiled ones with written gradients.

Paddle's operators are the definition. The compiled ones agree with them to rounding, and are
several times as fast (see docs/performance.md). They run for float32 on a CPU unless `plain`
forbids it. A GPU always runs Paddle's.

Shapes: B images, N tokens, D width, H heads. An operator on rows takes any axes before its last.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import ModuleType

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from models.layers.arrays import Mask
from models.layers.temporary_changes import set_to

_COMPILED = "compiled operators"
_PLAIN: ContextVar[bool] = ContextVar("plain", default=False)
# Classes of layers that a compiled branch may replace, and the `forward` that each had when it was
# noted here: it may be replaced later.
_REPLACEABLE: dict[type[nn.Layer], Callable] = {}


def plain() -> AbstractContextManager:
    """Returns a context in which all operators are Paddle's own."""
    return set_to(_PLAIN, True)


@functools.lru_cache(maxsize=1)
def _load_compiled() -> tuple[ModuleType | None, str]:
    """Returns the compiled operators; without numba or a matrix library None and the reason."""
    try:
        from models.fast import single_operators
    except ImportError as error:
        return None, str(error)
    return single_operators, ""


def describe_operators() -> str:
    """Returns which operators run on this machine, and why, for people."""
    if not paddle.device.get_device().startswith("cpu"):
        return "Paddle's operators"
    if _PLAIN.get():
        return "Paddle's operators, as model.operators asks for"
    compiled, missing = _load_compiled()
    if compiled:
        return _COMPILED
    return f"Paddle's operators, which are slow on a CPU, since {missing}"


def missing_for_bfloat16() -> str:
    """Returns why products can't be of bfloat16 on this machine, for people; empty: they can."""
    found = describe_operators()
    if found != _COMPILED:
        return f"bfloat16 needs compiled operators on a CPU, and these are {found}"
    from models.fast.loops import blas

    return "" if blas.HAS_BFLOAT16 else "this processor has neither AVX512-BF16 nor AMX"


def compiled_operators(x: Tensor, dtype: paddle.dtype = paddle.float32) -> ModuleType | None:
    """Returns the module of the compiled operators if they can compute with `x`, else None."""
    if _PLAIN.get() or not paddle.in_dynamic_mode() or x.dtype != dtype:
        return None
    return _load_compiled()[0] if x.place.is_cpu_place() and 0 not in x.shape else None


def replaceable(kind: type[nn.Layer]) -> type[nn.Layer]:
    """Notes a class of layers as one whose `forward` a compiled branch may replace."""
    _REPLACEABLE[kind] = kind.forward
    return kind


def compiled_branches(x: Tensor, *layers: nn.Layer) -> ModuleType | None:
    """Returns the module of the compiled branches if they may replace the calls of some layers.

    They may if they can compute with `x`, and if calling the layers would do nothing else: all are
    of noted classes, have all their parameters (a bias may be missing), and have no hooks. (One
    difference remains:
    `paddle.grad` for only some gradients of a branch needs `plain`, as with each `PyLayer`.)
    """
    if not compiled_operators(x) or not _all_replaceable(layers):
        return None
    from models.fast import branches

    return branches


def _all_replaceable(layers: Iterable[nn.Layer]) -> bool:
    return all(
        _REPLACEABLE.get(type(layer)) is type(layer).forward
        and "forward" not in layer.__dict__
        and all(
            parameter is not None or (name == "bias" and isinstance(layer, nn.Linear))
            for name, parameter in layer._parameters.items()
        )
        and not layer._forward_pre_hooks
        and not layer._forward_post_hooks
        and (not layer._sub_layers or _all_replaceable(layer._sub_layers.values()))
        for layer in layers
    )


def fuses_attention(x: Tensor, drop: nn.Layer) -> bool:
    """Returns whether one kernel computes attention: on a GPU, in half precision, without dropout.

    Args:
        x: the queries, keys and values.
        drop: the dropout layer of the attention weights.
    """
    if not paddle.in_dynamic_mode() or (drop.training and drop.active):
        return False
    return x.place.is_gpu_place() and x.dtype in (paddle.float16, paddle.bfloat16)


def attention_branch(
    x: Tensor,
    norm: nn.LayerNorm,
    attention: nn.Layer,
    path: nn.Layer,
    queries: int,
    gamma: Tensor | None = None,
) -> Tensor:
    """Computes `x + path(gamma * attention(norm(x)))` of the first tokens, which attend to all.

    Args:
        x: `(B, N, D)`.
        norm: of the tokens.
        attention: called with tokens and `queries`. It has `heads`, the linear layers `qkv` and
            `proj`, and the dropout layers `attn_drop` (of weights `(H, B, queries, N)`) and
            `proj_drop`.
        path: stochastic depth.
        queries: number of tokens that attend.
        gamma: layer scale, `(D,)`; None for 1.

    Returns:
        `(B, queries, D)`.
    """
    if compiled := compiled_branches(x, norm, attention, path):
        return compiled.attention_branch(x, norm, attention, path, queries, gamma)
    return x[:, :queries] + path(_scaled(attention(norm(x), queries), gamma))


def _scaled(branch: Tensor, gamma: Tensor | None) -> Tensor:
    return branch if gamma is None else gamma * branch


def mlp_branch(
    x: Tensor,
    norm: nn.LayerNorm,
    mlp: nn.Layer,
    path: nn.Layer,
    gamma: Tensor | None = None,
    activation: str = "gelu",
) -> Tensor:
    """Computes `x + path(gamma * mlp(norm(x)))`.

    Args:
        x: `(B, N, D)`.
        norm: of the tokens.
        mlp: with the linear layers `fc1` and `fc2`, an activation between them, and the dropout
            layer `drop` behind both.
        path: stochastic depth.
        gamma: layer scale, `(D,)`; None for 1.
        activation: that of the MLP: `gelu`, `quick_gelu`, `gelu_tanh` or `silu`.

    Returns:
        `(B, N, D)`.
    """
    if compiled := compiled_branches(x, norm, mlp, path):
        return compiled.mlp_branch(x, norm, mlp, path, gamma, activation)
    return x + path(_scaled(mlp(norm(x)), gamma))


def normalise(images: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """Subtracts the mean of each channel from its pixels and divides by its standard deviation.

    Args:
        images: uint8 `(B, C, S, S)`.
        mean: C numbers in 0 to 255.
        deviation: C numbers in 0 to 255.

    Returns:
        float32 `(B, C, S, S)`.
    """
    if compiled := compiled_operators(images, paddle.uint8):
        return compiled.normalise(images, mean, deviation)
    mean, deviation = (
        paddle.to_tensor(one, "float32").reshape([1, -1, 1, 1]) for one in (mean, deviation)
    )
    return (images.astype("float32") - mean) / deviation


def masked(x: Tensor, mask: Mask) -> Tensor:
    """Applies a dropout mask of the shape of `x`."""
    compiled = compiled_operators(x)
    return compiled.Masked.apply(x, *mask) if compiled else x * mask.factors().astype(x.dtype)


def gelu(x: Tensor) -> Tensor:
    """Computes `x * P(Z < x)` for a standard normal Z, without approximation.

    Source: Hendrycks and Gimpel, arXiv:1606.08415.
    """
    compiled = compiled_operators(x)
    return compiled.Gelu.apply(x) if compiled else F.gelu(x)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    """Normalises the last axis (Ba et al., arXiv:1607.06450); `weight` and `bias` are `(D,)`."""
    if compiled := compiled_operators(x):
        return compiled.LayerNorm.apply(x, weight, bias, epsilon)
    # Paddle's CPU kernel leaves a frozen weight out of the gradient of x.
    if weight.stop_gradient and not x.stop_gradient:
        return F.layer_norm(x, weight.shape, epsilon=epsilon) * weight + bias
    return F.layer_norm(x, weight.shape, weight, bias, epsilon)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Computes `x @ weight + bias`: `(..., D)` and `(D, E)` to `(..., E)`."""
    compiled = compiled_operators(x)
    return compiled.Linear.apply(x, weight, bias) if compiled else F.linear(x, weight, bias)
