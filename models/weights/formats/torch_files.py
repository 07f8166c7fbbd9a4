"""Reads PyTorch's weights files without PyTorch, and without running code from them.

There are two formats. Since PyTorch 1.6 a file is a zip archive. Its `data.pkl` is a pickle in
which a tensor is a call of `torch._utils._rebuild_tensor_v2` on a storage; the storages are the
members `data/KEY`. Before, a file was several pickles in a row (magic number, protocol, system,
content, keys), followed by the storages. In both formats the pickle could call any function. Here
it gets replacements of the few that tensors need, and everything else is refused.
"""

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
from common.pickle_stand_ins import Maker, is_shape, make_tuple
from common.safe_load import ArrayUnpickler, unpickle_arrays, walk
from common.safetensors_files import widen
from common.zip_files import open_zip

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_MOST_MEMBERS = 20_000  # of an archive: one for each storage
DTYPES = {  # of PyTorch's classes of storages
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
    """A run of values in the file."""

    key: str
    dtype: str  # as in `DTYPES`
    count: int


class _Tensor(NamedTuple):
    """A view of a storage, in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Ignored:
    """Replaces classes of a training state that are not needed, such as that of its arguments."""

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


_REPLACEMENTS = {
    ("torch._utils", "_rebuild_tensor_v2"): Maker(_rebuild),
    ("torch._utils", "_rebuild_parameter"): Maker(lambda tensor, *_: tensor),
    ("torch", "Size"): Maker(make_tuple),
    ("torch", "device"): _Ignored,
    ("argparse", "Namespace"): _Ignored,
}


class _TorchUnpickler(ArrayUnpickler):
    """Reads tensors as `_Tensor`, since their storages come later in the file."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _REPLACEMENTS:
            return _REPLACEMENTS[module, name]
        if module in ("torch", "torch.cuda") and name in DTYPES:
            return DTYPES[name]
        return super().find_class(module, name)

    def persistent_load(self, identity: Any) -> _Storage:
        kind, dtype, key, _, count, *rest = identity
        named = isinstance(key, (str, int)) and isinstance(dtype, str) and is_shape([count])
        if kind != "storage" or dtype not in DTYPES.values() or any(rest) or not named:
            raise UserError("the file asks for what is no plain storage: it is refused")
        return _Storage(str(key), dtype, count)


def read_torch(path: Path, select: Callable[[Any], dict[str, Any]]) -> dict[str, np.ndarray]:
    """Reads a `.pth` or `.pt` file.

    Args:
        path: of the file.
        select: returns the wanted tensors by name, from the content of the file.

    Returns:
        Their arrays by name; bfloat16 becomes float32.

    Raises:
        UserError: when the file is damaged, or holds anything but tensors, plain containers and
            arguments.
    """
    try:
        content, buffer_of = (_open_zip if zipfile.is_zipfile(path) else _open_legacy)(path)
        tensors = select(content)
        _check_sizes(_tensors(tensors), path)
        # Tensors that share a storage share memory.
        values_of = cache(lambda storage: _values(storage, buffer_of(storage), path))
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


def _check_sizes(tensors: list[_Tensor], path: Path) -> None:
    """Checks that tensors and storages have about as many bytes as the file."""
    size = path.stat().st_size
    wanted = sum(math.prod(tensor.shape) * _width(tensor.storage) for tensor in tensors)
    if wanted > 2 * size:
        raise UserError(
            f"{path}: its tensors take {wanted} bytes, more than the file has: it is refused"
        )
    stored = sum(map(_size, {tensor.storage for tensor in tensors}))
    if stored > size:
        raise UserError(
            f"{path}: its storages are cut short: {stored} bytes are more than the file has"
        )


def _open_zip(path: Path) -> tuple[Any, Callable[[_Storage], bytes]]:
    """Returns the content of a file of today's format, and a function that reads its storages."""
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
    """Returns the content of a file of the old format, and a function that reads its storages."""
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
            if file.seek(_size(storage), os.SEEK_CUR) > size:
                raise UserError(f"{path}: cut short in storage {key}")

    def read(storage: _Storage) -> bytes:
        return np.fromfile(path, np.uint8, _size(storage), offset=places[storage.key]).tobytes()

    return content, read


def _tensors(content: Any) -> list[_Tensor]:
    return [value for value in walk(content) if isinstance(value, _Tensor)]


def _width(storage: _Storage) -> int:
    return 2 if storage.dtype == "bfloat16" else np.dtype(storage.dtype).itemsize


def _size(storage: _Storage) -> int:
    return storage.count * _width(storage)


def _values(storage: _Storage, buffer: bytes, path: Path) -> np.ndarray:
    if len(buffer) != _size(storage):
        raise UserError(f"{path}: cut short: storage {storage.key} has {len(buffer)} bytes")
    return widen(buffer) if storage.dtype == "bfloat16" else np.frombuffer(buffer, storage.dtype)


def _array(tensor: _Tensor, values: np.ndarray, origin: str) -> np.ndarray:
    """Returns the values of a tensor, whose storage has `values`."""
    shape, strides, offset = tensor.shape, tensor.strides, tensor.offset
    count = math.prod(shape)
    if not count:
        return np.empty(shape, values.dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides))
    bad = len(shape) != len(strides) or min(*shape, *strides, offset, 0) < 0
    if bad or last >= len(values) or count > len(values):
        raise UserError(f"{origin} of shape {list(shape)} does not fit its storage")
    in_bytes = [stride * values.itemsize for stride in strides]
    view = np.lib.stride_tricks.as_strided(values[offset:], shape, in_bytes, writeable=False)
    return np.ascontiguousarray(view).reshape(shape)
