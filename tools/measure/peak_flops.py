"""What share of a machine's speed in products of matrices a training step reaches."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

_SIDE = 2048  # of the matrices
_PRODUCTS = 10  # of a turn


def steps(model, config) -> dict[str, Callable[[], float]]:
    """A turn of as many products of large matrices as have the multiply-adds of the training step.

    The step's are three times those of the forward pass, in which all tokens go through the last
    block.
    """
    import paddle

    from models import flops

    passes = config.train.batch_size * config.rdrop.copies
    needed = 3 * passes * flops.cost(model, config.model.image_size).multiply_adds
    first, second = (paddle.randn([_SIDE, _SIDE]) for _ in range(2))

    def step() -> float:
        started = time.perf_counter()
        for _ in range(_PRODUCTS):
            product = paddle.matmul(first, second)
        product[0, 0].numpy()  # waits for the device
        return (time.perf_counter() - started) * needed / (_PRODUCTS * _SIDE**3)

    return {"as many multiply-adds": step}


def show(rows: list[dict]) -> None:
    """Print the share, from the rows of the step and of the products."""
    step, products = (statistics.median(row["seconds"]) for row in rows)
    print(
        f"the step reaches {100 * products / step:.0f} % of the speed of products of {_SIDE} x {_SIDE} matrices"
    )
