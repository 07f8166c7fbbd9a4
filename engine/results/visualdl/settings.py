"""The settings of a run for VisualDL's page of hyper-parameters.

That page sets limits. Its table takes a dot in a name for a path, and leaves the cell empty. Its
parallel coordinates never end where a name is wider than its column (they shorten it by a letter
and add three dots, for ever). So there are few columns, with short names; `others` has the rest.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from configs import default
from configs.allowed_values import trait
from program.config import config_fields

# The columns, by the fields that they show.
COLUMNS = {
    "rdrop.copies": "copies",
    "rdrop.alpha": "alpha",
    "model.name": "model",
    "model.drop_rate": "dropout",
    "optim.name": "optim",
    "optim.lr": "lr",
    "seed": "seed",
}
# What follows from the data, the weights or the machine, or has a column under another name.
_FOLLOWS = {
    *("data.root", "data.cache_dir", "data.interpolation", "data.eval_crop", "data.workers"),
    *("data.unlabelled_root", "data.exif_orientation", "data.resize_on", "model.num_classes"),
    *("model.mean", "model.std", "model.eval_head", "model.parts", "model.operators"),
    *("distill.weights", "train.epochs", "train.steps", "train.reference_batch_size"),
    *("train.log_every_steps", "eval.every_steps", "eval.batch_size"),
}
_LONGEST = 300  # letters of a text


def settings(config: ConfigDict, global_batch: int, steps: int) -> dict[str, int | float | str]:
    """Returns names and values, each of the same type in all runs.

    Args:
        config: with all fields resolved.
        global_batch: images of an optimiser step.
        steps: optimiser steps of the run.
    """
    values, defaults = map(config_fields.flattened, (config, default.get_config()))
    found = {column: _shown(values[name], defaults[name]) for name, column in COLUMNS.items()}
    others = [
        f"{name}={_text(value)}"
        for name, value in values.items()
        if value != defaults[name]
        and name not in COLUMNS
        and name not in _FOLLOWS
        and not trait(name).may_change
    ]
    rest = ", ".join(others)[:_LONGEST] or "-"
    return {**found, "batch": global_batch, "steps": steps, "others": rest}


def _shown(value: object, default_value: object) -> int | float | str:
    """Returns a value that VisualDL can show, as a float where the default is one."""
    if isinstance(value, (int, float)):
        return float(value) if isinstance(default_value, float) else value
    return _text(value)


def _text(value: object) -> str:
    """Returns a value as text; what is not Unicode, as in the name of a file, becomes `?`."""
    return str(value).encode("utf-8", "replace").decode("utf-8")[:_LONGEST]
