"""Reading files with a bound on their size, and their checksums."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from common.errors import UserError

_LARGEST_TEXT = 1 << 20  # bytes


def user_path(path: str) -> Path:
    """A path of the user's, `~` expanded; `Path.expanduser` would raise where it names nobody."""
    return Path(os.path.expanduser(path))


def is_number(value: object) -> bool:
    """Whether what JSON made of something is a number that arithmetic can go on with: JSON allows
    any.
    """
    return type(value) in (int, float) and abs(value) < 1 << 63


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a file of at most `most` bytes; a pipe or a device, which never ends, is no
    file.

    Raises:
        UserError: when it is not there, larger, or can't be read.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with open(path, "rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from None
    if len(content) > most:
        raise UserError(f"{path}: has more than {most} bytes, too many for what it should be")
    return content


def read_text(path: Path, most: int = _LARGEST_TEXT) -> str:
    """The UTF-8 text of a file; see `read_bytes`."""
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not readable as text ({error})") from None


def read_json(path: Path, most: int = _LARGEST_TEXT) -> Any:
    """What a JSON file holds; see `read_bytes`."""
    text = read_text(path, most)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not readable as JSON ({error})") from None


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    return digest(path, "sha256")


def digest(path: Path, algorithm: str) -> str:
    """The digest of a file by an algorithm that `hashlib` knows, in hexadecimal digits."""
    state = hashlib.new(algorithm)
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            state.update(chunk)
    return state.hexdigest()
