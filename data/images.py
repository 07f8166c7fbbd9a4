"""Decoding image files to 8-bit RGB.

Greyscale is repeated, palettes are looked up, CMYK is converted, 16-bit greyscale is scaled (a plain conversion would
clip it to white), and what is transparent shows white. EXIF rotation is not applied, as in torchvision and timm.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from common.errors import UserError


def to_rgb(image: Image.Image) -> np.ndarray:
    """Convert an opened image of any mode to uint8 `(H, W, 3)`."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.asarray(image)
    if image.mode.startswith(("I", "F")):
        return _wide_to_rgb(np.asarray(image), image.mode)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))


def _wide_to_rgb(pixels: np.ndarray, mode: str) -> np.ndarray:
    """Greyscale of more than 8 bits a pixel: 16 bits by their range, other integers and floats by their values."""
    largest = pixels.max(initial=0)
    pixels = pixels.astype(np.float64)
    if mode.startswith("I;16") or largest > 255:
        pixels = pixels / 257
    elif mode == "F" and largest <= 1:
        pixels = pixels * 255
    grey = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def decode(content: bytes | Path, name: str) -> np.ndarray:
    """Decode an image file, or its bytes.

    Args:
        content: a path or the file's bytes.
        name: what to call it in an error.

    Returns:
        uint8 `(H, W, 3)`.

    Raises:
        UserError: when it can't be decoded to the end.
    """
    try:
        with Image.open(BytesIO(content) if isinstance(content, bytes) else content) as image:
            return to_rgb(image)
    except UnidentifiedImageError:
        empty = not (len(content) if isinstance(content, bytes) else content.stat().st_size)
        raise _unreadable(name, "the file is empty" if empty else "its content is of no known format") from None
    except Image.DecompressionBombError:
        raise _unreadable(name, f"it has more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except OSError as error:
        raise _unreadable(name, error.strerror or str(error)) from None
    except (ValueError, SyntaxError, MemoryError) as error:
        raise _unreadable(name, str(error)) from None


def _unreadable(name: str, reason: str) -> UserError:
    return UserError(f"{name}: not a readable image ({reason}); mend or remove it, or set data.on_corrupt=skip")


class ImageFiles(Sequence):
    """Image files, decoded when they are read."""

    def __init__(self, paths: list[Path]):
        self.paths = paths

    @property
    def names(self) -> list[str]:
        """Without the folders, which may be others on another machine."""
        return [path.name for path in self.paths]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> np.ndarray:
        return decode(self.paths[position], str(self.paths[position]))
