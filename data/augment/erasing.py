"""Random erasing: boxes of an image are overwritten.

Paper: Zhong et al., arXiv:1708.04896. As timm's `RandomErasing`, which works on normalised images:
0 is the mean colour, and the noise has the images' own spread. Changed from timm: each image's
numbers are a function of its key.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import paddle
from paddle import Tensor

_AREA = (0.02, 1 / 3)  # smallest and largest share of the image, of all boxes together
_ASPECT = (0.3, 1 / 0.3)  # smallest and largest height over width
_ATTEMPTS = 10  # to draw a box that fits


class Erasing:
    """Overwrite boxes with noise, or with zeros.

    Args:
        probability: of an image to be erased from; 0: off.
        mode: `const` (zeros), `rand` (one normal number a box and channel) or `pixel` (one for each
            pixel, too).
        count: the most boxes of an image; how many there are is drawn from 1 to this.
    """

    def __init__(self, probability: float, mode: str, count: int):
        self.probability, self.mode, self.count = probability, mode, count

    @property
    def active(self) -> bool:
        return self.probability > 0

    def __call__(self, images: Tensor, keys: Sequence[tuple[int, ...]]) -> Tensor:
        """Erase from a batch, in place.

        Args:
            images: float32 `(B, 3, S, S)`, normalised.
            keys: B keys, of which each decides all about its image.

        Returns:
            The same tensor.
        """
        channels, height, width = images.shape[1:]
        for position, key in enumerate(keys):
            rng = np.random.default_rng(key)
            if rng.random() >= self.probability:
                continue
            for top, left, h, w in boxes(height, width, int(rng.integers(1, self.count + 1)), rng):
                images[position, :, top : top + h, left : left + w] = self._filling(
                    channels, h, w, rng
                )
        return images

    def _filling(self, channels: int, height: int, width: int, rng: np.random.Generator) -> Tensor:
        """What a box is overwritten with, `(channels, height, width)`."""
        shape = (channels, height, width) if self.mode == "pixel" else (channels, 1, 1)
        values = np.zeros(shape) if self.mode == "const" else rng.normal(size=shape)
        return paddle.to_tensor(
            np.broadcast_to(values, (channels, height, width)).astype(np.float32)
        )


def boxes(
    height: int, width: int, count: int, rng: np.random.Generator
) -> Iterator[tuple[int, int, int, int]]:
    """Draw `count` boxes `(top, left, height, width)`, in pixels; one that fits in none of its
    attempts is left out.

    Area is uniform, `1 / count` of the range each, and the aspect uniform in its logarithm.
    """
    for _ in range(count):
        for _ in range(_ATTEMPTS):
            area = rng.uniform(*_AREA) * (height * width) / count
            aspect = math.exp(rng.uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1])))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if h < height and w < width:
                yield int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
                break
