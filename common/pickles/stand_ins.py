"""Harmless stand-ins for what a pickle may call: numpy's constructors and plain containers.

`safe_load.py` uses them for pickles that strangers wrote. None of them runs code of the file, and
none takes far more memory than the file has bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError

_MOST_SIDES = 64  # of an array
_LARGEST_KEY = 64  # parts of a key, at all depths
PLAIN_KEYS = (str, bytes, int, float, bool, type(None))  # types that keys of dicts may have
_KINDS = re.compile(r"[<>|=]?([fc](?:2|4|8|16)|[iu][1248]|b1)")  # of values that arrays may hold


class _Refusing:
    """The base of the stand-ins: a pickle can't set their attributes."""

    def __setstate__(self, state: Any) -> None:
        raise UserError("the file sets attributes of an object, which is no array: it is refused")


class Maker(_Refusing):
    """A function that a pickle may call, but not change."""

    def __init__(self, make: Callable[..., object]):
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)


class PlainDict(dict[Any, Any]):
    """An OrderedDict; attributes that PyTorch sets on it are ignored."""

    def __setstate__(self, state: Any) -> None:
        pass


class NumberDtype(_Refusing):
    """A dtype of numbers; numpy's own object could be turned into a dtype of pointers."""

    def __init__(self, name: Any, *_: Any):
        name = name.decode("latin1") if isinstance(name, bytes) else name
        if not isinstance(name, str):
            raise UserError("a dtype without a name is refused")
        if name.startswith(("O", "|O")):
            raise UserError("an array of Python objects is refused")
        if not _KINDS.fullmatch(name):
            raise UserError(f"an array of {name!r} values is refused")
        self.name, self.order = name.lstrip("<>|="), name[0] if name[0] in "<>|=" else "="

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise UserError("a dtype that is not one of numbers is refused")
        self.order = order


class ArrayStandIn(_Refusing):
    """What a pickle says of an array; `build` makes the array when the whole file is read."""

    def __init__(self, dtype: Any = None, shape: Any = (), raw: Any = b"", fortran: bool = False):
        self._content = (shape, dtype, fortran, raw)

    def __setstate__(self, state: Any) -> None:
        _, *self._content = state

    @property
    def raw(self) -> Any:
        return self._content[3]

    def outline(self) -> tuple[tuple[int, ...], str] | None:
        """Returns the shape and the name of the dtype; None where it is no array of numbers."""
        if len(self._content) != 4 or not isinstance(self._content[1], NumberDtype):
            return None
        shape, dtype = self._content[:2]
        return (tuple(shape), str(np.dtype(dtype.name))) if is_shape(shape) else None

    def build(self) -> NDArray[Any]:
        """Returns the array, which is read-only.

        Raises:
            UserError: when the number of bytes does not fit the shape.
        """
        shape, dtype, fortran, raw = self._content
        if not isinstance(dtype, NumberDtype):
            raise UserError("an array without a dtype is refused")
        if isinstance(raw, str):  # Python 2 wrote bytes as text
            raw = raw.encode("latin1")
        if not isinstance(raw, (bytes, bytearray)):
            raise UserError("an array of Python objects is refused")
        kind = np.dtype(dtype.order + dtype.name)
        if not is_shape(shape) or math.prod(shape) * kind.itemsize != len(raw):
            raise UserError(
                f"an array has {len(raw)} bytes, which is not what its shape needs: it is refused"
            )
        values = np.frombuffer(raw, kind).reshape(shape, order="F" if fortran else "C")
        return values.astype(kind.newbyteorder("="), copy=False)


def _reconstruct(kind: Any, *_: Any) -> ArrayStandIn:
    if kind is not _NDARRAY:
        raise UserError("an array of another class is refused")
    return ArrayStandIn()


def _refuse_call(*_: Any) -> None:
    raise UserError("the file makes an array of no bytes: it is refused")


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Protocol 2 writes bytes with it; the codec is fixed, so no other codec can be called."""
    if encoding not in ("latin1", "latin-1"):
        raise UserError("the file asks for another text codec than latin1: it is refused")
    return text.encode("latin1")


def _ordered(pairs: Any = ()) -> PlainDict:
    check_keys([key for key, _ in pairs])
    return PlainDict(pairs)


def make_tuple(values: Any = ()) -> tuple[Any, ...]:
    """Returns a short tuple; a file that calls for a long one is refused."""
    if len(values) > _MOST_SIDES:
        raise UserError(f"the file makes a tuple of {len(values)} values: it is refused")
    return tuple(values)


def is_shape(sides: Any) -> bool:
    """Returns whether a value can be the shape of an array."""
    right = isinstance(sides, (tuple, list)) and len(sides) <= _MOST_SIDES
    return right and all(type(side) is int and 0 <= side < 1 << 63 for side in sides)


def check_keys(keys: Sequence[Any], plain: tuple[type, ...] = PLAIN_KEYS) -> None:
    """Checks that keys are plain: to hash nested tuples may take forever, or all of the stack.

    Raises:
        UserError: when one is none of the `plain` types, and no small tuple of them.
    """
    for key in keys:
        waiting, seen = [key], 0
        while waiting:
            part, seen = waiting.pop(), seen + 1
            if type(part) is tuple and seen + len(part) <= _LARGEST_KEY:
                waiting.extend(part)
            elif type(part) not in plain:
                raise UserError("a key that is neither a number nor text is refused")


_NDARRAY = Maker(_refuse_call)
ADMITTED = {
    ("builtins", "tuple"): Maker(make_tuple),
    # Protocol 2 writes empty bytes with it; `bytes(n)` could request any amount of memory.
    ("builtins", "bytes"): Maker(lambda: b""),
    ("_codecs", "encode"): Maker(_encode),
    ("collections", "OrderedDict"): Maker(_ordered),
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): Maker(NumberDtype),
}
# numpy's private constructors; their module depends on the version
NUMPY_INTERNALS = {
    "_reconstruct": Maker(_reconstruct),
    "scalar": Maker(lambda dtype, raw: ArrayStandIn(dtype, (), raw)),
    "_frombuffer": Maker(
        lambda raw, dtype, shape, order: ArrayStandIn(dtype, shape, raw, order == "F")
    ),
}
