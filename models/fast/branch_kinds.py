"""The kinds of residual branches: which arrays the compiled loops of each kind take."""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

import numpy as np
from paddle import Tensor

from common.threads import parts
from models.fast.loops import attention, mlp, talking
from models.fast.loops.activations import GATES, Gate
from models.fast.loops.attention import Windows
from models.fast.loops.bfloat16 import rounded
from models.fast.loops.shared import Branch, Inside, Noise, Weights
from models.fast.loops.talking import Talking
from models.layers.arrays import Mask, view

_PRODUCTS = 16  # multiply-adds that are as much work as one element of other loops
_WEIGHTS = len(Weights._fields)


class Settings(NamedTuple):
    """What describes a branch in addition to its tensors."""

    kind: type[Kind]
    epsilon: float  # of the norm
    queries: int  # tokens of the output
    factor: float  # of the attention scores
    windows: tuple[np.ndarray, ...] | None  # order, inverse order and mask, as in `Windows`
    activation: str  # of an MLP
    inner_shape: list[int]  # of the inner dropout mask, whether there is one or not; heads first
    inner_scales: tuple[float, ...]  # of the inner mask, one for each copy
    scales: tuple[float, ...]  # of the output's mask, one for each copy
    path_factors: np.ndarray | None  # of each image's branch; None for 1
    has_gradient: bool
    bfloat16: bool  # whether operands of matrix products are rounded to bfloat16


class Kind:
    """The arguments of a branch's compiled loops, which are in `loops`; one subclass for each kind.

    Args:
        x: `(B, N, D)`.
        tensors: those of `Weights`, further parameters of the kind, the layer scale, the inner
            mask, and that of the output; the last three may be None.
        kept: what the gradient needs, of the shapes of `kept_shapes`; empty without a gradient.
        settings: of the branch.
    """

    loops: ModuleType

    def __init__(
        self, x: Tensor, tensors: list[Tensor | None], kept: list[Tensor], settings: Settings
    ):
        *parameters, gamma, inner_keep, keep = tensors
        self.settings, self.others = settings, parameters[_WEIGHTS:]
        images, tokens = x.shape[:2]
        shape = images, settings.queries, x.shape[2]
        scale = _scales(keep, settings.scales, shape)
        if settings.path_factors is not None:
            scale *= settings.path_factors[:, np.newaxis]
        inner_scale = _scales(inner_keep, settings.inner_scales, settings.inner_shape)
        self.branch = Branch(
            view(x),
            self._weights(parameters[:_WEIGHTS], gamma),
            np.float32(settings.epsilon),
            settings.inner_shape[0],
            np.float32(settings.factor),
            self.extra(),
            Noise(_keep(inner_keep, settings.inner_shape), inner_scale, _keep(keep, shape), scale),
            _inside(kept, images, tokens),
        )
        self.share()

    def _weights(self, parameters: list[Tensor], gamma: Tensor | None) -> Weights:
        weights = _scaled(Weights(*map(view, parameters)), gamma)
        if not self.settings.bfloat16:
            return weights
        first, last = rounded(weights.first_weight), rounded(weights.last_weight)
        return weights._replace(first_weight=first, last_weight=last)

    def share(self) -> None:
        """Decides which part of the work each thread has: `bounds`, the begin and end of each."""
        items, item = len(self.branch.x), self.branch.x[0]
        work = item.size * len(self.branch.weights.first_bias) // _PRODUCTS
        self.bounds = parts(items, work)
        # A matrix product may have several threads where few images have much work.
        threads = max(1, len(parts(items * work, 1)) // len(self.bounds))
        self.branch = self.branch._replace(threads=np.int32(threads))

    def run(self, begin: int, end: int, out: np.ndarray) -> None:
        """Computes a part of the output `(B, M, D)`."""
        self.loops.forward(begin, end, self.branch, out)

    def run_gradient(
        self, begin: int, end: int, upper: np.ndarray, out: np.ndarray, sums: list[np.ndarray]
    ) -> None:
        """Computes a part of the gradient `out`, and adds those of the parameters to `sums`."""
        of_weights, of_others = Weights(*sums[:_WEIGHTS]), self.extra_sums(*sums[_WEIGHTS:])
        self.loops.gradient(begin, end, self.branch, upper, out, of_weights, of_others)

    @staticmethod
    def kept_shapes(x: Tensor, tensors: list[Tensor], settings: Settings) -> list[list[int]]:
        """Returns the shapes of the fields of `Inside`; an MLP has only the first three."""
        rows = x.shape[:2]
        return [rows, rows, [*rows, tensors[2].shape[1]]]

    def extra(self) -> NamedTuple | tuple[()]:
        """Returns the arguments that only this kind has."""
        return ()

    def extra_sums(self, *sums: np.ndarray) -> NamedTuple | np.ndarray | tuple[()]:
        """Returns the sums of the gradients of further parameters as the loops take them."""
        return sums


class MlpKind(Kind):
    """An MLP; threads share its rows, not the images."""

    loops = mlp

    def extra(self) -> Gate:
        return GATES[self.settings.activation]

    def share(self) -> None:
        x, noise, inside = self.branch.x, self.branch.noise, self.branch.inside
        noise, inside = Noise(*map(_flat, noise)), Inside(*map(_flat, inside))
        self.branch = self.branch._replace(x=_flat(x), noise=noise, inside=inside)
        super().share()


class AttentionKind(Kind):
    """An attention of all tokens, or of those of each window (then `others` has the bias)."""

    loops = attention

    def extra(self) -> Windows:
        empty = np.empty((self.settings.inner_shape[0], 0, 0), np.float32)
        no_order = np.empty(0, np.int64)
        order, inverse, mask = self.settings.windows or (no_order, no_order, empty)
        return Windows(order, inverse, view(self.others[0]) if self.others else empty, mask)

    def extra_sums(self, *sums: np.ndarray) -> np.ndarray:
        return sums[0] if sums else np.empty((0, 0, 0), np.float32)

    @staticmethod
    def kept_shapes(x, tensors, settings):
        mixed = [x.shape[0], settings.queries, x.shape[2]]
        return [*Kind.kept_shapes(x, tensors, settings), settings.inner_shape, mixed]


class TalkingKind(Kind):
    """An attention whose heads exchange what they found."""

    loops = talking

    def extra(self) -> Talking:
        return Talking(*map(view, self.others))

    def extra_sums(self, *sums: np.ndarray) -> Talking:
        return Talking(*sums)

    @staticmethod
    def kept_shapes(x, tensors, settings):
        heads, images, *tokens = settings.inner_shape
        return [*Kind.kept_shapes(x, tensors, settings), [images, heads, *tokens], x.shape]


def _scaled(weights: Weights, gamma: Tensor | None) -> Weights:
    """Scales the last layer, which is scaling the output of the branch."""
    if gamma is None:
        return weights
    factors = view(gamma)
    last = {"last_weight": weights.last_weight * factors, "last_bias": weights.last_bias * factors}
    return weights._replace(**last)


def _keep(mask: Tensor | None, shape: list[int]) -> np.ndarray:
    return np.empty((*shape[:-1], 0), np.bool_) if mask is None else view(mask).reshape(shape)


def _scales(mask: Tensor | None, scales: tuple[float, ...], shape: list[int]) -> np.ndarray:
    if mask is None:
        return np.ones(shape[:-1], np.float32)
    return Mask(mask, scales).row_scales().reshape(shape[:-1])


def _inside(kept: list[Tensor], images: int, tokens: int) -> Inside:
    """Fills up what is kept: without a gradient, only the norm's mean and scale have elements."""
    shapes = (images, tokens), (images, tokens), (images, tokens, 0), (0, 0, 0, 0), (0, 0, 0)
    missing = [np.empty(shape, np.float32) for shape in shapes[len(kept) :]]
    return Inside(*map(view, kept), *missing)


def _flat(array: np.ndarray) -> np.ndarray:
    """Returns an array with its first two axes as one."""
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])
