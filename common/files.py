"""Writing files so that a crash leaves either the old content or the new one, and reading no more than is sensible."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import UserError

METADATA = "rdrop"  # the entry of a weights file of this project that says what it is

_LARGEST_TEXT = 1 << 20  # bytes
_LARGEST_HEADER = 8 << 20  # bytes of JSON in a safetensors file; a ViT-L's has 40 thousand
LARGEST_WEIGHTS = 32 << 30  # bytes of a weights file; a ViT-L's has 1.2e9

_PARTIAL = ".partial-"  # begins the name of what is being written or removed


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk, so that a rename inside it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def memory_figure(path: str, name: str) -> int | None:
    """Bytes of memory that a file of the system below /proc gives under a name; None where it does not."""
    for line in Path(path).read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return None


def user_path(path: str) -> Path:
    """A path of the user's, `~` expanded; `Path.expanduser` would raise where it names nobody."""
    return Path(os.path.expanduser(path))


@contextlib.contextmanager
def named(path: str | Path) -> Iterator[None]:
    """A context whose errors of the file system say where: that of a write to a full disk does not."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; when the block ends well, flush and rename it to `target`."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f"{_PARTIAL}{target.stem}.", suffix=target.suffix, dir=target.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        with named(target):
            yield temporary
            publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def publish(temporary: Path, target: Path) -> None:
    """Flush a file that is whole, and rename it to where it belongs in the same folder."""
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    temporary.chmod(0o644)
    temporary.replace(target)
    sync_folder(target.parent)


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder beside `target`; when the block ends well, flush it and rename it to `target`.

    A folder that is already there is replaced.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{target.name}.", dir=target.parent))
    try:
        yield temporary
        for path in temporary.iterdir():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        sync_folder(temporary)
        temporary.chmod(0o755)
        if target.exists():
            remove_folder(target)
        temporary.replace(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder so that a crash leaves all of it or nothing under its name."""
    doomed = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{folder.name}.", dir=folder.parent))
    folder.replace(doomed)
    shutil.rmtree(doomed)


def remove_partial(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder; nobody may be writing there."""
    for path in folder.glob(f"{_PARTIAL}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a whole text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    """Write a JSON file atomically, for people too: indented, with a final newline.

    What is no Unicode text, such as some names of files, is written in JSON's escapes.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False)
    readable = not any("\ud800" <= letter <= "\udfff" for letter in text)
    write_text(path, (text if readable else json.dumps(content, indent=2)) + "\n")


def is_number(value: object) -> bool:
    """Whether what JSON made of something is a number that arithmetic can go on with: JSON allows any."""
    return type(value) in (int, float) and abs(value) < 1 << 63


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a file of at most `most` bytes; a pipe or a device, which never ends, is no file.

    Raises:
        UserError: when it is not there, larger, or can't be read.
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
    """The UTF-8 text of a file; see `read_bytes`."""
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not readable as text ({error})") from None


def read_json(path: Path, most: int = _LARGEST_TEXT) -> Any:
    """What a JSON file holds; see `read_bytes`."""
    text = read_text(path, most)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not readable as JSON ({error})") from None


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    return digest(path, "sha256")


def digest(path: Path, algorithm: str) -> str:
    """The digest of a file by an algorithm that `hashlib` knows, in hexadecimal digits."""
    state = hashlib.new(algorithm)
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            state.update(chunk)
    return state.hexdigest()


def read_metadata(path: str | Path) -> dict[str, str]:
    """The text metadata of a weights file; empty for all but `.safetensors`.

    Raises:
        UserError: when the file is missing or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    return read_safetensors(path, arrays=False)[1] if path.suffix == ".safetensors" else {}


def own_metadata(metadata: dict[str, str], origin: str) -> dict | None:
    """What a weights file of this project says of itself; None for files of others.

    Raises:
        UserError: when it is not readable; `origin` names the file.
    """
    if METADATA not in metadata:
        return None
    try:
        content = json.loads(metadata[METADATA])
    except (ValueError, RecursionError) as error:
        raise UserError(f"{origin}: its metadata is not readable ({error})") from None
    if not isinstance(content, dict):
        raise UserError(f"{origin}: its metadata is not readable (not an object)")
    return content


def read_safetensors(path: Path, arrays: bool = True) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read named arrays (none without `arrays`) and the text metadata; bfloat16 is widened to float32.

    Raises:
        UserError: when the file is damaged.
    """
    from safetensors import deserialize, safe_open

    _check_header(path)
    try:
        with safe_open(str(path), framework="np") as file:
            metadata, names = dict(file.metadata() or {}), list(file.keys()) if arrays else []
            brain_floats = {
                name for name in names if file.get_slice(name).get_dtype() == "BF16"
            }  # numpy does not know it
            found = {name: file.get_tensor(name) for name in names if name not in brain_floats}
        if brain_floats:
            stored = dict(deserialize(path.read_bytes()))
            found.update({name: widen(stored[name]["data"]).reshape(stored[name]["shape"]) for name in brain_floats})
    except Exception as error:  # a damaged file raises almost anything
        raise UserError(f"{path}: not a readable safetensors file ({type(error).__name__}: {error})") from None
    return found, metadata


def _check_header(path: Path) -> None:
    """See that a safetensors file and its header are of a size that weights have, before anything is made of them."""
    try:
        with open(path, "rb") as file:
            header, size = int.from_bytes(file.read(8), "little"), file.seek(0, 2)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from None
    if size > LARGEST_WEIGHTS or header > min(size - 8, _LARGEST_HEADER):
        raise UserError(
            f"{path}: not a readable safetensors file ({size} bytes with a header of {header}; at most "
            f"{LARGEST_WEIGHTS} and {_LARGEST_HEADER} are read)"
        )


class _Capped(FileIO):
    """A file that gives no more than `most` bytes at once, as long as that is set."""

    most = 0

    def read(self, count: int = -1) -> bytes:
        if self.most and count > self.most:
            raise zipfile.BadZipFile(f"its table of contents has {count} bytes")
        return super().read(count)


def open_zip(path: Path, most: int) -> zipfile.ZipFile:
    """Open a zip archive of at most `most` members, which are stored or deflated.

    Other methods let a few bytes unpack to gigabytes at once, and a table of contents takes many times its size in
    memory: it has at most 128 bytes a member.

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
    odd = [m for m in members if m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or m.flag_bits & 1]
    if len(members) > most or odd:
        raise UserError(f"{path}: its archive has {len(members)} members, {len(odd)} of a kind that is not read")
    return archive


def widen(content: bytes) -> np.ndarray:
    """The float32 values of bfloat16 ones in memory, exactly."""
    return (np.frombuffer(content, np.uint16).astype(np.uint32) << 16).view(np.float32)
