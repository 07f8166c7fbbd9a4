"""Reads arrays from pickles that strangers wrote, without running code from them.

Weights of Paddle and PyTorch and the CIFAR archives are pickles. A pickle may call any function
while it is read. The unpickler here allows numpy arrays and plain containers only
(`common/pickles/stand_ins.py`); everything else is an error. A file that would take far more memory
than it has bytes is an error, too.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from common.errors import UserError
from common.pickles.stand_ins import (
    ADMITTED,
    NUMPY_INTERNALS,
    PLAIN_KEYS,
    ArrayStandIn,
    check_keys,
)

_MOST_STEPS = 2_000_000  # of a pickle; the largest CIFAR archive has 200,000

# By opcode: which of the values above the last mark are hashed, and which are copied.
_HASHED = {
    pickle.SETITEM: lambda stack: stack[-2:-1],
    pickle.SETITEMS: lambda stack: stack[::2],
    pickle.DICT: lambda stack: stack[::2],
    pickle.ADDITEMS: lambda stack: stack,
    pickle.FROZENSET: lambda stack: stack,
}
_COPIED = {code: lambda stack: stack[-1] for code in (pickle.REDUCE, pickle.NEWOBJ, pickle.BUILD)}
# Other ways to call, which no weights need.
_UNUSED = {pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4}


class _Rest:
    """The rest of a file; to read more than there is raises before memory is reserved."""

    def __init__(self, file: BinaryIO):
        self._file, self._begin = file, file.tell()
        self._end = file.seek(0, 2)
        file.seek(self._begin)
        self.size = self._end - self._begin

    def read(self, count: int) -> bytes:
        needed = self._file.tell() + count
        if needed > self._end:
            raise EOFError(f"it has {self._end} bytes and needs at least {needed}")
        return self._file.read(count)

    def readline(self) -> bytes:
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise EOFError(f"it has {self._end} bytes and needs more")
        return line


def _size(value: Any) -> int:
    return len(value) if isinstance(value, (str, bytes, bytearray, tuple, list, dict)) else 0


def guarded(code: bytes, step: Callable[[Any], None]) -> Callable[[Any], None]:
    """Wraps a step of Python's unpickler in the checks that it lacks."""
    hashed, copied = _HASHED.get(code), _COPIED.get(code)

    def run(self: Any) -> None:
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise UserError(
                f"the file has more than {_MOST_STEPS} steps, which no weights have: it is refused"
            )
        if hashed:
            check_keys(hashed(self.stack), self.plain_keys)
        if copied:
            self.spend(copied(self.stack))
        step(self)

    return run


class ArrayUnpickler(pickle._Unpickler):
    """An unpickler that knows stand-ins for numpy's constructors and nothing else.

    numpy's own constructors are not safe. With an array of pointers over bytes of the file, or with
    a dtype that becomes one of pointers later, a pickle can write to any address of the process.

    The base is Python's unpickler in Python. The one in C trusts the sizes that a file states: a
    few bytes can request a table of gigabytes.
    """

    dispatch = {  # noqa: RUF012 (never changed)
        code: guarded(bytes([code]), step)
        for code, step in pickle._Unpickler.dispatch.items()
        if bytes([code]) not in _UNUSED
    }

    plain_keys: tuple[type, ...] = PLAIN_KEYS  # types that keys of dicts may have

    def __init__(self, file: BinaryIO, **options: Any):
        rest = _Rest(file)
        super().__init__(rest, **options)
        self.steps, self._left = 0, 4 * rest.size + (1 << 20)

    def spend(self, arguments: Any) -> None:
        """Counts the size of a call's arguments: a value that a file repeats is copied each time.

        Raises:
            UserError: when the sum is more than a file of this size can need.
        """
        values = arguments if isinstance(arguments, (tuple, list)) else ()
        self._left -= _size(arguments) + sum(map(_size, values))
        if self._left < 0:
            raise UserError("the file makes far more of its content than it holds: it is refused")

    def load_bytearray8(self: Any) -> None:
        """Reads the bytes first; Python's own step reserves as many as the file states."""
        (count,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(count)))

    dispatch[pickle.BYTEARRAY8[0]] = guarded(pickle.BYTEARRAY8, load_bytearray8)

    def find_class(self, module: str, name: str) -> Any:
        if module == "__builtin__":  # the name that Python 2 wrote
            module = "builtins"
        if (module, name) in ADMITTED:
            return ADMITTED[module, name]
        if module.split(".")[0] == "numpy" and name in NUMPY_INTERNALS:
            return NUMPY_INTERNALS[name]
        return self.unknown(module, name)

    def unknown(self, module: str, name: str) -> Any:
        """Refuses a class or a function that is no constructor of arrays."""
        raise UserError(
            f"the file asks to run {module[:80]}.{name[:80]}, which is not an array: it is refused"
        )


def unpickle(
    file: BinaryIO,
    origin: str,
    encoding: str = "ASCII",
    kind: type[ArrayUnpickler] = ArrayUnpickler,
) -> tuple[Any, Callable[[Any], None]]:
    """Reads a pickle; arrays stay `ArrayStandIn`.

    Args:
        file: an open binary file, read up to the end of the pickle.
        origin: the name of the file, for errors.
        encoding: how strings of Python 2 are read.
        kind: `ArrayUnpickler`, or a subclass that allows more.

    Returns:
        The content, and the function that counts what is made of it (`ArrayUnpickler.spend`).

    Raises:
        UserError: when it holds what the unpickler refuses, or is damaged or cut short.
    """
    try:
        unpickler = kind(file, encoding=encoding)
        return unpickler.load(), unpickler.spend
    except UserError as error:
        raise UserError(f"{origin}: {error}") from None
    except EOFError as error:
        raise UserError(
            f"{origin}: not a readable pickle: cut short ({error}); get it again"
        ) from None
    except Exception:  # a damaged pickle raises almost anything
        raise UserError(
            f"{origin}: not a readable pickle of arrays: damaged, or no pickle; get it again"
        ) from None


def unpickle_arrays(
    file: BinaryIO,
    origin: str,
    encoding: str = "ASCII",
    kind: type[ArrayUnpickler] = ArrayUnpickler,
) -> Any:
    """Reads a pickle of arrays and plain containers; see `unpickle`.

    Args:
        file: an open binary file, read up to the end of the pickle.
        origin: the name of the file, for errors.
        encoding: how strings of Python 2 are read; `"bytes"` for the CIFAR archives.
        kind: `ArrayUnpickler`, or a subclass that allows more.

    Raises:
        UserError: when it holds anything else, or is cut short.
    """
    content, spend = unpickle(file, origin, encoding, kind)
    try:
        return _built(content, {}, spend)
    except UserError as error:
        raise UserError(f"{origin}: {error}") from None
    except Exception:  # an array that is damaged
        raise UserError(f"{origin}: not a readable pickle of arrays: it is damaged") from None


def walk(content: Any) -> Iterator[Any]:
    """Yields every value in nested containers once.

    A small pickle can contain the same list a billion times, so values are told apart by identity.
    """
    seen, waiting = set(), [content]
    while waiting:
        value = waiting.pop()
        if id(value) not in seen:
            seen.add(id(value))
            yield value
            inner = value.values() if isinstance(value, dict) else value
            waiting.extend(inner if isinstance(value, (dict, list, tuple)) else ())


def _built(content: Any, done: dict[int, Any], spend: Callable[[Any], None]) -> Any:
    """Replaces stand-ins by their arrays at every depth, each once; lists and dicts in place."""
    if id(content) in done:
        return done[id(content)]
    if isinstance(content, ArrayStandIn):
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
