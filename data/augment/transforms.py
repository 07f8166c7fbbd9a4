"""Crops, flips and the other changes of a single image, on the host.

uint8 `(H, W, 3)` comes in, uint8 `(S, S, 3)` comes out; the device normalises whole batches later.
Crops and flips also take a `View` instead of an image, and then return a view: the device resizes
the image later (`data/augment/device_resize.py`).

The definitions are torchvision's and timm's with Pillow's resampling: crop first, then resize. The
order is that of timm's `create_transform`: crop, flips, automatic augmentation, colour jitter. All
random numbers come from the generator that is passed in, and what is off draws none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeVar

import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray
from PIL import Image

from common.errors import UserError
from data.augment import auto_augment
from data.augment.auto_augment_operations import Edges
from data.augment.color_jitter import color_jitter
from data.augment.device_resize_views import View

INTERPOLATIONS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "": Image.Resampling.BICUBIC,  # of a config that no weights have filled in
}
_ATTEMPTS = 10  # of random_resized_crop, before it falls back to a central crop
# Of the evaluation's crop, also when it comes from a stranger's weights: `1 / fraction` enlarges
# the image.
_SMALLEST_FRACTION = 0.1
_REFLECTED = 4  # pixels of simple_crop
_GREY = (0.5, 0.5, 0.5)  # the mean colour of a config that no weights have filled in
_Image = TypeVar("_Image", NDArray[np.uint8], View)  # `(H, W, 3)`, or a view of it


def resize(image: _Image, height: int, width: int, interpolation: str) -> _Image:
    """Resizes with antialiasing; an image that has the size already is returned as it is."""
    if image.shape[:2] == (height, width):
        return image
    if isinstance(image, View):
        return image.resize(height, width)
    return np.asarray(Image.fromarray(image).resize((width, height), INTERPOLATIONS[interpolation]))


def pad(image: _Image, amount: int, mode: Literal["constant", "reflect"]) -> _Image:
    """Pads each edge, with black (`constant`) or with the pixels inside of it (`reflect`)."""
    if isinstance(image, View):
        return image.pad(amount, mode)
    return np.pad(image, ((amount, amount), (amount, amount), (0, 0)), mode)


def crop_box(
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[int, int, int, int]:
    """Draws the box of a random resized crop (arXiv:1409.4842; torchvision's definition).

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        scale: smallest and largest share of the image's area.
        ratio: smallest and largest width over height; its logarithm is uniform.
        rng: draws the box.

    Returns:
        `(top, left, height, width)`, in pixels.
    """
    for _ in range(_ATTEMPTS):
        area = height * width * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    w, h = min(width, round(height * ratio[1])), min(height, round(width / ratio[0]))
    return (height - h) // 2, (width - w) // 2, h, w


def random_resized_crop(
    image: _Image,
    size: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    interpolation: str,
    rng: np.random.Generator,
) -> _Image:
    """Cuts out a random box and resizes it to `size` pixels square."""
    top, left, height, width = crop_box(image.shape[0], image.shape[1], scale, ratio, rng)
    return resize(image[top : top + height, left : left + width], size, size, interpolation)


def padded_crop(image: _Image, padding: int, rng: np.random.Generator) -> _Image:
    """Shifts an image by up to `padding` pixels each way; black comes in at the edges.

    It is the usual crop of CIFAR.
    """
    height, width = image.shape[:2]
    padded = pad(image, padding, "constant")
    top, left = rng.integers(2 * padding + 1, size=2)
    return padded[top : top + height, left : left + width]


def simple_crop(image: _Image, size: int, interpolation: str, rng: np.random.Generator) -> _Image:
    """Cuts out a random square, as the simple random crop of DeiT III (arXiv:2204.07118).

    The shorter side is resized to `size` pixels, 4 pixels are reflected at each edge, and a square
    of `size` pixels is cut out.
    """
    height, width = image.shape[:2]
    short = min(height, width)
    image = resize(image, size * height // short, size * width // short, interpolation)
    image = pad(image, _REFLECTED, "reflect")
    top, left = (int(rng.integers(side - size + 1)) for side in image.shape[:2])
    return image[top : top + size, left : left + size]


def central_crop(image: _Image, size: int, fraction: float, interpolation: str) -> _Image:
    """Resizes the shorter side to `size / fraction` pixels and cuts out the central square."""
    short = round(size / fraction)
    scale = short / min(image.shape[:2])
    height, width = (max(short, round(side * scale)) for side in image.shape[:2])
    image = resize(image, height, width, interpolation)
    top, left = (height - size) // 2, (width - size) // 2
    return image[top : top + size, left : left + size]


class TrainTransform:
    """The augmentation of a config; see `configs/default.py` under `data`.

    Args:
        data_config: the `data` part of a config.
        size: of the image that comes out, in pixels.
        mean: the colour, 0 to 1 by channel, of pixels that come in at an edge; (): grey.
    """

    def __init__(self, data_config: ConfigDict, size: int, mean: Sequence[float] = ()):
        self.data_config = data_config
        self.size, self.interpolation = size, data_config.interpolation
        colour = tuple(round(255 * value) for value in mean or _GREY)
        edges = Edges(colour, INTERPOLATIONS[data_config.interpolation])
        self.auto_augment = auto_augment.build(data_config, edges)

    @property
    def random(self) -> bool:
        """Whether an image may come out in different ways."""
        data_config = self.data_config
        flips = data_config.flip, data_config.vertical_flip
        return (
            data_config.crop not in ("none", "test")
            or any(0 < flip < 1 for flip in flips)
            or bool(self.auto_augment or data_config.color_jitter or data_config.hue_jitter)
        )

    def __call__(self, image: _Image, rng: np.random.Generator) -> _Image:
        data_config = self.data_config
        strength, hue = data_config.color_jitter, data_config.hue_jitter
        image = self._crop(image, rng)
        if data_config.flip > 0 and rng.random() < data_config.flip:
            image = image[:, ::-1]
        if data_config.vertical_flip > 0 and rng.random() < data_config.vertical_flip:
            image = image[::-1]
        # A view has no colours.
        if isinstance(image, View) or not (self.auto_augment or strength or hue):
            return image
        picture = Image.fromarray(np.ascontiguousarray(image))
        if self.auto_augment:
            picture = self.auto_augment(picture, rng)
        return np.asarray(color_jitter(picture, strength, hue, rng))

    def _crop(self, image: _Image, rng: np.random.Generator) -> _Image:
        data_config, size, interpolation = self.data_config, self.size, self.interpolation
        kind, scale, ratio = data_config.crop, data_config.crop_scale, data_config.crop_ratio
        if kind == "random_resized":
            return random_resized_crop(image, size, scale, ratio, interpolation, rng)
        if kind == "simple":
            return simple_crop(image, size, interpolation, rng)
        fraction = data_config.eval_crop if kind == "test" else 1.0
        image = central_crop(image, size, fraction, interpolation)
        return padded_crop(image, data_config.crop_padding, rng) if kind == "padded" else image


class EvalTransform:
    """The resize and central crop of evaluation; nothing is random.

    Args:
        size: of the image that comes out, in pixels.
        fraction: share of the resized image's side that is kept, 0.1 to 1.
        interpolation: `bicubic` or `bilinear`.

    Raises:
        UserError: when the fraction is out of its range.
    """

    random = False

    def __init__(self, size: int, fraction: float, interpolation: str):
        if not _SMALLEST_FRACTION <= fraction <= 1:
            raise UserError(f"the crop fraction is {fraction}, expected {_SMALLEST_FRACTION} to 1")
        self.size, self.fraction, self.interpolation = size, fraction, interpolation

    def __call__(self, image: _Image, rng: np.random.Generator | None) -> _Image:
        return central_crop(image, self.size, self.fraction, self.interpolation)
