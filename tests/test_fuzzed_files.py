"""Every reader returns or raises `UserError`, for valid files that were damaged at random.

The slow suite reads 24,000 files in processes whose memory is measured.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from caged import in_a_cage
from hostile import READERS, read_in, valid_files
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from common.errors import UserError

_FEW, _MANY = 12, 1000  # files of each reader
# Megabytes. An image of 89 million pixels with transparency takes 1,600 to 2,100.
_IMAGE, _OTHER = 2400, 200
_INTERESTING = [
    b"\xff" * 8,
    b"\x00" * 8,
    b"\x7f" + b"\xff" * 3,
    b"\x00\x00\x00\x80",
    b"[" * 3000,
    b"1e999",
    b"../../x",
]
_CHANGE = st.tuples(
    st.sampled_from(["flip", "set", "cut", "insert", "repeat", "splice", "write"]),
    st.integers(0, 1 << 20),
    st.integers(0, 1 << 20),
    st.one_of(st.binary(min_size=1, max_size=9), st.sampled_from(_INTERESTING)),
)


def changed(content: bytes, changes: list[tuple[str, int, int, bytes]]) -> bytes:
    """Returns a file with changes: bytes are flipped, cut off, inserted, repeated, overwritten."""
    for kind, first, second, value in changes:
        size = max(1, len(content))
        place, other = first % size, second % size
        piece = content[other : other + second % 300]
        if kind == "flip":
            value = bytes([content[place] ^ 1 << second % 8]) if content else b""
        if kind == "cut":
            content = content[:place]
        elif kind in ("insert", "repeat"):
            content = content[:place] + (value if kind == "insert" else piece) + content[place:]
        else:
            value = {"set": value[:1], "splice": piece}.get(kind, value)
            content = content[:place] + value + content[place + len(value) :]
    return content


def _fuzz(name: str, whole: bytes, count: int) -> tuple[int, int]:
    """Reads damaged files; returns how many were read, and how many of them were refused."""
    counts = [0, 0]

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=count == _FEW,  # the same files each time; the slow suite looks for new ones
        phases=[Phase.generate],
        suppress_health_check=HealthCheck,
    )
    @given(st.lists(_CHANGE, min_size=1, max_size=4))
    def read(changes):
        folder = Path(tempfile.mkdtemp(prefix="fuzz"))
        try:
            refused = isinstance(read_in(folder, name, changed(whole, changes)), UserError)
        finally:
            shutil.rmtree(folder)
        counts[0] += 1
        counts[1] += refused

    read()
    return counts[0], counts[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """Returns the valid files; each can be read."""
    files = valid_files(tmp_path_factory.mktemp("valid"))
    for name, content in files.items():
        found = read_in(tmp_path_factory.mktemp("read"), name, content)
        assert not isinstance(found, UserError), found
    return files


@pytest.mark.parametrize("name", READERS)
def test_damaged_files(whole, name):
    assert _fuzz(name, whole[name], _FEW)[0] >= _FEW // 2


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_damaged_files(whole, name):
    found = in_a_cage(lambda: _fuzz(name, whole[name], _MANY))
    print(name, found)
    assert found.kind == "returned", found
    assert found.megabytes < (_IMAGE if name.startswith("image") else _OTHER), found
