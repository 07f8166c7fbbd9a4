"""What the page shows for one picture: likely classes, a map, and a measure of doubt."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

import data
import models
from common.download import no_downloads
from common.errors import UserError
from inference.attention_maps import maps
from inference.classifier import Classifier
from inference.pictures import enlarged, overlay, upright

MASKS = 20  # passes with dropout
_TOP = 5  # classes that are shown
_MIDDLE = (0.05, 0.95)  # the quantiles of the probability in the passes


class Doubt(NamedTuple):
    """What passes with random dropout say.

    Attributes:
        agree: how many of `MASKS` have the same most likely class as the pass without dropout.
        low: quantile of 5 % of that class's probability over the passes.
        high: quantile of 95 %.
    """

    agree: int
    low: float
    high: float


class Answer(NamedTuple):
    """What is known of one picture.

    Attributes:
        top: the most likely classes and their probabilities, the likeliest first.
        picture: as the model sees it, uint8 `(H, W, 3)`; a small one is enlarged.
        kind: of the map; None where the model has none.
        overlay: the map on the picture, uint8 `(H, W, 3)`.
        doubt: None for a model without dropout.
        truth: the name of the class that the data has; None where it is not known.
    """

    top: tuple[tuple[str, float], ...]
    picture: NDArray[np.uint8]
    kind: str | None
    overlay: NDArray[np.uint8] | None
    doubt: Doubt | None
    truth: str | None = None


class Respondent:
    """Answers for a classifier, one picture at a time, from any thread."""

    def __init__(self, classifier: Classifier):
        self.classifier = classifier
        # Maps and dropout change the model for a while; a page may be open twice.
        self._turn = threading.Lock()

    def of_file(self, path: str | Path) -> Answer:
        """Answers for an image file.

        Raises:
            UserError: when it can't be read; the message has its name, not its folder.
        """
        path = Path(path)
        try:
            pixels = self.classifier.read(path)
        except UserError as error:
            text = str(error).replace(str(path), path.name)
            raise UserError(text.removesuffix(f"; {data.REMEDY}")) from None
        return self.of_pixels(pixels)

    def of_pixels(self, pixels: NDArray[np.uint8], truth: str | None = None) -> Answer:
        """Answers for an image as the model sees it, uint8 `(3, S, S)`."""
        batch, names = pixels[np.newaxis], self.classifier.classes
        with self._turn:
            chances = softmax(self.classifier.logits(batch)[0].astype(np.float64))  # (C,)
            order = np.argsort(-chances, kind="stable")[:_TOP]
            found = maps(self.classifier, batch, order[:1].tolist())
            doubt = self._doubt(batch, int(order[0]))
        top = tuple((names[place], float(chances[place])) for place in order)
        large = enlarged(pixels)
        kind, laid = (found.kind, overlay(large, found.values[0])) if found else (None, None)
        return Answer(top, upright(large), kind, laid, doubt, truth)

    def _doubt(self, batch: NDArray[np.uint8], likeliest: int) -> Doubt | None:
        if not models.random_layers(self.classifier.model):
            return None
        passes = self.classifier.noisy_logits(batch, MASKS)[:, 0].astype(np.float64)
        chances = softmax(passes, axis=1)[:, likeliest]
        agree = int((passes.argmax(axis=1) == likeliest).sum())
        low, high = np.quantile(chances, _MIDDLE)
        return Doubt(agree, float(low), float(high))


class Example(NamedTuple):
    """A test image: as the model sees it, uint8 `(3, S, S)`, and the name of its class."""

    pixels: NDArray[np.uint8]
    truth: str


def examples(classifier: Classifier, most: int = 12) -> tuple[list[Example], str]:
    """Returns some test images of the run, from all classes in turn.

    Args:
        classifier: whose config names the data.
        most: how many.

    Returns:
        The images, and an empty text; or none, and why there are none: a key of `TEXTS`, or a
        sentence.
    """
    try:
        with no_downloads():
            source = data.build(classifier.config, "test", augment=False).source
    except UserError as error:
        return [], str(error)
    if tuple(source.classes) != classifier.classes:
        return [], "other_classes"
    found: list[Example] = []
    for place in _in_turn(source.labels):
        try:
            pixels = classifier.prepare(source.images[place])
        except UserError:  # a damaged one; the others can be shown
            continue
        found.append(Example(pixels, source.classes[source.labels[place]]))
        if len(found) == most:
            break
    return found, "" if found else "unreadable"


def _in_turn(labels: Sequence[int] | NDArray[np.int64]) -> list[int]:
    """Returns positions of images: the first of each class, then the second of each, and so on."""
    labels = np.asarray(labels)
    rank = np.zeros(len(labels), np.int64)  # how many of the class come before
    for label in np.unique(labels):
        of_class = labels == label
        rank[of_class] = np.arange(of_class.sum())
    order = np.lexsort((labels, rank))
    return [int(place) for place in order if labels[place] >= 0]
