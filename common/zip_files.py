"""Opening zip archives of strangers: few enough members, of kinds that unpack to no surprise."""

from __future__ import annotations

import zipfile
from io import FileIO
from pathlib import Path

from common.errors import UserError


class _Capped(FileIO):
    """A file that gives no more than `most` bytes at once, as long as that is set."""

    most = 0

    def read(self, count: int = -1) -> bytes:
        if self.most and count > self.most:
            raise zipfile.BadZipFile(f"its table of contents has {count} bytes")
        return super().read(count)


def open_zip(path: Path, most: int) -> zipfile.ZipFile:
    """Open a zip archive of at most `most` members, which are stored or deflated.

    Other methods let a few bytes unpack to gigabytes at once, and a table of contents takes many
    times its size in memory: it has at most 128 bytes a member.

    Raises:
        UserError: for another one, or one that is damaged.
    """
    try:
        file = _Capped(path)
        file.most = 128 * most
        archive = zipfile.ZipFile(file)
        file.most = 0
    except Exception as error:  # a damaged file raises almost anything
        raise UserError(f"{path}: not a readable zip archive ({error})") from None
    members = archive.infolist()
    odd = [
        m
        for m in members
        if m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or m.flag_bits & 1
    ]
    if len(members) > most or odd:
        raise UserError(
            f"{path}: its archive has {len(members)} members, {len(odd)} of a kind that is not read"
        )
    return archive
