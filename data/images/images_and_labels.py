"""What every data set returns: images that are read by position, their labels, and the classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from paddle.io import Subset

from data.images.image_files import decode


class ImageFiles(Sequence[NDArray[np.uint8]]):
    """A sequence of images that are decoded when they are read."""

    def __init__(self, paths: list[Path]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    # One position at a time; the type of a sequence has slices, too.
    def __getitem__(self, position: int) -> NDArray[np.uint8]:  # type: ignore[override]
        return decode(self.paths[position], str(self.paths[position]))


class ImagesAndLabels(NamedTuple):
    """One part (`train` or `test`) of a data set, or some of its images.

    Attributes:
        images: `images[i]` is uint8 `(H, W, 3)`; reading a damaged file raises `UserError`.
        labels: int64 `(N,)`, positions in `classes`; -1 for images without labels.
        classes: names of the classes, in sorted order.
    """

    images: Sequence[NDArray[np.uint8]] | Subset
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def subset(self, indices: NDArray[np.int_]) -> ImagesAndLabels:
        """Returns the images at some positions, in that order; nothing is read or copied."""
        return ImagesAndLabels(Subset(self.images, indices), self.labels[indices], self.classes)

    def name(self, position: int) -> str:
        """Returns the path of an image; without files, its position in the whole part."""
        images = self.images
        while isinstance(images, Subset):
            images, position = images.dataset, int(images.indices[position])
        return str(images.paths[position]) if isinstance(images, ImageFiles) else str(position)

    def names(self) -> list[str]:
        """Returns all names without their folders, which may differ on another machine."""
        return [os.path.basename(self.name(position)) for position in range(len(self.labels))]
