"""Builds one part of the data set of a config: its images, labels and transforms."""

from __future__ import annotations

from common.errors import UserError, nearest
from data.augment.transforms import EvalTransform, TrainTransform
from data.dataset import ImageDataset
from data.sets import folder
from data.sets.registry import find_entry
from data.splits import at_most, count_held_out, training_part

SPLITS = ("train", "val", "test")  # those with labels
_EMPTY = {
    "unlabelled": "no images are left for rdrop.unlabelled_batch_size: set data.unlabelled_root to a folder of images, "
    "or data.labels_per_class, which leaves some without labels"
}


def build(config, split: str, augment: bool | None = None) -> ImageDataset:
    """Build one split of the data set of a config.

    Args:
        config: a whole config (see `configs/default.py`).
        split: `train`; `val`, the part of the training images that `data.holdout` keeps out of it;
            `test`, the published test or validation part; or `unlabelled`, images whose labels are
            not looked at: those of `data.unlabelled_root`, else the training images that
            `data.labels_per_class` leaves out.
        augment: whether to augment; None: for `train` and `unlabelled` only.

    Raises:
        UserError: when the data is missing, damaged, too small for the split, or not to be resized
            on the device.
    """
    _check_resize(config)
    if split not in (*SPLITS, "unlabelled"):
        raise UserError(f"split {split!r} is not known{nearest(split, SPLITS)}")
    if split == "unlabelled" and config.data.unlabelled_root:
        source = folder.load_unlabelled(config.data.unlabelled_root)
    else:
        source = find_entry(config.data.name).load(
            config.data, "test" if split == "test" else "train"
        )
        if split != "test":
            source = training_part(source, config.data, split, config.seed)
    if not len(source.labels):
        raise UserError(
            _EMPTY.get(
                split, f"the split {split} has no images (data.holdout is {config.data.holdout})"
            )
        )
    training = split in ("train", "unlabelled") if augment is None else augment
    size = config.model.image_size
    if training:
        transform = TrainTransform(config.data, size, config.model.mean)
    else:
        transform = EvalTransform(size, config.data.eval_crop, config.data.interpolation)
    return ImageDataset(
        source, transform, training, config.seed, config.data.on_corrupt, config.data.resize_on
    )


def facts(config) -> tuple[int, int]:
    """Training images (without the held-out ones) and classes, without reading anything where they
    are known.
    """
    entry = find_entry(config.data.name)
    _check_resize(config)
    if not entry.num_classes:
        dataset = build(config, "train")
        return len(dataset), len(dataset.classes)
    images = entry.train_images - count_held_out(entry.train_images, config.data.holdout)
    images = at_most(config.data.max_images, images)
    labelled = config.data.labels_per_class * entry.num_classes
    if labelled > images:
        raise UserError(
            f"data.labels_per_class: {labelled} labels of {entry.num_classes} classes, but {images} images"
        )
    return labelled or images, entry.num_classes


def _check_resize(config) -> None:
    """See that the images of a data set can travel in their own size, if they are to."""
    if config.data.resize_on == "host":
        return
    side, size = find_entry(config.data.name).side, config.model.image_size
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
