"""The settings of a run for VisualDL's page of hyper-parameters."""

from __future__ import annotations

from ml_collections import ConfigDict

from configs import default
from program.config import config_fields

# What people compare, in the order of the columns.
FIELDS = (
    *("rdrop.copies", "rdrop.alpha", "rdrop.preset", "rdrop.consistency", "seed", "optim.lr"),
    *("optim.name", "optim.nesterov", "optim.weight_decay", "optim.layer_decay", "optim.schedule"),
    *("model.name", "model.image_size", "model.drop_rate", "model.attn_drop_rate"),
    *("model.drop_path_rate", "loss.label_smoothing", "data.labels_per_class"),
    *("data.auto_augment", "data.mixup_alpha", "data.cutmix_alpha", "average.ema_decay"),
)


def settings(config: ConfigDict, global_batch: int, steps: int) -> dict[str, int | float | str]:
    """Returns names and values, each of the same type in all runs.

    VisualDL's table takes a dot in a name for a path, and shows nothing: `rdrop/alpha`.

    Args:
        config: with all fields resolved.
        global_batch: images of an optimiser step.
        steps: optimiser steps of the run.
    """
    values, defaults = map(config_fields.flattened, (config, default.get_config()))
    found = {name.replace(".", "/"): _shown(values[name], defaults[name]) for name in FIELDS}
    return {**found, "global_batch": global_batch, "steps": steps}


def _shown(value: object, default_value: object) -> int | float | str:
    """Returns a value that VisualDL can show, as a float where the default is one."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, (int, float)):
        return float(value) if isinstance(default_value, float) else value
    return str(value) or "none"
