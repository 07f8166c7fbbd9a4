"""The files below a folder or in an archive, as a list of names."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from functools import cached_property
from typing import Any

from common.errors import UserError
from common.reading import decode_text
from data.files.stored_files import StoredFile

_LARGEST_TEXT = 64 << 20  # bytes; the largest official list of ImageNet has 43 million


def in_order(names: Iterable[str]) -> list[str]:
    """Sorts names folder by folder, as `sorted` does with paths."""
    return sorted(names, key=lambda name: name.split("/"))


def _inside(names: Sequence[str], folder: str) -> Sequence[str]:
    """Returns the names below a folder, which are one slice of names that are in order."""
    way = folder.split("/")
    begin = bisect_left(names, [*way, ""], key=lambda name: name.split("/"))
    end = bisect_right(names, way, begin, key=lambda name: name.split("/")[: len(way)])
    return names[begin:end]


class FileTree:
    """Names of files, relative to one folder, and how to read them. Traces of systems are not here.

    Args:
        place: of the folder, for messages; names are added to it. It ends in `/` or `: `.
        names: of the files, with slashes.
        folders: of all folders, also of empty ones.
        make: returns the file of a name.
        dead: names of links to nothing.
        odd: names of what is neither file nor folder, such as a pipe.
        ordered: whether the names are sorted already.
    """

    def __init__(
        self,
        place: str,
        names: Iterable[str],
        folders: Iterable[str],
        make: Callable[[str], StoredFile],
        dead: Collection[str] = (),
        odd: Collection[str] = (),
        ordered: bool = False,
    ):
        self._place, self.names = place, list(names) if ordered else in_order(names)
        self.folders, self._make = frozenset(folders), make
        self.dead, self.odd = frozenset(dead), frozenset(odd)
        # What was found in the tree, by whoever looked for it: to list a million names takes
        # seconds.
        self.memo: dict[Hashable, Any] = {}

    @cached_property
    def known(self) -> frozenset[str]:
        """The names, to look them up."""
        return frozenset(self.names)

    @cached_property
    def top(self) -> list[str]:
        """The folders that are not in another one, sorted."""
        return sorted(name for name in self.folders if "/" not in name)

    @cached_property
    def top_files(self) -> list[str]:
        """The files that are in no folder, sorted."""
        return [name for name in self.names if "/" not in name]

    @cached_property
    def _folders_in_order(self) -> list[str]:
        return in_order(self.folders)

    @cached_property
    def _dead_in_order(self) -> list[str]:
        return in_order(self.dead)

    @cached_property
    def _odd_in_order(self) -> list[str]:
        return in_order(self.odd)

    def place(self, name: str = "") -> str:
        """Returns where a file or folder is, for a message."""
        return f"{self._place}{name}" if name else self._place.rstrip("/: ")

    def file(self, name: str) -> StoredFile:
        """Returns a file of the tree."""
        return self._make(name)

    def text(self, name: str, most: int = _LARGEST_TEXT) -> str:
        """Reads the text of a file of at most `most` bytes, whatever editor it comes from."""
        return decode_text(self.file(name).read(most), self.place(name))

    def below(self, folder: str) -> FileTree:
        """Returns the tree of a folder; empty: this one.

        Raises:
            UserError: when there is no such folder.
        """
        if not folder:
            return self
        if folder not in self.folders:
            raise UserError(f"{self.place(folder)}: no such folder")
        if ("below", folder) not in self.memo:
            self.memo["below", folder] = self._below(folder)
        return self.memo["below", folder]

    def _below(self, folder: str) -> FileTree:
        start = f"{folder}/"

        def inside(names: Sequence[str]) -> list[str]:
            return [name[len(start) :] for name in _inside(names, folder)]

        return FileTree(
            f"{self._place}{start}",
            inside(self.names),
            inside(self._folders_in_order),
            lambda name: self._make(start + name),
            inside(self._dead_in_order),
            inside(self._odd_in_order),
            ordered=True,
        )
