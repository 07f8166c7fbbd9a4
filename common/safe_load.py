"""Reading arrays from files that strangers wrote, without running code from them.

`.safetensors` holds no code. `.pdparams` and the CIFAR archives are pickles, which may call any function when they are
read: here an unpickler admits numpy arrays and plain containers only, and everything else is an error.
"""

from __future__ import annotations

import collections
import importlib
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from common.errors import UserError

_ADMITTED = {
    ("builtins", "tuple"): tuple,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
_NUMPY_INTERNALS = {"_reconstruct", "scalar", "_frombuffer"}


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler that knows numpy's own constructors and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "__builtin__":  # the name that Python 2 wrote
            module = "builtins"
        if (module, name) in _ADMITTED:
            return _ADMITTED[module, name]
        if (module, name) == ("_codecs", "encode"):
            return _encode
        if (module, name) == ("builtins", "bytes"):
            return _no_bytes
        if module.split(".")[0] == "numpy" and name in _NUMPY_INTERNALS:
            return _numpy_internal(name)
        raise UserError(f"the file asks to run {module}.{name}, which is not an array: it is refused")


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """What protocol 2 uses for bytes; the codec is fixed, so that no other one can be called."""
    if encoding not in ("latin1", "latin-1"):
        raise UserError(f"the file asks for the text codec {encoding!r}: it is refused")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """What protocol 2 uses for empty bytes; with an argument, `bytes` could ask for any amount of memory."""
    return b""


def _numpy_internal(name: str) -> Any:
    """numpy's private constructors, wherever the installed version (1 or 2) keeps them."""
    module = "numeric" if name == "_frombuffer" else "multiarray"
    try:
        return getattr(importlib.import_module(f"numpy._core.{module}"), name)
    except ModuleNotFoundError:
        return getattr(importlib.import_module(f"numpy.core.{module}"), name)


def unpickle_arrays(file: BinaryIO, origin: str, encoding: str = "ASCII") -> Any:
    """Read a pickle of arrays and plain containers.

    Args:
        file: an open binary file.
        origin: what to call it in an error.
        encoding: how strings of Python 2 are read; `"bytes"` for the CIFAR archives.

    Raises:
        UserError: when it holds anything else, or is cut short.
    """
    try:
        content = _ArrayUnpickler(file, encoding=encoding).load()
        _refuse_objects(content)
    except UserError as error:
        raise UserError(f"{origin}: {error}") from None
    except Exception as error:  # a damaged pickle raises almost anything
        raise UserError(f"{origin}: not a readable pickle of arrays ({type(error).__name__}: {error})") from None
    return content


def _refuse_objects(content: Any) -> None:
    values = content.values() if isinstance(content, dict) else content if isinstance(content, (list, tuple)) else ()
    for value in values:
        _refuse_objects(value)
    if isinstance(content, np.ndarray) and content.dtype.hasobject:
        raise UserError("an array of Python objects is refused")


def read_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read named arrays and their text metadata (empty for `.pdparams`).

    Raises:
        UserError: when the file is missing, damaged, or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".pdparams":
        return _read_pdparams(path), {}
    raise UserError(f"{path}: weights are read from .safetensors or .pdparams, not {path.suffix or 'a bare name'!r}")


def read_metadata(path: str | Path) -> dict[str, str]:
    """The text metadata of a weights file, without its arrays; empty for `.pdparams`.

    Raises:
        UserError: as `read_arrays`.
    """
    path = Path(path)
    if path.suffix != ".safetensors" or not path.is_file():
        return read_arrays(path)[1]
    return _read_safetensors(path, arrays=False)[1]


def _read_safetensors(path: Path, arrays: bool = True) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            names = list(file.keys()) if arrays else []
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except (SafetensorError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error})") from None


def _read_pdparams(path: Path) -> dict[str, np.ndarray]:
    with open(path, "rb") as file:
        content = unpickle_arrays(file, str(path))
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a {type(content).__name__}, expected a dict of arrays")
    content.pop("StructuredToParameterName@@", None)  # Paddle's table of internal names
    # A tensor is written as (internal name, array) by newer versions of Paddle and as a bare array by older ones.
    arrays = {
        name: value[1] if isinstance(value, tuple) and len(value) == 2 else value for name, value in content.items()
    }
    for name, value in arrays.items():
        if not isinstance(value, np.ndarray):
            raise UserError(f"{path}: {name!r} is a {type(value).__name__}, expected an array")
    return arrays
