"""What is decoded, unpacked or indexed once and kept in the cache, for all processes."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable
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
        UserError: when the cache can't be written.
    """
    digest = hashlib.sha256(str(key).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    folder = cache / f"{kind}-{digest}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / ".lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several processes may start: the first one makes it
            if not folder.is_dir():
                print(f"{doing} into {folder}", flush=True)
                with atomic_folder(folder) as temporary:
                    make(temporary)
    except OSError as error:
        raise UserError(
            f"{cache}: can't write the cache there ({error}); set data.cache_dir to another folder"
        ) from None
    return folder


def states(paths: Iterable[str | Path]) -> list[tuple[str, int, int]]:
    """Returns what changes when a file does: path, size and time; links to nothing are left out."""
    found = []
    for path in paths:
        if os.path.exists(path):
            state = os.stat(path)
            found.append((os.path.realpath(path), state.st_size, state.st_mtime_ns))
    return found
