"""Decides what a tree of files holds: lists, tables, or folders of parts and classes."""

from __future__ import annotations

from ml_collections import ConfigDict

from common.errors import UserError, listed
from data.files.archive_tree import is_archive
from data.files.file_tree import FileTree
from data.files.open_tree import cache_folder, open_archives, open_root
from data.images.image_folders import image_names
from data.images.image_kinds import ending_of
from data.layouts.class_folders import ClassFolders
from data.layouts.found import Found, divided
from data.layouts.parquet_files import find_parquet
from data.layouts.part_folders import (
    class_root,
    find_part_folders,
    find_parts_in_classes,
    folders_with_images,
    only_folder,
)
from data.layouts.part_names import part_of
from data.layouts.path_lists import find_lists, lists_at_top
from data.layouts.tables import find_tables, tables_at_top

_DEEPEST = 6  # folders that hold nothing but one folder
# What of the config decides what is found.
_FIELDS = (
    *("cache_dir", "train_list", "val_list", "test_list", "label_list"),
    *("image_column", "label_column"),
)
_LISTS = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".list", ".lst")


def find(data_config: ConfigDict) -> Found:
    """Finds the parts, classes and images of `data.root`.

    Raises:
        UserError: when it holds no data set that is understood, with what was found in its place.
    """
    tree = open_root(data_config)
    key = ("found", *(data_config[field] for field in _FIELDS))
    if key not in tree.memo:
        tree.memo[key] = _find(tree, data_config)
    return tree.memo[key]


def _find(tree: FileTree, data_config: ConfigDict) -> Found:
    notes: list[str] = []
    for depth in range(_DEEPEST):
        opened = _with_archives(tree, data_config)
        if opened is not tree:
            tree, notes = opened, [f"the images are in {opened.place()}"]
        _check_links(tree)
        found = _at(tree, data_config, top=depth == 0)
        if found:
            return found._replace(notes=(*notes, *found.notes))
        inner = only_folder(tree) or _folder_of_archives(tree)
        if inner is None:
            break
        notes = [f"the images are in {inner.place()}", *_unread(tree, inner)]
        tree = inner
    return _class_folders(tree, notes)


def _at(tree: FileTree, data_config: ConfigDict, top: bool) -> Found | None:
    """Returns the data set whose lists, tables or parts are at the top of a tree; None: none."""
    found = (
        find_lists(tree, data_config, top)
        or find_tables(tree, data_config)
        or find_parquet(tree, data_config)
    )
    if found:
        return found
    found = find_part_folders(tree, data_config) or find_parts_in_classes(tree)
    return found and found._replace(notes=(*found.notes, *_unread(tree)))


def _with_archives(tree: FileTree, data_config: ConfigDict) -> FileTree:
    """Returns a tree without images together with what is in its archives."""
    if image_names(tree):
        return tree
    keep = bool(lists_at_top(tree) or tables_at_top(tree))
    opened = open_archives(tree, cache_folder(data_config), keep)
    return _with_archives(opened, data_config) if opened else tree


def _check_links(tree: FileTree) -> None:
    """Refuses links to nothing that may be folders: of a class, or of a part."""
    lost = sorted(name for name in tree.dead if not ending_of(name))
    if lost:
        raise UserError(
            f"{tree.place(lost[0])}: a link to nothing; is its disk there? mend or remove it"
        )


def _folder_of_archives(tree: FileTree) -> FileTree | None:
    """Returns the only top folder of a tree without images, if it holds archives."""
    if len(tree.top) != 1 or image_names(tree):
        return None
    inner = tree.below(tree.top[0])
    return inner if any(map(is_archive, inner.names)) else None


def _unread(tree: FileTree, inner: FileTree | None = None) -> list[str]:
    """Returns a line about lists or tables of parts that are not read.

    Args:
        tree: where they may be.
        inner: a tree in it that is looked at by itself.
    """
    names = [
        name
        for name in tree.names
        if name.count("/") < 2
        and not (inner and tree.place(name).startswith(inner.place(" ")[:-1]))
        and name.lower().endswith(_LISTS)
        and part_of(name.rpartition("/")[2].rpartition(".")[0])
    ]
    if not names:
        return []
    return [
        f"not read: {listed(names)}; the folders tell the part and the class of each image (set "
        "data.train_list to use a list)"
    ]


def _class_folders(tree: FileTree, notes: list[str]) -> Found:
    """Returns class folders without parts, which are divided."""
    _refuse_parts(tree)
    folders = ClassFolders(tree, "")
    listings = folders.listed(folders.classes)
    return divided(folders.classes, {"train": listings}, [*notes, *folders.notes, *_unread(tree)])


def _refuse_parts(tree: FileTree) -> None:
    """Refuses folders that are rather parts, each with the same classes, than classes."""
    tops = folders_with_images(tree)
    named = [name for name in tops if part_of(name)]
    inside = {name: frozenset(folders_with_images(class_root(tree.below(name)))) for name in tops}
    several = len({part_of(name) for name in named}) > 1
    if several and (named == tops or any(inside[name] for name in named)):
        raise UserError(
            f"{tree.place()}: {listed(named)} are names of parts, not of classes; expected "
            "train/<class>/* and test/<class>/*"
        )
    shared = set(inside.values())
    if len(tops) > 1 and len(shared) == 1 and len(classes := sorted(shared.pop())) >= len(tops):
        raise UserError(
            f"{tree.place()}: {listed(tops)} have the same folders inside, {listed(classes)}; if "
            "those are the classes, call the folders above them train/ and test/, or give one of "
            "them as data.root; if not, put the images of each class into one folder"
        )
