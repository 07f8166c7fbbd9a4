"""What transformers compute, in two forms: Paddle's own operators, and for CPUs compiled ones with
written gradients.

The first form is the definition; the second one agrees with it to rounding and is several times as
fast (see docs/performance.md). It is taken for float32 on a CPU unless `plain` forbids it; a GPU
has the first.

Shapes: B images, N tokens, D width, H heads; an operator that works on rows takes any axes before
its last.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from types import ModuleType

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from models.layers.arrays import Mask

_PLAIN: ContextVar[bool] = ContextVar("plain", default=False)
_STANDARD: dict[type[nn.Layer], Callable] = {}  # and their `forward`, which somebody may replace


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """A context in which all operators are Paddle's own."""
    token = _PLAIN.set(True)
    try:
        yield
    finally:
        _PLAIN.reset(token)


@functools.lru_cache(maxsize=1)
def _fast_operators() -> tuple[ModuleType | None, str]:
    """The second form, where numba and a matrix library are found; else why not."""
    try:
        from models.fast import single as fast_operators
    except ImportError as error:
        return None, str(error)
    return fast_operators, ""


def describe_form() -> str:
    """Which form is taken on this machine, and why."""
    if not paddle.device.get_device().startswith("cpu"):
        return "Paddle's operators"
    if _PLAIN.get():
        return "Paddle's operators, as model.operators asks for"
    fast, missing = _fast_operators()
    return (
        "compiled operators"
        if fast
        else f"Paddle's operators, which are slow on a CPU, since {missing}"
    )


@functools.lru_cache(maxsize=1)
def _fast_branches() -> ModuleType:
    from models.fast import branches as fast_branches

    return fast_branches


def fast_for(x: Tensor, dtype: paddle.dtype = paddle.float32) -> ModuleType | None:
    """The second form where it is for `x`, else None."""
    if _PLAIN.get() or not paddle.in_dynamic_mode() or x.dtype != dtype:
        return None
    return _fast_operators()[0] if x.place.is_cpu_place() and 0 not in x.shape else None


def standard(kind: type[nn.Layer]) -> type[nn.Layer]:
    """Note a class of layers as one for which the second form of its branch may stand in."""
    _STANDARD[kind] = kind.forward
    return kind


def stand_in(x: Tensor, *layers: nn.Layer) -> ModuleType | None:
    """The second form of branches where it is for `x`, and where nobody could tell that these
    layers are not called.

    They are then of the known classes, with all their parameters and without hooks. (`paddle.grad`
    can tell where it is asked for some gradients of a branch only: it needs `plain`, as with any
    operator of Paddle's that is a `PyLayer`.)
    """
    return _fast_branches() if fast_for(x) and _replaceable(layers) else None


def _replaceable(layers: Iterable[nn.Layer]) -> bool:
    return all(
        _STANDARD.get(type(layer)) is type(layer).forward
        and "forward" not in layer.__dict__
        and all(parameter is not None for parameter in layer._parameters.values())
        and not layer._forward_pre_hooks
        and not layer._forward_post_hooks
        and (not layer._sub_layers or _replaceable(layer._sub_layers.values()))
        for layer in layers
    )


def fuses_attention(x: Tensor, drop: nn.Layer) -> bool:
    """Whether one kernel takes the place of attention's products: on a GPU in half precision,
    without dropout in it.
    """
    if not paddle.in_dynamic_mode() or (drop.training and drop.active):
        return False
    return x.place.is_gpu_place() and x.dtype in (paddle.float16, paddle.bfloat16)


def attention_branch(
    x: Tensor, norm: nn.LayerNorm, attention: nn.Layer, path: nn.Layer, queries: int
) -> Tensor:
    """`x + path(attention(norm(x)))` for the first tokens of x; all are attended to.

    Args:
        x: `(B, N, D)`.
        norm: of the tokens.
        attention: called with tokens and `queries`; it has `heads`, the linear layers `qkv` and
            `proj`, and the dropout layers `attn_drop` (of weights `(H, B, queries, N)`) and
            `proj_drop`.
        path: stochastic depth.
        queries: how many tokens.

    Returns:
        `(B, queries, D)`.
    """
    if fast := stand_in(x, norm, attention, path):
        return fast.attention_branch(x, norm, attention, path, queries)
    return x[:, :queries] + path(attention(norm(x), queries))


def mlp_branch(
    x: Tensor, norm: nn.LayerNorm, mlp: nn.Layer, path: nn.Layer, gamma: Tensor | None = None
) -> Tensor:
    """`x + path(gamma * mlp(norm(x)))`.

    Args:
        x: `(B, N, D)`.
        norm: of the tokens.
        mlp: with the linear layers `fc1` and `fc2`, GELU between them, and the dropout layer `drop`
            behind both.
        path: stochastic depth.
        gamma: layer scale, `(D,)`; None for 1.
    """
    if fast := stand_in(x, norm, mlp, path):
        return fast.mlp_branch(x, norm, mlp, path, gamma)
    found = mlp(norm(x))
    return x + path(found if gamma is None else gamma * found)


def normalise(images: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """Pixels less the mean of their channel, over its deviation.

    Args:
        images: uint8 `(B, C, S, S)`.
        mean: C numbers in 0 to 255.
        deviation: C numbers, likewise.
    """
    if fast := fast_for(images, paddle.uint8):
        return fast.normalise(images, mean, deviation)
    mean, deviation = (
        paddle.to_tensor(one, "float32").reshape([1, -1, 1, 1]) for one in (mean, deviation)
    )
    return (images.astype("float32") - mean) / deviation


def masked(x: Tensor, mask: Mask) -> Tensor:
    """Dropout with a mask of the shape of `x`."""
    return (
        fast.Masked.apply(x, *mask) if (fast := fast_for(x)) else x * mask.factors().astype(x.dtype)
    )


def gelu(x: Tensor) -> Tensor:
    """`x * P(Z < x)` with a standard normal Z (Hendrycks and Gimpel, arXiv:1606.08415); not their
    approximation.
    """
    return fast.Gelu.apply(x) if (fast := fast_for(x)) else F.gelu(x)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    """Layer norm over the last axis (Ba et al., arXiv:1607.06450), `weight` and `bias` `(D,)`."""
    if fast := fast_for(x):
        return fast.LayerNorm.apply(x, weight, bias, epsilon)
    if (
        weight.stop_gradient and not x.stop_gradient
    ):  # Paddle's CPU kernel leaves a frozen weight out of x's gradient
        return F.layer_norm(x, weight.shape, epsilon=epsilon) * weight + bias
    return F.layer_norm(x, weight.shape, weight, bias, epsilon)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`x @ weight + bias`: `(..., D)` and `(D, E)` to `(..., E)`."""
    return (
        fast.Linear.apply(x, weight, bias) if (fast := fast_for(x)) else F.linear(x, weight, bias)
    )
