"""Reads the pickles in PyTorch's files without PyTorch, and without running code from them.

In a pickle a tensor is a call of `torch._utils._rebuild_tensor_v2` on a storage. The pickle could
call any function. Here it gets replacements of the few that tensors need, and inert stand-ins for
everything else.
"""

from __future__ import annotations

import math
import os
import struct
import zipfile
from collections.abc import Callable
from functools import lru_cache, partial
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from common.errors import UserError
from common.number_formats import WIDENED, decode, size_of
from common.pickles.inert import Inert, InertUnpickler
from common.pickles.safe_load import unpickle, unpickle_arrays
from common.pickles.stand_ins import Maker, is_shape, make_tuple
from models.weights.formats.contents import Later

_MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # of the older format
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
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}
KEPT = 8  # storages in memory, for tensors that share them
_UNTYPED = "uint8"  # of a storage whose tensors name their type
_TENSOR_DTYPES = {*DTYPES.values(), *WIDENED, "uint16", "uint32", "uint64"}


class Storage(NamedTuple):
    """A run of values in the file."""

    key: str
    dtype: str
    count: int

    @property
    def size(self) -> int:
        return self.count * size_of(self.dtype)


class TorchUnpickler(InertUnpickler):
    """Reads tensors as `Later`, since their storages come later in the file.

    `storages` has the storages that were named, by their keys.

    Args:
        file: of the pickle.
        values: returns the values of a storage.
    """

    def __init__(self, file: Any, values: Callable[[Storage], np.ndarray], **options: Any):
        super().__init__(file, **options)
        self.storages: dict[str, Storage] = {}
        first = Maker(lambda tensor, *_: tensor)
        self._replaced = {
            ("torch", "Size"): Maker(make_tuple),
            ("torch.storage", "UntypedStorage"): _UNTYPED,
            ("torch._utils", "_rebuild_tensor"): Maker(partial(_rebuild, values)),
            ("torch._utils", "_rebuild_tensor_v2"): Maker(partial(_rebuild, values)),
            ("torch._utils", "_rebuild_tensor_v3"): Maker(partial(_rebuild_typed, values)),
            ("torch._utils", "_rebuild_parameter"): first,
            ("torch._utils", "_rebuild_wrapper_subclass"): first,  # the class stands for it
            ("torch._utils", "_rebuild_parameter_with_state"): first,
            ("torch._utils", "_rebuild_device_tensor_from_numpy"): first,
            ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): first,
            ("torch._tensor", "_rebuild_from_type_v2"): Maker(_rebuild_from_type),
            ("torch.storage", "_load_from_bytes"): Maker(self.embedded),
        }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._replaced:
            return self._replaced[module, name]
        if module in ("torch", "torch.cuda") and name in DTYPES:
            return DTYPES[name]
        if module == "torch" and name in _TENSOR_DTYPES:
            return name
        return super().find_class(module, name)

    def embedded(self, content: Any) -> Any:
        """Returns a storage that is a file of the older format within the pickle."""
        return Inert("torch.storage", "_load_from_bytes")

    def persistent_load(self, identity: Any) -> Any:
        if isinstance(identity, tuple) and identity[0] == "module":  # a class with its source
            return identity[1]
        kind, dtype, key, _, count, *rest = identity
        if isinstance(dtype, Inert):  # such as QInt8Storage
            return dtype
        named = isinstance(key, (str, int)) and isinstance(dtype, str) and is_shape([count])
        if kind != "storage" or dtype not in _TENSOR_DTYPES or any(rest) or not named:
            raise UserError("the file asks for what is no plain storage: it is refused")
        return self.storages.setdefault(str(key), Storage(str(key), dtype, count))


class PlainUnpickler(TorchUnpickler):
    """Reads a pickle that is not PyTorch's: its tensors have their storages within themselves."""

    def __init__(self, file: Any, **options: Any):
        self._contents: dict[str, bytes] = {}
        read = self._contents.__getitem__
        values = lru_cache(KEPT)(partial(values_of, lambda storage: read(storage.key)))
        super().__init__(file, values, **options)

    def embedded(self, content: Any) -> Any:
        """Returns a storage that is a file of the older format within the pickle."""
        if not isinstance(content, bytes) or not is_legacy(content):
            return super().embedded(content)
        storage, places = read_legacy("a tensor", BytesIO(content), len(content), no_values)
        if not isinstance(storage, Storage):
            return super().embedded(content)
        key = f"tensor {len(self._contents)}"
        begin = places.get(storage.key, len(content))
        self._contents[key] = content[begin : begin + storage.size]
        return storage._replace(key=key)


def _rebuild(
    values: Callable[[Storage], np.ndarray], storage: Any, offset: Any, shape: Any, strides: Any,
    *_: Any,
) -> Any:  # fmt: skip
    if isinstance(storage, Inert):
        return storage
    if not isinstance(storage, Storage):
        raise UserError("a tensor without a storage is refused")
    if not is_shape(shape) or not is_shape(strides) or not is_shape([offset]):
        raise UserError("a tensor whose shape is none does not fit its storage: it is refused")
    view = partial(_view, values, storage, offset, tuple(shape), tuple(strides))
    return Later(tuple(shape), storage.dtype, view)


def _rebuild_typed(
    values: Callable[[Storage], np.ndarray], storage: Any, offset: Any, shape: Any, strides: Any,
    *rest: Any,
) -> Any:  # fmt: skip
    """Rebuilds a tensor that names its type: float8, or a whole number without a sign."""
    dtype = rest[2] if len(rest) > 2 else None
    if isinstance(dtype, str) and dtype in _TENSOR_DTYPES and isinstance(storage, Storage):
        storage = Storage(storage.key, dtype, storage.size // size_of(dtype))
    elif not isinstance(storage, Inert):
        storage = Inert("torch", str(dtype))
    return _rebuild(values, storage, offset, shape, strides)


def _rebuild_from_type(function: Any, _: Any, arguments: Any = (), *__: Any) -> Any:
    """Rebuilds a tensor of a class that somebody derived from PyTorch's."""
    known = isinstance(function, Maker) and isinstance(arguments, tuple)
    return function(*arguments) if known else Inert("torch", "Tensor")


def _view(
    values_of: Callable[[Storage], np.ndarray],
    storage: Storage,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
) -> np.ndarray:
    """Returns the values of a tensor, which is a view of a storage; all in elements."""
    values, count = values_of(storage), math.prod(shape)
    if not count:
        return np.empty(shape, values.dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides))
    bad = len(shape) != len(strides) or min(*shape, *strides, offset, 0) < 0
    if bad or last >= len(values) or count > len(values):
        raise UserError(f"a tensor of shape {list(shape)} does not fit its storage")
    in_bytes = [stride * values.itemsize for stride in strides]
    view = np.lib.stride_tricks.as_strided(values[offset:], shape, in_bytes, writeable=False)
    small = 2 * count < len(values)  # a view would keep the whole storage in memory
    return (view.copy() if small else np.ascontiguousarray(view)).reshape(shape)


def values_of(read: Callable[[Storage], bytes], storage: Storage) -> np.ndarray:
    try:
        content = read(storage)
    except (KeyError, zipfile.BadZipFile, OSError, EOFError):
        content = b""
    if len(content) != storage.size:
        raise UserError(
            f"cut short, or damaged: storage {storage.key} has {len(content)} of {storage.size} "
            "bytes; get the file again"
        )
    return decode(content, storage.dtype)


def is_legacy(head: bytes) -> bool:
    """Returns whether a file that begins so has the older format, in any protocol of pickle."""
    return head[:1] == b"\x80" and _MAGIC in head[2 : 11 + len(_MAGIC)]


def no_values(storage: Storage) -> np.ndarray:
    raise UserError("a tensor in a storage is refused")


def read_legacy(
    origin: str, file: BinaryIO, size: int, values: Callable[[Storage], np.ndarray]
) -> tuple[Any, dict[str, int]]:
    """Returns the content of a file of the older format, and where its storages begin.

    Args:
        origin: the name of the file, for errors.
        file: stands at its beginning.
        size: of the file in bytes.
        values: see `TorchUnpickler`.
    """
    made: list[TorchUnpickler] = []

    def kind(file: Any, **options: Any) -> TorchUnpickler:
        made.append(TorchUnpickler(file, values, **options))
        return made[0]

    for _ in range(3):  # magic number, protocol, system
        unpickle_arrays(file, origin)
    content, _ = unpickle(file, origin, "latin1", kind)
    keys, storages, places = unpickle_arrays(file, origin), made[0].storages, {}
    whole = file.tell() + sum(8 + storage.size for storage in storages.values())
    for key in keys if isinstance(keys, list) else ():
        storage, head = storages.get(str(key)), file.read(8)
        if storage is None or len(head) < 8 or struct.unpack("<q", head)[0] != storage.count:
            raise UserError(
                f"{origin}: cut short, or damaged: a storage belongs to no tensor, or has another "
                "size; get the file again"
            )
        places[storage.key] = file.tell()
        if file.seek(storage.size, os.SEEK_CUR) > size:
            raise UserError(
                f"{origin}: cut short in storage {key}: it has {size} of {whole} bytes; get the "
                "file again"
            )
    return content, places
