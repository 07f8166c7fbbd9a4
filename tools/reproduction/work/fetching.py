"""Gets the files of a data set, and says beforehand whether the disks have room for everything."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from common.download import check_md5, fetch, part_of
from common.errors import UserError
from common.reading import nearest_existing
from tools.reproduction.published.datasets import DataFile, DataSet

_GB = 1e9
_RESERVE = 1 << 30  # bytes that stay free on each disk


class Need(NamedTuple):
    """Bytes that something will take below a folder."""

    what: str
    bytes: int
    folder: Path


def home_of(file: DataFile) -> Path:
    """Returns where a file of a data set is kept, or found."""
    mounted = sorted((Path.home() / "data").glob(f"data*/{file.name}"))  # AI Studio
    return mounted[0] if mounted else Path.home() / file.kept / file.name


def needs_of(data: DataSet, given: bool, cache: Path) -> list[Need]:
    """Returns what a data set will take on the disk: its files, less what is here, and its cache.

    Args:
        data: the data set.
        given: whether the user names its files: nothing is downloaded then.
        cache: folder of what is decoded.
    """
    needs = []
    for file in data.files if not given else ():
        target = home_of(file)
        here = target if target.is_file() else part_of(target)
        size = here.stat().st_size if here.is_file() else 0
        needs.append(Need(f"{file.name} to download", max(0, file.bytes - size), target.parent))
    if data.decoded:
        needs.append(Need(f"decoded images of {data.title}", data.decoded, cache))
    return [need for need in needs if need.bytes]


def check_space(
    needs: Iterable[Need], free: Callable[[Path], int] = lambda place: shutil.disk_usage(place).free
) -> list[str]:
    """Checks that each disk has room for what goes there, before anything is fetched.

    Args:
        needs: what will be written.
        free: returns the free bytes of the disk of a folder that exists.

    Returns:
        A line for each disk.

    Raises:
        UserError: when a disk is too small.
    """
    disks: dict[int, list[Need]] = {}
    places: dict[int, Path] = {}
    for need in needs:
        place = nearest_existing(need.folder)
        disk = place.stat().st_dev
        disks.setdefault(disk, []).append(need)
        places.setdefault(disk, place)
    lines = []
    for disk, own in disks.items():
        wanted, there = sum(need.bytes for need in own), free(places[disk])
        parts = ", ".join(f"{need.what} {need.bytes / _GB:.2f} GB" for need in own)
        line = f"{places[disk]}: {wanted / _GB:.2f} GB needed ({parts}), {there / _GB:.2f} GB free"
        if wanted + _RESERVE > there:
            raise UserError(
                f"{line}, of which 1 GB has to stay: make room, or name another disk by --workdir "
                "(checkpoints), --data (data) or HOME (downloads)"
            )
        lines.append(line)
    return lines


def get(file: DataFile, target: Path | None = None) -> Path:
    """Returns a file of a data set, which is downloaded if it is not here, and checked.

    Raises:
        UserError: when it can't be had, or differs from its checksum.
    """
    path = target or home_of(file)
    if path.is_file():
        return check_md5(path, file.md5)
    return patiently(lambda: fetch(file.address, path, file.md5, most=file.bytes), path)


def patiently(download: Callable[[], Path], target: Path) -> Path:
    """Repeats a download that fails, as long as each attempt brings more of the file.

    Args:
        download: returns the file, or raises a `UserError`; it goes on where it was cut off.
        target: the file.

    Raises:
        UserError: of the last attempt, when it has brought nothing.
    """
    have = _arrived(target)
    while True:
        try:
            return download()
        except UserError:
            before, have = have, _arrived(target)
            if have <= before:
                raise
            print(f"{have:,} bytes of {target.name} are here; going on", flush=True)


def _arrived(target: Path) -> int:
    part = part_of(target)
    return part.stat().st_size if part.is_file() else 0
