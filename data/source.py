"""What every data set gives: images that can be read by position, labels, and the names of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Source(NamedTuple):
    """One part (`train` or `test`) of a data set.

    `images[i]` is a uint8 array `(H, W, 3)`; reading it raises `UserError` where the file is damaged.
    `labels` is int64 `(N,)`, positions in `classes`.
    """

    images: Sequence
    labels: np.ndarray
    classes: tuple[str, ...]

    def subset(self, indices: np.ndarray) -> Source:
        """The same images in another order, or some of them."""
        return Source(Indexed(self.images, indices), self.labels[indices], self.classes)

    def names(self) -> list[str]:
        """The names of the image files in their order; none where images are no files."""
        return _names(self.images)


def _names(images: Sequence) -> list[str]:
    if isinstance(images, Indexed):
        inner = _names(images.items)
        return [inner[position] for position in images.indices] if inner else []
    return list(getattr(images, "names", ()))


class Indexed(Sequence):
    """A view of a sequence by positions, without a copy."""

    def __init__(self, items: Sequence, indices: np.ndarray):
        self.items = items
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int):
        return self.items[self.indices[position]]
