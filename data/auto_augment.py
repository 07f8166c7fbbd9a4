"""RandAugment, AutoAugment and ThreeAugment on Pillow images.

| name | paper | the same as |
|---|---|---|
| randaugment | Cubuk et al., arXiv:1909.13719 | timm's `rand-mM-nN-mstdS-inc1`: what is drawn is done with 0.5 |
| autoaugment_imagenet | Cubuk et al., arXiv:1805.09501 | timm's `original` |
| autoaugment_cifar10 | the same | torchvision's `AutoAugmentPolicy.CIFAR10` (timm has none) |
| three_augment | Touvron et al. (DeiT III), arXiv:2204.07118 | DeiT's own code, timm's `3a` |

Changed from them: all numbers come from the generator that is passed in, and autoaugment_cifar10 fills with the mean
colour and resamples as the config says, too. No library fits: albumentations has none of the four and brings OpenCV,
which resamples differently; torchvision and timm bring PyTorch. The operations themselves are Pillow's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

STRONGEST = 10.0  # the largest magnitude
_LAYER_PROBABILITY = 0.5  # of each operation that RandAugment has chosen
_CIFAR_TOP = 9  # torchvision numbers the magnitudes of the CIFAR-10 policy from 0 to 9


class Edges(NamedTuple):
    """What geometric operations need: the colour that comes in, 0 to 255, and Pillow's kind of resampling."""

    fillcolor: tuple[int, int, int]
    resample: Image.Resampling


class Operation(NamedTuple):
    """One kind of change: `apply(image, value, edges)`, where `value` follows from the level, a share of the strongest.

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


def _affine(image: Image.Image, edges: Edges, x: Sequence[float] = (1, 0, 0), y: Sequence[float] = (0, 1, 0)):
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
    """Keep the first bits of each value. For 0, which is black, Pillow's own function fails in its newer versions."""
    return image.point([value & (256 - 2 ** (8 - bits)) for value in range(256)] * 3)


def _solarize_add(image: Image.Image, add: int, edges: Edges) -> Image.Image:
    """Brighten the darker half of the values."""
    table = [min(255, value + add) if value < 128 else value for value in range(256)]
    return image.point(table * 3)


# Those of RandAugment grow in severity with the level. The others are timm's for AutoAugment's ImageNet policy
# (`original`) and torchvision's for its CIFAR-10 policy, where they differ.
OPERATIONS = {
    "auto_contrast": Operation(_plain(ImageOps.autocontrast)),
    "equalize": Operation(_plain(ImageOps.equalize)),
    "invert": Operation(_plain(ImageOps.invert)),
    "rotate": Operation(_rotate, lambda level: 30 * level, signed=True),  # degrees
    "posterize": Operation(_posterize, lambda level: 4 - int(4 * level)),  # bits that are kept
    "solarize": Operation(_with_value(ImageOps.solarize), lambda level: 256 - int(256 * level)),  # threshold
    "solarize_add": Operation(_solarize_add, lambda level: int(110 * level)),
    "color": Operation(_enhance_by(ImageEnhance.Color), lambda level: 0.9 * level, signed=True),
    "contrast": Operation(_enhance_by(ImageEnhance.Contrast), lambda level: 0.9 * level, signed=True),
    "brightness": Operation(_enhance_by(ImageEnhance.Brightness), lambda level: 0.9 * level, signed=True),
    "sharpness": Operation(_enhance_by(ImageEnhance.Sharpness), lambda level: 0.9 * level, signed=True),
    "shear_x": Operation(_shear_x, lambda level: 0.3 * level, signed=True),
    "shear_y": Operation(_shear_y, lambda level: 0.3 * level, signed=True),
    "translate_x": Operation(_translate_x, lambda level: 0.45 * level, signed=True),  # share of the width
    "translate_y": Operation(_translate_y, lambda level: 0.45 * level, signed=True),
    "posterize_original": Operation(_posterize, lambda level: 4 + int(4 * level)),
    "solarize_original": Operation(_with_value(ImageOps.solarize), lambda level: int(256 * level)),
    "color_original": Operation(_enhance(ImageEnhance.Color), lambda level: 1.8 * level + 0.1),
    "contrast_original": Operation(_enhance(ImageEnhance.Contrast), lambda level: 1.8 * level + 0.1),
    "sharpness_original": Operation(_enhance(ImageEnhance.Sharpness), lambda level: 1.8 * level + 0.1),
    "posterize_cifar": Operation(_posterize, lambda level: 8 - round(4 * level)),
    "solarize_cifar": Operation(_with_value(ImageOps.solarize), lambda level: 255 - 255 * level),
    "translate_x_cifar": Operation(_translate_x_pixels, lambda level: 150 / 331 * level, signed=True),
    "translate_y_cifar": Operation(_translate_y_pixels, lambda level: 150 / 331 * level, signed=True),
}
RANDAUGMENT = tuple(OPERATIONS)[:15]

# Pairs of (operation, probability, magnitude), from the paper's appendix. The magnitude of an operation that has no
# value (auto_contrast, equalize, invert) is without meaning.
IMAGENET = (
    (("posterize_original", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize_original", 0.6, 5), ("auto_contrast", 0.6, 5)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
    (("posterize_original", 0.6, 7), ("posterize_original", 0.6, 6)),
    (("equalize", 0.4, 7), ("solarize_original", 0.2, 4)),
    (("equalize", 0.4, 4), ("rotate", 0.8, 8)),
    (("solarize_original", 0.6, 3), ("equalize", 0.6, 7)),
    (("posterize_original", 0.8, 5), ("equalize", 1.0, 2)),
    (("rotate", 0.2, 3), ("solarize_original", 0.6, 8)),
    (("equalize", 0.6, 8), ("posterize_original", 0.4, 6)),
    (("rotate", 0.8, 8), ("color_original", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 2)),
    (("equalize", 0.0, 7), ("equalize", 0.8, 8)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color_original", 0.6, 4), ("contrast_original", 1.0, 8)),
    (("rotate", 0.8, 8), ("color_original", 1.0, 2)),
    (("color_original", 0.8, 8), ("solarize_original", 0.8, 7)),
    (("sharpness_original", 0.4, 7), ("invert", 0.6, 8)),
    (("shear_x", 0.6, 5), ("equalize", 1.0, 9)),
    (("color_original", 0.4, 0), ("equalize", 0.6, 3)),
    (("equalize", 0.4, 7), ("solarize_original", 0.2, 4)),
    (("solarize_original", 0.6, 5), ("auto_contrast", 0.6, 5)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color_original", 0.6, 4), ("contrast_original", 1.0, 8)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
)
CIFAR10 = (
    (("invert", 0.1, 7), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x_cifar", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y_cifar", 0.7, 9)),
    (("auto_contrast", 0.5, 8), ("equalize", 0.9, 2)),
    (("shear_y", 0.2, 7), ("posterize_cifar", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x_cifar", 0.5, 8)),
    (("equalize", 0.3, 7), ("auto_contrast", 0.4, 8)),
    (("translate_y_cifar", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize_cifar", 0.5, 2), ("invert", 0.0, 3)),
    (("equalize", 0.2, 0), ("auto_contrast", 0.6, 0)),
    (("equalize", 0.2, 8), ("equalize", 0.6, 4)),
    (("color", 0.9, 9), ("equalize", 0.6, 6)),
    (("auto_contrast", 0.8, 4), ("solarize_cifar", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize_cifar", 0.4, 5), ("auto_contrast", 0.9, 3)),
    (("translate_y_cifar", 0.9, 9), ("translate_y_cifar", 0.7, 9)),
    (("auto_contrast", 0.9, 2), ("solarize_cifar", 0.8, 3)),
    (("equalize", 0.8, 8), ("invert", 0.1, 3)),
    (("translate_y_cifar", 0.7, 9), ("auto_contrast", 0.9, 1)),
)


def operate(image: Image.Image, name: str, level: float, edges: Edges, rng: np.random.Generator) -> Image.Image:
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


class RandAugment:
    """A few operations, each drawn from all and done with probability 0.5.

    Args:
        layers: how many are drawn.
        magnitude: 0 to 10.
        std: of the normal noise on the magnitude; 0: none.
        edges: for what is moved.
    """

    def __init__(self, layers: int, magnitude: float, std: float, edges: Edges):
        self.layers, self.magnitude, self.std, self.edges = layers, magnitude, std, edges

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for choice in rng.integers(len(RANDAUGMENT), size=self.layers):
            if rng.random() <= _LAYER_PROBABILITY:
                magnitude = rng.normal(self.magnitude, self.std) if self.std else self.magnitude
                level = min(max(magnitude, 0.0), STRONGEST) / STRONGEST
                image = operate(image, RANDAUGMENT[choice], level, self.edges, rng)
        return image


class AutoAugment:
    """One pair of operations out of a searched policy.

    Args:
        policy: pairs of (operation, probability, magnitude).
        top: the magnitude at which an operation is strongest.
        edges: for what is moved.
    """

    def __init__(self, policy: Sequence, top: float, edges: Edges):
        self.policy, self.top, self.edges = policy, top, edges

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for name, probability, magnitude in self.policy[int(rng.integers(len(self.policy)))]:
            if probability == 1 or rng.random() <= probability:
                image = operate(image, name, magnitude / self.top, self.edges, rng)
        return image


def three_augment(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Greyscale, solarise (values from 128 on are inverted), or blur by a radius of 0.1 to 2 pixels: one of them."""
    choice = int(rng.integers(3))
    if choice == 0:
        return ImageOps.grayscale(image).convert("RGB")
    if choice == 1:
        return ImageOps.solarize(image, 128)
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.1, 2.0)))


def build(config, edges: Edges) -> Callable[[Image.Image, np.random.Generator], Image.Image] | None:
    """What `auto_augment` of the `data` part of a config names; None for nothing."""
    policies = {
        "": None,
        "randaugment": RandAugment(
            config.randaugment_layers, config.randaugment_magnitude, config.randaugment_std, edges
        ),
        "autoaugment_imagenet": AutoAugment(IMAGENET, STRONGEST, edges),
        "autoaugment_cifar10": AutoAugment(CIFAR10, _CIFAR_TOP, edges),
        "three_augment": three_augment,
    }
    return policies[config.auto_augment]
