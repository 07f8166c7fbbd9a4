"""Folders of parts in every spelling and place; what is no part is never silently one."""

import unicodedata

import pytest
from data_trees import CLASSES, flat, folders, found_in, message, picture, read, said, write

_DIVIDED = {"train": 30, "test": 3}  # of 11 images of each of three classes


@pytest.mark.parametrize(
    "train",
    [
        *("train", "Train", "TRAIN", "TrAiN", "training", "Training", "train_set", "trainset"),
        *("train-set", "training_set", "train_data", "TrainData", "train_images", "训练集", "训练"),
        *("train2017", "01_train", "train (1)", "trn"),
    ],
)
def test_names_of_the_training_part(tmp_path, train):
    root = write(tmp_path / "root", {**folders(f"{train}/", 6), **folders("test/", 2)})
    assert read(root) == {"train": 18, "test": 6}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, "val") for name in ("val", "Valid", "VALIDATION", "dev", "eval", "验证集")),
        *((name, "val") for name in ("val2017", "valid_set", "校验集", "evaluation")),
        *((name, "test") for name in ("Test", "testing", "TEST_SET", "test1", "测试集")),
    ],
)
def test_names_of_the_other_parts(tmp_path, name, part):
    other = "test" if part == "val" else "val"
    files = {**folders("train/", 6), **folders(f"{name}/", 2)}
    assert read(write(tmp_path / "two", files)) == {"train": 18, "test": 6}
    three = {**files, **folders(f"{other}/", 3)}
    assert read(write(tmp_path / "three", three)) == {"train": 18, part: 6, other: 9}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("seg_train", "seg_test"),
        ("train_v2", "test_v2"),
        ("flowers_train", "flowers_val"),
        ("images/train", "images/test"),
        ("pets/train", "pets/test"),
        ("pets/pets/train", "pets/pets/test"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train/images", "test/images"),
    ],
)
def test_places_of_the_parts(tmp_path, train, test):
    root = write(tmp_path / "root", {**folders(f"{train}/", 6), **folders(f"{test}/", 2)})
    assert read(root) == {"train": 18, "test": 6}


@pytest.mark.parametrize("start", ["", "pets/", "pets/pets/", "archive/data/", "train/"])
def test_classes_without_parts(tmp_path, start):
    root = write(tmp_path / "root", {"README.md": "x", **folders(start, 11)})
    assert read(root) == _DIVIDED


@pytest.mark.parametrize("start", ["test/", "test/images/", "test/unknown/", "test/test/"])
def test_test_images_without_labels_are_left_out(tmp_path, start):
    root = write(tmp_path / "root", {**folders("train/", 11), **flat(start, 3)})
    assert read(root) == _DIVIDED
    assert "left out, test/ has no class folders: 9 .png" in said(root)
    write(root, folders("val/", 2))
    assert read(root) == {"train": 33, "test": 6}  # the validation images


def test_parts_inside_of_classes(tmp_path):
    inside = {**folders("", 6, inside="train/"), **folders("", 2, inside="Test/")}
    assert read(write(tmp_path / "plain", inside)) == {"train": 18, "test": 6}
    deeper = {**folders("d/", 6, inside="x/train/"), **folders("d/", 2, inside="x/val/")}
    assert read(write(tmp_path / "deeper", deeper)) == {"train": 18, "test": 6}
    root = write(tmp_path / "loose", {**inside, "ant/loose.png": picture(0)})
    assert "left out, in none of the parts: 1 .png" in said(root)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (folders("", 2, ("ant", "bee"), inside="test/"), "it lacks cow"),
        (
            {
                **folders("", 2, inside="test/"),
                "cow/mask/0.png": picture(2),
            },
            "cow/mask/",
        ),
    ],
)
def test_parts_inside_of_some_classes(tmp_path, files, words):
    root = write(tmp_path / "root", {**folders("", 6, inside="train/"), **files})
    assert words in message(root)


@pytest.mark.parametrize(
    ("tops", "words"),
    [
        (("val", "test"), ("val/", "test/", "no train/")),
        (("train", "training", "test"), ("train and training", "both names of the train part")),
        (("train", "test", "Test"), ("Test and test", "both names of the test part")),
        (("Trainning", "Tessting"), ("Trainning", "Tessting", "ant, bee, cow")),
        (("red_train", "blue_test"), ("red_train", "blue_test", "names of parts")),
        (("fold1", "fold2", "fold3"), ("fold1, fold2, fold3", "ant, bee, cow")),
        (("amazon/images", "dslr/images"), ("amazon, dslr", "ant, bee, cow")),
        (("train", "holdout"), ("holdout/", "train/", "rename")),
        (("Training", "PublicTest", "PrivateTest"), ("PrivateTest/, PublicTest/", "rename")),
    ],
)
def test_parts_never_become_classes(tmp_path, tops, words):
    files = {name: one for top in tops for name, one in folders(f"{top}/", 4).items()}
    text = message(write(tmp_path / "root", files))
    for word in words:
        assert word in text


def test_another_folder_next_to_both_parts_is_named(tmp_path):
    files = {**folders("train/", 6), **folders("test/", 2), **folders("train_aug/", 3)}
    assert "in none of the parts: 9 .png" in said(write(tmp_path / "root", files))


@pytest.mark.parametrize(
    "classes",
    [
        ("bus", "car", "train"),
        ("Bus", "Car", "Train"),
        ("beaker", "test tube", "train station"),
        ("bus", "model_train", "toy_train"),
    ],
)
def test_classes_that_are_called_like_parts(tmp_path, classes):
    assert read(write(tmp_path / "whole", folders("", 11, classes)), classes) == _DIVIDED
    files = {**folders("train/", 6, classes), **folders("test/", 2, classes)}
    assert read(write(tmp_path / "parts", files), classes) == {"train": 18, "test": 6}


@pytest.mark.parametrize("classes", [("bus", "train"), ("invalid", "valid"), ("dev", "prod")])
def test_two_classes_one_of_them_called_like_a_part(tmp_path, classes):
    root = write(tmp_path / "root", folders("", 11, classes))
    assert "move the class folders into one folder train/" in message(root)
    inside = write(tmp_path / "inside", folders("train/", 11, classes))
    assert read(inside, classes) == {"train": 20, "test": 2}


def test_accents_in_two_forms(tmp_path):
    names = ("café", "naïve", "über")
    decomposed = [unicodedata.normalize("NFD", name) for name in names]
    files = {**folders("train/", 6, decomposed), **folders("test/", 2, names)}
    assert read(write(tmp_path / "root", files), names) == {"train": 18, "test": 6}


@pytest.mark.parametrize("other", ["Cow", "cow ", "cow_", "ｃｏｗ"])
def test_a_class_in_two_spellings(tmp_path, other):
    files = {**folders("train/", 6), **folders("test/", 2, ("ant", "bee", other))}
    text = message(write(tmp_path / "root", files))
    assert f"'cow' and {other!r} differ in spelling only" in text


def test_sessions_inside_of_classes_are_no_parts(tmp_path):
    files = {**folders("", 6, inside="day1/"), **folders("", 5, inside="day2/")}
    assert read(write(tmp_path / "root", files)) == _DIVIDED


def test_folders_of_texts_are_no_classes(tmp_path):
    files = {**folders("", 11), "annotations/a.xml": "x", "meta/notes.txt": "y"}
    root = write(tmp_path / "root", files)
    assert read(root, CLASSES) == _DIVIDED
    assert "1 .txt" in said(root)
    write(root, {"raw/a.cr2": "x"})  # photographs of a kind that is not read are images
    assert "raw: no images" in message(root)


def test_lists_that_are_not_read_are_named(tmp_path):
    files = {**folders("images/", 11), "meta/train.txt": "1 0\n", "meta/test.txt": "2 1\n"}
    assert "not read: meta/test.txt, meta/train.txt" in said(write(tmp_path / "root", files))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no class folders"),
        (flat("", 6), "no class folders, and 18 images next to them"),
        ({**flat("jpg/", 6), "labels.mat": "x"}, "labels.mat there"),
        (folders("", 6, ("ant",)), "1 class folder (ant)"),
        ({**flat("train/", 6), "data.json": "x"}, "not understood: data.json"),
    ],
)
def test_nothing_to_tell_the_classes(tmp_path, files, words):
    assert words in message(write(tmp_path / "root", files))


def test_a_link_to_nothing_is_named(tmp_path):
    root = write(tmp_path / "root", {**folders("train/", 6), **folders("test/", 2)})
    (root / "train" / "dog").symlink_to(tmp_path / "gone")
    assert "train/dog: a link to nothing" in message(root)


def test_several_data_sets(tmp_path):
    one, other = ({**folders(f"{top}/train/", 4), **folders(f"{top}/val/", 2)} for top in "ab")
    root = write(tmp_path / "two", {**one, **other})
    assert "a/, b/ are data sets with parts and class folders; give one data set" in message(root)
    root = write(tmp_path / "above", {**one, **folders("a/test/", 2), **folders("backup/", 2)})
    text = message(root)
    assert "a/ is a data set with parts and class folders, and backup/ next to it; give" in text
    assert f"such as {root}/a/" in text


def test_the_order_of_the_parts_is_fixed(tmp_path):
    """It was that of a set, so that notes and errors changed with the seed of the hashes."""
    files = {**folders("test/", 2), **folders("train/", 4), **folders("val/", 2)}
    assert list(found_in(write(tmp_path / "root", files)).parts) == ["train", "val", "test"]


@pytest.mark.parametrize("part", ["test", "val"])
def test_a_part_without_images(tmp_path, part):
    """The root would be divided silently, and images that are for training tested."""
    root = write(tmp_path / "root", folders("train/", 6))
    (root / part / CLASSES[0]).mkdir(parents=True)
    assert f"{part}: no images" in message(root)
