"""The data sets by name. To add one, write its file next to this one, and add a line below."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from common.errors import UserError, nearest
from data.sets import cifar, digits, folder, imagenet, tiny_imagenet


class Entry(NamedTuple):
    """A data set, with what is known of it before anything is read; 0: unknown.

    Attributes:
        load: `load(data_config, part)` returns the `ImagesAndLabels` of `train` or `test`;
            `data_config` is the `data` part of a config.
        train_images: number of training images.
        num_classes: number of classes.
        side: height and width of each image, in pixels; 0 also when sizes differ.
        image_folder: whether `data.root` is a folder of image files that are read each time.
        may_have_val: whether `load` is asked for `val`, too: the data's own validation part, or
            None. It then picks the best weights, in place of `data.holdout`.
        own_images: whether the images are people's own: they are turned by their EXIF orientation.
        load_files: as `load`, but images are read from their files, where `load` keeps them
            decoded; None: it does not.
    """

    load: Callable[[ConfigDict, str], Any]
    train_images: int = 0
    num_classes: int = 0
    side: int = 0
    image_folder: bool = False
    may_have_val: bool = False
    own_images: bool = False
    load_files: Callable[[ConfigDict, str], Any] | None = None


DATASETS = {
    "digits": Entry(digits.load, 1_297, num_classes=10, side=8),
    "cifar10": Entry(partial(cifar.load, cifar.CIFAR10), 50_000, num_classes=10, side=32),
    "cifar100": Entry(partial(cifar.load, cifar.CIFAR100), 50_000, num_classes=100, side=32),
    "tiny_imagenet": Entry(
        tiny_imagenet.load,
        100_000,
        num_classes=200,
        side=tiny_imagenet.SIDE,
        load_files=tiny_imagenet.load_files,
    ),
    "imagenet": Entry(imagenet.load, 1_281_167, num_classes=1_000, image_folder=True),
    "folder": Entry(folder.load, image_folder=True, may_have_val=True, own_images=True),
}


def find_entry(name: str) -> Entry:
    """Returns the entry of a data set; raises `UserError` for an unknown name."""
    if name not in DATASETS:
        raise UserError(f"data.name: {name!r} is not known{nearest(name, DATASETS)}")
    return DATASETS[name]
