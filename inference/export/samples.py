"""The images that an export is checked, calibrated and measured with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import data
from common.errors import UserError
from inference.classifier import Classifier
from inference.own_data import own_data

_BATCH = 16
_MADE_UP = 32  # images where there are no real ones


class Samples(NamedTuple):
    """Images with their labels, read as they are needed.

    Attributes:
        dataset: a part of the data of the run; None: the images are made up.
        size: of the images, in pixels.
        total: how many of them.
        said: which images they are, for people.
    """

    dataset: data.ImageDataset | None
    size: int
    total: int
    said: str

    def batches(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Yields pixels `(B, 3, S, S)` and labels `(B,)`; made-up images have the label -1.

        Images that can't be read are left out, where the config of the run does so.
        """
        if self.dataset is None:
            yield _made_up(self.total, self.size), np.full(self.total, -1)
            return
        chosen = np.linspace(0, len(self.dataset) - 1, self.total).astype(int).tolist()
        for start in range(0, len(chosen), _BATCH):
            items = [self.dataset[0, index] for index in chosen[start : start + _BATCH]]
            good = [item[:2] for item in items if item[1] != data.UNREADABLE]
            if good:
                pixels, labels = zip(*good)
                yield np.stack(pixels), np.array(labels)


def test_part(classifier: Classifier, root: str, most: int) -> Samples:
    """Returns the test images of the data that weights were trained on.

    Args:
        classifier: whose config names the data.
        root: where the data is now; empty: where it was.
        most: of images, spread evenly over the part; 0: all.

    Returns:
        The images. Where the data is not there, or has other classes, made-up ones, which say why.

    Raises:
        UserError: where `root` is given, and has not the data.
    """
    try:
        dataset = own_data(classifier, "test", _at(root))
    except UserError as error:
        if root:
            raise
        size = classifier.config.model.image_size
        return Samples(None, size, _MADE_UP, f"{_MADE_UP} made-up images, since {error}")
    count = min(most or len(dataset), len(dataset))
    origin = f" ({dataset.source.origin})" if dataset.source.origin else ""
    said = f"{count:,} of {len(dataset):,} test images of {classifier.config.data.name}{origin}"
    return Samples(dataset, dataset.transform.size, count, said)


def training_part(classifier: Classifier, root: str, most: int) -> Samples:
    """Returns training images, prepared as in evaluation, for calibration; see `test_part`.

    Raises:
        UserError: where the data is not there.
    """
    dataset = own_data(classifier, "train", _at(root))
    count = min(most, len(dataset))
    return Samples(dataset, dataset.transform.size, count, f"{count:,} training images")


def _at(root: str) -> dict[str, object]:
    return {"data.root": root} if root else {}


def _made_up(count: int, size: int) -> NDArray[np.uint8]:
    """Returns blurred coloured noise, the same at every call: `(count, 3, size, size)`."""
    rng = np.random.default_rng(0)
    noise = rng.normal(128, 60, (count, 3, size, size))
    smooth = (noise + np.roll(noise, 1, 2) + np.roll(noise, 1, 3) + np.roll(noise, 2, 3)) / 2 - 128
    return np.clip(smooth, 0, 255).astype(np.uint8)
