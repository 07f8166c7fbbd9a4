"""A file whose content is read when it is needed: on the disk, in a zip, or a part of a file.

Reading is safe in forked processes and in threads: no position in a file is shared.
"""

from __future__ import annotations

import os
import zipfile
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from common.errors import UserError
from common.reading import read_bytes

_LARGEST = 16 << 30  # bytes of a file in an archive; readers of images have limits of their own


class StoredFile(Protocol):
    """The content of one file. `str(file)` is its place, for people."""

    def read(self, most: int) -> bytes:
        """Reads the whole content.

        Args:
            most: largest size in bytes that is accepted.

        Raises:
            UserError: when it is missing, damaged or larger.
        """

    def ends(self, count: int) -> tuple[int, bytes, bytes]:
        """Reads the size, and the first and the last `count` bytes; raises like `read`."""

    def open(self) -> BinaryIO:
        """Opens the content for reading; raises like `read`."""

    @property
    def name(self) -> str:
        """The name without its folders."""


class DiskFile(NamedTuple):
    """A file on the disk."""

    path: str

    def read(self, most: int) -> bytes:
        return read_bytes(Path(self.path), most)

    def ends(self, count: int) -> tuple[int, bytes, bytes]:
        try:
            # Not blocking: a pipe would wait for its writer.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            missing = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
            raise UserError(f"{self.path}: {missing}") from None
        try:
            size = os.fstat(descriptor).st_size
            first = os.pread(descriptor, count, 0)
            last = os.pread(descriptor, count, max(0, size - count)) if size > count else first
        except OSError as error:
            raise UserError(f"{self.path}: can't be read ({error.strerror})") from None
        finally:
            os.close(descriptor)
        return size, first, last

    def open(self) -> BinaryIO:
        if not os.path.isfile(self.path):  # a pipe would wait for its writer
            raise UserError(f"{self.path}: no such file")
        try:
            return open(self.path, "rb")
        except OSError as error:
            raise UserError(f"{self.path}: can't be read ({error.strerror})") from None

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    def __str__(self) -> str:
        return self.path


class Segment(NamedTuple):
    """A part of a file: a member of a tar archive, or of a container of this project."""

    container: str  # the path of the file
    offset: int  # of the first byte
    size: int  # in bytes
    label: str  # the name in the archive, with slashes
    archive: str  # the path for people; the container may be an unpacked copy of it

    def read(self, most: int) -> bytes:
        if self.size > most:
            raise UserError(f"{self}: has more than {most} bytes, too many for what it should be")
        return self._part(0, self.size)

    def ends(self, count: int) -> tuple[int, bytes, bytes]:
        first = self._part(0, min(count, self.size))
        start = max(0, self.size - count)
        return self.size, first, self._part(start, self.size - start) if start else first

    def open(self) -> BinaryIO:
        return BytesIO(self.read(_LARGEST))

    def _part(self, start: int, count: int) -> bytes:
        try:
            with open(self.container, "rb", buffering=0) as file:
                content = os.pread(file.fileno(), count, self.offset + start)
        except OSError as error:
            raise UserError(f"{self.container}: can't be read ({error.strerror})") from None
        if len(content) < count:
            raise UserError(f"{self}: the archive is cut short; get it again")
        return content

    @property
    def name(self) -> str:
        return self.label.rpartition("/")[2]

    def __str__(self) -> str:
        return f"{self.archive}: {self.label}"


class ZipMember(NamedTuple):
    """A member of a zip archive."""

    archive: zipfile.ZipFile  # from `common.zip_files.open_zip`
    info: zipfile.ZipInfo
    label: str  # the name as this system writes it

    def read(self, most: int) -> bytes:
        if self.info.file_size > most:
            raise UserError(f"{self}: has more than {most} bytes, too many for what it should be")
        try:
            return self.archive.read(self.info)
        except Exception as error:  # a damaged archive raises almost anything
            raise UserError(f"{self}: can't be read from the archive ({error})") from None

    def ends(self, count: int) -> tuple[int, bytes, bytes]:
        content = self.read(_LARGEST)
        return len(content), content[:count], content[-count:]

    def open(self) -> BinaryIO:
        return BytesIO(self.read(_LARGEST))

    @property
    def name(self) -> str:
        return self.label.rpartition("/")[2]

    def __str__(self) -> str:
        return f"{self.archive.filename}: {self.label}"


class DeadLink(NamedTuple):
    """A link in an archive that leads to nothing there."""

    place: str

    def read(self, most: int) -> bytes:
        raise UserError(f"{self.place}: a link to nothing in the archive")

    def ends(self, count: int) -> tuple[int, bytes, bytes]:
        raise UserError(f"{self.place}: a link to nothing in the archive")

    def open(self) -> BinaryIO:
        raise UserError(f"{self.place}: a link to nothing in the archive")

    @property
    def name(self) -> str:
        return self.place.rpartition("/")[2]

    def __str__(self) -> str:
        return self.place
