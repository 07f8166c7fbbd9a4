"""Writes files and folders so that a crash leaves either the old content or the new one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PARTIAL = ".partial-"  # prefix of the name while something is written or removed


def _flush(path: Path) -> None:
    """Flushes a file, or a folder's list of names, to the disk, so that it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def named(path: str | Path) -> Iterator[None]:
    """Adds the path to an `OSError` that has none, such as that of a write to a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yields a temporary path next to `target`; it becomes `target` when the block succeeds."""
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
    """Flushes a complete file to the disk and renames it to `target`, in the same folder."""
    _flush(temporary)
    temporary.chmod(0o644)
    temporary.replace(target)
    _flush(target.parent)


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yields a temporary folder next to `target`; it becomes `target` when the block succeeds.

    An existing folder is replaced.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{target.name}.", dir=target.parent))
    try:
        yield temporary
        for path in temporary.iterdir():
            _flush(path)
        _flush(temporary)
        temporary.chmod(0o755)
        if target.exists():
            remove_folder(target)
        temporary.replace(target)
        _flush(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Removes a folder so that a crash leaves all of it or nothing under its name."""
    doomed = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{folder.name}.", dir=folder.parent))
    folder.replace(doomed)
    shutil.rmtree(doomed)


def remove_partial(folder: Path) -> None:
    """Removes what killed writers left in a folder; no process may be writing there."""
    for path in folder.glob(f"{_PARTIAL}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a whole text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    """Writes a JSON file atomically, readable for people: indented, with a final newline.

    Text that is not valid Unicode, such as the names of some files, is written in JSON's escapes.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False)
    valid = not any("\ud800" <= letter <= "\udfff" for letter in text)  # no lone surrogates
    write_text(path, (text if valid else json.dumps(content, indent=2)) + "\n")
