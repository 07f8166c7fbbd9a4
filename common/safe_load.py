"""Reading arrays from files that strangers wrote, without running code from them.

Weights of Paddle and PyTorch and the CIFAR archives are pickles, which may call any function when they are read: here
an unpickler admits numpy arrays and plain containers only, and everything else is an error. So is what would take far
more memory than the file has bytes.
"""

from __future__ import annotations

import math
import pickle
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from common.errors import UserError

_MOST_STEPS = 2_000_000  # of a pickle; the largest CIFAR archive has 200,000
_MOST_SIDES = 64  # of an array
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
        name = name.decode("latin1") if isinstance(name, bytes) else name
        if not isinstance(name, str):
            raise UserError("a dtype without a name is refused")
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

    @property
    def raw(self) -> Any:
        return self._content[3]

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
        if not is_shape(shape) or math.prod(shape) * kind.itemsize != len(raw):
            raise UserError(f"an array has {len(raw)} bytes, which is not what its shape needs: it is refused")
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
        raise UserError("the file asks for another text codec than latin1: it is refused")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """What protocol 2 uses for empty bytes; with an argument, `bytes` could ask for any amount of memory."""
    return b""


def _ordered(pairs: Any = ()) -> _Dict:
    check_keys([key for key, _ in pairs])
    return _Dict(pairs)


def make_tuple(values: Any = ()) -> tuple:
    """A tuple, which is short wherever a file calls for one."""
    if len(values) > _MOST_SIDES:
        raise UserError(f"the file makes a tuple of {len(values)} values: it is refused")
    return tuple(values)


def is_shape(sides: Any) -> bool:
    """Whether it is the shape of an array that can be."""
    right = isinstance(sides, (tuple, list)) and len(sides) <= _MOST_SIDES
    return right and all(type(side) is int and 0 <= side < 1 << 63 for side in sides)


def check_keys(keys: Sequence[Any]) -> None:
    """See that keys are plain: the hash of nested tuples may take for ever, or all of the stack.

    Raises:
        UserError: when one is not.
    """
    for key in keys:
        parts = key if type(key) is tuple else (key,)
        if not all(type(part) in (str, bytes, int, float, bool, type(None)) for part in parts):
            raise UserError("a key that is neither a number nor text is refused")


_NDARRAY = Maker(_refuse_call)
_ADMITTED = {
    ("builtins", "tuple"): Maker(make_tuple),
    ("builtins", "bytes"): Maker(_no_bytes),
    ("_codecs", "encode"): Maker(_encode),
    ("collections", "OrderedDict"): Maker(_ordered),
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): Maker(_Dtype),
}
# numpy's private constructors, wherever a version keeps them
_NUMPY_INTERNALS = {
    "_reconstruct": Maker(_reconstruct),
    "scalar": Maker(lambda dtype, raw: _Array(dtype, (), raw)),
    "_frombuffer": Maker(_from_buffer),
}


# What is hashed, and what is copied, of the values above the last mark.
_HASHED = {
    pickle.SETITEM: lambda stack: stack[-2:-1],
    pickle.SETITEMS: lambda stack: stack[::2],
    pickle.DICT: lambda stack: stack[::2],
    pickle.ADDITEMS: lambda stack: stack,
    pickle.FROZENSET: lambda stack: stack,
}
_COPIED = {code: lambda stack: stack[-1] for code in (pickle.REDUCE, pickle.NEWOBJ, pickle.BUILD)}
_UNUSED = (pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4)  # other ways to call


class _Rest:
    """What is left of a file, of which no more can be asked for than there is."""

    def __init__(self, file: BinaryIO):
        begin = file.tell()
        self.size = file.seek(0, 2) - begin
        file.seek(begin)
        self._read, self.readline = file.read, file.readline

    def read(self, count: int) -> bytes:
        if count > self.size:
            raise EOFError(f"it asks for {count} bytes")
        return self._read(count)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, (str, bytes, bytearray, tuple, list, dict)) else 0


def _guarded(code: bytes, step: Callable) -> Callable:
    """A step of Python's unpickler behind what it must not be asked for."""
    hashed, copied = _HASHED.get(code), _COPIED.get(code)

    def run(self) -> None:
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise UserError(f"the file has more than {_MOST_STEPS} steps, which no weights have: it is refused")
        if hashed:
            check_keys(hashed(self.stack))
        if copied:
            self.spend(copied(self.stack))
        step(self)

    return run


class ArrayUnpickler(pickle._Unpickler):
    """An unpickler that knows stand-ins for numpy's constructors and nothing else.

    numpy's own would not do: an array of pointers over bytes of the file, or a dtype that is changed into one after it
    was made, lets a pickle write to any address of the process. And it is Python's unpickler in Python, since that in C
    takes what a file says of sizes for granted: a few bytes may ask for a table of gigabytes.
    """

    dispatch = {  # noqa: RUF012 (never changed)
        code: _guarded(bytes([code]), step)
        for code, step in pickle._Unpickler.dispatch.items()
        if bytes([code]) not in _UNUSED
    }

    def __init__(self, file: BinaryIO, **options: Any):
        rest = _Rest(file)
        super().__init__(rest, **options)
        self.steps, self._left = 0, 4 * rest.size + (1 << 20)

    def spend(self, arguments: Any) -> None:
        """Count what calls are given: values that a file names again and again are copied each time.

        Raises:
            UserError: when it is more than a file of this size has a use for.
        """
        values = arguments if isinstance(arguments, (tuple, list)) else ()
        self._left -= _size(arguments) + sum(map(_size, values))
        if self._left < 0:
            raise UserError("the file makes far more of its content than it holds: it is refused")

    def load_bytearray8(self) -> None:
        """Bytes that are there, while Python's own makes room for as many as are said to come."""
        (count,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(count)))

    dispatch[pickle.BYTEARRAY8[0]] = _guarded(pickle.BYTEARRAY8, load_bytearray8)

    def build(self, content: Any) -> Any:
        """The content with arrays in the place of their stand-ins."""
        return _built(content, {}, self.spend)

    def find_class(self, module: str, name: str) -> Any:
        if module == "__builtin__":  # the name that Python 2 wrote
            module = "builtins"
        if (module, name) in _ADMITTED:
            return _ADMITTED[module, name]
        if module.split(".")[0] == "numpy" and name in _NUMPY_INTERNALS:
            return _NUMPY_INTERNALS[name]
        raise UserError(f"the file asks to run {module[:80]}.{name[:80]}, which is not an array: it is refused")


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
        unpickler = kind(file, encoding=encoding)
        content = unpickler.build(unpickler.load())
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


def _built(content: Any, done: dict[int, Any], spend: Callable) -> Any:
    """Put arrays in the place of their stand-ins, all the way down, each once."""
    if id(content) in done:
        return done[id(content)]
    if isinstance(content, _Array):
        spend(content.raw)
        done[id(content)] = content.build()
    elif type(content) is tuple:
        done[id(content)] = tuple(_built(value, done, spend) for value in content)
    else:
        done[id(content)] = content
        if isinstance(content, (dict, list)):
            for key, value in content.items() if isinstance(content, dict) else enumerate(content):
                content[key] = _built(value, done, spend)
    return done[id(content)]
