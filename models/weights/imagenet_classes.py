"""Finds the 1000 classes of ImageNet (ILSVRC 2012) by WordNet id, in the order of every head."""

from collections.abc import Sequence
from pathlib import Path

from common.errors import UserError

CLASSES = 1000
# WordNet ids such as `n01440764`, one for each class; sorted, as in each data set of them.
_FILE = Path(__file__).with_name("imagenet_wnids.txt")


def imagenet_ids() -> tuple[str, ...]:
    """Returns the WordNet ids of the 1000 classes, in the order of every head."""
    return tuple(_FILE.read_text(encoding="utf-8").split())


def imagenet_rows(names: Sequence[str]) -> tuple[int, ...]:
    """Returns the classes of an ImageNet-1k head that a data set's classes are.

    Args:
        names: WordNet ids of the data set's classes.

    Raises:
        UserError: when one of them is no class of ImageNet-1k.
    """
    known = {name: row for row, name in enumerate(imagenet_ids())}
    strangers = [name for name in names if name not in known]
    if strangers:
        raise UserError(
            f"{len(strangers)} of {len(names)} classes are no WordNet ids of ImageNet's 1000 "
            f"classes, first {strangers[0]!r}: their part of the head can't be found"
        )
    return tuple(known[name] for name in names)
