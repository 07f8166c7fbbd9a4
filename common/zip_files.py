"""Opens zip archives of strangers: the number and the kinds of members are limited."""

from __future__ import annotations

import zipfile
from io import FileIO
from pathlib import Path

from common.errors import UserError


class _Capped(FileIO):
    """A file of which at most `most` bytes are read at once; 0: no limit."""

    most = 0

    def read(self, count: int | None = -1) -> bytes:
        if self.most and (count or 0) > self.most:
            raise zipfile.BadZipFile(f"its table of contents has {count} bytes")
        return super().read(count)


def open_zip(path: Path, most: int) -> zipfile.ZipFile:
    """Opens a zip archive whose members are stored or deflated, at most `most` of them.

    With other methods a few bytes can unpack to gigabytes. The table of contents takes many times
    its size in memory, so its size is limited to 128 bytes a member.

    Raises:
        UserError: when the archive is damaged, too large, or has other members.
    """
    try:
        file = _Capped(path)
        file.most = 128 * most
        archive = zipfile.ZipFile(file)
        file.most = 0  # members may be larger
    except Exception as error:  # a damaged file raises almost anything
        raise UserError(f"{path}: not a readable zip archive ({error})") from None
    members, methods = archive.infolist(), (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    # Bit 1 of the flags: encrypted.
    odd = sum(item.compress_type not in methods or item.flag_bits & 1 for item in members)
    if len(members) > most or odd:
        raise UserError(
            f"{path}: its archive has {len(members)} members, {odd} of a kind that is not read"
        )
    return archive
