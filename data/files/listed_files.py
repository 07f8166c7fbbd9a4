"""Finds the files that a list or a table names, in whatever spelling it does."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property

from common.errors import listed
from data.files.file_tree import FileTree
from data.files.stored_files import DiskFile, StoredFile
from data.images.image_kinds import kind_by_ending

_DEEPEST = 12  # folders of a path that may be those of another machine


def may_lead_outside(tree: FileTree, name: str) -> bool:
    """Returns whether a list may name files of the disk: it is itself one, not in an archive."""
    return name not in tree.known or isinstance(tree.file(name), DiskFile)


def _folded(name: str) -> str:
    """Returns a name without the differences between systems: capitals, forms of Unicode."""
    return unicodedata.normalize("NFC", name).casefold()


class ListedFiles:
    """Looks names up in a tree of files.

    A name may begin with folders that are not in the tree, `/home/me/pets/images/a.jpg`. Which they
    are is learned from the first name; a name with others is not there, though its end may fit.

    Args:
        tree: of the data set.
        folders: where names may begin, in addition to the tree's own folder.
        ending_added: whether a name may lack its ending.
        outside: whether an absolute path may be that of a file outside of the tree.
    """

    def __init__(
        self,
        tree: FileTree,
        folders: Sequence[str] = (),
        ending_added: bool = False,
        outside: bool = False,
    ):
        self._tree, self._ending_added, self._may_leave = tree, ending_added, outside
        self._starts = frozenset(["", *folders])
        self._outside: tuple[str, ...] | None = None  # the folders that are not in the tree
        self._several: list[str] = []

    def start_anew(self) -> None:
        """Forgets which folders are not in the tree: the next names are of another column."""
        self._outside, self._several = None, []

    def find(self, text: str) -> StoredFile | None:
        """Returns the file of a name; None where there is none.

        A path may be absolute, of another machine, and written on Windows.
        """
        name, path = self.find_name(text), text.strip()
        file = self._tree.file(name) if name else None
        if not self._may_leave or not os.path.isabs(path) or not os.path.lexists(path):
            return file
        # What the path itself says goes before a file of the tree whose path ends alike.
        same = isinstance(file, DiskFile) and os.path.realpath(file.path) == os.path.realpath(path)
        return file if same else DiskFile(path)

    def find_name(self, text: str) -> str:
        """Returns the name in the tree; empty where there is none, or where it is not clear."""
        self._several = []
        found = self._look_up(text.strip())
        if found or "\\" not in text:
            return found
        return self._look_up(text.strip().replace("\\", "/"))

    def is_unclear(self) -> bool:
        """Returns whether the last name is in several folders."""
        return bool(self._several)

    def problem(self) -> str:
        """Returns why the last name was not found."""
        if self._several:
            return f"may be any of {listed(self._several)}; give its folder, too"
        return "is not there"

    def _look_up(self, text: str) -> str:
        parts = [part for part in text.split("/") if part not in ("", ".")]
        absolute = text.startswith("/") or bool(re.match("[A-Za-z]:", text))
        for dropped in self._how_many_dropped(parts, absolute):
            name = self._exactly(parts[dropped:])
            if name or self._several:
                self._outside = tuple(parts[:dropped]) if name else self._outside
                return name
        return ""

    def _how_many_dropped(self, parts: list[str], absolute: bool) -> Iterable[int]:
        known = self._outside
        if known and tuple(parts[: len(known)]) == known:
            return (0, len(known))
        if known is None or absolute:
            return range(min(len(parts), _DEEPEST + 1))
        return (0,)

    def _exactly(self, parts: list[str]) -> str:
        rest = "/".join(parts)
        if not rest or rest in self._tree.known:
            return rest
        found = self._fitting(self._by_name, parts)
        if not found and self._ending_added and not kind_by_ending(rest):
            found = self._fitting(self._by_stem, parts)
        if not found:
            return ""
        least = min(name.count("/") for name in found)
        nearest = [name for name in found if name.count("/") == least]
        exact = [name for name in nearest if name.endswith(rest)]
        nearest = exact if len(exact) == 1 else nearest
        if len(nearest) > 1:
            self._several = nearest
            return ""
        return nearest[0]

    def _fitting(self, index: dict[str, list[str]], parts: list[str]) -> list[str]:
        """Returns the names that end in these parts, below the folders where names may begin."""
        folders = [_folded(part) for part in parts[:-1]]
        found = []
        for name in index.get(_folded(parts[-1]), []):
            way = name.split("/")[:-1]
            inside = len(way) - len(folders)
            if inside < 0 or "/".join(way[:inside]) not in self._starts:
                continue
            if [_folded(one) for one in way[inside:]] == folders:
                found.append(name)
        return found

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """Names by what they are without their folders."""
        found = defaultdict(list)
        for name in self._tree.names:
            found[_folded(name.rpartition("/")[2])].append(name)
        return dict(found)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        """Names by what they are without their folders and the ending of an image."""
        found = defaultdict(list)
        for name in self._tree.names:
            if kind_by_ending(name):
                found[_folded(os.path.splitext(name.rpartition("/")[2])[0])].append(name)
        return dict(found)
