"""Reads the lists of Paddle's tools: a line has the path of an image and the number of its class.

PaddleClas has `train_list.txt`, `val_list.txt`, `test_list.txt` and `label_list.txt` (a number and
a name in each line), PaddleX `train.txt` or `train_list.txt` and `labels.txt` (a name a line).
"""

from __future__ import annotations

from collections.abc import Sequence

from ml_collections import ConfigDict

from common.errors import UserError, listed
from common.reading import decode_text, read_bytes, user_path
from data.files.file_tree import FileTree
from data.files.listed_files import ListedFiles, may_lead_outside
from data.files.stored_files import StoredFile
from data.images.image_folders import image_names, left_out
from data.layouts.class_folders import check_same_classes
from data.layouts.class_names import NUMBER, only_name_table, parse_names
from data.layouts.found import Found, Listed, divided, doubts, from_elsewhere
from data.layouts.list_lines import Row, TextFile, finder_of, parse_rows, rows_of_folders
from data.layouts.part_names import part_of, parts_among, words

_FIELDS = {"train": "train_list", "val": "val_list", "test": "test_list"}
_LARGEST_LIST = 1 << 30  # bytes
_ENDINGS = (".txt", ".list", ".lst")


def lists_at_top(tree: FileTree) -> dict[str, str]:
    """Finds the lists at the top of a tree: names of files by the part; empty without `train`."""
    names = [
        name
        for name in tree.top_files
        if name.lower().endswith(_ENDINGS) or ("." not in name and "list" in words(name))
    ]
    stems = {name.rpartition(".")[0] or name: name for name in names}
    by_word = [stem for stem in stems if set(words(stem)) & {"list", "lists"}]
    plain = [stem for stem in stems if len(words(stem)) == 1]
    for some in (by_word, plain, [stem for stem in stems if part_of(stem)]):
        found = {part: stems[stem] for part, stem in parts_among(some, tree.place()).items()}
        if "train" in found and (set(some) & {*by_word, *plain} or _is_list(tree, found["train"])):
            return found
    return {}


def _is_list(tree: FileTree, name: str) -> bool:
    """Returns whether the first line of a text names an image of the tree and its class."""
    line = TextFile(name, tree.text(name).strip().partition("\n")[0])
    if rows_of_folders(tree, "train", line):
        return True
    try:
        row = parse_rows(line)[0]
    except UserError:
        return False
    return bool(ListedFiles(tree, tree.top, outside=may_lead_outside(tree, name)).find(row.path))


def _lists_below(tree: FileTree) -> dict[str, str]:
    """Finds the lists in a folder of their own, such as `lists/train.txt`."""
    for top in tree.top:
        inner = tree.below(top)
        if part_of(top) or len(inner.names) > len(inner.top_files):
            continue
        try:
            found = {part: f"{top}/{name}" for part, name in lists_at_top(inner).items()}
        except UserError:  # train1.txt and train2.txt: no lists of this kind
            continue
        if found and _is_list(tree, found["train"]):
            return found
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
        names = lists_at_top(tree) or _lists_below(tree)
        texts = {part: _own(tree, name) for part, name in names.items()}
    if not texts:
        return None
    if rows_of_folders(tree, "train", texts["train"]):
        rows = {part: rows_of_folders(tree, part, file) for part, file in texts.items()}
        rows = {part: some or parse_rows(texts[part]) for part, some in rows.items()}
        own = data_config.label_list
        table = _names_of(tree, own, texts) if own else ("", {})
        return _read(tree, texts, rows, table)
    bare = [part for part, file in texts.items() if rows_of_folders(tree, part, file)]
    notes = [f"{texts.pop(part).name} has no labels, so it is not used" for part in bare]
    rows = {part: parse_rows(file) for part, file in texts.items()}
    found = _read(tree, texts, rows, _names_of(tree, data_config.label_list, texts))
    return found._replace(notes=(*notes, *found.notes))


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


def _names_of(tree: FileTree, given: str, lists: dict[str, TextFile]) -> tuple[str, dict[int, str]]:
    """Reads the names of the classes by their numbers; ("", {}) where there is no table of them."""
    if given:
        table = _given(tree, given, "label_list")
        return table.name, parse_names(*table)
    own = lists["train"].name
    used = [one.name.rpartition("/")[2] for one in lists.values()]
    # Next to the lists, or else at the top.
    for folder in dict.fromkeys([own.rpartition("/")[0] if own in tree.known else "", ""]):
        inner = tree.below(folder)
        found = only_name_table(inner, used)
        if found:
            return found, parse_names(found, inner.text(found))
    return "", {}


def _read(
    tree: FileTree,
    texts: dict[str, TextFile],
    rows: dict[str, list[Row]],
    table: tuple[str, dict[int, str]],
) -> Found:
    table_name, names = table
    classes, numbers = _classes(rows, names)
    if not names and not all(map(NUMBER.fullmatch, classes)):
        for part, lines in rows.items():
            found = {row.label for row in lines}
            check_same_classes(texts[part].name, found, classes, all_there=False)
    if len(classes) < 2:
        raise UserError(
            f"{texts['train'].name}: all images are of the class {listed(classes)}; expected 2 or "
            "more classes"
        )
    parts = {}
    for part, lines in rows.items():
        file, files, labels = texts[part], [], []
        finder = finder_of(tree, part, file.name)
        for row in lines:
            label = numbers.get(row.label)
            if label is None:
                raise _unknown_label(file.name, row, table_name, classes)
            files.append(_find(finder, file.name, row, tree))
            labels.append(label)
        parts[part] = Listed(files, labels, file.name)
    called = "no table of their names (label_list.txt): the classes are called by their numbers"
    numbered = not names and all(name.isdigit() for name in classes)
    notes = [
        called if numbered else "",
        _what_holds(tree, texts),
        *from_elsewhere(tree, [file for one in parts.values() for file in one.files]),
        *doubts(parts),
        *_rest(tree, parts),
    ]
    return divided(classes, parts, [note for note in notes if note])


def _classes(rows: dict[str, list[Row]], names: dict[int, str]) -> tuple[list[str], dict[str, int]]:
    """Returns the names of the classes in order, and the position of each label of the lists."""
    texts = {row.label for lines in rows.values() for row in lines}
    if not all(map(NUMBER.fullmatch, texts)):
        own = {row.label for row in rows["train"]}
        classes = [names[number] for number in sorted(names)] or sorted(own)
        return classes, {name: position for position, name in enumerate(classes)}
    if not names:
        numbers = {int(row.label) for row in rows["train"]}
        names = {number: str(number) for number in numbers if number >= 0}
    order = sorted(names)
    known = {number: position for position, number in enumerate(order)}
    return [names[number] for number in order], {
        text: known[int(text)] for text in texts if int(text) in known
    }


def _unknown_label(name: str, row: Row, table: str, classes: Sequence[str]) -> UserError:
    whose = f"{table} has" if table else "the training list has"
    how = ", numbered from 0 unless it says otherwise" if table else ""
    return UserError(
        f"{name}: line {row.number}, {row.path} {row.label}: there is no class {row.label}; "
        f"{whose} {len(classes)} classes ({listed(classes)}){how}"
    )


def _find(finder: ListedFiles, name: str, row: Row, tree: FileTree) -> StoredFile:
    file = finder.find(row.path)
    if file is None:
        raise UserError(
            f"{name}: line {row.number}: {row.path} {finder.problem()}; the paths of a list begin "
            f"at {tree.place()}"
        )
    return file


def _what_holds(tree: FileTree, texts: dict[str, TextFile]) -> str:
    """Returns a line that tells that lists hold where class folders could be meant."""
    if len(tree.top) < 2:
        return ""
    lists = " and ".join(sorted(file.name for file in texts.values()))
    return f"{lists} tell the part and the class of each image; folders are not read for that"


def _rest(tree: FileTree, parts: dict[str, Listed]) -> list[str]:
    """Returns a line about images that are in no list."""
    used = {str(file) for one in parts.values() for file in one.files}
    rest = [name for name in image_names(tree) if str(tree.file(name)) not in used]
    return left_out(tree, rest, "in no list")
