"""Writes what VisualDL shows of a finished run: figures, settings, mistakes, curves, features."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray
from visualdl.component import base_component
from visualdl.proto.record_pb2 import Record

from engine.results.evaluation import Result
from engine.results.visualdl.curves import curve
from engine.results.visualdl.evaluated_images import EvaluatedImages
from engine.results.visualdl.mistakes_picture import EACH, draw_mistakes
from engine.results.visualdl.record_file import append, now, tag_name
from engine.results.visualdl.settings import settings
from program.run_folder import VISUALDL

_FIGURES = ("top1", "loss", "ece")


@dataclasses.dataclass
class Finished:
    """A run at its end.

    Attributes:
        config: with all fields resolved.
        classes: their names.
        steps: number of optimiser steps.
        global_batch: images of a step.
        result: on the test images.
        images: what was kept of them.
        probabilities: with labels, of the test images of all processes; None: no curves.
    """

    config: ConfigDict
    classes: tuple[str, ...]
    steps: int
    global_batch: int
    result: Result
    images: EvaluatedImages
    probabilities: tuple[NDArray[np.float64], NDArray[np.int64]] | None


def write(folder: Path, run: Finished) -> list[str]:
    """Adds the records of a finished run to the file in its folder, all or none.

    The log of a run, opened again after a resume, has removed those of an earlier end.

    Returns:
        A warning when they could not be written; the run is finished all the same. Else nothing.
    """
    try:
        if run.images.error:
            raise run.images.error
        append(folder / VISUALDL, _records(run))
    except Exception as error:  # of a library, of any kind: a finished run is worth more
        return [
            f"warning: {folder / VISUALDL} lacks mistakes, PR and ROC curves, features and the "
            f"final figures ({type(error).__name__}: {error}); the result is not affected"
        ]
    return []


def _records(run: Finished) -> Iterator[Record]:
    yield from _figures(run)
    mistakes = run.images.mistakes
    for number, start in enumerate(range(0, len(mistakes), EACH), start=1):
        picture = draw_mistakes(mistakes[start : start + EACH], run.classes)
        yield base_component.image(f"test/mistakes {number}", picture, run.steps, now())
    yield from _curves(run)
    yield from _features(run)


def _figures(run: Finished) -> Iterator[Record]:
    """Yields the figures of the test as curves of one point, and the settings that point to them.

    The page of hyper-parameters takes its figures from curves.
    """
    names = {name: getattr(run.result, name) for name in (*_FIGURES, "top5")}
    for name, value in names.items():
        if value is not None:
            yield base_component.scalar(f"test/{name}", value, run.steps, now())
    values = settings(run.config, run.global_batch, run.steps)
    yield base_component.hparam("settings", values, [f"test/{name}" for name in _FIGURES], now())


def _curves(run: Finished) -> Iterator[Record]:
    """Yields PR and ROC of each class against the others, where the test has images of it."""
    if run.probabilities is None:
        return
    probabilities, labels = run.probabilities
    for index in np.unique(labels).tolist():
        found = curve(labels == index, probabilities[:, index])
        name, counts = _numbered(run.classes, index), [part.tolist() for part in found]
        precision, recall = found.precision.tolist(), found.recall.tolist()
        # No other kind of record may have the same tag: VisualDL takes it for one of that kind.
        yield base_component.pr_curve_raw(
            f"test_pr/{name}", *counts, precision, recall, run.steps, now()
        )
        rates = recall, found.false_positive_rate.tolist()
        yield base_component.roc_curve_raw(f"test_roc/{name}", *counts, *rates, run.steps, now())


def _features(run: Finished) -> Iterator[Record]:
    """Yields what the head reads of each image, with its class and what it is taken for."""
    images = run.images
    rows = images.features
    if not rows.size or not np.isfinite(rows).all():
        return
    labels, predictions = (
        [_numbered(run.classes, index) for index in column.tolist()]
        for column in (images.feature_labels, images.feature_predictions)
    )
    right = ["right" if one == other else "wrong" for one, other in zip(labels, predictions)]
    yield base_component.embedding(
        "test_features",
        [labels, predictions, right],
        rows.tolist(),
        run.steps,
        ["class", "predicted", "right or wrong"],
        now(),
    )


def _numbered(classes: tuple[str, ...], index: int) -> str:
    """Returns the name of a class for a tag; its number keeps names apart, and in order."""
    return f"{index:0{len(str(len(classes) - 1))}d} {tag_name(classes[index])}"
