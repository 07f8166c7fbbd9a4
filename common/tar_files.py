"""Reads members of tar archives of strangers into memory; nothing is unpacked to the disk."""

import gzip
import tarfile
import zlib
from collections.abc import Collection, Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import IO

from common.errors import UserError

_LARGEST_HEADER = 1 << 16  # bytes of a long name or an extended header
_BEHIND = 1 << 20  # bytes behind the end of an archive that must be empty; 10240 are usual
_HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)


class _Member(tarfile.TarInfo):
    """A member whose long names and extended headers, which are read into memory, are limited."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADERS and self.size > _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(tar)  # type: ignore[misc]  # the stubs lack it


class _Bounded:
    """A stream that raises `error` when it has more than `most` bytes."""

    def __init__(self, file: BufferedIOBase, most: int, error: UserError):
        self._file, self._left, self._error = file, most, error

    def read(self, count: int) -> bytes:
        content = self._file.read(count)
        self._left -= len(content)
        if self._left < 0:
            raise self._error
        return content


def read_members(
    path: Path,
    wanted: Collection[str],
    kind: str,
    most_members: int,
    most_bytes: int,
    most_unpacked: int,
) -> Iterator[tuple[str, bytes]]:
    """Yields the name and the content of each wanted file, in the order of the archive.

    Args:
        path: a `.tar` or `.tar.gz` file; its content decides which.
        wanted: names of members.
        kind: the name of the expected archive, for errors.
        most_members: largest number of members.
        most_bytes: largest size of a wanted member.
        most_unpacked: largest size of all that the archive unpacks to.

    Raises:
        UserError: when the archive is damaged, cut short, or larger.
    """
    endless = UserError(f"{path}: unpacks to more than {most_unpacked} bytes, too many for {kind}")
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with (
            (gzip.open if packed else open)(path, "rb") as stream,
            tarfile.open(  # type: ignore[call-overload]  # it calls read() only
                fileobj=_Bounded(stream, most_unpacked, endless), mode="r|", tarinfo=_Member
            ) as tar,
        ):
            for number, member in enumerate(tar):
                name, size = member.name, member.size
                if number == most_members:
                    raise UserError(f"{path}: has more than {number} members, too many for {kind}")
                if name not in wanted or not member.isfile():
                    continue
                if member.issparse():  # of any size, without content in the archive
                    raise UserError(f"{path}: {name} is a sparse file, which {kind} has none of")
                if size > most_bytes:
                    raise UserError(f"{path}: {name} has {size} bytes, too many for {kind}")
                yield name, tar.extractfile(member).read()
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise UserError(
            f"{path}: not a readable tar archive, or cut short ({error}); get it again"
        ) from None


def list_members(
    file: IO[bytes], origin: str, most_members: int, end: int
) -> Iterator[tarfile.TarInfo]:
    """Yields the members of a tar file that is not packed; contents are passed over.

    `offset_data` of a member is its place in `file`, which may begin before the archive.

    Args:
        file: at the beginning of the archive.
        origin: the name of the archive, for errors.
        most_members: largest number of members.
        end: position in `file` behind the archive.

    Raises:
        UserError: when the archive is damaged, cut short, or has more members.
    """
    try:
        # Names that are not UTF-8 keep their bytes, for whoever knows their encoding.
        with tarfile.open(
            fileobj=file, mode="r:", tarinfo=_Member, encoding="utf-8", errors="surrogateescape"
        ) as tar:
            for number, member in enumerate(tar):
                if number == most_members:
                    raise UserError(f"{origin}: has more than {number} members")
                if member.offset >= end:
                    return
                if member.offset_data + member.size > end and member.isreg():
                    raise tarfile.ReadError(f"{member.name} is cut short")
                # Which would take a kilobyte each.
                tar.members.clear()  # type: ignore[attr-defined]
                yield member
            # At a damaged header, or one that is empty, tarfile stops as at the end.
            file.seek(tar.offset)
            if file.read(max(0, min(end - tar.offset, _BEHIND))).strip(b"\0"):
                raise tarfile.ReadError("a damaged header")
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise UserError(
            f"{origin}: not a readable tar archive, or cut short ({error}); get it again"
        ) from None
