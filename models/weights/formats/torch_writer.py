"""Writes PyTorch's weights files without PyTorch: a zip archive with a pickle and storages."""

import struct
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.errors import UserError
from models.weights.formats.torch_pickles import DTYPES

# A call of `_rebuild_tensor_v2`: storage, offset, shape, strides; no gradient, no hooks.
_REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n(("
_REBUILT = b"\x89ccollections\nOrderedDict\n)RtR"


def write_torch(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes a `.pth` file that `torch.load` reads with `weights_only=True`.

    It holds a dict of float and integer tensors.
    """
    storages = {np.dtype(dtype): name for name, dtype in DTYPES.items() if dtype != "bfloat16"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, content: bytes) -> None:
            # Without a time, equal weights are equal files.
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), content)

        body = bytearray(b"\x80\x02}(")  # pickle's protocol 2, an empty dict, a mark
        for key, (name, array) in enumerate(arrays.items()):
            array = np.asarray(array, order="C")
            if array.dtype not in storages:
                raise UserError(
                    f"{path.name}: {name} holds {array.dtype} values, which PyTorch does not have"
                )
            body += _text(name) + _REBUILD + _text("storage")
            body += b"ctorch\n" + storages[array.dtype].encode() + b"\n"
            body += _text(str(key)) + _text("cpu") + _integer(array.size) + b"tQ" + _integer(0)
            strides = [stride // array.itemsize for stride in array.strides]
            body += _tuple(array.shape) + _tuple(strides) + _REBUILT
            add(f"data/{key}", array.tobytes())
        add("data.pkl", bytes(body + b"u."))
        add("byteorder", sys.byteorder.encode())
        add("version", b"3\n")


def _text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _integer(value: int) -> bytes:
    small = value < 1 << 31
    return b"J" + struct.pack("<i", value) if small else b"\x8a\x08" + struct.pack("<q", value)


def _tuple(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(map(_integer, values)) + b"t"
