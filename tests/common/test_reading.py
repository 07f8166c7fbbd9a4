"""Atomic writing: the old content or the new one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common import atomic_writing, reading
from engine.plan import free_memory


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.json"
    atomic_writing.write_json(path, {"a": 1})
    with pytest.raises(ZeroDivisionError), atomic_writing.atomic_path(path) as temporary:
        temporary.write_text(str(1 / 0))
    assert json.loads(path.read_text()) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_a_failure_leaves_the_old_folder(tmp_path):
    for number in (1, 2):
        with atomic_writing.atomic_folder(tmp_path / "state") as temporary:
            (temporary / "file").write_text(str(number))
    assert (tmp_path / "state" / "file").read_text() == "2"
    with (
        pytest.raises(ZeroDivisionError),
        atomic_writing.atomic_folder(tmp_path / "state") as temporary,
    ):
        (temporary / "file").write_text(str(1 / 0))
    assert (tmp_path / "state" / "file").read_text() == "2"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def test_digests(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert reading.sha256(tmp_path / "file").startswith("ba7816bf8f01cfea")
    assert reading.digest(tmp_path / "file", "md5") == "900150983cd24fb0d6963f7d28e17f72"


def test_memory_figures_of_the_system(tmp_path):
    path = tmp_path / "status"
    path.write_text("Name:\tpython\nVmHWMore:\t   7 kB\nVmHWM:\t   12 kB\n", encoding="ascii")
    assert free_memory.memory_figure(path, "VmHWM") == 12 * 1024
    assert free_memory.memory_figure(path, "VmH") is None
    assert free_memory.memory_figure("/proc/meminfo", "MemAvailable") > 2**20


def test_paths_of_a_user(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DISK", "/disk 2")
    monkeypatch.delenv("NOT_SET", raising=False)
    for given, expected in (
        ("~/a", "/home/me/a"),
        ("$HOME/a", "/home/me/a"),
        ("${DISK}/$DISK", "/disk 2//disk 2"),
        ("$NOT_SET/~", "$NOT_SET/~"),
        ("~no_such_user/a", "~no_such_user/a"),
        ("a/b", "a/b"),
    ):
        assert reading.user_path(given) == Path(expected)
