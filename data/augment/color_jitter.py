"""Random brightness, contrast, saturation and hue, in random order: torchvision's `ColorJitter` on
Pillow images.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance


def shift_hue(image: Image.Image, shift: float) -> Image.Image:
    """Turn the colour circle by `shift`, -0.5 to 0.5 of it."""
    hue, saturation, value = image.convert("HSV").split()
    turned = (np.asarray(hue).astype(int) + int(shift * 255)) % 256
    return Image.merge(
        "HSV", (Image.fromarray(turned.astype(np.uint8)), saturation, value)
    ).convert("RGB")


def color_jitter(
    image: Image.Image, strength: float, hue: float, rng: np.random.Generator
) -> Image.Image:
    """Change the colours of an RGB image.

    Args:
        image: of mode RGB.
        strength: the factors of brightness, contrast and saturation are uniform in `1 - strength`
            (at least 0) to `1 + strength`; 0: none of the three.
        hue: the shift is uniform in `-hue` to `hue`, at most 0.5; 0: none.
        rng: decides the order and the factors.
    """
    kinds = [ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color] if strength else []
    kinds += [None] if hue else []
    for position in rng.permutation(len(kinds)):
        kind = kinds[position]
        if kind is None:
            image = shift_hue(image, rng.uniform(-hue, hue))
        else:
            image = kind(image).enhance(rng.uniform(max(0.0, 1 - strength), 1 + strength))
    return image
