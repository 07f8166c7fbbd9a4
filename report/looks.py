"""What the models of runs say to test images: the part of the page that needs forward passes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

import data
import models
from common.errors import UserError
from inference import Classifier, load
from inference.own_data import own_data
from program.config import config_fields
from report.runs import Run

MOST_IMAGES, MASKS = 2000, 20
_NOISY_IMAGES, _CHUNK = 300, 16
_SECONDS = 15.0  # for each kind of pass, when the number of images is not given


class Part(NamedTuple):
    """Images of one part of the data, and the logits for them.

    Attributes:
        dataset: without augmentation.
        positions: of the images in it, `(N,)`, in order.
        labels: `(N,)`.
        logits: `(N, C)`.
    """

    dataset: data.ImageDataset
    positions: NDArray[np.int64]
    labels: NDArray[np.int64]
    logits: NDArray[np.float32]

    @property
    def predicted(self) -> NDArray[np.int64]:
        return np.asarray(self.logits.argmax(axis=1))

    @property
    def hits(self) -> NDArray[np.bool_]:
        return self.predicted == self.labels

    def pixels(self, row: int) -> NDArray[np.uint8]:
        """Reads the image of a row again, as the model sees it: uint8 `(3, S, S)`."""
        return np.asarray(self.dataset[(0, int(self.positions[row]))][0])

    def name(self, row: int) -> str:
        """Returns the place of the image of a row in the data."""
        return self.dataset.source.name(int(self.positions[row]))


class Look(NamedTuple):
    """A model and what it says.

    Attributes:
        classifier: the model.
        test: test images.
        val: validation images that training did not see; None: there are none.
        noisy: logits `(masks, n, C)` with dropout; None: the model has no random layer.
        noisy_positions: `(n,)`, of their images in the test part.
        total: how many test images there are.
    """

    classifier: Classifier
    test: Part
    val: Part | None
    noisy: NDArray[np.float32] | None
    noisy_positions: NDArray[np.int64]
    total: int


def look(run: Run, images: int | None = None) -> Look:
    """Loads the model of a run, and passes test images through it.

    Args:
        run: with weights.
        images: how many test images are used at most; None: at most `MOST_IMAGES`, and so many as
            the time allows. They are chosen at random with a fixed seed.

    Raises:
        UserError: when weights or images are missing, or do not belong together.
    """
    classifier = load(run.folder)
    places = {**_places(run.config), "data.on_corrupt": "skip"}
    test = own_data(classifier, "test", places)
    _check_same_images(run, test)
    seen = _pass(classifier, test, images, _order(len(test), images or MOST_IMAGES))
    return Look(
        classifier,
        seen,
        _validation(classifier, places, images),
        *_noisy(classifier, seen, images),
        len(test),
    )


def _check_same_images(run: Run, test: data.ImageDataset) -> None:
    """Checks that the test images are those of the result; a data set may have changed since.

    Raises:
        UserError: when they are not.
    """
    known = run.test_identity
    if known and known != test.identity():
        raise UserError(
            f"{run.config.data.root or run.config.data.name} has other test images now "
            f"({len(test):,}) than when {run.name} was tested ({known.get('images')}); put the old "
            "ones back"
        )


def _places(config: ConfigDict) -> dict[str, object]:
    """Returns where the data is now: the folder's config says it later than the weights do."""
    names = ("root", "train_list", "val_list", "test_list", "label_list", "cache_dir")
    return {f"data.{name}": config.data[name] for name in names}


def _order(count: int, most: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).permutation(count)[:most]


def _in_time(chunks: int, limited: bool) -> Iterator[int]:
    """Yields numbers of chunks, while there is time; the first, which may compile, is not timed."""
    begin = time.monotonic()
    for number in range(chunks):
        if number == 1:
            begin = time.monotonic()
        if limited and time.monotonic() > begin + _SECONDS:
            return
        yield number


def _pass(
    classifier: Classifier,
    dataset: data.ImageDataset,
    images: int | None,
    order: NDArray[np.int64],
) -> Part:
    positions, labels, logits = [], [], []
    for number in _in_time(-(-len(order) // _CHUNK), images is None):
        chunk = order[number * _CHUNK : (number + 1) * _CHUNK]
        items = [dataset[(0, int(position))] for position in chunk]
        good = [place for place, item in enumerate(items) if item[1] != data.UNREADABLE]
        if not good:
            continue
        logits.append(classifier.logits(np.stack([items[place][0] for place in good])))
        positions += chunk[good].tolist()
        labels += [items[place][1] for place in good]
    if not positions:
        raise UserError("none of the images is readable")
    by_place = np.argsort(positions)
    return Part(
        dataset,
        np.asarray(positions)[by_place],
        np.asarray(labels)[by_place],
        np.concatenate(logits)[by_place],
    )


def _validation(
    classifier: Classifier, places: dict[str, object], images: int | None
) -> Part | None:
    """Returns held-out images; None where the run has none, or they can't be read."""
    try:
        config = config_fields.changed(classifier.config, places)
        if not (config.data.holdout or data.has_own_val(config)):
            return None
        val = own_data(classifier, "val", places)
        return _pass(classifier, val, images, _order(len(val), images or MOST_IMAGES))
    except UserError:
        return None


def _noisy(
    classifier: Classifier, test: Part, images: int | None
) -> tuple[NDArray[np.float32] | None, NDArray[np.int64]]:
    if not models.random_layers(classifier.model):
        return None, np.zeros(0, np.int64)
    rows = _order(len(test.labels), images or _NOISY_IMAGES)
    found = []
    for number in _in_time(-(-len(rows) // _CHUNK), images is None):
        chunk = rows[number * _CHUNK : (number + 1) * _CHUNK]
        pixels = np.stack([test.pixels(int(row)) for row in chunk])
        found.append(classifier.noisy_logits(pixels, MASKS))
    logits = np.concatenate(found, axis=1)
    return logits, test.positions[rows[: logits.shape[1]]]


def look_at_all(
    runs: list[Run], images: int | None, say: Callable[[str], None]
) -> tuple[dict[str, Look], dict[str, str]]:
    """Looks at several runs.

    Args:
        runs: in order.
        images: see `look`.
        say: gets a line for each run that can't be looked at.

    Returns:
        What was seen, and why there is nothing, both by the folder of the run.
    """
    seen, reasons = {}, {}
    for run in runs:
        try:
            seen[str(run.folder)] = look(run, images)
        except UserError as error:
            reasons[str(run.folder)] = str(error)
            say(f"{run.name}: without pictures and tests of the model: {error}")
    return seen, reasons
