"""Copies in class folders: names that any system takes, nothing moved, nothing replaced."""

from __future__ import annotations

import os

import pytest

from common.errors import UserError
from inference import sorted_copies
from inference.sorted_copies import SortedCopies, check_apart, folders_of, safe_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("猫", "猫"),
        ("🐶 dog", "🐶 dog"),
        ("a/b\\c", "a_b_c"),
        ("../..", "_.._"),
        ("..", "_"),
        ("", "_"),
        (" . ", "_"),
        ("<b>&\n", "_b_&_"),
        ("CON", "_CON"),
        ("com1.x", "_com1.x"),
        ("cone", "cone"),
        ("dot.", "dot"),
        ("\udcff", "_"),
    ],
)
def test_names_of_folders(name, expected):
    assert safe_name(name) == expected


def test_long_names_and_those_that_become_alike():
    assert len(safe_name("猫" * 200).encode()) == 120
    classes = ("a/b", "a:b", "Cat", "cat", "DOG", "dog", "Dog", "a_b (class 1)")
    folders = folders_of(classes)
    assert list(folders) == list(classes)
    assert len({folder.casefold() for folder in folders.values()}) == len(classes)
    assert folders["a/b"] == "a_b"
    assert folders["a:b"] == "a_b (class 1)"


@pytest.fixture
def images(tmp_path):
    """Two files of one name with different bytes."""
    paths = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "a.png")
        paths[-1].write_bytes(folder.encode())
    return paths


def _content(folder) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_two_files_of_one_name_and_a_second_run(images, tmp_path):
    target = tmp_path / "sorted"
    for copied, there in ((3, 0), (0, 3)):
        copies = SortedCopies(target, ("x", "y/z"))
        for image in images:
            copies.add(image, image.name, "x")
        copies.add(b"three", "a.png", "y/z")
        expected = {"x/a.png": b"one", "x/a_2.png": b"two", "y_z/a.png": b"three"}
        assert _content(target) == expected
        assert (copies.copied, copies.there) == (copied, there)
    assert "copied 0 images" in copies.summary()
    assert "3 were there already" in copies.summary()
    assert [image.read_bytes() for image in images] == [b"one", b"two"]


def test_what_is_there_stays(images, tmp_path):
    target = tmp_path / "sorted" / "x"
    target.mkdir(parents=True)
    (target / "a.png").write_bytes(b"mine")
    (target / "a_2.png").mkdir()
    os.symlink(tmp_path / "nowhere", target / "a_3.png")
    SortedCopies(target.parent, ("x",)).add(images[0], "a.png", "x")
    found = _content(target.parent)
    assert found == {"x/a.png": b"mine", "x/a_4.png": b"one"}


def test_a_full_disk_leaves_no_part(images, tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(sorted_copies.shutil, "copyfile", fail)
    with pytest.raises(OSError, match="No space"):
        SortedCopies(tmp_path / "sorted", ("x",)).add(images[0], "a.png", "x")
    assert _content(tmp_path / "sorted") == {}


def test_a_file_system_without_links(images, tmp_path, monkeypatch):
    def fail(*paths):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(sorted_copies.os, "link", fail)
    copies = SortedCopies(tmp_path / "sorted", ("x",))
    for image in images:
        copies.add(image, "a.png", "x")
    assert _content(tmp_path / "sorted") == {"x/a.png": b"one", "x/a_2.png": b"two"}


def test_names_of_strangers(tmp_path):
    copies = SortedCopies(tmp_path / "sorted", ("x",))
    copies.add(b"1", "../../up.png", "x")
    copies.add(b"2", "..", "x")
    assert sorted(_content(tmp_path / "sorted")) == ["x/_", "x/_.._.._up.png"]


def test_a_folder_that_is_read(tmp_path):
    (tmp_path / "photos" / "old").mkdir(parents=True)
    for inside in ("photos", "photos/new", "photos/old/../new"):
        with pytest.raises(UserError, match="--copy_to: .* is in .*photos, which is read"):
            check_apart(tmp_path / inside, [tmp_path / "photos"])
    check_apart(tmp_path / "photos2", [tmp_path / "photos", tmp_path / "absent"])
    check_apart(tmp_path / "photos", [tmp_path / "photos" / "old"])
