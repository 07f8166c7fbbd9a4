"""How weights expect their input: statistics of the pixels and the evaluation crop; and normalising
by them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from paddle import Tensor

from models.layers import operators

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


class InputStats(NamedTuple):
    """How a model's weights expect images: statistics of pixels in 0 to 1, and the evaluation crop.

    `crop_fraction` is the side of the central crop over that of the image, resized by
    `interpolation`.
    """

    mean: tuple[float, float, float] = HALF
    std: tuple[float, float, float] = HALF
    crop_fraction: float = 1.0
    interpolation: str = "bicubic"


def normalise(images: Tensor, config) -> Tensor:
    """Turn uint8 pixels into what the model's weights expect, on the device.

    Args:
        images: uint8 `(B, 3, S, S)`.
        config: the `model` part of a config; `mean` and `std` are of pixels in 0 to 1, by channel.
    """
    mean, deviation = (np.array(one, np.float32) * 255 for one in (config.mean, config.std))
    return operators.normalise(images, mean, deviation)
