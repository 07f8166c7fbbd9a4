"""Writing files and folders so that a crash leaves either the old content or the new one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PARTIAL = ".partial-"  # begins the name of what is being written or removed


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk, so that a rename inside it survives a power
    cut.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def named(path: str | Path) -> Iterator[None]:
    """A context whose errors of the file system say where: that of a write to a full disk does
    not.
    """
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; when the block ends well, flush and rename it to
    `target`.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(
        prefix=f"{_PARTIAL}{target.stem}.", suffix=target.suffix, dir=target.parent
    )
    os.close(descriptor)
    temporary = Path(name)
    try:
        with named(target):
            yield temporary
            publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def publish(temporary: Path, target: Path) -> None:
    """Flush a file that is whole, and rename it to where it belongs in the same folder."""
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    temporary.chmod(0o644)
    temporary.replace(target)
    sync_folder(target.parent)


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder beside `target`; when the block ends well, flush it and rename it to
    `target`.

    A folder that is already there is replaced.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{target.name}.", dir=target.parent))
    try:
        yield temporary
        for path in temporary.iterdir():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        sync_folder(temporary)
        temporary.chmod(0o755)
        if target.exists():
            remove_folder(target)
        temporary.replace(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder so that a crash leaves all of it or nothing under its name."""
    doomed = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{folder.name}.", dir=folder.parent))
    folder.replace(doomed)
    shutil.rmtree(doomed)


def remove_partial(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder; nobody may be writing there."""
    for path in folder.glob(f"{_PARTIAL}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a whole text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    """Write a JSON file atomically, for people too: indented, with a final newline.

    What is no Unicode text, such as some names of files, is written in JSON's escapes.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False)
    readable = not any("\ud800" <= letter <= "\udfff" for letter in text)
    write_text(path, (text if readable else json.dumps(content, indent=2)) + "\n")
