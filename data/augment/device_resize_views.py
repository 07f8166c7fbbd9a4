"""Records how an image is cropped, flipped and resized, without its pixels.

For `data.resize_on=device`. A `View` takes the place of the image in `data/augment/transforms.py`:
the crops and flips there then draw the same random numbers and return another view.
`data/augment/device_resize.py` makes the pixels on the device.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

_OUTSIDE = -1  # a place that is black


class _Axis(NamedTuple):
    """One axis of a view.

    Attributes:
        begin: the first pixel of the image that is used.
        length: number of pixels that are used.
        resized: number of pixels that they are resized to.
        places: int `(S,)`, which of those are seen, in order.
    """

    begin: int
    length: int
    resized: int
    places: NDArray[np.int_]


class View:
    """An image of `height` x `width` pixels as it is; the methods return other views of it.

    A view is indexed by one slice or two, like the array of an image.
    """

    def __init__(self, height: int, width: int):
        self._axes = tuple(_Axis(0, side, side, np.arange(side)) for side in (height, width))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return len(self._axes[0].places), len(self._axes[1].places)

    def __getitem__(self, key: slice | tuple[slice, slice]) -> View:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        return self._with(
            axis._replace(places=axis.places[part])
            for axis, part in zip(self._axes, (rows, columns))
        )

    def resize(self, height: int, width: int) -> View:
        """Resizes what is seen, which must not be resized, padded or flipped yet."""
        return self._with(_resized(axis, side) for axis, side in zip(self._axes, (height, width)))

    def pad(self, amount: int, mode: Literal["constant", "reflect"]) -> View:
        """Pads each edge, with black (`constant`) or with the pixels inside of it (`reflect`)."""
        fill: dict[str, Any] = {"constant_values": _OUTSIDE} if mode == "constant" else {}
        return self._with(
            axis._replace(places=np.pad(axis.places, amount, mode, **fill)) for axis in self._axes
        )

    def windows(self) -> NDArray[np.int32]:
        """Returns a square view as numbers, int32 `(2, 3 + S)`.

        By axis: begin, length, resized, and the places.
        """
        return np.array([np.concatenate([axis[:3], axis.places]) for axis in self._axes], np.int32)

    def _with(self, axes: Iterable[_Axis]) -> View:
        view = object.__new__(View)
        view._axes = tuple(axes)
        return view


def _resized(axis: _Axis, side: int) -> _Axis:
    begin, end, length = int(axis.places[0]), int(axis.places[-1]) + 1, len(axis.places)
    if axis.resized != axis.length or end - begin != length or begin == _OUTSIDE:
        raise ValueError("only a part of the image as it is can be resized")
    return _Axis(axis.begin + begin, length, side, np.arange(side))
