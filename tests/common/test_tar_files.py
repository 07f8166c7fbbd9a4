"""Tar archives are read within limits; hostile ones are in `test_hostile_files.py`."""

import gzip

import pytest
from hostile import tar_of

from common.errors import UserError
from common.tar_files import read_members

_CONTENTS = {"a/one": b"1", "a/two": b"22", "b/one": bytes(100_000)}


def _read(path, wanted, members=10, size=10, unpacked=1 << 20) -> dict[str, bytes]:
    limits = {"most_members": members, "most_bytes": size, "most_unpacked": unpacked}
    return dict(read_members(path, wanted, kind="a test", **limits))


@pytest.mark.parametrize("packed", [False, True])
def test_wanted_members_of_a_plain_and_a_packed_archive(tmp_path, packed):
    archive = tar_of(_CONTENTS)
    (tmp_path / "file").write_bytes(gzip.compress(archive) if packed else archive)
    assert _read(tmp_path / "file", {"a/two", "a/none"}) == {"a/two": b"22"}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"members": 2}, "has more than 2 members, too many for a test"),
        ({"size": 1}, "a/two has 2 bytes, too many for a test"),
        ({"unpacked": 50_000}, "unpacks to more than 50000 bytes, too many for a test"),
    ],
)
def test_limits(tmp_path, limits, message):
    (tmp_path / "file").write_bytes(gzip.compress(tar_of(_CONTENTS)))
    with pytest.raises(UserError, match=message):
        _read(tmp_path / "file", {"a/two"}, **limits)
