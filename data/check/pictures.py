"""Chooses images to show of each class, and makes them small."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LONGEST = 96  # pixels of the longer side of a picture
_AS_IT_IS = 32  # pixels; smaller images are stored without loss
_QUALITY = 85  # of JPEG
_PICTURES = 600  # in all
_MOST_OF_A_CLASS = 8


def small_picture(pixels: NDArray[np.uint8]) -> bytes:
    """Returns an image, uint8 `(H, W, 3)`, as a small PNG or JPEG file."""
    image, stream = Image.fromarray(pixels), BytesIO()
    if max(image.size) <= _AS_IT_IS:
        image.save(stream, "PNG")
    else:
        image.thumbnail((_LONGEST, _LONGEST))
        image.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def chosen(labels: NDArray[np.int64], classes: int) -> list[int]:
    """Returns positions of images to show: as many of each class, at equal distances.

    With very many classes it is one of each of the first ones.
    """
    count = min(_MOST_OF_A_CLASS, max(1, _PICTURES // max(1, classes)))
    order = np.argsort(labels, kind="stable")  # by class; within a class in order
    bounds = np.searchsorted(labels[order], np.arange(min(classes, _PICTURES) + 1))
    positions: list[int] = []
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist()):
        members = order[begin:end]
        places = np.linspace(0, len(members) - 1, min(count, len(members))).astype(int)
        positions += members[places].tolist()
    return positions
