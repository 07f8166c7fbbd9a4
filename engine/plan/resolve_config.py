"""Fills in the fields of a config that the weights, the data set and the batch size decide."""

from ml_collections import ConfigDict

import data
import models
from common.errors import UserError
from configs.allowed_values import AUTO
from program.config import config_fields

_RATES = ("optim.lr", "optim.final_lr", "average.swa_lr", "average.swa_lowest_lr")


def with_input(config: ConfigDict, weights: str = "") -> ConfigDict:
    """Fills in what weights decide: image size, mean, standard deviation, and how to evaluate.

    The data set decides whether images are turned upright.

    Args:
        config: fields that are set stay as they are.
        weights: their source; empty for those that the config names, if any.

    Raises:
        UserError: also when `train.recipe` has not chosen yet.
    """
    left = config_fields.to_choose(config)
    if left:
        raise UserError(
            f"the config leaves {left[0]} to train.recipe, which chooses only for training: "
            "weights of a run carry what was chosen, so leave --config out"
        )
    source = weights or config.model.pretrained
    config = with_architecture(config, source)
    stats = models.input_stats(config.model.name, source)
    decided = {
        "model.image_size": models.native_size(config.model.name),
        "model.mean": stats.mean,
        "model.std": stats.std,
        "data.eval_crop": stats.crop_fraction,
        "data.interpolation": stats.interpolation,
    }
    known = config_fields.flattened(config)
    values = {name: known[name] or decided[name] for name in decided}
    if config.data.exif_orientation == "auto":
        values["data.exif_orientation"] = data.usual_exif(config.data.name)
    return config_fields.changed(config, values)


def with_architecture(config: ConfigDict, source: str) -> ConfigDict:
    """Fills in what weights tell of the model itself: its name and its parts.

    Args:
        config: with `model.name=auto`, or `auto` in `model.parts`; else it stays as it is.
        source: of the weights; empty for none.

    Raises:
        UserError: when the weights can't be read, or do not tell which model they are of.
    """
    if config.model.name == AUTO and not source:
        raise UserError(
            "model.name=auto takes the model from its weights: set model.pretrained, or name it"
        )
    name, parts = models.resolve(config.model.name, config.model.parts, source)
    return config_fields.changed(config, {"model.name": name, "model.parts": parts})


def with_classes(config: ConfigDict, num_classes: int) -> ConfigDict:
    """Fills in what the data set decides: the number of classes.

    Raises:
        UserError: when the config asks for another number.
    """
    if config.model.num_classes not in (0, num_classes):
        raise UserError(
            f"model.num_classes is {config.model.num_classes}, but the data has {num_classes} "
            "classes"
        )
    return config_fields.changed(config, {"model.num_classes": num_classes})


def with_rate(config: ConfigDict, global_batch: int) -> ConfigDict:
    """Returns the config with the learning rates that the optimiser gets.

    With `optim.scale_lr` they are in proportion to the batch. Linear scaling: Goyal et al.,
    arXiv:1706.02677. The result is for the optimiser only; what is written down is the rate that
    the user chose.
    """
    if not config.optim.scale_lr:
        return config
    share, known = global_batch / config.train.reference_batch_size, config_fields.flattened(config)
    return config_fields.changed(config, {name: known[name] * share for name in _RATES})
