"""Every data set in its official layout, on files that the tests write."""

from __future__ import annotations

import io
import itertools
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from conftest import SHARED_DATA, paint
from PIL import Image

import data
from common.errors import UserError
from configs import default
from data.sets import tiny_imagenet


def _config(name: str, root="", **fields):
    config = default.get_config()
    config.model.image_size = 8
    config.data.eval_crop = 1.0
    config.data.update(name=name, root=str(root), **fields)
    return config


def _png(rng, size=64) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(buffer, "png")
    return buffer.getvalue()


def _cifar(path, folder: str, files: dict[str, dict]):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            body = content if isinstance(content, bytes) else pickle.dumps(content, protocol=2)
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))


def _cifar10_files(rng) -> dict[str, dict]:
    def batch(count):
        pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        return {b"data": pixels, b"labels": [int(n) % 2 for n in range(count)]}

    batches = {f"data_batch_{number}": batch(4) for number in range(1, 6)}
    return {**batches, "test_batch": batch(6), "batches.meta": {b"label_names": [b"cat", b"dog"]}}


def test_digits():
    train, test = (data.build(_config("digits"), split) for split in ("train", "test"))
    assert (len(train), len(test)) == (1297, 500)
    assert train.classes == tuple("0123456789")
    image, _, skipped = test[0, 0]
    assert (image.shape, image.dtype, skipped) == ((3, 8, 8), np.uint8, 0)
    assert image.max() == 255
    seen = {image.tobytes() for image in train.source.images}
    overlap = sum(image.tobytes() in seen for image in test.source.images)
    assert overlap <= 2  # images, not indices: the official set has a few twins


def test_cifar10_layout(tmp_path):
    files = _cifar10_files(np.random.default_rng(0))
    _cifar(tmp_path / "cifar-10-python.tar.gz", "cifar-10-batches-py", files)
    train = data.build(_config("cifar10", tmp_path), "train", augment=False)
    assert (len(train), train.classes) == (20, ("cat", "dog"))
    first = train.source.images[0]
    assert (first[..., 0].ravel() == files["data_batch_1"][b"data"][0, :1024]).all()
    assert train.source.labels[:4].tolist() == [0, 1, 0, 1]
    assert len(data.build(_config("cifar10", tmp_path / "cifar-10-python.tar.gz"), "test")) == 6
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz") as tar:
        tar.extractall(tmp_path / "open", filter="data") if hasattr(
            tarfile, "data_filter"
        ) else tar.extractall(tmp_path / "open")
    for root in (tmp_path / "open", tmp_path / "open" / "cifar-10-batches-py"):
        assert (
            data.build(_config("cifar10", root), "train", augment=False).source.images[0] == first
        ).all()


def test_cifar_archive_does_not_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    files = {**_cifar10_files(np.random.default_rng(0)), "data_batch_3": Evil()}
    _cifar(tmp_path / "cifar-10-python.tar.gz", "cifar-10-batches-py", files)
    with pytest.raises(UserError, match="data_batch_3.*refused"):
        data.build(_config("cifar10", tmp_path), "train")
    assert not (tmp_path / "ran").exists()


def test_broken_cifar(tmp_path):
    path = tmp_path / "cifar-100-python.tar.gz"
    with pytest.raises(UserError, match="is not cifar-100-python.tar.gz"):
        data.build(_config("cifar100", tmp_path), "train")
    path.write_bytes(b"no tar at all")
    with pytest.raises(UserError, match="not a readable tar"):
        data.build(_config("cifar100", tmp_path), "train")
    _cifar(path, "cifar-100-python", {"meta": {b"fine_label_names": [b"a"]}})
    with pytest.raises(UserError, match="cifar-100-python/train is not in the archive"):
        data.build(_config("cifar100", tmp_path), "train")


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
    config = _config("tiny_imagenet", root, cache_dir=str(tmp_path / "cache"))
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
    with pytest.raises(UserError, match=r"tiny.zip: can't read wnids.\.txt"):
        tiny_imagenet._Archive(path).read("wnids\u00e9.txt")


def test_a_changed_folder_is_decoded_again(tiny_zip, tmp_path):
    with zipfile.ZipFile(tiny_zip) as archive:
        archive.extractall(tmp_path / "open")
    root = tmp_path / "open" / "tiny-imagenet-200"
    config = _config("tiny_imagenet", root, cache_dir=str(tmp_path / "cache"))
    assert len(data.build(config, "train")) == 6
    (root / "train" / "n01" / "images" / "n01_0.JPEG").unlink()
    assert len(data.build(config, "train")) == 5


def test_tiny_imagenet_reads_its_cache(tiny_zip, tmp_path, monkeypatch):
    config = _config("tiny_imagenet", tiny_zip, cache_dir=str(tmp_path / "cache"))
    first = np.array(data.build(config, "test").source.images)
    monkeypatch.setattr(
        tiny_imagenet, "_decode_all", lambda *arguments: pytest.fail("decoded again")
    )
    assert (np.array(data.build(config, "test").source.images) == first).all()


def test_damaged_tiny_imagenet(tiny_zip, tmp_path, capsys):
    with zipfile.ZipFile(tiny_zip, "a") as archive:
        archive.writestr("tiny-imagenet-200/train/n01/images/bad.JPEG", b"not an image")
    config = _config("tiny_imagenet", tiny_zip, cache_dir=str(tmp_path / "cache"))
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
    config = _config(
        "tiny_imagenet", SHARED_DATA / "tiny-imagenet-200.zip", cache_dir=str(tmp_path)
    )
    train, test = (data.build(config, split) for split in ("train", "test"))
    assert (len(train), len(test), len(train.classes)) == (20_000, 5_000, 200)
    assert np.bincount(train.source.labels).tolist() == [100] * 200


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real archives are not here")
def test_real_cifar_format():
    config = _config("cifar10", SHARED_DATA)
    assert len(data.build(config, "train")) == 10_000
    test = data.build(config, "test")
    assert test.classes[:3] + test.classes[-1:] == ("airplane", "automobile", "bird", "truck")
    assert np.bincount(test.source.labels).tolist() == [200] * 10
    config = _config("cifar100", SHARED_DATA / "tiny-imagenet-in-cifar-100-format.tar.gz")
    assert len(data.build(config, "train").classes) == 100


def test_folder_layouts(painted, tmp_path):
    train, test = (data.build(_config("folder", painted), split) for split in ("train", "test"))
    assert (len(train), len(test), train.classes) == (36, 15, ("class_0", "class_1", "class_2"))
    flat = paint(tmp_path / "with spaces ü", 2, 20)
    train, test = (data.build(_config("folder", flat), split) for split in ("train", "test"))
    assert (len(train), len(test)) == (36, 4)


def test_folder_mistakes(painted, tmp_path):
    with pytest.raises(UserError, match="data.root is empty"):
        data.build(_config("folder"), "train")
    with pytest.raises(UserError, match="not a folder"):
        data.build(_config("folder", tmp_path / "absent"), "train")
    (painted / "train" / "class_1" / "._hidden.png").write_bytes(b"x")
    (painted / "train" / "class_1" / ".ipynb_checkpoints").mkdir()
    (painted / "train" / "class_1" / ".ipynb_checkpoints" / "copy.png").write_bytes(b"x")
    assert len(data.build(_config("folder", painted), "train")) == 36
    (painted / "train" / "class_9").mkdir()
    with pytest.raises(UserError, match="class_9: no images"):
        data.build(_config("folder", painted), "train")
    (painted / "train" / "class_9").rmdir()
    (painted / "test" / "class_2").rename(painted / "test" / "class_7")
    with pytest.raises(UserError, match="first difference 'class_2'"):
        data.build(_config("folder", painted), "test")


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
    test = data.build(_config("imagenet", painted), "test")
    assert test.source.labels.tolist() == labels
    assert len(data.build(_config("imagenet", painted), "train")) == 36


def test_imagenet_sorted_validation_and_missing_labels(painted, tmp_path):
    (painted / "test").rename(painted / "val")
    (painted / "test").mkdir()  # of ImageNet, the unlabelled test images
    assert len(data.build(_config("imagenet", painted), "test")) == 15
    (painted / "test").rmdir()
    (painted / "val").rename(painted / "test")
    _imagenet(painted, tmp_path, "list")
    (painted / "val_list.txt").write_text("ILSVRC2012_val_00000000.png class_0\n")
    with pytest.raises(UserError, match="labels of val/ are not readable"):
        data.build(_config("imagenet", painted), "test")
    (painted / "val_list.txt").unlink()
    with pytest.raises(UserError, match="val/ is flat"):
        data.build(_config("imagenet", painted), "test")


def test_holdout_and_few_labels():
    config = _config("digits", holdout=0.1)
    train, validation = (data.build(config, split) for split in ("train", "val"))
    assert (len(train), len(validation)) == (1167, 130) == (data.facts(config)[0], 130)
    assert not set(train.source.images.indices) & set(validation.source.images.indices)
    config.data.labels_per_class = 10
    few = data.build(config, "train")
    assert np.bincount(few.source.labels).tolist() == [10] * 10
    assert set(few.source.images.indices) <= set(train.source.images.indices)
    config.seed = 1
    assert set(data.build(config, "train").source.images.indices) != set(few.source.images.indices)
    config.data.labels_per_class = 1000
    with pytest.raises(UserError, match="has only"):
        data.build(config, "train")
    with pytest.raises(UserError, match="10000 labels of 10 classes, but 1167 images"):
        data.facts(config)


def test_images_without_labels():
    """Those that labels_per_class leaves out, or a folder's; never held-out ones."""
    config = _config("digits", holdout=0.1, labels_per_class=10)
    train, validation, rest = (
        data.build(config, split) for split in ("train", "val", "unlabelled")
    )
    assert rest.training
    found = [set(part.source.images.indices) for part in (train, validation, rest)]
    assert [len(one) for one in found] == [100, 130, 1067]
    assert not any(a & b for a, b in itertools.combinations(found, 2))
    config.data.labels_per_class = 0
    with pytest.raises(UserError, match=r"set data.unlabelled_root to a folder of images"):
        data.build(config, "unlabelled")


def test_a_folder_of_images_without_labels(painted):
    config = _config("digits", unlabelled_root=str(painted / "train"))
    images = data.build(config, "unlabelled")
    assert len(images) == 36
    assert images[0, 0][0].shape == (3, 8, 8)
    config.data.unlabelled_root = str(painted / "nothing")
    with pytest.raises(UserError, match="data.unlabelled_root: .* is not a folder"):
        data.build(config, "unlabelled")


def test_unknown_names():
    with pytest.raises(UserError, match="did you mean 'cifar100'"):
        data.build(_config("cifar-100"), "train")
    with pytest.raises(UserError, match="split 'tests'"):
        data.build(_config("digits"), "tests")
