"""Finds the images that words of a command line mean: files, folders, patterns, lists, addresses.

Where a word means nothing, an error comes in its place, so that the others are still found.
"""

from __future__ import annotations

import glob
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Union
from urllib.parse import unquote, urlsplit

from common.errors import UserError
from common.reading import decode_text, read_bytes, user_path
from data.images.image_files import LARGEST_FILE
from data.images.image_folders import images_below
from data.images.image_kinds import BEGINNING, kind_by_content, what_it_is
from data.layouts.class_names import lines_of
from inference.inputs import fetch, is_address

STANDARD_INPUT = "-"
_LARGEST_LIST = 1 << 30  # bytes; a line for each of ten million images
_LABELLED = re.compile(r"(.*[^ \t,])[ \t,]+[^ \t,]+")  # the path and the class of a line


class Named(NamedTuple):
    """An image that was asked for.

    Attributes:
        name: as it is shown.
        image: its path, its address, or its bytes.
        file_name: the last part of its name, for copies.
    """

    name: str
    image: Path | str | bytes
    file_name: str


Found = Union[Named, UserError]


def find(words: Iterable[str]) -> Iterator[Found]:
    """Yields the images that words mean, in order.

    Args:
        words: files, folders (all images below them, sorted), patterns, http(s) addresses, and `-`
            for standard input: the bytes of an image, or a path in each line.
    """
    for word in words:
        try:
            yield from _of_standard_input() if word == STANDARD_INPUT else _of_word(word)
        except UserError as error:
            yield error


def find_listed(path: Path) -> Iterator[Found]:
    """Yields the images of a list, a path in each line; a class behind it is passed over.

    Paths begin at the working folder, or else at the folder of the list.

    Args:
        path: of a text file, in UTF-8, UTF-16 or GBK.
    """
    try:
        yield from _of_lines(decode_text(read_bytes(path, _LARGEST_LIST), str(path)), path.parent)
    except UserError as error:
        yield error


def fetched(found: Found) -> Found:
    """Returns an image with the bytes of its address; one that has none as it is."""
    if isinstance(found, UserError) or not isinstance(found.image, str):
        return found
    try:
        return found._replace(image=fetch(found.image))
    except UserError as error:
        return error


def _of_word(word: str) -> Iterator[Found]:
    if is_address(word):
        yield Named(word, word, unquote(urlsplit(word).path).rpartition("/")[2] or "image")
        return
    path = user_path(word)
    if path.is_dir():
        found = images_below(path)
    elif glob.has_magic(str(path)) and not path.exists():
        names = sorted(glob.glob(str(path), recursive=True))
        found = [Path(name) for name in names if not Path(name).is_dir()]
    else:
        found = [path]
    if not found:
        raise UserError(f"{path}: no images there")
    yield from (Named(str(one), one, one.name) for one in found)


def _of_standard_input() -> Iterator[Found]:
    if sys.stdin is None:
        raise UserError("standard input is closed; give paths")
    content = sys.stdin.buffer.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise UserError(f"standard input has more than {LARGEST_FILE} bytes; give --list FILE")
    kind, other = kind_by_content(content[:BEGINNING]), what_it_is(content[:BEGINNING])
    if kind:
        yield Named(STANDARD_INPUT, content, f"standard_input.{kind.lower()}")
        return
    if other:
        raise UserError(f"standard input is {other}, neither an image nor paths of images")
    yield from _of_lines(decode_text(content, "standard input"), Path())


def _of_lines(text: str, folder: Path) -> Iterator[Found]:
    lines = [line.strip() for line in lines_of(text) if line.strip()]
    if not lines:
        yield UserError("a list without a path in it; expected one in each line")
    for line in lines:
        try:
            yield from _of_word(_path_of(line, folder))
        except UserError as error:
            yield error


def _path_of(line: str, folder: Path) -> str:
    """Returns the path that a line means, the first of its readings that exists."""
    if is_address(line):
        return line
    labelled = _LABELLED.fullmatch(line)
    for text in (line, labelled[1] if labelled else line):
        for path in (user_path(text), folder / text):
            if path.exists():
                return str(path)
    return line
