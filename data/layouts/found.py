"""What is found in a tree of files: the images of each part with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data.files.stored_files import StoredFile
from data.images.images_and_labels import ImageFiles, ImagesAndLabels

TEST_EVERY = 10  # of the images that are in no part, every tenth of a class is for the test


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
