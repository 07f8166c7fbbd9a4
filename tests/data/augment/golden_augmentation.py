"""What timm and torchvision make of a small image: each operation and each pair of the policies.

The operations have fixed levels. Random decisions are the same in theirs and in ours: a generator
replaces theirs. With torch, timm and torchvision installed (see docs/models.md) the file is made
again by

    PYTHONPATH=.:tests python tests/data/augment/golden_augmentation.py
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image, ImageOps

from data.augment.auto_augment_operations import Edges

FILE = Path(__file__).with_suffix(".npz")
EDGES = Edges((124, 116, 104), Image.Resampling.BICUBIC)
LEVELS, SHARES = (0.3, 0.9), (0.0, 0.75)  # the second share makes the sign negative
POLICY_SHARES = (0.0, 0.35, 0.55, 0.75)  # an operation is done where its probability is no less
FACTORS, HUES = (0.6, 1.4), (-0.2, 0.3)
TIMM = {
    "auto_contrast": "AutoContrast",
    "equalize": "Equalize",
    "invert": "Invert",
    "rotate": "Rotate",
    "posterize": "PosterizeIncreasing",
    "solarize": "SolarizeIncreasing",
    "solarize_add": "SolarizeAdd",
    "color": "ColorIncreasing",
    "contrast": "ContrastIncreasing",
    "brightness": "BrightnessIncreasing",
    "sharpness": "SharpnessIncreasing",
    "shear_x": "ShearX",
    "shear_y": "ShearY",
    "translate_x": "TranslateXRel",
    "translate_y": "TranslateYRel",
    "posterize_original": "PosterizeOriginal",
    "solarize_original": "Solarize",
    "color_original": "Color",
    "contrast_original": "Contrast",
    "sharpness_original": "Sharpness",
}


def picture(height: int = 12, width: int = 10) -> Image.Image:
    """A small image with edges, gradients and colours, of values 20 to 219."""
    rows, columns, channels = np.indices((height, width, 3))
    values = 20 + (7 * rows * rows + 13 * columns * (rows + 1) + 57 * channels * columns + 31) % 200
    return Image.fromarray(values.astype(np.uint8))


class Fixed:
    """Replaces a generator: every share is `share`, and every choice `choice`."""

    def __init__(self, share: float, choice: int = 0):
        self.share, self.choice = share, choice

    def random(self) -> float:
        return self.share

    def integers(self, *_, **__) -> int:
        return self.choice


@contextlib.contextmanager
def drawn_by(rng):
    """timm's augmentation with its random numbers from `rng`, in the order of its own calls."""
    from timm.data import auto_augment

    names = ("random", "np", "ImageOps")
    before = {name: getattr(auto_augment, name) for name in names}
    auto_augment.random = SimpleNamespace(
        random=rng.random,
        choice=lambda items: items[int(rng.integers(len(items)))],
        gauss=lambda mean, std: rng.normal(mean, std),
        uniform=lambda low, high: rng.uniform(low, high),
    )
    several = SimpleNamespace(
        choice=lambda items, size, **_: [items[i] for i in rng.integers(len(items), size=size)]
    )
    auto_augment.np = SimpleNamespace(random=several)
    auto_augment.ImageOps = SimpleNamespace(**{**vars(ImageOps), "posterize": _posterize})
    try:
        yield auto_augment
    finally:
        for name, value in before.items():
            setattr(auto_augment, name, value)


def _posterize(image: Image.Image, bits: int) -> Image.Image:
    """For 0 bits, which newer versions of Pillow refuse, as the older ones."""
    return ImageOps.posterize(image, bits) if bits else Image.new("RGB", image.size)


def fields(edges: Edges) -> dict:
    """timm's words for the edges."""
    return {"img_mean": edges.fillcolor, "interpolation": edges.resample}


def timm_operation(image: Image.Image, name: str, level: float, rng) -> Image.Image:
    with drawn_by(rng) as timm:
        return timm.AugmentOp(TIMM[name], prob=1.0, magnitude=10 * level, hparams=fields(EDGES))(
            image
        )


def timm_imagenet(image: Image.Image, rng) -> Image.Image:
    with drawn_by(rng) as timm:
        return timm.auto_augment_transform("original", fields(EDGES))(image)


def torchvision_cifar10(image: Image.Image, share: float, choice: int) -> Image.Image:
    """Applies a pair with a fixed share.

    torchvision's translation by a positive value is ours by a negative one.
    """
    import torch
    from torchvision import transforms

    policy = transforms.AutoAugment(
        transforms.AutoAugmentPolicy.CIFAR10,
        transforms.InterpolationMode.BICUBIC,
        list(EDGES.fillcolor),
    )
    translated = torch.tensor(["Translate" in name for name, _, _ in policy.policies[choice]])
    signs = translated if share <= 0.5 else ~translated  # 0: negative
    policy.get_params = lambda _: (
        choice,
        torch.tensor([share] * 2, dtype=torch.float64),
        (~signs).int(),
    )
    return policy(image)


def jittered(image: Image.Image) -> dict[str, Image.Image]:
    """torchvision's changes of colour."""
    from torchvision.transforms import functional

    kinds = {"Brightness": "brightness", "Contrast": "contrast", "Color": "saturation"}
    outputs = {
        f"{ours} {factor}": getattr(functional, f"adjust_{theirs}")(image, factor)
        for ours, theirs in kinds.items()
        for factor in FACTORS
    }
    return {**outputs, **{f"hue {shift}": functional.adjust_hue(image, shift) for shift in HUES}}


def make() -> None:
    """Write the file."""
    outputs = jittered(picture())
    for name in TIMM:
        for level in LEVELS:
            for share in SHARES:
                outputs[f"{name} {level} {share}"] = timm_operation(
                    picture(), name, level, Fixed(share)
                )
    small = picture(8, 7)
    for share in POLICY_SHARES:
        for choice in range(25):
            outputs[f"imagenet {share} {choice}"] = timm_imagenet(small, Fixed(share, choice))
            outputs[f"cifar10 {share} {choice}"] = torchvision_cifar10(small, share, choice)
    for choice, name in enumerate(("solarise", "greyscale")):  # of timm's `3a`
        with drawn_by(Fixed(0.0, choice)) as timm:
            outputs[name] = timm.auto_augment_transform("3a", fields(EDGES))(picture())
    stacked = {}
    for shape in {np.asarray(image).shape for image in outputs.values()}:
        chosen = {
            name: np.asarray(image)
            for name, image in outputs.items()
            if np.asarray(image).shape == shape
        }
        stacked[f"names_{shape[0]}"], stacked[f"arrays_{shape[0]}"] = (
            list(chosen),
            np.stack(list(chosen.values())),
        )
    np.savez_compressed(FILE, **stacked)


def read() -> dict[str, np.ndarray]:
    """The outputs, uint8 `(H, W, 3)`, by name."""
    with np.load(FILE) as file:
        return {
            name: array
            for size in (8, 12)
            for name, array in zip(file[f"names_{size}"], file[f"arrays_{size}"])
        }


if __name__ == "__main__":
    from conftest import import_timm

    import_timm()
    make()
