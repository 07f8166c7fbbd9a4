"""A classifier: trained weights with their model, their classes and the preparation of images."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import paddle
from ml_collections import ConfigDict
from numpy.typing import NDArray
from paddle import nn
from scipy.special import softmax

import models
from common import threads
from common.errors import UserError
from common.reading import decode_text, read_bytes, user_path
from common.safetensors_files import weights_file
from configs.allowed_values import AUTO
from data.augment.transforms import EvalTransform
from data.layouts.class_names import parse_names
from engine.plan import other_weights
from engine.state import run_weights
from inference.inputs import ImageLike, pixels_of
from inference.prediction import Prediction, predicted
from inference.reading_ahead import in_order
from models.layers import changed

_BATCH = 16  # images that go through the model together
_AHEAD = 2  # batches that are read while another one goes through the model
_LARGEST_LIST = 8 << 20  # bytes of the names of classes


class Classifier:
    """A model in evaluation mode, with what is needed to use it right.

    Args:
        model: with its weights.
        config: a whole config, with the fields of the input filled in.
        classes: their names, in the order of the logits.
        origin: of the weights, for messages.
        said: what was decided in loading, a sentence each.
    """

    def __init__(
        self,
        model: nn.Layer,
        config: ConfigDict,
        classes: tuple[str, ...],
        origin: str,
        said: tuple[str, ...] = (),
    ):
        model.eval()
        self.model, self.config, self.classes = model, config, classes
        self.origin, self.said = origin, said
        self._upright = config.data.exif_orientation == "apply"  # as in training
        self._transform = EvalTransform(
            config.model.image_size, config.data.eval_crop, config.data.interpolation
        )

    @overload
    def __call__(self, images: ImageLike, batch: int = ...) -> Prediction: ...

    @overload
    def __call__(self, images: Sequence[ImageLike], batch: int = ...) -> list[Prediction]: ...

    def __call__(
        self, images: ImageLike | Sequence[ImageLike], batch: int = _BATCH
    ) -> Prediction | list[Prediction]:
        """Classifies an image, or a list of them.

        Args:
            images: a path, an http or https address, the bytes of a file, an image of Pillow's, a
                uint8 array `(H, W, 3)`; or a list of these, or an array `(B, H, W, 3)`.
            batch: how many images go through the model together.

        Returns:
            A prediction; for a list a list of them, in the same order.

        Raises:
            UserError: for the first image that can't be read.
        """
        many = isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4
        found = []
        for number, one in enumerate(self.stream(cast(Any, images) if many else [images], batch)):
            if isinstance(one, UserError):
                raise UserError(f"image {number}: {one}" if many else str(one))
            found.append(one)
        return found if many else found[0]

    def stream(
        self, images: Iterable[ImageLike | UserError], batch: int = _BATCH
    ) -> Iterator[Prediction | UserError]:
        """Yields predictions one after the other; threads read the next images meanwhile.

        Args:
            images: as in a call; they are taken as they are needed, so there may be any number. An
                error in the place of an image comes out as it is.
            batch: how many images go through the model together.

        Yields:
            In the same order, a prediction for each image; or, for one that can't be read, the
            error that says why.
        """
        if batch < 1:
            raise UserError(f"a batch of {batch} images: expected 1 or more")
        arrays = in_order(self._read_or_error, images, _AHEAD * batch, threads.available() + 1)
        while read := list(itertools.islice(arrays, batch)):
            good = [one for one in read if not isinstance(one, UserError)]
            rows = iter(self.probabilities(np.stack(good)).tolist() if good else ())
            for one in read:
                yield one if isinstance(one, UserError) else predicted(self.classes, next(rows))

    def read(self, image: ImageLike) -> NDArray[np.uint8]:
        """Reads an image as the model sees it, before normalisation: `(3, S, S)`.

        Raises:
            UserError: when it can't be read.
        """
        return self.prepare(pixels_of(image, self._upright))

    def _read_or_error(self, image: ImageLike | UserError) -> NDArray[np.uint8] | UserError:
        try:
            return image if isinstance(image, UserError) else self.read(image)
        except UserError as error:
            return error

    def prepare(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resizes and crops an image, uint8 `(H, W, 3)`, to `(3, S, S)`."""
        return self._transform(image, None).transpose(2, 0, 1)

    @paddle.no_grad()
    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the logits `(B, C)` of images that `read` or `prepare` made, `(B, 3, S, S)`."""
        parts = [pixels[start : start + _BATCH] for start in range(0, len(pixels), _BATCH)]
        return np.concatenate([self.model(self.normalised(part)).numpy() for part in parts])

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns the probabilities `(B, C)` of images `(B, 3, S, S)`, which go as one batch."""
        with paddle.no_grad():
            logits = self.model(self.normalised(pixels)).numpy()
        return softmax(logits.astype(np.float64), axis=-1)

    @paddle.no_grad()
    def noisy_logits(
        self, pixels: NDArray[np.uint8], masks: int, seed: int = 0
    ) -> NDArray[np.float32]:
        """Returns logits `(masks, B, C)`: each image passes with several dropout masks.

        All layers but the random ones are as in evaluation: batch norm keeps its statistics. An
        image has the same masks whatever the other images are on a CPU; paddle's random numbers
        are seeded.

        Args:
            pixels: uint8 `(B, 3, S, S)`.
            masks: how many passes.
            seed: of the masks.
        """
        layers = dict(self.model.named_sublayers(include_self=True))
        random = [layers[name] for name in models.random_layers(self.model)]
        passes = np.empty((masks, len(pixels), len(self.classes)), np.float32)
        with changed(random, training=True):
            for start in range(0, len(pixels), _BATCH):
                images = self.normalised(pixels[start : start + _BATCH])
                rows = range(start, start + len(images))
                for mask in range(masks):
                    paddle.seed(int(np.random.SeedSequence((seed, mask)).generate_state(1)[0]))
                    with models.batch_rows(rows):
                        passes[mask, rows.start : rows.stop] = self.model(images).numpy()
        return passes

    @paddle.no_grad()
    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns what the (first) head reads, `(B, D)`, for images `(B, 3, S, S)`."""
        with self.model.head_inputs() as found:
            self.logits(pixels)
        return np.concatenate([one.numpy() for one in found])

    def normalised(self, pixels: NDArray[np.uint8]) -> paddle.Tensor:
        """Returns what the model takes, float32 `(B, 3, S, S)`."""
        return models.normalise(paddle.to_tensor(np.ascontiguousarray(pixels)), self.config.model)


def load(
    weights: str | Path, model: str = AUTO, classes: Sequence[str] | str | Path = ()
) -> Classifier:
    """Loads a classifier.

    Args:
        weights: a weights file of this project, or the folder of its run; or weights of another
            library, as `docs/weights.md` lists them.
        model: for weights that do not name their model: a key of `models.MODELS`, or auto.
        classes: other names for the classes, in the order of the outputs: a list of them, or a
            file with one in each line. Without it they are those that the weights name.

    Raises:
        UserError: for weights that can't be read or do not tell what they are for, and for another
            number of names than of classes.
    """
    origin = weights_file(str(weights))
    names = _named(classes)
    stored = run_weights.read(origin)
    if stored.config is None or stored.classes is None:
        return _load_other(origin, model, names)
    config = stored.config
    if model not in (AUTO, config.model.name):
        raise UserError(f"{origin} is of the model {config.model.name}, not {model}; leave it out")
    given = config.model.image_size, config.data.eval_crop, config.model.mean, config.model.std
    if not all(given):
        raise UserError(
            f"{origin}: its config lacks the size of the images, or what they are normalised with"
        )
    if names:
        other_weights.check_count(len(names), len(stored.classes), origin)
    network = models.build(config.model)
    models.assign_all(network, stored.arrays, origin)
    return Classifier(network, config, names or stored.classes, origin)


def _load_other(origin: str, model: str, names: tuple[str, ...]) -> Classifier:
    """Loads weights of another library."""
    found = other_weights.describe(origin, model, names)
    network = models.build(found.config.model)
    report = models.load_weights(network, origin)
    if report.initialised:
        raise UserError(
            f"{origin}: {report.initialised[0]} is not in it: its head can't be used as it is"
        )
    return Classifier(network, found.config, found.classes, origin, (*found.said, *report.said))


def _named(classes: Sequence[str] | str | Path) -> tuple[str, ...]:
    """Returns the names of classes of a list, or of a file."""
    if not isinstance(classes, (str, Path)):
        return tuple(map(str, classes))
    if not str(classes):
        return ()
    path = user_path(classes)
    numbered = parse_names(str(path), decode_text(read_bytes(path, _LARGEST_LIST), str(path)))
    if sorted(numbered) not in (list(range(len(numbered))), list(range(1, len(numbered) + 1))):
        raise UserError(f"{path}: its numbers of classes have gaps; expected 0, 1, 2, ...")
    return tuple(numbered[number] for number in sorted(numbered))
