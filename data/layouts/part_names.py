"""Recognises the names of the parts of a data set, in whatever spelling."""

from __future__ import annotations

import re
from collections.abc import Iterable

from common.errors import UserError

_WORDS = {
    "train": {"train", "training", "trn", "trainset", "traindata", "训练", "训练集", "训练数据"},
    "val": {
        *("val", "valid", "validation", "validate", "vali", "dev", "devel", "development"),
        *("eval", "evaluation", "valset", "validset", "验证", "验证集", "验证数据"),
    },
    "test": {
        "test",
        "tests",
        "testing",
        "tst",
        "testset",
        "testdata",
        "测试",
        "测试集",
        "测试数据",
    },
}
# Words that say nothing about which part it is.
_GENERIC = {
    *("set", "sets", "data", "dataset", "split", "part", "folder", "files", "file", "dir"),
    *("image", "images", "img", "imgs", "pic", "pics", "picture", "pictures", "photo", "photos"),
    *("jpg", "jpeg", "png", "list", "lists", "label", "labels", "labeled", "labelled", "raw"),
}
_TOKENS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")


def words(name: str) -> list[str]:
    """Splits a name at signs, digits and capitals, into words of small letters."""
    return [word.lower() for word in _TOKENS.findall(name)]


def part_of(name: str) -> str:
    """Returns `train`, `val` or `test` for a name that has one such word; empty for others.

    Other words in it are ignored: see `parts_among`.
    """
    found = {part for word in words(name) for part, known in _WORDS.items() if word in known}
    return found.pop() if len(found) == 1 else ""


def _rest(name: str) -> tuple[str, ...]:
    """Returns the words that are neither a part nor generic; numbers say nothing either."""
    known = set.union(*_WORDS.values()) | _GENERIC
    return tuple(word for word in words(name) if word not in known and not word.isdigit())


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
