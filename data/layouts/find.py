"""Decides what a tree of files holds: lists, tables, or folders of parts and classes."""

from __future__ import annotations

from pathlib import Path

from ml_collections import ConfigDict

from common.errors import UserError, listed
from data.files.archive_tree import is_archive, list_archive
from data.files.file_tree import FileTree
from data.files.open_tree import cache_folder, open_root
from data.files.stored_files import DiskFile
from data.images.image_folders import image_names, is_image, left_out
from data.layouts.class_folders import ClassFolders, read_parts, transposed
from data.layouts.found import Found, divided
from data.layouts.part_names import part_of, parts_among
from data.layouts.path_lists import find_lists
from data.layouts.tables import find_metadata, find_tables

_DEEPEST = 6  # folders that hold nothing but one folder


def find(data_config: ConfigDict) -> Found:
    """Finds the parts, classes and images of `data.root`.

    Raises:
        UserError: when it holds no data set that is understood, with what was found in its place.
    """
    tree = open_root(data_config)
    notes: list[str] = []
    for depth in range(_DEEPEST):
        found = _at(tree, data_config, top=depth == 0)
        if found:
            return found._replace(notes=(*notes, *found.notes))
        inner = _only_folder(tree) or _only_archive(tree, cache_folder(data_config))
        if inner is None:
            break
        tree, notes = inner, [f"the images are in {inner.place()}"]
    return _class_folders(tree, notes)


def _at(tree: FileTree, data_config: ConfigDict, top: bool) -> Found | None:
    """Returns the data set whose lists, tables or parts are at the top of a tree; None: none."""
    from data.layouts.parquet_files import find_parquet

    return (
        find_lists(tree, data_config, top)
        or find_tables(tree, data_config)
        or find_parquet(tree, data_config)
        or _parts(tree, data_config)
        or _transposed(tree)
    )


def _with_images(tree: FileTree) -> list[str]:
    """Returns the top folders that have images."""
    return sorted({name.partition("/")[0] for name in image_names(tree) if "/" in name})


def _only_folder(tree: FileTree) -> FileTree | None:
    """Returns the tree of the only top folder with images, if no images are next to it.

    A single class folder is none: it has images, but no folders with images.
    """
    folders = _with_images(tree)
    if len(folders) != 1 or any(is_image(tree, name) for name in tree.top_files):
        return None
    inner = tree.below(folders[0])
    return inner if _with_images(inner) else None


def _only_archive(tree: FileTree, cache: Path) -> FileTree | None:
    """Returns the tree of the archives in a folder without images."""
    archives = [name for name in tree.top_files if is_archive(name)]
    if not archives or image_names(tree):
        return None
    file = tree.file(archives[0])
    if len(archives) > 1 or not isinstance(file, DiskFile):
        raise UserError(
            f"{tree.place()}: holds the archives {listed(archives)}; unpack them, or give one of "
            "them as data.root"
        )
    return list_archive(Path(file.path), cache)


def _class_root(tree: FileTree) -> FileTree:
    """Goes down to the folders of the classes, as long as there is a single folder."""
    for _ in range(_DEEPEST):
        inner = _only_folder(tree)
        if inner is None:
            break
        tree = inner
    return tree


def _parts(tree: FileTree, data_config: ConfigDict) -> Found | None:
    names = parts_among(tree.top, tree.place())
    if not names or _is_class(tree, names):
        return None
    if "train" not in names:
        raise UserError(
            f"{tree.place()}: {listed([f'{name}/' for name in names.values()])} there, but no "
            "train/ next to it; name the folder of the training images so (a class can't be called "
            "like a part)"
        )
    trees = {part: tree.below(name) for part, name in names.items()}
    labelled = {part: one for part, one in trees.items() if _with_images(_class_root(one))}
    tabled = find_metadata(
        {part: one for part, one in trees.items() if image_names(one)}, data_config
    )
    if tabled:
        return tabled
    if "train" not in labelled:
        raise UserError(
            f"{tree.place(names['train'])}: {len(image_names(trees['train']))} images, but no "
            f"class folders; expected {names['train']}/<class>/*, or a list or table of their "
            "classes (train_list.txt, train.csv) next to it" + _class_tars(trees["train"])
        )
    notes = [
        line
        for part, one in trees.items()
        if part not in labelled
        for line in left_out(tree, _full(tree, names[part]), f"{names[part]}/ has no class folders")
    ]
    rest = [name for name in tree.top if name not in names.values()]
    for name in rest:
        notes += left_out(tree, _full(tree, name), "in none of the parts")
    roots = {part: (_class_root(one), f"{names[part]}/") for part, one in labelled.items()}
    return read_parts(roots, notes)


def _full(tree: FileTree, folder: str) -> list[str]:
    """Returns the images in a top folder, by their names in the tree."""
    return [f"{folder}/{name}" for name in image_names(tree.below(folder))]


def _class_tars(tree: FileTree) -> str:
    tars = [name for name in tree.names if is_archive(name)]
    if not tars:
        return ""
    return f"; it holds {listed(tars)}: unpack each into a folder of its name"


def _is_class(tree: FileTree, names: dict[str, str]) -> bool:
    """Returns whether `train` is a class, next to others such as `bus`: it has no class folders."""
    others = [name for name in _with_images(tree) if name not in names.values()]
    return (
        names == {"train": "train"}
        and len(others) > 1
        and not tree.below("train").top
        and any(is_image(tree, name) for name in tree.names if name.startswith("train/"))
    )


def _transposed(tree: FileTree) -> Found | None:
    parts = transposed(tree)
    if not parts:
        return None
    trees = {
        part: (_regrouped(tree, part, folders), f"<class>/{part}/")
        for part, folders in parts.items()
    }
    return read_parts(trees)


def _regrouped(tree: FileTree, part: str, folders: dict[str, str]) -> FileTree:
    """Returns the tree of a part, with the class folders at its top."""
    names = {
        f"{top}/{name}": f"{folder}/{name}"
        for top, folder in folders.items()
        for name in tree.below(folder).names
    }
    place = f"{tree.place()} ({part}): "
    return FileTree(place, names, folders, lambda name: tree.file(names[name]))


def _class_folders(tree: FileTree, notes: list[str]) -> Found:
    """Returns class folders without parts, which are divided."""
    bad = [name for name in tree.top if part_of(name)]
    if len(bad) > 1 and not _is_class(tree, {"train": "train"}):
        raise UserError(
            f"{tree.place()}: {listed(bad)} are names of parts, not of classes; expected "
            "train/<class>/* and test/<class>/*"
        )
    folders = ClassFolders(tree, "")
    listings = folders.listed(folders.classes)
    return divided(folders.classes, {"train": listings}, [*notes, *folders.notes])
