"""Images with their labels, transformed; the seed and its key decide a sample's augmentation.

With `data.views` the number of the view takes the place of the epoch in the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from paddle.io import Dataset

from common.errors import UserError
from data.augment.device_resize_views import View
from data.augment.transforms import EvalTransform, TrainTransform
from data.images.image_files import REMEDY
from data.images.images_and_labels import ImagesAndLabels

UNREADABLE = -1  # the label of a damaged image in evaluation
_DIGEST_IMAGES = 16  # images whose pixels go into a digest
_STREAM = 0x5EED  # separates these random numbers from other uses of the same seed


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class ImageDataset(Dataset):
    """One split of a data set, ready for a loader.

    An item is requested by its key, `(epoch, index)` or `(epoch, index, repeat)`, as `data.sampler`
    yields them: a worker process then does not have to be told of a new epoch. An item is `(image
    uint8 (3, S, S), label, skipped)`.

    With `resize_on="device"` an item is `(image uint8 (3, H, W), label, skipped, windows)`. The
    image is as it was read; the windows, int32 `(2, 3 + S)`, tell `data.augment.device_resize` how
    to cut and resize it.

    Args:
        source: images, labels and classes.
        transform: changes an image, or a `View` of it, given a random generator.
        training: whether to augment; False: the transform gets None for the generator.
        seed: of the augmentation.
        on_corrupt: `error` raises for a damaged image. With `skip` the next readable image replaces
            it in training; in evaluation its label is `UNREADABLE`. `skipped` is then 1.
        resize_on: `host` or `device`.
        views: number of different augmentations of an image, of which each epoch has the next one;
            0: each epoch has its own.
    """

    def __init__(
        self,
        source: ImagesAndLabels,
        transform: TrainTransform | EvalTransform,
        training: bool,
        seed: int,
        on_corrupt: str,
        resize_on: str,
        views: int = 0,
    ):
        self.source, self.transform = source, transform
        self.training, self.seed, self._views = training, seed, views
        self.on_corrupt, self._on_device = on_corrupt, resize_on == "device"
        # What this process has skipped since `take_skipped`, and what was named before.
        self._skipped: list[str] = []
        self._named: set[str] = set()

    @property
    def classes(self) -> tuple[str, ...]:
        return self.source.classes

    @property
    def item_bytes(self) -> int:
        """Bytes of an image on its way from a worker process to the device."""
        size = self.transform.size
        if not self._on_device:
            return 3 * size**2
        return self.source.images[0].nbytes + View(size, size).windows().nbytes

    def __len__(self) -> int:
        return len(self.source.labels)

    def __getitem__(self, key: tuple[int, ...]) -> tuple[Any, ...]:
        try:
            return self._item(key, key[1], skipped=0)
        except UserError as error:
            if self.on_corrupt == "error":
                raise
            self._skipped.append(str(error))
        if self.training:
            return self._substitute(key)
        size = self.transform.size
        return np.zeros((3, size, size), np.uint8), UNREADABLE, 1

    def view(self, key: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the key of the view that an item shows; items of the same view are equal.

        It is `(0, index)` where nothing is random; with `views` the epoch comes modulo their
        number; else it is the key itself.
        """
        epoch, index, *repeat = key
        if not (self.training and self.transform.random):
            return 0, index
        return (epoch % self._views if self._views else epoch, index, *repeat)

    def take_skipped(self) -> list[str]:
        """Returns what is wrong with each damaged image that was skipped since the last call."""
        taken, self._skipped = self._skipped, []
        return taken

    def name_skipped(self, problems: Iterable[str]) -> None:
        """Prints what is wrong with damaged images; each comes once in a run.

        It is called in the process that trains, so that several workers and epochs do not repeat
        it.
        """
        for problem in problems:
            if problem not in self._named:
                self._named.add(problem)
                print(f"skipped: {problem.removesuffix(f'; {REMEDY}')}", flush=True)

    def digests(self) -> dict[str, str]:
        """Returns what identifies the data, by names for people; only a few images are read."""
        source, count = self.source, min(len(self), _DIGEST_IMAGES)
        chosen = np.linspace(0, len(self) - 1, count).astype(int)
        return {
            "the number of images": str(len(self)),
            "the classes": ", ".join(source.classes),
            "the labels": _sha256(source.labels.astype("<i8").tobytes()),
            "the names of the images": _sha256("\n".join(source.names()).encode()),
            f"the content of {count} images": _sha256(b"".join(map(self._content, chosen))),
        }

    def identity(self) -> dict[str, Any]:
        """Returns what a resumed run compares: classes, number of images, and their list's hash.

        The hash is of the names without their folders, and the labels: the data may move.
        """
        rows = zip(self.source.names(), self.source.labels.tolist())
        listing = "".join(f"{label} {name}\n" for name, label in rows)
        return {
            "classes": list(self.source.classes),
            "images": len(self),
            "sha256": _sha256(listing.encode("utf-8", "surrogateescape")),
        }

    def _content(self, position: int) -> bytes:
        try:
            image = np.ascontiguousarray(self.source.images[position])
        except UserError:  # damaged
            return b"-"
        return repr(image.shape).encode() + image.tobytes()

    def _item(self, key: tuple[int, ...], position: int, skipped: int) -> tuple[Any, ...]:
        view = _STREAM, self.seed, *self.view(key)
        rng: Any = np.random.default_rng(view) if self.training else None
        image = self.source.images[position]
        windows = [self.transform(View(*image.shape[:2]), rng).windows()] if self._on_device else []
        if not self._on_device:
            image = self.transform(image, rng)
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1))  # (3, S, S)
        return pixels, int(self.source.labels[position]), skipped, *windows

    def _substitute(self, key: tuple[int, ...]) -> tuple[Any, ...]:
        for step in range(1, len(self)):
            try:
                return self._item(key, (key[1] + step) % len(self), skipped=1)
            except UserError:
                continue
        raise UserError("none of the training images is readable")
