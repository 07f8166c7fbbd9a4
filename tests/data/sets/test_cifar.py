"""CIFAR and the digits in their official layouts."""

import io
import os
import pickle
import tarfile

import numpy as np
import pytest
from conftest import SHARED_DATA
from small_data import small_config

import data
from common.errors import UserError


def test_digits():
    train, test = (data.build(small_config("digits"), split) for split in ("train", "test"))
    assert (len(train), len(test)) == (1297, 500)
    assert train.classes == tuple("0123456789")
    image, _, skipped = test[0, 0]
    assert (image.shape, image.dtype, skipped) == ((3, 8, 8), np.uint8, 0)
    assert image.max() == 255
    seen = {image.tobytes() for image in train.source.images}
    overlap = sum(image.tobytes() in seen for image in test.source.images)
    assert overlap <= 2  # images, not indices: the official set has a few twins


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


def test_cifar10_layout(tmp_path):
    files = _cifar10_files(np.random.default_rng(0))
    _cifar(tmp_path / "cifar-10-python.tar.gz", "cifar-10-batches-py", files)
    train = data.build(small_config("cifar10", tmp_path), "train", augment=False)
    assert (len(train), train.classes) == (20, ("cat", "dog"))
    first = train.source.images[0]
    assert (first[..., 0].ravel() == files["data_batch_1"][b"data"][0, :1024]).all()
    assert train.source.labels[:4].tolist() == [0, 1, 0, 1]
    archive = tmp_path / "cifar-10-python.tar.gz"
    assert len(data.build(small_config("cifar10", archive), "test")) == 6
    with tarfile.open(archive) as tar:
        options = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        tar.extractall(tmp_path / "open", **options)
    for root in (tmp_path / "open", tmp_path / "open" / "cifar-10-batches-py"):
        source = data.build(small_config("cifar10", root), "train", augment=False).source
        assert (source.images[0] == first).all()


def test_cifar_archive_does_not_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    files = {**_cifar10_files(np.random.default_rng(0)), "data_batch_3": Evil()}
    _cifar(tmp_path / "cifar-10-python.tar.gz", "cifar-10-batches-py", files)
    with pytest.raises(UserError, match="data_batch_3.*refused"):
        data.build(small_config("cifar10", tmp_path), "train")
    assert not (tmp_path / "ran").exists()


def test_broken_cifar(tmp_path):
    path = tmp_path / "cifar-100-python.tar.gz"
    with pytest.raises(UserError, match="is not cifar-100-python.tar.gz"):
        data.build(small_config("cifar100", tmp_path), "train")
    path.write_bytes(b"no tar at all")
    with pytest.raises(UserError, match="not a readable tar"):
        data.build(small_config("cifar100", tmp_path), "train")
    _cifar(path, "cifar-100-python", {"meta": {b"fine_label_names": [b"a"]}})
    with pytest.raises(UserError, match="cifar-100-python/train is not in the archive"):
        data.build(small_config("cifar100", tmp_path), "train")


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real archives are not here")
def test_real_cifar_format():
    config = small_config("cifar10", SHARED_DATA)
    assert len(data.build(config, "train")) == 10_000
    test = data.build(config, "test")
    assert test.classes[:3] + test.classes[-1:] == ("airplane", "automobile", "bird", "truck")
    assert np.bincount(test.source.labels).tolist() == [200] * 10
    config = small_config("cifar100", SHARED_DATA / "tiny-imagenet-in-cifar-100-format.tar.gz")
    assert len(data.build(config, "train").classes) == 100
