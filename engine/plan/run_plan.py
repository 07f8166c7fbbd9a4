"""The arithmetic of a run: global batch, number of optimiser steps, steps between validations."""

import math
from typing import NamedTuple

from ml_collections import ConfigDict

from common.errors import UserError
from engine import distributed

_MOST_RECORDS = {"train.log_every_steps": 100_000, "eval.every_steps": 20_000}


class Plan(NamedTuple):
    """The arithmetic of a run, in images and optimiser steps."""

    train_images: int
    global_batch: int  # images of a step on all cards
    steps: int
    eval_every: int  # steps

    def epoch(self, steps_done: int) -> float:
        """Returns the number of passes over the training images so far."""
        return steps_done * self.global_batch / self.train_images


def make(config: ConfigDict, train_images: int) -> Plan:
    """Works out the number of steps of a run.

    Raises:
        UserError: when the global batch is larger than the data set, a milestone is after the last
            step, or there would be more records than a run can go on with.
    """
    train, milestones = config.train, config.optim.milestones
    global_batch = train.batch_size * distributed.world_size() * train.accumulation_steps
    if global_batch > train_images:
        most = max(1, train_images // (distributed.world_size() * train.accumulation_steps))
        held_out = ", and data.holdout=0 to hold none of so few out" if config.data.holdout else ""
        raise UserError(
            f"the global batch is {global_batch}, larger than the {train_images} training images: "
            f"set train.batch_size={most} or less{held_out}"
        )
    steps = train.steps or max(1, round(train.epochs * train_images / global_batch))
    if max(milestones, default=0) >= steps:
        raise UserError(f"optim.milestones is {milestones}, but the run has {steps} steps")
    eval_every = config.eval.every_steps or max(1, train_images // global_batch)
    for (name, most), every in zip(_MOST_RECORDS.items(), (train.log_every_steps, eval_every)):
        if steps // every > most:
            raise UserError(
                f"{name} is {every} in a run of {steps} steps: too many records; set it to "
                f"{math.ceil(steps / most)} or more"
            )
    return Plan(train_images, global_batch, steps, eval_every)
