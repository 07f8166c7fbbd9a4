"""Says in words what a config file has raised: the file, the line, and the field if it is one."""

from __future__ import annotations

import difflib
import os
import traceback
from pathlib import Path
from types import FrameType

import ml_collections
from ml_collections import ConfigDict

from configs import default
from program.config.config_fields import KINDS, flattened, nearest_field

_LIBRARY = str(Path(ml_collections.__file__).parent)


def describe(error: BaseException, path: str) -> str:
    """Returns `FILE, line N: what is wrong` for an exception of a config file.

    Args:
        error: with its traceback.
        path: of the config file; the mistake may be in another one that it imports.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    places = (os.path.dirname(os.path.abspath(path)), os.path.dirname(default.__file__))
    own = [
        (frame.f_code.co_filename, line)
        for frame, line in frames
        if os.path.dirname(os.path.abspath(frame.f_code.co_filename)) in places
    ]
    file, line = own[-1] if own else ("", 0)
    if isinstance(error, SyntaxError):
        file, line = error.filename or "", error.lineno or 0
    here = os.path.abspath(file) == os.path.abspath(path)
    place = path if here or not file else f"{path}: {file}"
    reason = _of_a_field(error, frames[-1][0]) if frames else ""
    if not reason:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return f"{place}{f', line {line}' if line else ''}: {reason}"


def _of_a_field(error: BaseException, frame: FrameType) -> str:
    """Returns what is wrong with a field, if it is `ml_collections` that has raised the error."""
    values = frame.f_locals
    group, name = values.get("self"), values.get("key", values.get("attribute"))
    inside = frame.f_code.co_filename.startswith(_LIBRARY)
    if not (inside and isinstance(group, ConfigDict) and isinstance(name, str)):
        return ""
    field = _prefix(group) + name
    if isinstance(error, (AttributeError, KeyError)):
        groups = [name for name, value in group.items() if isinstance(value, ConfigDict)]
        close = difflib.get_close_matches(name, groups, n=1, cutoff=0.75)
        hint = f"; did you mean {close[0]!r}?" if close else nearest_field(field)
        return f"{field} is no field of a config{hint}"
    known = flattened(default.get_config())
    if isinstance(error, TypeError) and field in known and "value" in values:
        kind = KINDS.get(type(known[field]), "text")
        return f"{field} = {values['value']!r}: expected {kind}, such as {known[field]!r}"
    return ""


def _prefix(group: ConfigDict) -> str:
    """Returns the dotted beginning of the names of a group's fields, by the fields that it has."""
    for name, usual in default.get_config().items():
        if isinstance(usual, ConfigDict) and usual.keys() == group.keys():
            return f"{name}."
    return ""
