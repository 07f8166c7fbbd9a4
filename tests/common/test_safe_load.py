"""Reading pickles without running code from them."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UserError
from common.pickles.safe_load import unpickle_arrays
from common.safetensors_files import METADATA, own_metadata


def _read(content: bytes, **options):
    return unpickle_arrays(io.BytesIO(content), "file", **options)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    "value", [np.arange(6.0).reshape(2, 3), np.float32(2), np.array([], "int64")]
)
def test_arrays_and_containers(protocol, value):
    found = _read(pickle.dumps({"a": value, "b": [1, "x", (2.5, None)]}, protocol))
    assert np.array_equal(found["a"], value)
    assert found["b"] == [1, "x", (2.5, None)]


class _Call:
    def __init__(self, function, *arguments):
        self.how = function, arguments

    def __reduce__(self):
        return self.how


@pytest.mark.parametrize("function", [os.system, eval, getattr, print, __import__])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_calls_are_refused(function, protocol):
    with pytest.raises(UserError, match="refused"):
        _read(pickle.dumps([_Call(function, "1")], protocol))


def test_arrays_of_objects_are_refused():
    with pytest.raises(UserError, match="Python objects"):
        _read(pickle.dumps({"a": [(np.array([None, {}], object),)]}))


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def _dtype(name: str) -> bytes:
    return b"cnumpy\ndtype\n" + _text(name) + b"\x85R"


_POINTER = struct.pack("<Q", 0x414141414140)
_NDARRAY, _ENCODE = b"cnumpy\nndarray\n", b"c_codecs\nencode\n"
_NEW = (
    b"cnumpy.core.multiarray\n_reconstruct\n" + _NDARRAY + b"K\x00\x85C\x01b\x87R"
)  # an array to be filled
_A = _text("a")
_FIELDS = (
    b"(K\x03" + _text("|") + b"N" + _A + b"\x85}" + _A + _dtype("O") + b"K\x00\x86sK\x08K\x01K\x00t"
)
_LATE = _dtype("V8") + _FIELDS + b"b"
_CRAFTED = {
    # An array of one object over bytes of the file, of which the element is set: it writes to that
    # address.
    "pointers": _NDARRAY
    + b"K\x01\x85"
    + _dtype("O")
    + b"\x96"
    + struct.pack("<Q", 8)
    + _POINTER
    + b"\x87RK\x00Ns",
    # The same by a dtype of bytes that becomes one of objects after it was made.
    "late pointers": _NEW
    + b"(K\x01K\x01\x85"
    + _LATE
    + b"\x89C\x08"
    + _POINTER
    + b"tb"
    + _A
    + b"Ns",
    # Arrays of any size, of what is in the memory.
    "any size": _NDARRAY + b"J\x00\x00\x00\x10\x85" + _dtype("f4") + b"\x86R",
    "too few bytes": _NEW + b"(K\x01K\x09\x85" + _dtype("f4") + b"\x89C\x04abcdtb",
    "negative": _NEW + b"(K\x01J\xff\xff\xff\xff\x85" + _dtype("f4") + b"\x89C\x04abcdtb",
    # Attributes of what the unpickler hands out.
    "attributes": _ENCODE + b"N}" + _text("__defaults__") + b"Ns\x86b",
    "attributes of a class": _NDARRAY + b"}" + _text("build") + b"Nsb",
}


@pytest.mark.parametrize("crafted", _CRAFTED.values(), ids=list(_CRAFTED))
def test_memory_is_out_of_reach(crafted):
    with pytest.raises(UserError, match=r"refused|not a readable"):
        _read(b"\x80\x05" + crafted + b".")


def test_loops_and_lists_that_double_end():
    loop = []
    loop.append(loop)
    assert len(_read(pickle.dumps(loop))) == 1
    for _ in range(60):  # 2^60 paths lead to the innermost one
        loop = [loop, loop]
    assert len(_read(pickle.dumps(loop))) == 2


def test_bad_metadata():
    assert own_metadata({"format": "pt"}, "file") is None
    for text in ("{", "[]"):
        with pytest.raises(UserError, match="not readable"):
            own_metadata({METADATA: text}, "file")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_an_error_or_plain_data(content):
    with contextlib.suppress(UserError):
        _read(content)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_flipped_bytes_are_an_error_or_plain_data(place, change):
    content = bytearray(pickle.dumps({"a": np.arange(20.0), "b": [1, 2]}, 2))
    content[place % len(content)] ^= change
    with contextlib.suppress(UserError):
        _read(bytes(content))
