"""Reading arrays from files that strangers wrote, without running code from them.

`.safetensors` holds no code. Weights of Paddle and PyTorch and the CIFAR archives are pickles, which may call any
function when they are read: here an unpickler admits numpy arrays and plain containers only, and everything else is an
error.
"""

from __future__ import annotations

import collections
import importlib
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from common.errors import UserError

METADATA = "rdrop"  # the entry of a weights file of this project that says what it is

_ADMITTED = {
    ("builtins", "tuple"): tuple,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
_NUMPY_INTERNALS = {"_reconstruct", "scalar", "_frombuffer"}


class ArrayUnpickler(pickle.Unpickler):
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


def unpickle_arrays(file: BinaryIO, origin: str, encoding: str = "ASCII", kind=ArrayUnpickler) -> Any:
    """Read a pickle of arrays and plain containers.

    Args:
        file: an open binary file, read up to the end of the pickle.
        origin: what to call it in an error.
        encoding: how strings of Python 2 are read; `"bytes"` for the CIFAR archives.
        kind: a subclass of `ArrayUnpickler` that admits more.

    Raises:
        UserError: when it holds anything else, or is cut short.
    """
    try:
        content = kind(file, encoding=encoding).load()
        _refuse_objects(content)
    except UserError as error:
        raise UserError(f"{origin}: {error}") from None
    except Exception as error:  # a damaged pickle raises almost anything
        raise UserError(f"{origin}: not a readable pickle of arrays ({type(error).__name__}: {error})") from None
    return content


def walk(content: Any) -> Iterator[Any]:
    """Everything in nested containers, each once: a small pickle can name the same list a billion times."""
    seen, waiting = set(), [content]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple)):
            waiting.extend(value)


def _refuse_objects(content: Any) -> None:
    if any(isinstance(value, np.ndarray) and value.dtype.hasobject for value in walk(content)):
        raise UserError("an array of Python objects is refused")


def read_metadata(path: str | Path) -> dict[str, str]:
    """The text metadata of a weights file; empty for all but `.safetensors`.

    Raises:
        UserError: when the file is missing or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    return read_safetensors(path, arrays=False)[1] if path.suffix == ".safetensors" else {}


def own_metadata(metadata: dict[str, str], origin: str) -> dict | None:
    """What a weights file of this project says of itself; None for files of others.

    Raises:
        UserError: when it is not readable; `origin` names the file.
    """
    if METADATA not in metadata:
        return None
    try:
        content = json.loads(metadata[METADATA])
    except (ValueError, RecursionError) as error:
        raise UserError(f"{origin}: its metadata is not readable ({error})") from None
    if not isinstance(content, dict):
        raise UserError(f"{origin}: its metadata is not readable (not an object)")
    return content


def read_safetensors(path: Path, arrays: bool = True) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read named arrays (none without `arrays`) and the text metadata; bfloat16 is widened to float32.

    Raises:
        UserError: when the file is damaged.
    """
    from safetensors import deserialize, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            metadata, names = dict(file.metadata() or {}), list(file.keys()) if arrays else []
            brain_floats = {
                name for name in names if file.get_slice(name).get_dtype() == "BF16"
            }  # numpy does not know it
            found = {name: file.get_tensor(name) for name in names if name not in brain_floats}
        if brain_floats:
            stored = dict(deserialize(path.read_bytes()))
            found.update({name: widen(stored[name]["data"]).reshape(stored[name]["shape"]) for name in brain_floats})
    except Exception as error:  # a damaged file raises almost anything
        raise UserError(f"{path}: not a readable safetensors file ({type(error).__name__}: {error})") from None
    return found, metadata


def widen(content: bytes) -> np.ndarray:
    """The float32 values of bfloat16 ones in memory, exactly."""
    return (np.frombuffer(content, np.uint16).astype(np.uint32) << 16).view(np.float32)
