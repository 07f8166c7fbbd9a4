"""Tells which columns of a table have the image, its class and its part."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from ml_collections import ConfigDict

from common.errors import UserError, listed
from data.files.file_tree import FileTree
from data.files.listed_files import ListedFiles, may_lead_outside
from data.files.stored_files import StoredFile
from data.images.image_kinds import kind_by_ending
from data.layouts.class_names import label_text, plain
from data.layouts.part_names import part_of, parts_among

# Usual names of the columns, the likelier ones first.
IMAGE_COLUMNS = (
    *("file_name", "filename", "file", "image", "image_id", "imageid", "image_path", "path"),
    *("filepath", "filepaths", "file_path", "image_name", "img", "img_path", "fname", "id", "name"),
)
LABEL_COLUMNS = (
    *("label", "labels", "class", "class_name", "label_name", "category", "target", "classname"),
    *("species", "breed", "category_name", "diagnosis", "fine_label", "y", "cls", "类别", "标签"),
)
_SPLIT_COLUMNS = ("split", "set", "data set", "dataset", "subset", "part", "partition", "usage")
_YES, _NO = {"1", "1.0", "true", "yes"}, {"0", "0.0", "false", "no"}
_LOOKED_AT = 50  # rows from which the column of the images is told


class Table(NamedTuple):
    """A table of text: its name, its columns, its rows, and which columns are of lists or objects.

    The name is that of its file in the tree.
    """

    name: str
    columns: list[str]
    rows: list[dict[str, str]]
    structured: frozenset[str] = frozenset()


class Columns:
    """Which columns of a table have the image, the class and the part; empty: none.

    Args:
        table: of one part, or of all.
        tree: the names of images are relative to it, or to one of the folders.
        folders: where the images of this part may be.
        data_config: its `image_column` and `label_column` decide, where they are set.
        label: the column that has the classes in the training table; empty: this is that one.
    """

    def __init__(
        self,
        table: Table,
        tree: FileTree,
        folders: Sequence[str],
        data_config: ConfigDict,
        label: str = "",
    ):
        self.place, self._table, self.tree = tree.place(table.name), table, tree
        nested = [
            name for name in tree.folders if name.count("/") == 1 and name.split("/")[0] in folders
        ]
        outside = may_lead_outside(tree, table.name)
        self._finder = ListedFiles(tree, [*folders, *sorted(nested)], True, outside)
        self._one_hot: list[str] = []
        self.image = self._given(data_config.image_column, "image_column") or self._image()
        rest = [name for name in table.columns if name != self.image]
        self._split = self._split_column(rest)
        rest = [name for name in rest if name != self._split]
        if label:
            self.label = self._label_like(label, rest)
        else:
            self.label = self._given(data_config.label_column, "label_column") or self._label(rest)
        self._check()

    def _check(self) -> None:
        """Refuses columns of one name, and labels that are lists or objects."""
        twice = [name for name in self._table.columns if self._table.columns.count(name) > 1]
        if self.image and any(twice):
            raise UserError(f"{self.place}: two columns are called {max(twice)!r}; rename one")
        if self.image and self.label in self._table.structured:
            raise UserError(
                f"{self.place}: the column {self.label!r} has lists or objects; expected one word "
                "or number, the class of the image"
            )
        texts = set() if self._one_hot or not self.label else self._values(self.label)
        # What pandas writes of whole numbers where a cell is empty.
        decimals = all(_is_number(text) for text in texts if label_text(text))
        self._decimals = decimals and any("." in text for text in texts)

    def _given(self, name: str, field: str) -> str:
        if name and name not in self._table.columns:
            raise UserError(
                f"data.{field}: {self._table.name} has no column {name!r}; it has "
                f"{', '.join(self._table.columns)}"
            )
        return name

    def _image(self) -> str:
        """Returns the column whose first cells are names of images; of several the usual one.

        Raises:
            UserError: when the names are there, but each in several folders.
        """
        first = self._table.rows[:_LOOKED_AT]
        hits: dict[str, int] = {}
        unclear = ""
        for name in self._table.columns:
            self._finder.start_anew()
            cells = [row[name] for row in first if row[name]]
            found = [self._finder.find(cell) for cell in cells]
            hits[name] = sum(one is not None for one in found)
            if self._finder.is_unclear() and not hits[name] and kind_by_ending(cells[-1]):
                unclear = f"{self.place}: {cells[-1]} {self._finder.problem()}"
        self._finder.start_anew()
        most = max(hits.values(), default=0)
        if not most and unclear:
            raise UserError(unclear)
        enough = most > 0 and 2 * most >= len(first)
        return usual([name for name in hits if hits[name] == most and enough], IMAGE_COLUMNS)

    def _values(self, column: str) -> set[str]:
        return {row[column] for row in self._table.rows}

    def _split_column(self, columns: list[str]) -> str:
        for name in columns:
            values = self._values(name)
            named = name.lower() in _SPLIT_COLUMNS and any(map(part_of, values))
            if named and not all(map(part_of, values)):
                strange = sorted(value for value in values if not part_of(value))
                raise UserError(
                    f"{self.place}: the column {name!r} has {listed([repr(v) for v in strange])}; "
                    "expected train, val or test"
                )
            flag = _flagged(name) and {value.lower() for value in values} <= _YES | _NO
            if len(values) > 1 and (named or flag):
                return name
        return ""

    def _part(self, row: dict[str, str], file: StoredFile, part: str) -> str:
        """Returns the part of a row, by its column or else by the folder of the image."""
        if not self._split:
            own = part_of(self._table.name.rpartition(".")[0])
            return part if own else self._part_of_folder.get(str(file), part)
        if not _flagged(self._split):
            return part_of(row[self._split])
        flagged = _flagged(self._split)
        if row[self._split].lower() in _YES:
            return flagged
        return "test" if flagged == "train" else "train"

    @cached_property
    def _part_of_folder(self) -> dict[str, str]:
        """The part of each file that is in a folder of a part."""
        parts = {name: part for part, name in parts_among(self.tree.top, self.place).items()}
        tops = [(name, parts.get(name.partition("/")[0], "")) for name in self.tree.names]
        return {str(self.tree.file(name)): part for name, part in tops if part}

    def _label(self, columns: list[str]) -> str:
        """Returns the column of the classes.

        Raises:
            UserError: when several may be it.
        """
        known = [name for name in columns if name.lower() in LABEL_COLUMNS]
        if known:
            return self._same(known) or self._unclear(known)
        if self._are_one_hot(columns):
            self._one_hot = columns
            return columns[0]
        if not self.image or self._in_class_folders():
            return ""  # it has something else about each image
        # What differs in each row is no class: a text, a number of the row.
        most = len(self._table.rows) // 2
        columns = [
            name
            for name in columns
            if 2 <= len(self._values(name)) <= most and name not in self._table.structured
        ]
        if len(columns) > 1:
            return self._same(columns) or self._unclear(columns)
        return columns[0] if columns else ""

    def _label_like(self, label: str, columns: list[str]) -> str:
        """Returns the column of the classes of a table that is not the training one."""
        known = [name for name in columns if name.lower() in LABEL_COLUMNS]
        found = label if label in columns else known[0] if len(known) == 1 else ""
        if found and self._are_one_hot(columns):
            self._one_hot = columns
        return found if found and any(map(label_text, self._values(found))) else ""

    def _unclear(self, columns: list[str]) -> str:
        raise UserError(
            f"{self.place}: which of the columns {listed(columns)} has the classes? set "
            "data.label_column"
        )

    def _same(self, columns: list[str]) -> str:
        """Returns one of columns that all divide the images alike, such as numbers and names.

        That with names goes before that with numbers. Empty where they do not.
        """
        rows = {tuple(row[name] for name in columns) for row in self._table.rows}
        if any(len(self._values(name)) != len(rows) for name in columns):
            return ""
        words = [name for name in columns if not all(map(_is_number, self._values(name)))]
        return usual(words or columns, LABEL_COLUMNS)

    def _are_one_hot(self, columns: list[str]) -> bool:
        """Returns whether the columns are the classes, with a one in that of the image."""
        return len(columns) > 1 and all(
            sorted(map(_flag, (row[name] for name in columns))) == [0] * (len(columns) - 1) + [1]
            for row in self._table.rows
        )

    def _in_class_folders(self) -> bool:
        """Returns whether the images lie in several folders, apart from those of parts."""
        self._finder.start_anew()
        names = [self._finder.find_name(row[self.image]) for row in self._table.rows]
        self._finder.start_anew()
        parts = set(parts_among(self.tree.top, self.tree.place()).values())
        ways = {
            tuple(folder for folder in name.split("/")[:-1] if folder not in parts)
            for name in names
        }
        return len(ways) > 1

    def _label_of(self, row: dict[str, str]) -> str:
        if self._one_hot:
            return plain(next(name for name in self._one_hot if _flag(row[name]) == 1))
        text = label_text(row[self.label])
        return text.partition(".")[0] if self._decimals else text

    def by_part(self, part: str) -> list[tuple[str, list[StoredFile], list[str]]]:
        """Returns the files and classes of each part in the table.

        Raises:
            UserError: when an image is not there, or has no class.
        """
        found: dict[str, tuple[list[StoredFile], list[str]]] = {}
        for number, row in enumerate(self._table.rows, 2):
            file, label = self._finder.find(row[self.image]), self._label_of(row)
            if file is None or not label:
                problem = "has no class" if file else self._finder.problem()
                raise UserError(f"{self.place}: row {number}: {row[self.image]} {problem}")
            files, labels = found.setdefault(self._part(row, file, part), ([], []))
            files.append(file)
            labels.append(label)
        return [(own, *lists) for own, lists in found.items()]

    def origin(self, own: str, part: str) -> str:
        """Returns where a part comes from, for people."""
        return f"{self._table.name}, {own}" if own != part or self._split else self._table.name

    def notes(self) -> list[str]:
        """Returns a line that names the columns, where there are others, too."""
        used = {self.image, self.label, self._split, *self._one_hot}
        rest = [name for name in self._table.columns if name and name not in used]
        if not rest:
            return []
        return [
            f"{self._table.name}: the images are in the column {self.image!r}, the classes in "
            f"{self.label!r}; not used: {listed(rest)}"
        ]


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d+(\.0*)?", text))


def _flag(text: str) -> int:
    """Returns 1 for yes, 0 for no, and -1 for what is neither."""
    lowered = text.lower()
    return 1 if lowered in _YES else 0 if lowered in _NO else -1


def _flagged(column: str) -> str:
    """Returns the part that a column such as `is_valid` tells of; empty for other columns."""
    name = column.lower().replace(" ", "_")
    return part_of(name) if re.fullmatch(r"is_?[a-z]+(_(set|image|data))?", name) else ""


def usual(names: Sequence[str], known: Sequence[str]) -> str:
    """Returns the name that comes first among the known ones, or else the first; empty for none."""
    ranks = {name: rank for rank, name in enumerate(known)}
    return min(names, key=lambda name: ranks.get(name.lower(), len(ranks)), default="")
