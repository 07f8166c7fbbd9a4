"""Reads tables: a row has the name of an image and its class.

Kaggle has `train.csv` next to a folder of images, Hugging Face's `imagefolder` has `metadata.csv`
or `metadata.jsonl` with the column `file_name`.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from ml_collections import ConfigDict

from common.errors import UserError, listed
from data.files.file_tree import FileTree
from data.files.stored_files import StoredFile
from data.layouts.found import Found, Listed, divided
from data.layouts.listed_files import ListedFiles
from data.layouts.part_names import part_of, parts_among
from data.layouts.path_lists import overlap

_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.tsv")
# Usual names of the columns, the likelier ones first.
_IMAGE_COLUMNS = (
    *("file_name", "filename", "file", "image", "image_id", "imageid", "image_path", "path"),
    *("filepath", "filepaths", "file_path", "image_name", "img", "img_path", "fname", "id", "name"),
)
LABEL_COLUMNS = (
    *("label", "labels", "class", "class_name", "label_name", "category", "target", "classname"),
    *("species", "breed", "category_name", "diagnosis", "fine_label", "y", "cls", "类别", "标签"),
)
_SPLIT_COLUMNS = ("split", "set", "data set", "dataset", "subset", "part", "partition", "usage")
_LARGEST_TABLE = 1 << 30  # bytes
_LOOKED_AT = 50  # rows from which the columns are told


class Table(NamedTuple):
    """A table of text: its name for people, its columns, and its rows."""

    name: str
    columns: list[str]
    rows: list[dict[str, str]]


def tables_at_top(tree: FileTree) -> dict[str, str]:
    """Finds the tables at the top of a tree: names of files by the part; empty without `train`.

    A single `metadata.csv` or `labels.csv` is of the training images.
    """
    names = [name for name in tree.top_files if name.lower().endswith(_ENDINGS)]
    stems = {name.rpartition(".")[0]: name for name in names}
    found = {part: stems[stem] for part, stem in parts_among(stems, tree.place()).items()}
    if "train" in found:
        return found
    whole = [name for name in names if name.lower() in _METADATA] or [
        name
        for name in names
        if re.fullmatch(
            r"(image_?)?(labels?|annotations?|metadata|data|index)", name.rpartition(".")[0].lower()
        )
    ]
    return {"train": whole[0]} if len(whole) == 1 else {}


def find_tables(tree: FileTree, data_config: ConfigDict) -> Found | None:
    """Reads the tables at the top of a tree; None where there are none that tell the classes.

    Raises:
        UserError: when a table names images that are not there, or its columns are not clear.
    """
    names = tables_at_top(tree)
    tables = {part: _read_table(tree, name) for part, name in names.items()}
    return read_tables(tree, tables, data_config) if tables else None


def find_metadata(trees: dict[str, FileTree], data_config: ConfigDict) -> Found | None:
    """Reads the `metadata.csv` or `.jsonl` inside each part's folder; None where one has none."""
    images: dict[str, _Columns] = {}
    for part, tree in trees.items():
        own = [name for name in tree.top_files if name.lower() in _METADATA]
        if not own:
            return None
        columns = _Columns(_read_table(tree, own[0]), tree, [], data_config)
        if not columns.label:
            return None
        images[part] = columns
    return _found(images)


def read_tables(tree: FileTree, tables: dict[str, Table], data_config: ConfigDict) -> Found | None:
    """Reads the tables of a data set; None where that of `train` does not tell the classes."""
    folders = parts_among(tree.top, tree.place())
    images, notes = {}, []
    for part, table in tables.items():
        other = set(folders.values()) - {folders.get(part)}
        near = [folders[part]] if part in folders else [n for n in tree.top if n not in other]
        columns = _Columns(table, tree, near, data_config)
        if columns.label and columns.image:
            images[part] = columns
        elif part != "train":
            notes.append(f"{table.name} has no column of classes, so it is not used")
    if "train" not in images:
        return None
    return _found(images, notes)


def _found(images: dict[str, _Columns], notes: Sequence[str] = ()) -> Found:
    labels = sorted({label for columns in images.values() for label in columns.labels()})
    if all(re.fullmatch(r"-?\d+", label) for label in labels):
        labels.sort(key=int)
    if len(labels) < 2:
        name = images["train"].table.name
        raise UserError(f"{name}: all images are of the class {listed(labels)}; expected 2 or more")
    known = {label: position for position, label in enumerate(labels)}
    parts: dict[str, Listed] = {}
    for part, columns in images.items():
        for own, files, names in columns.by_split(part):
            parts[own] = Listed(files, [known[name] for name in names], columns.origin(own, part))
    return divided(labels, parts, [*notes, *overlap(parts)])


def _read_table(tree: FileTree, name: str) -> Table:
    text = tree.text(name, _LARGEST_TABLE)
    if name.lower().endswith(("jsonl", "ndjson")):
        return _from_json_lines(text, tree.place(name), name)
    lines = text.splitlines()
    sign = max(",;\t", key=lambda one: lines[0].count(one)) if lines else ","
    try:
        rows = [row for row in csv.reader(lines, delimiter=sign) if any(row)]
    except csv.Error as error:
        raise UserError(f"{tree.place(name)}: is not readable as a table ({error})") from None
    if not rows:
        raise UserError(
            f"{tree.place(name)}: has no rows; expected the names of images and classes"
        )
    columns = [cell.strip() for cell in rows[0]]
    if any(ListedFiles(tree, tree.top).find_name(cell) for cell in columns):
        columns, rows = [f"column {n}" for n in range(1, len(columns) + 1)], [[], *rows]
    for number, row in enumerate(rows[1:], 2):
        if len(row) < len(columns):
            raise UserError(
                f"{tree.place(name)}: row {number} has {len(row)} cells, expected {len(columns)}"
            )
    cells = [dict(zip(columns, map(str.strip, row))) for row in rows[1:]]
    return Table(name, columns, cells)


def _from_json_lines(text: str, place: str, name: str) -> Table:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place}: line {number} is not readable as JSON ({error})") from None
        if not isinstance(row, dict):
            raise UserError(f"{place}: line {number} is not an object with a file_name")
        rows.append({key: str(value) for key, value in row.items()})
    if not rows:
        raise UserError(f"{place}: has no lines; expected the names of images and classes")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return Table(name, columns, [{key: row.get(key, "") for key in columns} for row in rows])


class _Columns:
    """Which columns of a table have the image, the class and the part.

    Args:
        table: of one part, or of all.
        tree: the names of images are relative to it, or to one of the folders.
        folders: where the images of this part may be.
        data_config: its `image_column` and `label_column` decide, where they are set.
    """

    def __init__(
        self, table: Table, tree: FileTree, folders: Sequence[str], data_config: ConfigDict
    ):
        self.table, self._tree = table, tree
        nested = [
            name for name in tree.folders if name.count("/") == 1 and name.split("/")[0] in folders
        ]
        self._finder = ListedFiles(tree, [*folders, *sorted(nested)], ending_added=True)
        self._one_hot: list[str] = []
        self.image = self._given(data_config.image_column, "image_column") or self._image()
        rest = [name for name in table.columns if name != self.image]
        self.split = self._split(rest)
        rest = [name for name in rest if name != self.split]
        self.label = self._given(data_config.label_column, "label_column") or self._label(rest)

    def _given(self, name: str, field: str) -> str:
        if name and name not in self.table.columns:
            raise UserError(
                f"data.{field}: {self.table.name} has no column {name!r}; it has "
                f"{', '.join(self.table.columns)}"
            )
        return name

    def _image(self) -> str:
        """Returns the column whose first cells are names of images; of several the usual one."""
        first = self.table.rows[:_LOOKED_AT]
        hits = {
            name: sum(bool(row[name] and self._finder.find(row[name])) for row in first)
            for name in self.table.columns
        }
        most = max(hits.values(), default=0)
        return usual([name for name in hits if hits[name] == most > 0], _IMAGE_COLUMNS)

    def _split(self, columns: list[str]) -> str:
        for name in columns:
            values = {row[name] for row in self.table.rows}
            if name.lower() in _SPLIT_COLUMNS and len(values) > 1 and all(map(part_of, values)):
                return name
        return ""

    def _label(self, columns: list[str]) -> str:
        known = [name for name in columns if name.lower() in LABEL_COLUMNS]
        if known:
            return usual(known, LABEL_COLUMNS)
        values = [[row[name] for name in columns] for row in self.table.rows]
        if len(columns) > 1 and all(
            sorted(row) == ["0"] * (len(row) - 1) + ["1"] for row in values
        ):
            self._one_hot = columns
            return columns[0]
        if len(columns) > 1 and self.image:
            raise UserError(
                f"{self._tree.place(self.table.name)}: which of the columns {listed(columns)} has "
                "the classes? set data.label_column"
            )
        return columns[0] if columns else ""

    def _label_of(self, row: dict[str, str]) -> str:
        if self._one_hot:
            return next(name for name in self._one_hot if row[name] == "1")
        return row[self.label]

    def labels(self) -> list[str]:
        """Returns the class of each row."""
        return [self._label_of(row) for row in self.table.rows]

    def by_split(self, part: str) -> list[tuple[str, list[StoredFile], list[str]]]:
        """Returns the files and classes of each part in the table.

        Raises:
            UserError: when an image is not there, or has no class.
        """
        found: dict[str, tuple[list[StoredFile], list[str]]] = {}
        for number, row in enumerate(self.table.rows, 2):
            file, label = self._finder.find(row[self.image]), self._label_of(row)
            if file is None or not label:
                problem = "has no class" if file else "is not there"
                raise UserError(
                    f"{self._tree.place(self.table.name)}: row {number}: {row[self.image]} "
                    + problem
                )
            own = part_of(row[self.split]) if self.split else part
            files, labels = found.setdefault(own, ([], []))
            files.append(file)
            labels.append(label)
        return [(own, *lists) for own, lists in found.items()]

    def origin(self, own: str, part: str) -> str:
        """Returns where a part comes from, for people."""
        return f"{self.table.name}, {self.split} {own}" if self.split else self.table.name


def usual(names: Sequence[str], known: Sequence[str]) -> str:
    """Returns the name that comes first among the known ones, or else the first; empty for none."""
    ranks = {name: rank for rank, name in enumerate(known)}
    return min(names, key=lambda name: ranks.get(name.lower(), len(ranks)), default="")
