"""CIFAR-10 and CIFAR-100 from their official Python archives.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
https://www.cs.toronto.edu/~kriz/cifar.html. The archives hold pickles: they are read without
running code from them.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from common.download import check_md5, fetch
from common.errors import UserError
from common.files import read_bytes, user_path
from common.pickle_files import unpickle_arrays
from data.sets.images_and_labels import ImagesAndLabels

_SERVER = "https://www.cs.toronto.edu/~kriz/"
_LARGEST_MEMBER = 400 << 20  # bytes; the largest official one has 155 MB
_LARGEST_ARCHIVE = 1 << 30  # bytes unpacked; the official ones have 186 MB
_LARGEST_HEADER = 1 << 16  # bytes
_MOST_MEMBERS = 1000  # of an archive; the official ones have 10


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


def load_cifar10(config, part: str) -> ImagesAndLabels:
    """CIFAR-10; `config.root` is the archive, its folder, what holds one of them, or empty to find
    or download it.
    """
    return _load(CIFAR10, config.root, part)


def load_cifar100(config, part: str) -> ImagesAndLabels:
    """CIFAR-100 with its 100 fine labels; see `load_cifar10`."""
    return _load(CIFAR100, config.root, part)


def _load(archive: Archive, root: str, part: str) -> ImagesAndLabels:
    path = _find(archive, root)
    wanted = {*getattr(archive, part), archive.names_file}
    contents = dict(_members(path, archive, wanted))
    missing = wanted - contents.keys()
    if missing:
        raise UserError(
            f"{path}: {archive.folder}/{sorted(missing)[0]} is not in the archive; is it the official one?"
        )
    batches = {
        name: unpickle_arrays(BytesIO(content), f"{path}: {name}", encoding="bytes")
        for name, content in contents.items()
    }
    try:
        classes = tuple(name.decode() for name in batches[archive.names_file][archive.names_key])
        rows = [_row(batches[name], archive) for name in getattr(archive, part)]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: not in CIFAR's official format ({type(error).__name__}: {error})"
        ) from None
    images, labels = (np.concatenate(column) for column in zip(*rows))
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise UserError(
            f"{path}: {len(classes)} classes, of which {len(set(classes))} differ; is it the official one?"
        )
    if not len(labels):
        raise UserError(f"{path}: {part} has no images; is it the official one?")
    if not 0 <= labels.min() <= labels.max() < len(classes):
        span = f"{labels.min()} to {labels.max()}"
        raise UserError(f"{path}: {part} has labels from {span}, expected 0 to {len(classes) - 1}")
    return _sorted_classes(
        ImagesAndLabels(images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels, classes)
    )


def _row(batch: dict, archive: Archive) -> tuple[np.ndarray, np.ndarray]:
    """The images, uint8 `(N, 3072)`, and the labels, int64 `(N,)`, of one file.

    Raises:
        ValueError: when they are something else: numpy would make arrays of any size of lists that
            hold each other.
    """
    images, labels = batch[b"data"], batch[archive.label_key]
    if (
        not isinstance(images, np.ndarray)
        or images.dtype != np.uint8
        or images.shape[1:] != (3072,)
    ):
        raise ValueError("images are not rows of 3072 bytes")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise ValueError("labels are not integers")
    if len(labels) != len(images):
        raise ValueError(f"{len(images)} images with {len(labels)} labels")
    return images, np.array(labels, np.int64)


def _sorted_classes(source: ImagesAndLabels) -> ImagesAndLabels:
    """Number the classes in the order of their names (the official archives are in that order
    already).
    """
    order = sorted(range(len(source.classes)), key=source.classes.__getitem__)
    rank = np.argsort(order)
    return ImagesAndLabels(
        source.images, rank[source.labels], tuple(source.classes[position] for position in order)
    )


class _Member(tarfile.TarInfo):
    """A member whose long names and extended headers, which are read into memory, are no longer
    than any sane ones.
    """

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        headers = (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
        )
        if self.type in (*headers, tarfile.SOLARIS_XHDTYPE) and self.size > _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(tar)


class _Bounded:
    """A stream that ends with an error when more comes than an archive of this data set holds."""

    def __init__(self, file: BinaryIO, path: Path):
        self._file, self._path, self._left = file, path, _LARGEST_ARCHIVE

    def read(self, count: int) -> bytes:
        content = self._file.read(count)
        self._left -= len(content)
        if self._left < 0:
            raise UserError(
                f"{self._path}: unpacks to more than {_LARGEST_ARCHIVE} bytes, too many for CIFAR"
            )
        return content


def _members(path: Path, archive: Archive, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """Read (name, content) of the wanted files in the archive, without unpacking it to the disk, or
    in its folder.
    """
    if path.is_dir():
        found = sorted(name for name in wanted if (path / name).is_file())
        yield from ((name, read_bytes(path / name, _LARGEST_MEMBER)) for name in found)
        return
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with (
            (gzip.open if packed else open)(path, "rb") as file,
            tarfile.open(fileobj=_Bounded(file, path), mode="r|", tarinfo=_Member) as tar,
        ):
            for number, member in enumerate(tar):
                if number == _MOST_MEMBERS:
                    raise UserError(
                        f"{path}: has more than {_MOST_MEMBERS} members, too many for CIFAR"
                    )
                folder, _, name = member.name.rpartition("/")
                if folder != archive.folder or name not in wanted or not member.isfile():
                    continue
                if member.issparse():  # of any size, without content in the archive
                    raise UserError(
                        f"{path}: {member.name} is a sparse file, which CIFAR has none of"
                    )
                if member.size > _LARGEST_MEMBER:
                    raise UserError(
                        f"{path}: {member.name} has {member.size} bytes, too many for CIFAR"
                    )
                yield name, tar.extractfile(member).read()
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise UserError(
            f"{path}: not a readable tar archive, or cut short ({error}); get it again"
        ) from None


def _holds(path: Path, archive: Archive) -> bool:
    return path.is_file() or (path / archive.names_file).is_file()


def _find(archive: Archive, root: str) -> Path:
    if root:
        path = user_path(root)
        found = [
            place
            for place in (path / archive.file, path / archive.folder, path)
            if _holds(place, archive)
        ]
        if not found:
            raise UserError(
                f"data.root: {path} is not {archive.file}, and neither that nor {archive.folder}/ is in it"
            )
        return found[0]
    # AI Studio mounts data sets as ~/data/dataNNNN/; Paddle keeps its own downloads in
    # ~/.cache/paddle/dataset/cifar.
    mounted = sorted((Path.home() / "data").glob(f"data*/{archive.file}"))
    if mounted:
        return check_md5(mounted[0], archive.md5)
    return fetch(
        _SERVER + archive.file,
        Path.home() / ".cache/paddle/dataset/cifar" / archive.file,
        archive.md5,
    )
