"""Named arrays from weights files of every kind, read without running code from them."""

from __future__ import annotations

import json
import math
import pickle
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from safetensors import SafetensorError
from safetensors.numpy import save_file

from common.errors import UserError
from common.files import LARGEST_WEIGHTS, METADATA, atomic_path, open_zip, read_safetensors
from common.safe_load import unpickle_arrays
from models.torch_files import read_torch, write_torch

_MODELS = ("state_dict_ema", "model_ema", "state_dict", "model")  # entries of training states, as timm prefers them
_SQUEEZED = 20  # times that an archive may be smaller than its content; weights hardly shrink
_MOST_MEMBERS = 20_000  # of an archive: one an array


def read_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read named arrays and their text metadata (empty for all but `.safetensors`).

    `.pdparams`, `.pth`, `.pt` and `.bin` may also hold a training state, of which the model is taken; its moving
    average where there is one, as timm does.

    Raises:
        UserError: when the file is missing, damaged, or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    if path.suffix not in ENDINGS:
        raise UserError(f"{path}: weights are read from {', '.join(ENDINGS)}, not {path.suffix or 'a bare name'!r}")
    try:
        if path.stat().st_size > LARGEST_WEIGHTS:
            raise UserError(f"{path}: has more than {LARGEST_WEIGHTS} bytes, which no weights of these models have")
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
    """Write named arrays atomically, in the format that the ending of the path says.

    Args:
        path: `.safetensors`, `.pdparams`, `.pth` or `.pt`.
        arrays: by name.
        own: what the file says of itself, for JSON, kept in a `.safetensors` file only; None for one of PyTorch's.

    Raises:
        UserError: for another ending, or a place that can't be written to.
    """
    path = Path(path)
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    if path.suffix not in (".safetensors", ".pdparams", ".pth", ".pt"):
        raise UserError(f"{path}: weights are written as .safetensors, .pdparams, .pth or .pt")
    try:
        with atomic_path(path) as temporary:
            if path.suffix == ".safetensors":
                # One entry: safetensors writes several in an order that changes, and equal weights are equal files.
                save_file(arrays, str(temporary), {METADATA: json.dumps(own)} if own else {"format": "pt"})
            elif path.suffix == ".pdparams":
                with open(temporary, "wb") as file:
                    pickle.dump(arrays, file, protocol=4)
            else:
                write_torch(temporary, arrays)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: can't be written ({reason}); make room, or give another place") from None


def _read_pdparams(path: Path) -> dict[str, np.ndarray]:
    with open(path, "rb") as file:
        content = _model_of(unpickle_arrays(file, str(path)), path)
    content.pop("StructuredToParameterName@@", None)  # Paddle's table of internal names
    # A tensor is written as (internal name, array) by newer versions of Paddle and as a bare array by older ones.
    return _checked(
        {name: value[1] if isinstance(value, tuple) and len(value) == 2 else value for name, value in content.items()},
        path,
    )


def _read_pth(path: Path) -> dict[str, np.ndarray]:
    arrays = _checked(read_torch(path, lambda content: _model_of(content, path)), path)
    wrapped = "module."  # what PyTorch's data parallel wrapper puts before every name
    if all(name.startswith(wrapped) for name in arrays):
        arrays = {name[len(wrapped) :]: array for name, array in arrays.items()}
    return arrays


def _model_of(content: object, path: Path) -> dict:
    """The model in what a file holds: a part of a training state, or the whole."""
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


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with open_zip(path, _MOST_MEMBERS) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > _SQUEEZED * path.stat().st_size:
                raise UserError(f"{path}: says that it unpacks to {size} bytes, which weights do not: it is refused")
            return {member.filename.removesuffix(".npy"): _read_npy(archive, member) for member in members}
    except UserError:
        raise
    except Exception as error:  # a damaged file raises almost anything
        raise UserError(f"{path}: not a readable .npz file ({type(error).__name__}: {error})") from None


def _read_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array of an archive, for which room is made only when the archive says that it has as many bytes."""
    with archive.open(member) as file:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{member.filename} has another format")
        shape, _, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in "fiub" or min(shape, default=0) < 0 or file.tell() + size != member.file_size:
            raise ValueError(f"{member.filename} is no array of numbers, or has another size than it says")
    with archive.open(member) as file:
        return npy.read_array(file, allow_pickle=False)


_READERS = {".pdparams": _read_pdparams, ".pth": _read_pth, ".pt": _read_pth, ".bin": _read_pth, ".npz": _read_npz}
ENDINGS = (".safetensors", *_READERS)
