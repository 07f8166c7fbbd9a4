"""Weights files of this project: safetensors with the config and the names of the classes in their metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict
from paddle import nn
from safetensors.numpy import save_file

from common.errors import UserError
from common.files import atomic_path
from common.safe_load import read_arrays
from engine import settings


class Weights(NamedTuple):
    """Arrays by name; the config and the classes are None where the file does not tell."""

    arrays: dict[str, np.ndarray]
    config: ConfigDict | None
    classes: tuple[str, ...] | None


def arrays_of(model: nn.Layer) -> dict[str, np.ndarray]:
    """The parameters and buffers of a model by name."""
    return {name: np.ascontiguousarray(value.numpy()) for name, value in model.state_dict().items()}


def save(path: Path, arrays: dict[str, np.ndarray], config: ConfigDict, classes: tuple[str, ...]) -> None:
    """Write a weights file atomically."""
    metadata = {"format": "rdrop-1", "config": settings.to_json(config), "classes": json.dumps(classes)}
    with atomic_path(path) as temporary:
        save_file(arrays, str(temporary), metadata)


def read(path: str | Path) -> Weights:
    """Read a weights file of this project, or a plain one without metadata.

    Raises:
        UserError: when it can't be read.
    """
    arrays, metadata = read_arrays(path)
    if "config" not in metadata:
        return Weights(arrays, None, None)
    try:
        classes = json.loads(metadata["classes"])
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise ValueError("not a list of names")
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: the names of its classes are not readable ({error})") from None
    return Weights(arrays, settings.from_json(metadata["config"], str(path)), tuple(classes))
