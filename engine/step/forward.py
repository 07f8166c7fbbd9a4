"""The forward pass of a micro-batch: images in, loss terms out. Every step of any kind calls it."""

from __future__ import annotations

from typing import NamedTuple

from paddle import Tensor, nn

from data import Batch
from engine.step.noise import noise
from engine.step.objective import LossTerms, Objective
from engine.step.training_batches import FeatureBatch


class Forward(NamedTuple):
    """The loss of a micro-batch, and the predictions `(B, C)` for its images with labels."""

    terms: LossTerms
    predictions: Tensor


def forward(
    model: nn.Layer,
    objective: Objective,
    batch: Batch | FeatureBatch,
    step: int,
    micro_batch: int,
) -> Forward:
    """Passes the images of a micro-batch through the model, each with several dropout masks.

    Args:
        model: in training mode; also one that is wrapped for several cards.
        objective: of the run.
        batch: images `(B + U, 3, S, S)`, labels `(B,)`; the last U images have no labels. Of
            cached features only what comes behind them is computed.
        step: number of optimiser steps before this one; with the seed it decides the masks.
        micro_batch: number of this card's micro-batches before this one in the step.
    """
    with noise(objective.config, step, micro_batch):
        images, targets = objective.prepare(batch, step, micro_batch)  # augmented, normalised
        cached = {"cached": True} if isinstance(batch, FeatureBatch) else {}
        # (m, B + U, C), from one joined pass
        logits = model(images, copies=objective.copies(step), **cached)
        terms = objective(logits, targets, step)
    return Forward(terms, objective.predictions(logits, targets, step))
