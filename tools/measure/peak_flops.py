"""Which share of a machine's speed in products of matrices a training step reaches."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import paddle
from ml_collections import ConfigDict

from common import threads
from engine.step import mixed_precision
from models import flops
from models.layers.operators import compiled_operators
from tools.measure.interleaved import Step

_SIDE = 2048  # of the matrices
_PRODUCTS = 10  # of a turn


def steps(model, config: ConfigDict) -> dict[str, Step]:
    """Returns a step of large matrix products, scaled to the multiply-adds of a training step.

    The multiply-adds of a training step are three times those of its forward pass, counted with
    all tokens in the last block. The products are those of the library, and of the type, that the
    compiled branches use; where none are used they are Paddle's.
    """
    passes = config.train.batch_size * config.rdrop.copies
    needed = 3 * passes * flops.cost(model, config.model.image_size).multiply_adds
    multiply = _product(model, config)

    def step() -> float:
        started = time.perf_counter()
        for _ in range(_PRODUCTS):
            multiply()
        return (time.perf_counter() - started) * needed / (_PRODUCTS * _SIDE**3)

    return {"as many multiply-adds": step}


def _product(model, config: ConfigDict) -> Callable[[], object]:
    """Returns what multiplies two large matrices, and waits for the product."""
    first, second = (paddle.randn([_SIDE, _SIDE]) for _ in range(2))
    if config.model.operators == "plain" or not compiled_operators(first):
        return lambda: paddle.matmul(first, second)[0, 0].numpy()
    from models.fast.loops import bfloat16, blas

    half = config.train.amp == mixed_precision.BFLOAT16 and not model.missing_for_bfloat16()
    a, b = first.numpy(), second.numpy()
    if half:
        a, b = bfloat16.rounded(a), bfloat16.rounded(b)
    out = np.empty((_SIDE, _SIDE), np.float32)

    def rows(_: int, begin: int, end: int) -> None:
        before = blas.set_own_threads(1)
        blas.multiply(
            half,
            blas.Shape(end - begin, _SIDE, _SIDE),
            *(
                blas.Matrix(part.ctypes.data, _SIDE, True)
                for part in (a[begin:end], b, out[begin:end])
            ),
            np.float32(1),
            np.float32(0),
        )
        blas.reset_own_threads(before)

    return lambda: threads.in_threads(rows, threads.parts(_SIDE, _SIDE))


def show(rows: list[dict]) -> None:
    """Prints the share, from the rows of the step and of the products."""
    step, products = (statistics.median(row["seconds"]) for row in rows)
    print(
        f"the step reaches {100 * products / step:.0f} % of the speed of products of "
        f"{_SIDE} x {_SIDE} matrices"
    )
