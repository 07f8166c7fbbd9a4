"""Reads the names of the classes: as a label says them, or by their numbers in a `labels.txt`."""

from __future__ import annotations

import re
import unicodedata

from common.errors import UserError, listed
from data.files.file_tree import FileTree

_KINDS = r"labels?|class(es)?|cls|categor(y|ies)|synsets?"
_NAME_TABLE = re.compile(
    rf"(.*[_-])?({_KINDS})([_-]?(list|names?|map|id[_-]?map|index))?\.txt"
    r"|label[_-]?map\.txt|names\.txt|(类别|标签)(名称|列表)?\.txt"
)
_SIGNS = r"[ \t,:：=]+"
# Longer numbers are words: no class is meant, and to read them takes long.
NUMBER = re.compile(r"-?\d{1,18}")
_NUMBER_FIRST = re.compile(rf"(\d{{1,18}}){_SIGNS}(.*\S)")
_NUMBER_LAST = re.compile(rf"(.*[^ \t,:：=]){_SIGNS}(\d{{1,18}})")
# How tables write that an image has no label.
_NO_LABEL = ("", "nan", "null", "none")


def plain(name: str) -> str:
    """Returns a name in one form of Unicode: macOS writes accents as letters of their own."""
    return unicodedata.normalize("NFC", name)


def lines_of(text: str) -> list[str]:
    """Splits a text into lines at the ends of lines only; `splitlines` cuts at other signs, too."""
    return re.split(r"\r\n|\n|\r", text)


def label_text(value: object) -> str:
    """Returns a label of a table as text; empty for none: null, nan, an empty cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = plain(str(value).strip())
    return "" if text.lower() in _NO_LABEL else text


def label_value(value: object) -> int | str | None:
    """Returns a label of a parquet file as a number or a text; None for none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = label_text(value)
    if isinstance(value, float) and NUMBER.fullmatch(text):
        return int(text)
    return text or None


def name_tables(tree: FileTree) -> list[str]:
    """Returns the files at the top of a tree that may have the names of the classes."""
    return [name for name in tree.top_files if _NAME_TABLE.fullmatch(name.lower())]


def only_name_table(tree: FileTree, lists: list[str]) -> str:
    """Returns the file with the names of the classes; empty where there is none.

    Args:
        tree: has it at its top.
        lists: of images, which are not meant.

    Raises:
        UserError: when there are several.
    """
    tables = [name for name in name_tables(tree) if name not in lists]
    if len(tables) > 1:
        raise UserError(
            f"{tree.place()}: {listed(tables)} may all have the names of the classes; set "
            "data.label_list to the right one"
        )
    return tables[0] if tables else ""


def parse_names(name: str, text: str) -> dict[int, str]:
    """Reads the names of the classes by their numbers.

    A line has a number and a name, in either order, or only a name; the number is then that of the
    line, from 0. A first line with titles, or a remark behind `#`, is passed over.

    Raises:
        UserError: when two classes have one name or one number, or there are none.
    """
    lines = [plain(line.strip()) for line in lines_of(text) if line.strip()]
    if len(lines) > 1 and lines[0][0] == "#" and not any(line[0] == "#" for line in lines[1:]):
        lines = lines[1:]
    names = _numbered(lines)
    different = len(set(names.values()))
    if len(names) < len(lines) - 1 or different < len(names) or not names:
        raise UserError(f"{name}: has {len(lines)} lines, but {different} different classes")
    return names


def _numbered(lines: list[str]) -> dict[int, str]:
    first = [_NUMBER_FIRST.fullmatch(line) for line in lines]
    if len(lines) > 2 and not first[0] and all(first[1:]):  # titles
        first = first[1:]
    if first and all(first):
        return _unique([(int(match[1]), match[2].strip("\"'")) for match in first if match])
    last = [_NUMBER_LAST.fullmatch(line) for line in lines]
    numbers = sorted(int(match[2]) for match in last if match)
    # `boeing 737` is a name; numbers of classes have no gaps.
    names = {int(match[2]): match[1].strip("\"'") for match in last if match}
    whole = numbers in (list(range(len(lines))), list(range(1, len(lines) + 1)))
    if numbers and whole and len(set(names.values())) == len(names):
        return names
    return dict(enumerate(line.strip("\"'") for line in lines))


def _unique(pairs: list[tuple[int, str]]) -> dict[int, str]:
    names = dict(pairs)
    return names if len(names) == len(pairs) else {}
