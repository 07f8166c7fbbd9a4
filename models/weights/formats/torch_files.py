"""Opens PyTorch's weights files without PyTorch, and without running code from them.

There are two formats. Since PyTorch 1.6 a file is a zip archive with a pickle, `data.pkl`, and the
storages of its tensors as members `data/KEY`. Before, a file was several pickles in a row (magic
number, protocol, system, content, keys), followed by the storages.
"""

from __future__ import annotations

import os
import struct
import sys
import zipfile
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import UserError
from common.pickles.safe_load import unpickle
from models.weights.formats.contents import Opened
from models.weights.formats.torch_pickles import (
    KEPT,
    Storage,
    TorchUnpickler,
    no_values,
    read_legacy,
    values_of,
)


def open_torch_zip(path: Path, archive: zipfile.ZipFile, pickled: str) -> Opened:
    """Opens a file of today's format.

    Args:
        path: of the file.
        archive: the file as an archive.
        pickled: the name of the member with the pickle.

    Raises:
        UserError: when it is damaged, or written on another kind of machine.
    """
    names, root = archive.namelist(), pickled[: -len("data.pkl")]
    if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
        raise UserError(
            f"{path}: its archive is compressed, which PyTorch's are not: it is refused"
        )
    order = archive.read(root + "byteorder").decode() if root + "byteorder" in names else "little"
    if order != sys.byteorder:
        raise UserError(f"{path}: was written on a {order}-endian machine")

    def read(storage: Storage) -> bytes:
        return archive.read(f"{root}data/{storage.key}")

    values = lru_cache(KEPT)(partial(values_of, read))
    kind = partial(TorchUnpickler, values=values)
    content, _ = unpickle(BytesIO(archive.read(pickled)), str(path), "latin1", kind)
    return Opened(content, "PyTorch's zip archive", 2 * path.stat().st_size)


def open_torch_legacy(path: Path) -> Opened:
    """Opens a file of the format before PyTorch 1.6.

    Raises:
        UserError: when it is damaged or cut short.
    """
    places: dict[str, int] = {}

    def read(storage: Storage) -> bytes:
        return np.fromfile(path, np.uint8, storage.size, offset=places[storage.key]).tobytes()

    with open(path, "rb") as file:
        values = lru_cache(KEPT)(partial(values_of, read))
        content, found = read_legacy(str(path), file, path.stat().st_size, values)
        places.update(found)
    return Opened(content, "PyTorch's format before 1.6", 2 * path.stat().st_size)


def said_of_cut(path: Path) -> str:
    """Returns what is said of a zip archive without its end, which has the table of contents."""
    size, needed = path.stat().st_size, 0
    try:
        needed = _least_size(path)
    except Exception:  # it is no file of PyTorch's, or its pickle is cut, too
        needed = 0
    has = f"{size} of more than {needed} bytes" if needed > size else f"{size} bytes"
    return (
        f"not a readable zip archive: cut short, or damaged: it has {has}, and not the table of "
        "contents at its end; get the file again"
    )


def _least_size(path: Path) -> int:
    """Returns how many bytes the storages of a file take whose first member is its pickle."""
    with open(path, "rb") as file:
        head = file.read(30)
        name, extra = struct.unpack("<HH", head[26:30])
        if not file.read(name).endswith(b"data.pkl"):
            return 0
        file.seek(extra, os.SEEK_CUR)
        made: list[TorchUnpickler] = []

        def kind(file: Any, **options: Any) -> TorchUnpickler:
            made.append(TorchUnpickler(file, no_values, **options))
            return made[0]

        unpickle(file, str(path), "latin1", kind)
    return sum(storage.size for storage in made[0].storages.values())
