"""CIFAR-10 and CIFAR-100 from their official Python archives.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
https://www.cs.toronto.edu/~kriz/cifar.html. The archives hold pickles; they are read without
running code from them.
"""

from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

from common.download import check_md5, fetch
from common.errors import UserError
from common.pickles.safe_load import unpickle_arrays
from common.reading import read_bytes, user_path
from common.tar_files import read_members
from data.images.images_and_labels import ImagesAndLabels
from data.layouts.parquet_files import load_parquet

_SERVER = "https://www.cs.toronto.edu/~kriz/"
_LARGEST_MEMBER = 400 << 20  # bytes; the largest official one has 155 MB
_LARGEST_ARCHIVE = 1 << 30  # bytes unpacked; the official ones have 186 MB
_MOST_MEMBERS = 1000  # of an archive; the official ones have 10


class Archive(NamedTuple):
    """The names in one official archive."""

    file: str
    md5: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    label_key: bytes
    names_file: str
    names_key: bytes


CIFAR10 = Archive(
    file="cifar-10-python.tar.gz",
    md5="c58f30108f718f92721af3b95e74349a",
    folder="cifar-10-batches-py",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test=("test_batch",),
    label_key=b"labels",
    names_file="batches.meta",
    names_key=b"label_names",
)
CIFAR100 = Archive(
    file="cifar-100-python.tar.gz",
    md5="eb9058c3a382ffc7106e4002c42a8d85",
    folder="cifar-100-python",
    train=("train",),
    test=("test",),
    label_key=b"fine_labels",
    names_file="meta",
    names_key=b"fine_label_names",
)


def load(archive: Archive, data_config: ConfigDict, part: str) -> ImagesAndLabels:
    """Loads `train` or `test`; CIFAR-100 with its 100 fine labels.

    Args:
        archive: `CIFAR10` or `CIFAR100`.
        data_config: its `root` is the archive, its unpacked folder, or a folder that holds one of
            them; or Hugging Face's parquet files; empty: the archive is found or downloaded.
        part: `train` or `test`.

    Raises:
        UserError: when the files are missing, damaged or not in the official format.
    """
    parquet = load_parquet(data_config, part)
    if parquet is not None:
        return parquet
    path, batch_files = _find(archive, data_config.root), getattr(archive, part)
    contents = _read_files(path, archive.folder, {*batch_files, archive.names_file})
    files = {
        name: unpickle_arrays(BytesIO(content), f"{path}: {name}", encoding="bytes")
        for name, content in contents.items()
    }
    try:
        classes = tuple(name.decode() for name in files[archive.names_file][archive.names_key])
        rows = [_row(files[name], archive) for name in batch_files]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: not in CIFAR's official format ({type(error).__name__}: {error})"
        ) from None
    images, labels = (np.concatenate(column) for column in zip(*rows))
    different = len(set(classes))
    if different != len(classes) or different < 2:
        raise UserError(
            f"{path}: {len(classes)} classes, of which {different} differ; is it the official one?"
        )
    if not len(labels):
        raise UserError(f"{path}: {part} has no images; is it the official one?")
    if not 0 <= labels.min() <= labels.max() < len(classes):
        raise UserError(
            f"{path}: {part} has labels from {labels.min()} to {labels.max()}, expected 0 to "
            f"{len(classes) - 1}"
        )
    images = images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)  # (N, 32, 32, 3)
    return _sorted_classes(ImagesAndLabels(images, labels, classes))


def _row(batch: dict[bytes, Any], archive: Archive) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns the images, uint8 `(N, 3072)`, and the labels, int64 `(N,)`, of one file.

    Raises:
        ValueError: when they are something else. numpy must not see it: it would make arrays of
            any size from lists that contain each other.
    """
    images, labels = batch[b"data"], batch[archive.label_key]
    right = isinstance(images, np.ndarray) and images.dtype == np.uint8
    if not right or images.shape[1:] != (3072,):
        raise ValueError("images are not rows of 3072 bytes")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise ValueError("labels are not integers")
    if len(labels) != len(images):
        raise ValueError(f"{len(images)} images with {len(labels)} labels")
    return images, np.array(labels, np.int64)


def _sorted_classes(source: ImagesAndLabels) -> ImagesAndLabels:
    """Numbers the classes in the order of their names; official archives are in it already."""
    order = sorted(range(len(source.classes)), key=source.classes.__getitem__)
    classes = tuple(source.classes[position] for position in order)
    return ImagesAndLabels(source.images, np.argsort(order)[source.labels], classes)


def _read_files(path: Path, folder: str, wanted: set[str]) -> dict[str, bytes]:
    """Reads files of the archive, without unpacking it, or of its folder; returns them by name."""
    if path.is_dir():
        names = [name for name in sorted(wanted) if (path / name).is_file()]
        found = {name: read_bytes(path / name, _LARGEST_MEMBER) for name in names}
    else:
        members = read_members(
            path,
            {f"{folder}/{name}" for name in wanted},
            kind="CIFAR",
            most_members=_MOST_MEMBERS,
            most_bytes=_LARGEST_MEMBER,
            most_unpacked=_LARGEST_ARCHIVE,
        )
        found = {name[len(folder) + 1 :]: content for name, content in members}
    missing = sorted(wanted - found.keys())
    if missing:
        raise UserError(
            f"{path}: {folder}/{missing[0]} is not in the archive; is it the official one?"
        )
    return found


def _find(archive: Archive, root: str) -> Path:
    """Returns the archive or its unpacked folder; downloads it when no root is given."""
    if root:
        path = user_path(root)
        for place in (path / archive.file, path / archive.folder, path):
            if place.is_file() or (place / archive.names_file).is_file():
                return place
        raise UserError(
            f"data.root: {path} is not {archive.file}, and neither that nor {archive.folder}/ is "
            "in it"
        )
    # AI Studio mounts data sets as ~/data/dataNNNN/; Paddle keeps its own downloads in
    # ~/.cache/paddle/dataset/cifar.
    mounted = sorted((Path.home() / "data").glob(f"data*/{archive.file}"))
    if mounted:
        return check_md5(mounted[0], archive.md5)
    kept = Path.home() / ".cache/paddle/dataset/cifar" / archive.file
    return fetch(_SERVER + archive.file, kept, archive.md5)
