"""Pieces that crafted files are made of: opcodes of pickles, headers of safetensors, PNG images."""

from __future__ import annotations

import json
import struct
import zlib

MB = 1 << 20


def text(value: str | bytes) -> bytes:
    """Pickles a text."""
    value = value if isinstance(value, bytes) else value.encode()
    return b"X" + struct.pack("<I", len(value)) + value


def pickled(body: bytes) -> bytes:
    """A whole pickle of protocol 4."""
    return b"\x80\x04" + body + b"."


# A memo is written by `q` and read by `h`. 2^60 ways lead to the innermost of these.
DOUBLED_LIST = b"]q\x01" + b"0](h\x01h\x01eq\x01" * 60
DOUBLED_TUPLE = b")q\x01" + b"0h\x01h\x01\x86q\x01" * 60


def safetensors(header: object, size: int = 16, length: int | None = None) -> bytes:
    """A file with a header and `size` zero bytes; `length` is what it states for its header."""
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(content) if length is None else length) + content + bytes(size)


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG image."""
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG that states its size, with more chunks, and a few pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(99)))
    return b"\x89PNG\r\n\x1a\n" + b"".join([header, *chunks, pixels, chunk(b"IEND", b"")])
