"""Random brightness, contrast, saturation and hue, in random order, on Pillow images.

The same as torchvision's `ColorJitter`.
"""

import numpy as np
from PIL import Image, ImageEnhance


def shift_hue(image: Image.Image, shift: float) -> Image.Image:
    """Turns the colour circle by `shift`, -0.5 to 0.5 of a full turn."""
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([(grey + int(shift * 255)) % 256 for grey in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def color_jitter(
    image: Image.Image, strength: float, hue: float, rng: np.random.Generator
) -> Image.Image:
    """Changes the colours of an image.

    Args:
        image: of mode RGB.
        strength: the factors of brightness, contrast and saturation are uniform from `1 - strength`
            (at least 0) to `1 + strength`; 0: the three are off.
        hue: the shift is uniform from `-hue` to `hue`, at most 0.5; 0: off.
        rng: draws the order and the factors.
    """
    kinds = [ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color] if strength else []
    kinds += [None] if hue else []  # None: the hue
    for position in rng.permutation(len(kinds)):
        if kinds[position] is None:
            image = shift_hue(image, rng.uniform(-hue, hue))
        else:
            factor = rng.uniform(max(0.0, 1 - strength), 1 + strength)
            image = kinds[position](image).enhance(factor)
    return image
