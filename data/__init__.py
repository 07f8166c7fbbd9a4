"""Data sets by name, split, transformed and loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from common.errors import UserError, nearest
from data import cifar, digits, folder, tiny_imagenet
from data.dataset import UNREADABLE, ImageDataset
from data.erasing import Erasing
from data.folder import check_outside
from data.loader import Batch, join, load
from data.mixing import Mixing
from data.sampler import EvalSampler, TrainSampler
from data.source import Source
from data.transforms import EvalTransform, TrainTransform

__all__ = [
    "DATASETS",
    "SPLITS",
    "UNREADABLE",
    "Batch",
    "Erasing",
    "EvalSampler",
    "ImageDataset",
    "Mixing",
    "TrainSampler",
    "build",
    "check_outside",
    "facts",
    "join",
    "load",
]

SPLITS = ("train", "val", "test")  # those with labels
_EMPTY = {
    "unlabelled": "no images are left for rdrop.unlabelled_batch_size: set data.unlabelled_root to a folder of images, "
    "or data.labels_per_class, which leaves some without labels"
}
_SPLIT_SEED = 20210614  # the held-out images are the same for every seed of a run


class Entry(NamedTuple):
    """A data set: `load(config.data, part)` gives a `Source` for `train` or `test`; 0 where only reading it tells.

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
    "imagenet": Entry(folder.load_imagenet, 1_281_167, 1_000, 0),
    "folder": Entry(folder.load_folder, 0, 0, 0),
}


def build(config, split: str, augment: bool | None = None) -> ImageDataset:
    """Build one split of the data set of a config.

    Args:
        config: a whole config (see `configs/default.py`).
        split: `train`; `val`, the part of the training images that `data.holdout` keeps out of it; `test`, the
            published test or validation part; or `unlabelled`, images whose labels are not looked at: those of
            `data.unlabelled_root`, else the training images that `data.labels_per_class` leaves out.
        augment: whether to augment; None: for `train` and `unlabelled` only.

    Raises:
        UserError: when the data is missing, damaged, too small for the split, or not to be resized on the device.
    """
    _check_resize(config)
    if split not in (*SPLITS, "unlabelled"):
        raise UserError(f"split {split!r} is not known{nearest(split, SPLITS)}")
    if split == "unlabelled" and config.data.unlabelled_root:
        source = folder.load_unlabelled(config.data.unlabelled_root)
    else:
        source = _entry(config.data.name).load(config.data, "test" if split == "test" else "train")
        if split != "test":
            source = _training_part(source, config.data, split, config.seed)
    if not len(source.labels):
        raise UserError(_EMPTY.get(split, f"the split {split} has no images (data.holdout is {config.data.holdout})"))
    training = split in ("train", "unlabelled") if augment is None else augment
    size = config.model.image_size
    if training:
        transform = TrainTransform(config.data, size, config.model.mean)
    else:
        transform = EvalTransform(size, config.data.eval_crop, config.data.interpolation)
    return ImageDataset(source, transform, training, config.seed, config.data.on_corrupt, config.data.resize_on)


def facts(config) -> tuple[int, int]:
    """Training images (without the held-out ones) and classes, without reading anything where they are known."""
    entry = _entry(config.data.name)
    _check_resize(config)
    if not entry.num_classes:
        dataset = build(config, "train")
        return len(dataset), len(dataset.classes)
    images = entry.train_images - _held_out(entry.train_images, config.data.holdout)
    images = _at_most(config.data.max_images, images)
    labelled = config.data.labels_per_class * entry.num_classes
    if labelled > images:
        raise UserError(f"data.labels_per_class: {labelled} labels of {entry.num_classes} classes, but {images} images")
    return labelled or images, entry.num_classes


def _check_resize(config) -> None:
    """See that the images of a data set can travel in their own size, if they are to."""
    if config.data.resize_on == "host":
        return
    side, size = _entry(config.data.name).side, config.model.image_size
    if not side:
        raise UserError(
            f"data.resize_on=device needs images that are all of one size, which those of {config.data.name} may not "
            "be: set data.resize_on=host"
        )
    if side > size:
        raise UserError(
            f"data.resize_on=device only enlarges, but the images of {config.data.name} have {side} pixels and "
            f"model.image_size is {size}: set data.resize_on=host"
        )


def _entry(name: str) -> Entry:
    if name not in DATASETS:
        raise UserError(f"data.name: {name!r} is not known{nearest(name, DATASETS)}")
    return DATASETS[name]


def _held_out(images: int, holdout: float) -> int:
    return round(images * holdout)


def _at_most(max_images: int, images: int) -> int:
    if max_images > images:
        raise UserError(f"data.max_images is {max_images}, but there are only {images} training images")
    return max_images or images


def _training_part(source: Source, config, split: str, seed: int) -> Source:
    """The held-out images, or the others: of those `labels_per_class` of each class, if set, or the unlabelled rest."""
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(source.labels))
    held_out = _held_out(len(order), config.holdout)
    if split == "val":
        return source.subset(np.sort(order[:held_out]))
    kept = order[held_out:][: _at_most(config.max_images, len(order) - held_out)]
    labelled = _few_labels(source, kept, config.labels_per_class, seed) if config.labels_per_class else kept
    return source.subset(np.sort(np.setdiff1d(kept, labelled) if split == "unlabelled" else labelled))


def _few_labels(source: Source, kept: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` images of each class, drawn by the run's seed: the spread over seeds then includes this choice."""
    kept = np.random.default_rng((_SPLIT_SEED, seed)).permutation(kept)
    chosen = [kept[source.labels[kept] == label][:count] for label in range(len(source.classes))]
    for name, members in zip(source.classes, chosen):
        if len(members) < count:
            raise UserError(f"data.labels_per_class is {count}, but class {name!r} has only {len(members)} images")
    return np.concatenate(chosen)
