"""Tiny ImageNet as people have it: unpacked, sorted, edited, and packed again."""

from __future__ import annotations

import numpy as np
import pytest
from data_trees import COLOURS, picture, tar_of, write, zip_of
from small_data import small_config

import data
from common.errors import UserError

_WNIDS = ("n00000003", "n00000001", "n00000002")  # not in order, as in wnids.txt
_LIST = "\n".join(_WNIDS)
_ORDER = (2, 0, 1, 1, 0, 2)  # classes of the validation images


def _annotations(form="val_{n}.JPEG\t{wnid}\t0\t0\t62\t62\n") -> str:
    return "".join(form.format(n=n, wnid=_WNIDS[label]) for n, label in enumerate(_ORDER))


def _files(start="tiny-imagenet-200/", val="val/images/val_{n}.JPEG", images="images/") -> dict:
    files = {
        f"{start}train/{wnid}/{images}{wnid}_{n}.JPEG": picture(label, "jpeg", 64)
        for label, wnid in enumerate(_WNIDS)
        for n in range(4)
    }
    for n, label in enumerate(_ORDER):
        name = val.format(n=n, wnid=_WNIDS[label])
        files[start + name] = picture(label, "jpeg", 64)
    files.update({f"{start}train/{wnid}/{wnid}_boxes.txt": "x" for wnid in _WNIDS})
    files.update({f"{start}test/images/test_{n}.JPEG": picture(0, "jpeg", 64) for n in range(3)})
    files[f"{start}words.txt"] = "n00000001\tant\n"
    return files


def _whole(start="tiny-imagenet-200/", wnids=_LIST, **form) -> dict:
    files = {**_files(start, **form), f"{start}val/val_annotations.txt": _annotations()}
    return {**files, f"{start}wnids.txt": wnids} if wnids else files


def _config(root, **fields):
    return small_config("tiny_imagenet", root, cache_dir=str(root.parent / "cache"), **fields)


def _read(root) -> dict[str, int]:
    """Reads both parts; each label must be that of the colour."""
    sizes = {}
    for part in ("train", "test"):
        source = data.build(_config(root), part).source
        assert source.classes == tuple(sorted(_WNIDS))
        for place, label in enumerate(source.labels.tolist()):
            mean = np.asarray(source.images[place], float).mean((0, 1))
            colour = int(np.abs(np.array(COLOURS[:3]) - mean).sum(1).argmin())
            assert source.classes[label] == _WNIDS[colour]
        sizes[part] = len(source.labels)
    return sizes


def _message(root) -> str:
    with pytest.raises(UserError) as error:
        data.build(_config(root), "test")
    return str(error.value)


_READ = {"train": 12, "test": 6}


@pytest.mark.parametrize("start", ["", "tiny-imagenet-200/", "tiny-imagenet-200/" * 2, "mine/a/"])
@pytest.mark.parametrize("packed", ["folder", "zip", "tar.gz", "zip in a folder"])
def test_places(tmp_path, start, packed):
    files, root = _whole(start), tmp_path / "root"
    if packed == "folder":
        write(root, files)
    elif packed == "zip in a folder":
        write(root, {"readme.txt": "x"})
        zip_of(root / "tiny.zip", files)
    else:
        root = tmp_path / f"tiny.{packed}"
        (zip_of if packed == "zip" else tar_of)(root, files, *(["w:gz"] if "tar" in packed else []))
    assert _read(root) == _READ


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_texts_that_were_edited(tmp_path, encoding, end):
    files = _whole()
    for name in ("wnids.txt", "val/val_annotations.txt"):
        text = files[f"tiny-imagenet-200/{name}"].rstrip("\n").replace("\n", end)
        files[f"tiny-imagenet-200/{name}"] = text.encode(encoding)
    assert _read(write(tmp_path / "root", files)) == _READ


@pytest.mark.parametrize("images", ["images/", ""])
@pytest.mark.parametrize(
    "val", ["val/images/val_{n}.JPEG", "val/{wnid}/val_{n}.JPEG", "val/{wnid}/images/val_{n}.JPEG"]
)
@pytest.mark.parametrize("annotated", [True, False])
def test_how_the_images_are_sorted(tmp_path, images, val, annotated):
    files = _whole(val=val, images=images)
    if not annotated:
        del files["tiny-imagenet-200/val/val_annotations.txt"]
    root = write(tmp_path / "root", files)
    if annotated or "wnid" in val:
        assert _read(root) == _READ
    else:
        assert "has neither class folders nor val_annotations.txt" in _message(root)


def test_a_flat_validation_folder(tmp_path):
    assert _read(write(tmp_path / "root", _whole(val="val/val_{n}.JPEG"))) == _READ


def test_without_the_list_of_classes(tmp_path):
    assert _read(write(tmp_path / "root", _whole(wnids=""))) == _READ
    assert _read(zip_of(tmp_path / "a.zip", _whole(wnids=""))) == _READ


def test_junk(tmp_path):
    junk = {
        **{f"__MACOSX/{name}": b"x" for name in list(_files())[:3]},
        "tiny-imagenet-200/train/n00000001/images/.DS_Store": b"x",
        "tiny-imagenet-200/train/n00000001/images/._n01_0.JPEG": b"x",
        "tiny-imagenet-200/train/n00000001/images/Thumbs.db": b"x",
        "tiny-imagenet-200/val/images/desktop.ini": b"x",
        "tiny-imagenet-200/train/.ipynb_checkpoints/a.JPEG": b"x",
        "tiny-imagenet-200/train/@eaDir/a.JPEG": b"x",
    }
    assert _read(write(tmp_path / "root", {**_whole(), **junk})) == _READ
    assert _read(zip_of(tmp_path / "a.zip", {**_whole(), **junk})) == _READ


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("wnids.txt", "n00000001\nn00000002\n", "train has the class n00000003, which wnids.txt"),
        ("wnids.txt", "\n".join([*_WNIDS, "n9"]), "train has no images of n9"),
        ("wnids.txt", "\n".join([*_WNIDS, _WNIDS[0]]), "lists 4 classes, of which 3 differ"),
        ("val/val_annotations.txt", "val_0.JPEG\tn00000001\nval_99.JPEG\tn00000001", "line 2"),
        ("val/val_annotations.txt", "val_0.JPEG\tn00000009\n", "the class n00000009"),
    ],
)
def test_texts_that_are_wrong(tmp_path, name, content, words):
    files = {**_whole(), f"tiny-imagenet-200/{name}": content}
    assert words in _message(write(tmp_path / "root", files))


def test_an_empty_place(tmp_path):
    assert "can't find wnids.txt" in _message(write(tmp_path / "root", {"a.txt": "x"}))
    assert "is not there" in _message(tmp_path / "gone")
