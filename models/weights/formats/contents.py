"""What an opened weights file is to those who choose from it: nested containers of late arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from common.errors import UserError
from common.number_formats import size_of
from common.pickles.stand_ins import ArrayStandIn, is_shape

_BIG = "UnpackBigParamInfor@@"  # Paddle's entry for arrays in slices


class Later(NamedTuple):
    """An array of a file that is not read yet.

    Attributes:
        shape: of the array.
        dtype: numpy's name, or one of `common.number_formats.WIDENED`.
        read: returns the values.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]

    @property
    def size(self) -> int:
        """The bytes that it takes in the file."""
        return math.prod(self.shape) * size_of(self.dtype)


class Opened(NamedTuple):
    """An opened file.

    Attributes:
        content: nested dicts, lists and tuples; arrays are `Later` or `ArrayStandIn`, objects of
            unknown classes `Inert`.
        kind: the format, for people.
        room: bytes that the arrays of a file of this size can have at most.
        metadata: text by name.
    """

    content: Any
    kind: str
    room: int
    metadata: dict[str, str] = {}  # noqa: RUF012 (never changed)


def as_later(value: Any) -> Any:
    """Returns an array of a pickle as `Later`; another value as it is.

    Newer versions of Paddle write a tensor as (internal name, array), older ones as an array.
    """
    if type(value) is tuple and len(value) == 2 and isinstance(value[0], str):
        value = value[1]
    if not isinstance(value, ArrayStandIn):
        return value
    outline = value.outline()
    return Later(*outline, value.build) if outline else value


def with_big_arrays(content: dict[Any, Any]) -> dict[Any, Any]:
    """Joins the slices in which Paddle writes an array of 4 GB and more, by pickle's protocol 2.

    Args:
        content: a dict of arrays; `_BIG` has the shapes and the names of the slices.

    Raises:
        UserError: when a slice is missing, or they are not those of the shape.
    """
    told = content.get(_BIG)
    if not isinstance(told, dict):
        return content
    found = {key: value for key, value in content.items() if key != _BIG}
    for name, one in told.items():
        shape, keys = _big(one)
        parts = [as_later(found.pop(key, None)) for key in keys]
        plain = all(isinstance(part, Later) and part.dtype == parts[0].dtype for part in parts)
        if not plain or sum(math.prod(part.shape) for part in parts) != math.prod(shape):
            raise UserError(f"the slices of {name!r} are not those of its shape: it is damaged")
        found[name] = Later(shape, parts[0].dtype, partial(_join, parts, shape))
    return found


def _big(one: Any) -> tuple[tuple[int, ...], list[str]]:
    """Returns shape and slices of an array."""
    values = one if isinstance(one, dict) else {}
    shape, keys = values.get("OriginShape"), values.get("slices")
    named = isinstance(keys, list) and keys and all(isinstance(key, str) for key in keys)
    if not is_shape(shape) or not named or len(set(keys)) < len(keys):
        raise UserError(f"what it says of the slices of its arrays ({_BIG}) is damaged")
    return tuple(shape), keys


def _join(parts: list[Later], shape: tuple[int, ...]) -> np.ndarray:
    return np.concatenate([np.ravel(part.read()) for part in parts]).reshape(shape)
