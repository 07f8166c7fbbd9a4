"""The user's own images (`data.name=folder`): any folder of class folders, or without labels.

A root with `train/` and `test/` (or `val/`) is used as it is. A root that holds the class folders
themselves is split: every tenth image of a class, in the order of the names, is for the test.
"""

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from common.errors import UserError
from data.images.image_folders import existing_folder, images_below, images_by_class
from data.images.images_and_labels import ImageFiles, ImagesAndLabels

_TEST_EVERY = 10


def load(data_config: ConfigDict, part: str) -> ImagesAndLabels:
    """Lists `train` or `test` of `data.root`.

    The root has `train/<class>/*` with `test/` or `val/` of the same classes, or `<class>/*`.
    """
    root = existing_folder(data_config.root, "data.root")
    if not (root / "train").is_dir():
        return _split(images_by_class(root), part)
    train = images_by_class(root / "train")
    return train if part == "train" else images_by_class(_test_folder(root), train.classes)


def load_unlabelled(path: str) -> ImagesAndLabels:
    """Lists all images below `data.unlabelled_root`, sorted by path; their labels are -1."""
    paths = images_below(existing_folder(path, "data.unlabelled_root"))
    return ImagesAndLabels(ImageFiles(paths), np.full(len(paths), -1, np.int64), ())


def _test_folder(root: Path) -> Path:
    for name in ("test", "val"):
        if (root / name).is_dir() and any(path.is_dir() for path in (root / name).iterdir()):
            return root / name
    raise UserError(
        f"data.root: {root} has train/ but neither test/ nor val/ with class folders beside it"
    )


def _split(whole: ImagesAndLabels, part: str) -> ImagesAndLabels:
    """Returns one part of unsplit images.

    Every tenth image of each class, from the fifth on, is for the test. A class of one image has
    none there.
    """
    test = np.zeros(len(whole.labels), bool)
    for label in range(len(whole.classes)):
        members = np.flatnonzero(whole.labels == label)
        start = min(_TEST_EVERY // 2, len(members) - 1)
        test[members[start::_TEST_EVERY] if len(members) > 1 else []] = True
    return whole.subset(np.flatnonzero(test if part == "test" else ~test))
