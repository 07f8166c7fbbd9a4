"""Lists the members of a zip or tar archive, which are read in place.

A tar archive that is packed as a whole (`.tar.gz`) is unpacked once into a tar file in the cache.
Nothing in an archive can name a place on the disk: its members are never written as files.
"""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any

from common.errors import UserError
from common.tar_files import list_members
from common.zip_files import open_zip
from data.files.archive_links import resolve_links
from data.files.file_tree import FileTree
from data.files.made_once import made_once, states
from data.files.stored_files import DeadLink, Segment, StoredFile, ZipMember
from data.files.traces import has_trace
from data.images.image_kinds import ZIP, what_it_is

_MOST_MEMBERS = 5_000_000
_MOST_RATIO, _ALWAYS = 200, 1 << 30  # unpacked bytes for a packed one, and how many are always fine
_BLOCK = 1 << 22  # bytes
_COPY = "unpacked.tar"
_LONGEST_LINK = 1 << 16  # bytes
_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_UTF8_NAME = 0x800  # flag of a zip member whose name is UTF-8
# What is recognised, to say that it has to be unpacked.
_FOREIGN = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "RAR", b"\x28\xb5\x2f\xfd": "zstd"}
_ENDINGS = (
    *(".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz"),
    *(".7z", ".rar", ".tar.zst", ".tzst"),  # which are not read
)


def is_archive(name: str) -> bool:
    """Returns whether a file has the ending of an archive that is read, or of one that is not."""
    return name.lower().endswith(_ENDINGS)


def without_ending(name: str) -> str:
    """Returns the name of an archive without the ending of archives; other dots stay."""
    fitting = [ending for ending in _ENDINGS if name.lower().endswith(ending)]
    return name[: -max(map(len, fitting))] if fitting else name


def has_archive(path: Path) -> bool:
    """Returns whether a file begins as archives do, whatever its name is."""
    try:
        with open(path, "rb") as file:
            beginning = file.read(512)
    except OSError:
        return False
    marks = (b"PK\3\4", *_PACKED, *_FOREIGN)
    return beginning.startswith(marks) or beginning[257:262] == b"ustar"


def list_archive(path: Path, cache: Path) -> FileTree:
    """Lists an archive; its content decides which kind it is.

    Args:
        path: of the archive.
        cache: a folder for what has to be unpacked.

    Raises:
        UserError: when it is damaged, or of a kind that is not read.
    """
    try:
        with open(path, "rb") as file:
            beginning = file.read(512)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from None
    for mark, kind in _FOREIGN.items():
        if beginning.startswith(mark):
            raise UserError(
                f"{path}: {kind} archives are not read; unpack it, and give the folder as data.root"
            )
    other = what_it_is(beginning)
    if other and other != ZIP:
        raise UserError(f"{path}: is no archive, it is {other}; get it again")
    opener = next((open_ for mark, open_ in _PACKED.items() if beginning.startswith(mark)), None)
    tar = opener or beginning[257:262] == b"ustar"
    if beginning.startswith(b"PK") or (path.name.lower().endswith(".zip") and not tar):
        return _list_zip(path)
    if not beginning:
        raise UserError(f"{path}: is empty; get it again")
    return list_tar(_unpacked(path, opener, cache) if opener else path, path)


def _list_zip(path: Path) -> FileTree:
    archive = open_zip(path, _MOST_MEMBERS)
    members, folders = {}, set()
    infos = [(_zip_name(info), info) for info in archive.infolist()]
    links = {}
    for name, info in infos:
        # Old programs of Windows write backslashes; a name with both has a backslash in it.
        plain = _cleaned(name if "/" in name else name.replace("\\", "/"))
        if not plain or has_trace(plain):
            continue
        if name.endswith(("/", "\\")) or info.is_dir():
            folders.add(plain)
        elif stat.S_ISLNK(info.external_attr >> 16):
            content = ZipMember(archive, info, plain).read(_LONGEST_LINK)
            links[plain] = _target(plain, content.decode("utf-8", "replace"))
        else:
            members[plain] = info
    dead = resolve_links(members, links, path, _MOST_MEMBERS)
    return _tree(path, folders, members, lambda name: ZipMember(archive, members[name], name), dead)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Returns the name of a member: UTF-8, or what Windows in China writes (GBK)."""
    if info.flag_bits & _UTF8_NAME:
        return info.orig_filename
    raw = info.orig_filename.encode("cp437", "replace")  # as zipfile has decoded it
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.orig_filename


def list_tar(container: Path, archive: Path, prefix: str = "") -> FileTree:
    """Lists the members of a tar file that is not packed.

    Args:
        container: the file.
        archive: the archive that the user gave; `container` may be an unpacked copy.
        prefix: of the names in the messages.
    """
    places: dict[str, tuple[int, int]] = {}
    links: dict[str, str] = {}
    folders, odd = set(), []
    for member in tar_members(container, archive):
        name = _cleaned(_tar_name(member.name))
        if not name or has_trace(name):
            continue
        if member.isdir():
            folders.add(name)
        elif member.islnk():
            links[name] = _cleaned(member.linkname)
        elif member.issym():
            links[name] = _target(name, member.linkname)
        elif member.isreg() and not member.issparse():
            places[name] = (member.offset_data, member.size)
        else:  # a pipe, a device, or a file with holes, whose size may be anything
            odd.append(name)
    dead = resolve_links(places, links, archive, _MOST_MEMBERS)

    def make(name: str) -> StoredFile:
        return Segment(str(container), *places[name], name, str(archive))

    return _tree(archive, folders, places, make, dead, odd)


def _tar_name(name: str) -> str:
    """Returns the name of a member that is UTF-8, or GBK."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # has bytes that are no UTF-8
        with contextlib.suppress(UnicodeDecodeError):
            return name.encode("utf-8", "surrogateescape").decode("gb18030")
    return name


def tar_members(container: Path, archive: Path) -> Iterator[tarfile.TarInfo]:
    """Yields the members of a tar file; raises `UserError` when it is damaged or cut short."""
    with open(container, "rb") as file:
        yield from list_members(file, str(archive), _MOST_MEMBERS, os.path.getsize(container))


def _cleaned(name: str) -> str:
    """Returns a name without `.`, `..` and what begins at the root."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _target(link: str, to: str) -> str:
    """Returns where a symbolic link leads to; empty for a place outside of the archive."""
    if os.path.isabs(to):
        return ""
    path = os.path.normpath(os.path.join(os.path.dirname(link), to))
    return "" if path.startswith("..") else path


def _tree(
    path: Path,
    folders: set[str],
    members: Any,
    make: Any,
    dead: set[str],
    odd: Collection[str] = (),
) -> FileTree:
    """Returns the tree of an archive; the folders on the way to its members may lack entries."""
    for name in (*members, *tuple(folders)):
        parts = name.split("/")
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))

    def file(name: str) -> StoredFile:
        return DeadLink(f"{path}: {name}") if name in dead else make(name)

    return FileTree(f"{path}: ", [*members, *dead], folders, file, dead, odd)


def _unpacked(path: Path, opener: Any, cache: Path) -> Path:
    """Returns the unpacked copy of an archive in the cache, which is made at the first call."""
    most = max(_ALWAYS, _MOST_RATIO * path.stat().st_size)

    def make(folder: Path) -> None:
        try:
            with opener(path, "rb") as packed:
                _copy(packed, folder / _COPY, path, most)
        except (EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
            raise UserError(f"{path}: damaged or cut short ({error}); get it again") from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise UserError(f"{path}: damaged or cut short ({error}); get it again") from None

    return made_once(cache, "archive", states([path]), f"unpacking {path} once", make) / _COPY


def _copy(packed: IO[bytes], target: Path, path: Path, most: int) -> None:
    with open(target, "wb") as file:
        for block in iter(lambda: packed.read(_BLOCK), b""):
            if file.tell() + len(block) > most:
                raise UserError(
                    f"{path}: unpacks to more than {most >> 20} MB, too much for images; unpack it "
                    "yourself if that is right, and give the folder as data.root"
                )
            if shutil.disk_usage(target.parent).free < len(block) + _BLOCK:
                raise OSError(errno.ENOSPC, "no space left on the disk", str(target))
            file.write(block)
