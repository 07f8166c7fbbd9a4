"""Decodes image files to 8-bit RGB.

Greyscale is repeated over the channels, palettes are looked up, and CMYK is converted. 16-bit
greyscale is scaled; a plain conversion would clip it to white. Transparent pixels show white. EXIF
rotation is not applied, as in torchvision and timm.
"""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from common.errors import UserError
from common.reading import read_bytes

# The formats of data/images/image_folders.py, whatever the name of a file. Pillow reads many more;
# for EPS it runs Ghostscript.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
# Where Pillow begins to warn; the largest photographs of ImageNet have 61 million.
_MOST_PIXELS = 89_478_485
_LONGEST = 100  # the longer side in units of the shorter one, which decides how images are resized
_LARGEST_FILE = 512 << 20  # bytes
_STRIP = 1 << 22  # pixels that are converted at a time


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Converts an opened image of any mode to uint8 `(H, W, 3)`."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.asarray(image)
    if image.mode.startswith(("I", "F")):
        return _wide_to_rgb(np.asarray(image), image.mode)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def _wide_to_rgb(pixels: NDArray[Any], mode: str) -> NDArray[np.uint8]:
    """Converts greyscale of more than 8 bits a pixel.

    16-bit values are divided by 257. So are other integers and floats, if one is over 255. Floats
    of at most 1 are multiplied by 255.
    """
    largest, divisor, factor = pixels.max(initial=0), 1.0, 1.0
    if mode.startswith("I;16") or largest > 255:
        divisor = 257.0
    elif mode == "F" and largest <= 1:
        factor = 255.0
    grey, rows = np.empty(pixels.shape, np.uint8), max(1, _STRIP // max(1, pixels.shape[1]))
    for top in range(0, len(pixels), rows):  # in strips: float64 takes eight times the memory
        strip = pixels[top : top + rows].astype(np.float64) / divisor * factor
        grey[top : top + rows] = np.clip(np.rint(np.nan_to_num(strip)), 0, 255)
    return np.repeat(grey[..., None], 3, axis=-1)


def decode(content: bytes | Path, name: str) -> NDArray[np.uint8]:
    """Decodes an image file, or its bytes.

    Args:
        content: a path, or the file's bytes.
        name: the name of the file, for errors.

    Returns:
        uint8 `(H, W, 3)`.

    Raises:
        UserError: when it can't be decoded to the end, or is larger than the images of any data
            set.
    """
    try:
        if isinstance(content, Path):
            content = read_bytes(content, _LARGEST_FILE)
        with Image.open(BytesIO(content), formats=_FORMATS) as image:
            if math.prod(image.size) > _MOST_PIXELS or max(image.size) > _LONGEST * min(image.size):
                raise ValueError(
                    f"{image.width} x {image.height} pixels, expected up to {_MOST_PIXELS:,} in "
                    f"all, and one side at most {_LONGEST} times the other"
                )
            return _to_rgb(image)
    except UnidentifiedImageError:
        reason = "its content is of no known format" if content else "the file is empty"
    except Image.DecompressionBombError:
        reason = f"it has far more than {_MOST_PIXELS:,} pixels"
    except OSError as error:
        reason = error.strerror or str(error)
    except Exception as error:  # a damaged image raises almost anything
        reason = f"{error}".replace(f"{name}: ", "")
    raise UserError(
        f"{name}: not a readable image ({reason}); mend or remove it, or set data.on_corrupt=skip"
    )
