"""Reads `.npz` archives of numpy without running code from them."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from common.errors import UserError
from common.zip_files import open_zip

_SQUEEZED = 20  # times that an archive may be smaller than its content; weights hardly shrink
_MOST_MEMBERS = 20_000  # of an archive: one an array


def read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with open_zip(path, _MOST_MEMBERS) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > _SQUEEZED * path.stat().st_size:
                raise UserError(
                    f"{path}: says that it unpacks to {size} bytes, which weights do not: it is refused"
                )
            return {
                member.filename.removesuffix(".npy"): _read_npy(archive, member)
                for member in members
            }
    except UserError:
        raise
    except Exception as error:  # a damaged file raises almost anything
        raise UserError(
            f"{path}: not a readable .npz file ({type(error).__name__}: {error})"
        ) from None


def _read_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array of an archive, for which room is made only when the archive says that it has as
    many bytes.
    """
    with archive.open(member) as file:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{member.filename} has another format")
        shape, _, dtype = (
            npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        )(file)
        size = math.prod(shape) * dtype.itemsize
        if (
            dtype.kind not in "fiub"
            or min(shape, default=0) < 0
            or file.tell() + size != member.file_size
        ):
            raise ValueError(
                f"{member.filename} is no array of numbers, or has another size than it says"
            )
    with archive.open(member) as file:
        return npy.read_array(file, allow_pickle=False)
