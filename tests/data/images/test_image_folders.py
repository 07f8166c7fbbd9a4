"""Folders of image files: the user's own, and ImageNet with each list of its labels."""

import numpy as np
import pytest
from conftest import paint
from small_data import small_config

import data
from common.errors import UserError


def test_folder_layouts(painted, tmp_path):
    config = small_config("folder", painted)
    train, test = (data.build(config, split) for split in ("train", "test"))
    assert (len(train), len(test), train.classes) == (36, 15, ("class_0", "class_1", "class_2"))
    flat = paint(tmp_path / "with spaces ü", 2, 20)
    train, test = (data.build(small_config("folder", flat), split) for split in ("train", "test"))
    assert (len(train), len(test)) == (36, 4)


def test_folder_mistakes(painted, tmp_path):
    with pytest.raises(UserError, match="data.root is empty"):
        data.build(small_config("folder"), "train")
    with pytest.raises(UserError, match="not a folder"):
        data.build(small_config("folder", tmp_path / "absent"), "train")
    (painted / "train" / "class_1" / "._hidden.png").write_bytes(b"x")
    (painted / "train" / "class_1" / ".ipynb_checkpoints").mkdir()
    (painted / "train" / "class_1" / ".ipynb_checkpoints" / "copy.png").write_bytes(b"x")
    assert len(data.build(small_config("folder", painted), "train")) == 36
    (painted / "train" / "class_9").mkdir()
    with pytest.raises(UserError, match="class_9: no images"):
        data.build(small_config("folder", painted), "train")
    (painted / "train" / "class_9").rmdir()
    (painted / "test" / "class_2").rename(painted / "test" / "class_7")
    with pytest.raises(UserError, match="it lacks class_2, .* it has class_7"):
        data.build(small_config("folder", painted), "test")


def _imagenet(painted, tmp_path, form: str):
    """ImageNet's flat validation folder: class_0, class_1, class_2 are its WordNet ids."""
    validation = painted / "val"
    (painted / "test").rename(tmp_path / "sorted")
    validation.mkdir()
    labels = []
    for place, path in enumerate(
        sorted((tmp_path / "sorted").rglob("*.png"), key=lambda path: path.name)
    ):
        labels.append(int(path.parent.name[-1]))
        path.rename(validation / f"ILSVRC2012_val_{place:08d}.png")
    names = [path.name for path in sorted(validation.iterdir())]
    if form == "list":
        (painted / "val_list.txt").write_text(
            "".join(f"val/{name} {label}\n" for name, label in zip(names, labels))
        )
    elif form == "kaggle":
        rows = "".join(
            f"{name[:-4]},class_{label} 1 2 3 4 \n" for name, label in zip(names, labels)
        )
        (painted / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + rows)
    else:
        from scipy.io import savemat

        kit = painted / "ILSVRC2012_devkit_t12" / "data"
        kit.mkdir(parents=True)
        synsets = np.array(
            [(number, f"class_{3 - number}") for number in (1, 2, 3)],
            dtype=[("ILSVRC2012_ID", "f8"), ("WNID", "U9")],
        )
        savemat(kit / "meta.mat", {"synsets": synsets})  # class_2 is number 1 there
        numbers = "".join(f"{3 - label}\n" for label in labels)
        (kit / "ILSVRC2012_validation_ground_truth.txt").write_text(numbers)
    return labels


@pytest.mark.parametrize("form", ["list", "kaggle", "devkit"])
def test_imagenet_validation_layouts(painted, tmp_path, form):
    labels = _imagenet(painted, tmp_path, form)
    test = data.build(small_config("imagenet", painted), "test")
    assert test.source.labels.tolist() == labels
    assert len(data.build(small_config("imagenet", painted), "train")) == 36


def test_imagenet_sorted_validation_and_missing_labels(painted, tmp_path):
    (painted / "test").rename(painted / "val")
    (painted / "test").mkdir()  # of ImageNet, the unlabelled test images
    assert len(data.build(small_config("imagenet", painted), "test")) == 15
    (painted / "test").rmdir()
    (painted / "val").rename(painted / "test")
    _imagenet(painted, tmp_path, "list")
    (painted / "val_list.txt").write_text("ILSVRC2012_val_00000000.png class_0\n")
    with pytest.raises(UserError, match="labels of val/ are not readable"):
        data.build(small_config("imagenet", painted), "test")
    (painted / "val_list.txt").unlink()
    with pytest.raises(UserError, match="val/ is flat"):
        data.build(small_config("imagenet", painted), "test")
