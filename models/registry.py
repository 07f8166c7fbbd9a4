"""Which models exist, and what belongs to their weights: input statistics and where PPIM keeps them."""

from __future__ import annotations

from typing import NamedTuple

from paddle import nn

from models.vit import DistilledVisionTransformer, DropRates, VisionTransformer

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


class InputStats(NamedTuple):
    """How a model's weights expect images: statistics of pixels in 0 to 1, and the evaluation crop.

    `crop_fraction` is the side of the central crop over that of the resized image.
    """

    mean: tuple[float, float, float] = HALF
    std: tuple[float, float, float] = HALF
    crop_fraction: float = 1.0


class ViTSpec(NamedTuple):
    """One size of ViT, its native resolution and the input that its published weights expect."""

    width: int
    depth: int
    heads: int
    mlp_ratio: float
    patch: int
    image_size: int
    distilled: bool = False
    stats: InputStats = InputStats()

    def build(self, image_size: int, num_classes: int, rates: DropRates, head_init: str) -> nn.Layer:
        """Make the model; the arguments are those of `VisionTransformer`."""
        family = DistilledVisionTransformer if self.distilled else VisionTransformer
        shape = {"patch": self.patch, "width": self.width, "depth": self.depth, "heads": self.heads}
        fields = {"mlp_ratio": self.mlp_ratio, "num_classes": num_classes, "rates": rates, "head_init": head_init}
        return family(image_size=image_size or self.image_size, **shape, **fields)


# name: (width, depth, heads, MLP ratio). `n` (nano) is this project's own, for images of a few pixels.
_SIZES = {
    "n": (48, 4, 3, 2.0),
    "ti": (192, 12, 3, 4.0),
    "s": (384, 12, 6, 4.0),
    "b": (768, 12, 12, 4.0),
    "l": (1024, 24, 16, 4.0),
    "h": (1280, 32, 16, 4.0),
}
# Which patches a size comes with, and the native resolution of each patch: small patches are for small images.
_PATCHES = {
    "n": (2, 4, 8),
    "ti": (2, 4, 8, 14, 16, 32),
    "s": (4, 8, 14, 16, 32),
    "b": (14, 16, 32),
    "l": (14, 16, 32),
    "h": (14, 16),
}
_NATIVE = {2: 8, 4: 32, 8: 64}


def _vit_specs() -> dict[str, ViTSpec]:
    specs = {}
    for size, patches in _PATCHES.items():
        for patch in patches:
            spec = ViTSpec(*_SIZES[size], patch, _NATIVE.get(patch, 224))
            specs[f"vit_{size}_{patch}"] = spec
            if patch not in _NATIVE:
                specs[f"vit_{size}_{patch}_384"] = spec._replace(image_size=384)
    return specs


def _deit_specs() -> dict[str, ViTSpec]:
    stats = {224: InputStats(IMAGENET_MEAN, IMAGENET_STD, 224 / 248), 384: InputStats(IMAGENET_MEAN, IMAGENET_STD)}
    specs = {}
    for size, resolution in (("ti", 224), ("s", 224), ("b", 224), ("b", 384)):
        for distilled in (False, True):
            name = f"deit_{size}" + ("_distilled" if distilled else "") + ("_384" if resolution == 384 else "")
            specs[name] = ViTSpec(*_SIZES[size], 16, resolution, distilled, stats[resolution])
    return specs


MODELS = {**_vit_specs(), **_deit_specs()}
