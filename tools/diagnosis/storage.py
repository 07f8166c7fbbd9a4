"""Checks of shared memory, of the disks of runs and data, and of the files that may be open."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import re
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from common.reading import nearest_existing
from tools.diagnosis.lines import BAD, FINE, LOOK, Line, size

_NETWORK = re.compile(
    r"nfs|cifs|smb|ceph|lustre|gluster|beegfs|gpfs|afs|9p|ncp|fuse\.|fuseblk|virtiofs|pvfs|orangefs"
)
_LITTLE_SHARED = 1 << 30  # bytes: two workers with batches of 128 images of 384 pixels take 230 MB
_LITTLE_ROOM = 5 << 30  # bytes: a run of ViT-B keeps checkpoints of 4
_NO_ROOM = 100 << 20
_FEW_NODES = 10_000
_OPEN_FILES, _FEW_FILES = 1024, 256
_WRITTEN, _READ = 64 << 20, 64 << 20  # bytes for a measurement
_MOST_FILES, _LOOKED_AT = 200, 2000  # files that are read, and looked at
_SLOW_WRITE, _SLOW_READ = 50e6, 20e6  # bytes/s
_SECONDS = 10.0  # for which a measurement goes on at most
_SKEW = 5.0  # seconds by which the clocks of the machine and of a file system may differ


class Written(NamedTuple):
    """What a try to write has shown.

    Attributes:
        speed: bytes/s until all were on the disk.
        skew: seconds by which the clock of the file system is ahead.
        locks: whether files can be locked.
    """

    speed: float
    skew: float
    locks: bool


def shared_memory(
    path: Path = Path("/dev/shm"), usage: Callable[[Any], Any] = shutil.disk_usage
) -> Iterator[Line]:
    """Checks the memory through which loader workers and NCCL pass data."""
    try:
        total, _, free = usage(path)
    except OSError as error:
        yield Line(
            "/dev/shm",
            LOOK,
            f"can't be had ({error.strerror})",
            "workers pass batches through pipes, which is slower",
        )
        return
    found = f"{size(free)} free of {size(total)}"
    if free < _LITTLE_SHARED:
        remedy = "start the container with --shm-size=8g (or --ipc=host)"
        if total >= _LITTLE_SHARED:
            remedy = "remove what ended programs have left there"
        yield Line(
            "/dev/shm",
            LOOK,
            found,
            f"{remedy}; else workers pass batches through pipes, and NCCL may fail",
        )
    else:
        yield Line("/dev/shm", FINE, found)


def open_files(
    limit: tuple[int, int] = resource.getrlimit(resource.RLIMIT_NOFILE),
    largest: int = resource.getrlimit(resource.RLIMIT_FSIZE)[0],
) -> Iterator[Line]:
    """Checks how many files a process may open, and how large a file may be.

    Args:
        limit: the soft and the hard one of open files.
        largest: bytes of a file; -1: no limit.
    """
    soft, hard = (float("inf") if one == resource.RLIM_INFINITY else one for one in limit)
    found = f"{soft:g} (may be raised to {hard:g})" if soft < hard else f"{soft:g}"
    if soft < _OPEN_FILES:
        most = min(65536, hard)
        raised = f"ulimit -n {most:g}" if hard > soft else "ask the administrator for 65536"
        yield Line("open files", BAD if soft < _FEW_FILES else LOOK, found, raised)
    else:
        yield Line("open files", FINE, found)
    if largest != resource.RLIM_INFINITY:
        yield Line(
            "size of files",
            LOOK,
            f"at most {size(largest)}",
            "checkpoints must fit: ulimit -f unlimited",
        )


def file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Returns the type of the file system on which a path lies; empty where it is not known."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real, best, found = os.path.realpath(path), "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        words = before.split()
        if len(words) < 5 or not after:
            continue
        place = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), words[4])
        inside = real == place or real.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best):  # of equal ones the last is on top
            best, found = place, after.split()[0]
    return found


def try_writing(folder: Path, count: int = _WRITTEN) -> Written:
    """Writes a file of `count` bytes until it is on the disk, locks it, and removes it.

    Raises:
        OSError: when it can't be written.
    """
    descriptor, name = tempfile.mkstemp(prefix=".doctor-", dir=folder)
    try:
        with open(descriptor, "wb", buffering=0) as file:
            skew = os.fstat(file.fileno()).st_mtime - time.time()
            piece, written, begin = os.urandom(1 << 20), 0, time.perf_counter()
            while written < count and time.perf_counter() < begin + _SECONDS:
                written += file.write(piece)
            os.fsync(file.fileno())
            seconds = time.perf_counter() - begin
            locks = True
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                locks = False
        return Written(written / max(seconds, 1e-9), skew, locks)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)


def run_disk(
    folder: Path,
    needed: int = 0,
    usage: Callable[[Any], Any] = os.statvfs,
    write: Callable[[Path], Written] = try_writing,
    kind: Callable[[Path], str] = file_system,
) -> Iterator[Line]:
    """Checks the disk on which runs are written.

    Args:
        folder: of runs; it need not be there yet.
        needed: bytes that the run of a config takes; 0: not known.
        usage: returns what `os.statvfs` does.
        write: tries the folder.
        kind: returns the type of its file system.
    """
    name, place = f"disk of {folder}", nearest_existing(folder)
    if not place.is_dir():
        yield Line(name, BAD, f"{place} is a file", "give another --workdir")
        return
    figures, type_ = usage(place), kind(place)
    free = figures.f_bavail * figures.f_frsize
    found = f"{type_ or 'unknown file system'}, {size(free)} free"
    room = _room(figures, free, needed)
    if room and room[0] == BAD:
        yield Line(name, BAD, f"{found}{room[1]}", room[2])
        return
    try:
        tried = write(place)
    except OSError as error:
        yield Line(
            name,
            BAD,
            f"{found}, can't be written ({error.strerror})",
            "give another --workdir, or mend its permissions",
        )
        return
    found += f", written at {tried.speed / 1e6:.0f} MB/s"
    notes = [room] if room else []
    if not tried.locks:
        notes.append(
            (
                BAD,
                ", files can't be locked",
                "two runs in one folder would not be noticed, "
                "and none starts: give a --workdir on another disk",
            )
        )
    if abs(tried.skew) > _SKEW:
        notes.append(
            (LOOK, f", its clock differs by {tried.skew:+.0f} s", "set both clocks by NTP")
        )
    if type_ in ("tmpfs", "ramfs"):
        notes.append((LOOK, "", "it is memory: a restart loses the runs"))
    if tried.speed < _SLOW_WRITE:
        notes.append((LOOK, "", "slow: set train.checkpoint_every_steps higher"))
    state = BAD if any(note[0] == BAD for note in notes) else LOOK if notes else FINE
    if type_ == "overlay":
        found += " (of the container: removed with it)"
    yield Line(
        name,
        state,
        found + "".join(note[1] for note in notes),
        "; ".join(note[2] for note in notes),
    )


def _room(figures: Any, free: float, needed: int) -> tuple[str, str, str] | None:
    """Returns state, finding and remedy where the room on a disk is little; else None."""
    if needed and free < needed:
        return (
            BAD,
            f", the run takes {size(needed)}",
            "make room, give another --workdir, or set train.keep_checkpoints=1",
        )
    if figures.f_files and figures.f_favail < _FEW_NODES:
        return (
            BAD if figures.f_favail < 100 else LOOK,
            f", {figures.f_favail:,} inodes free",
            "remove small files",
        )
    if free < (_NO_ROOM if needed else _LITTLE_ROOM):
        state = BAD if free < _NO_ROOM else LOOK
        return state, "", "make room: a run of ViT-B keeps checkpoints of 4 GB"
    return None


def data_disk(
    root: Path, kind: Callable[[Path], str] = file_system, seconds: float = _SECONDS
) -> Iterator[Line]:
    """Checks the folder or archive of the data: that it is there, and how fast it is read."""
    name = f"data {root}"
    if not root.exists():
        yield Line(name, BAD, "is not there", "give the folder or archive of the data")
        return
    count, taken, duration = _read(root, seconds)
    type_ = kind(root)
    over_network = bool(_NETWORK.match(type_))
    found = f"{type_ or 'unknown file system'}{' (network)' * over_network}"
    if not count:
        yield Line(name, LOOK, f"{found}, no file there can be read", "see its permissions")
        return
    speed = taken / max(duration, 1e-9)
    found += f", {count} files read at {speed / 1e6:.0f} MB/s, {count / duration:,.0f} files/s"
    if speed < _SLOW_READ:
        remedy = "slow: copy the data to a local disk, or keep it as an archive (read in place)"
        yield Line(name, LOOK, found, remedy)
    else:
        yield Line(name, FINE, found)


def _read(root: Path, seconds: float) -> tuple[int, int, float]:
    """Reads some files that the system has not kept in memory, as far as it can be told to.

    Returns:
        How many, their bytes, and the seconds it took.
    """
    if root.is_file():
        paths = [str(root)]
    else:
        walk = (os.path.join(top, name) for top, _, names in os.walk(root) for name in names)
        seen = list(itertools.islice(walk, _LOOKED_AT))
        paths = seen[:: max(1, len(seen) // _MOST_FILES)][:_MOST_FILES]
    count = taken = 0
    begin = time.perf_counter()
    for path in paths:
        if taken >= _READ or time.perf_counter() > begin + seconds:
            break
        with contextlib.suppress(OSError):
            if not os.path.isfile(path):  # a pipe would never end
                continue
            with open(path, "rb", buffering=0) as file:
                if hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                while taken < _READ and (piece := file.read(1 << 20)):
                    taken += len(piece)
            count += 1
    return count, taken, time.perf_counter() - begin
