"""Keeps, while the test images are evaluated, what is shown of them when the run ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

import data
from engine import distributed
from models.multipass import MultiPass

MOST_CLASSES = 20  # of which PR and ROC curves are drawn
_MOST_FEATURES = 1000  # images
_MOST_MISTAKES = 32
_MOST_NUMBERS = 20_000_000  # of all probabilities; the images of all processes are brought together


class Mistake(NamedTuple):
    """A misclassified image: uint8 `(3, S, S)`, two positions in the classes, a probability."""

    pixels: NDArray[np.uint8]
    label: int
    predicted: int
    confidence: float


class EvaluatedImages:
    """What the evaluation of one model has shown.

    Features and mistakes are those of this process's images, which are every n-th of n processes.
    A fault here must not end a run: it is kept in `error`, and nothing more is collected.

    Args:
        images: number of images of all processes.
        classes: their number.

    Attributes:
        features: what the head reads, float32 `(N, D)`, of the first readable images.
        feature_labels: their classes, `(N,)`, and `feature_predictions`, what they are taken for.
        mistakes: those with the highest probabilities, the highest first.
    """

    def __init__(self, images: int, classes: int):
        self._images, self._classes = images, classes
        self._probabilities: list[NDArray[np.float32]] = []
        self._labels: list[NDArray[np.int64]] = []
        self._features: list[NDArray[np.float32]] = []
        self._read = 0  # images whose features are kept
        self.feature_labels = self.feature_predictions = np.zeros(0, np.int64)
        self.mistakes: list[Mistake] = []
        self.error: Exception | None = None

    @property
    def features(self) -> NDArray[np.float32]:
        return np.concatenate(self._features) if self._features else np.zeros((0, 0), np.float32)

    @contextmanager
    def watching(self, model: MultiPass) -> Iterator[None]:
        """A context in which the features of a model's passes are kept."""
        with model.head_inputs() as self._head_inputs:
            yield

    def add(self, batch: data.Batch, logits: NDArray[np.float32]) -> None:
        """Takes a batch that has just passed.

        Args:
            batch: of B images.
            logits: `(B, C)`.
        """
        try:
            if self.error is None:
                self._add(batch, logits)
        except Exception as error:
            self.error = error
        finally:
            self._head_inputs.clear()

    def _add(self, batch: data.Batch, logits: NDArray[np.float32]) -> None:
        labels = batch.labels.numpy()
        probabilities = softmax(logits, axis=1)
        self._labels.append(labels)
        if self._curves:
            self._probabilities.append(probabilities)
        predicted = logits.argmax(axis=1)
        readable = labels != data.UNREADABLE
        self._add_features(labels, predicted, readable)
        confidence = np.nan_to_num(probabilities[np.arange(len(labels)), predicted])
        wrong = np.flatnonzero(readable & (predicted != labels))
        wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:_MOST_MISTAKES]
        if len(wrong):
            pixels = batch.pixels().numpy()[wrong]
            rows = zip(pixels, labels[wrong], predicted[wrong], confidence[wrong])
            found = [Mistake(row[0], int(row[1]), int(row[2]), float(row[3])) for row in rows]
            together = sorted([*self.mistakes, *found], key=lambda one: -one.confidence)
            self.mistakes = together[:_MOST_MISTAKES]

    def _add_features(
        self,
        labels: NDArray[np.int64],
        predicted: NDArray[np.int64],
        readable: NDArray[np.bool_],
    ) -> None:
        rows = np.flatnonzero(readable)[: _MOST_FEATURES - self._read]
        if not len(rows) or not self._head_inputs:
            return
        read = self._head_inputs[-1].astype("float32").numpy()
        self._features.append(read.reshape(len(labels), -1)[rows])
        self._read += len(rows)
        self.feature_labels = np.append(self.feature_labels, labels[rows])
        self.feature_predictions = np.append(self.feature_predictions, predicted[rows])

    @property
    def _curves(self) -> bool:
        """Whether there are few enough numbers for curves: the same on all processes."""
        return self._classes <= MOST_CLASSES and self._images * self._classes <= _MOST_NUMBERS

    def gathered(self) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
        """Returns probabilities `(N, C)` and labels `(N,)` of all processes' readable images.

        It has to be called on all of them. None where there are many classes or images.
        """
        if not self._curves:
            return None
        rows = np.zeros((self._images, self._classes + 1))
        if self._labels and self.error is None:
            mine = rows[distributed.rank() :: distributed.world_size()]
            mine[:, :-1] = np.concatenate(self._probabilities)
            # 0: no such image, or an unreadable one.
            mine[:, -1] = np.concatenate(self._labels) - data.UNREADABLE
        rows = distributed.sum_over_ranks(rows)
        rows = rows[rows[:, -1] > 0]
        return rows[:, :-1], rows[:, -1].astype(np.int64) + data.UNREADABLE
