"""ImageNet (ILSVRC 2012) from its official folders."""

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from common.errors import UserError
from data.images.image_folders import class_names, existing_folder, images_by_class, is_image
from data.images.images_and_labels import ImageFiles, ImagesAndLabels
from data.sets.imagenet_labels import validation_labels


def load(data_config: ConfigDict, part: str) -> ImagesAndLabels:
    """Lists `train` or `test`, the validation images.

    The root has `train/<wnid>/*` and `val/`. The images in `val/` are in class folders, or flat as
    published; `data/sets/imagenet_labels.py` then finds their labels.
    """
    root = existing_folder(data_config.root, "data.root")
    if not (root / "train").is_dir():
        raise UserError(
            f"data.root: {root} has no folder train; expected train/<wnid>/*.JPEG and val/"
        )
    if part == "train":
        return images_by_class(root / "train")
    classes = tuple(class_names(root / "train"))
    if not (root / "val").is_dir():
        raise UserError(f"data.root: {root} has train/ but no val/ beside it")
    if any(path.is_dir() for path in (root / "val").iterdir()):
        return images_by_class(root / "val", classes)
    return flat_validation(root, root / "val", classes)


def flat_validation(root: Path, folder: Path, classes: tuple[str, ...]) -> ImagesAndLabels:
    """Lists the images of a flat folder.

    Args:
        root: has the files that hold the labels.
        folder: has the images.
        classes: those of the training images, in sorted order.

    Raises:
        UserError: when labels are missing, damaged, or of other classes.
    """
    paths = sorted(path for path in folder.iterdir() if is_image(path))
    known = validation_labels(root, paths, classes)
    missing = [path.name for path in paths if path.stem not in known]
    if missing:
        raise UserError(
            f"{folder}: no label for {missing[0]} ({len(missing)} of {len(paths)} images)"
        )
    labels = np.array([known[path.stem] for path in paths], np.int64)
    if not paths or labels.min() < 0 or labels.max() >= len(classes):
        span = f"labels from {labels.min()} to {labels.max()}" if paths else "no images"
        raise UserError(
            f"{folder}: {span}, expected 0 to {len(classes) - 1}: train/ has {len(classes)} classes"
        )
    return ImagesAndLabels(ImageFiles(paths), labels, classes)
