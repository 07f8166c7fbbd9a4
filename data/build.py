"""Builds one split of the data set that a config names: its images, labels and transforms."""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from common.errors import UserError, nearest
from data.augment.transforms import EvalTransform, TrainTransform
from data.config_checks import check_resize
from data.dataset import ImageDataset
from data.files.open_tree import reused
from data.images.images_and_labels import ImageFiles, ImagesAndLabels
from data.sets.folder import load_unlabelled
from data.sets.registry import find_entry
from data.splits import SPLITS, count_train, select

ALL = "all"  # the images of all parts, for an evaluation of what was not trained on


def build(config: ConfigDict, split: str, augment: bool | None = None) -> ImageDataset:
    """Builds one split of the data set of a config.

    Args:
        config: a whole config (see `configs/default.py`).
        split: `train`; `val`, the training images that `data.holdout` holds out; `test`, the
            published test or validation part; or `unlabelled`, images whose labels are not used:
            those of `data.unlabelled_root`, or else the training images that
            `data.labels_per_class` leaves out; or `all`, every part that has labels.
        augment: whether to augment; None: only `train` and `unlabelled`.

    Raises:
        UserError: when the data is missing, damaged or too small for the split, or when the device
            can't resize it.
    """
    check_resize(config)
    if split not in (*SPLITS, "unlabelled", ALL):
        raise UserError(f"split {split!r} is not known{nearest(split, SPLITS)}")
    source, size = load_source(config, split), config.model.image_size
    training = split in ("train", "unlabelled") if augment is None else augment
    if training:
        transform: TrainTransform | EvalTransform = TrainTransform(
            config.data, size, config.model.mean
        )
    else:
        transform = EvalTransform(size, config.data.eval_crop, config.data.interpolation)
    data_config = config.data
    how = data_config.on_corrupt, data_config.resize_on, data_config.views
    return ImageDataset(source, transform, training, config.seed, *how)


class Splits(NamedTuple):
    """The data sets of a run; None: there is none."""

    train: ImageDataset
    val: ImageDataset | None = None  # picks the best weights
    unlabelled: ImageDataset | None = None
    test: ImageDataset | None = None  # is read once, at the end
    own_val: bool = False  # whether `val` is a part of the data, not held out

    def named(self) -> dict[str, ImageDataset]:
        """Returns those that there are, by their names."""
        fields = self._asdict().items()
        return {name: one for name, one in fields if isinstance(one, ImageDataset)}


def build_splits(config: ConfigDict) -> Splits:
    """Builds all splits that a run needs; folders and archives are listed once.

    Raises:
        UserError: see `build`.
    """
    unlabelled = config.rdrop.unlabelled_batch_size
    with reused():
        own_val = has_own_val(config)
        return Splits(
            build(config, "train"),
            build(config, "val") if own_val or config.data.holdout else None,
            build(config, "unlabelled") if unlabelled else None,
            build(config, "test"),
            own_val,
        )


def load_source(config: ConfigDict, split: str, as_files: bool = False) -> ImagesAndLabels:
    """Loads the images and labels of one split; see `build`.

    Args:
        config: a whole config; of the model nothing is used.
        split: as in `build`.
        as_files: whether images that are otherwise kept decoded are read from their files.
    """
    with reused():
        source = _load(config, split, as_files)
    if len(source.labels):
        return source
    if split == "unlabelled":
        raise UserError(
            "no images are left for rdrop.unlabelled_batch_size: set data.unlabelled_root to a "
            "folder of images, or data.labels_per_class, which leaves some without labels"
        )
    raise UserError(f"the split {split} has no images (data.holdout is {config.data.holdout})")


def _load(config: ConfigDict, split: str, as_files: bool) -> ImagesAndLabels:
    data_config, entry = config.data, find_entry(config.data.name)
    load = entry.load_files if as_files and entry.load_files else entry.load
    if split == ALL:
        return _joined(config)
    if split == "unlabelled" and data_config.unlabelled_root:
        return load_unlabelled(data_config)
    if split == "val" and (own := _own_val(data_config)) is not None:
        return own
    source = load(data_config, "test" if split == "test" else "train")
    if split == "test":
        return source
    holdout = 0.0 if has_own_val(config) else data_config.holdout
    return select(source, data_config, split, config.seed, holdout)


def _joined(config: ConfigDict) -> ImagesAndLabels:
    """Returns the images of all parts that have labels, each of them once."""
    data_config, entry = config.data, find_entry(config.data.name)
    load = entry.load_files or entry.load
    loaded = [load(data_config, "train"), _own_val(data_config), load(data_config, "test")]
    parts = [part for part in loaded if part is not None]
    files = [found for part in parts if (found := part.files()) is not None]
    if len(files) < len(parts):
        raise UserError(f"the split all is for images in files; {data_config.name} has none")
    return parts[0]._replace(
        images=ImageFiles(list(chain(*files)), data_config.exif_orientation == "apply"),
        labels=np.concatenate([part.labels for part in parts]),
        origin="all parts",
    )


def _own_val(data_config: ConfigDict) -> ImagesAndLabels | None:
    """Returns the validation part of the data itself, which is used in place of `data.holdout`."""
    entry = find_entry(data_config.name)
    return entry.load(data_config, "val") if entry.may_have_val else None


def has_own_val(config: ConfigDict) -> bool:
    """Returns whether the data has a validation part: `data.holdout` is not used then."""
    return _own_val(config.data) is not None


def facts(config: ConfigDict) -> tuple[int, int]:
    """Returns the number of images in `train` and of classes.

    The images are read only when the registry does not know the numbers.
    """
    entry = find_entry(config.data.name)
    check_resize(config)
    if entry.num_classes:
        images = count_train(entry.train_images, entry.num_classes, config.data)
        return images, entry.num_classes
    dataset = build(config, "train")
    return len(dataset), len(dataset.classes)
