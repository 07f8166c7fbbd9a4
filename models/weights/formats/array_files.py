"""Reads named arrays from weights files of every kind, and writes them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from common.atomic_writing import atomic_path
from common.errors import UserError
from common.safe_load import unpickle_arrays
from common.safetensors_files import LARGEST_WEIGHTS, METADATA, read_safetensors
from models.weights.formats.npz_files import read_npz
from models.weights.formats.torch_files import read_torch
from models.weights.formats.torch_writer import write_torch

# Entries of training states that hold a model, in timm's order.
_MODELS = ("state_dict_ema", "model_ema", "state_dict", "model")


def read_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Reads named arrays and their text metadata, which only `.safetensors` has.

    `.pdparams`, `.pth`, `.pt` and `.bin` may also hold a training state. Its model is read, or the
    moving average of the model where there is one, as timm does.

    Raises:
        UserError: when the file is missing, damaged, or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    if path.suffix not in ENDINGS:
        raise UserError(
            f"{path}: weights are read from {', '.join(ENDINGS)}, "
            f"not {path.suffix or 'a bare name'!r}"
        )
    try:
        if path.stat().st_size > LARGEST_WEIGHTS:
            raise UserError(
                f"{path}: has more than {LARGEST_WEIGHTS} bytes, "
                "which no weights of these models have"
            )
        if path.suffix == ".safetensors":
            arrays, metadata = read_safetensors(path)
        else:
            arrays, metadata = _READERS[path.suffix](path), {}
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from None
    if not arrays:
        raise UserError(f"{path}: holds no arrays")
    return arrays, metadata


def write_arrays(path: str | Path, arrays: dict[str, np.ndarray], own: dict | None) -> None:
    """Writes named arrays atomically, in the format that the ending of the path says.

    Args:
        path: `.safetensors`, `.pdparams`, `.pth` or `.pt`.
        arrays: by name.
        own: metadata of our own, written as JSON to a `.safetensors` file only; None for none, as
            in PyTorch's files.

    Raises:
        UserError: for another ending, or a path that can't be written.
    """
    path = Path(path)
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    if path.suffix not in (".safetensors", ".pdparams", ".pth", ".pt"):
        raise UserError(f"{path}: weights are written as .safetensors, .pdparams, .pth or .pt")
    try:
        with atomic_path(path) as temporary:
            if path.suffix == ".safetensors":
                # One entry, so that equal weights are equal files: safetensors writes several
                # entries in an order that changes.
                metadata = {METADATA: json.dumps(own)} if own else {"format": "pt"}
                save_file(arrays, str(temporary), metadata)
            elif path.suffix == ".pdparams":
                with open(temporary, "wb") as file:
                    pickle.dump(arrays, file, protocol=4)
            else:
                write_torch(temporary, arrays)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{path}: can't be written ({reason}); make room, or give another place"
        ) from None


def _read_pdparams(path: Path) -> dict[str, np.ndarray]:
    with open(path, "rb") as file:
        content = _model_of(unpickle_arrays(file, str(path)), path)
    content.pop("StructuredToParameterName@@", None)  # Paddle's table of internal names
    # Newer versions of Paddle write a tensor as (internal name, array), older ones as an array.
    arrays = {
        name: value[1] if isinstance(value, tuple) and len(value) == 2 else value
        for name, value in content.items()
    }
    return _checked(arrays, path)


def _read_pth(path: Path) -> dict[str, np.ndarray]:
    arrays = _checked(read_torch(path, lambda content: _model_of(content, path)), path)
    # PyTorch's data parallel wrapper puts `module.` before every name.
    if all(name.startswith("module.") for name in arrays):
        arrays = {name.removeprefix("module."): array for name, array in arrays.items()}
    return arrays


def _model_of(content: object, path: Path) -> dict:
    """Returns the model in the content of a file: an entry of a training state, or all of it."""
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a {type(content).__name__}, expected a dict of arrays")
    parts = [content[key] for key in _MODELS if isinstance(content.get(key), dict)]
    return dict(parts[0] if parts else content)


def _checked(arrays: dict, path: Path) -> dict[str, np.ndarray]:
    for name, value in arrays.items():
        if not isinstance(name, str):
            raise UserError(f"{path}: {name!r} is no name of an array")
        if not isinstance(value, (np.ndarray, np.generic)):
            raise UserError(f"{path}: {name!r} is a {type(value).__name__}, expected an array")
    return {name: np.asarray(value) for name, value in arrays.items()}


_READERS = {
    ".pdparams": _read_pdparams,
    ".pth": _read_pth,
    ".pt": _read_pth,
    ".bin": _read_pth,
    ".npz": read_npz,
}
ENDINGS = (".safetensors", *_READERS)
