"""Compares exported models with the one that they were made from: logits, accuracy, speed, size."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.classifier import Classifier
from inference.export.runners import Refused, Runner
from inference.export.samples import Samples
from measures.intervals import wilson

BATCHES = (1, 16)  # sizes whose speed is measured
# Largest difference of logits in float32, in units of the largest logit, or of 1.
TOLERANCE = 1e-4
_SECONDS = 0.5  # of measuring, for each size
_LEAST = 3  # measurements


class Opened(NamedTuple):
    """A model that is ready to run: what it is, its files, and what computes logits."""

    name: str  # for people
    files: tuple[Path, ...]
    run: Runner
    kept: bool = True  # whether it is part of the export


class Row(NamedTuple):
    """What is known of one model.

    Attributes:
        name: of the format, and its precision.
        kept: whether it is part of the export.
        bytes: of its files.
        difference: the largest of its logits from those of the model of this project.
        scale: the largest logit of that model, or 1 where all are smaller.
        agreement: share of the images that get the same class.
        hits: how many labelled images are right.
        images: how many are labelled.
        top1: hits over images; None without labels.
        low: lower end of its 95 % interval.
        high: upper end.
        speeds: images in a second, by the size of the batch.
    """

    name: str
    kept: bool
    bytes: int
    difference: float
    scale: float
    agreement: float
    hits: int
    images: int
    top1: float | None
    low: float | None
    high: float | None
    speeds: dict[str, float]


class _Tally:
    """Sums of one model over the batches."""

    def __init__(self) -> None:
        self.difference, self.same, self.seen, self.hits, self.labelled = 0.0, 0, 0, 0, 0
        self.scale, self.finite = 1.0, True

    def add(
        self, logits: NDArray[np.float32], expected: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> None:
        best = logits.argmax(axis=1)
        self.finite &= bool(np.isfinite(logits).all())
        self.difference = max(self.difference, float(np.abs(logits - expected).max()))
        self.scale = max(self.scale, float(np.abs(expected).max()))
        self.same += int((best == expected.argmax(axis=1)).sum())
        self.hits += int((best == labels).sum())
        self.seen, self.labelled = self.seen + len(labels), self.labelled + int((labels >= 0).sum())


def compare(classifier: Classifier, models: Sequence[Opened], samples: Samples) -> list[Row]:
    """Runs all models on the same images; the first row is the model of this project itself.

    Raises:
        Refused: when a model gives another number of logits, or numbers that are not finite.
    """
    own = Opened("this project", (), classifier.logits, kept=False)
    tallies = [_Tally() for _ in (own, *models)]
    for pixels, labels in samples.batches():
        expected = classifier.logits(pixels)
        tallies[0].add(expected, expected, labels)
        for model, tally in zip(models, tallies[1:]):
            logits = model.run(pixels)
            if logits.shape != expected.shape:
                raise Refused(
                    f"{model.name} gives logits {logits.shape}, expected {expected.shape}"
                )
            tally.add(logits, expected, labels)
            if not tally.finite:
                raise Refused(f"{model.name} gives logits that are not finite")
    pixels = next(samples.batches())[0]
    rows = zip((own, *models), tallies)
    return [_row(model, tally, _speeds(model.run, pixels)) for model, tally in rows]


def check_agreement(row: Row) -> None:
    """Checks that a float32 model computes what the model of this project does.

    Raises:
        Refused: when it does not.
    """
    if not row.difference <= TOLERANCE * row.scale:  # also where it is not a number
        raise Refused(
            f"{row.name} differs from the model by {row.difference:.2g} in a logit, more than "
            f"{TOLERANCE:g} of the largest one, {row.scale:.3g}"
        )


def check_drop(row: Row, reference: Row, most: float) -> None:
    """Checks that a model of lower precision keeps the accuracy.

    Args:
        row: the model.
        reference: the same in float32.
        most: how much top-1 may fall, a fraction.

    Raises:
        Refused: when it falls more.
    """
    assert row.top1 is not None
    assert reference.top1 is not None
    if reference.top1 - row.top1 > most:
        raise Refused(
            f"{row.name} has a top-1 of {row.top1:.4f}, float32 {reference.top1:.4f}: it loses "
            f"{reference.top1 - row.top1:.4f}, more than --max_drop={most:g}"
        )


def _row(model: Opened, tally: _Tally, speeds: dict[str, float]) -> Row:
    size = sum(path.stat().st_size for path in model.files)
    hits, images = tally.hits, tally.labelled
    top1, low, high = (hits / images, *wilson(hits, images)) if images else (None, None, None)
    measured = (tally.difference, tally.scale, tally.same / max(tally.seen, 1))
    return Row(model.name, model.kept, size, *measured, hits, images, top1, low, high, speeds)


def _speeds(run: Runner, pixels: NDArray[np.uint8]) -> dict[str, float]:
    """Returns images in a second for each size of batch: the median of some passes."""
    speeds = {}
    for size in BATCHES:
        batch = np.resize(pixels, (size, *pixels.shape[1:]))
        speeds[str(size)] = size / _seconds(functools.partial(run, batch))
    return speeds


def _seconds(work: Callable[[], object]) -> float:
    work()  # the first call with a size prepares
    taken: list[float] = []
    while len(taken) < _LEAST or sum(taken) < _SECONDS:
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def table(rows: Sequence[Row]) -> str:
    """Returns the rows as a Markdown table."""
    head = (
        "| model | MB | largest difference | top-1 (95 % interval) | images/s, batch 1 | batch 16 |"
    )
    lines = [head, "|---|---|---|---|---|---|"]
    for row in rows:
        size = f"{row.bytes / 1e6:.2f}" if row.bytes else ""
        off = f"{row.difference:.1e}" if row.bytes else ""
        top1 = "not measured"
        if row.top1 is not None and row.low is not None and row.high is not None:
            top1 = f"{100 * row.top1:.2f} ({100 * row.low:.2f} to {100 * row.high:.2f})"
        speeds = " | ".join(f"{speed:,.1f}" for speed in row.speeds.values())
        name = row.name if row.kept or not row.bytes else f"{row.name}, not kept"
        lines.append(f"| {name} | {size} | {off} | {top1} | {speeds} |")
    return "\n".join(lines)
