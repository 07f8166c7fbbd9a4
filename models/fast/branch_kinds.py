"""The kinds of residual branches: which arrays the compiled loops of each kind take."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import NamedTuple

import numpy as np
from paddle import Tensor

from common.threads import parts
from models.fast import attention_loops, mlp_loops, talking_loops
from models.fast.attention_loops import Windows
from models.fast.shared_loops import Branch, Inside, Noise, Part, Weights
from models.fast.talking_loops import Talking
from models.layers.arrays import Mask, view

_PRODUCTS = 16  # multiply-adds that are as much work as one element of other loops
_WEIGHTS = len(Weights._fields)


class Settings(NamedTuple):
    """What describes a branch in addition to its tensors."""

    kind: type[Kind]
    epsilon: float  # of the norm
    queries: int  # tokens of the output
    heads: int  # 0 for an MLP
    factor: float  # of the attention scores
    windows: tuple[np.ndarray, np.ndarray] | None  # order of the tokens, and mask of the scores
    inner_scales: tuple[float, ...]  # of the inner dropout mask, one for each copy
    scales: tuple[float, ...]  # of the output's dropout mask, one for each copy
    path_factors: np.ndarray | None  # of each image's branch; None for 1
    has_gradient: bool


class Kind:
    """The arguments of a branch's compiled loops, which are in `loops`; one subclass for each kind.

    Args:
        x: `(B, N, D)`.
        tensors: those of `Weights`, further parameters of the kind, the inner mask, and that of the
            output; a mask may be None.
        kept: what the gradient needs, of the shapes of `kept_shapes`; empty without a gradient.
        settings: of the branch.
    """

    loops: ModuleType

    def __init__(
        self, x: Tensor, tensors: list[Tensor | None], kept: list[Tensor], settings: Settings
    ):
        *parameters, inner_keep, keep = tensors
        self.settings, self.others = settings, parameters[_WEIGHTS:]
        images, tokens = x.shape[:2]
        rows, inner_rows = (images, settings.queries), self.inner_rows(images, tokens)
        inner_scale = _scales(inner_keep, settings.inner_scales, inner_rows)
        scale = _scales(keep, settings.scales, rows)
        if settings.path_factors is not None:
            scale *= settings.path_factors[:, np.newaxis]
        self.branch = Branch(
            view(x),
            Weights(*map(view, parameters[:_WEIGHTS])),
            np.float32(settings.epsilon),
            settings.heads,
            np.float32(settings.factor),
            self.extra(),
            Noise(_keep(inner_keep, inner_rows), inner_scale, _keep(keep, rows), scale),
            _inside(kept, images, tokens),
        )

    @functools.cached_property
    def bounds(self) -> list[tuple[int, int]]:
        """Begin and end of each thread's part."""
        return parts(len(self.branch.x), self._work())

    @functools.cached_property
    def _threads(self) -> np.int32:
        """How many threads a matrix product in a part may have.

        They are several where few images have much work.
        """
        wanted = len(parts(len(self.branch.x) * self._work(), 1))
        return np.int32(max(1, wanted // len(self.bounds)))

    def _work(self) -> int:
        """Work of an image, in elements of other loops that take as long."""
        return self.branch.x[0].size * len(self.branch.weights.first_bias) // _PRODUCTS

    def run(self, begin: int, end: int, out: np.ndarray) -> None:
        """Computes a part of the output `(B, M, D)`."""
        self.loops.forward(Part(begin, end, self._threads), self.branch, out)

    def run_gradient(
        self, begin: int, end: int, upper: np.ndarray, out: np.ndarray, sums: list[np.ndarray]
    ) -> None:
        """Computes a part of the gradient `out`, and adds those of the parameters to `sums`."""
        part, of_weights = Part(begin, end, self._threads), Weights(*sums[:_WEIGHTS])
        extra_sums = self.extra_sums(sums[_WEIGHTS:])
        self.loops.gradient(part, self.branch, upper, out, of_weights, extra_sums)

    @staticmethod
    def kept_shapes(x: Tensor, tensors: list[Tensor], settings: Settings) -> list[list[int]]:
        """Returns the shapes of the fields of `Inside`; an MLP has only the first three."""
        images, tokens = x.shape[:2]
        return [[images, tokens], [images, tokens], [images, tokens, tensors[2].shape[1]]]

    def inner_rows(self, images: int, tokens: int) -> tuple[int, ...]:
        """Returns the shape of the inner mask without its last axis."""
        raise NotImplementedError

    def extra(self) -> NamedTuple | tuple[()]:
        """Returns the arguments that only this kind has."""
        return ()

    def extra_sums(self, sums: list[np.ndarray]) -> NamedTuple | np.ndarray | tuple[()]:
        """Returns the sums of the gradients of further parameters as the loops take them."""
        return ()


class MlpKind(Kind):
    """An MLP; threads share its rows, not the images."""

    loops = mlp_loops

    def __init__(self, *arguments):
        super().__init__(*arguments)
        x, noise, inside = self.branch.x, self.branch.noise, self.branch.inside
        noise, inside = Noise(*map(_flat, noise)), Inside(*map(_flat, inside))
        self.branch = self.branch._replace(x=_flat(x), noise=noise, inside=inside)

    def inner_rows(self, images: int, tokens: int) -> tuple[int, ...]:
        return images, tokens


class AttentionKind(Kind):
    """An attention of all tokens, or of those of each window (then `others` has the bias)."""

    loops = attention_loops

    def extra(self) -> Windows:
        empty = np.empty((self.settings.heads, 0, 0), np.float32)
        order, mask = self.settings.windows or (np.empty(0, np.int64), empty)
        return Windows(order, view(self.others[0]) if self.others else empty, mask)

    def extra_sums(self, sums: list[np.ndarray]) -> np.ndarray:
        return sums[0] if sums else np.empty((0, 0, 0), np.float32)

    def inner_rows(self, images: int, tokens: int) -> tuple[int, ...]:
        length = self.others[0].shape[-1] if self.others else tokens
        return self.settings.heads, images * tokens // length, min(length, self.settings.queries)

    @staticmethod
    def kept_shapes(x, tensors, settings):
        images, tokens, width = x.shape
        length = settings.windows[1].shape[-1] if settings.windows else tokens
        windows = tokens // length
        attended = [settings.heads, images * windows, settings.queries // windows, length]
        mixed = [images, settings.queries, width]
        return [*Kind.kept_shapes(x, tensors, settings), attended, mixed]


class TalkingKind(Kind):
    """An attention whose heads exchange what they found."""

    loops = talking_loops

    def extra(self) -> Talking:
        return Talking(*map(view, self.others))

    def extra_sums(self, sums: list[np.ndarray]) -> Talking:
        return Talking(*sums)

    def inner_rows(self, images: int, tokens: int) -> tuple[int, ...]:
        return self.settings.heads, images, tokens

    @staticmethod
    def kept_shapes(x, tensors, settings):
        images, tokens, _ = x.shape
        attended = [images, settings.heads, tokens, tokens]
        return [*Kind.kept_shapes(x, tensors, settings), attended, x.shape]


def _keep(mask: Tensor | None, rows: tuple[int, ...]) -> np.ndarray:
    return np.empty((*rows, 0), np.bool_) if mask is None else view(mask).reshape(*rows, -1)


def _scales(mask: Tensor | None, scales: tuple[float, ...], rows: tuple[int, ...]) -> np.ndarray:
    if mask is None:
        return np.ones(rows, np.float32)
    return Mask(mask, scales).row_scales().reshape(rows)


def _inside(kept: list[Tensor], images: int, tokens: int) -> Inside:
    """Fills up what is kept: without a gradient, only the norm's mean and scale have elements."""
    shapes = (images, tokens), (images, tokens), (images, tokens, 0), (0, 0, 0, 0), (0, 0, 0)
    missing = [np.empty(shape, np.float32) for shape in shapes[len(kept) :]]
    return Inside(*map(view, kept), *missing)


def _flat(array: np.ndarray) -> np.ndarray:
    """Returns an array with its first two axes as one."""
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])
