"""Warns at the start of a run of what its images and labels show, before anything is learned."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

import data
from common.errors import listed, one_line
from data.check.facts import FEW, IMBALANCE

_OWN = "the data's own validation part picks the best weights"
_CHECK = "python -m tools.check_data counts each class, and finds duplicates and damage"


def describe(splits: data.Splits, config: ConfigDict) -> list[str]:
    """Returns the lines about the data: which images are what, the classes, and warnings."""
    train = splits.train
    parts = [f"{len(train)} training images{_origin(train)}"]
    if splits.unlabelled:
        parts.append(f"{len(splits.unlabelled)} without labels")
    if splits.val:
        own = splits.own_val
        where = f"for validation{_origin(splits.val)}" if own else "held out for validation"
        parts.append(f"{len(splits.val)} {where}")
    if splits.test:
        parts.append(f"{len(splits.test)} test images{_origin(splits.test)}")
    unused = config.data.holdout and splits.own_val
    lines = [
        f"data: {config.data.name}, {', '.join(parts)}",
        *([f"data.holdout={config.data.holdout:g} is not used: {_OWN}"] if unused else []),
        _classes(train),
        *dict.fromkeys(note for one in splits.named().values() for note in one.source.notes),
        *(f"warning: {text}" for text in _warnings(splits, config)),
    ]
    return [one_line(line) for line in lines]


def _origin(dataset: data.ImageDataset) -> str:
    return f" ({dataset.source.origin})" if dataset.source.origin else ""


def _classes(train: data.ImageDataset) -> str:
    counts = np.bincount(train.source.labels, minlength=len(train.classes))
    least, most = counts.min(), counts.max()
    each = f"{least}" if least == most else f"{least} to {most}"
    return f"classes: {len(counts)} ({listed(train.classes)}), {each} training images each"


def _warnings(splits: data.Splits, config: ConfigDict) -> Iterator[str]:
    if config.data.label_noise:
        yield f"{config.data.label_noise:.0%} of the training labels are wrong (data.label_noise)"
    counted = list(_counts(splits, config))
    if counted:
        yield f"{counted[0]}; {_CHECK}"
    yield from counted[1:]
    if others := data.parts_next_to(config.data):
        yield (
            f"data.root is called like a part, and {listed([f'{name}/' for name in others])} next "
            "to it is not used: give the folder above to use all parts"
        )


def _counts(splits: data.Splits, config: ConfigDict) -> Iterator[str]:
    """Yields what the number of images of each class shows."""
    train = splits.train
    counts = np.bincount(train.source.labels, minlength=len(train.classes))
    if (counts > 0).sum() == 1:
        name = train.classes[int(counts.argmax())]
        yield (
            f"all {len(train)} training images are of the class {name!r}: there is nothing to "
            "learn; see to the labels, data.max_images and the parts of the data"
        )
    elif missing := _lacking(train, train.classes):
        yield f"no training images of {len(missing)} classes: {listed(missing)}"
    elif not (config.data.labels_per_class or config.data.max_images):  # not as it is meant to be
        yield from _balance(counts, train.classes)
    own_parts = {"val": splits.val if splits.own_val else None, "test": splits.test}
    for name, dataset in own_parts.items():
        if dataset and (missing := _lacking(dataset, train.classes)):
            yield f"no {name} images of {len(missing)} classes: {listed(missing)}"


def _balance(counts: NDArray[np.int_], classes: tuple[str, ...]) -> Iterator[str]:
    small = [name for name, count in zip(classes, counts.tolist()) if count < FEW]
    if small:
        yield f"fewer than {FEW} training images of {len(small)} classes: {listed(small)}"
    least, most = int(counts.argmin()), int(counts.argmax())
    if counts[most] >= IMBALANCE * counts[least]:
        yield (
            f"{counts[most]} training images of {classes[most]!r}, but {counts[least]} of "
            f"{classes[least]!r}: look at the accuracy of each class"
        )


def _lacking(dataset: data.ImageDataset, classes: tuple[str, ...]) -> list[str]:
    present = set(dataset.source.labels.tolist())
    return [name for label, name in enumerate(classes) if label not in present]
