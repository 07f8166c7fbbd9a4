"""Reads all images of a data set, in threads: decoding leaves Python's lock (GIL) to others.

What is kept of an image is 16 bytes of its hash, and what is odd about it.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.check.one_image import DIGEST, ImageFacts, examiner
from data.check.pictures import chosen
from data.images.images_and_labels import ImagesAndLabels

_CHUNK = 32  # images that a thread reads in one go
LARGE = 20_000_000  # pixels; reading one takes longer than training on it
LONG = 4  # the longer side in units of the shorter one; the crop sees little of the image


class Scan(NamedTuple):
    """What was found in the images of one part; positions are in ascending order.

    Attributes:
        part: the images with their labels.
        digests: of the pixels, uint8 `(N, 16)`; of damaged images 0.
        damaged: what is wrong, by the position.
        sizes: how often each width and height comes.
        kinds: how often each kind of file comes.
        orientations: how often each EXIF orientation comes; 0: none.
        single_colour: positions of images whose pixels are all equal.
        large: positions of images of more than `LARGE` pixels.
        long: positions of images with one side more than `LONG` times the other.
        mean: of each channel, 0 to 1, each image counting the same; () without readable images.
        std: standard deviation of each channel, in the same way.
        pictures: small encoded images by the position.
        root: of the data, which is left out of the names.
    """

    part: ImagesAndLabels
    digests: NDArray[np.uint8]
    damaged: dict[int, str]
    sizes: Counter[tuple[int, int]]
    kinds: Counter[str]
    orientations: Counter[int]
    single_colour: list[int]
    large: list[int]
    long: list[int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pictures: dict[int, bytes]
    root: str

    def name(self, position: int) -> str:
        """Returns the place of an image below the root; without files, its number in the part."""
        name = self.part.name(position)
        if name.isdigit():
            return f"image {name}"
        below = name.removeprefix(self.root) if self.root else name
        return below.lstrip("/: ") if below[:1] in ("/", ":") and below != name else name


def scan(
    parts: dict[str, ImagesAndLabels], root: str, side: int, advance: Callable[[int], object]
) -> dict[str, Scan]:
    """Reads all images of all parts; damaged ones are noted.

    Args:
        parts: by their names. Of `train` pictures are kept.
        root: of the data.
        side: height and width that each image must have; 0: any.
        advance: is told how many images have been read since the last call.
    """
    with ThreadPoolExecutor(_threads(), thread_name_prefix="scan") as pool:
        try:
            return {
                name: _scan_part(part, side, name == "train", pool, advance)._replace(root=root)
                for name, part in parts.items()
            }
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _threads() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return max(1, len(affinity(0)) if affinity else os.cpu_count() or 1)


def _scan_part(
    part: ImagesAndLabels,
    side: int,
    with_pictures: bool,
    pool: ThreadPoolExecutor,
    advance: Callable[[int], object],
) -> Scan:
    examine, count = examiner(part, side), len(part.labels)
    shown = set(chosen(part.labels, len(part.classes)) if with_pictures else ())

    def read(begin: int) -> list[ImageFacts]:
        return [examine(at, at in shown) for at in range(begin, min(begin + _CHUNK, count))]

    def facts() -> Iterator[tuple[int, ImageFacts]]:
        position = 0
        for chunk in pool.map(read, range(0, count, _CHUNK)):
            for one in chunk:
                yield position, one
                position += 1
            advance(len(chunk))

    return _collected(part, facts())


def _collected(part: ImagesAndLabels, facts: Iterator[tuple[int, ImageFacts]]) -> Scan:
    digests = np.zeros((len(part.labels), DIGEST), np.uint8)
    sums = _Sums()
    found = Scan(part, digests, {}, Counter(), Counter(), Counter(), [], [], [], (), (), {}, "")
    for position, one in facts:
        if one.problem:
            found.damaged[position] = one.problem
            continue
        digests[position] = np.frombuffer(one.digest, np.uint8)
        found.sizes[one.size] += 1
        found.kinds[one.kind] += 1
        found.orientations[one.orientation] += 1
        for condition, positions in (
            (one.single_colour, found.single_colour),
            (math.prod(one.size) > LARGE, found.large),
            (max(one.size) > LONG * min(one.size), found.long),
        ):
            if condition:
                positions.append(position)
        if one.picture:
            found.pictures[position] = one.picture
        sums.add(one)
    mean, std = sums.mean_and_std()
    return found._replace(mean=mean, std=std)


class _Sums:
    """Adds up means and squares in the order of the images, so that the result is the same."""

    def __init__(self) -> None:
        self._count, self._mean, self._square = 0, np.zeros(3), np.zeros(3)

    def add(self, one: ImageFacts) -> None:
        self._count += 1
        self._mean += one.mean
        self._square += one.square

    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if not self._count:
            return (), ()
        mean = self._mean / self._count
        variance = np.maximum(self._square / self._count - mean**2, 0)
        return tuple(mean.tolist()), tuple(np.sqrt(variance).tolist())
