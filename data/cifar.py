"""CIFAR-10 and CIFAR-100 from their official Python archives.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
https://www.cs.toronto.edu/~kriz/cifar.html. The archives hold pickles: they are read without running code from them.
"""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.download import check_md5, fetch
from common.errors import UserError
from common.safe_load import unpickle_arrays
from data.source import Source

_SERVER = "https://www.cs.toronto.edu/~kriz/"
_LARGEST_MEMBER = 400 << 20  # bytes; the largest official one has 155 MB


class Archive(NamedTuple):
    """The names inside one official archive."""

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


def load_cifar10(config, part: str) -> Source:
    """CIFAR-10; `config.root` is the archive, its folder, what holds one of them, or empty to find or download it."""
    return _load(CIFAR10, config.root, part)


def load_cifar100(config, part: str) -> Source:
    """CIFAR-100 with its 100 fine labels; see `load_cifar10`."""
    return _load(CIFAR100, config.root, part)


def _load(archive: Archive, root: str, part: str) -> Source:
    path = _find(archive, root)
    wanted = {*getattr(archive, part), archive.names_file}
    contents = dict(_members(path, archive, wanted))
    missing = wanted - contents.keys()
    if missing:
        raise UserError(f"{path}: {archive.folder}/{sorted(missing)[0]} is not in the archive; is it the official one?")
    batches = {
        name: unpickle_arrays(BytesIO(content), f"{path}: {name}", encoding="bytes")
        for name, content in contents.items()
    }
    rows = [batches[name] for name in getattr(archive, part)]
    try:
        classes = tuple(name.decode() for name in batches[archive.names_file][archive.names_key])
        images = np.concatenate([row[b"data"] for row in rows]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels = np.concatenate([np.asarray(row[archive.label_key]) for row in rows])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not in CIFAR's official format ({type(error).__name__}: {error})") from None
    if images.dtype != np.uint8 or labels.shape != (len(images),) or not len(images):
        raise UserError(f"{path}: {part} has {len(images)} images, and labels of shape {list(labels.shape)}")
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise UserError(f"{path}: {len(classes)} classes, of which {len(set(classes))} differ; is it the official one?")
    if labels.dtype.kind not in "iu" or not 0 <= labels.min() <= labels.max() < len(classes):
        span = f"{labels.min()} to {labels.max()}"
        raise UserError(f"{path}: the labels of {part} are {span}, expected integers from 0 to {len(classes) - 1}")
    return _sorted_classes(Source(images, labels.astype(np.int64), classes))


def _sorted_classes(source: Source) -> Source:
    """Number the classes in the order of their names (the official archives are in that order already)."""
    order = sorted(range(len(source.classes)), key=source.classes.__getitem__)
    rank = np.argsort(order)
    return Source(source.images, rank[source.labels], tuple(source.classes[position] for position in order))


def _members(path: Path, archive: Archive, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """Read (name, content) of the wanted files in the archive, without unpacking it to the disk, or in its folder."""
    if path.is_dir():
        yield from ((name, (path / name).read_bytes()) for name in sorted(wanted) if (path / name).is_file())
        return
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                folder, _, name = member.name.rpartition("/")
                if folder != archive.folder or name not in wanted or not member.isfile():
                    continue
                if member.size > _LARGEST_MEMBER:
                    raise UserError(f"{path}: {member.name} has {member.size} bytes, too many for CIFAR")
                yield name, tar.extractfile(member).read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise UserError(f"{path}: not a readable tar archive, or cut short ({error}); get it again") from None


def _holds(path: Path, archive: Archive) -> bool:
    return path.is_file() or (path / archive.names_file).is_file()


def _find(archive: Archive, root: str) -> Path:
    if root:
        path = Path(os.path.expanduser(root))
        found = [place for place in (path / archive.file, path / archive.folder, path) if _holds(place, archive)]
        if not found:
            raise UserError(f"data.root: {path} is not {archive.file}, and neither that nor {archive.folder}/ is in it")
        return found[0]
    # AI Studio mounts data sets as ~/data/dataNNNN/; Paddle keeps its own downloads in ~/.cache/paddle/dataset/cifar.
    mounted = sorted((Path.home() / "data").glob(f"data*/{archive.file}"))
    if mounted:
        return check_md5(mounted[0], archive.md5)
    return fetch(_SERVER + archive.file, Path.home() / ".cache/paddle/dataset/cifar" / archive.file, archive.md5)
