"""Reading arrays from files that strangers wrote, without running code from them.

`.safetensors` holds no code. Weights of Paddle and PyTorch and the CIFAR archives are pickles, which may call any
function when they are read: here an unpickler admits numpy arrays and plain containers only, and everything else is an
error.
"""

from __future__ import annotations

import json
import math
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from common.errors import UserError

METADATA = "rdrop"  # the entry of a weights file of this project that says what it is

_KINDS = re.compile(r"[<>|=]?([fc](?:2|4|8|16)|[iu][1248]|b1)")  # of values that arrays may hold


class _Refusing:
    """A base for what the unpickler hands out: a pickle can set no attributes of it."""

    def __setstate__(self, state: Any):
        raise UserError("the file sets attributes of an object, which is no array: it is refused")


class Maker(_Refusing):
    """A function that a pickle may call, and do nothing else with."""

    def __init__(self, make: Callable):
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)


class _Dict(dict):
    """An OrderedDict; what PyTorch sets on it beside its items is left out."""

    def __setstate__(self, state: Any):
        pass


class _Dtype(_Refusing):
    """A dtype of numbers, without numpy's own object: that one can be turned into one of pointers."""

    def __init__(self, name: Any, *_: Any):
        name = name.decode("latin1") if isinstance(name, bytes) else str(name)
        if name.startswith(("O", "|O")):
            raise UserError("an array of Python objects is refused")
        if not _KINDS.fullmatch(name):
            raise UserError(f"an array of {name!r} values is refused")
        self.name, self.order = name.lstrip("<>|="), name[0] if name[0] in "<>|=" else "="

    def __setstate__(self, state: Any):
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise UserError("a dtype that is not one of numbers is refused")
        self.order = order


class _Array(_Refusing):
    """What a pickle says of an array. Only `build`, after the whole file is read, makes one of it."""

    def __init__(self, dtype: Any = None, shape: Any = (), raw: Any = b"", fortran: bool = False):
        self._content = (shape, dtype, fortran, raw)

    def __setstate__(self, state: Any):
        _, *self._content = state

    def build(self) -> np.ndarray:
        """The array, which is read-only.

        Raises:
            UserError: when the bytes are not as many as the shape needs.
        """
        shape, dtype, fortran, raw = self._content
        if not isinstance(dtype, _Dtype):
            raise UserError("an array without a dtype is refused")
        if not isinstance(raw, (bytes, bytearray)):
            raise UserError("an array of Python objects is refused")
        kind = np.dtype(dtype.order + dtype.name)
        if not all(type(side) is int and side >= 0 for side in shape) or math.prod(shape) * kind.itemsize != len(raw):
            raise UserError(f"an array of shape {shape!r} has {len(raw)} bytes: it is refused")
        values = np.frombuffer(raw, kind).reshape(shape, order="F" if fortran else "C")
        return values.astype(kind.newbyteorder("="), copy=False)


def _reconstruct(kind: Any, *_: Any) -> _Array:
    if kind is not _NDARRAY:
        raise UserError("an array of another class is refused")
    return _Array()


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    return _Array(dtype, shape, raw, order == "F")


def _refuse_call(*_: Any) -> None:
    raise UserError("the file makes an array of no bytes: it is refused")


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """What protocol 2 uses for bytes; the codec is fixed, so that no other one can be called."""
    if encoding not in ("latin1", "latin-1"):
        raise UserError(f"the file asks for the text codec {encoding!r}: it is refused")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """What protocol 2 uses for empty bytes; with an argument, `bytes` could ask for any amount of memory."""
    return b""


_NDARRAY = Maker(_refuse_call)
_ADMITTED = {
    ("builtins", "tuple"): tuple,
    ("builtins", "bytes"): Maker(_no_bytes),
    ("_codecs", "encode"): Maker(_encode),
    ("collections", "OrderedDict"): _Dict,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): Maker(_Dtype),
}
# numpy's private constructors, wherever a version keeps them
_NUMPY_INTERNALS = {
    "_reconstruct": Maker(_reconstruct),
    "scalar": Maker(lambda dtype, raw: _Array(dtype, (), raw)),
    "_frombuffer": Maker(_from_buffer),
}


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that knows stand-ins for numpy's constructors and nothing else.

    numpy's own would not do: an array of pointers over bytes of the file, or a dtype that is changed into one after it
    was made, lets a pickle write to any address of the process.
    """

    def find_class(self, module: str, name: str) -> Any:
        if module == "__builtin__":  # the name that Python 2 wrote
            module = "builtins"
        if (module, name) in _ADMITTED:
            return _ADMITTED[module, name]
        if module.split(".")[0] == "numpy" and name in _NUMPY_INTERNALS:
            return _NUMPY_INTERNALS[name]
        raise UserError(f"the file asks to run {module}.{name}, which is not an array: it is refused")


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
        content = _built(kind(file, encoding=encoding).load(), {})
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


def _built(content: Any, done: dict[int, Any]) -> Any:
    """Put arrays in the place of their stand-ins, all the way down, each once."""
    if id(content) in done:
        return done[id(content)]
    if isinstance(content, _Array):
        done[id(content)] = content.build()
    elif type(content) is tuple:
        done[id(content)] = tuple(_built(value, done) for value in content)
    else:
        done[id(content)] = content
        if isinstance(content, (dict, list)):
            for key, value in content.items() if isinstance(content, dict) else enumerate(content):
                content[key] = _built(value, done)
    return done[id(content)]


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
