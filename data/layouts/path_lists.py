"""Reads the lists of Paddle's tools: a line has the path of an image and the number of its class.

PaddleClas has `train_list.txt`, `val_list.txt`, `test_list.txt` and `label_list.txt` (a number and
a name in each line), PaddleX `train.txt` or `train_list.txt` and `labels.txt` (a name a line).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ml_collections import ConfigDict

from common.errors import UserError, listed
from common.reading import decode_text, read_bytes, user_path
from data.files.file_tree import FileTree
from data.files.stored_files import StoredFile
from data.layouts.found import Found, Listed, divided
from data.layouts.listed_files import ListedFiles
from data.layouts.part_names import parts_among, words

_FIELDS = {"train": "train_list", "val": "val_list", "test": "test_list"}
_NAME_TABLE = re.compile(
    r"(.*[_-])?(labels?|class(es)?)([_-]?(list|names?))?\.txt|label[_-]?map\.txt"
)
_LARGEST_LIST = 1 << 30  # bytes
_DELIMITERS = (" \t", ",", "\t", ",", " \t")  # tried in this order, the first two with numbers only
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


def lists_at_top(tree: FileTree) -> dict[str, str]:
    """Finds the lists at the top of a tree: names of files by the part; empty without `train`."""
    names = [name for name in tree.top_files if name.lower().endswith(".txt")]
    by_word = [name for name in names if set(words(name[:-4])) & {"list", "lists"}]
    plain = [name for name in names if len(words(name[:-4])) == 1]
    for some in (by_word, plain):
        stems = {name[:-4]: name for name in some}
        found = parts_among(stems, tree.place())
        if "train" in found:
            return {part: stems[stem] for part, stem in found.items()}
    return {}


def find_lists(tree: FileTree, data_config: ConfigDict, top: bool) -> Found | None:
    """Reads the lists that the config names, or else those at the top of a tree.

    Args:
        tree: the paths in the lists are relative to it.
        data_config: the `data` part of a config.
        top: whether the tree is `data.root` itself, where the lists of the config are looked for.

    Raises:
        UserError: when a list is not readable, or names files or classes that are not there.
    """
    given = {part: data_config[field] for part, field in _FIELDS.items() if data_config[field]}
    if given and not top:
        return None
    if given and "train" not in given:
        raise UserError("data.train_list is empty, but another list is given; set it, too")
    if given:
        texts = {part: _given(tree, path, _FIELDS[part]) for part, path in given.items()}
    else:
        texts = {part: _own(tree, name) for part, name in lists_at_top(tree).items()}
    if not texts:
        return None
    return _read(tree, texts, _names_of(tree, data_config.label_list))


def _own(tree: FileTree, name: str) -> TextFile:
    return TextFile(name, tree.text(name, _LARGEST_LIST))


def _given(tree: FileTree, path: str, field: str) -> TextFile:
    """Reads a list that the config names: its path is relative to the root, or to where we are."""
    if path in tree.known:
        return _own(tree, path)
    place = user_path(path)
    if not place.is_file():
        raise UserError(f"data.{field}: {path} is neither below {tree.place()} nor a file")
    return TextFile(path, decode_text(read_bytes(place, _LARGEST_LIST), path))


def _names_of(tree: FileTree, given: str) -> tuple[str, dict[int, str]]:
    """Reads the names of the classes by their numbers; ("", {}) where there is no table of them."""
    if given:
        table = _given(tree, given, "label_list")
    else:
        tables = [name for name in tree.top_files if _NAME_TABLE.fullmatch(name.lower())]
        if not tables:
            return "", {}
        if len(tables) > 1:
            raise UserError(
                f"{tree.place()}: {listed(tables)} may all have the names of the classes; set "
                "data.label_list to the right one"
            )
        table = _own(tree, tables[0])
    lines = [line.strip() for line in table.text.splitlines() if line.strip()]
    numbered = [re.fullmatch(r"(\d+)[ \t,:]+(.*\S)", line) for line in lines]
    if lines and all(numbered):
        names = {int(match[1]): match[2] for match in numbered if match}
    else:
        names = dict(enumerate(lines))
    different = len(set(names.values()))
    if len(names) < len(lines) or different < len(names) or not names:
        raise UserError(f"{table.name}: has {len(lines)} lines, but {different} different classes")
    return table.name, names


def parse_rows(file: TextFile) -> list[Row]:
    """Splits a list into paths and labels.

    The label is what is behind the last space, tab or comma. If that is a number in no line, the
    labels are words, behind the last tab or else comma of each line.

    Raises:
        UserError: for a line without a label, or an empty list.
    """
    lines = [(n, line.strip()) for n, line in enumerate(file.text.splitlines(), 1) if line.strip()]
    if not lines:
        raise UserError(f"{file.name}: has no lines; expected the path of an image and its class")
    problem = lines[0]
    for attempt, signs in enumerate(_DELIMITERS):
        matches = [
            re.fullmatch(rf"(.*[^{signs}])[{signs}]+([^{signs}]+)", line) for _, line in lines
        ]
        numbers = attempt < 2
        right = [m and (not numbers or re.fullmatch(r"-?\d+", m[2].strip())) for m in matches]
        if all(right):
            return [
                Row(number, match[1].strip().strip("\"'"), match[2].strip().strip("\"'"))
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


def _read(tree: FileTree, texts: dict[str, TextFile], table: tuple[str, dict[int, str]]) -> Found:
    rows = {part: parse_rows(file) for part, file in texts.items()}
    table_name, names = table
    classes, numbers = _classes(rows, names)
    finder, parts = ListedFiles(tree), {}
    for part, lines in rows.items():
        file, files, labels = texts[part], [], []
        for row in lines:
            label = numbers.get(row.label)
            if label is None:
                raise _unknown_label(file.name, row, table_name, classes)
            files.append(_find(finder, file.name, row, tree))
            labels.append(label)
        parts[part] = Listed(files, labels, file.name)
    notes = [_what_holds(tree, texts), *overlap(parts), *_rest(tree, parts)]
    return divided(classes, parts, [note for note in notes if note])


def _classes(rows: dict[str, list[Row]], names: dict[int, str]) -> tuple[list[str], dict[str, int]]:
    """Returns the names of the classes in order, and the position of each label of the lists."""
    texts = {row.label for lines in rows.values() for row in lines}
    if not all(re.fullmatch(r"-?\d+", text) for text in texts):
        classes = [names[number] for number in sorted(names)] or sorted(texts)
        return classes, {name: position for position, name in enumerate(classes)}
    if not names:
        numbers = [int(row.label) for row in rows["train"]]
        names = {number: str(number) for number in range(max(numbers) + 1)}
    order = sorted(names)
    known = {number: position for position, number in enumerate(order)}
    return [names[number] for number in order], {
        text: known[int(text)] for text in texts if int(text) in known
    }


def _unknown_label(name: str, row: Row, table: str, classes: Sequence[str]) -> UserError:
    whose = table or "the training list"
    return UserError(
        f"{name}: line {row.number}, {row.path} {row.label}: there is no class {row.label}; "
        f"{whose} has {len(classes)} classes ({listed(classes)}), numbered from 0 unless it says "
        "otherwise"
    )


def _find(finder: ListedFiles, name: str, row: Row, tree: FileTree) -> StoredFile:
    file = finder.find(row.path)
    if file is None:
        raise UserError(
            f"{name}: line {row.number}: {row.path} is not there; the paths of a list begin at "
            f"{tree.place()}"
        )
    return file


def _what_holds(tree: FileTree, texts: dict[str, TextFile]) -> str:
    """Returns a line that tells that lists hold where class folders could be meant."""
    if len(tree.top) < 2:
        return ""
    lists = " and ".join(sorted(file.name for file in texts.values()))
    return f"{lists} tell the part and the class of each image; folders are not read for that"


def overlap(parts: dict[str, Listed]) -> list[str]:
    """Returns a warning for each two parts that share images."""
    places = {part: set(map(str, one.files)) for part, one in parts.items()}
    lines = []
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        shared = sorted(places.get(one, set()) & places.get(other, set()))
        if shared:
            lines.append(
                f"warning: {len(shared)} images are in {parts[one].origin} and in "
                f"{parts[other].origin}, such as {shared[0]}: what is measured on them is not to "
                "be trusted"
            )
    return lines


def _rest(tree: FileTree, parts: dict[str, Listed]) -> list[str]:
    """Returns a line about images that are in no list."""
    from data.images.image_folders import image_names, left_out

    used = {str(file) for one in parts.values() for file in one.files}
    rest = [name for name in image_names(tree) if str(tree.file(name)) not in used]
    return left_out(tree, rest, "in no list")
