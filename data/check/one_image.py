"""Reads one image, and notes what a check of the data has to know about it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from paddle.io import Subset
from PIL import Image

from common.errors import UserError
from data.check.pictures import small_picture
from data.files.stored_files import StoredFile
from data.images.image_files import LARGEST_FILE, REMEDY, decode, open_image, orientation
from data.images.images_and_labels import ImageFiles, ImagesAndLabels

DIGEST = 16  # bytes
_LEVELS = np.arange(256, dtype=np.int64)
ARRAY = "array"  # the kind of images that are in no file of their own


class ImageFacts(NamedTuple):
    """What is known of an image.

    Attributes:
        problem: why it can't be used; empty for a readable image, the rest is for one only.
        size: width and height as the model gets them, turned upright where the config says so.
        kind: of the file, as Pillow calls it, and the mode of its pixels, such as `JPEG L`.
        orientation: of its EXIF data, 1 to 8; 0: none.
        digest: of size and pixels.
        single_colour: whether all pixels are equal.
        mean: of each channel, 0 to 1.
        square: mean of the squares of each channel.
        picture: the image in small, encoded; empty where it was not asked for.
    """

    problem: str = ""
    size: tuple[int, int] = (0, 0)
    kind: str = ""
    orientation: int = 0
    digest: bytes = bytes(DIGEST)
    single_colour: bool = False
    mean: tuple[float, ...] = ()
    square: tuple[float, ...] = ()
    picture: bytes = b""


def examiner(part: ImagesAndLabels, side: int) -> Callable[[int, bool], ImageFacts]:
    """Returns a function that reads the image at a position, and tells what it is.

    Args:
        part: the images; their files are read, whatever else may be known of them.
        side: height and width that each image must have; 0: any.
    """
    images = part.images
    while isinstance(images, Subset):
        images = images.dataset
    exif, files = isinstance(images, ImageFiles) and images.exif, part.files()

    def examine(position: int, with_picture: bool) -> ImageFacts:
        try:
            if files is None:
                return _facts(np.asarray(part.images[position]), ARRAY, 0, side, with_picture)
            return _of_file(files[position], exif, side, with_picture)
        except UserError as error:
            name = part.name(position)
            return ImageFacts(str(error).removesuffix(f"; {REMEDY}").removeprefix(f"{name}: "))

    return examine


def _of_file(file: StoredFile, exif: bool, side: int, with_picture: bool) -> ImageFacts:
    name = str(file)
    content = file.read(LARGEST_FILE)
    pixels = decode(content, name, exif)
    with open_image(BytesIO(content), name) as image:
        kind, turn = f"{image.format} {image.mode}", orientation(image)
    return _facts(pixels, kind, turn, side, with_picture)


def _facts(
    pixels: NDArray[np.uint8], kind: str, turn: int, side: int, with_picture: bool
) -> ImageFacts:
    height, width = pixels.shape[:2]
    if side and (width, height) != (side, side):
        raise UserError(f"has {width} x {height} pixels, expected {side} x {side}")
    pixels = np.ascontiguousarray(pixels)
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=DIGEST)
    digest.update(pixels.data)
    # Pillow counts faster than numpy adds, and the sums of counts are exact.
    counts = np.array(Image.fromarray(pixels).histogram(), np.int64).reshape(3, 256)
    area = height * width
    return ImageFacts(
        size=(width, height),
        kind=kind,
        orientation=turn,
        digest=digest.digest(),
        single_colour=bool((counts == area).any(axis=1).all()),
        mean=tuple((counts @ _LEVELS / (area * 255)).tolist()),
        square=tuple((counts @ _LEVELS**2 / (area * 255**2)).tolist()),
        picture=small_picture(pixels) if with_picture else b"",
    )
