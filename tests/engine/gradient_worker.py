"""Writes the gradients of one optimiser step, alone or as one of several processes.

gradient_worker.py OUTPUT BATCH ACCUMULATION
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine import runtime

runtime.prepare_environment()

import numpy as np

import data
import models
from configs import default
from engine import distributed
from engine.evaluator import normalise
from engine.optimizers import Optimizer
from engine.trainer import build_model
from losses import RDropLoss


def main(output: str, batch: int, accumulation: int) -> None:
    """Two copies that dropout can't tell apart are pulled apart by hand, so that KL has a gradient, too."""
    distributed.start()
    config = default.get_config()
    config.data.update(name="digits", crop="none", flip=0.0)
    config.model.update(name="vit_n_2", num_classes=10, image_size=8, mean=(0.5,) * 3, std=(0.5,) * 3)
    model = build_model(config)
    assert not models.random_layers(model)
    dataset = data.build(config, "train")
    optimizer = Optimizer(model, config.optim, 1, accumulation)
    wrapped = distributed.wrap(model)
    for micro in data.load(dataset, data.TrainSampler(dataset, batch, accumulation, 1, seed=0), workers=0):
        with distributed.gradient_sync(wrapped, due=optimizer.last_micro_batch):
            logits = wrapped(normalise(micro.images, config.model), copies=2)
            logits = logits * np.array([1.0, 3.0], "float32").reshape([2, 1, 1])
            optimizer.accumulate(RDropLoss(alpha=2.0)(logits, micro.labels).total)
    if distributed.is_main():
        np.savez(output, **{name: parameter.grad.numpy() for name, parameter in model.named_parameters()})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
