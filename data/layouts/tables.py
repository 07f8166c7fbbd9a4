"""Reads tables: a row has the name of an image and its class.

Kaggle has `train.csv` next to a folder of images, Hugging Face's `imagefolder` has `metadata.csv`
or `metadata.jsonl` with the column `file_name`.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence

from ml_collections import ConfigDict

from common.errors import UserError, listed
from data.files.file_tree import FileTree
from data.files.listed_files import ListedFiles
from data.images.image_folders import image_names
from data.layouts.class_folders import check_same_classes
from data.layouts.class_names import NUMBER, label_text, lines_of
from data.layouts.found import UNREAD, Found, Listed, divided, doubts, from_elsewhere
from data.layouts.part_names import folders_of_part, parts_among
from data.layouts.table_columns import IMAGE_COLUMNS, Columns, Table, usual

_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")
# Hugging Face's, and Roboflow's.
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.tsv", "_classes.csv")
_LARGEST_TABLE = 1 << 30  # bytes


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
    """Reads the `metadata.csv` or `.jsonl` inside each part's folder; None where `train` has none.

    A part without one has no labels, and is left out.
    """
    images: dict[str, Columns] = {}
    notes = []
    for part, tree in sorted(trees.items(), key=lambda item: item[0] != "train"):
        own = [name for name in tree.top_files if name.lower() in _METADATA]
        columns = None
        if own:
            wanted = images["train"].label if images else ""
            columns = Columns(_read_table(tree, own[0]), tree, [], data_config, wanted)
        if columns and columns.image and columns.label:
            images[part] = columns
        elif part == "train":
            return None
        else:
            notes.append(f"left out, {tree.place()} has no table of its classes as train has")
    return _found(images, notes) if images else None


def read_tables(tree: FileTree, tables: dict[str, Table], data_config: ConfigDict) -> Found | None:
    """Reads the tables of a data set; None where that of `train` does not tell the classes."""
    images: dict[str, Columns] = {}
    notes = []
    for part, table in sorted(tables.items(), key=lambda item: item[0] != "train"):
        wanted = images["train"].label if images else ""
        columns = Columns(table, tree, folders_of_part(tree, part), data_config, wanted)
        if columns.label and columns.image:
            images[part] = columns
        elif part == "train":
            tree.memo[UNREAD] = "" if columns.image else _why_unread(tree, table)
            return None
        else:
            notes.append(f"{table.name} has no column of classes, so it is not used")
    return _found(images, notes)


def _why_unread(tree: FileTree, table: Table) -> str:
    """Returns that no column names the images, with a cell and a file for comparison."""
    column, images = usual(table.columns, IMAGE_COLUMNS), image_names(tree)
    if not images or not table.rows:
        return ""
    return (
        f"in {table.name} no column's cells are names of images: {column!r} has "
        f"{table.rows[0][column]!r}, and an image is {images[0]!r}"
    )


def _found(images: dict[str, Columns], notes: Sequence[str] = ()) -> Found:
    found = {
        (own, part): (files, some)
        for part, columns in images.items()
        for own, files, some in columns.by_part(part)
    }
    if not any(own == "train" for own, _ in found):
        raise UserError(f"{images['train'].place}: no images are of the train part")
    labels = sorted({x for (own, _), (_, some) in found.items() if own == "train" for x in some})
    if all(map(NUMBER.fullmatch, labels)):
        labels.sort(key=int)
    if len(labels) < 2:
        raise UserError(
            f"{images['train'].place}: all images are of the class {listed(labels)}; expected 2 or "
            "more"
        )
    known = {label: position for position, label in enumerate(labels)}
    parts: dict[str, Listed] = {}
    elsewhere: list[str] = []
    for (own, part), (files, names) in found.items():
        origin = images[part].origin(own, part)
        place = images[part].place
        check_same_classes(place if own == part else f"{place}, {own}", names, labels, False)
        parts[own] = Listed(files, [known[name] for name in names], origin)
        elsewhere += from_elsewhere(images[part].tree, files)
    said = [*notes, *images["train"].notes(), *elsewhere, *doubts(parts)]
    return divided(labels, parts, said)


def _read_table(tree: FileTree, name: str) -> Table:
    text = tree.text(name, _LARGEST_TABLE)
    if name.lower().endswith(("jsonl", "ndjson")):
        return _from_json_lines(text, tree.place(name), name)
    lines = lines_of(text)
    sign = max(",;\t|", key=lambda one: lines[0].count(one)) if lines else ","
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
    rows, structured = [], set()
    for number, line in enumerate(lines_of(text), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place}: line {number} is not readable as JSON ({error})") from None
        if not isinstance(row, dict):
            raise UserError(f"{place}: line {number} is not an object with a file_name")
        rows.append({key: _cell(value) for key, value in row.items()})
        structured |= {key for key, value in row.items() if isinstance(value, (list, dict))}
    if not rows:
        raise UserError(f"{place}: has no lines; expected the names of images and classes")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [{key: row.get(key, "") for key in columns} for row in rows]
    return Table(name, columns, cells, frozenset(structured))


def _cell(value: object) -> str:
    return value.strip() if isinstance(value, str) else label_text(value)
