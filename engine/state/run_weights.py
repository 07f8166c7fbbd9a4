"""Weights files of this project: safetensors that carry their config and class names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray
from paddle import nn

import models
from common.errors import UserError
from program.config import config_fields, config_validation

_FORMAT = 1  # of the metadata
# Side in pixels: a stranger's config of a billion would take all memory.
_LARGEST_IMAGE = 2048


class Weights(NamedTuple):
    """Arrays by name; the config and the classes are None where the file does not tell."""

    arrays: dict[str, NDArray[Any]]
    config: ConfigDict | None
    classes: tuple[str, ...] | None
    classes_beside: tuple[str, ...] = ()  # of other projects' weights, as their config.json says
    said: tuple[str, ...] = ()  # what was decided in reading, a sentence each


def arrays_of(model: nn.Layer) -> dict[str, NDArray[Any]]:
    """Returns the parameters and buffers of a model by name."""
    return {name: np.ascontiguousarray(value.numpy()) for name, value in model.state_dict().items()}


def save(
    path: Path, arrays: dict[str, NDArray[Any]], config: ConfigDict, classes: tuple[str, ...]
) -> None:
    """Writes a weights file atomically; `config` is a resolved one."""
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
    """Reads weights; those that this project did not write have no config and no classes.

    Args:
        path: a file, or another source that `models.load_weights` takes.

    Raises:
        UserError: when they can't be read.
    """
    weights = models.read_weights(str(path))
    arrays, content = weights.arrays, weights.own
    if "config" not in content:
        return Weights(arrays, None, None, weights.description.classes, weights.said)
    if content.get("format") != _FORMAT:
        raise UserError(
            f"{path}: its format is {content.get('format')!r}, this version reads {_FORMAT}"
        )
    classes = content.get("classes")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise UserError(f"{path}: the names of its classes are not a list of names")
    config = config_fields.from_dict(content["config"], str(path))
    try:
        config_validation.validate(config)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    count, size = config.model.num_classes, config.model.image_size
    if count not in (0, len(classes)) or size > _LARGEST_IMAGE:
        raise UserError(
            f"{path}: its config is of {count} classes at {size} pixels, expected the "
            f"{len(classes)} classes that it names, and at most {_LARGEST_IMAGE} pixels"
        )
    return Weights(arrays, config, tuple(classes))


def same_order(found: tuple[str, ...], beside: tuple[str, ...], origin: str) -> bool:
    """Compares the order of the classes of the data with that of weights of another project.

    Returns:
        Whether the order is the same; False also where the classes have other names, so that it
        can't be told.

    Raises:
        UserError: when the names are the same in another order: every label would be wrong.
    """
    if sorted(found) == sorted(beside) and found != beside:
        check_classes(found, beside, f"config.json beside {origin}")
    return found == beside


def check_classes(found: tuple[str, ...], expected: tuple[str, ...], owner: str) -> None:
    """Checks that two lists of class names are the same, in the same order.

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
