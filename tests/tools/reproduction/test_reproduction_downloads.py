"""Downloads from a local server that cuts, stalls and lies; room on the disks before them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import tls_server

from common import download
from common.download import part_of
from common.errors import UserError
from tools.reproduction.published.datasets import DATA_SETS, DataFile
from tools.reproduction.work import fetching

_CONTENT = bytes(range(256)) * 400
_GB = 10**9


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The server; it is trusted, and nobody waits long for it."""
    with tls_server.serving(_CONTENT, tmp_path) as (found, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        monkeypatch.setattr(download, "_TIMEOUT_SECONDS", 0.5)
        monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
        yield found


@pytest.fixture
def file(server) -> DataFile:
    """The file that the server has."""
    md5 = hashlib.md5(_CONTENT).hexdigest()
    return DataFile("file.bin", len(_CONTENT), md5, server.address)


def _target(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "file.bin"


def test_a_good_server(server, file, tmp_path):
    path = fetching.get(file, _target(tmp_path))
    assert path.read_bytes() == _CONTENT
    assert fetching.get(file, path) == path
    assert server.asked == [""]


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_it_goes_on_where_it_was_cut_off_or_stalled(server, file, tmp_path, how):
    server.script = [how]
    assert fetching.get(file, _target(tmp_path)).read_bytes() == _CONTENT
    assert server.asked == ["", f"bytes={len(_CONTENT) // 2}-"]


def test_it_does_not_give_up_while_more_arrives(server, file, tmp_path):
    """More breaks than `fetch` has attempts; each brings half of the rest."""
    server.script = ["cut", "stall", "nothing", "cut", "cut", "nothing", "cut", "stall"]
    assert fetching.get(file, _target(tmp_path)).read_bytes() == _CONTENT
    assert len(server.asked) == 9


def test_it_gives_up_when_nothing_more_arrives_and_the_next_start_goes_on(server, file, tmp_path):
    server.script = ["cut", *["nothing"] * 9]
    with pytest.raises(UserError, match="download failed .*get the file by hand and give its path"):
        fetching.get(file, _target(tmp_path))
    assert not _target(tmp_path).exists()
    server.script = []
    assert fetching.get(file, _target(tmp_path)).read_bytes() == _CONTENT
    assert server.asked[-1] == f"bytes={len(_CONTENT) // 2}-"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("short", "MD5 is .*, expected .*; delete it and get it again"),
        ("wrong", "MD5 is .*, expected"),
        ("long", f"more than {len(_CONTENT)} bytes come"),
    ],
)
def test_a_server_that_lies(server, file, tmp_path, how, message):
    """About the size or the content: one line, and nothing of it is kept."""
    server.script = [how] * 9
    with pytest.raises(UserError, match=message):
        fetching.get(file, _target(tmp_path))
    assert not _target(tmp_path).exists()
    assert not part_of(_target(tmp_path)).exists()
    server.script = []
    assert fetching.get(file, _target(tmp_path)).read_bytes() == _CONTENT


def test_no_network(file, tmp_path, server):
    nowhere = DataFile("file.bin", 10, "", "https://localhost:1/file.bin")
    with pytest.raises(UserError, match="download failed .*give its path"):
        fetching.get(nowhere, _target(tmp_path))


def test_a_file_that_is_here_is_checked(tmp_path, file):
    _target(tmp_path).parent.mkdir()
    _target(tmp_path).write_bytes(_CONTENT[:-1] + b"?")
    with pytest.raises(UserError, match="MD5 is .*delete it and get it again"):
        fetching.get(file, _target(tmp_path))


def test_what_a_mounted_data_set_spares(tmp_path, monkeypatch):
    """AI Studio's data sets are taken from where they are mounted."""
    monkeypatch.setenv("HOME", str(tmp_path))
    data = DATA_SETS["cifar100"]
    assert [need.bytes for need in fetching.needs_of(data, False, tmp_path)] == [169_001_437]
    assert fetching.needs_of(data, True, tmp_path) == []
    part = part_of(fetching.home_of(data.files[0]))
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(1437))
    assert [need.bytes for need in fetching.needs_of(data, False, tmp_path)] == [169_000_000]
    mounted = tmp_path / "data" / "data76994" / data.files[0].name
    mounted.parent.mkdir(parents=True)
    mounted.write_bytes(b"")
    assert fetching.home_of(data.files[0]) == mounted


def test_room(tmp_path):
    needs = [
        fetching.Need("checkpoints", 3 * _GB, tmp_path / "runs" / "a"),
        fetching.Need("data", _GB, tmp_path),
    ]
    lines = fetching.check_space(needs, lambda place: 10 * _GB)
    assert lines == [
        f"{tmp_path}: 4.00 GB needed (checkpoints 3.00 GB, data 1.00 GB), 10.00 GB free"
    ]
    with pytest.raises(UserError, match="4.00 GB needed .*, 5.00 GB free, of which 1 GB has to"):
        fetching.check_space(needs, lambda place: 5 * _GB)
    assert fetching.check_space([]) == []
