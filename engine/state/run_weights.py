"""Weights files of this project: safetensors with the config and the names of the classes in their
metadata.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict
from paddle import nn

import models
from common.errors import UserError
from common.safetensors_files import own_metadata
from program import config_fields, validation


def check_classes(found: tuple[str, ...], expected: tuple[str, ...], owner: str) -> None:
    """Compare the names of classes, in their order.

    Raises:
        UserError: naming the first difference; `owner` is whose classes are expected.
    """
    if tuple(found) == tuple(expected):
        return
    if len(found) != len(expected):
        raise UserError(f"the data has {len(found)} classes, but {owner} {len(expected)}")
    place = next(place for place, pair in enumerate(zip(found, expected)) if pair[0] != pair[1])
    raise UserError(
        f"class {place} of the data is {found[place]!r}, but that of {owner} is {expected[place]!r}"
    )


_FORMAT = 1  # of the metadata
# side in pixels: a config of a billion would take all memory before the arrays are looked at
_LARGEST_IMAGE = 2048


class Weights(NamedTuple):
    """Arrays by name; the config and the classes are None where the file does not tell."""

    arrays: dict[str, np.ndarray]
    config: ConfigDict | None
    classes: tuple[str, ...] | None


def arrays_of(model: nn.Layer) -> dict[str, np.ndarray]:
    """The parameters and buffers of a model by name."""
    return {name: np.ascontiguousarray(value.numpy()) for name, value in model.state_dict().items()}


def save(
    path: Path, arrays: dict[str, np.ndarray], config: ConfigDict, classes: tuple[str, ...]
) -> None:
    """Write a weights file atomically; `config` is a resolved one."""
    model, data = config.model, config.data
    stated = {
        "mean": model.mean,
        "std": model.std,
        "crop_fraction": data.eval_crop,
        "interpolation": data.interpolation,
    }
    own = {
        "format": _FORMAT,
        "model": model.name,
        "input": stated,
        "classes": classes,
        "config": config.to_dict(),
    }
    models.write_arrays(path, arrays, own)


def read(path: str | Path) -> Weights:
    """Read a weights file of this project, or one of others, which tells nothing of config and
    classes.

    Raises:
        UserError: when it can't be read.
    """
    arrays, metadata = models.read_arrays(path)
    content = own_metadata(metadata, str(path)) or {}
    if "config" not in content:
        return Weights(arrays, None, None)
    if content.get("format") != _FORMAT:
        raise UserError(
            f"{path}: its format is {content.get('format')!r}, this version reads {_FORMAT}"
        )
    classes = content.get("classes")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise UserError(f"{path}: the names of its classes are not a list of names")
    config = config_fields.from_dict(content["config"], str(path))
    try:
        validation.validate(config)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if (
        config.model.num_classes not in (0, len(classes))
        or config.model.image_size > _LARGEST_IMAGE
    ):
        raise UserError(
            f"{path}: its config is of {config.model.num_classes} classes at {config.model.image_size} pixels, "
            f"expected the {len(classes)} classes that it names, and at most {_LARGEST_IMAGE} pixels"
        )
    return Weights(arrays, config, tuple(classes))
