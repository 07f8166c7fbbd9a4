"""The operations of RandAugment and AutoAugment on Pillow images, and their strength at a level.

RandAugment's are those of timm's `rand-mM-nN-mstdS-inc1`, or torchvision's. Names that end in
`_original` are timm's operations for AutoAugment's ImageNet policy; names that end in `_cifar` are
torchvision's, for its CIFAR-10 policy and its RandAugment.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageOps


class Edges(NamedTuple):
    """What geometric operations need.

    Attributes:
        fillcolor: of pixels that come in at an edge, 0 to 255 by channel.
        resample: Pillow's kind of resampling.
    """

    fillcolor: tuple[int, ...]
    resample: Image.Resampling


_Apply = Callable[[Image.Image, Any, Edges], Image.Image]


class Operation(NamedTuple):
    """One kind of change.

    Attributes:
        apply: `apply(image, value, edges)` returns the changed image.
        value: returns the value for a level; a level is a share of the strongest, 0 to 1.
        signed: whether the sign of the value is drawn.
    """

    apply: _Apply
    value: Callable[[float], float] = lambda level: level
    signed: bool = False


def _plain(function: Callable[[Image.Image], Image.Image]) -> Operation:
    return Operation(lambda image, value, edges: function(image))


def _signed(apply: _Apply, strongest: float) -> Operation:
    return Operation(apply, lambda level: strongest * level, signed=True)


def _enhance_by(kind: Callable[[Image.Image], Any]) -> Operation:
    """Blends by 1 plus a difference of either sign; 1 is the image itself."""
    return _signed(lambda image, by, edges: kind(image).enhance(max(0.1, 1.0 + by)), 0.9)


def _enhance(kind: Callable[[Image.Image], Any]) -> Operation:
    """Blends by a factor; 1 is the image itself."""
    return Operation(
        lambda image, factor, edges: kind(image).enhance(factor), lambda level: 1.8 * level + 0.1
    )


def _affine(matrix: Callable[[float, int, int], tuple[float, ...]], strongest: float) -> Operation:
    """Moves pixels by `matrix(value, width, height)`.

    With the matrix `(a, b, c, d, e, f)`, pixel `(x, y)` comes from `(ax + by + c, dx + ey + f)`.
    """
    affine = Image.Transform.AFFINE
    return _signed(
        lambda image, value, edges: image.transform(
            image.size, affine, matrix(value, *image.size), **edges._asdict()
        ),
        strongest,
    )


def _posterize(image: Image.Image, bits: int, edges: Edges) -> Image.Image:
    """Keeps the first bits of each value; 0, which is black, fails in newer versions of Pillow."""
    return image.point([value & (256 - 2 ** (8 - bits)) for value in range(256)] * 3)


def _solarize(image: Image.Image, threshold: float, edges: Edges) -> Image.Image:
    return ImageOps.solarize(image, threshold)


def _solarize_add(image: Image.Image, add: int, edges: Edges) -> Image.Image:
    """Brightens the darker half of the values."""
    table = [min(255, value + add) if value < 128 else value for value in range(256)]
    return image.point(table * 3)


# RandAugment's operations, the first 15, grow in severity with the level. After them come timm's
# for AutoAugment's ImageNet policy and torchvision's for its CIFAR-10 policy, where they differ.
# Values are degrees for a rotation, kept bits for posterize, the threshold for solarize, and a
# share of the side for a translation; those of CIFAR-10 are by whole pixels.
OPERATIONS = {
    "auto_contrast": _plain(ImageOps.autocontrast),
    "equalize": _plain(ImageOps.equalize),
    "invert": _plain(ImageOps.invert),
    "rotate": _signed(lambda image, value, edges: image.rotate(value, **edges._asdict()), 30),
    "posterize": Operation(_posterize, lambda level: 4 - int(4 * level)),
    "solarize": Operation(_solarize, lambda level: 256 - int(256 * level)),
    "solarize_add": Operation(_solarize_add, lambda level: int(110 * level)),
    "color": _enhance_by(ImageEnhance.Color),
    "contrast": _enhance_by(ImageEnhance.Contrast),
    "brightness": _enhance_by(ImageEnhance.Brightness),
    "sharpness": _enhance_by(ImageEnhance.Sharpness),
    "shear_x": _affine(lambda factor, w, h: (1, factor, 0, 0, 1, 0), 0.3),
    "shear_y": _affine(lambda factor, w, h: (1, 0, 0, factor, 1, 0), 0.3),
    "translate_x": _affine(lambda share, w, h: (1, 0, share * w, 0, 1, 0), 0.45),
    "translate_y": _affine(lambda share, w, h: (1, 0, 0, 0, 1, share * h), 0.45),
    "posterize_original": Operation(_posterize, lambda level: 4 + int(4 * level)),
    "solarize_original": Operation(_solarize, lambda level: int(256 * level)),
    "color_original": _enhance(ImageEnhance.Color),
    "contrast_original": _enhance(ImageEnhance.Contrast),
    "sharpness_original": _enhance(ImageEnhance.Sharpness),
    "posterize_cifar": Operation(_posterize, lambda level: 8 - round(4 * level)),
    "solarize_cifar": Operation(_solarize, lambda level: 255 - 255 * level),
    "translate_x_cifar": _affine(lambda share, w, h: (1, 0, int(share * w), 0, 1, 0), 150 / 331),
    "translate_y_cifar": _affine(lambda share, w, h: (1, 0, 0, 0, 1, int(share * h)), 150 / 331),
    "identity": _plain(lambda image: image),
}
RANDAUGMENT = tuple(OPERATIONS)[:15]
# In torchvision's order.
RANDAUGMENT_TORCHVISION = (
    *("identity", "shear_x", "shear_y", "translate_x_cifar", "translate_y_cifar", "rotate"),
    *("brightness", "color", "contrast", "sharpness", "posterize_cifar", "solarize_cifar"),
    *("auto_contrast", "equalize"),
)


def operate(
    image: Image.Image, name: str, level: float, edges: Edges, rng: np.random.Generator
) -> Image.Image:
    """Applies one operation.

    Args:
        image: of mode RGB.
        name: a key of `OPERATIONS`.
        level: 0 to 1, the share of the strongest.
        edges: for operations that move pixels.
        rng: draws the sign, if there is one.
    """
    operation = OPERATIONS[name]
    value = operation.value(level)
    if operation.signed and rng.random() > 0.5:
        value = -value
    return operation.apply(image, value, edges)
