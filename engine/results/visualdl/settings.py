"""The settings of a run for VisualDL's page of hyper-parameters."""

from __future__ import annotations

from ml_collections import ConfigDict

from configs import default
from program.config import config_fields

# What people compare. Each run has all of them: one that lacks a column would not be shown.
FIELDS = (
    *("model.name", "model.image_size", "model.drop_rate", "model.attn_drop_rate"),
    *("model.drop_path_rate", "model.trainable", "rdrop.copies", "rdrop.alpha", "rdrop.preset"),
    *("rdrop.consistency", "rdrop.unlabelled_batch_size", "loss.label_smoothing"),
    *("distill.teacher", "data.labels_per_class", "data.auto_augment", "data.mixup_alpha"),
    *("data.cutmix_alpha", "optim.name", "optim.lr", "optim.nesterov", "optim.layer_decay"),
    *("optim.weight_decay", "optim.schedule", "optim.warmup_steps", "average.ema_decay", "seed"),
)


def settings(config: ConfigDict, global_batch: int, steps: int) -> dict[str, int | float | str]:
    """Returns names and values, each of the same type in all runs.

    Args:
        config: with all fields resolved.
        global_batch: images of an optimiser step.
        steps: optimiser steps of the run.
    """
    values, defaults = map(config_fields.flattened, (config, default.get_config()))
    found = {name: _shown(values[name], defaults[name]) for name in FIELDS}
    return {**found, "global_batch": global_batch, "steps": steps}


def _shown(value: object, default_value: object) -> int | float | str:
    """Returns a value that VisualDL can show, as a float where the default is one."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, (int, float)):
        return float(value) if isinstance(default_value, float) else value
    return str(value) or "none"
