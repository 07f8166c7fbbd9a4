"""Reads `.npz` archives of numpy without running code from them."""

import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from common.errors import UserError
from common.zip_files import open_zip

_SQUEEZED = 20  # how many times smaller an archive may be than its content; weights hardly shrink
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_MOST_MEMBERS = 20_000  # of an archive: one for each array


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of an archive by name.

    Raises:
        UserError: when it is damaged, or would unpack to far more than it has.
    """
    try:
        with open_zip(path, _MOST_MEMBERS) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > _SQUEEZED * path.stat().st_size:
                raise UserError(
                    f"{path}: says that it unpacks to {size} bytes, "
                    "which weights do not: it is refused"
                )
            return {one.filename.removesuffix(".npy"): _read_npy(archive, one) for one in members}
    except UserError:
        raise
    except Exception as error:  # a damaged file raises almost anything
        raise UserError(
            f"{path}: not a readable .npz file ({type(error).__name__}: {error})"
        ) from None


def _read_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Reads one array; memory is taken only if the member has as many bytes as the array."""
    with archive.open(member) as file:
        version = npy.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{member.filename} has another format")
        shape, _, dtype = _HEADERS[version](file)
        fits = file.tell() + math.prod(shape) * dtype.itemsize == member.file_size
        if dtype.kind not in "fiub" or min(shape, default=0) < 0 or not fits:
            raise ValueError(
                f"{member.filename} is no array of numbers, or has another size than it says"
            )
    with archive.open(member) as file:
        return npy.read_array(file, allow_pickle=False)
