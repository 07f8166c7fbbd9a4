"""Models whose noise has a known effect: the head reads the pixels, behind one noise layer."""

from __future__ import annotations

import numpy as np
from paddle import nn

from configs import default
from models.layers import Dropout, DropPath
from models.multipass import MultiPass


class Pixels(MultiPass):
    """The features are the normalised pixels, after `noise`."""

    def __init__(self, noise: nn.Layer, size: int, classes: int = 3):
        super().__init__()
        self.pos_drop = noise
        self.blocks = nn.LayerList([])
        self.head = nn.Linear(3 * size * size, classes)

    def embed(self, images):
        return images.flatten(1)

    def pool(self, tokens):
        return tokens


def dropping(rate: float, size: int) -> Pixels:
    """Returns a model with dropout of the pixels."""
    return Pixels(Dropout(rate), size)


def dropping_images(rate: float, size: int) -> Pixels:
    """Returns a model that drops whole images."""
    return Pixels(DropPath(rate), size)


def config_of(size: int):
    """Returns a config whose normalisation makes -1 and 1 of black and white."""
    config = default.get_config()
    config.model.update(image_size=size, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return config


def signs(images: int, size: int) -> np.ndarray:
    """Returns black and white pixels, each image with its opposite: their mean is exactly grey."""
    half = np.random.default_rng(0).integers(0, 2, (images // 2, 3, size, size))
    return (255 * np.concatenate([half, 1 - half])).astype(np.uint8)
