"""Opens `.npz` archives of numpy without running code from them."""

from __future__ import annotations

import math
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from common.errors import UserError
from common.number_formats import widen
from models.weights.formats.contents import Later, Opened

_SQUEEZED = 20  # how many times smaller an archive may be than its content; weights hardly shrink
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_BFLOAT16 = "V2"  # numpy writes values that it has no type for as bytes


def open_npz(path: Path, archive: zipfile.ZipFile) -> Opened:
    """Opens the arrays of an archive by name.

    Raises:
        UserError: when it is damaged, or would unpack to far more than it has.
    """
    members, size = archive.infolist(), path.stat().st_size
    unpacked = sum(member.file_size for member in members)
    if unpacked > _SQUEEZED * size:
        raise UserError(
            f"{path}: says that it unpacks to {unpacked} bytes, which weights do not: it is refused"
        )
    try:
        arrays = {one.filename.removesuffix(".npy"): _later(archive, one) for one in members}
    except Exception as error:  # a damaged file raises almost anything
        raise UserError(f"{path}: {_damaged(error)}") from None
    return Opened(arrays, "numpy's .npz archive", _SQUEEZED * size)


def _damaged(error: Exception) -> str:
    said = error if isinstance(error, (ValueError, zipfile.BadZipFile)) else "it is damaged"
    return f"not a readable .npz file ({said}); get the file again"


def _later(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Later:
    """Reads the header of one array; it must have as many bytes as the array."""
    with archive.open(member) as file:
        version = npy.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{member.filename} has another format")
        shape, _, dtype = _HEADERS[version](file)
        fits = file.tell() + math.prod(shape) * dtype.itemsize == member.file_size
        numbers = dtype.kind in "fiubc" or dtype.str[1:] == _BFLOAT16
        if not numbers or min(shape, default=0) < 0 or not fits:
            raise ValueError(
                f"{member.filename} is no array of numbers, or has another size than it says"
            )
    name = "bfloat16" if dtype.kind == "V" else dtype.name
    return Later(tuple(shape), name, partial(_read, archive, member))


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    try:
        with archive.open(member) as file:
            array = npy.read_array(file, allow_pickle=False)
    except Exception as error:  # a damaged file raises almost anything
        raise UserError(_damaged(error)) from None
    return widen(array.view(np.uint16)) if array.dtype.kind == "V" else array
