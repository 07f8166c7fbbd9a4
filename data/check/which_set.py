"""Tells which data set a folder or an archive is, where only its place is given."""

from __future__ import annotations

import re
from pathlib import Path

from ml_collections import ConfigDict

from common.errors import UserError
from common.reading import user_path
from common.tar_files import read_members
from data.files.open_tree import open_root
from data.sets import cifar

_CIFAR = {"cifar10": cifar.CIFAR10, "cifar100": cifar.CIFAR100}
_MOST_MEMBERS = 20  # of an archive that may be CIFAR's; the official ones have 10
_MOST_BYTES = 1 << 30
_TINY_IMAGENET = ("wnids.txt", "tiny-imagenet-200.zip")
_IMAGENET_TAR = re.compile(r"ILSVRC2012_img_(train|val)\.tar", re.IGNORECASE)
_IMAGENET_CLASS = re.compile(r"(.*/)?train/n\d{8}")
_IMAGENET_CLASSES = 1000


def name_of(data_config: ConfigDict) -> str:
    """Returns the name of the data set at `data.root`; what is none of the others is a `folder`.

    Raises:
        UserError: when it is neither a folder nor a readable archive.
    """
    path = user_path(data_config.root)
    for name, archive in _CIFAR.items():
        if _is_cifar(path, archive):
            return name
    if _IMAGENET_TAR.fullmatch(path.name):
        return "imagenet"
    tree = open_root(data_config)
    if any(name.rpartition("/")[2].lower() in _TINY_IMAGENET for name in tree.names):
        return "tiny_imagenet"
    classes = sum(bool(_IMAGENET_CLASS.fullmatch(name)) for name in tree.folders)
    if classes == _IMAGENET_CLASSES or any(map(_IMAGENET_TAR.fullmatch, tree.top_files)):
        return "imagenet"
    return "folder"


def _is_cifar(path: Path, archive: cifar.Archive) -> bool:
    if path.is_dir():
        inside = (path / archive.folder, path)
        return (path / archive.file).is_file() or any(
            all((one / name).is_file() for name in (archive.names_file, *archive.test))
            for one in inside
        )
    if not path.is_file():
        return False
    return path.name == archive.file or _has_member(path, f"{archive.folder}/{archive.names_file}")


def _has_member(path: Path, name: str) -> bool:
    """Returns whether a small tar archive has a file; what is no such archive has not."""
    if not path.name.lower().endswith((".tar", ".tar.gz", ".tgz")):
        return False
    try:
        found = read_members(path, {name}, "CIFAR", _MOST_MEMBERS, _MOST_BYTES, _MOST_BYTES)
        return next(found, None) is not None
    except UserError:
        return False
