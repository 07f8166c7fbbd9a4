"""Random erasing: boxes of an image are overwritten, on the device.

Paper: Zhong et al., arXiv:1708.04896. The same as timm's `RandomErasing`, which works on normalised
images: 0 is the mean colour, and the noise has the spread of the images. Changed from timm: each
image's random numbers are a function of its key.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import paddle

_AREA = (0.02, 1 / 3)  # smallest and largest share of the image that all boxes have together
_ASPECT = (0.3, 1 / 0.3)  # smallest and largest height over width
_ATTEMPTS = 10  # to draw a box that fits


class Erasing:
    """Overwrites boxes with noise, or with zeros.

    Args:
        probability: that an image is erased from; 0: off.
        mode: `const` (zeros), `rand` (a normal number for each box and channel) or `pixel` (a
            normal number for each pixel and channel).
        count: largest number of boxes in an image; the number is drawn from 1 to this.
    """

    def __init__(self, probability: float, mode: str, count: int):
        self.probability, self.mode, self.count = probability, mode, count

    @property
    def active(self) -> bool:
        return self.probability > 0

    def __call__(self, images: paddle.Tensor, keys: Sequence[tuple[int, ...]]) -> paddle.Tensor:
        """Erases from a batch, in place.

        Args:
            images: float32 `(B, 3, S, S)`, normalised.
            keys: B keys; each decides everything about its image.

        Returns:
            The same tensor.
        """
        channels, height, width = images.shape[1:]
        for position, key in enumerate(keys):
            rng = np.random.default_rng(key)
            if rng.random() >= self.probability:
                continue
            for top, left, h, w in boxes(height, width, int(rng.integers(1, self.count + 1)), rng):
                shape = (channels, h, w) if self.mode == "pixel" else (channels, 1, 1)
                values = np.zeros(shape) if self.mode == "const" else rng.normal(size=shape)
                filling = np.broadcast_to(values, (channels, h, w)).astype(np.float32)
                images[position, :, top : top + h, left : left + w] = paddle.to_tensor(filling)
        return images


def boxes(
    height: int, width: int, count: int, rng: np.random.Generator
) -> Iterator[tuple[int, int, int, int]]:
    """Draws boxes inside an image.

    The area of a box is uniform in `1 / count` of the range, the logarithm of its aspect is
    uniform. A box that fits in none of its attempts is left out.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        count: number of boxes.
        rng: draws the boxes.

    Yields:
        `(top, left, height, width)`, in pixels.
    """
    for _ in range(count):
        for _ in range(_ATTEMPTS):
            area = rng.uniform(*_AREA) * (height * width) / count
            aspect = math.exp(rng.uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1])))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if h < height and w < width:
                yield int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
                break
