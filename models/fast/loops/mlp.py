"""Compiled loops of the branch of an MLP, which take some rows at a time."""

import numpy as np

from models.fast.loops.activations import activate, activate_gradient
from models.fast.loops.bfloat16 import operand
from models.fast.loops.blas import reset_own_threads, set_own_threads
from models.fast.loops.compiler import Floats, Real, compiled
from models.fast.loops.rows import masked, residual
from models.fast.loops.shared import (
    MANY,
    Branch,
    Normed,
    Weights,
    add_last,
    as_rows,
    first_gradient,
    norm,
    norm_gradient,
    product,
)

_FEW, _NARROW = 160, 1024  # rows at a time, instead of MANY, up to this hidden width


@compiled()
def forward(begin: int, end: int, branch: Branch, out: Floats) -> None:
    """Computes rows `begin` to `end` of the branch's output `(B, N, D)`, which has `B * N` rows."""
    before = set_own_threads(branch.threads)
    x, weights, noise, inside = branch.x, branch.weights, branch.noise, branch.inside
    out, width, hidden = as_rows(out), x.shape[1], weights.first_bias.size
    size = min(_FEW if hidden <= _NARROW else MANY, end - begin)
    all_normed, all_last = np.empty((size, width), Real), np.empty((size, width), Real)
    all_active, own_first = np.empty((size, hidden), Real), np.empty((size, hidden), Real)
    for a in range(begin, end, size):
        b = min(a + size, end)
        normed, last, active = all_normed[: b - a], all_last[: b - a], all_active[: b - a]
        first = inside.first[a:b] if inside.first.size else own_first[: b - a]
        norm(Normed(x[a:b], inside.mean[a:b], inside.scale[a:b]), weights, branch.epsilon, normed)
        product(operand(normed, weights.first_weight), weights.first_weight, 1, 0, first)
        keep, scale = noise.inner_keep[a:b], noise.inner_scale[a:b]
        activate(first, weights.first_bias, keep, scale, branch.extra, active)
        product(operand(active, weights.last_weight), weights.last_weight, 1, 0, last)
        residual(x[a:b], last, weights.last_bias, noise.keep[a:b], noise.scale[a:b], out[a:b])
    reset_own_threads(before)


@compiled()
def gradient(
    begin: int,
    end: int,
    branch: Branch,
    upper: Floats,
    out: Floats,
    sums: Weights,
    extra_sums: tuple[()],
) -> None:
    """Computes rows `begin` to `end` of the gradient `out` from `upper`, both `(B, N, D)`.

    The gradients of the weights are added to `sums`.
    """
    before = set_own_threads(branch.threads)
    x, weights, noise, inside = branch.x, branch.weights, branch.noise, branch.inside
    upper, out, width, hidden = as_rows(upper), as_rows(out), x.shape[1], weights.first_bias.size
    size = min(_FEW if hidden <= _NARROW else MANY, end - begin)
    all_room, all_for_last = np.empty((size, width), Real), np.empty((size, width), Real)
    all_active, all_for_first = np.empty((size, hidden), Real), np.empty((size, hidden), Real)
    all_for_active, matrix = np.empty((size, hidden), Real), weights.last_weight
    for a in range(begin, end, size):
        b = min(a + size, end)
        room, for_last, active = all_room[: b - a], all_for_last[: b - a], all_active[: b - a]
        for_active, for_first = all_for_active[: b - a], all_for_first[: b - a]
        first, keep, scale = inside.first[a:b], noise.inner_keep[a:b], noise.inner_scale[a:b]
        masked(upper[a:b], noise.keep[a:b], noise.scale[a:b], for_last)
        product(operand(for_last, matrix), matrix.T, 1, 0, for_active)
        bias, gate = weights.first_bias, branch.extra
        activate_gradient(first, bias, keep, scale, gate, for_active, active, for_first)
        add_last(operand(active, matrix), for_last, sums)
        rows = Normed(x[a:b], inside.mean[a:b], inside.scale[a:b])
        first_gradient(rows, weights, for_first, room, sums)
        norm_gradient(rows, weights, room, upper[a:b], out[a:b], sums)
    reset_own_threads(before)
