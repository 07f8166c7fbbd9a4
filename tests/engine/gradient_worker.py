"""Writes loss and gradients of one optimiser step, alone or as one of several processes.

gradient_worker.py OUTPUT BATCH ACCUMULATION SHARED_BLOCKS [one_by_one]

With dropout, stochastic depth and images without labels, half as many as others. `one_by_one` runs the copies one after
the other, as large models do.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine import runtime

runtime.prepare_environment()

import numpy as np

import data
from configs import default
from engine import distributed, plan
from engine.noise import noise
from engine.objective import Objective
from engine.optimizers import Optimizer
from engine.trainer import build_model
from models import multipass


def step_config(batch: int, accumulation: int, shared_blocks: int):
    """A step of 24 digits on which all kinds of noise and both kinds of images act."""
    config = default.get_config()
    config.data.update(name="digits", crop="none", flip=0.0, labels_per_class=20)
    config.model.update(name="vit_n_2_distilled", drop_rate=0.1, attn_drop_rate=0.1, drop_path_rate=0.2)
    config.rdrop.update(alpha=3.0, unlabelled_batch_size=batch // 2, shared_blocks=shared_blocks)
    config.train.update(batch_size=batch, accumulation_steps=accumulation)
    return plan.with_classes(plan.with_input(config), 10)


def main(output: str, batch: int, accumulation: int, shared_blocks: int, one_by_one: bool) -> None:
    """Take the micro-batches of this process's part of the step."""
    distributed.start()
    if one_by_one:
        multipass._CACHED = 0
    config = step_config(batch, accumulation, shared_blocks)
    model, objective = build_model(config), Objective(config)
    optimizer, wrapped = Optimizer(model, config.optim, 1, accumulation), distributed.wrap(model)
    sets = [(data.build(config, "train"), batch), (data.build(config, "unlabelled"), batch // 2)]
    samplers = [data.TrainSampler(one, size, accumulation, 1, seed=0) for one, size in sets]
    loaders = [data.load(one, sampler, workers=0) for (one, _), sampler in zip(sets, samplers)]
    wrapped.train()
    loss = 0.0
    for micro in data.join(*loaders):
        with (
            distributed.gradient_sync(wrapped, due=optimizer.last_micro_batch),
            noise(config, 0, optimizer.micro_batches),
        ):
            images, targets = objective.prepare(micro, 0, optimizer.micro_batches)
            terms = objective(wrapped(images, copies=2), targets, 0)
            optimizer.accumulate(terms.total)
        loss += terms.total.item() / accumulation / distributed.world_size()
    loss = distributed.sum_over_ranks([loss]).item()
    if distributed.is_main():
        gradients = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
        np.savez(output, loss=loss, kl_unlabelled=terms.kl_unlabelled.item(), **gradients)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]), one_by_one="one_by_one" in sys.argv)
