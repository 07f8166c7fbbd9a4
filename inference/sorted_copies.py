"""Copies images into a folder for each class; nothing is moved, and nothing replaced."""

from __future__ import annotations

import contextlib
import filecmp
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from common.errors import UserError

# What Windows and macOS can't have in names, and what they take for devices.
_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST = 120  # bytes of a name; file systems take 255, and something may be added


def safe_name(name: str) -> str:
    """Returns a name that any file system takes, in letters of any language."""
    text = _NOT_IN_NAMES.sub("_", name).strip().rstrip(". ")
    text = text.encode("utf-8")[:_LONGEST].decode("utf-8", "ignore").rstrip(". ")
    if _DEVICES.fullmatch(text) or text.startswith("."):
        text = f"_{text}"
    return text or "_"


def folders_of(classes: Iterable[str]) -> dict[str, str]:
    """Returns a name of a folder for each class, all of them different, in any capitals."""
    taken: set[str] = set()
    folders = {}
    for number, name in enumerate(classes):
        folder = safe_name(name)
        while folder.casefold() in taken:
            folder = f"{folder} (class {number})"
        taken.add(folder.casefold())
        folders[name] = folder
    return folders


class SortedCopies:
    """Puts copies of images into `FOLDER/<class>/`.

    An image that is there already, under its name and with the same bytes, is not copied again. One
    of the same name with other bytes gets a number: `a_2.jpg`.

    Args:
        folder: for all of them.
        classes: that there are.
    """

    def __init__(self, folder: Path, classes: Iterable[str]):
        self._folder, self._folders = folder, folders_of(classes)
        self.copied, self.there = 0, 0

    def add(self, content: Path | bytes, file_name: str, class_name: str) -> None:
        """Copies an image.

        Args:
            content: its path, or its bytes.
            file_name: of the copy.
            class_name: one of the classes.
        """
        folder = self._folder / self._folders[class_name]
        folder.mkdir(parents=True, exist_ok=True)
        stem, ending = os.path.splitext(file_name)
        if not isinstance(content, Path):  # the name is a stranger's
            stem, ending = safe_name(stem), safe_name(ending) if ending else ""
            ending = ending.lstrip("_")
        with _as_file(content, folder) as path:
            for number in itertools.count(1):
                target = folder / (f"{stem}_{number}{ending}" if number > 1 else stem + ending)
                if _publish(path, target):
                    self.copied += 1
                    return
                if target.is_file() and filecmp.cmp(path, target, shallow=False):
                    self.there += 1
                    return

    def summary(self) -> str:
        """Returns in one line what was copied."""
        again = f", {self.there} were there already" if self.there else ""
        return f"copied {self.copied} images into {self._folder}{again}"


def check_apart(folder: Path, words: Iterable[str | Path]) -> None:
    """Checks that copies do not get into a folder that is read: they would be read next time.

    Raises:
        UserError: when the folder is one of these, or below one.
    """
    target = folder.resolve()
    for path in map(Path, words):
        if path.is_dir() and path.resolve() in (target, *target.parents):
            raise UserError(
                f"--copy_to: {folder} is in {path}, which is read; give a folder outside of it"
            )


@contextlib.contextmanager
def _as_file(content: Path | bytes, folder: Path):  # type: ignore[no-untyped-def]
    """Yields a path with the content of an image: a temporary one for bytes."""
    if isinstance(content, Path):
        yield content
        return
    with tempfile.NamedTemporaryFile(prefix=".partial-", dir=folder) as file:
        file.write(content)
        file.flush()
        yield Path(file.name)


def _publish(source: Path, target: Path) -> bool:
    """Copies a file to a path that is free, all of it or nothing; returns whether it was free."""
    if os.path.lexists(target):
        return False
    descriptor, name = tempfile.mkstemp(prefix=".partial-", dir=target.parent)
    os.close(descriptor)
    try:
        shutil.copyfile(source, name)
        os.chmod(name, 0o644)
        with contextlib.suppress(OSError):
            shutil.copystat(source, name)
        return _rename(name, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _rename(name: str, target: Path) -> bool:
    """Gives a file its name, unless another process was faster."""
    try:
        os.link(name, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        os.rename(name, target)
    return True
