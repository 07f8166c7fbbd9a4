"""The operations of RandAugment and AutoAugment on Pillow images, and how strong each is at a
level.

RandAugment's are timm's `rand-mM-nN-mstdS-inc1`, those that end in `_original` are timm's for
AutoAugment's ImageNet policy, and those that end in `_cifar` are torchvision's for its CIFAR-10
policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageOps


class Edges(NamedTuple):
    """What geometric operations need: the colour that comes in, 0 to 255, and Pillow's kind of
    resampling.
    """

    fillcolor: tuple[int, int, int]
    resample: Image.Resampling


class Operation(NamedTuple):
    """One kind of change: `apply(image, value, edges)`, where `value` follows from the level, a
    share of the strongest.

    Where `signed`, the value's sign is drawn.
    """

    apply: Callable[[Image.Image, float, Edges], Image.Image]
    value: Callable[[float], float] = lambda level: level
    signed: bool = False


def _plain(function: Callable) -> Callable:
    return lambda image, value, edges: function(image)


def _with_value(function: Callable) -> Callable:
    return lambda image, value, edges: function(image, value)


def _enhance(kind: Callable) -> Callable:
    """Blend by a factor: 1 is the image itself."""
    return lambda image, factor, edges: kind(image).enhance(factor)


def _enhance_by(kind: Callable) -> Callable:
    """Blend by 1 and a difference, of either sign."""
    return lambda image, difference, edges: kind(image).enhance(max(0.1, 1.0 + difference))


def _affine(
    image: Image.Image, edges: Edges, x: Sequence[float] = (1, 0, 0), y: Sequence[float] = (0, 1, 0)
):
    """Each pixel `(column, row)` comes from `(x . (column, row, 1), y . (column, row, 1))`."""
    return image.transform(image.size, Image.Transform.AFFINE, (*x, *y), **edges._asdict())


def _rotate(image: Image.Image, degrees: float, edges: Edges) -> Image.Image:
    return image.rotate(degrees, **edges._asdict())


def _shear_x(image: Image.Image, factor: float, edges: Edges) -> Image.Image:
    return _affine(image, edges, x=(1, factor, 0))


def _shear_y(image: Image.Image, factor: float, edges: Edges) -> Image.Image:
    return _affine(image, edges, y=(factor, 1, 0))


def _translate_x(image: Image.Image, share: float, edges: Edges) -> Image.Image:
    return _affine(image, edges, x=(1, 0, share * image.width))


def _translate_y(image: Image.Image, share: float, edges: Edges) -> Image.Image:
    return _affine(image, edges, y=(0, 1, share * image.height))


def _translate_x_pixels(image: Image.Image, share: float, edges: Edges) -> Image.Image:
    return _affine(image, edges, x=(1, 0, int(share * image.width)))


def _translate_y_pixels(image: Image.Image, share: float, edges: Edges) -> Image.Image:
    return _affine(image, edges, y=(0, 1, int(share * image.height)))


def _posterize(image: Image.Image, bits: int, edges: Edges) -> Image.Image:
    """Keep the first bits of each value. For 0, which is black, Pillow's own function fails in its
    newer versions.
    """
    return image.point([value & (256 - 2 ** (8 - bits)) for value in range(256)] * 3)


def _solarize_add(image: Image.Image, add: int, edges: Edges) -> Image.Image:
    """Brighten the darker half of the values."""
    table = [min(255, value + add) if value < 128 else value for value in range(256)]
    return image.point(table * 3)


# Those of RandAugment grow in severity with the level. The others are timm's for AutoAugment's
# ImageNet policy (`original`) and torchvision's for its CIFAR-10 policy, where they differ.
OPERATIONS = {
    "auto_contrast": Operation(_plain(ImageOps.autocontrast)),
    "equalize": Operation(_plain(ImageOps.equalize)),
    "invert": Operation(_plain(ImageOps.invert)),
    "rotate": Operation(_rotate, lambda level: 30 * level, signed=True),  # degrees
    "posterize": Operation(_posterize, lambda level: 4 - int(4 * level)),  # bits that are kept
    "solarize": Operation(
        _with_value(ImageOps.solarize), lambda level: 256 - int(256 * level)
    ),  # threshold
    "solarize_add": Operation(_solarize_add, lambda level: int(110 * level)),
    "color": Operation(_enhance_by(ImageEnhance.Color), lambda level: 0.9 * level, signed=True),
    "contrast": Operation(
        _enhance_by(ImageEnhance.Contrast), lambda level: 0.9 * level, signed=True
    ),
    "brightness": Operation(
        _enhance_by(ImageEnhance.Brightness), lambda level: 0.9 * level, signed=True
    ),
    "sharpness": Operation(
        _enhance_by(ImageEnhance.Sharpness), lambda level: 0.9 * level, signed=True
    ),
    "shear_x": Operation(_shear_x, lambda level: 0.3 * level, signed=True),
    "shear_y": Operation(_shear_y, lambda level: 0.3 * level, signed=True),
    "translate_x": Operation(
        _translate_x, lambda level: 0.45 * level, signed=True
    ),  # share of the width
    "translate_y": Operation(_translate_y, lambda level: 0.45 * level, signed=True),
    "posterize_original": Operation(_posterize, lambda level: 4 + int(4 * level)),
    "solarize_original": Operation(_with_value(ImageOps.solarize), lambda level: int(256 * level)),
    "color_original": Operation(_enhance(ImageEnhance.Color), lambda level: 1.8 * level + 0.1),
    "contrast_original": Operation(
        _enhance(ImageEnhance.Contrast), lambda level: 1.8 * level + 0.1
    ),
    "sharpness_original": Operation(
        _enhance(ImageEnhance.Sharpness), lambda level: 1.8 * level + 0.1
    ),
    "posterize_cifar": Operation(_posterize, lambda level: 8 - round(4 * level)),
    "solarize_cifar": Operation(_with_value(ImageOps.solarize), lambda level: 255 - 255 * level),
    "translate_x_cifar": Operation(
        _translate_x_pixels, lambda level: 150 / 331 * level, signed=True
    ),
    "translate_y_cifar": Operation(
        _translate_y_pixels, lambda level: 150 / 331 * level, signed=True
    ),
}
RANDAUGMENT = tuple(OPERATIONS)[:15]


def operate(
    image: Image.Image, name: str, level: float, edges: Edges, rng: np.random.Generator
) -> Image.Image:
    """Do one operation.

    Args:
        image: of mode RGB.
        name: a key of `OPERATIONS`.
        level: 0 to 1, the share of the strongest.
        edges: for what is moved.
        rng: decides the sign, where there is one.
    """
    operation = OPERATIONS[name]
    value = operation.value(level)
    if operation.signed and rng.random() > 0.5:
        value = -value
    return operation.apply(image, value, edges)
