"""Shared memory, disks and open files, with made-up figures and file systems."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest

from tools.diagnosis import storage
from tools.diagnosis.storage import Written

_GB = 1 << 30
_FAST = Written(500e6, 0.0, True)


def test_shared_memory(tmp_path):
    def state(total, free):
        (line,) = storage.shared_memory(tmp_path, lambda path: (total, total - free, free))
        return line.state, line.remedy

    assert state(8 * _GB, 7 * _GB) == ("fine", "")
    assert state(64 << 20, 64 << 20)[1].startswith("start the container with --shm-size=8g")
    assert state(8 * _GB, 1 << 20)[1].startswith("remove what ended programs have left")
    (line,) = storage.shared_memory(tmp_path / "absent")
    assert line.state == "look"


@pytest.mark.parametrize(
    ("limit", "largest", "expected"),
    [
        ((1024, 4096), -1, [("fine", "")]),
        ((-1, -1), -1, [("fine", "")]),
        ((512, 4096), -1, [("look", "ulimit -n 4096")]),
        ((64, 64), -1, [("bad", "ask the administrator for 65536")]),
        ((1024, 4096), _GB, [("fine", ""), ("look", "checkpoints must fit: ulimit -f unlimited")]),
    ],
)
def test_open_files(limit, largest, expected):
    assert [(one.state, one.remedy) for one in storage.open_files(limit, largest)] == expected


def test_file_system(tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
        "30 27 0:25 / /mnt/my\\040data rw shared:1 - nfs4 host:/a rw\n"
        "31 27 0:26 / /mnt/my\\040data/fast rw - xfs /dev/b rw\n"
        "damaged\n"
    )
    found = {
        path: storage.file_system(path, mounts)
        for path in ("/a", "/mnt/my data", "/mnt/my data/b", "/mnt/my data/fast/c", "/mnt/my dat")
    }
    assert list(found.values()) == ["ext4", "nfs4", "nfs4", "xfs", "ext4"]
    assert storage.file_system("/a", tmp_path / "absent") == ""


def _disk(free=100 * _GB, nodes=10**6, of=2 * 10**6):
    return lambda path: SimpleNamespace(
        f_bavail=free // 4096, f_frsize=4096, f_files=of, f_favail=nodes
    )


@pytest.mark.parametrize(
    ("usage", "needed", "written", "kind", "state", "words"),
    [
        (_disk(), 0, _FAST, "ext4", "fine", "100 GB free, written at 500 MB/s"),
        (_disk(), 10 * _GB, _FAST, "ext4", "fine", "100 GB free"),
        (_disk(), 0, _FAST, "overlay", "fine", "of the container"),
        (_disk(), 200 * _GB, _FAST, "ext4", "bad", "the run takes 200 GB; make room"),
        (_disk(free=0), 0, _FAST, "ext4", "bad", "make room"),
        (_disk(free=_GB), 0, _FAST, "ext4", "look", "make room"),
        (_disk(free=_GB), 10 << 20, _FAST, "ext4", "fine", "1.0 GB free"),
        (_disk(nodes=5), 0, _FAST, "ext4", "bad", "5 inodes free"),
        (_disk(nodes=0, of=0), 0, _FAST, "btrfs", "fine", "100 GB free"),  # has no such count
        (_disk(), 0, Written(5e6, 0.0, True), "nfs4", "look", "checkpoint_every_steps"),
        (_disk(), 0, Written(5e8, 0.0, False), "nfs4", "bad", "can't be locked"),
        (_disk(), 0, Written(5e8, -90.0, True), "nfs4", "look", "clock differs by -90 s"),
        (_disk(), 0, _FAST, "tmpfs", "look", "a restart loses"),
    ],
)
def test_run_disk(tmp_path, usage, needed, written, kind, state, words):
    (line,) = storage.run_disk(
        tmp_path / "new" / "run", needed, usage, lambda path: written, lambda path: kind
    )
    assert line.state == state, line
    assert words in str(line)


def test_a_disk_that_refuses(tmp_path):
    def refuse(path):
        raise OSError(errno.EROFS, "Read-only file system")

    (line,) = storage.run_disk(tmp_path, 0, _disk(), refuse)
    assert line.state == "bad"
    assert "can't be written (Read-only file system)" in line.found
    (tmp_path / "a").write_text("x")
    (line,) = storage.run_disk(tmp_path / "a" / "b")
    assert line.state == "bad"
    assert line.found.endswith("a is a file")


def test_a_real_try_leaves_nothing(tmp_path):
    found = storage.try_writing(tmp_path, 1 << 20)
    assert found.speed > 0
    assert found.locks
    assert not list(tmp_path.iterdir())


def test_data(tmp_path):
    (line,) = storage.data_disk(tmp_path / "absent")
    assert (line.state, line.found) == ("bad", "is not there")
    (line,) = storage.data_disk(tmp_path)
    assert line.state == "look"
    os.mkfifo(tmp_path / "pipe")
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(bytes(1 << 20))
    (line,) = storage.data_disk(tmp_path, lambda path: "nfs4")
    assert "nfs4 (network), 5 files read" in line.found
    (line,) = storage.data_disk(tmp_path / "0.jpg", lambda path: "ext4")
    assert "ext4, 1 files read" in line.found
