"""Decodes image files to 8-bit RGB.

Greyscale is repeated over the channels, palettes are looked up, and CMYK is converted. 16-bit
greyscale is scaled; a plain conversion would clip it to white. Transparent pixels show white. Of an
animated image it is the first one. An image that was taken with a turned camera (EXIF orientation)
is turned upright where that is asked for; Pillow turns a TIFF in any case.
"""

from __future__ import annotations

import functools
import math
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from common.errors import UserError
from common.reading import read_bytes
from data.files.stored_files import StoredFile
from data.images.image_kinds import (
    BEGINNING,
    kind_by_content,
    kind_by_ending,
    readable_kinds,
    remedy,
    what_it_is,
)

# Where Pillow begins to warn; the largest photographs of ImageNet have 61 million.
_MOST_PIXELS = 89_478_485
# Of a JPEG, which is decoded at a half, a quarter or an eighth of its size where it is larger than
# that; the largest cameras of phones have 200 million.
_MOST_REDUCED = 600_000_000
_LONGEST = 100  # the longer side in units of the shorter one, which decides how images are resized
REMEDY = "mend or remove it, or set data.on_corrupt=skip"
LARGEST_FILE = 512 << 20  # bytes
_STRIP = 1 << 22  # pixels that are converted at a time
_ORIENTATION = 0x0112  # the EXIF tag
# What makes an image upright, by its EXIF orientation (CIPA DC-008, section 4.6.4).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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


def _upright(image: Image.Image) -> Image.Image:
    """Returns an image as its EXIF orientation says; one whose EXIF is damaged as it is.

    Not `ImageOps.exif_transpose`, which fails where any other part of the EXIF is damaged.
    """
    image.load()  # a TIFF is turned here, by Pillow
    turn = _TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation of an image, 1 to 8; 0 where it has none, or a damaged one."""
    try:
        value = image.getexif().get(_ORIENTATION)
    except Exception:  # a damaged one raises almost anything
        return 0
    return value if isinstance(value, int) and 1 <= value <= 8 else 0


@functools.cache
def _prepare_pillow() -> None:
    """Sets up Pillow once: its limit of pixels is replaced by those above, and HEIC is read.

    Its own limit refuses photographs that can be read reduced. What it warns of, such as a damaged
    EXIF, is either an error here or of no importance.
    """
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    Image.MAX_IMAGE_PIXELS = None
    if "HEIF" in readable_kinds():
        import pillow_heif

        pillow_heif.register_heif_opener()


def open_image(stream: BinaryIO, name: str) -> Image.Image:
    """Opens an image; its header is read and checked, its pixels are not decoded.

    Args:
        stream: the content of the file.
        name: of the file; its ending matters only for TGA, whose content can't be recognised.

    Raises:
        ValueError: when it is too large, or a strip.
        OSError: when it is damaged or of another format.
    """
    _prepare_pillow()
    kinds = readable_kinds() - {"TGA"}
    if kind_by_ending(name) == "TGA":
        known = kind_by_content(stream.read(BEGINNING))
        stream.seek(0)
        kinds = kinds if known else frozenset({"TGA"})
    # Only these: Pillow reads many more, and for EPS it runs Ghostscript.
    image = Image.open(stream, formats=sorted(kinds))
    pixels, most = math.prod(image.size), _MOST_PIXELS
    if image.format in ("JPEG", "MPO"):
        most = _MOST_REDUCED
    if pixels > most or max(image.size) > _LONGEST * min(image.size):
        raise ValueError(
            f"{image.width} x {image.height} pixels, expected up to {most:,} in all, and one side "
            f"at most {_LONGEST} times the other"
        )
    factor = next((n for n in (1, 2, 4) if pixels <= n * n * _MOST_PIXELS), 8)
    if factor > 1:
        image.draft(None, (-(-image.width // factor), -(-image.height // factor)))
    return image


def pixels_of(image: Image.Image, exif: bool = False) -> NDArray[np.uint8]:
    """Returns an opened image as uint8 `(H, W, 3)`; see `decode`."""
    return _to_rgb(_upright(image) if exif else image)


def decode(content: bytes | Path, name: str, exif: bool = False) -> NDArray[np.uint8]:
    """Decodes an image file, or its bytes.

    Args:
        content: a path, or the file's bytes.
        name: the name of the file, for errors.
        exif: whether to turn it upright by its EXIF orientation.

    Returns:
        uint8 `(H, W, 3)`.

    Raises:
        UserError: when it can't be decoded to the end, or is larger than the images of any data
            set.
    """
    reason = ""
    try:
        if isinstance(content, Path):
            content = read_bytes(content, LARGEST_FILE)
        with open_image(BytesIO(content), name) as image:
            return pixels_of(image, exif)
    except UnidentifiedImageError:
        reason = _unidentified(content) if isinstance(content, bytes) else ""
    except OSError as error:
        reason = error.strerror or str(error)
    except Exception as error:  # a damaged image raises almost anything
        reason = f"{error}".replace(f"{name}: ", "")
    raise unreadable(name, reason)


def read_image(file: StoredFile, exif: bool = False) -> NDArray[np.uint8]:
    """Reads and decodes a file; see `decode`."""
    try:
        content = file.read(LARGEST_FILE)
    except UserError as error:
        raise unreadable(str(file), str(error).replace(f"{file}: ", "")) from None
    return decode(content, str(file), exif)


def unreadable(name: str, reason: str) -> UserError:
    """Returns the error for a damaged image."""
    return UserError(f"{name}: not a readable image ({reason}); {REMEDY}")


def _unidentified(content: bytes) -> str:
    """Returns why Pillow does not know what a file is."""
    kind = kind_by_content(content[:BEGINNING])
    if not content:
        return "the file is empty"
    if not kind:
        other = what_it_is(content[:BEGINNING])
        return f"it is {other}" if other else "its content is of no known format"
    if kind in readable_kinds():
        return f"it is a damaged {kind} file"
    return f"it is {kind}, which is not read here: {remedy(kind)}"
