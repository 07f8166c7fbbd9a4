"""Finds the files that a list or a table names, in whatever spelling it does."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

from data.files.file_tree import FileTree
from data.files.stored_files import DiskFile, StoredFile
from data.images.image_kinds import kind_by_ending

_DEEPEST = 12  # folders of a path that may be those of another machine


def _folded(name: str) -> str:
    """Returns a name without the differences between systems: capitals, forms of Unicode."""
    return unicodedata.normalize("NFC", name).casefold()


class ListedFiles:
    """Looks names up in a tree of files.

    Args:
        tree: of the data set.
        folders: where names may begin, in addition to the tree's own folder.
        ending_added: whether a name may lack its ending.
    """

    def __init__(self, tree: FileTree, folders: Sequence[str] = (), ending_added: bool = False):
        self._tree, self._ending_added = tree, ending_added
        self._starts = ["", *(f"{folder}/" for folder in folders)]
        self._dropped = 0  # folders at the beginning of the last name that are of another machine

    def find(self, text: str) -> StoredFile | None:
        """Returns the file of a name; None where there is none.

        A path may be absolute, of another machine, and written on Windows.
        """
        name, path = self.find_name(text), text.strip()
        file = self._tree.file(name) if name else None
        if not os.path.isabs(path) or not os.path.lexists(path):
            return file
        # What the path itself says goes before a file of the tree whose path ends alike.
        same = isinstance(file, DiskFile) and os.path.realpath(file.path) == os.path.realpath(path)
        return file if same else DiskFile(path)

    def find_name(self, text: str) -> str:
        """Returns the name in the tree; empty where there is none."""
        found = self._look_up(text.strip())
        if found or "\\" not in text:
            return found
        return self._look_up(text.strip().replace("\\", "/"))

    def _look_up(self, text: str) -> str:
        parts = [part for part in text.split("/") if part not in ("", ".")]
        most = min(len(parts) - 1, _DEEPEST)
        for dropped in dict.fromkeys((min(self._dropped, max(most, 0)), *range(most + 1))):
            rest = "/".join(parts[dropped:])
            for start in self._starts:
                name = self._exactly(start + rest)
                if name:
                    self._dropped = dropped
                    return name
        return ""

    def _exactly(self, name: str) -> str:
        if name in self._tree.known:
            return name
        same = self._names.get(_folded(name), [])
        if not same and self._ending_added and not kind_by_ending(name):
            same = self._stems.get(_folded(name), [])
        return same[0] if len(same) == 1 else ""

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for name in self._tree.names:
            found[_folded(name)].append(name)
        return dict(found)

    @cached_property
    def _stems(self) -> dict[str, list[str]]:
        """Names by what they are without the ending of an image."""
        found = defaultdict(list)
        for name in self._tree.names:
            if kind_by_ending(name):
                found[_folded(os.path.splitext(name)[0])].append(name)
        return dict(found)
