"""Reads parts that are folders: `train/<class>/*`, or `<class>/train/*` in each class."""

from __future__ import annotations

from collections import defaultdict

from ml_collections import ConfigDict

from common.errors import UserError, listed
from data.files.archive_tree import is_archive
from data.files.file_tree import FileTree
from data.images.image_folders import image_names, is_image, left_out
from data.layouts.class_folders import read_parts
from data.layouts.class_names import plain
from data.layouts.found import UNREAD, Found
from data.layouts.part_names import parts_among
from data.layouts.tables import find_metadata

_DEEPEST = 6  # folders that hold nothing but one folder
_MOVE = "move the class folders into one folder train/ if it is the name of a class"


def folders_with_images(tree: FileTree) -> list[str]:
    """Returns the top folders that have images."""
    return sorted({name.partition("/")[0] for name in image_names(tree) if "/" in name})


def only_folder(tree: FileTree) -> FileTree | None:
    """Returns the tree of the only top folder with images, if no images are next to it.

    A single class folder is none: it has images, but no folders with images.
    """
    folders = folders_with_images(tree)
    if len(folders) != 1 or any(is_image(tree, name) for name in tree.top_files):
        return None
    inner = tree.below(folders[0])
    return inner if folders_with_images(inner) else None


def class_root(tree: FileTree) -> FileTree:
    """Goes down to the folders of the classes, as long as there is a single folder."""
    for _ in range(_DEEPEST):
        inner = only_folder(tree)
        if inner is None:
            break
        tree = inner
    return tree


def find_part_folders(tree: FileTree, data_config: ConfigDict) -> Found | None:
    """Reads the parts whose folders are at the top of a tree; None where there are none.

    Raises:
        UserError: when the training part is missing or has no classes, or parts do not fit.
    """
    names = parts_among(tree.top, tree.place())
    if not names or is_class(tree, names):
        return None
    if "train" not in names:
        raise UserError(
            f"{tree.place()}: {listed([f'{name}/' for name in names.values()])} there, but no "
            f"train/ next to it; name the folder of the training images so, or {_MOVE}"
        )
    trees = {part: tree.below(name) for part, name in names.items()}
    full = {part: one for part, one in trees.items() if image_names(one)}
    tabled = find_metadata(full, data_config)
    if tabled:
        return tabled
    for part in trees:
        if part not in full and part != "train":
            raise UserError(
                f"{tree.place(names[part])}: no images, so others would be taken for it; put them "
                "there, or remove the folder"
            )
    roots = {part: class_root(one) for part, one in trees.items()}
    if not folders_with_images(roots["train"]):
        raise UserError(
            f"{tree.place(names['train'])}: {len(image_names(trees['train']))} images, but no "
            f"class folders; expected {names['train']}/<class>/*, or a list or table of their "
            f"classes (train_list.txt, train.csv) next to it; {_MOVE}"
            + _class_tars(trees["train"])
            + _tables(tree)
        )
    inner = [(part, roots[part]) for part in ("train", "val", "test") if part in roots]
    labelled = [part for part, one in inner if _has_classes(one, roots["train"])]
    notes = [
        line
        for part in trees
        if part not in labelled
        for line in left_out(tree, _full(tree, names[part]), f"{names[part]}/ has no class folders")
    ]
    rest = [name for name in tree.top if name not in names.values()]
    if len(labelled) == 1:
        _refuse_another_part(tree, rest, names["train"], roots["train"])
    for name in rest:
        notes += left_out(tree, _full(tree, name), "in none of the parts")
    return read_parts({part: (roots[part], f"{names[part]}/") for part in labelled}, notes)


def _has_classes(root: FileTree, train: FileTree) -> bool:
    """Returns whether a part has class folders; `test/unknown/` is none, its images are flat."""
    folders = folders_with_images(root)
    known = set(map(plain, train.top))
    return len(folders) > 1 or bool(known & set(map(plain, folders)))


def _refuse_another_part(tree: FileTree, rest: list[str], train: str, root: FileTree) -> None:
    """Refuses to take the test images from `train` where another folder has the same classes."""
    known = set(folders_with_images(root))
    same = [
        name for name in rest if set(folders_with_images(class_root(tree.below(name)))) == known
    ]
    if same:
        raise UserError(
            f"{tree.place()}: {listed([f'{name}/' for name in same])} next to {train}/ with the "
            "same class folders, and no test/ or val/: rename what is for the test to test/, and "
            "move others away"
        )


def _full(tree: FileTree, folder: str) -> list[str]:
    """Returns the images in a top folder, by their names in the tree."""
    return [f"{folder}/{name}" for name in image_names(tree.below(folder))]


def _class_tars(tree: FileTree) -> str:
    tars = [name for name in tree.names if is_archive(name)]
    if not tars:
        return ""
    return f"; it holds {listed(tars)}: unpack each into a folder of its name"


def _tables(tree: FileTree) -> str:
    """Returns a hint about tables that are not understood."""
    found = [
        name for name in tree.top_files if name.lower().endswith((".csv", ".json", ".xlsx", ".txt"))
    ]
    why = f" ({tree.memo[UNREAD]})" if tree.memo.get(UNREAD) else ""
    return f"; not understood: {listed(found)}{why}" if found else ""


def is_class(tree: FileTree, names: dict[str, str]) -> bool:
    """Returns whether `train` is a class, next to others such as `bus`: it has no class folders."""
    own = names.get("train", "")
    others = [name for name in folders_with_images(tree) if name != own]
    return (
        len(names) == 1
        and own.lower() in ("train", "trains")
        and len(others) > 1
        and not tree.below(own).top
        and any(is_image(tree, name) for name in tree.names if name.startswith(f"{own}/"))
    )


def find_parts_in_classes(tree: FileTree) -> Found | None:
    """Reads parts inside of class folders, `<class>/train/*` and `<class>/test/*`; None: no parts.

    A folder between may be there, the same in each class: `<class>/images/train/*`.

    Raises:
        UserError: when some of the classes are divided so, and others are not.
    """
    divided = {top: _parts_inside(tree, top) for top in folders_with_images(tree)}
    some = [top for top, parts in divided.items() if len(parts) > 1]
    if not some or len(divided) < 2:
        return None
    _refuse_several(tree, divided)
    for top, parts in divided.items():
        others = _beside(tree, top, parts)
        if "train" not in parts or others:
            has = listed([f"{name}/" for name in [*parts.values(), *others]]) or "no parts"
            raise UserError(
                f"{tree.place()}: classes are divided into parts, such as "
                f"{' and '.join(f'{name}/' for name in divided[some[0]].values())}, but {top}/ has "
                f"{has}; divide each class into the same parts, or put the parts on top: "
                f"train/{top}/"
            )
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for top, parts in divided.items():
        for part, folder in parts.items():
            found[part][top] = folder
    trees = {part: _regrouped(tree, part, folders) for part, folders in found.items()}
    used = {str(one.file(name)) for one in trees.values() for name in one.names}
    rest = [name for name in image_names(tree) if str(tree.file(name)) not in used]
    return read_parts(
        {part: (one, f"<class>/{part}/") for part, one in trees.items()},
        left_out(tree, rest, "in none of the parts"),
    )


def _refuse_several(tree: FileTree, divided: dict[str, dict[str, str]]) -> None:
    """Refuses folders that are data sets of their own: their parts have the same class folders."""
    sets = []
    for top, parts in divided.items():
        roots = [class_root(tree.below(folder)) for folder in parts.values()]
        inside = [set(folders_with_images(root)) for root in roots]
        if "train" in parts and len(parts) > 1 and len(set.intersection(*inside)) > 1:
            sets.append(f"{top}/")
    rest = [f"{top}/" for top in divided if f"{top}/" not in sets]
    if sets:
        are = f"{listed(sets)} are data sets" if len(sets) > 1 else f"{sets[0]} is a data set"
        beside = f", and {listed(rest)} next to it" if rest else ""
        raise UserError(
            f"{tree.place()}: {are} with parts and class folders{beside}; give one data set as "
            f"data.root, such as {tree.place(sets[0])}"
        )


def _parts_inside(tree: FileTree, top: str) -> dict[str, str]:
    """Returns the folders of the parts in a class folder."""
    inner = tree.below(top)
    folders, way = folders_with_images(inner), top
    if len(folders) == 1:
        way, inner = f"{top}/{folders[0]}", inner.below(folders[0])
        folders = folders_with_images(inner) or folders
        if folders == [way.rpartition("/")[2]]:
            way = top
    parts = parts_among(folders, tree.place(way))
    return {part: f"{way}/{name}" for part, name in parts.items()}


def _beside(tree: FileTree, top: str, parts: dict[str, str]) -> list[str]:
    """Returns the folders with images in a class folder that are of no part."""
    way = next(iter(parts.values()), top + "/").rpartition("/")[0]
    return [
        f"{way}/{name}"
        for name in folders_with_images(tree.below(way))
        if f"{way}/{name}" not in parts.values()
    ]


def _regrouped(tree: FileTree, part: str, folders: dict[str, str]) -> FileTree:
    """Returns the tree of a part, with the class folders at its top."""
    names = {
        f"{top}/{name}": f"{folder}/{name}"
        for top, folder in folders.items()
        for name in tree.below(folder).names
    }
    place = f"{tree.place()} ({part}): "
    return FileTree(place, names, folders, lambda name: tree.file(names[name]))
