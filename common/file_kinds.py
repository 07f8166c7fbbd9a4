"""Tells by its contents what a file is that was given as weights; the ending does not matter.

What is not weights (a pointer of Git LFS, a web page, weights of a library that is not read, an
archive, an image) is refused by what it is, with what to do.
"""

from __future__ import annotations

import json
import os
import re
import string
import tarfile
import zlib
from pathlib import Path
from typing import Any

from common.errors import UserError, listed

SAFETENSORS, ZIP, PICKLE, INDEX = "safetensors", "zip", "pickle", "index"
_HEAD = 4096  # bytes that are looked at
_MOST_JSON = 8 << 20  # bytes of a JSON file
_SHORTEST = 10  # bytes of a weights file: safetensors' size of its header, and `{}`
_MOST_SHOWN = 100  # characters that are quoted from a file
_READABLE = "safetensors, .pth, .pdparams or .npz"
_CONVERT = f"convert it with the library that wrote it, to {_READABLE}"
_AGAIN = "get the file again"
_UNPACK = "unpack it, and give the weights file in it"
# A pickle of Python 2 or 3: protocol 2 and later, or the beginnings of a dict in 0 and 1.
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"(dp", b"}q", b"ccollections\n")
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")
# By first bytes: what it is, and what to do.
_BEGINNINGS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, of Keras or TensorFlow", _CONVERT),
    (b"GGUF", "a GGUF file, of llama.cpp: quantised for use only", "get the original weights"),
    (b"ggml", "a GGML file: quantised for use only", "get the original weights"),
    (b"\x93NUMPY", "a single array of numpy (.npy)", "save named arrays by numpy.savez"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", _UNPACK),
    (b"\x04\x22\x4d\x18", "compressed by lz4", _UNPACK),
    (b"\x5d\x00\x00", "compressed by lzma", _UNPACK),
    (b"BZh", "compressed by bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "compressed by xz", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"\x89PNG", "an image (PNG)", "give a weights file"),
    (b"\xff\xd8\xff", "an image (JPEG)", "give a weights file"),
    (b"GIF8", "an image (GIF)", "give a weights file"),
    (b"RIFF", "an image or a sound (RIFF)", "give a weights file"),
    (b"%PDF", "a PDF document", "give a weights file"),
    (b"\x7fELF", "a program (ELF)", "give a weights file"),
    (b"SQLite format 3", "a database (SQLite)", "give a weights file"),
    (b"PAR1", "a table (Parquet)", "give a weights file"),
    (b"MATLAB 5.0", "a MATLAB file", _CONVERT),
)
_TFLITE, _TENSORFLOW_TABLE = b"TFL3", b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
_ONNX = re.compile(rb"\x08[\x01-\x20](?:\x12.[\x20-\x7e]+|[\x3a\x42])", re.DOTALL)
_PADDLE_PROGRAM = re.compile(rb"\x0a[\x00-\xff]{1,6}\x08\x00\x10\xff\xff")  # a first block
_PADDLE_PARAMETERS = re.compile(rb"\x00{16}..\x00\x00\x08[\x00-\x20]\x10", re.DOTALL)
_MSGPACK = re.compile(rb"(?:[\x81-\x8f]|\xde..|\xdf....)[\xa1-\xbf\xd9][\x20-\x7e]", re.DOTALL)
_LFS = ("version https://git-lfs.github.com/", "version https://hawser.github.com/")


def kind_of(path: Path) -> str:
    """Returns what kind of weights file a file is by its contents.

    Args:
        path: of the file.

    Returns:
        `SAFETENSORS`, `ZIP` (PyTorch's or numpy's), `PICKLE` (Paddle's, numpy's or PyTorch's old
        format), or `INDEX` (the JSON that names the shards of a large model).

    Raises:
        UserError: when it is empty, can't be read, or is something else, with what to do.
    """
    head = _beginning(path)
    if not head:
        raise UserError(f"{path}: not a readable weights file: it is empty (0 bytes); {_AGAIN}")
    if _is_safetensors(head):
        return SAFETENSORS
    if head.startswith(_ZIPS):
        return ZIP
    if head.startswith(_PICKLES):
        return PICKLE
    if _is_index(path, head):
        return INDEX
    what, remedy = _binary(path, head) or _text(path, head) or _unknown(path, head)
    raise UserError(f"{path}: not a readable weights file: it is {what}; {remedy}")


def _beginning(path: Path) -> bytes:
    if path.is_symlink() and not path.exists():
        raise UserError(
            f"{path}: is a link to a file that is not there ({os.readlink(path)[:_MOST_SHOWN]}), "
            "as in a cache whose download was stopped; get the file again"
        )
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    try:
        with open(path, "rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from None


def _is_safetensors(head: bytes) -> bool:
    """Returns whether a file begins with the size of a JSON header, and the header."""
    if head[8:9] != b"{" or _is_text(head[:8]):
        return False
    return head[5:8] == b"\0\0\0" or not head.startswith((*_ZIPS, *_PICKLES))


def _binary(path: Path, head: bytes) -> tuple[str, str] | None:
    """Returns what a file is that is no text, and what to do; None where it is not known."""
    for beginning, what, remedy in _BEGINNINGS:
        if head.startswith(beginning):
            return what, remedy
    if head.startswith(b"\x1f\x8b"):
        return f"compressed by gzip{_in_gzip(head)}", _UNPACK
    if head[257:262] == b"ustar":
        return f"a tar archive with {_in_tar(path)}", _UNPACK
    if head[4:8] == _TFLITE:
        return "a TensorFlow Lite model", _CONVERT
    if _PADDLE_PARAMETERS.match(head):
        return "Paddle's parameters for inference (.pdiparams), without names", _PARAMS
    if _PADDLE_PROGRAM.match(head):
        return "Paddle's program for inference (.pdmodel), without weights", _PARAMS
    if _ONNX.match(head):
        return "an ONNX model", "export the weights from where it was made, " + _CONVERT
    if _MSGPACK.match(head):
        return "Flax's msgpack", _CONVERT
    if path.name.endswith(".index") and _last_bytes(path) == _TENSORFLOW_TABLE:
        return "the index of a TensorFlow checkpoint", _CONVERT
    if re.search(r"\.data-\d+-of-\d+$", path.name):
        return "a part of a TensorFlow checkpoint", _CONVERT
    return None


_PARAMS = "give the .pdparams of training"


def _text(path: Path, head: bytes) -> tuple[str, str] | None:
    """Returns what a text is, and what to do; None where the file is no text."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head[: len(head) // 2 * 2].decode("utf-16", "replace").encode()
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").lstrip()
    if text.startswith(_LFS) or (text.startswith("# xet version") and len(head) < 1000):
        size = re.search(r"size\D*(\d+)", text)
        of = f" to a file of {size.group(1)} bytes" if size else ""
        return f"a Git LFS pointer{of}", "run `git lfs pull` in its repository, or download it"
    lower = text[:500].lower()
    if lower.startswith("<") and ("<html" in lower or lower.startswith("<!doctype html")):
        title = re.search(r"<title[^>]*>(.*?)</title", text, re.DOTALL | re.IGNORECASE)
        return f"a web page (HTML){_quoted(title and title.group(1))}", _DOWNLOAD
    if re.match(r"<[?!a-z]", lower):
        words = re.findall(r"<(?:Code|Message)>([^<]*)<", text)
        return f"XML, as a server's error is{_quoted(': '.join(words))}", _DOWNLOAD
    if not _is_text(head):
        return None
    content = _json(path, text)
    if isinstance(content, dict) and set(_CONFIG) & content.keys():
        return "the config of a model (JSON)", "give its folder, or the weights file in it"
    if isinstance(content, (dict, list)):
        return _said_of_json(content), _DOWNLOAD
    return f"a text{_quoted(text)}", "give a weights file"


_CONFIG = ("model_type", "architectures", "architecture", "pretrained_cfg", "auto_map")
_DOWNLOAD = "download the weights file itself (it may need a login, or another address)"


def _said_of_json(content: Any) -> str:
    if isinstance(content, dict) and isinstance(content.get("base_code"), dict):
        return "Paddle's program for inference (JSON), without weights"
    values = content if isinstance(content, dict) else {}
    errors = [values[key] for key in ("error", "message", "detail", "errors") if values.get(key)]
    return f"JSON{_quoted(str(errors[0]) if errors else ', '.join(map(str, values)))}"


def _unknown(path: Path, head: bytes) -> tuple[str, str]:
    if len(head) < _SHORTEST:
        return f"cut short: it has {len(head)} bytes", _AGAIN
    if not head.strip(b"\0"):
        return "nothing but zero bytes at its beginning, of an interrupted download", _AGAIN
    said = f"of no kind that is known (it begins with {head[:8].hex(' ')})"
    return said, f"give a weights file ({_READABLE})"


def _is_text(content: bytes) -> bool:
    printable = set(string.printable.encode()) | set(range(128, 256))
    return all(byte in printable for byte in content)


def _quoted(text: str | None) -> str:
    line = " ".join((text or "").split())
    return f': "{line[:_MOST_SHOWN]}"' if line else ""


def _json(path: Path, text: str) -> Any:
    """Returns the content of a JSON file; None for another file."""
    if not text.startswith(("{", "[")) or path.stat().st_size > _MOST_JSON:
        return None
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _is_index(path: Path, head: bytes) -> bool:
    content = _json(path, head.decode("utf-8", "replace").lstrip())
    return isinstance(content, dict) and isinstance(content.get("weight_map"), dict)


def _in_gzip(head: bytes) -> str:
    """Returns what is compressed, where the first bytes show it."""
    try:
        inside = zlib.decompressobj(31).decompress(head, 1024)
    except zlib.error:
        return ""
    return ", a tar archive" if inside[257:262] == b"ustar" else ""


def _in_tar(path: Path) -> str:
    """Returns the names of the first members."""
    names: list[str] = []
    try:
        with tarfile.open(path, "r:") as archive:
            while len(names) < 10 and (member := archive.next()):
                names.append(member.name[:_MOST_SHOWN])
    except (tarfile.TarError, OSError, ValueError):
        names.append("a damaged end")
    if {"pickle", "storages", "tensors"} <= set(names):
        return "the parts of PyTorch's format before 0.2: load it there and save it again"
    return listed(names)


def _last_bytes(path: Path) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 8))
        return file.read(8)
