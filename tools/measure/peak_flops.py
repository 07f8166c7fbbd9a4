"""Which share of a machine's speed in products of matrices a training step reaches."""

import statistics
import time

import paddle
from ml_collections import ConfigDict

from models import flops
from tools.measure.interleaved import Step

_SIDE = 2048  # of the matrices
_PRODUCTS = 10  # of a turn


def steps(model, config: ConfigDict) -> dict[str, Step]:
    """Returns a step of large matrix products, scaled to the multiply-adds of a training step.

    The multiply-adds of a training step are three times those of its forward pass, counted with
    all tokens in the last block.
    """
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
    """Prints the share, from the rows of the step and of the products."""
    step, products = (statistics.median(row["seconds"]) for row in rows)
    print(
        f"the step reaches {100 * products / step:.0f} % of the speed of products of "
        f"{_SIDE} x {_SIDE} matrices"
    )
