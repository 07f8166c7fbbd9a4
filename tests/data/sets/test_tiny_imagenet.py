"""Tiny ImageNet as a zip and as a folder, and the cache of its decoded images."""

import io
import zipfile

import numpy as np
import pytest
from conftest import SHARED_DATA
from PIL import Image
from small_data import small_config

import data
from common.errors import UserError
from data.files.archive_tree import list_archive
from data.sets import tiny_imagenet


def _png(rng, size=64) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def tiny_zip(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "tiny-imagenet-200.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny-imagenet-200/wnids.txt", "n02\nn01\n")
        for wnid in ("n02", "n01"):
            archive.writestr(f"tiny-imagenet-200/train/{wnid}/{wnid}_boxes.txt", "")
            for number in range(3):
                archive.writestr(
                    f"tiny-imagenet-200/train/{wnid}/images/{wnid}_{number}.JPEG", _png(rng)
                )
        rows = "".join(f"val_{n}.JPEG\t{'n02' if n else 'n01'}\t0\t0\t1\t1\n" for n in range(4))
        archive.writestr("tiny-imagenet-200/val/val_annotations.txt", rows)
        for number in range(4):
            archive.writestr(f"tiny-imagenet-200/val/images/val_{number}.JPEG", _png(rng))
    return path


@pytest.mark.parametrize("form", ["zip", "folder", "parent"])
def test_tiny_imagenet_layout(tiny_zip, tmp_path, form):
    root = tiny_zip
    if form != "zip":
        with zipfile.ZipFile(tiny_zip) as archive:
            archive.extractall(tmp_path / "open")
        root = tmp_path / "open" / ("tiny-imagenet-200" if form == "folder" else "")
    config = small_config("tiny_imagenet", root, cache_dir=str(tmp_path / "cache"))
    train, test = (data.build(config, split) for split in ("train", "test"))
    assert train.classes == ("n01", "n02")  # sorted, though wnids.txt is not
    assert train.source.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert test.source.labels.tolist() == [0, 1, 1, 1]
    assert len(list((tmp_path / "cache").glob("tiny-imagenet-*"))) == 1


def test_a_name_that_is_no_text(tmp_path):
    """Once in the table of contents, and again, damaged, before the file."""
    path = tmp_path / "tiny.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny-imagenet-200/wnids\u00e9.txt", "n01443537\n")
    first, name = path.read_bytes(), "\u00e9".encode()
    path.write_bytes(first.replace(name, b"\xc6\x20", 1))
    file = list_archive(path, tmp_path).file("tiny-imagenet-200/wnids\u00e9.txt")
    with pytest.raises(UserError, match=r"tiny.zip: .*/wnids.\.txt: can't be read"):
        file.read(100)


def test_a_changed_folder_is_decoded_again(tiny_zip, tmp_path):
    with zipfile.ZipFile(tiny_zip) as archive:
        archive.extractall(tmp_path / "open")
    root = tmp_path / "open" / "tiny-imagenet-200"
    config = small_config("tiny_imagenet", root, cache_dir=str(tmp_path / "cache"))
    assert len(data.build(config, "train")) == 6
    (root / "train" / "n01" / "images" / "n01_0.JPEG").unlink()
    assert len(data.build(config, "train")) == 5


def test_tiny_imagenet_reads_its_cache(tiny_zip, tmp_path, monkeypatch):
    config = small_config("tiny_imagenet", tiny_zip, cache_dir=str(tmp_path / "cache"))
    first = np.array(data.build(config, "test").source.images)
    monkeypatch.setattr(
        tiny_imagenet, "_decode_all", lambda *arguments: pytest.fail("decoded again")
    )
    assert (np.array(data.build(config, "test").source.images) == first).all()


def test_damaged_tiny_imagenet(tiny_zip, tmp_path, capsys):
    with zipfile.ZipFile(tiny_zip, "a") as archive:
        archive.writestr("tiny-imagenet-200/train/n01/images/bad.JPEG", b"not an image")
    config = small_config("tiny_imagenet", tiny_zip, cache_dir=str(tmp_path / "cache"))
    with pytest.raises(UserError, match="bad.JPEG"):
        data.build(config, "train")
    config.data.on_corrupt = "skip"
    assert len(data.build(config, "train")) == 6
    data.build(config, "train")
    assert (
        "1 damaged images are left out, first train/n01/images/bad.JPEG"
        in capsys.readouterr().out.splitlines()[-1]
    )


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real images are not here")
def test_real_tiny_imagenet(tmp_path):
    config = small_config(
        "tiny_imagenet", SHARED_DATA / "tiny-imagenet-200.zip", cache_dir=str(tmp_path)
    )
    train, test = (data.build(config, split) for split in ("train", "test"))
    assert (len(train), len(test), len(train.classes)) == (20_000, 5_000, 200)
    assert np.bincount(train.source.labels).tolist() == [100] * 200
