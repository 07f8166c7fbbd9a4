"""Images with their labels, transformed; the augmentation of a sample is a function of the seed and its key."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from paddle.io import Dataset

from common.errors import UserError
from data.source import Source

UNREADABLE = -1  # the label of a damaged image in evaluation
_STREAM = 0x5EED  # tells these random numbers from those of other uses of the same seed


class ImageDataset(Dataset):
    """One part of a data set, ready for a loader.

    Items are asked for by `(epoch, index)`, or `(epoch, index, repeat)`, as `data.sampler` gives them: worker processes
    then need no word of a new epoch. An item is `(image uint8 (3, S, S), label, skipped)`. With `on_corrupt="skip"` a
    damaged image is replaced by the next readable one in training, and has the label `UNREADABLE` in evaluation;
    `skipped` is then 1.
    """

    def __init__(self, source: Source, transform: Callable, training: bool, seed: int, on_corrupt: str):
        super().__init__()
        self.source = source
        self.transform = transform
        self.training = training
        self.seed = seed
        self.on_corrupt = on_corrupt

    @property
    def classes(self) -> tuple[str, ...]:
        return self.source.classes

    def __len__(self) -> int:
        return len(self.source.labels)

    def __getitem__(self, key: tuple[int, ...]) -> tuple[np.ndarray, int, int]:
        index = key[1]
        try:
            return self._item(key, index), int(self.source.labels[index]), 0
        except UserError as error:
            if self.on_corrupt == "error":
                raise
            print(f"skipped: {error}", flush=True)
        if not self.training:
            size = self.transform.size
            return np.zeros((3, size, size), np.uint8), UNREADABLE, 1
        return self._substitute(key)

    def _item(self, key: tuple[int, ...], position: int) -> np.ndarray:
        rng = np.random.default_rng((_STREAM, self.seed, *key)) if self.training else None
        image = self.transform(self.source.images[position], rng)
        return np.ascontiguousarray(image.transpose(2, 0, 1))  # (3, S, S)

    def _substitute(self, key: tuple[int, ...]) -> tuple[np.ndarray, int, int]:
        for step in range(1, len(self)):
            position = (key[1] + step) % len(self)
            try:
                return self._item(key, position), int(self.source.labels[position]), 1
            except UserError:
                continue
        raise UserError("none of the training images is readable")
