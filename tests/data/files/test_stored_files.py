"""Files of archives are read in part where a part is enough, and within limits."""

import io
import os
import tarfile
import tracemalloc
import zipfile

import pytest
from data_trees import tar_of, zip_of

from common.errors import UserError
from common.zip_files import open_zip
from data.files.archive_tree import list_archive
from data.files.file_tree import FileTree
from data.files.stored_files import DiskFile, Segment, ZipMember
from data.images.image_folders import is_image
from data.images.quick_look import look

_BOMB = 64 << 20  # bytes, of a few thousand when packed


def _peak(call):
    tracemalloc.start()
    try:
        result = call()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _bomb(tmp_path, name="bomb"):
    return list_archive(
        zip_of(tmp_path / "a.zip", {name: bytes(_BOMB)}, zipfile.ZIP_DEFLATED), tmp_path
    )


def test_the_beginning_of_a_bomb(tmp_path):
    tree = _bomb(tmp_path)
    file = tree.file("bomb")
    assert _peak(lambda: file.beginning(100)) == (bytes(100), pytest.approx(0, abs=1 << 20))
    assert _peak(lambda: is_image(tree, "bomb")) == (False, pytest.approx(0, abs=1 << 20))


def test_a_bomb_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr("data.images.quick_look.LARGEST_FILE", 1 << 20)
    monkeypatch.setattr("data.images.image_files.LARGEST_FILE", 1 << 20)
    file = _bomb(tmp_path, "a.png").file("a.png")
    text, peak = _peak(lambda: look(file))
    assert "has more than 1048576 bytes" in text
    assert peak < 1 << 20


def test_a_member_that_unpacks_to_more_than_it_says(tmp_path):
    path = zip_of(tmp_path / "a.zip", {"a": bytes(_BOMB)}, zipfile.ZIP_DEFLATED)
    content = path.read_bytes()
    size = _BOMB.to_bytes(4, "little")
    assert content.count(size) == 2
    path.write_bytes(content.replace(size, (100).to_bytes(4, "little")))
    file = list_archive(path, tmp_path).file("a")

    def read():
        with pytest.raises(UserError, match="can't be read from the archive"):
            file.read(1000)

    assert _peak(read)[1] < 1 << 20


def test_limits_of_opening(tmp_path):
    (tmp_path / "c").write_bytes(b"0123456789")
    archive = open_zip(zip_of(tmp_path / "a.zip", {"c": b"0123456789"}), 9)
    path = str(tmp_path / "c")
    for file in (
        DiskFile(path),
        Segment(path, 0, 10, "c", path),
        ZipMember(archive, archive.infolist()[0], "c"),
    ):
        with file.open(10) as stream:
            assert stream.read() == b"0123456789"
        with pytest.raises(UserError, match="has more than 9 bytes"):
            file.open(9)
        assert file.beginning(3) == b"012"
        assert file.beginning(11) == b"0123456789"


def test_the_system_may_read_less_than_asked_for(tmp_path, monkeypatch):
    pread = os.pread
    files = {"a": bytes(range(250)), "b": b"x"}
    tar, packed = tar_of(tmp_path / "a.tar", files), zip_of(tmp_path / "a.zip", files)
    trees: list[FileTree] = [list_archive(path, tmp_path) for path in (tar, packed)]
    monkeypatch.setattr(os, "pread", lambda file, count, at: pread(file, min(count, 7), at))
    for tree in (*trees, list_archive(packed, tmp_path)):
        assert tree.file("a").read(1000) == files["a"]
    tar.write_bytes(tar.read_bytes()[:600])
    with pytest.raises(UserError, match="cut short"):
        trees[0].file("a").read(1000)


def test_the_file_on_the_disk(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("b/a")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
        member = tarfile.TarInfo("b/link")
        member.type, member.linkname = tarfile.SYMTYPE, "gone"
        archive.addfile(member)
    tar_of(tmp_path / "a.tar.gz", {"b/a": b"x"}, "w:gz")
    zip_of(tmp_path / "a.zip", {"b/a": b"x"})
    for name in ("a.tar", "a.tar.gz", "a.zip"):
        file = list_archive(tmp_path / name, tmp_path / "cache").file("b/a")
        assert file.on_disk == str(tmp_path / name)
    assert DiskFile("a/b").on_disk == "a/b"
    assert Segment("a/b.bin", 0, 1, "c", "a").on_disk == "a/b.bin"
    dead = list_archive(tmp_path / "a.tar", tmp_path).file("b/link")
    assert dead.on_disk == str(dead)
