"""A run on several processes in which rank 1 has trouble: faulty_worker.py FOLDER WHAT...

Each WHAT is KIND:STEP with the step counted from 0. `layer` and `gradient` put NaN into the second
micro-batch of that step on rank 1, at the full rate. `weight` flips the lowest bit of one of its
weights after the step. `stop:N` sends it SIGTERM when it asks for the N-th time whether an
evaluation is to go on. `unreadable:RANK` keeps any rank from reading the checkpoints. The
environment's POLICY is train.nonfinite, HOLDOUT the share of images for validation.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from program import paddle_setup

paddle_setup.load_paddle()

import numpy as np

from configs import default
from engine import distributed
from engine.commands import single_run
from engine.state import checkpoint
from engine.step.objective import Objective
from engine.step.optimizer import Optimizer
from engine.trainer import Trainer
from program import exits
from program.signals import StopRequest


def faulty_config():
    """Eight steps on digits."""
    config = default.get_config()
    config.data.update(name="digits", crop="none", flip=0.0)
    config.model.update(name="vit_n_2", drop_rate=0.1)
    config.train.update(
        steps=8, batch_size=4, accumulation_steps=2, log_every_steps=1, checkpoint_every_steps=4
    )
    config.data.holdout = float(os.environ.get("HOLDOUT", "0"))
    config.eval.update(every_steps=3, batch_size=32)
    config.train.update(nonfinite=os.environ.get("POLICY", "stop"), check_ranks_every_steps=3)
    return config


def break_rank(faults: set[tuple[str, int]]) -> None:
    """Have this process go wrong."""
    call, prepare, update, train = (
        Objective.__call__,
        Objective.prepare,
        Optimizer._update,
        Trainer.train,
    )
    check, asked = StopRequest.check, []

    def prepared(self, batch, step, micro):
        images, targets = prepare(self, batch, step, micro)
        self.wrong = micro == 1 and ("gradient", step) in faults
        return (
            images * float("nan") if micro == 1 and ("layer", step) in faults else images
        ), targets

    def called(self, logits, targets, step):
        if self.wrong:
            logits.register_hook(lambda gradient: gradient * float("nan"))
        return call(self, logits, targets, step)

    def updated(self, lr):
        update(self, lr)
        if ("weight", self.steps_done) in faults:
            weight = self._parameters["blocks.1.norm1.bias"]
            bits = weight.numpy().view(np.int32)
            bits[3] ^= 1
            weight.set_value(bits.view(np.float32))

    def trained(self):
        if self.optimizer.lr_factor < 1:
            faults.clear()
        return train(self)

    def checked(self):
        asked.append(0)
        if ("stop", len(asked)) in faults:
            os.kill(os.getpid(), signal.SIGTERM)
        check(self)

    Objective.__call__, Objective.prepare, Optimizer._update, Trainer.train = (
        called,
        prepared,
        updated,
        trained,
    )
    StopRequest.check = checked


def close_checkpoints() -> None:
    """Have this process see them on a disk that fails."""

    def failing(path: Path):
        raise OSError(errno.EIO, "Input/output error", str(path))

    checkpoint.all_steps = checkpoint.sha256 = failing


def main() -> int:
    """Train with the faults of the command line."""
    distributed.start()
    faults = {(kind, int(step)) for kind, step in (word.split(":") for word in sys.argv[2:])}
    if ("unreadable", distributed.rank()) in faults:
        close_checkpoints()
    if distributed.rank() == 1:
        break_rank(faults)
    with StopRequest() as stop:
        return single_run.train(faulty_config(), Path(sys.argv[1]), stop=stop)


if __name__ == "__main__":
    try:
        exits.run_tool(main)
    finally:
        print(f"leaves with {getattr(sys.exc_info()[1], 'code', None)}", flush=True)
