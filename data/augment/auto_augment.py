"""RandAugment, AutoAugment and ThreeAugment on Pillow images.

| name | paper | the same as |
|---|---|---|
| randaugment | Cubuk et al., arXiv:1909.13719 | timm's `rand-mM-nN-mstdS-inc1`: what is drawn is done with 0.5 |
| autoaugment_imagenet | Cubuk et al., arXiv:1805.09501 | timm's `original` |
| autoaugment_cifar10 | the same | torchvision's `AutoAugmentPolicy.CIFAR10` (timm has none) |
| three_augment | Touvron et al. (DeiT III), arXiv:2204.07118 | DeiT's own code, timm's `3a` |

Changed from them: all numbers come from the generator that is passed in, and autoaugment_cifar10
fills with the mean colour and resamples as the config says, too. No library fits: albumentations
has none of the four and brings OpenCV, which resamples differently; torchvision and timm bring
PyTorch. The operations themselves are Pillow's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from data.augment.auto_augment_operations import RANDAUGMENT, Edges, operate
from data.augment.auto_augment_policies import CIFAR10, IMAGENET

STRONGEST = 10.0  # the largest magnitude
_LAYER_PROBABILITY = 0.5  # of each operation that RandAugment has chosen
_CIFAR_TOP = 9  # torchvision numbers the magnitudes of the CIFAR-10 policy from 0 to 9


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
    """Greyscale, solarise (values from 128 on are inverted), or blur by a radius of 0.1 to 2
    pixels: one of them.
    """
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
