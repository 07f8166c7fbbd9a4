"""What the start of a run says of the number of images of each class."""

from __future__ import annotations

from conftest import paint
from small_data import small_config

import data
from engine.watch import data_warnings

_CHECK = "; python -m tools.check_data counts each class, and finds duplicates and damage"


def _warnings(root, **fields):
    config = small_config("folder", root, **fields)
    lines = data_warnings.describe(data.build_splits(config), config)
    return [line.removeprefix("warning: ") for line in lines if line.startswith("warning: ")]


def test_classes_of_few_images_and_of_very_different_size(tmp_path):
    paint(tmp_path / "train", 3, 40)
    paint(tmp_path / "test", 3, 1)
    for path in sorted((tmp_path / "train" / "class_1").iterdir())[4:]:
        path.unlink()
    assert _warnings(tmp_path) == [
        f"fewer than 5 training images of 1 classes: class_1{_CHECK}",
        "40 training images of 'class_0', but 4 of 'class_1': look at the accuracy of each class",
    ]
    assert _warnings(tmp_path, labels_per_class=2) == []


def test_a_balanced_set_has_none(painted):
    assert _warnings(painted) == []


def test_missing_classes(tmp_path):
    paint(tmp_path, 3, 6)
    rows = [f"class_{label}/{n:03}.png {label}" for label in (0, 1) for n in range(5)]
    (tmp_path / "train_list.txt").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "test_list.txt").write_text("class_0/005.png 0", encoding="utf-8")
    (tmp_path / "label_list.txt").write_text("0 a\n1 b\n2 c", encoding="utf-8")
    assert _warnings(tmp_path) == [
        f"no training images of 1 classes: c{_CHECK}",
        "no test images of 2 classes: b, c",
    ]


def test_a_root_that_is_a_part(painted):
    """`data/train` next to `data/test`: the test images would come from the training images."""
    assert _warnings(painted / "train") == [
        "data.root is called like a part, and test/ next to it is not used: give the folder above "
        "to use all parts"
    ]


def test_an_own_validation_part_takes_the_place_of_the_held_out_images(painted):
    paint(painted / "val", 3, 2)
    config = small_config("folder", painted, holdout=0.1)
    lines = data_warnings.describe(data.build_splits(config), config)
    assert lines[0].endswith(
        "36 training images (train/), 6 for validation (val/), 15 test images (test/)"
    )
    assert lines[1].startswith("data.holdout=0.1 is not used")


def test_the_parts_of_imagenet_are_counted(painted):
    """Each part says what of it is there, not the training images alone."""
    (painted / "test").rename(painted / "val")
    config = small_config("imagenet", painted)
    lines = data_warnings.describe(data.build_splits(config), config)
    assert "train: 36 of ImageNet's 1,281,167 images" in lines
    assert "val: 15 of ImageNet's 50,000 images" in lines
