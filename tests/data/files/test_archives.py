"""Archives of every kind and origin are read in place; damaged and hostile ones are refused."""

import gzip
import io
import tarfile
import zipfile

import numpy as np
import pytest
from data_trees import (
    CLASSES,
    flat,
    folders,
    found_in,
    message,
    picture,
    read,
    rows,
    said,
    tar_of,
    write,
    zip_of,
)
from PIL import Image
from small_data import small_config

import data
from common.errors import UserError
from data.files import archive_tree
from data.files.archive_tree import list_archive

_FILES = {**folders("pets/train/", 6), **folders("pets/test/", 2)}
_READ = {"train": 18, "test": 6}


class _Named(zipfile.ZipInfo):
    """A member whose name is written as given bytes, without the flag of UTF-8."""

    def __init__(self, name: str, encoding: str):
        super().__init__(name)
        self._raw = name.encode(encoding)

    def _encodeFilenameFlags(self):
        return self._raw, self.flag_bits & ~0x800


def _zip_named(path, files, encoding):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(_Named(name, encoding), content)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    "rename",
    [
        str,
        lambda name: f"./{name}",
        lambda name: f"/{name}",
        lambda name: f"../../{name}",
        lambda name: name.replace("/", "\\"),
        lambda name: "C:\\me\\" + name.replace("/", "\\"),
    ],
)
def test_names_in_a_zip(tmp_path, method, rename):
    files = {rename(name): content for name, content in _FILES.items()}
    assert read(zip_of(tmp_path / "a.zip", files, method)) == _READ
    assert {path.name for path in tmp_path.iterdir()} == {"a.zip"}
    entries = {"pets/": b"", "pets/train/": b"", "pets/train/ant/": b""}
    assert read(zip_of(tmp_path / "b.zip", {**entries, **files}, method)) == _READ


def test_mac_files_in_a_zip(tmp_path):
    junk = {f"__MACOSX/{name.replace('/', '/._')}": b"\0\5\x16\7" for name in _FILES}
    junk.update({"pets/.DS_Store": b"x", "pets/train/Icon\r": b"", "pets/train/ant/._0.png": b"x"})
    assert read(zip_of(tmp_path / "a.zip", {**junk, **_FILES})) == _READ


@pytest.mark.parametrize("encoding", ["gbk", "utf-8", "flagged"])
def test_chinese_names(tmp_path, encoding):
    classes = ("猫", "狗", "大熊猫")
    files = {**folders("数据/训练集/", 6, classes), **folders("数据/测试集/", 2, classes)}
    path = tmp_path / "宠物.zip"
    if encoding == "flagged":
        zip_of(path, files)
    else:
        _zip_named(path, files, encoding)
    assert read(path, classes) == _READ
    if encoding == "gbk":
        with tarfile.open(
            tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT, encoding="gbk"
        ) as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        assert read(tmp_path / "a.tar", classes) == _READ


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *(("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("a.tar.bz2", "w:bz2")),
        *(("a.tbz", "w:bz2"), ("a.tar.xz", "w:xz"), ("a.txz", "w:xz")),
        *(("a.tar", "w:gz"), ("a.tar.gz", "w"), ("a.zip", "w"), ("A.TAR", "w"), ("a", "w:gz")),
    ],
)
def test_kinds_of_tar(tmp_path, name, mode):
    files = {"./pets/": b"", **{f"./{one}": content for one, content in _FILES.items()}}
    path = tar_of(tmp_path / name, files, mode)
    assert read(path) == _READ
    if mode != "w":
        assert len(list((tmp_path / "cache").glob("archive-*"))) == 1
        read(path)  # from the cache
        assert len(list((tmp_path / "cache").glob("archive-*"))) == 1


@pytest.mark.parametrize("start", ["/", "../../", "./"])
def test_names_in_a_tar_stay_inside(tmp_path, start):
    path = tar_of(tmp_path / "a.tar", {start + name: one for name, one in _FILES.items()})
    assert read(path) == _READ
    assert {one.name for one in tmp_path.iterdir()} == {"a.tar"}


def _tar_with_links(path, links, files=_FILES):
    tar_of(path, files)
    with tarfile.open(path, "a") as archive:
        for name, (kind, to) in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, to
            archive.addfile(member)
    return path


def test_links_in_a_tar(tmp_path):
    links = {
        "pets/train/ant/hard.png": (tarfile.LNKTYPE, "pets/train/ant/0.png"),
        "pets/train/ant/soft.png": (tarfile.SYMTYPE, "0.png"),
        "pets/train/bee/chain.png": (tarfile.SYMTYPE, "link.png"),
        "pets/train/bee/link.png": (tarfile.SYMTYPE, "../../train/bee/1.png"),
    }
    assert read(_tar_with_links(tmp_path / "a.tar", links)) == {"train": 22, "test": 6}
    stored = {name.replace("pets/test/", "store/"): one for name, one in _FILES.items()}
    folder = {"pets/test": (tarfile.SYMTYPE, "../store")}
    tree = list_archive(_tar_with_links(tmp_path / "b.tar", folder, stored), tmp_path)
    assert len([name for name in tree.names if name.startswith("pets/test/")]) == 6


@pytest.mark.parametrize("to", ["/etc/passwd", "../../../../etc/passwd", "gone.png", "loop.png"])
def test_links_to_nothing_in_a_tar(tmp_path, to):
    path = _tar_with_links(tmp_path / "a.tar", {"pets/train/ant/loop.png": (tarfile.SYMTYPE, to)})
    part = found_in(path).part("train", False)
    place = part.names().index("loop.png")
    with pytest.raises(UserError, match="link to nothing"):
        part.images[place]
    folder = {"pets/train/dog": (tarfile.SYMTYPE, to)}
    assert "dog: a link to nothing" in message(_tar_with_links(tmp_path / "b.tar", folder))


def test_links_in_a_zip(tmp_path):
    path = zip_of(tmp_path / "a.zip", _FILES)
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("pets/train/ant/link.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "0.png")
    assert read(path) == {"train": 19, "test": 6}


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_archives_that_are_cut_short(tmp_path, name, share):
    path = tmp_path / name
    if name.endswith("zip"):
        zip_of(path, _FILES)
    else:
        tar_of(path, _FILES, "w:" + name.partition("tar")[2].strip("."))
    content = path.read_bytes()
    if name == "a.tar":
        content = content.rstrip(b"\0")  # blocks of nothing may be missing
    path.write_bytes(content[: int(len(content) * share)])
    text = message(path)
    assert str(path) in text
    assert "get it again" in text


@pytest.mark.parametrize("filling", [b"\xaa", b"\0"])
def test_a_damaged_header_in_the_middle(tmp_path, filling):
    path = tar_of(tmp_path / "a.tar", _FILES)
    content = bytearray(path.read_bytes())
    place = 2 * 512 * 5
    assert content[place : place + 4] == b"pets"
    content[place : place + 512] = filling * 512
    path.write_bytes(content)
    assert "a damaged header" in message(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(99), "7z archives are not read; unpack it"),
        ("a.rar", b"Rar!\x1a\7" + bytes(99), "RAR archives are not read; unpack it"),
        ("a.zip", b"Rar!\x1a\7" + bytes(99), "RAR archives are not read; unpack it"),
        ("a.tar.zst", b"\x28\xb5\x2f\xfd" + bytes(99), "zstd archives are not read; unpack it"),
        ("a.zip", b"<!DOCTYPE html><html>", "it is a web page; get it again"),
        ("a.tar.gz", b"<html>", "it is a web page; get it again"),
        ("a.zip", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("a.tar", b"", "is empty; get it again"),
        ("a.tar.gz", b"\x1f\x8b" + b"x" * 30, "damaged or cut short"),
        ("a.tar.bz2", b"BZh" + b"x" * 30, "damaged or cut short"),
        ("a.tar.xz", b"\xfd7zXZ\0" + b"x" * 30, "damaged or cut short"),
        ("a.xyz", b"abc", "is not a folder, nor an archive"),
    ],
)
def test_what_is_no_archive_that_is_read(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    assert words in message(tmp_path / name)


def test_an_encrypted_zip(tmp_path):
    path = zip_of(tmp_path / "a.zip", _FILES)
    content = bytearray(path.read_bytes())
    place = content.find(b"PK\1\2")
    while place >= 0:
        content[place + 8] |= 1
        place = content.find(b"PK\1\2", place + 4)
    path.write_bytes(content)
    assert "24 members are encrypted" in message(path)


def test_an_archive_in_a_folder(tmp_path):
    root = write(tmp_path / "one", {"README.md": "x"})
    zip_of(root / "pets.zip", _FILES)
    assert read(root) == _READ
    assert f"the images are in {root}/pets.zip: pets" in said(root)
    write(tmp_path / "data/data123", {})  # as AI Studio mounts it
    tar_of(tmp_path / "data/data123/pets.tar.gz", _FILES, "w:gz")
    assert read(tmp_path / "data") == _READ
    beside = write(tmp_path / "both", _FILES)
    zip_of(beside / "pets.zip", _FILES)
    assert read(beside) == _READ  # unpacked already


@pytest.mark.parametrize("inside", ["", "{part}/"])
def test_several_archives_are_read_together(tmp_path, inside):
    root = write(tmp_path / "parts", {})
    zip_of(root / "train.zip", folders(inside.format(part="train"), 6))
    tar_of(root / "test.tar.gz", folders(inside.format(part="test"), 2), "w:gz")
    assert read(root) == _READ
    root = write(tmp_path / "classes", {})
    for label, name in enumerate(CLASSES):
        start = inside.format(part=name)
        zip_of(root / f"{name}.zip", {f"{start}{n}.png": picture(label) for n in range(11)})
    assert read(root) == {"train": 30, "test": 3}
    table = "image,label\n" + rows(flat("", 11), "{base},{word}")
    root = write(tmp_path / "table", {"train.csv": table})
    zip_of(root / "train.zip", flat(inside.format(part="train"), 11))
    assert read(root) == {"train": 30, "test": 3}
    lists = {"train_list.txt": rows(flat("images/", 11)), "label_list.txt": "ant\nbee\ncow"}
    root = write(tmp_path / "list", lists)
    zip_of(root / "images.zip", flat(inside.format(part="images"), 11))
    assert read(root) == {"train": 30, "test": 3}


def test_archives_that_are_not_read_together(tmp_path):
    inner = zip_of(tmp_path / "in.zip", _FILES)
    outer = zip_of(tmp_path / "out.zip", {"in.zip": inner.read_bytes()})
    assert "holds the archives in.zip; unpack it" in message(outer)
    root = write(tmp_path / "same", {})
    zip_of(root / "train.zip", folders("", 6))
    tar_of(root / "train.tar", folders("", 6))
    assert "train.tar, train.zip" in message(root)
    write(tmp_path / "tars/train", {})
    tar_of(tmp_path / "tars/train/n01.tar", folders("", 1))
    assert "n01.tar: unpack each" in message(tmp_path / "tars")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_workers_read_the_same_pixels(tmp_path, name):
    rng = np.random.default_rng(0)
    files = {}
    for label, one in enumerate(_FILES):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(buffer, "png")
        files[one] = buffer.getvalue() + bytes(label)
    path = tmp_path / name
    if name.endswith("zip"):
        zip_of(path, files)
    else:
        tar_of(path, files, "w:gz" if name.endswith("gz") else "w")
    found = []
    for workers in (0, 2):
        config = small_config("folder", path, cache_dir=str(tmp_path / "c"), workers=workers)
        dataset = data.build(config, "train", augment=False)
        batches = data.load(dataset, data.EvalSampler(dataset, 3, 0, 1), workers)
        found.append(np.concatenate([batch.images.numpy() for batch in batches]))
    assert (found[0] == found[1]).all()
    assert len(np.unique(found[0].reshape(len(found[0]), -1), axis=0)) == 18


def test_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_tree, "_ALWAYS", 1 << 20)
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(bytes(20 << 20)))
    assert "unpacks to more than" in message(path)
    assert not list((tmp_path / "cache").glob("archive-*"))
