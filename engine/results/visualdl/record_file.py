"""The file of VisualDL's records: names in it, adding records, keeping those of earlier steps."""

from __future__ import annotations

import io
import shutil
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from visualdl.proto.record_pb2 import Record
from visualdl.writer.record_writer import RecordWriter

from common.atomic_writing import atomic_path
from common.errors import UserError
from common.reading import read_bytes

_LARGEST = 1 << 30  # bytes of a file that is read again
_LENGTH = struct.calcsize("<Q")  # bytes before each record


def tag_name(name: str) -> str:
    """Returns a name as it may stand in a tag.

    VisualDL refuses `%`, and takes `/` for a border between groups: letters that look like them
    replace them. What is not Unicode text, as in the name of a file, becomes a question mark.
    """
    name = name.encode("utf-8", "replace").decode("utf-8")
    return " ".join(name.replace("%", "\N{FULLWIDTH PERCENT SIGN}").replace("/", "\u2215").split())


def now() -> int:
    """Returns the time as VisualDL counts it, in milliseconds."""
    return round(time.time() * 1000)


def append(path: Path, records: Iterable[Record]) -> None:
    """Adds records to a file, all or none of them."""
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for record in records:
        writer.write(record.SerializeToString())
    with atomic_path(path) as temporary:
        if path.is_file():
            shutil.copyfile(path, temporary)
        with open(temporary, "ab") as file:
            file.write(buffer.getvalue())


def earlier_records(path: Path, kind: str, steps_done: int) -> list[Record]:
    """Returns the records of one kind of the first steps.

    Args:
        path: of the file, which a kill may have cut short. None are returned of one that can't be
            read, or is too large.
        kind: such as `histogram`.
        steps_done: number of the steps.
    """
    try:
        content = read_bytes(path, _LARGEST)
    except UserError:
        return []
    values = ((record, record.values[0]) for record in _records(content) if record.values)
    return [
        record
        for record, value in values
        if value.WhichOneof("one_value") == kind and value.id <= steps_done
    ]


def _records(content: bytes) -> Iterator[Any]:
    """Yields the records of a file's content up to the first that is not whole."""
    place = 0
    while place + _LENGTH <= len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        place += _LENGTH
        if length > len(content) - place:
            return
        record = Record()
        try:
            record.ParseFromString(content[place : place + length])
        except Exception:  # protobuf's own kind, which differs between its versions
            return
        yield record
        place += length
