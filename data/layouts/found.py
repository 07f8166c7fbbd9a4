"""What is found in a tree of files: the images of each part with their labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from data.files.file_tree import FileTree
from data.files.stored_files import DiskFile, StoredFile
from data.images.images_and_labels import ImageFiles, ImagesAndLabels

TEST_EVERY = 10  # of the images that are in no part, every tenth of a class is for the test

UNREAD = "why the table is not read"  # in the memo of a tree, for messages


class Listed(NamedTuple):
    """The images of one part.

    Attributes:
        files: of the images.
        labels: positions in the classes.
        origin: where the part comes from, in a word, such as `train/`.
    """

    files: list[StoredFile]
    labels: list[int]
    origin: str


class Found(NamedTuple):
    """A whole data set.

    Attributes:
        classes: names of the classes; a label is a position in them.
        parts: by their names: `train` and `test`, and `val` where the data has it in addition.
        notes: lines about what was left out or decided.
    """

    classes: tuple[str, ...]
    parts: dict[str, Listed]
    notes: tuple[str, ...] = ()

    def part(self, name: str, exif: bool) -> ImagesAndLabels | None:
        """Returns a part, whose images are decoded when they are read; None where there is none."""
        listed = self.parts.get(name)
        if listed is None:
            return None
        labels = np.array(listed.labels, np.int64)
        images = ImageFiles(listed.files, exif)
        return ImagesAndLabels(images, labels, self.classes, listed.origin, self.notes)


def divided(classes: Sequence[str], parts: dict[str, Listed], notes: Sequence[str] = ()) -> Found:
    """Returns the data set with a `train` and a `test` part.

    `val` is the test part where there is no other. Without both, every tenth image of each class,
    from the fifth on, is for the test; a class of one image has none there.
    """
    parts = dict(parts)
    if "test" not in parts and "val" in parts:
        parts["test"] = parts.pop("val")
    if "test" not in parts:
        whole = parts.pop("train")
        labels = np.array(whole.labels, np.int64)
        test = np.zeros(len(labels), bool)
        for label in range(len(classes)):
            members = np.flatnonzero(labels == label)
            start = min(TEST_EVERY // 2, len(members) - 1)
            test[members[start::TEST_EVERY] if len(members) > 1 else []] = True
        for name, chosen in (("train", ~test), ("test", test)):
            positions = np.flatnonzero(chosen).tolist()
            parts[name] = Listed(
                [whole.files[position] for position in positions],
                labels[positions].tolist(),
                f"{whole.origin or 'the class folders'}, "
                + (f"one in {TEST_EVERY} of a class" if name == "test" else "the others"),
            )
    return Found(tuple(classes), parts, tuple(notes))


def doubts(parts: dict[str, Listed]) -> list[str]:
    """Returns warnings for images that are in two parts, or listed twice in one."""
    lines = []
    labels = {part: _labels_of(one) for part, one in parts.items()}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        shared = sorted(labels.get(one, {}).keys() & labels.get(other, {}).keys())
        if shared:
            lines.append(
                f"warning: {len(shared)} images are in {parts[one].origin} and in "
                f"{parts[other].origin}, such as {shared[0]}: what is measured on them is not to "
                "be trusted"
            )
    for part, known in labels.items():
        unclear = sorted(place for place, some in known.items() if len(set(some)) > 1)
        again = sorted(place for place, some in known.items() if len(some) > 1)
        if unclear:
            lines.append(
                f"warning: {parts[part].origin} has {len(unclear)} images with two classes, such "
                f"as {unclear[0]}: is it a list of objects in images?"
            )
        elif again:
            lines.append(
                f"warning: {parts[part].origin} has {len(again)} images more than once, such as "
                f"{again[0]}"
            )
    return lines


def from_elsewhere(tree: FileTree, files: Iterable[StoredFile]) -> list[str]:
    """Returns a line about files that are not below the folder of a tree."""
    start = tree.place("x")[:-1]
    paths = [
        file.path
        for file in files
        if isinstance(file, DiskFile) and not file.path.startswith(start)
    ]
    real = os.path.join(os.path.realpath(tree.place()), "")
    outside = [path for path in paths if not os.path.realpath(path).startswith(real)]
    if not outside:
        return []
    return [f"{len(outside)} images are read from outside of {tree.place()}, such as {outside[0]}"]


def _labels_of(part: Listed) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for file, label in zip(part.files, part.labels):
        found.setdefault(str(file), []).append(label)
    return found
