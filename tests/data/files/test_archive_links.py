"""Links in archives are followed within limits; what is no plain file is counted as left out."""

import io
import tarfile

import pytest
from data_trees import folders, message, read, said, tar_of, write, zip_of

from common.errors import UserError
from data.files import archive_tree
from data.files.archive_tree import list_archive, without_ending


def _tar(path, files, links, kind=tarfile.SYMTYPE):
    with tarfile.open(path, "w") as archive:
        for name in files:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
        for name, to in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, to
            archive.addfile(member)
    return path


def test_links_to_folders_do_not_multiply(tmp_path):
    links = {}
    for step in range(36):  # each to the folder that has all of those before it
        links[f"d{step + 1}/a"] = f"../d{step}"
        links[f"d{step + 1}/b"] = f"../d{step}"
    tree = list_archive(_tar(tmp_path / "a.tar", ["d0/x.png"], links), tmp_path)
    assert set(tree.names) - tree.dead == {"d0/x.png", "d1/a/x.png", "d1/b/x.png"}
    links = {f"pets/l{step}": "." for step in range(36)}
    tree = list_archive(_tar(tmp_path / "b.tar", ["pets/x.png"], links), tmp_path)
    assert len(tree.names) == 37


def test_chains_of_links(tmp_path):
    links = {
        "data": "current/train",
        "current": "v2",
        "v2": "v1",
        "one.png": "current/train/ant/0.png",
        "out": "../v1",
        "out.png": "out/train/ant/0.png",
        "round": "round/x",
        "a": "b",
        "b": "a",
    }
    files = ["v1/train/ant/0.png", "v1/train/bee.png", "v1/train.png", "v1/train-x/0.png"]
    tree = list_archive(_tar(tmp_path / "a.tar", files, links), tmp_path)
    assert tree.dead == {"out", "out.png", "round", "a", "b"}
    below = {"train/ant/0.png", "train/bee.png", "train.png", "train-x/0.png"}
    for folder in ("v1", "v2", "current"):
        assert set(tree.below(folder).names) == below
    assert set(tree.below("data").names) == {"ant/0.png", "bee.png"}
    assert tree.file("data/bee.png").read(99) == b"v1/train/bee.png"
    assert tree.file("one.png").read(99) == b"v1/train/ant/0.png"


@pytest.mark.parametrize("most", [59, 60])
def test_links_to_too_many_members(tmp_path, monkeypatch, most):
    monkeypatch.setattr(archive_tree, "_MOST_MEMBERS", most)
    links = {f"l{step}": "x" for step in range(5)}
    path = _tar(tmp_path / "a.tar", [f"x/{number}" for number in range(10)], links)
    if most == 60:
        assert len(list_archive(path, tmp_path).names) == 60
        return
    with pytest.raises(UserError, match="a.tar: has more than 59 members, with those that links"):
        list_archive(path, tmp_path)


def test_a_file_with_holes_is_left_out_with_a_note(tmp_path):
    path = tar_of(tmp_path / "a.tar", {**folders("pets/train/", 6), **folders("pets/test/", 2)})
    with tarfile.open(path, "a") as archive:
        for name, kind in (("holes.png", tarfile.GNUTYPE_SPARSE), ("pipe.png", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(f"pets/train/ant/{name}")
            member.type = kind
            archive.addfile(member)
    assert list_archive(path, tmp_path).odd == {
        "pets/train/ant/holes.png",
        "pets/train/ant/pipe.png",
    }
    assert read(path) == {"train": 18, "test": 6}
    assert "left out, no images that are read here: 2 .png" in said(path)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        *(("train.zip", "train"), ("TRAIN.ZIP", "TRAIN"), ("a.tar.gz", "a"), ("a.b.tgz", "a.b")),
        *(("set_v1.0_train.tar.xz", "set_v1.0_train"), ("a.zip.tar", "a.zip"), ("a.b", "a.b")),
    ],
)
def test_the_ending_of_an_archive(name, folder):
    assert without_ending(name) == folder


def test_archives_with_dots_in_their_names(tmp_path):
    root = write(tmp_path / "root", {})
    zip_of(root / "set_v1.0_train.zip", folders("", 6))
    zip_of(root / "set_v1.0_test.zip", folders("", 2))
    assert read(root) == {"train": 18, "test": 6}
    zip_of(root / "set_v1.0_test.tar", folders("", 2))
    assert "unpacked into one folder" in message(root)
