"""Reads training states that strangers pickled: what is no array becomes an inert stand-in.

A training state has more than arrays: arguments, configs, paths, dates, enums, random states, of
classes of any library. None of them is needed, so none is made. What a pickle asks for beside
arrays and plain containers is an `Inert`: it can be called, changed and filled, and keeps nothing.
"""

from __future__ import annotations

import pickle
import re
from typing import Any

from common.errors import UserError
from common.pickles.safe_load import ArrayUnpickler, guarded
from common.pickles.stand_ins import (
    PLAIN_KEYS,
    ArrayStandIn,
    Maker,
    NumberDtype,
    PlainDict,
)

_MOST_CLASSES = 50_000  # different ones that a file may name
# What no training state has. It would not be run either way; a file that asks for it is hostile.
_HOSTILE = re.compile(
    r"(?:os|posix|nt|subprocess|sys|shutil|socket|runpy|importlib|ctypes|pty|code|codeop|commands|"
    r"webbrowser|pip|asyncio|multiprocessing|signal)(?:\..*)?"
)
_HOSTILE_BUILTINS = ("exec", "compile", "open", "input", "__import__", "breakpoint", "delattr")


class Inert:
    """Replaces a class, a function or an object that is not needed; it keeps nothing.

    Attributes:
        module, name: what the file calls it.
    """

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name

    def __str__(self) -> str:
        return f"{self.module[:80]}.{self.name[:80]}"

    def __call__(self, *_: Any, **__: Any) -> Inert:
        return self

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, _: Any, __: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        """Ignores an element."""

    extend = add = append


def _dtype(name: Any, *_: Any) -> Any:
    """Returns a dtype of numbers, or a stand-in: only arrays of the model need theirs."""
    if isinstance(name, Inert) and name.name == "bfloat16":  # of ml_dtypes: numpy has none
        return NumberDtype("u2")
    try:
        return NumberDtype(name)
    except UserError:
        return Inert("numpy", "dtype")


def _reconstruct(kind: Any, *_: Any) -> Any:
    plain = not isinstance(kind, Inert)
    return ArrayStandIn() if plain else kind


def _eval(text: Any, names: Any = None, *_: Any) -> Any:
    """Returns a tensor of a static program of Paddle, which is stored as `eval("data", ...)`."""
    if text != "data" or not isinstance(names, dict) or list(names) != ["data"]:
        raise UserError("the file asks to run builtins.eval, which is not an array: it is refused")
    return names["data"]


_REPLACED = {
    ("builtins", "eval"): Maker(_eval),
    ("collections", "defaultdict"): Maker(lambda *_: PlainDict()),
    ("numpy", "dtype"): Maker(_dtype),
}
_RECONSTRUCT = Maker(_reconstruct)


class InertUnpickler(ArrayUnpickler):
    """Reads arrays as `ArrayStandIn`, and what is neither these nor plain as `Inert`."""

    dispatch = dict(ArrayUnpickler.dispatch)  # noqa: RUF012 (never changed)
    plain_keys = (*PLAIN_KEYS, Inert)

    def __init__(self, file: Any, **options: Any):
        super().__init__(file, **options)
        self._inert: dict[tuple[str, str], Inert] = {}

    def find_class(self, module: str, name: str) -> Any:
        module = "builtins" if module == "__builtin__" else module
        if (module, name) in _REPLACED:
            return _REPLACED[module, name]
        if module.split(".")[0] == "numpy" and name == "_reconstruct":
            return _RECONSTRUCT
        return super().find_class(module, name)

    def unknown(self, module: str, name: str) -> Any:
        """Returns the stand-in of a class or a function; a call of the system is refused."""
        hostile = module == "builtins" and name in _HOSTILE_BUILTINS
        if hostile or _HOSTILE.fullmatch(module):
            return super().unknown(module, name)
        if len(self._inert) >= _MOST_CLASSES:
            raise UserError(f"the file names more than {_MOST_CLASSES} classes: it is refused")
        return self._inert.setdefault((module, name), Inert(module, name))

    def load_newobj(self: Any) -> None:
        """Calls the stand-in in place of making an object of its class."""
        arguments, kind = self.stack.pop(), self.stack.pop()
        self.append(kind(*arguments))

    def load_newobj_ex(self: Any) -> None:
        """Calls the stand-in, as `load_newobj`; named arguments are ignored."""
        self.spend(self.stack.pop())
        self.spend(self.stack[-1])
        InertUnpickler.load_newobj(self)

    dispatch[pickle.NEWOBJ[0]] = guarded(pickle.NEWOBJ, load_newobj)
    dispatch[pickle.NEWOBJ_EX[0]] = guarded(pickle.NEWOBJ_EX, load_newobj_ex)
