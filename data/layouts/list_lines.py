"""Splits the lines of a list of images into paths and labels."""

from __future__ import annotations

import re
from typing import NamedTuple

from common.errors import UserError
from data.files.file_tree import FileTree
from data.files.listed_files import ListedFiles, may_lead_outside
from data.layouts.class_names import NUMBER, lines_of, plain
from data.layouts.part_names import folders_of_part

# Tried in this order, the first two with numbers only.
_DELIMITERS = (" \t", ",;|", "\t", ",;|", " \t")
_TITLES = {
    *("path", "image", "file", "filename", "file_name", "image_path", "img", "img_path", "name"),
}
_SHOWN = 80  # characters of a line in a message


class Row(NamedTuple):
    """A line of a list."""

    number: int  # from 1
    path: str
    label: str


class TextFile(NamedTuple):
    """A list or a table of names: its name for people, and its text."""

    name: str
    text: str


def parse_rows(file: TextFile) -> list[Row]:
    """Splits a list into paths and labels.

    The label is what is behind the last space, tab or comma. If that is a number in no line, the
    labels are words, behind the last tab or else comma of each line.

    Raises:
        UserError: for a line without a label, or an empty list.
    """
    lines = _lines(file)
    if len(lines) > 1 and re.split(r"[\s,;|]", lines[0][1].lower())[0].strip("\"'") in _TITLES:
        lines = lines[1:]
    if not lines:
        raise UserError(f"{file.name}: has no lines; expected the path of an image and its class")
    problem = lines[0]
    for attempt, signs in enumerate(_DELIMITERS):
        matches = [
            re.fullmatch(rf"(.*[^{signs}])[{signs}]+([^{signs}]+)", line) for _, line in lines
        ]
        numbers = attempt < 2
        right = [m and (not numbers or NUMBER.fullmatch(m[2].strip())) for m in matches]
        if all(right):
            return [
                Row(number, _bare(match[1]), plain(_bare(match[2])))
                for (number, _), match in zip(lines, matches)
                if match
            ]
        if any(right):
            problem = lines[right.index(next(one for one in right if not one))]
            break
    raise UserError(
        f"{file.name}: line {problem[0]}, {problem[1][:_SHOWN]!r}, has no label; expected the path "
        "of an image and the number of its class, with a space, tab or comma between them"
    )


def _lines(file: TextFile) -> list[tuple[int, str]]:
    """Returns the lines that are not blank, with their numbers."""
    return [(n, line.strip()) for n, line in enumerate(lines_of(file.text), 1) if line.strip()]


def _bare(text: str) -> str:
    """Returns a cell without quotes, and without a second delimiter behind it (`a.jpg, 0`)."""
    return text.strip(" \t,;|").strip("\"'")


def finder_of(tree: FileTree, part: str, name: str) -> ListedFiles:
    """Makes what finds the images of a part that the list `name` has."""
    outside = may_lead_outside(tree, name)
    return ListedFiles(tree, folders_of_part(tree, part), ending_added=True, outside=outside)


def rows_of_folders(tree: FileTree, part: str, file: TextFile) -> list[Row]:
    """Reads a list without labels: the folder of an image is its class; [] for other lists."""
    lines = _lines(file)
    finder = finder_of(tree, part, file.name)
    if not lines or "/" not in finder.find_name(lines[0][1]):
        return []
    names = [finder.find_name(line) for _, line in lines]
    return [
        Row(number, line, plain((name or line).rpartition("/")[0].rpartition("/")[2]))
        for (number, line), name in zip(lines, names)
    ]
