"""Opens zip archives of strangers: the number and the kinds of members are limited."""

from __future__ import annotations

import errno
import os
import zipfile
from io import FileIO, RawIOBase
from pathlib import Path

from common.errors import UserError


class _Capped(RawIOBase):
    """A file of which at most `most` bytes are read at once; 0: no limit.

    Its position is its own. Forked processes share the position of an open file, and would read
    from each other's places.
    """

    most = 0

    def __init__(self, path: Path):
        super().__init__()
        self._file, self._position = FileIO(str(path)), 0
        self.name = str(path)

    def read(self, count: int | None = -1) -> bytes:
        if self.most and (count or 0) > self.most:
            raise zipfile.BadZipFile(f"its table of contents has {count} bytes")
        if count is None or count < 0:
            count = max(0, os.fstat(self._file.fileno()).st_size - self._position)
        pieces = []
        # The system reads at most 2 GB at once.
        while piece := os.pread(self._file.fileno(), count, self._position):
            pieces.append(piece)
            self._position += len(piece)
            count -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        end = os.fstat(self._file.fileno()).st_size if whence == os.SEEK_END else 0
        start = self._position if whence == os.SEEK_CUR else end
        if start + offset < 0:
            raise OSError(errno.EINVAL, "a position before the beginning")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


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
        raise UserError(
            f"{path}: not a readable zip archive ({error}): damaged, cut short, or one of several "
            "parts; get it again"
        ) from None
    members, methods = archive.infolist(), (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    locked = sum(item.flag_bits & 1 for item in members)
    if locked:
        raise UserError(
            f"{path}: {locked} members are encrypted, of a kind that is not read; unpack it "
            "yourself"
        )
    odd = sum(item.compress_type not in methods for item in members)
    if len(members) > most or odd:
        raise UserError(
            f"{path}: its archive has {len(members)} members, {odd} of a kind that is not read; "
            "unpack it yourself"
        )
    return archive
