"""Fills in the fields that a config leaves to the weights, the data set and the batch size."""

from __future__ import annotations

from ml_collections import ConfigDict

import models
from common.errors import UserError
from program import config_fields

_RATES = ("optim.lr", "optim.final_lr", "average.swa_lr", "average.swa_lowest_lr")


def with_input(config: ConfigDict, weights: str = "") -> ConfigDict:
    """Fill in what weights decide: image size, mean, standard deviation, evaluation crop and
    interpolation.

    Args:
        config: of which what is set stays as it is.
        weights: their source; empty for those that the config names, if any.
    """
    stats = models.input_stats(config.model.name, weights or config.model.pretrained)
    decided = {
        "model.image_size": models.native_size(config.model.name),
        "model.mean": stats.mean,
        "model.std": stats.std,
        "data.eval_crop": stats.crop_fraction,
        "data.interpolation": stats.interpolation,
    }
    set_already = config_fields.flattened(config)
    return config_fields.changed(
        config, {name: set_already[name] or value for name, value in decided.items()}
    )


def with_classes(config: ConfigDict, num_classes: int) -> ConfigDict:
    """Fill in what the data set decides: the number of classes.

    Raises:
        UserError: when the config asks for another one.
    """
    if config.model.num_classes not in (0, num_classes):
        raise UserError(
            f"model.num_classes is {config.model.num_classes}, but the data has {num_classes} classes"
        )
    return config_fields.changed(config, {"model.num_classes": num_classes})


def with_rate(config: ConfigDict, global_batch: int) -> ConfigDict:
    """The config with the learning rates that the optimiser gets: by `optim.scale_lr` in proportion
    to the batch.

    It is for the optimiser alone: what is written down is the rate that the user chose. Linear
    scaling: Goyal et al., arXiv:1706.02677.
    """
    if not config.optim.scale_lr:
        return config
    share, known = global_batch / config.train.reference_batch_size, config_fields.flattened(config)
    return config_fields.changed(config, {name: known[name] * share for name in _RATES})
