"""Lists the files below a folder of the disk."""

from __future__ import annotations

import os
from pathlib import Path

from common.errors import UserError
from data.files.file_tree import FileTree
from data.files.stored_files import DiskFile
from data.files.traces import is_trace


def list_folder(root: Path) -> FileTree:
    """Lists a folder at any depth; links are followed, traces of systems are left out.

    Raises:
        UserError: for a folder that can't be listed, or a link that leads back to where it is.
    """
    names: list[str] = []
    folders: list[str] = []
    dead: list[str] = []
    odd: list[str] = []
    # Folders that are still to be listed, with the real folders on the way to each.
    waiting: list[tuple[str, tuple[str, ...]]] = [("", (os.path.realpath(root),))]
    while waiting:
        folder, way = waiting.pop()
        for entry in _entries(os.path.join(root, folder)):
            name = f"{folder}/{entry.name}" if folder else entry.name
            if is_trace(entry.name):
                continue
            if entry.is_symlink() and not os.path.exists(entry.path):  # also one to itself
                dead.append(name)
            elif entry.is_dir():
                folders.append(name)
                waiting.append((name, (*way, _real(entry, way))))
            elif entry.is_file():
                names.append(name)
            else:
                odd.append(name)
    start = os.path.join(root, "")
    return FileTree(start, [*names, *dead], folders, lambda n: DiskFile(start + n), dead, odd)


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError as error:
        raise UserError(f"{path}: can't be listed ({error.strerror})") from None


def _real(entry: os.DirEntry[str], way: tuple[str, ...]) -> str:
    """Returns the real path of a folder in the last folder of `way`."""
    if not entry.is_symlink():
        return os.path.join(way[-1], entry.name)
    real = os.path.realpath(entry.path)
    if real in way:
        raise UserError(f"{entry.path}: a link that leads back to {real}, without end; remove it")
    return real
