"""Opens what `data.root` names, a folder or an archive, as a tree of files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ml_collections import ConfigDict

from common.errors import UserError
from common.reading import user_path
from data.files.archive_tree import is_archive, list_archive
from data.files.file_tree import FileTree
from data.files.folder_tree import list_folder
from data.files.stored_files import DiskFile

# The trees that were opened inside `reused`, by what was asked for; None outside of it.
_open: dict[tuple[Path, Path], FileTree] | None = None


@contextlib.contextmanager
def reused() -> Iterator[None]:
    """Lists each folder or archive once, however often it is opened inside the block."""
    global _open
    before, _open = _open, {} if _open is None else _open
    try:
        yield
    finally:
        _open = before


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
    known = _open if _open is not None else {}
    if (place, cache) not in known:
        known[place, cache] = _list(place, field, cache)
    return known[place, cache]


def _list(place: Path, field: str, cache: Path) -> FileTree:
    if place.is_dir():
        return list_folder(place)
    if place.is_file() and is_archive(place.name):
        return list_archive(place, cache)
    if place.is_file() and place.name.lower().endswith(".parquet"):
        return FileTree(f"{place.parent}/", [place.name], (), lambda name: DiskFile(str(place)))
    nothing = "" if place.exists() else ": nothing is there"
    raise UserError(
        f"{field}: {place} is not a folder, nor an archive (.zip, .tar, .tar.gz){nothing}"
    )
