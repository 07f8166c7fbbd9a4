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


class StoredFile(Protocol):
    """The content of one file. `str(file)` is its place, for people."""

    def read(self, most: int) -> bytes:
        """Reads the whole content.

        Args:
            most: largest size in bytes that is accepted.

        Raises:
            UserError: when it is missing, damaged or larger.
        """

    def beginning(self, count: int) -> bytes:
        """Reads the first `count` bytes, and unpacks no more than these; raises like `read`."""

    def open(self, most: int) -> BinaryIO:
        """Opens the content for reading; takes and raises the same as `read`."""

    @property
    def name(self) -> str:
        """The name without its folders."""

    @property
    def on_disk(self) -> str:
        """The path of the file on the disk that holds the content, such as the archive."""


class DiskFile(NamedTuple):
    """A file on the disk."""

    path: str

    def read(self, most: int) -> bytes:
        return read_bytes(Path(self.path), most)

    def beginning(self, count: int) -> bytes:
        try:
            # Not blocking: a pipe would wait for its writer.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            missing = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
            raise UserError(f"{self.path}: {missing}") from None
        try:
            return os.pread(descriptor, count, 0)
        except OSError as error:
            raise UserError(f"{self.path}: can't be read ({error.strerror})") from None
        finally:
            os.close(descriptor)

    def open(self, most: int) -> BinaryIO:
        if not os.path.isfile(self.path):  # a pipe would wait for its writer
            raise UserError(f"{self.path}: no such file")
        try:
            if os.path.getsize(self.path) > most:
                raise UserError(_too_large(self, most))
            return open(self.path, "rb")
        except OSError as error:
            raise UserError(f"{self.path}: can't be read ({error.strerror})") from None

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    @property
    def on_disk(self) -> str:
        return self.path

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
            raise UserError(_too_large(self, most))
        return self._part(self.size)

    def beginning(self, count: int) -> bytes:
        return self._part(min(count, self.size))

    def open(self, most: int) -> BinaryIO:
        return BytesIO(self.read(most))

    def _part(self, count: int) -> bytes:
        """Reads the first `count` bytes, in pieces: the system reads at most 2 GB at once."""
        pieces, done = [], 0
        try:
            with open(self.container, "rb", buffering=0) as file:
                while piece := os.pread(file.fileno(), count - done, self.offset + done):
                    pieces.append(piece)
                    done += len(piece)
        except OSError as error:
            raise UserError(f"{self.container}: can't be read ({error.strerror})") from None
        if done < count:
            raise UserError(f"{self}: the archive is cut short; get it again")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def name(self) -> str:
        return self.label.rpartition("/")[2]

    @property
    def on_disk(self) -> str:
        # An unpacked copy is made again when the cache was emptied; the archive stays.
        return self.archive if os.path.isfile(self.archive) else self.container

    def __str__(self) -> str:
        return f"{self.archive}: {self.label}"


class ZipMember(NamedTuple):
    """A member of a zip archive."""

    archive: zipfile.ZipFile  # from `common.zip_files.open_zip`
    info: zipfile.ZipInfo
    label: str  # the name as this system writes it

    def read(self, most: int) -> bytes:
        if self.info.file_size > most:
            raise UserError(_too_large(self, most))
        return self.beginning(self.info.file_size)

    def beginning(self, count: int) -> bytes:
        try:
            # The count also limits what is unpacked where the stated size is too small.
            with self.archive.open(self.info) as file:
                return file.read(count)
        except Exception as error:  # a damaged archive raises almost anything
            raise UserError(f"{self}: can't be read from the archive ({error})") from None

    def open(self, most: int) -> BinaryIO:
        return BytesIO(self.read(most))

    @property
    def name(self) -> str:
        return self.label.rpartition("/")[2]

    @property
    def on_disk(self) -> str:
        return str(self.archive.filename)

    def __str__(self) -> str:
        return f"{self.archive.filename}: {self.label}"


class DeadLink(NamedTuple):
    """A link in an archive that leads to nothing there."""

    place: str

    def read(self, most: int) -> bytes:
        raise UserError(f"{self.place}: a link to nothing in the archive")

    def beginning(self, count: int) -> bytes:
        return self.read(count)

    def open(self, most: int) -> BinaryIO:
        return BytesIO(self.read(most))

    @property
    def name(self) -> str:
        return self.place.rpartition("/")[2]

    @property
    def on_disk(self) -> str:
        return self.place

    def __str__(self) -> str:
        return self.place


def _too_large(file: StoredFile, most: int) -> str:
    return f"{file}: has more than {most} bytes, too many for what it should be"
