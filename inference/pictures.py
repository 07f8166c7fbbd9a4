"""Pictures for pages: a map laid over its image, and images as text that a page contains."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_COLORS = "inferno"  # its lightness rises, so it can be read in black and white, too
_OPACITY = 0.6  # of the map
_SMALLEST_SIDE = 160  # pixels of a picture that a browser would blur where it enlarges it


def upright(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the image that a model sees, `(3, H, W)`, as pictures are: `(H, W, 3)`."""
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))


def enlarged(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeats the pixels of a small image, `(3, H, W)`, so that a browser shows them sharp."""
    times = -(-_SMALLEST_SIDE // min(pixels.shape[1:]))
    return pixels.repeat(times, axis=1).repeat(times, axis=2)


def overlay(pixels: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lays a map over an image: dark for its least value, bright for its largest.

    A map that is the same everywhere is dark everywhere.

    Args:
        pixels: the image, uint8 `(3, H, W)`.
        values: the map, `(h, w)`, which is resized (bicubic).

    Returns:
        uint8 `(H, W, 3)`.
    """
    import matplotlib

    image = upright(pixels)
    sizes = image.shape[1], image.shape[0]
    resized = np.asarray(
        Image.fromarray(scaled(values)).resize(sizes, Image.Resampling.BICUBIC)
    ).clip(0, 1)
    colors = matplotlib.colormaps[_COLORS](resized)[..., :3] * 255  # (H, W, 3)
    return np.rint((1 - _OPACITY) * image + _OPACITY * colors).astype(np.uint8)


def scaled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns a map with its least value at 0 and its largest at 1; 0 where all are the same."""
    finite = np.nan_to_num(np.asarray(values, np.float32), posinf=0.0, neginf=0.0)
    low, high = finite.min(), finite.max()
    return (finite - low) / (high - low) if high > low else np.zeros_like(finite)


def data_uri(image: NDArray[np.uint8]) -> str:
    """Returns an image, uint8 `(H, W, 3)` or `(H, W)`, as a PNG that a page contains as text."""
    written = io.BytesIO()
    Image.fromarray(image).save(written, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"
