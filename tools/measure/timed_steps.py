"""Steps of training and of evaluation on made-up images, timed."""

import time
from pathlib import Path

import numpy as np
import paddle
from ml_collections import ConfigDict

import data
from engine import distributed
from engine.model_setup import build_model
from engine.results import bfloat16_evaluation
from engine.state import run_weights
from engine.state.checkpoint import State
from engine.state.checkpoint_writer import Writer
from engine.state.progress import Progress
from engine.step.forward import forward
from engine.step.objective import Objective
from engine.step.optimizer import Optimizer
from engine.watch import start_checks
from models.input_images import normalise
from tools.measure.interleaved import Step


class Training:
    """Takes optimiser steps on the same images, as the trainer takes them.

    Args:
        config: of a run.
    """

    def __init__(self, config: ConfigDict):
        self.config, self.objective, self.batch = config, Objective(config), _batch(config)
        distributed.start()
        self.model = build_model(config)
        start_checks.check_noise(self.model, config)
        self.optimizer = Optimizer(self.model, config.optim, config.train.steps)
        self.model.train()
        self.wrapped = distributed.wrap(self.model)

    def step(self) -> float:
        """Takes one step, and returns its seconds."""
        started = time.perf_counter()
        step = self.optimizer.steps_done
        passed = forward(self.wrapped, self.objective, self.batch, step, micro_batch=0)
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
    writer = Writer(folder, keep=1)

    def step(saves: bool, waits: bool) -> float:
        writer.wait()  # for the checkpoint of the turn before
        started = time.perf_counter()
        if saves:
            progress = Progress(training.optimizer.steps_done)
            arrays = run_weights.arrays_of(training.model)
            writer.save(State(arrays, training.optimizer.state(), progress, {}))
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
