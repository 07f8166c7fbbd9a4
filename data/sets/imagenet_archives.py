"""ImageNet's official archives, read in place: a tar of a tar for each class, and a flat tar.

To find 1.3 million members takes a while, so their places are kept in the cache; nothing else is
written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from common.errors import UserError
from common.reading import read_json, user_path
from common.tar_files import list_members
from data.files.archive_tree import tar_members
from data.files.file_tree import FileTree
from data.files.folder_tree import list_folder
from data.files.made_once import made_once, states
from data.files.open_tree import opened_once
from data.files.stored_files import Segment, StoredFile

_FORMAT = 1  # of the index; raise it when its content changes
_LARGEST_INDEX = 1 << 30  # bytes
_MOST_MEMBERS = 2_000_000
_PLACES = "places.json"
_TARS = re.compile(r"ILSVRC2012_img_(train|val)\.tar", re.IGNORECASE)
_CLASS_TAR = re.compile(r"(?:.*/)?(n\d+)\.tar")


def tree_of_archives(root: str, cache: Path) -> FileTree | None:
    """Opens both archives as one tree, `train/<wnid>/*` and `val/*`; None where they are not there.

    Args:
        root: the folder of the archives, or one of them.
        cache: the folder for the places of the members.

    Raises:
        UserError: when one of them is missing, damaged or cut short.
    """
    path = user_path(root)
    folder = path.parent if path.is_file() and _TARS.fullmatch(path.name) else path
    if not root or not folder.is_dir():
        return None
    found = {m[1].lower(): one for one in folder.iterdir() if (m := _TARS.fullmatch(one.name))}
    if not found or any(one.is_dir() and one.name.lower() == "train" for one in folder.iterdir()):
        return None
    if len(found) < 2:
        raise UserError(
            f"data.root: {folder} has {next(iter(found.values())).name}, but not "
            "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar both"
        )
    return opened_once(("ImageNet", folder, cache), lambda: _tree(folder, found, cache))


def _tree(folder: Path, archives: dict[str, Path], cache: Path) -> FileTree:
    files: dict[str, tuple[Path, int, int]] = {}
    for part, tar in archives.items():
        for name, (offset, size) in _index(tar, cache).items():
            files[f"{part}/{name}"] = (tar, offset, size)
    own = list_folder(folder)

    def make(name: str) -> StoredFile:
        if name not in files:
            return own.file(name)
        tar, offset, size = files[name]
        return Segment(str(tar), offset, size, name, str(tar))

    folders = {name.rpartition("/")[0] for name in files} | {"train", "val"} | set(own.folders)
    return FileTree(f"{folder}/", [*files, *own.names], folders, make, own.dead, own.odd)


def _index(tar: Path, cache: Path) -> dict[str, list[int]]:
    """Returns the offset and size of each image in an archive, by `<wnid>/<name>` or `<name>`."""

    def make(folder: Path) -> None:
        places = {name: [offset, size] for name, offset, size in _members(tar)}
        (folder / _PLACES).write_text(json.dumps(places), encoding="utf-8")

    key = [_FORMAT, *states([tar])]
    folder = made_once(cache, "index", key, f"finding the images in {tar} once,", make)
    return read_json(folder / _PLACES, _LARGEST_INDEX)


def _members(tar: Path) -> Iterator[tuple[str, int, int]]:
    """Yields the name, offset and size of each image, also of those in a tar in the tar."""
    end = tar.stat().st_size
    for member in tar_members(tar, tar):
        inner = _CLASS_TAR.fullmatch(member.name)
        if not member.isreg():
            continue
        if not inner:
            yield member.name.rpartition("/")[2], member.offset_data, member.size
            continue
        stop = min(end, member.offset_data + member.size)
        with open(tar, "rb") as file:
            file.seek(member.offset_data)
            for image in list_members(file, f"{tar}: {member.name}", _MOST_MEMBERS, stop):
                name = image.name.rpartition("/")[2]
                yield f"{inner[1]}/{name}", image.offset_data, image.size
