"""Opens what `data.root` names, a folder or an archive, as a tree of files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

from ml_collections import ConfigDict

from common.errors import UserError, listed
from common.reading import user_path
from data.files.archive_tree import has_archive, is_archive, list_archive, without_ending
from data.files.file_tree import FileTree
from data.files.folder_tree import list_folder
from data.files.stored_files import DiskFile, StoredFile

# The trees that were opened inside `reused`, by what was asked for; None outside of it.
_open: dict[Hashable, FileTree] | None = None


@contextlib.contextmanager
def reused() -> Iterator[None]:
    """Lists each folder or archive once, however often it is opened inside the block."""
    global _open
    before, _open = _open, {} if _open is None else _open
    try:
        yield
    finally:
        _open = before


def opened_once(key: Hashable, make: Callable[[], FileTree]) -> FileTree:
    """Returns what `make` does; inside `reused` it is called once for a key."""
    known = _open if _open is not None else {}
    if key not in known:
        known[key] = make()
    return known[key]


def open_root(data_config: ConfigDict) -> FileTree:
    """Opens `data.root`; see `open_tree`."""
    return open_tree(data_config.root, "data.root", cache_folder(data_config))


def cache_folder(data_config: ConfigDict) -> Path:
    """Returns the folder for what is decoded or unpacked once."""
    return user_path(data_config.cache_dir or "~/.cache/rdrop")


def open_tree(path: str, field: str, cache: Path) -> FileTree:
    """Opens a folder or an archive.

    Args:
        path: the value of the field.
        field: the name of the field, for messages.
        cache: a folder for what has to be unpacked.

    Raises:
        UserError: when the path is empty, or neither a folder nor a readable archive.
    """
    if not path:
        raise UserError(f"{field} is empty; give the folder or the archive of the images")
    place = user_path(path)
    return opened_once((place, cache), lambda: _list(place, field, cache))


def open_archives(tree: FileTree, cache: Path, keep: bool) -> FileTree | None:
    """Opens the archives in a folder; None where there are none.

    Args:
        tree: of the folder.
        cache: a folder for what has to be unpacked.
        keep: whether other files of the folder belong to the data set.

    Returns:
        The tree of a single archive, or of the folder as if each archive were unpacked into a
        folder of its name: `train.zip` into `train/`.

    Raises:
        UserError: when an archive is damaged, or in another archive.
    """
    names = [name for name in tree.top_files if is_archive(name)]
    archives = {}
    for name in names:
        file = tree.file(name)
        if not isinstance(file, DiskFile):
            raise UserError(
                f"{tree.place()}: holds the archives {listed(names)}; unpack it, and give the "
                "folder as data.root"
            )
        archives[without_ending(name)] = list_archive(Path(file.path), cache)
    if len(archives) < len(names):
        raise UserError(
            f"{tree.place()}: holds the archives {listed(names)}, of which some would be unpacked "
            "into one folder; unpack them yourself"
        )
    if len(archives) == 1 and not keep:
        return next(iter(archives.values()))
    return _together(tree, archives) if archives else None


def _together(tree: FileTree, archives: dict[str, FileTree]) -> FileTree:
    """Returns the tree of a folder, with the trees of its archives as its folders."""
    files: dict[str, StoredFile] = {
        name: tree.file(name) for name in tree.names if "/" in name or not is_archive(name)
    }
    folders, dead, odd = set(tree.folders), set(tree.dead), set(tree.odd)
    for folder, inner in archives.items():
        files.update({f"{folder}/{name}": inner.file(name) for name in inner.names})
        folders.update([folder, *(f"{folder}/{name}" for name in inner.folders)])
        dead.update(f"{folder}/{name}" for name in inner.dead)
        odd.update(f"{folder}/{name}" for name in inner.odd)
    return FileTree(f"{tree.place()}/", files, folders, files.__getitem__, dead, odd)


def _list(place: Path, field: str, cache: Path) -> FileTree:
    if place.is_dir():
        return list_folder(place)
    if place.is_file() and (is_archive(place.name) or has_archive(place)):
        return list_archive(place, cache)
    if place.is_file() and place.name.lower().endswith(".parquet"):
        return FileTree(f"{place.parent}/", [place.name], (), lambda name: DiskFile(str(place)))
    nothing = "" if place.exists() else ": nothing is there"
    raise UserError(
        f"{field}: {place} is not a folder, nor an archive (.zip, .tar, .tar.gz){nothing}"
    )
