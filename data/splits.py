"""Chooses which training images are held out, which have labels, and which are unlabelled."""

import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

from common.errors import UserError
from data.images.images_and_labels import ImagesAndLabels

SPLITS = ("train", "val", "test")  # those with labels
_SPLIT_SEED = 20210614  # the held-out images are the same for every seed of a run
_NOISE_SEED = 20140609  # of wrong labels


def select(
    whole: ImagesAndLabels, data_config: ConfigDict, split: str, seed: int, holdout: float
) -> ImagesAndLabels:
    """Selects the images of one split from all training images.

    Args:
        whole: all training images of the data set.
        data_config: the `data` part of a config.
        holdout: share of the images that is held out; each class keeps one at least.
        split: `val`, the held-out images; `train`, the others, or `labels_per_class` of each class;
            `unlabelled`, those that `labels_per_class` leaves out.
        seed: of the run; it chooses the images with labels, and labels that are made wrong.

    Raises:
        UserError: when `max_images` or `labels_per_class` is more than there is, or labels of a
            single class are to be made wrong.
    """
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(whole.labels))
    order, held_out = _keep_each_class(whole, order, round(len(order) * holdout))
    if split == "val":
        return _of(whole.subset(np.sort(order[:held_out])), "held out of {}")
    kept = order[held_out:][: _at_most(data_config.max_images, len(order) - held_out)]
    count = data_config.labels_per_class
    labelled = _few_labels(whole, kept, count, seed) if count else kept
    chosen = np.setdiff1d(kept, labelled) if split == "unlabelled" else labelled
    part = whole.subset(np.sort(chosen))
    if split == "train" and data_config.label_noise:
        return _with_wrong_labels(part, data_config.label_noise, seed)
    return part


def _with_wrong_labels(part: ImagesAndLabels, share: float, seed: int) -> ImagesAndLabels:
    """Replaces a share of the labels by other classes, each as likely as any (symmetric noise)."""
    count, classes = len(part.labels), len(part.classes)
    if classes < 2:
        raise UserError("data.label_noise needs 2 or more classes: there is no wrong label of one")
    rng = np.random.default_rng((_NOISE_SEED, seed))
    wrong = rng.permutation(count)[: round(share * count)]
    labels = part.labels.copy()
    labels[wrong] = (labels[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return part._replace(labels=labels)


def _of(part: ImagesAndLabels, origin: str) -> ImagesAndLabels:
    return part._replace(origin=origin.format(part.origin)) if part.origin else part


def _keep_each_class(
    whole: ImagesAndLabels, order: NDArray[np.int_], held_out: int
) -> tuple[NDArray[np.int_], int]:
    """Moves an image of each class that would have none left behind those that are held out.

    Returns:
        The order, and how many of its first images are held out.
    """
    labels = whole.labels[order]
    lost = np.setdiff1d(labels[:held_out], labels[held_out:])
    back = [int(np.flatnonzero(labels[:held_out] == label)[-1]) for label in lost]
    moved = np.concatenate([np.delete(order[:held_out], back), order[held_out:], order[back]])
    return moved.astype(order.dtype), held_out - len(back)


def count_train(whole: int, num_classes: int, data_config: ConfigDict) -> int:
    """Returns the number of images that `select` returns for `train`, without reading them.

    Where nearly all are held out, `select` returns a few more: each class keeps one.

    Args:
        whole: number of all training images.
        num_classes: number of classes.
        data_config: the `data` part of a config.

    Raises:
        UserError: when `max_images` or `labels_per_class` is more than there is.
    """
    images = _at_most(data_config.max_images, whole - round(whole * data_config.holdout))
    labelled = data_config.labels_per_class * num_classes
    if labelled > images:
        raise UserError(
            f"data.labels_per_class: {labelled} labels of {num_classes} classes, but {images} "
            "images"
        )
    return labelled or images


def _at_most(max_images: int, images: int) -> int:
    if max_images > images:
        raise UserError(
            f"data.max_images is {max_images}, but there are only {images} training images"
        )
    return max_images or images


def _few_labels(
    whole: ImagesAndLabels, kept: NDArray[np.int_], count: int, seed: int
) -> NDArray[np.int_]:
    """Draws `count` images of each class.

    The run's seed decides, so the spread of results over seeds includes this choice.
    """
    kept = np.random.default_rng((_SPLIT_SEED, seed)).permutation(kept)
    chosen = [kept[whole.labels[kept] == label][:count] for label in range(len(whole.classes))]
    for name, members in zip(whole.classes, chosen):
        if len(members) < count:
            raise UserError(
                f"data.labels_per_class is {count}, but class {name!r} has only {len(members)} "
                "images"
            )
    return np.concatenate(chosen)
