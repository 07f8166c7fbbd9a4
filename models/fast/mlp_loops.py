"""The branch of the MLP, for some rows after the other."""

from __future__ import annotations

import numpy as np

from models.fast.blas import set_own_threads
from models.fast.compiler import Floats, Real, compiled
from models.fast.row_loops import gelu, gelu_gradient, layer_norm, masked, residual
from models.fast.shared_loops import (
    MANY,
    Inside,
    Noise,
    Weights,
    add_last,
    first_gradient,
    norm_gradient,
    product,
)

_FEW = 160  # rows at a time, in the place of MANY, where the hidden width is up to
_NARROW = 1024


@compiled()
def forward(
    begin: int,
    end: int,
    threads: np.int32,
    x: Floats,
    weights: Weights,
    epsilon: np.float32,
    noise: Noise,
    inside: Inside,
    out: Floats,
) -> None:
    """The branch of the MLP, added to `x`, for rows `begin` to `end` of `(rows, D)`."""
    before = set_own_threads(threads)
    hidden = weights.first_bias.size
    size = min(_FEW if hidden <= _NARROW else MANY, end - begin)
    all_normed, all_branch = np.empty((size, x.shape[1]), Real), np.empty((size, x.shape[1]), Real)
    all_active, own_first = np.empty((size, hidden), Real), np.empty((size, hidden), Real)
    for a in range(begin, end, size):
        b = min(a + size, end)
        normed, branch, active = all_normed[: b - a], all_branch[: b - a], all_active[: b - a]
        first = inside.first[a:b] if inside.first.size else own_first[: b - a]
        layer_norm(
            x[a:b],
            weights.norm_weight,
            weights.norm_bias,
            epsilon,
            inside.mean[a:b],
            inside.scale[a:b],
            normed,
        )
        product(normed, weights.first_weight, 1, 0, first)
        gelu(first, weights.first_bias, noise.inner_keep[a:b], noise.inner_scale[a:b], active)
        product(active, weights.last_weight, 1, 0, branch)
        residual(x[a:b], branch, weights.last_bias, noise.keep[a:b], noise.scale[a:b], out[a:b])
    set_own_threads(before)


@compiled()
def gradient(
    begin: int,
    end: int,
    threads: np.int32,
    x: Floats,
    weights: Weights,
    noise: Noise,
    inside: Inside,
    upper: Floats,
    out: Floats,
    sums: Weights,
) -> None:
    """The gradient `out` for rows `begin` to `end` from `upper`; those for the weights are added to
    `sums`.
    """
    before = set_own_threads(threads)
    width, hidden = x.shape[1], weights.first_bias.size
    size = min(_FEW if hidden <= _NARROW else MANY, end - begin)
    all_room, all_for_branch = np.empty((size, width), Real), np.empty((size, width), Real)
    all_active, all_for_first = np.empty((size, hidden), Real), np.empty((size, hidden), Real)
    all_for_active = np.empty((size, hidden), Real)
    for a in range(begin, end, size):
        b = min(a + size, end)
        room, for_branch = all_room[: b - a], all_for_branch[: b - a]
        active, for_active, for_first = (
            all_active[: b - a],
            all_for_active[: b - a],
            all_for_first[: b - a],
        )
        masked(upper[a:b], noise.keep[a:b], noise.scale[a:b], for_branch)
        product(for_branch, weights.last_weight.T, 1, 0, for_active)
        gelu_gradient(
            inside.first[a:b],
            weights.first_bias,
            noise.inner_keep[a:b],
            noise.inner_scale[a:b],
            for_active,
            active,
            for_first,
        )
        add_last(active, for_branch, sums)
        mean, scale = inside.mean[a:b], inside.scale[a:b]
        first_gradient(x[a:b], weights, mean, scale, for_first, room, sums)
        norm_gradient(x[a:b], weights, mean, scale, room, upper[a:b], out[a:b], sums)
    set_own_threads(before)
