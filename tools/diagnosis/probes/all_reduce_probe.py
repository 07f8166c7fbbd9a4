"""Adds up a tensor over the processes of a launch, and tells how fast: `FILE` for the answer."""

from __future__ import annotations

import sys
import time

from program import paddle_setup
from tools.diagnosis.probes.telling import Teller

_ON_CARDS, _ON_CPU = 64 << 20, 4 << 20  # bytes
_ROUNDS = 5


def main() -> None:
    """Tells whether the sum is right, and the bytes/s that pass through each process."""
    paddle_setup.load_paddle()
    import paddle
    import paddle.distributed as dist

    # Rank 0 tells, like it prints in a run.
    teller = Teller(sys.argv[1]) if dist.get_rank() == 0 else None

    def stage(name: str) -> None:
        if teller:
            teller.stage(name)

    stage("joining")
    dist.init_parallel_env()
    count, size = dist.get_world_size(), _ON_CPU
    if paddle.device.get_device() != "cpu":
        size = _ON_CARDS
    tensor = paddle.full([size // 4], dist.get_rank() + 1.0)
    stage("adding up")
    dist.all_reduce(tensor)
    right = bool((tensor == count * (count + 1) / 2).all())
    seconds = []
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        dist.all_reduce(tensor)
        float(tensor[0])  # waits for a card
        seconds.append(time.perf_counter() - begin)
    if teller:
        # What a ring passes on: NCCL's "bus bandwidth".
        passed = 2 * (count - 1) / count * size
        speed = passed / min(seconds)
        teller.tell(processes=count, size=size, right=right, bytes_per_second=speed)
    stage("done")


if __name__ == "__main__":
    main()
