"""Builds one split of the data set that a config names: its images, labels and transforms."""

from __future__ import annotations

from ml_collections import ConfigDict

from common.errors import UserError, nearest
from data.augment.transforms import EvalTransform, TrainTransform
from data.config_checks import check_resize
from data.dataset import ImageDataset
from data.images.images_and_labels import ImagesAndLabels
from data.sets.folder import load_unlabelled
from data.sets.registry import find_entry
from data.splits import SPLITS, count_train, select


def build(config: ConfigDict, split: str, augment: bool | None = None) -> ImageDataset:
    """Builds one split of the data set of a config.

    Args:
        config: a whole config (see `configs/default.py`).
        split: `train`; `val`, the training images that `data.holdout` holds out; `test`, the
            published test or validation part; or `unlabelled`, images whose labels are not used:
            those of `data.unlabelled_root`, or else the training images that
            `data.labels_per_class` leaves out.
        augment: whether to augment; None: only `train` and `unlabelled`.

    Raises:
        UserError: when the data is missing, damaged or too small for the split, or when the device
            can't resize it.
    """
    check_resize(config)
    if split not in (*SPLITS, "unlabelled"):
        raise UserError(f"split {split!r} is not known{nearest(split, SPLITS)}")
    source, size = _load(config, split), config.model.image_size
    training = split in ("train", "unlabelled") if augment is None else augment
    if training:
        transform: TrainTransform | EvalTransform = TrainTransform(
            config.data, size, config.model.mean
        )
    else:
        transform = EvalTransform(size, config.data.eval_crop, config.data.interpolation)
    return ImageDataset(
        source, transform, training, config.seed, config.data.on_corrupt, config.data.resize_on
    )


def _load(config: ConfigDict, split: str) -> ImagesAndLabels:
    if split == "unlabelled" and config.data.unlabelled_root:
        source = load_unlabelled(config.data.unlabelled_root)
    else:
        load = find_entry(config.data.name).load
        source = load(config.data, "test" if split == "test" else "train")
        if split != "test":
            source = select(source, config.data, split, config.seed)
    if len(source.labels):
        return source
    if split == "unlabelled":
        raise UserError(
            "no images are left for rdrop.unlabelled_batch_size: set data.unlabelled_root to a "
            "folder of images, or data.labels_per_class, which leaves some without labels"
        )
    raise UserError(f"the split {split} has no images (data.holdout is {config.data.holdout})")


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
