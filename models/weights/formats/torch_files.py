"""PyTorch's weights files, read and written without PyTorch.

Two formats. Since PyTorch 1.6 a file is a zip archive: `data.pkl` is a pickle in which a tensor is
a call of `torch._utils._rebuild_tensor_v2` on a storage, and the storages lie beside it as
`data/KEY`. Before, a file was several pickles in a row (magic number, protocol, system, content,
keys), followed by the storages. In both the pickle could call any function; here it gets stand-ins
for the few that tensors need, and everything else is refused.
"""

from __future__ import annotations

import math
import os
import struct
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common.errors import UserError
from common.pickle_files import ArrayUnpickler, unpickle_arrays, walk
from common.pickle_stand_ins import Maker, is_shape, make_tuple
from common.safetensors_files import widen
from common.zip_files import open_zip

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_MOST_MEMBERS = 20_000  # of an archive: one a storage
_DTYPES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


class _Storage(NamedTuple):
    """A run of values in the file; `dtype` as in `_DTYPES`."""

    key: str
    dtype: str
    count: int


class _Tensor(NamedTuple):
    """A view of a storage, in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Ignored:
    """What a training state holds beside arrays (arguments, for example): kept out of the way."""

    def __init__(self, *_: Any):
        pass

    def __setstate__(self, _: Any):
        pass


def _rebuild(storage, offset, shape, strides, *_) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise UserError("a tensor without a storage is refused")
    if not is_shape(shape) or not is_shape(strides) or not is_shape([offset]):
        raise UserError("a tensor whose shape is none does not fit its storage: it is refused")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _unwrap(tensor, *_) -> _Tensor:
    return tensor


_STAND_INS = {
    ("torch._utils", "_rebuild_tensor_v2"): Maker(_rebuild),
    ("torch._utils", "_rebuild_parameter"): Maker(_unwrap),
    ("torch", "Size"): Maker(make_tuple),
    ("torch", "device"): _Ignored,
    ("argparse", "Namespace"): _Ignored,
}


class _TorchUnpickler(ArrayUnpickler):
    """Gives tensors as `_Tensor`, since their storages come later in the file."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _STAND_INS:
            return _STAND_INS[module, name]
        if module in ("torch", "torch.cuda") and name in _DTYPES:
            return _DTYPES[name]
        return super().find_class(module, name)

    def persistent_load(self, identity: Any) -> _Storage:
        kind, dtype, key, _, count, *rest = identity
        named = isinstance(key, (str, int)) and isinstance(dtype, str) and is_shape([count])
        if kind != "storage" or dtype not in _DTYPES.values() or any(rest) or not named:
            raise UserError("the file asks for what is no plain storage: it is refused")
        return _Storage(str(key), dtype, count)


def read_torch(path: Path, select: Callable[[Any], dict[str, Any]]) -> dict[str, np.ndarray]:
    """Read a `.pth` or `.pt` file.

    Args:
        path: of the file.
        select: gives the named tensors that are wanted, of what was saved.

    Returns:
        Their arrays; bfloat16 as float32.

    Raises:
        UserError: when it is damaged, or holds anything but tensors, plain containers and
            arguments.
    """
    try:
        content, buffer_of = (_open_zip if zipfile.is_zipfile(path) else _open_legacy)(path)
        tensors = select(content)
        wanted = sum(
            math.prod(tensor.shape) * _width(tensor.storage) for tensor in _tensors(tensors)
        )
        if wanted > 2 * path.stat().st_size:
            raise UserError(
                f"{path}: its tensors take {wanted} bytes, more than the file has: it is refused"
            )
        storages = {tensor.storage for tensor in _tensors(tensors)}
        stored = sum(storage.count * _width(storage) for storage in storages)
        if stored > path.stat().st_size:
            raise UserError(
                f"{path}: its storages are cut short: {stored} bytes are more than the file has"
            )
        values_of = cache(
            lambda storage: _values(storage, buffer_of(storage), path)
        )  # those that share it share memory
        return {
            name: _array(value, values_of(value.storage), f"{path}: {name}")
            if isinstance(value, _Tensor)
            else value
            for name, value in tensors.items()
        }
    except UserError:
        raise
    except Exception as error:  # a damaged file raises almost anything
        raise UserError(
            f"{path}: not a readable PyTorch file ({type(error).__name__}: {error})"
        ) from None


def _open_zip(path: Path) -> tuple[Any, Callable[[_Storage], bytes]]:
    archive = open_zip(path, _MOST_MEMBERS)
    names = archive.namelist()
    pickles = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1 or any("/code/" in name for name in names):
        raise UserError(
            f"{path}: not the weights of a model (TorchScript, perhaps): save its state_dict()"
        )
    if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
        raise UserError(
            f"{path}: its archive is compressed, which PyTorch's are not: it is refused"
        )
    root = pickles[0][: -len("data.pkl")]
    order = archive.read(root + "byteorder").decode() if root + "byteorder" in names else "little"
    if order != sys.byteorder:
        raise UserError(f"{path}: was written on a {order}-endian machine")
    content = unpickle_arrays(BytesIO(archive.read(pickles[0])), str(path), kind=_TorchUnpickler)
    return content, lambda storage: archive.read(f"{root}data/{storage.key}")


def _open_legacy(path: Path) -> tuple[Any, Callable[[_Storage], bytes]]:
    with open(path, "rb") as file:
        if unpickle_arrays(file, str(path)) != _LEGACY_MAGIC:
            raise UserError(f"{path}: not a file of PyTorch")
        for _ in range(2):  # protocol, system
            unpickle_arrays(file, str(path))
        content = unpickle_arrays(file, str(path), kind=_TorchUnpickler)
        storages = {tensor.storage.key: tensor.storage for tensor in _tensors(content)}
        places, size = {}, path.stat().st_size
        for key in unpickle_arrays(file, str(path)):
            (count,) = struct.unpack("<q", file.read(8))
            storage = storages.get(str(key) if isinstance(key, int) else key)
            if storage is None or count != storage.count:
                raise UserError(f"{path}: a storage belongs to no tensor, or has another size")
            places[storage.key] = file.tell()
            if file.seek(count * _width(storage), os.SEEK_CUR) > size:
                raise UserError(f"{path}: cut short in storage {key}")
    return content, lambda storage: _part(
        path, places[storage.key], storage.count * _width(storage)
    )


def _part(path: Path, begin: int, size: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(begin)
        return file.read(size)


def _tensors(content: Any) -> list[_Tensor]:
    return [value for value in walk(content) if isinstance(value, _Tensor)]


def _width(storage: _Storage) -> int:
    return 2 if storage.dtype == "bfloat16" else np.dtype(storage.dtype).itemsize


def _values(storage: _Storage, buffer: bytes, path: Path) -> np.ndarray:
    if len(buffer) != storage.count * _width(storage):
        raise UserError(f"{path}: cut short: storage {storage.key} has {len(buffer)} bytes")
    return widen(buffer) if storage.dtype == "bfloat16" else np.frombuffer(buffer, storage.dtype)


def _array(tensor: _Tensor, values: np.ndarray, origin: str) -> np.ndarray:
    count = math.prod(tensor.shape)
    if not count:
        return np.empty(tensor.shape, values.dtype)
    last = tensor.offset + sum(
        (size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides)
    )
    bad = (
        len(tensor.shape) != len(tensor.strides)
        or min((*tensor.shape, *tensor.strides, tensor.offset), default=0) < 0
    )
    if bad or last >= len(values) or count > len(values):
        raise UserError(f"{origin} of shape {list(tensor.shape)} does not fit its storage")
    strides = [stride * values.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(
        values[tensor.offset :], tensor.shape, strides, writeable=False
    )
    return np.ascontiguousarray(view).reshape(tensor.shape)


def write_torch(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a `.pth` file that `torch.load` reads with `weights_only=True`: a dict of float and
    integer tensors.
    """
    storages = {np.dtype(dtype): name for name, dtype in _DTYPES.items() if dtype != "bfloat16"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, content: bytes) -> None:
            archive.writestr(
                zipfile.ZipInfo(f"archive/{name}"), content
            )  # no time: equal weights are equal files

        body = bytearray(b"\x80\x02}(")  # protocol 2, an empty dict, a mark
        for key, (name, array) in enumerate(arrays.items()):
            array = np.asarray(array, order="C")
            if array.dtype not in storages:
                raise UserError(
                    f"{path.name}: {name} holds {array.dtype} values, which PyTorch does not have"
                )
            body += _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(("
            body += _text("storage") + b"ctorch\n" + storages[array.dtype].encode() + b"\n"
            body += _text(str(key)) + _text("cpu") + _integer(array.size) + b"tQ" + _integer(0)
            strides = [stride // array.itemsize for stride in array.strides]
            body += b"".join(
                b"(" + b"".join(map(_integer, values)) + b"t" for values in (array.shape, strides)
            )
            body += b"\x89ccollections\nOrderedDict\n)RtR"  # no gradient, no hooks; the call
            add(f"data/{key}", array.tobytes())
        add("data.pkl", bytes(body + b"u."))
        add("byteorder", sys.byteorder.encode())
        add("version", b"3\n")


def _text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _integer(value: int) -> bytes:
    return (
        b"J" + struct.pack("<i", value)
        if value < 1 << 31
        else b"\x8a\x08" + struct.pack("<q", value)
    )
