"""What of an image is seen, and how large, without its pixels: these are resized later, on the
device.

A view takes the place of the image in `data/augment/transforms.py`, whose crops and flips then say
the same of it, with the same random numbers, as of an image. `data/augment/device_resize.py` makes the
pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

OUTSIDE = -1  # a place that is black


class Axis(NamedTuple):
    """One axis: `length` pixels from `begin` on are resized to `resized`, of which `places` `(S,)`
    are seen.
    """

    begin: int
    length: int
    resized: int
    places: np.ndarray


class View:
    """An image of `height` x `width` pixels, as it is; its methods give other views of it.

    It can be indexed by one slice or two, as the array of an image can.
    """

    def __init__(self, height: int, width: int):
        self._axes = tuple(Axis(0, side, side, np.arange(side)) for side in (height, width))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return tuple(len(axis.places) for axis in self._axes)

    def __getitem__(self, key: slice | tuple[slice, slice]) -> View:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        return self._with(
            axis._replace(places=axis.places[part])
            for axis, part in zip(self._axes, (rows, columns))
        )

    def resize(self, height: int, width: int) -> View:
        """Resize what is seen, which must not be resized, padded or flipped yet."""
        return self._with(_resized(axis, side) for axis, side in zip(self._axes, (height, width)))

    def pad(self, amount: int, mode: str) -> View:
        """Pad each edge, with black (`constant`) or what is inside (`reflect`)."""
        fill = {"constant_values": OUTSIDE} if mode == "constant" else {}
        return self._with(
            axis._replace(places=np.pad(axis.places, amount, mode, **fill)) for axis in self._axes
        )

    def windows(self) -> np.ndarray:
        """All that there is to know of a square view: int32 `(2, 3 + S)`, begin, length, resized
        and places by axis.
        """
        windows = np.empty((2, 3 + self.shape[0]), np.int32)
        for row, axis in zip(windows, self._axes):
            row[:3], row[3:] = axis[:3], axis.places
        return windows

    def _with(self, axes) -> View:
        view = object.__new__(View)
        view._axes = tuple(axes)
        return view


def _resized(axis: Axis, side: int) -> Axis:
    begin, end, length = int(axis.places[0]), int(axis.places[-1]) + 1, len(axis.places)
    if axis.resized != axis.length or end - begin != length or begin == OUTSIDE:
        raise ValueError("only a part of the image as it is can be resized")
    return Axis(axis.begin + begin, length, side, np.arange(side))
