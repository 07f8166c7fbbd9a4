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
from common.safetensors_files import METADATA
from models.weights.formats.stored import read_stored
from models.weights.formats.torch_writer import write_torch

# What weights are usually called; others are read, too, since the contents decide.
ENDINGS = (
    ".safetensors",
    ".pdparams",
    ".pth",
    ".pt",
    ".bin",
    ".npz",
    ".ckpt",
    ".tar",
    ".pkl",
    ".pyth",
    ".model",
    ".json",
)


def read_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Reads named arrays and their text metadata, which only safetensors files have.

    Args:
        path: a file or a folder, see `read_stored`, which also tells what was decided.

    Raises:
        UserError: when it is missing, damaged, or of another kind.
    """
    stored = read_stored(path)
    return stored.arrays, stored.metadata


def write_arrays(path: str | Path, arrays: dict[str, np.ndarray], own: dict | None) -> None:
    """Writes named arrays atomically, in the format that the ending of the path says.

    Args:
        path: `.safetensors`, `.pdparams`, `.pth`, `.pt` or `.bin`.
        arrays: by name.
        own: metadata of our own, written as JSON to a `.safetensors` file only; None for none, as
            in PyTorch's files.

    Raises:
        UserError: for another ending, or a path that can't be written.
    """
    path = Path(path)
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    if path.suffix not in (".safetensors", ".pdparams", ".pth", ".pt", ".bin"):
        raise UserError(
            f"{path}: weights are written as .safetensors, .pdparams, .pth, .pt or .bin"
        )
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
