"""Reading pickles without running code from them."""

from __future__ import annotations

import contextlib
import io
import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UserError
from common.safe_load import METADATA, own_metadata, unpickle_arrays


def _read(content: bytes, **options):
    return unpickle_arrays(io.BytesIO(content), "file", **options)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("value", [np.arange(6.0).reshape(2, 3), np.float32(2), np.array([], "int64")])
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
