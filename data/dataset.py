"""Images with their labels, transformed; the augmentation of a sample is a function of the seed and
its key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
from paddle.io import Dataset

from common.errors import UserError
from data.augment.device_resize_views import View
from data.sets.images_and_labels import ImagesAndLabels

UNREADABLE = -1  # the label of a damaged image in evaluation
_LOOKED_AT = 16  # images for a digest
_STREAM = 0x5EED  # tells these random numbers from those of other uses of the same seed


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class ImageDataset(Dataset):
    """One part of a data set, ready for a loader.

    Items are asked for by `(epoch, index)`, or `(epoch, index, repeat)`, as `data.sampler` gives
    them: worker processes then need no word of a new epoch. An item is `(image uint8 (3, S, S),
    label, skipped)`. With `on_corrupt="skip"` a damaged image is replaced by the next readable one
    in training, and has the label `UNREADABLE` in evaluation; `skipped` is then 1.

    With `resize_on="device"` an item is `(image uint8 (3, H, W), label, skipped, windows)`: the
    image is as it was read, and the windows, int32 `(2, 3 + S)`, say what `data.augment.device_resize`
    is to make of it.
    """

    def __init__(
        self,
        source: ImagesAndLabels,
        transform: Callable,
        training: bool,
        seed: int,
        on_corrupt: str,
        resize_on: str,
    ):
        super().__init__()
        self.source = source
        self.transform = transform
        self.training = training
        self.seed = seed
        self.on_corrupt = on_corrupt
        self._small = resize_on == "device"

    @property
    def classes(self) -> tuple[str, ...]:
        return self.source.classes

    @property
    def item_bytes(self) -> int:
        """What an image takes on its way from a worker process to the device."""
        size = self.transform.size
        return (
            self.source.images[0].nbytes + View(size, size).windows().nbytes
            if self._small
            else 3 * size**2
        )

    def __len__(self) -> int:
        return len(self.source.labels)

    def __getitem__(self, key: tuple[int, ...]) -> tuple:
        index = key[1]
        try:
            return self._item(key, index, skipped=0)
        except UserError as error:
            if self.on_corrupt == "error":
                raise
            print(f"skipped: {error}", flush=True)
        if not self.training:
            size = self.transform.size
            return np.zeros((3, size, size), np.uint8), UNREADABLE, 1
        return self._substitute(key)

    def digests(self) -> dict[str, str]:
        """What tells this data set from another one, by names for people; of the images a few are
        looked at.
        """
        source, chosen = (
            self.source,
            np.linspace(0, len(self) - 1, min(len(self), _LOOKED_AT)).astype(int),
        )
        looks = [self._look(position) for position in chosen]
        return {
            "the number of images": str(len(self)),
            "the classes": ", ".join(source.classes),
            "the labels": _sha256(source.labels.astype("<i8").tobytes()),
            "the names of the images": _sha256("\n".join(source.names()).encode()),
            f"the content of {len(looks)} images": _sha256(b"".join(looks)),
        }

    def _look(self, position: int) -> bytes:
        try:
            image = np.ascontiguousarray(self.source.images[position])
        except UserError:  # damaged
            return b"-"
        return repr(image.shape).encode() + image.tobytes()

    def _item(self, key: tuple[int, ...], position: int, skipped: int) -> tuple:
        rng = np.random.default_rng((_STREAM, self.seed, *key)) if self.training else None
        image, windows = self.source.images[position], ()
        if self._small:
            windows = (self.transform(View(*image.shape[:2]), rng).windows(),)
        else:
            image = self.transform(image, rng)
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1))  # (3, S, S)
        return pixels, int(self.source.labels[position]), skipped, *windows

    def _substitute(self, key: tuple[int, ...]) -> tuple:
        for step in range(1, len(self)):
            position = (key[1] + step) % len(self)
            try:
                return self._item(key, position, skipped=1)
            except UserError:
                continue
        raise UserError("none of the training images is readable")
