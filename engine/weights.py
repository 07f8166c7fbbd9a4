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

_FORMAT = 1  # of the metadata


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
    content = {"format": _FORMAT, "classes": classes, "config": config.to_dict()}
    with atomic_path(path) as temporary:
        # One entry: safetensors writes several in an order that changes, and equal weights should be equal files.
        save_file(arrays, str(temporary), {settings.METADATA: json.dumps(content)})


def read(path: str | Path) -> Weights:
    """Read a weights file of this project, or a plain one without metadata.

    Raises:
        UserError: when it can't be read.
    """
    arrays, metadata = read_arrays(path)
    content = settings.read_content(metadata, str(path))
    if content is None:
        return Weights(arrays, None, None)
    classes = content.get("classes")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise UserError(f"{path}: the names of its classes are not a list of names")
    return Weights(arrays, settings.from_dict(content.get("config"), str(path)), tuple(classes))
