"""Turns what people call an image into pixels: paths, addresses, bytes, Pillow's images, arrays."""

from __future__ import annotations

import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.errors import UserError
from common.reading import user_path
from data.images import image_files
from data.images.image_files import LARGEST_FILE, decode

ImageLike = Union[str, Path, bytes, Image.Image, NDArray[np.uint8]]

_ADDRESS = ("http://", "https://")
_TIMEOUT = 30  # seconds without a byte from a server
_LONGEST = 100  # the longer side in units of the shorter one, as of files
_OF_TRAINING = ", or set data.on_corrupt=skip"  # a remedy that is none here
_TO_BYTES = "(image * 255).round().astype('uint8') for values of 0 to 1"


def is_address(word: str) -> bool:
    """Returns whether a word is the address of something at a server."""
    return word.lower().startswith(_ADDRESS)


def pixels_of(image: ImageLike, upright: bool) -> NDArray[np.uint8]:
    """Returns an image as uint8 `(H, W, 3)`.

    Args:
        image: a path, an http or https address, the bytes of a file, an image of Pillow's, or a
            uint8 array `(H, W, 3)`, `(H, W, 4)` with transparency, or grey `(H, W)` or
            `(H, W, 1)`. Arrays of other types are refused: it can't be seen what their 1 is.
        upright: whether a file or an image of Pillow's is turned as its EXIF says.

    Raises:
        UserError: when it can't be read, or is nothing of this.
    """
    if isinstance(image, str) and is_address(image):
        return _decoded(fetch(image), image, upright)
    if isinstance(image, (str, Path)):
        path = user_path(image)
        return _decoded(path, str(path), upright)
    if isinstance(image, (bytes, bytearray)):
        return _decoded(bytes(image), "an image of bytes", upright)
    if isinstance(image, Image.Image):
        return _of_pillow(image, upright)
    if isinstance(image, np.ndarray):
        return _of_array(image)
    raise UserError(
        f"an image of {type(image).__name__}: expected a path, bytes, an image of Pillow's, or a "
        "uint8 array (height, width, 3)"
    )


def fetch(address: str) -> bytes:
    """Downloads an image file.

    Raises:
        UserError: when it can't be had, or is larger than any image.
    """
    request = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            content: bytes = answer.read(LARGEST_FILE + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise UserError(f"{address}: can't be downloaded ({error}); download it by hand") from None
    if len(content) > LARGEST_FILE:
        raise UserError(f"{address}: has more than {LARGEST_FILE} bytes, too many for an image")
    return content


def _decoded(content: bytes | Path, name: str, upright: bool) -> NDArray[np.uint8]:
    try:
        return decode(content, name, upright)
    except UserError as error:
        raise UserError(str(error).removesuffix(_OF_TRAINING)) from None


def _of_pillow(image: Image.Image, upright: bool) -> NDArray[np.uint8]:
    _check_sides(image.height, image.width)
    try:
        return image_files.pixels_of(image, upright)
    except Exception as error:  # a damaged file is read only now, and raises almost anything
        raise UserError(f"an image of Pillow's: can't be read ({error})") from None


def _check_sides(height: int, width: int) -> None:
    if not min(height, width) or max(height, width) > _LONGEST * min(height, width):
        raise UserError(
            f"an image of {width} x {height} pixels: expected one side at most {_LONGEST} times "
            "the other"
        )


def _of_array(image: NDArray[Any]) -> NDArray[np.uint8]:
    shape = "x".join(map(str, image.shape))
    if image.dtype != np.uint8:
        raise UserError(
            f"an array of {image.dtype}, {shape}: expected uint8, 0 to 255; {_TO_BYTES}"
        )
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        first = image.ndim == 3 and image.shape[0] in (1, 3, 4)
        hint = "; image.transpose(1, 2, 0) moves the channels back" if first else ""
        raise UserError(f"an array of {shape}: expected (height, width, 3){hint}")
    _check_sides(*image.shape[:2])
    if image.shape[2] == 4:
        return image_files.pixels_of(Image.fromarray(image))
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))
