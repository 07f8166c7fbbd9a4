"""What every data set returns: images that are read by position, their labels, and the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from paddle.io import Subset

from data.files.stored_files import StoredFile
from data.images.image_files import read_image


class ImageFiles(Sequence[NDArray[np.uint8]]):
    """A sequence of images that are decoded when they are read.

    Args:
        files: of the images.
        exif: whether to turn them upright by their EXIF orientation.
    """

    def __init__(self, files: Sequence[StoredFile], exif: bool = False):
        self.files, self.exif = files, exif

    def __len__(self) -> int:
        return len(self.files)

    # One position at a time; the type of a sequence has slices, too.
    def __getitem__(self, position: int) -> NDArray[np.uint8]:  # type: ignore[override]
        return read_image(self.files[position], self.exif)


class ImagesAndLabels(NamedTuple):
    """One part (`train`, `val` or `test`) of a data set, or some of its images.

    Attributes:
        images: `images[i]` is uint8 `(H, W, 3)`; reading a damaged file raises `UserError`.
        labels: int64 `(N,)`, positions in `classes`; -1 for images without labels.
        classes: names of the classes; in sorted order, unless the data numbers them itself.
        origin: where the part comes from, in a word, such as `train/`.
        notes: lines for the start of a run about what was left out or decided.
    """

    images: Sequence[NDArray[np.uint8]] | Subset
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    origin: str = ""
    notes: tuple[str, ...] = ()

    def subset(self, indices: NDArray[np.int_]) -> ImagesAndLabels:
        """Returns the images at some positions, in that order; nothing is read or copied."""
        return self._replace(images=Subset(self.images, indices), labels=self.labels[indices])

    def files(self) -> list[StoredFile] | None:
        """Returns the files of the images in order; None where there are none."""
        images, positions = self.images, np.arange(len(self.labels))
        while isinstance(images, Subset):
            images, positions = images.dataset, np.asarray(images.indices)[positions]
        if not isinstance(images, ImageFiles):
            return None
        return [images.files[int(position)] for position in positions]

    def name(self, position: int) -> str:
        """Returns the place of an image; without files, its position in the whole part."""
        return str(self._original(position))

    def names(self) -> list[str]:
        """Returns all names without their folders, which may differ on another machine."""
        found = self.files()
        if found is None:
            return [self.name(position) for position in range(len(self.labels))]
        return [file.name for file in found]

    def _original(self, position: int) -> StoredFile | int:
        """Returns the file of an image, or its position in the whole part."""
        images = self.images
        while isinstance(images, Subset):
            images, position = images.dataset, int(images.indices[position])
        return images.files[position] if isinstance(images, ImageFiles) else position
