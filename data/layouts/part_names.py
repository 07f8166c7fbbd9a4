"""Recognises the names of the parts of a data set, in whatever spelling."""

from __future__ import annotations

import re
from collections.abc import Iterable

from common.errors import UserError
from data.files.file_tree import FileTree

_WORDS = {
    "train": {
        *("train", "training", "trn", "trainset", "traindata", "trainlist"),
        *("训练", "训练集", "训练数据", "训练样本"),
    },
    "val": {
        *("val", "valid", "validation", "validate", "vali", "dev", "devel", "development"),
        *("eval", "evaluation", "evaluate", "valset", "validset", "vallist", "valdata"),
        *("验证", "验证集", "验证数据", "校验", "校验集", "验证样本"),
    },
    "test": {
        *("test", "tests", "testing", "tst", "testset", "testdata", "testlist"),
        *("测试", "测试集", "测试数据", "测试样本"),
    },
}
# Words that say nothing about which part it is.
_GENERIC = {
    *("set", "sets", "data", "dataset", "split", "part", "folder", "files", "file", "dir"),
    *("image", "images", "img", "imgs", "pic", "pics", "picture", "pictures", "photo", "photos"),
    *("jpg", "jpeg", "png", "list", "lists", "label", "labels", "labeled", "labelled", "raw"),
}
_KNOWN = set.union(*_WORDS.values()) | _GENERIC
_TOKENS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")


def words(name: str) -> list[str]:
    """Splits a name at signs, digits and capitals, into words of small letters.

    Capitals do not divide where that leaves a known word: `TrAiN`.
    """
    plain = _TOKENS.findall(name.lower())
    if all(word in _KNOWN or word.isdigit() for word in plain):
        return plain
    return [word.lower() for word in _TOKENS.findall(name)]


def part_of(name: str) -> str:
    """Returns `train`, `val` or `test` for a name that has one such word; empty for others.

    Other words in it are ignored: see `parts_among`.
    """
    found = {part for word in words(name) for part, known in _WORDS.items() if word in known}
    return found.pop() if len(found) == 1 else ""


def _rest(name: str) -> tuple[str, ...]:
    """Returns the words that are neither a part nor generic; numbers say nothing either."""
    return tuple(word for word in words(name) if word not in _KNOWN and not word.isdigit())


def parts_among(names: Iterable[str], place: str) -> dict[str, str]:
    """Finds the parts among the names of folders or files.

    `training_set` is a part by itself. A name with other words in it (`seg_train`) is one where
    another part has the same words (`seg_test`).

    Args:
        names: of the folders.
        place: where they are, for the error.

    Returns:
        The name by the part.

    Raises:
        UserError: when two names are of one part.
    """
    candidates = {name: part_of(name) for name in names}
    candidates = {name: part for name, part in candidates.items() if part}
    found: dict[str, str] = {}
    for name, part in candidates.items():
        rest = _rest(name)
        others = [
            other for other in candidates if candidates[other] != part and _rest(other) == rest
        ]
        if rest and not others:
            continue
        if part in found:
            raise UserError(
                f"{place}: {found[part]} and {name} are both names of the {part} part; rename or "
                "remove one"
            )
        found[part] = name
    return found


# Folders of what belongs to pictures: masks, boxes and other kinds of labels.
MASKS = {
    *("annotation", "annotations", "label", "labels", "mask", "masks", "segmentation", "trimaps"),
    *("segmentationclass", "segmentationobject", "gt", "ground_truth", "groundtruth", "bbox"),
    *("bboxes", "boxes", "labelme", "json", "xml", "yolo", "depth", "target", "targets"),
    *("gtfine", "gtcoarse", "seg", "masks_png", "label_images", "trimap"),
}


def folders_of_part(tree: FileTree, part: str) -> list[str]:
    """Returns the top folders in which the images of a part may be, that a list or table names.

    That is the folder of the part, or else those that are of no other part, and have no masks.
    """
    parts = parts_among(tree.top, tree.place())
    if part in parts:
        return [parts[part]]
    others = set(parts.values())
    return [name for name in tree.top if name not in others and name.lower() not in MASKS]
