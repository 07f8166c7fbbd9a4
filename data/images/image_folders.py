"""Lists the images of a tree of files, and counts what is no image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from common.errors import UserError, listed
from data.files.file_tree import FileTree
from data.files.folder_tree import list_folder
from data.files.stored_files import StoredFile
from data.images.image_kinds import (
    BEGINNING,
    ending_of,
    kind_by_content,
    kind_by_ending,
    may_be_image,
    readable_kinds,
    remedy,
)


def image_names(tree: FileTree) -> list[str]:
    """Lists the images at any depth of a tree, in order.

    A link to nothing with an image's ending is an image, too, a damaged one: reading it is then an
    error. An image of a kind that this installation can't read is none.
    """
    if "images" not in tree.memo:
        tree.memo["images"] = [name for name in tree.names if is_image(tree, name)]
    return tree.memo["images"]


def is_image(tree: FileTree, name: str) -> bool:
    """Returns whether a file is an image; one without an ending is read for it."""
    kind = kind_by_ending(name)
    if not kind and may_be_image(name) and name not in tree.dead:
        kind = _kind_of(tree.file(name))
    return kind in readable_kinds()


def _kind_of(file: StoredFile) -> str:
    try:
        return kind_by_content(file.beginning(BEGINNING))
    except UserError:
        return ""


def left_out(tree: FileTree, names: Iterable[str], what: str) -> list[str]:
    """Counts files by their endings, in one line for people; no line where there are none.

    Args:
        tree: where they are.
        names: of the files.
        what: why they are not used.
    """
    groups = defaultdict(list)
    for name in [*names]:
        groups[ending_of(name) or "no ending"].append(name)
    if not groups:
        return []
    texts = []
    for ending, members in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        kind = kind_by_ending(members[0])
        hint = f"; {remedy(kind)}" if kind and kind not in readable_kinds() else ""
        texts.append(f"{len(members)} {ending} (such as {tree.place(members[0])}{hint})")
    return [f"left out, {what}: {listed(texts)}"]


def images_below(folder: Path) -> list[Path]:
    """Lists the images of a folder of the disk at any depth, sorted by path.

    Links are followed; hidden folders and traces of systems are left out.

    Raises:
        UserError: for a folder that can't be listed, or a link that leads back to where it is.
    """
    return [folder / name for name in image_names(list_folder(folder))]
