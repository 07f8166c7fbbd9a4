"""The data sets by name: a new one gets its line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from common.errors import UserError, nearest
from data.sets import cifar, digits, folder, imagenet, tiny_imagenet


class Entry(NamedTuple):
    """A data set: `load(config.data, part)` gives a `ImagesAndLabels` for `train` or `test`; 0 where only
    reading it tells.

    `side` is that of all images, which are square, in pixels.
    """

    load: Callable
    train_images: int
    num_classes: int
    side: int


DATASETS = {
    "digits": Entry(digits.load, 1_297, 10, 8),
    "cifar10": Entry(cifar.load_cifar10, 50_000, 10, 32),
    "cifar100": Entry(cifar.load_cifar100, 50_000, 100, 32),
    "tiny_imagenet": Entry(tiny_imagenet.load, 100_000, 200, tiny_imagenet.SIZE),
    "imagenet": Entry(imagenet.load_imagenet, 1_281_167, 1_000, 0),
    "folder": Entry(folder.load_folder, 0, 0, 0),
}


def find_entry(name: str) -> Entry:
    if name not in DATASETS:
        raise UserError(f"data.name: {name!r} is not known{nearest(name, DATASETS)}")
    return DATASETS[name]
