"""A classifier: trained weights with their model, their classes and the preparation of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
from ml_collections import ConfigDict
from numpy.typing import NDArray
from paddle import nn

import models
from common.errors import UserError
from common.safetensors_files import weights_file
from data.augment.transforms import EvalTransform
from data.images.image_files import decode
from engine.state import run_weights

_BATCH = 16  # images that go through the model together


class Classifier:
    """A model in evaluation mode, with what is needed to use it right.

    Args:
        model: with its weights.
        config: a whole config, with the fields of the input filled in.
        classes: their names, in the order of the logits.
        origin: of the weights, for messages.
    """

    def __init__(self, model: nn.Layer, config: ConfigDict, classes: tuple[str, ...], origin: str):
        model.eval()
        self.model, self.config, self.classes, self.origin = model, config, classes, origin
        self._upright = config.data.exif_orientation == "apply"  # as in training
        self._transform = EvalTransform(
            config.model.image_size, config.data.eval_crop, config.data.interpolation
        )

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Reads an image file as the model sees it, before normalisation: `(3, S, S)`.

        Raises:
            UserError: when it can't be read.
        """
        return self.prepare(decode(path, str(path), self._upright))

    def prepare(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resizes and crops an image, uint8 `(H, W, 3)`, to `(3, S, S)`."""
        return self._transform(image, None).transpose(2, 0, 1)

    @paddle.no_grad()
    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the logits `(B, C)` of images that `read` or `prepare` made, `(B, 3, S, S)`."""
        parts = [pixels[start : start + _BATCH] for start in range(0, len(pixels), _BATCH)]
        return np.concatenate([self.model(self.normalised(part)).numpy() for part in parts])

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
        for layer in random:
            layer.training = True
        try:
            for start in range(0, len(pixels), _BATCH):
                images = self.normalised(pixels[start : start + _BATCH])
                rows = range(start, start + len(images))
                for mask in range(masks):
                    paddle.seed(int(np.random.SeedSequence((seed, mask)).generate_state(1)[0]))
                    with models.batch_rows(rows):
                        passes[mask, rows.start : rows.stop] = self.model(images).numpy()
        finally:
            for layer in random:
                layer.training = False
        return passes

    @paddle.no_grad()
    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns what the (first) head reads, `(B, D)`, for images `(B, 3, S, S)`."""
        found: list[NDArray[np.float32]] = []
        head = self.model
        for name in self.model.heads[0].split("."):
            head = getattr(head, name)
        hook = head.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].numpy()))
        try:
            self.logits(pixels)
        finally:
            hook.remove()
        return np.concatenate(found)

    def normalised(self, pixels: NDArray[np.uint8]) -> paddle.Tensor:
        """Returns what the model takes, float32 `(B, 3, S, S)`."""
        return models.normalise(paddle.to_tensor(np.ascontiguousarray(pixels)), self.config.model)


def load(weights: str | Path) -> Classifier:
    """Loads a classifier.

    Args:
        weights: a weights file that this project wrote, or the folder of its run.

    Raises:
        UserError: for weights that can't be read, or do not say what they are for.
    """
    origin = weights_file(str(weights))
    arrays, config, classes, *_ = run_weights.read(origin)
    if config is None or classes is None:
        raise UserError(
            f"{origin} does not name its model and classes; only weights of this project do"
        )
    given = config.model.image_size, config.data.eval_crop, config.model.mean, config.model.std
    if not all(given):
        raise UserError(
            f"{origin}: its config lacks the size of the images, or what they are normalised with"
        )
    model = models.build(config.model)
    models.assign_all(model, arrays, origin)
    return Classifier(model, config, classes, origin)
