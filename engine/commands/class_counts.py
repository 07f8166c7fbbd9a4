"""Counts of an evaluation by class: how many images of each class were taken for which."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import data
from common.atomic_writing import write_text
from common.errors import UserError
from engine import distributed
from measures.intervals import wilson

_MOST_CLASSES = 5_000  # of which a square table takes 200 MB


class ClassRow(NamedTuple):
    """What the images of a class were taken for."""

    name: str
    images: int
    hits: int
    confused_with: str  # the class that most of its other images were taken for; empty: none
    confused: int  # how many

    def as_dict(self) -> dict[str, Any]:
        """Returns the row for JSON; the accuracy of a class without images is None."""
        return {
            "class": self.name,
            "images": self.images,
            "hits": self.hits,
            "top1": self.hits / self.images if self.images else None,
            "top1_interval": list(wilson(self.hits, self.images)),
            "confused_with": self.confused_with,
            "confused": self.confused,
        }


class ClassCounts:
    """Counts pairs of a class and what its image was taken for.

    Args:
        classes: names, in the order of the logits.

    Raises:
        UserError: for more classes than a table can have.
    """

    def __init__(self, classes: tuple[str, ...]):
        if len(classes) > _MOST_CLASSES:
            raise UserError(
                f"a table of {len(classes):,} classes is too large, expected at most "
                f"{_MOST_CLASSES:,}; leave --by_class and --confusion out"
            )
        self.classes = classes
        # The last column is for logits that are not numbers, which are no class.
        self._pairs = np.zeros((len(classes), len(classes) + 1))

    def add(self, batch: data.Batch, logits: NDArray[Any]) -> None:
        """Counts a batch with its logits `(B, C)`; unreadable images are left out."""
        labels = batch.labels.numpy()
        valid = labels != data.UNREADABLE
        logits, labels = logits[valid], labels[valid]
        found = np.where(np.isnan(logits).any(axis=1), len(self.classes), logits.argmax(axis=1))
        np.add.at(self._pairs, (labels, found), 1)

    def total(self) -> NDArray[np.int64]:
        """Returns the counts of all processes, `(C, C + 1)`: by class, and by what was seen."""
        return distributed.sum_over_ranks(self._pairs).round().astype(np.int64)


def rows_of(counts: NDArray[np.int64], classes: tuple[str, ...]) -> list[ClassRow]:
    """Returns a row for each class, in their order."""
    rows = []
    for place, name in enumerate(classes):
        others = counts[place, :-1].copy()
        others[place] = 0
        worst = int(others.argmax())
        wrong = int(others[worst])
        images, hits = int(counts[place].sum()), int(counts[place, place])
        rows.append(ClassRow(name, images, hits, classes[worst] if wrong else "", wrong))
    return rows


def write_confusion(path: Path, counts: NDArray[np.int64], classes: tuple[str, ...]) -> None:
    """Writes counts as CSV: a row for each class, a column for each class that was seen."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    strange = counts[:, -1].any()
    names = [_text(name) for name in classes]
    writer.writerow(["class", *names, *(["not a number"] if strange else [])])
    for name, row in zip(names, counts.tolist()):
        writer.writerow([name, *(row if strange else row[:-1])])
    try:
        write_text(path, text.getvalue())
    except OSError as error:
        raise UserError(f"--confusion: {path} can't be written ({error.strerror})") from None


def _text(name: str) -> str:
    """Returns a name that can be written as UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
