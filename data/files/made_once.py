"""What is decoded, unpacked or indexed once and kept in the cache, for all processes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from common.atomic_writing import atomic_folder
from common.errors import UserError


def made_once(
    cache: Path, kind: str, key: object, doing: str, make: Callable[[Path], None]
) -> Path:
    """Returns a folder of the cache, which is made at the first call.

    Args:
        cache: the folder of all of them.
        kind: the beginning of the name, such as `parquet`.
        key: anything whose text changes when the content of the folder would.
        doing: what is said when it is made, such as `decoding FILE once`.
        make: fills a new folder.

    Raises:
        UserError: when the cache can't be written, or what is read for it can't be read.
    """
    digest = hashlib.sha256(str(key).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    folder = cache / f"{kind}-{digest}"
    try:
        if not folder.is_dir():
            cache.mkdir(parents=True, exist_ok=True)
            with _locked(folder):
                if not folder.is_dir():
                    print(f"{doing} into {folder}", flush=True)
                    _remove_leftovers(folder)
                    with atomic_folder(folder) as temporary:
                        make(temporary)
    except OSError as error:
        name = error.filename
        if isinstance(name, str) and not Path(name).absolute().is_relative_to(cache.absolute()):
            raise UserError(f"{name}: can't be read ({error.strerror})") from None
        raise UserError(
            f"{cache}: can't write the cache there ({error}); set data.cache_dir to another folder"
        ) from None
    return folder


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the lock of one folder: several processes may start, and the first one makes it.

    The file of the lock stays: who removes it could let two others in, with a lock each.
    """
    with open(folder.parent / f".{folder.name}.lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process, which makes {folder}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_leftovers(folder: Path) -> None:
    """Removes what killed writers of this folder left; only who holds its lock may do so."""
    for left in folder.parent.glob(f".partial-{folder.name}.*"):  # as `atomic_folder` names them
        shutil.rmtree(left, ignore_errors=True)


def states(paths: Iterable[str | Path]) -> list[tuple[str, int, int]]:
    """Returns what changes when a file does: path, size and time, once for each different path.

    A path where nothing is, such as a link to nothing, has a size and a time of -1.
    """
    found = []
    for path in dict.fromkeys(map(str, paths)):
        real = os.path.realpath(path)
        try:
            state = os.stat(path)
        except FileNotFoundError:
            found.append((real, -1, -1))
        else:
            found.append((real, state.st_size, state.st_mtime_ns))
    return found
