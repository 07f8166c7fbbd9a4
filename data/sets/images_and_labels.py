"""What every data set gives: images that can be read by position, labels, and the names of the
classes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data.sets.image_files import ImageFiles


class ImagesAndLabels(NamedTuple):
    """One part (`train` or `test`) of a data set.

    `images[i]` is a uint8 array `(H, W, 3)`; reading it raises `UserError` where the file is
    damaged. `labels` is int64 `(N,)`, positions in `classes`.
    """

    images: Sequence
    labels: np.ndarray
    classes: tuple[str, ...]

    def subset(self, indices: np.ndarray) -> ImagesAndLabels:
        """The same images in another order, or some of them."""
        return ImagesAndLabels(Indexed(self.images, indices), self.labels[indices], self.classes)

    def name(self, position: int) -> str:
        """What people find an image by: its path, else its position in the whole part of the data
        set.
        """
        images = self.images
        while isinstance(images, Indexed):
            images, position = images.items, int(images.indices[position])
        return str(images.paths[position]) if isinstance(images, ImageFiles) else str(position)

    def names(self) -> list[str]:
        """What all images are called, without the folders: those may be others on another
        machine.
        """
        return [os.path.basename(self.name(position)) for position in range(len(self.labels))]


class Indexed(Sequence):
    """A view of a sequence by positions, without a copy."""

    def __init__(self, items: Sequence, indices: np.ndarray):
        self.items = items
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int):
        return self.items[self.indices[position]]
