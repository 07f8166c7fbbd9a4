"""Finds fields that are set and change nothing, because of what another field is.

Only a new run is refused for them: a run of an earlier version goes on, and its weights are read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ml_collections import ConfigDict

from configs import default
from program.config.config_fields import flattened, to_choose


class Use(NamedTuple):
    """Fields of one group, the fields that decide about them, and whether they have a use."""

    fields: str  # names with spaces between
    owners: str
    used: Callable[[ConfigDict], object]


_USES = (
    Use("optim.power", "optim.schedule", lambda c: c.optim.schedule == "polynomial"),
    Use("optim.gamma", "optim.schedule", lambda c: c.optim.schedule == "multi_step"),
    Use("optim.momentum", "optim.name", lambda c: c.optim.name in ("momentum", "lars")),
    Use("optim.lars_coefficient", "optim.name", lambda c: c.optim.name == "lars"),
    Use("optim.beta1 optim.beta2", "optim.name", lambda c: c.optim.name in ("adamw", "lamb")),
    Use("optim.decay", "optim.weight_decay", lambda c: c.optim.weight_decay),
    Use(
        "data.randaugment_layers data.randaugment_magnitude",
        "data.auto_augment",
        lambda c: c.data.auto_augment.startswith("randaugment"),
    ),
    Use(
        "data.randaugment_std",
        "data.auto_augment",
        lambda c: c.data.auto_augment == "randaugment",
    ),
    Use(
        "data.erase_mode data.erase_count",
        "data.erase_probability",
        lambda c: c.data.erase_probability,
    ),
    Use(
        "data.erase_order",
        "data.erase_probability data.mixup_alpha data.cutmix_alpha",
        lambda c: c.data.erase_probability and (c.data.mixup_alpha or c.data.cutmix_alpha),
    ),
    Use(
        "data.mix_mode data.mix_probability",
        "data.mixup_alpha data.cutmix_alpha",
        lambda c: c.data.mixup_alpha or c.data.cutmix_alpha,
    ),
    Use(
        "data.mix_switch_probability",
        "data.mixup_alpha data.cutmix_alpha",
        lambda c: c.data.mixup_alpha and c.data.cutmix_alpha,
    ),
    Use("data.crop_scale data.crop_ratio", "data.crop", lambda c: c.data.crop == "random_resized"),
    Use("data.crop_padding", "data.crop", lambda c: c.data.crop == "padded"),
    Use("data.image_column data.label_column", "data.name", lambda c: c.data.name == "folder"),
    Use("data.root", "data.name", lambda c: c.data.name != "digits"),
    # Not rdrop.alpha: grids of copies and alpha are usual, and the objective is printed.
    Use(
        "rdrop.consistency rdrop.temperature rdrop.stop_gradient rdrop.preset rdrop.every_steps "
        "rdrop.alpha_warmup_steps",
        "rdrop.copies",
        lambda c: c.rdrop.copies > 1,
    ),
    Use(
        "rdrop.unlabelled_alpha",
        "rdrop.unlabelled_batch_size",
        lambda c: c.rdrop.unlabelled_batch_size,
    ),
    Use("distill.temperature", "distill.kind", lambda c: c.distill.kind == "soft"),
    Use("average.ema_warmup", "average.ema_decay", lambda c: c.average.ema_decay),
    Use("train.amp_dtype", "train.amp", lambda c: c.train.amp in ("O1", "O2")),
    Use(
        "train.loss_scale",
        "train.amp train.amp_dtype",
        lambda c: c.train.amp in ("O1", "O2") and c.train.amp_dtype == "float16",
    ),
    # A recipe takes published weights where none are named.
    Use(
        "model.pretrained_head",
        "model.pretrained",
        lambda c: c.model.pretrained or c.train.recipe,
    ),
)


def without_use(config: ConfigDict) -> dict[str, str]:
    """Returns the fields that are not at their default, but change nothing.

    What is left to a recipe is not known yet, and so is its use.

    Args:
        config: each of its fields is right by itself.

    Returns:
        By the name of the field a text that says why it has no use, and what to do.
    """
    values, usual = flattened(config), flattened(default.get_config())
    left, found = set(to_choose(config)), {}
    for one in _USES:
        owners = one.owners.split()
        if left.intersection(owners) or one.used(config):
            continue
        why = " and ".join(f"{owner}={_shown(values[owner])}" for owner in owners)
        for name in one.fields.split():
            if name not in left and values[name] != usual[name]:
                found[name] = (
                    f"{name}={_shown(values[name])} has no use with {why}: leave it out, or change "
                    f"{' or '.join(owners)}"
                )
    return found


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value) or "''"
