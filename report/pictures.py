"""Pictures of test images on the page: each is encoded once, however often it is shown."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from inference.pictures import upright
from report.looks import Part
from report.pieces import text

_SMALL, _LARGEST = 48, 128  # pixels: up to here every pixel is kept; of a side
_QUALITY = 85  # of a JPEG


class Gallery:
    """The pictures of a page, by their number, and which of them are behind a cell.

    Attributes:
        pictures: data URIs.
        cells: `(number, name)` of pictures by `row,column` of the confusion matrix.
    """

    def __init__(self) -> None:
        self.pictures: list[str] = []
        self.cells: dict[str, list[tuple[int, str]]] = {}
        self._known: dict[int, int] = {}

    def number(self, part: Part, row: int) -> int:
        """Returns the number of an image of a part; all parts of a page are the same data."""
        position = int(part.positions[row])
        if position not in self._known:
            self._known[position] = self.add(part.pixels(row))
        return self._known[position]

    def add(self, pixels: NDArray[np.uint8]) -> int:
        """Adds an image, uint8 `(3, H, W)`; returns its number."""
        self.pictures.append(uri(pixels))
        return len(self.pictures) - 1

    def add_to_cell(self, cell: str, part: Part, row: int) -> None:
        """Puts an image behind a cell."""
        entry = (self.number(part, row), part.name(row))
        self.cells.setdefault(cell, []).append(entry)

    def figure(self, part: Part, row: int, caption: str) -> str:
        """Returns a picture with a caption, which is HTML."""
        name = text(part.name(row))
        return (
            f'<figure><img data-picture="{self.number(part, row)}" alt="{name}" title="{name}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )


def enlarged(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns an image, uint8 `(3, S, S)`, with at least 128 pixels a side: a map needs room."""
    from PIL import Image

    side = max(pixels.shape[1], _LARGEST)
    image = Image.fromarray(upright(pixels))
    resized = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))
    return resized.transpose(2, 0, 1)


def uri(pixels: NDArray[np.uint8]) -> str:
    """Returns pixels, uint8 `(3, H, W)`, as a data URI: small ones without loss.

    Larger ones become JPEG of at most 128 pixels a side.
    """
    from PIL import Image

    image = Image.fromarray(upright(pixels))
    file = io.BytesIO()
    if max(image.size) <= _SMALL:
        image.save(file, "PNG")
        kind = "png"
    else:
        image.thumbnail((_LARGEST, _LARGEST))
        image.save(file, "JPEG", quality=_QUALITY)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
