"""Divides the training images: held-out images, labelled images, images without labels."""

from __future__ import annotations

import numpy as np

from common.errors import UserError
from data.sets.images_and_labels import ImagesAndLabels

_SPLIT_SEED = 20210614  # the held-out images are the same for every seed of a run


def count_held_out(images: int, holdout: float) -> int:
    return round(images * holdout)


def at_most(max_images: int, images: int) -> int:
    if max_images > images:
        raise UserError(
            f"data.max_images is {max_images}, but there are only {images} training images"
        )
    return max_images or images


def training_part(source: ImagesAndLabels, config, split: str, seed: int) -> ImagesAndLabels:
    """The held-out images, or the others: of those `labels_per_class` of each class, if set, or the
    unlabelled rest.
    """
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(source.labels))
    held_out = count_held_out(len(order), config.holdout)
    if split == "val":
        return source.subset(np.sort(order[:held_out]))
    kept = order[held_out:][: at_most(config.max_images, len(order) - held_out)]
    labelled = (
        _few_labels(source, kept, config.labels_per_class, seed)
        if config.labels_per_class
        else kept
    )
    return source.subset(
        np.sort(np.setdiff1d(kept, labelled) if split == "unlabelled" else labelled)
    )


def _few_labels(source: ImagesAndLabels, kept: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` images of each class, drawn by the run's seed: the spread over seeds then includes
    this choice.
    """
    kept = np.random.default_rng((_SPLIT_SEED, seed)).permutation(kept)
    chosen = [kept[source.labels[kept] == label][:count] for label in range(len(source.classes))]
    for name, members in zip(source.classes, chosen):
        if len(members) < count:
            raise UserError(
                f"data.labels_per_class is {count}, but class {name!r} has only {len(members)} images"
            )
    return np.concatenate(chosen)
