"""A run goes on with its own data only; what the start says of labels, and of damaged images."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from data_trees import flat, folders, picture, rows, write, zip_of
from small_data import small_config

import data
from common.errors import UserError
from engine.resume import refuse_other_data
from engine.watch import data_warnings
from engine.watch.image_check import ImageCheck

_FILES = {**folders("train/", 6), **folders("test/", 2)}


def _identity(root: Path, **fields) -> dict:
    config = small_config("folder", root, cache_dir=str(root.parent / "cache"), **fields)
    return {part: data.build(config, part).identity() for part in ("train", "test")}


def _difference(before: dict, now: dict) -> str:
    try:
        refuse_other_data(Path("runs/a"), before, now)
    except UserError as error:
        return str(error)
    return ""


@pytest.fixture
def root(tmp_path):
    return write(tmp_path / "root", _FILES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda root: (root / "train/ant/0.png").unlink(), "there were 18, now there are 17"),
        (lambda root: write(root, {"train/ant/9.png": picture(0)}), "were 18, now there are 19"),
        (
            lambda root: [(root / part / "ant").rename(root / part / "emu") for part in _PARTS],
            "classes gone: ant, classes new: emu",
        ),
        (
            lambda root: (root / "train/ant/0.png").rename(root / "train/ant/x.png"),
            "of the train images, there are 18 as before, but names or labels of some are others",
        ),
        (
            lambda root: (root / "test/ant/0.png").rename(root / "test/ant/x.png"),
            "of the test images, there are 6 as before",
        ),
        (
            lambda root: [
                (root / "train/ant/0.png").rename(root / "train/bee/6.png"),
                (root / "train/bee/5.png").rename(root / "train/ant/6.png"),
            ],
            "names or labels of some are others",
        ),
        (lambda root: shutil.rmtree(root / "train/ant/.x", ignore_errors=True), ""),
        (lambda root: write(root, {"train/ant/Thumbs.db": b"x", "train/ant/._0.png": b"x"}), ""),
    ],
)
def test_other_data_is_refused(root, change, words):
    before = _identity(root)
    change(root)
    text = _difference(before, _identity(root))
    assert (words in text) if words else not text
    if words:
        assert "--overwrite to start anew" in text


_PARTS = ("train", "test")


def test_data_that_moved_goes_on(root, tmp_path):
    before = _identity(root)
    assert not _difference(before, _identity(root, workers=2, on_corrupt="skip"))
    assert not _difference(before, _identity(zip_of(tmp_path / "a.zip", _FILES)))
    shutil.move(root, tmp_path / "elsewhere")
    assert not _difference(before, _identity(tmp_path / "elsewhere"))


def test_other_labels_in_a_list_are_refused(tmp_path):
    images, names = flat("images/", 6), "ant\nbee\ncow\n"
    lists = {"train_list.txt": rows(images), "label_list.txt": names}
    root = write(tmp_path / "root", {**images, **lists, "val_list.txt": rows(images)})
    before = _identity(root)
    write(root, {"train_list.txt": lists["train_list.txt"].replace("0_0.png 0", "0_0.png 1")})
    assert "names or labels of some are others" in _difference(before, _identity(root))
    write(root, {**lists, "label_list.txt": "bee\nant\ncow\n"})
    assert "the order of the classes is another" in _difference(before, _identity(root))


def _lines(root: Path, **fields) -> str:
    config = small_config("folder", root, cache_dir=str(root.parent / "cache"), **fields)
    return "\n".join(data_warnings.describe(data.build_splits(config), config))


def test_the_start_names_parts_and_classes(root):
    lines = _lines(root)
    assert "18 training images (train/), 6 test images (test/)" in lines
    assert "classes: 3 (ant, bee, cow), 6 training images each" in lines
    assert "warning" not in lines
    write(root, folders("val/", 3))
    assert "9 for validation (val/)" in _lines(root)
    assert "data.holdout=0.1 is not used" in _lines(root, holdout=0.1)


@pytest.mark.parametrize("holdout", [0.1, 0.3, 0.9])
def test_each_class_keeps_an_image_for_training(tmp_path, holdout):
    sizes = {"ant": 1, "bee": 2, "cow": 20}
    files = {f"{name}/{n}.png": picture(0) for name, count in sizes.items() for n in range(count)}
    config = small_config("folder", write(tmp_path / "root", files), holdout=holdout)
    train = data.build(config, "train").source
    assert np.bincount(train.labels, minlength=3).min() >= 1
    parts = [data.build(config, part).source for part in ("train", "val", "test")]
    assert sum(len(part.labels) for part in parts) == 23


def test_labels_that_are_all_alike_are_said(tmp_path):
    images = flat("images/", 6)
    lines = "".join(f"{name} 0\n" for name in images)
    files = {**images, "train_list.txt": lines, "label_list.txt": "ant\nbee\n"}
    text = _lines(write(tmp_path / "root", files))
    assert "all 16 training images are of the class 'ant'" in text
    assert "see to the labels" in text


def test_classes_without_images_are_said(tmp_path):
    images = flat("images/", 6)
    files = {**images, "train_list.txt": rows(images), "label_list.txt": "ant\nbee\ncow\ndog\n"}
    assert "no training images of 1 classes: dog" in _lines(write(tmp_path / "root", files))


@pytest.mark.parametrize("workers", [0, 2])
def test_each_damaged_image_is_named_once(root, workers, capsys):
    damaged = ("train/ant/0.png", "train/cow/3.png", "test/bee/1.png")
    for name in damaged:
        (root / name).write_bytes(b"<html>")
    config = small_config("folder", root, on_corrupt="skip", workers=workers)
    splits = data.build_splits(config)
    with ImageCheck(splits, "skip") as check:
        check.judge()
    for epoch in range(3):
        steps = {"steps": 3 * epoch + 3, "start": 3 * epoch}  # 18 images: an epoch
        sampler = data.TrainSampler(splits.train, 6, 1, seed=0, rank=0, ranks=1, **steps)
        skipped = sum(batch.skipped for batch in data.load(splits.train, sampler, workers))
        assert skipped == 2
        tested = data.load(splits.test, data.EvalSampler(splits.test, 4, 0, 1), workers)
        assert sum(batch.skipped for batch in tested) == 1
    output = capsys.readouterr().out
    assert [output.count(name) for name in damaged] == [1, 1, 1]


def test_damaged_images_are_said_before_the_first_step(root):
    for name in ("train/ant/0.png", "test/bee/1.png"):
        (root / name).write_bytes(b"")
    splits = data.build_splits(small_config("folder", root))
    words = "2 images are damaged: .*ant/0.png.*bee/1.png"
    with pytest.raises(UserError, match=words), ImageCheck(splits, "error") as check:
        check.judge()
