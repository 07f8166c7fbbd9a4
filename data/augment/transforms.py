"""Image transforms: uint8 `(H, W, 3)` in, uint8 `(S, S, 3)` out; normalisation is done on the
device, by the batch.

Crops and flips take a `View` in an image's place, too, and then give a view.

Definitions are torchvision's and timm's, on Pillow's resampling: crop first, then resize. The order
is that of timm's `create_transform`: crop, flips, automatic augmentation, colour jitter. Everything
random comes from the generator that is passed in, and what is off takes no number from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from common.errors import UserError
from data.augment import auto_augment, auto_augment_operations
from data.augment.color_jitter import color_jitter
from data.augment.device_resize_views import View

INTERPOLATIONS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
INTERPOLATIONS[""] = INTERPOLATIONS["bicubic"]  # of a config that no weights have filled in
_ATTEMPTS = 10  # of random_resized_crop, before it falls back to a central crop
_SMALLEST_FRACTION = 0.1  # of a stranger's weights, too: the image is enlarged by as much
_REFLECTED = 4  # pixels of simple_crop
_GREY = (0.5, 0.5, 0.5)  # the mean colour of a config that no weights have filled in


def resize(image: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
    """Resize with antialiasing; an image that has the size already is returned as it is."""
    if image.shape[:2] == (height, width):
        return image
    if isinstance(image, View):
        return image.resize(height, width)
    return np.asarray(Image.fromarray(image).resize((width, height), INTERPOLATIONS[interpolation]))


def pad(image: np.ndarray, amount: int, mode: str) -> np.ndarray:
    """Pad each edge, with black (`constant`) or what is inside (`reflect`)."""
    if isinstance(image, View):
        return image.pad(amount, mode)
    return np.pad(image, ((amount, amount), (amount, amount), (0, 0)), mode)


def crop_box(
    height: int, width: int, scale, ratio, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Draw the box `(top, left, height, width)` of a random resized crop (arXiv:1409.4842;
    torchvision's definition).

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        scale: smallest and largest share of the image's area.
        ratio: smallest and largest width over height; drawn uniformly in its logarithm.
        rng: the source of randomness.
    """
    for _ in range(_ATTEMPTS):
        area = height * width * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    w, h = min(width, round(height * ratio[1])), min(height, round(width / ratio[0]))
    return (height - h) // 2, (width - w) // 2, h, w


def random_resized_crop(image, size: int, scale, ratio, interpolation: str, rng) -> np.ndarray:
    """Cut a random box out and resize it to `size` pixels square."""
    top, left, height, width = crop_box(*image.shape[:2], scale, ratio, rng)
    return resize(image[top : top + height, left : left + width], size, size, interpolation)


def padded_crop(image: np.ndarray, padding: int, rng: np.random.Generator) -> np.ndarray:
    """Shift by up to `padding` pixels each way, black coming in at the edges (the usual crop of
    CIFAR).
    """
    height, width = image.shape[:2]
    padded = pad(image, padding, "constant")
    top, left = rng.integers(2 * padding + 1, size=2)
    return padded[top : top + height, left : left + width]


def simple_crop(
    image: np.ndarray, size: int, interpolation: str, rng: np.random.Generator
) -> np.ndarray:
    """Resize the shorter side to `size` pixels, reflect 4 at each edge, and cut a random square out
    of `size`.

    The simple random crop of DeiT III (arXiv:2204.07118).
    """
    height, width = image.shape[:2]
    short = min(height, width)
    image = resize(image, size * height // short, size * width // short, interpolation)
    image = pad(image, _REFLECTED, "reflect")
    top, left = (int(rng.integers(side - size + 1)) for side in image.shape[:2])
    return image[top : top + size, left : left + size]


def central_crop(image: np.ndarray, size: int, fraction: float, interpolation: str) -> np.ndarray:
    """Resize the shorter side to `size / fraction` pixels and cut the central `size` pixels
    square.
    """
    height, width = image.shape[:2]
    short = round(size / fraction)
    scale = short / min(height, width)
    image = resize(
        image, max(short, round(height * scale)), max(short, round(width * scale)), interpolation
    )
    top, left = (image.shape[0] - size) // 2, (image.shape[1] - size) // 2
    return image[top : top + size, left : left + size]


class TrainTransform:
    """The augmentation of the config; see `configs/default.py` under `data`.

    Args:
        config: the `data` part of a config.
        size: of the image that comes out, in pixels.
        mean: the colour, 0 to 1 by channel, that fills what is moved into the image; () for grey.
    """

    def __init__(self, config, size: int, mean: Sequence[float] = ()):
        self.config = config
        self.size, self.interpolation = size, config.interpolation
        colour = tuple(round(255 * value) for value in mean or _GREY)
        edges = auto_augment_operations.Edges(colour, INTERPOLATIONS[config.interpolation])
        self.auto_augment = auto_augment.build(config, edges)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        config = self.config
        image = self._crop(image, rng)
        if config.flip > 0 and rng.random() < config.flip:
            image = image[:, ::-1]
        if config.vertical_flip > 0 and rng.random() < config.vertical_flip:
            image = image[::-1]
        return (
            self._recolour(image, rng)
            if self.auto_augment or config.color_jitter or config.hue_jitter
            else image
        )

    def _crop(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        config, size = self.config, self.size
        if config.crop == "random_resized":
            return random_resized_crop(
                image, size, config.crop_scale, config.crop_ratio, config.interpolation, rng
            )
        if config.crop == "simple":
            return simple_crop(image, size, config.interpolation, rng)
        image = central_crop(
            image, size, config.eval_crop if config.crop == "test" else 1.0, config.interpolation
        )
        return padded_crop(image, config.crop_padding, rng) if config.crop == "padded" else image

    def _recolour(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        picture = Image.fromarray(np.ascontiguousarray(image))
        if self.auto_augment:
            picture = self.auto_augment(picture, rng)
        return np.asarray(
            color_jitter(picture, self.config.color_jitter, self.config.hue_jitter, rng)
        )


class EvalTransform:
    """Resize and central crop; nothing is random."""

    def __init__(self, size: int, fraction: float, interpolation: str):
        if not _SMALLEST_FRACTION <= fraction <= 1:
            raise UserError(f"the crop fraction is {fraction}, expected {_SMALLEST_FRACTION} to 1")
        self.size = size
        self.fraction = fraction
        self.interpolation = interpolation

    def __call__(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        return central_crop(image, self.size, self.fraction, self.interpolation)
