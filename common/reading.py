"""Reads files whose size is bounded, and computes their checksums."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from common.errors import UserError

_LARGEST_TEXT = 1 << 20  # bytes
_LOOKED_AT, _SHARE = 4096, 8  # bytes from which UTF-16 is told, and how one side prevails
# Byte order marks. That of UTF-32 begins with that of UTF-16, and no editor writes it.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def user_path(path: str | Path) -> Path:
    """Expands `~`, `$NAME` and `${NAME}` in a path that the user gave.

    The `~name` of an unknown user and a variable that is not set stay as they are.
    """
    return Path(os.path.expanduser(os.path.expandvars(path)))


def nearest_existing(path: Path) -> Path:
    """Returns the absolute path itself if it is there, else the nearest one above it that is."""
    absolute = path.absolute()
    return next(one for one in (absolute, *absolute.parents) if one.exists())


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


def decode_text(content: bytes, origin: str) -> str:
    """Decodes the text of a file that any editor or system may have written.

    A byte order mark decides (UTF-8 or UTF-16); without one it is UTF-8, UTF-16 where many bytes
    of one side are 0, or else GBK (GB18030), which Windows writes in China.

    Args:
        content: of the file.
        origin: the name of the file, for the error.

    Returns:
        The text without a byte order mark; line ends are as they are.

    Raises:
        UserError: when it is text in none of these.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _decoded(content[len(mark) :], encoding, origin)
    # In UTF-16 the digits, blanks and line ends have a zero byte each, on one side.
    even, odd = (content[side:_LOOKED_AT:2].count(0) for side in (0, 1))
    for zeros, others, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros > max(_SHARE * others, len(content[:_LOOKED_AT]) / 2 / _SHARE):
            return _decoded(content, encoding, origin)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _decoded(content, "gb18030", origin)


def _decoded(content: bytes, encoding: str, origin: str) -> str:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(f"{origin}: is not readable as text ({error})") from None
    if "\0" in text:
        raise UserError(f"{origin}: is not readable as text (it has zero bytes)")
    return text


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
