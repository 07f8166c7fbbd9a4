"""RandAugment, AutoAugment and ThreeAugment on Pillow images.

| name | paper | the same as |
|---|---|---|
| randaugment | Cubuk et al., arXiv:1909.13719 | timm's `rand-mM-nN-mstdS-inc1` |
| randaugment_torchvision | the same | torchvision's `RandAugment(N, M)` on Pillow's images |
| autoaugment_imagenet | Cubuk et al., arXiv:1805.09501 | timm's `original` |
| autoaugment_cifar10 | the same | torchvision's `AutoAugmentPolicy.CIFAR10` (timm has none) |
| three_augment | Touvron et al. (DeiT III), arXiv:2204.07118 | DeiT's own code, timm's `3a` |

Changed from them: all random numbers come from the generator that is passed in;
autoaugment_cifar10, too, fills with the mean colour and resamples as the config says;
randaugment_torchvision has torchvision's defaults, black and the nearest pixel.

No library fits. albumentations has none of the five and needs OpenCV, which resamples differently;
torchvision and timm need PyTorch. The operations themselves are Pillow's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from ml_collections import ConfigDict
from PIL import Image, ImageFilter, ImageOps

from data.augment.auto_augment_operations import (
    RANDAUGMENT,
    RANDAUGMENT_TORCHVISION,
    Edges,
    operate,
)
from data.augment.auto_augment_policies import CIFAR10, IMAGENET

_STRONGEST = 10.0  # the largest magnitude
_LAYER_PROBABILITY = 0.5  # that RandAugment applies an operation that it has drawn
_TORCHVISION_TOP = 30  # torchvision's RandAugment has 31 magnitudes, 0 to 30
_TORCHVISION_EDGES = Edges((0, 0, 0), Image.Resampling.NEAREST)
_CIFAR_TOP = 9  # torchvision numbers the magnitudes of the CIFAR-10 policy from 0 to 9


class RandAugment:
    """Draws a few operations, and applies each with probability 0.5.

    Args:
        layers: number of operations that are drawn.
        magnitude: 0 to 10.
        std: standard deviation of the normal noise on the magnitude; 0: none.
        edges: for operations that move pixels.
    """

    def __init__(self, layers: int, magnitude: float, std: float, edges: Edges):
        self.layers, self.magnitude, self.std, self.edges = layers, magnitude, std, edges

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for choice in rng.integers(len(RANDAUGMENT), size=self.layers):
            if rng.random() <= _LAYER_PROBABILITY:
                magnitude = rng.normal(self.magnitude, self.std) if self.std else self.magnitude
                level = min(max(magnitude, 0.0), _STRONGEST) / _STRONGEST
                image = operate(image, RANDAUGMENT[choice], level, self.edges, rng)
        return image


class TorchvisionRandAugment:
    """Draws a few of 14 operations, and applies each at the same magnitude.

    At magnitude 0 some of them still change the image: auto_contrast and equalize.

    Args:
        layers: number of operations that are drawn.
        magnitude: 0 to 30, without a fraction.
    """

    def __init__(self, layers: int, magnitude: float):
        self.layers, self.level = layers, magnitude / _TORCHVISION_TOP

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for _ in range(self.layers):
            name = RANDAUGMENT_TORCHVISION[int(rng.integers(len(RANDAUGMENT_TORCHVISION)))]
            image = operate(image, name, self.level, _TORCHVISION_EDGES, rng)
        return image


class AutoAugment:
    """Draws one pair of operations of a searched policy, and applies each with its probability.

    Args:
        policy: pairs of (operation, probability, magnitude).
        top: the magnitude at which an operation is strongest.
        edges: for operations that move pixels.
    """

    def __init__(
        self, policy: Sequence[Sequence[tuple[str, float, int]]], top: float, edges: Edges
    ):
        self.policy, self.top, self.edges = policy, top, edges

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for name, probability, magnitude in self.policy[int(rng.integers(len(self.policy)))]:
            if probability == 1 or rng.random() <= probability:
                image = operate(image, name, magnitude / self.top, self.edges, rng)
        return image


def three_augment(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Draws one of three changes: greyscale, solarise or blur.

    Solarise inverts values from 128 on. The radius of the blur is 0.1 to 2 pixels.
    """
    choice = int(rng.integers(3))
    if choice == 0:
        return ImageOps.grayscale(image).convert("RGB")
    if choice == 1:
        return ImageOps.solarize(image, 128)
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.1, 2.0)))


def build(
    data_config: ConfigDict, edges: Edges
) -> Callable[[Image.Image, np.random.Generator], Image.Image] | None:
    """Returns the augmentation that `data.auto_augment` names; None when it is empty."""
    policies = {
        "": None,
        "randaugment": RandAugment(
            data_config.randaugment_layers,
            data_config.randaugment_magnitude,
            data_config.randaugment_std,
            edges,
        ),
        "randaugment_torchvision": TorchvisionRandAugment(
            data_config.randaugment_layers, data_config.randaugment_magnitude
        ),
        "autoaugment_imagenet": AutoAugment(IMAGENET, _STRONGEST, edges),
        "autoaugment_cifar10": AutoAugment(CIFAR10, _CIFAR_TOP, edges),
        "three_augment": three_augment,
    }
    return policies[data_config.auto_augment]
