"""The attention of fewer images than threads: threads share rows, and then heads.

Its three steps are those of `attention.forward` for an attention of all tokens to each other.
"""

import numpy as np

from models.fast.loops.attention import attend_head, qkv_of_head
from models.fast.loops.bfloat16 import operand
from models.fast.loops.blas import reset_own_threads, set_own_threads
from models.fast.loops.compiler import Floats, Real, compiled
from models.fast.loops.rows import residual
from models.fast.loops.shared import Branch, Normed, as_rows, norm_linear, of_head, product

_ONE = np.int32(1)  # thread of a product


@compiled()
def project(begin: int, end: int, branch: Branch, qkv: Floats) -> None:
    """Computes rows `begin` to `end` of queries, keys and values `(B, N, 3 * D)`."""
    before = set_own_threads(_ONE)
    inside, x = branch.inside, as_rows(branch.x)[begin:end]
    mean, scale = inside.mean.reshape(-1), inside.scale.reshape(-1)
    rows = Normed(x, mean[begin:end], scale[begin:end])
    room = np.empty(x.shape, Real)
    norm_linear(rows, branch.weights, branch.epsilon, room, as_rows(qkv)[begin:end])
    reset_own_threads(before)


@compiled()
def attend(begin: int, end: int, branch: Branch, qkv: Floats, mixed: Floats) -> None:
    """Computes what the heads of all images, numbers `begin` to `end` of B * H, mix: `(B, M, D)`."""
    before = set_own_threads(_ONE)
    heads, matrix, queries = branch.heads, branch.weights.last_weight, mixed.shape[1]
    rooms = np.empty((2, queries, qkv.shape[1]), Real)
    for number in range(begin, end):
        image, head = number // heads, number % heads
        q, k, v = qkv_of_head(qkv[image], queries, heads, head)
        own = operand(q, matrix), operand(k, matrix), operand(v, matrix)
        attend_head(branch, image, 0, head, own, rooms, of_head(mixed[image], heads, head))
    reset_own_threads(before)


@compiled()
def join(begin: int, end: int, branch: Branch, mixed: Floats, out: Floats) -> None:
    """Computes rows `begin` to `end` of the output `(B, M, D)`."""
    before = set_own_threads(_ONE)
    x, weights, noise, queries = branch.x, branch.weights, branch.noise, mixed.shape[1]
    last = np.empty((end - begin, mixed.shape[2]), Real)
    own = as_rows(mixed)[begin:end]
    product(operand(own, weights.last_weight), weights.last_weight, 1, 0, last)
    for row in range(begin, end):
        image, token = row // queries, row % queries
        here = slice(token, token + 1)
        keep, scale = noise.keep[image, here], noise.scale[image, here]
        one = last[row - begin : row - begin + 1]
        residual(x[image, here], one, weights.last_bias, keep, scale, out[image, here])
    reset_own_threads(before)
