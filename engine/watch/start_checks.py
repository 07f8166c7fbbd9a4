"""Refuses a run that can not work: R-Drop without noise, too few images without labels."""

from __future__ import annotations

from ml_collections import ConfigDict
from paddle import nn

import models
from common.errors import UserError
from engine import distributed


def check_noise(model: nn.Layer, config: ConfigDict) -> None:
    """Refuse R-Drop on a model in which nothing is random: KL would be 0 from the first step to the
    last.

    Raises:
        UserError: saying which rates to set.
    """
    rdrop = config.rdrop
    wanted = rdrop.alpha > 0 or (rdrop.unlabelled_batch_size > 0 and rdrop.unlabelled_alpha > 0)
    if rdrop.copies > 1 and wanted and not models.random_layers(model):
        cause = "every drop rate of the model is 0"
        remedy = "rdrop.drop_rates" if rdrop.drop_rates else "model.drop_rate (the paper has 0.1)"
        if rdrop.shared_blocks:
            cause, remedy = (
                f"rdrop.shared_blocks={rdrop.shared_blocks} leaves none",
                "it lower, or a drop rate",
            )
        raise UserError(
            f"R-Drop needs noise, but {cause}, so KL would be 0: set {remedy}, "
            "or rdrop.copies=1 for plain cross-entropy"
        )


def check_unlabelled(config: ConfigDict, dataset) -> None:
    """See that there are enough images without labels for a step.

    Raises:
        UserError: when there are not.
    """
    train, images = config.train, config.rdrop.unlabelled_batch_size
    needed = images * distributed.world_size() * train.accumulation_steps
    if images and needed > len(dataset):
        raise UserError(
            f"rdrop.unlabelled_batch_size takes {needed} images a step, but only {len(dataset)} have no labels"
        )
