"""Steps of training and of evaluation on made-up images, timed; and the config for them."""

import argparse
import time
from pathlib import Path

import numpy as np
import paddle
from ml_collections import ConfigDict

import data
from configs import default
from engine import distributed
from engine.model_setup import build_model
from engine.plan import resolve_config
from engine.results import bfloat16_evaluation
from engine.state import checkpoint, checkpoint_writer, progress, run_weights
from engine.step import forward, objective, optimizer
from engine.watch import start_checks
from models.input_images import normalise
from program.config import config_validation
from tools.measure.interleaved import Step


def config_of(arguments: argparse.Namespace, **rdrop: int) -> ConfigDict:
    """Returns the config of a run, with all fields resolved.

    Args:
        arguments: the flags of `tools.benchmark`.
        rdrop: `copies` and `shared_blocks`, when they are not those of the flags.

    Raises:
        UserError: when a flag has a value that its field does not take.
    """
    config = default.get_config()
    # An evaluation in bfloat16 has a way of its own, see `evaluation`.
    bfloat16 = arguments.precision == "bfloat16" and arguments.what != "eval"
    config.model.update(
        name=arguments.model,
        image_size=arguments.image_size,
        drop_rate=arguments.drop_rate,
        operators=arguments.operators,
    )
    config.rdrop.update(
        {"copies": arguments.copies, "shared_blocks": arguments.shared_blocks, **rdrop}
    )
    config.optim.name = arguments.optimizer
    config.train.update(
        batch_size=arguments.batch,
        steps=10**6,
        amp=arguments.amp or ("bf16" if bfloat16 else ""),
        recompute=arguments.recompute,
    )
    config_validation.validate(config)
    return resolve_config.with_classes(resolve_config.with_input(config), arguments.classes)


class Training:
    """Takes optimiser steps on the same images, as the trainer takes them.

    Args:
        config: of a run.
    """

    def __init__(self, config: ConfigDict):
        self.config, self.batch = config, _batch(config)
        self.objective = objective.Objective(config)
        distributed.start()
        self.model = build_model(config)
        start_checks.check_noise(self.model, config)
        self.optimizer = optimizer.Optimizer(self.model, config.optim, config.train.steps)
        self.model.train()
        self.wrapped = distributed.wrap(self.model)

    def step(self) -> float:
        """Takes one step, and returns its seconds."""
        started = time.perf_counter()
        step = self.optimizer.steps_done
        passed = forward.forward(self.wrapped, self.objective, self.batch, step, micro_batch=0)
        self.optimizer.accumulate(passed.terms.total)
        self.optimizer.step()
        self.model.parameters()[-1].numpy()  # waits for the device
        return time.perf_counter() - started


def checkpoints(config: ConfigDict, folder: Path) -> dict[str, Step]:
    """Returns three steps: no checkpoint is written; one is, in the background; one is, before.

    Args:
        config: of a run.
        folder: the checkpoints are written there.
    """
    training = Training(config)
    writer = checkpoint_writer.Writer(folder, keep=1)

    def step(saves: bool, waits: bool) -> float:
        writer.wait()  # for the checkpoint of the turn before
        started = time.perf_counter()
        if saves:
            done = progress.Progress(training.optimizer.steps_done)
            arrays = run_weights.arrays_of(training.model)
            writer.save(checkpoint.State(arrays, training.optimizer.state(), done, {}))
        if waits:
            writer.wait()
        training.step()
        return time.perf_counter() - started

    return {
        "step": lambda: step(saves=False, waits=False),
        "state written beside it": lambda: step(saves=True, waits=False),
        "state written before it": lambda: step(saves=True, waits=True),
    }


def evaluation(config: ConfigDict, precision: str) -> Step:
    """Returns a function that classifies one batch, as `val.py` does it.

    Args:
        config: of a run.
        precision: `float32` or `bfloat16`.
    """
    model, batch = build_model(config), _batch(config)
    model.eval()
    if precision == "bfloat16":
        model = bfloat16_evaluation.apply(model, config.model.image_size)

    @paddle.no_grad()
    def step() -> float:
        started = time.perf_counter()
        model(normalise(batch.images, config.model)).numpy()
        return time.perf_counter() - started

    return step


def _batch(config: ConfigDict) -> data.Batch:
    rng, size, count = np.random.default_rng(0), config.model.image_size, config.train.batch_size
    images = rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    labels = rng.integers(0, config.model.num_classes, count)
    return data.Batch(paddle.to_tensor(images), paddle.to_tensor(labels), 0)
