"""The 1000 classes of ImageNet (ILSVRC 2012) by WordNet id, in the order of every ImageNet-1k
head.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from common.errors import UserError

CLASSES = 1000
_FILE = Path(__file__).with_name("imagenet_wnids.txt")  # sorted, as every data set of them is


@cache
def wnids() -> tuple[str, ...]:
    """The WordNet ids, such as `n01440764`, by class."""
    return tuple(_FILE.read_text(encoding="utf-8").split())


def imagenet_rows(names: Sequence[str]) -> tuple[int, ...]:
    """The classes of an ImageNet-1k head that a data set's classes are, by WordNet id.

    Raises:
        UserError: when one is none of the thousand.
    """
    known = {name: row for row, name in enumerate(wnids())}
    strangers = [name for name in names if name not in known]
    if strangers:
        raise UserError(
            f"{len(strangers)} of {len(names)} classes are no WordNet ids of ImageNet's 1000 classes, first "
            f"{strangers[0]!r}: their part of the head can't be found"
        )
    return tuple(known[name] for name in names)
