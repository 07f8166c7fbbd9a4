"""Reads files whose size is bounded, and computes their checksums."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from common.errors import UserError

_LARGEST_TEXT = 1 << 20  # bytes


def user_path(path: str | Path) -> Path:
    """Expands `~`, `$NAME` and `${NAME}` in a path that the user gave.

    The `~name` of an unknown user and a variable that is not set stay as they are.
    """
    return Path(os.path.expanduser(os.path.expandvars(path)))


def is_number(value: Any) -> bool:
    """Returns whether a value from JSON is a number that is safe to compute with."""
    return type(value) in (int, float) and abs(value) < 1 << 63


def read_bytes(path: Path, most: int) -> bytes:
    """Reads a file of at most `most` bytes.

    Raises:
        UserError: when it is missing, larger, or can't be read. A pipe or a device, which never
            ends, counts as missing.
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
    """Reads the UTF-8 text of a file; see `read_bytes`."""
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not readable as text ({error})") from None


def read_json(path: Path, most: int = _LARGEST_TEXT) -> Any:
    """Reads the content of a JSON file; see `read_bytes`."""
    text = read_text(path, most)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not readable as JSON ({error})") from None


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, as 64 hexadecimal digits."""
    return digest(path, "sha256")


def digest(path: Path, algorithm: str) -> str:
    """Returns the digest of a file in hexadecimal digits, by an algorithm of `hashlib`."""
    state = hashlib.new(algorithm)
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            state.update(chunk)
    return state.hexdigest()
