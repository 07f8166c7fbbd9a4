"""Refuses runs that can not work: R-Drop without noise, too few images without labels."""

from __future__ import annotations

from ml_collections import ConfigDict
from paddle import nn

import data
import models
from common.errors import UserError
from engine import distributed


def check_noise(model: nn.Layer, config: ConfigDict) -> None:
    """Refuses R-Drop on a model in which nothing is random: KL would always be 0.

    Raises:
        UserError: with the rates to set.
    """
    rdrop = config.rdrop
    wanted = rdrop.alpha > 0 or (rdrop.unlabelled_batch_size > 0 and rdrop.unlabelled_alpha > 0)
    if rdrop.copies > 1 and wanted and not models.random_layers(model):
        cause = "every drop rate of the model is 0"
        remedy = "rdrop.drop_rates" if rdrop.drop_rates else "model.drop_rate (the paper has 0.1)"
        if rdrop.shared_blocks:
            cause = f"rdrop.shared_blocks={rdrop.shared_blocks} leaves none"
            remedy = "it lower, or a drop rate"
        raise UserError(
            f"R-Drop needs noise, but {cause}, so KL would be 0: set {remedy}, "
            "or rdrop.copies=1 for plain cross-entropy"
        )


def check_unlabelled(config: ConfigDict, dataset: data.ImageDataset | None) -> None:
    """Checks that there are enough images without labels for a step.

    Args:
        config: a whole config.
        dataset: the images without labels; None if the config wants none.

    Raises:
        UserError: when there are too few.
    """
    train, images, found = config.train, config.rdrop.unlabelled_batch_size, len(dataset or ())
    needed = images * distributed.world_size() * train.accumulation_steps
    if images and needed > found:
        raise UserError(
            f"rdrop.unlabelled_batch_size takes {needed} images a step, but only {found} "
            "have no labels"
        )
