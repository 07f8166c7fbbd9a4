"""A user's own images: any folder of class folders.

A root with `train/` and `test/` (or `val/`) is taken as it is. A root that holds the class folders
themselves is split: every tenth image of a class, in the order of the names, is for the test.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.files import user_path
from data.sets.image_files import ImageFiles
from data.sets.image_folders import images_below, scan
from data.sets.images_and_labels import ImagesAndLabels

_TEST_EVERY = 10


def load_folder(config, part: str) -> ImagesAndLabels:
    """A user's own images: `root/train/<class>/*` with `root/test` or `root/val`, or
    `root/<class>/*`.
    """
    root = root_of(config)
    if not (root / "train").is_dir():
        return _split(scan(root), part)
    train = scan(root / "train")
    return train if part == "train" else scan(_test_folder(root), train.classes)


def load_unlabelled(path: str) -> ImagesAndLabels:
    """All images below a folder, in the order of their paths; their labels are -1."""
    root = _existing(path, "data.unlabelled_root")
    paths = images_below(root)
    return ImagesAndLabels(ImageFiles(paths), np.full(len(paths), -1, np.int64), ())


def root_of(config) -> Path:
    if not config.root:
        raise UserError("data.root is empty; give the folder of the images")
    return _existing(config.root, "data.root")


def _existing(path: str, field: str) -> Path:
    folder = user_path(path)
    if not folder.is_dir():
        raise UserError(f"{field}: {folder} is not a folder")
    return folder


def _test_folder(root: Path) -> Path:
    for name in ("test", "val"):
        if (root / name).is_dir() and any(path.is_dir() for path in (root / name).iterdir()):
            return root / name
    raise UserError(
        f"data.root: {root} has train/ but neither test/ nor val/ with class folders beside it"
    )


def check_outside(config, workdir: Path) -> None:
    """Refuse a run's folder among the images: what it writes there would be taken for some.

    Args:
        config: the `data` part of a config.
        workdir: need not be there.

    Raises:
        UserError: when it is.
    """
    own = config.root if config.name in ("folder", "imagenet") else ""
    for field, path in (("data.root", own), ("data.unlabelled_root", config.unlabelled_root)):
        root, run = Path(os.path.realpath(user_path(path))), Path(os.path.realpath(workdir))
        parts = [root / part for part in ("train", "test", "val") if (root / part).is_dir()]
        for images in parts if parts and field == "data.root" else [root]:
            if path and (images == run or images in run.parents):
                raise UserError(
                    f"--workdir: {workdir} is among the images of {field} ({images}); give another folder"
                )


def _split(whole: ImagesAndLabels, part: str) -> ImagesAndLabels:
    """Every tenth image of each class, from its fifth on, is for the test; a class of one image has
    none there.
    """
    test = np.zeros(len(whole.labels), bool)
    for label in range(len(whole.classes)):
        members = np.flatnonzero(whole.labels == label)
        start = min(_TEST_EVERY // 2, len(members) - 1)
        test[members[start::_TEST_EVERY] if len(members) > 1 else []] = True
    return whole.subset(np.flatnonzero(test if part == "test" else ~test))
