"""Looks at image files without decoding them: existence, size, header, end of the file.

Where these leave a doubt, the file is decoded. So what is reported is what decoding would report;
damage in the middle of a file is found later, by whoever decodes it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from PIL import Image

from common.errors import UserError
from data.files.stored_files import StoredFile
from data.images.image_files import LARGEST_FILE, open_image, read_image

_END = 4096  # bytes at the end in which a JPEG has its last mark; cameras write more behind it
_TIFF_PLACES = ((273, 279), (324, 325))  # tags of the places and the sizes of strips and tiles
_CHUNK = 64  # files that a thread looks at in one go
_MOST_THREADS = 8  # a network's disk is slow to answer, not slow to read


def look(file: StoredFile) -> str:
    """Returns what is wrong with an image file; empty when it looks whole."""
    try:
        with contextlib.suppress(UserError), file.open(LARGEST_FILE) as stream:
            if _looks_whole(stream, str(file)):
                return ""
        read_image(file)
    except UserError as error:
        return str(error)
    return ""


def look_at(files: Sequence[StoredFile], given_up: threading.Event | None = None) -> list[str]:
    """Looks at many files, in threads.

    Args:
        files: of images.
        given_up: set when nobody waits for the result any more.

    Returns:
        What is wrong with those that are damaged, in the order of the files.
    """
    stopped = given_up or threading.Event()
    chunks = [files[begin : begin + _CHUNK] for begin in range(0, len(files), _CHUNK)]
    threads = min(_MOST_THREADS, 2 * (os.cpu_count() or 1))
    with ThreadPoolExecutor(threads, thread_name_prefix="look") as pool:
        found = list(
            pool.map(lambda chunk: [] if stopped.is_set() else list(map(look, chunk)), chunks)
        )
    return [problem for chunk in found for problem in chunk if problem]


def _looks_whole(stream: BinaryIO, name: str) -> bool:
    """Returns whether header and end of a file are right; False also for a doubt."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    try:
        image = open_image(stream, name)
    except Exception:  # a damaged header raises almost anything
        return False
    # Behind the header, which may have a whole small image, with its own end.
    stream.seek(max(0, size - _END, stream.tell()))
    return _ends_well(image, stream.read(_END), stream, size)


def _ends_well(image: Image.Image, end: bytes, stream: BinaryIO, size: int) -> bool:
    kind = image.format
    if kind in ("JPEG", "MPO"):
        return b"\xff\xd9" in end  # within the pixels these two bytes never come together
    if kind == "PNG":
        return b"IEND" in end
    if kind == "GIF":
        return end.rstrip(b"\0").endswith(b";")
    if kind == "WEBP":
        stream.seek(4)
        return int.from_bytes(stream.read(4), "little") + 8 <= size
    if kind in ("AVIF", "HEIF"):
        return _boxes_fit(stream, size)
    if kind == "TIFF":
        return _strips_fit(image, size)
    return False


def _boxes_fit(stream: BinaryIO, size: int) -> bool:
    """Returns whether the parts of an ISO base media file end where the file ends."""
    place = 0
    while place < size:
        stream.seek(place)
        header = stream.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        if length == 0:  # to the end
            return True
        if length < 8:
            return False
        place += length
    return place == size


def _strips_fit(image: Image.Image, size: int) -> bool:
    tags = image.tag_v2
    for places, sizes in _TIFF_PLACES:
        if places in tags and sizes in tags:
            pairs = zip(tags[places], tags[sizes])
            return all(place + length <= size for place, length in pairs)
    return False
