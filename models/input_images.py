"""The images that weights expect: statistics of pixels, evaluation crop; and normalising them."""

from typing import NamedTuple

import numpy as np
from paddle import Tensor

from models.layers import operators

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF = (0.5, 0.5, 0.5)


class InputStats(NamedTuple):
    """The images that a model's weights expect."""

    mean: tuple[float, float, float] = _HALF  # of pixels in 0 to 1, for each channel
    std: tuple[float, float, float] = _HALF
    crop_fraction: float = 1.0  # side of the central crop over that of the resized image
    interpolation: str = "bicubic"  # of the resizing


def normalise(images: Tensor, model_config) -> Tensor:
    """Turns uint8 pixels into the values that the model's weights expect, on the device.

    Args:
        images: uint8 `(B, 3, S, S)`.
        model_config: the `model` part of a config; its `mean` and `std` are of pixels in 0 to 1,
            for each channel.

    Returns:
        float32 `(B, 3, S, S)`.
    """
    mean, deviation = (
        np.array(one, np.float32) * 255 for one in (model_config.mean, model_config.std)
    )
    return operators.normalise(images, mean, deviation)
