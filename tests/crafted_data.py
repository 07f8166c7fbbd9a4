"""Images and archives of data sets that a hostile author would write.

Each function yields a name, the bytes of the file, and what is said of it; `images` yields the name
of the file, too.
"""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
from crafted_pieces import DOUBLED_LIST, MB, chunk, pickled, png
from hostile import cifar_members, tar_of, tiny_members, zip_of
from PIL import Image


def _tiff() -> bytes:
    """A TIFF whose table of strips is said to have gigabytes."""
    tags = [(256, 4, 1, 60_000), (257, 4, 1, 60_000), (258, 3, 1, 8), (259, 3, 1, 8)]
    tags += [(262, 3, 1, 1), (273, 4, 1, 0), (277, 3, 1, 1), (278, 4, 1, 60_000)]
    tags += [(279, 4, 2**31 - 1, 8)]
    table = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0" + table + bytes(4)


def images() -> Iterator[tuple[str, str, bytes, str]]:
    """Image files."""
    sides = ((30_000, 30_000), (2**31 - 1, 2**31 - 1), (12_000, 12_000), (1, 80_000_000), (4, 4000))
    files = {f"{w} x {h} pixels": ("image.png", png(w, h)) for w, h in sides}
    squeezed = zlib.compress(bytes(100 * MB), 1)
    frame = b",\0\0\0\0" + struct.pack("<HH", 65535, 65535) + b"\0\x02\x02L\x01\0;"
    gif = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff" + frame
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) print\n"
    other = io.BytesIO()
    Image.new("RGB", (9, 9)).save(other, "PCX")
    files |= {
        "a text of 100 MB": ("image.png", png(9, 9, chunk(b"zTXt", b"a\0\0" + squeezed))),
        "a profile of 100 MB": ("image.png", png(9, 9, chunk(b"iCCP", b"a\0\0" + squeezed))),
        "chunks of gigabytes": ("image.png", png(9, 9, struct.pack(">I", 2**31 - 1) + b"tEXt")),
        "PostScript": ("image.png", script),
        "a grid of floats": ("image.ppm", b"Pf\n30000 30000\n-1.0\n" + bytes(99)),
        "a large frame": ("image.gif", gif),
        "tags of gigabytes": ("image.tif", _tiff()),
        "a format that data sets do not have": ("image.png", other.getvalue()),
        "nothing": ("image.jpg", b""),
    }
    for name, (file, content) in files.items():
        yield name, file, content, "not a readable image"


def _header(
    name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


def _sparse(name: str, size: int) -> bytes:
    """GNU tar's old format of a file without any content but holes."""
    block = bytearray(_header(name, tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
    block[483:495] = b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(10_240)


def _other_kinds() -> Iterator[tuple[str, bytes, str]]:
    """Members of CIFAR-100 that are no files of its folder."""
    good, train = cifar_members(), "cifar-100-python/train"
    for name in ("../cifar-100-python/train", "/cifar-100-python/train"):
        moved = {name if key.endswith("train") else key: value for key, value in good.items()}
        yield f"a member {name}", tar_of(moved), "train is not in the archive"
    kinds = {"link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE}
    for name, kind in {**kinds, "device": tarfile.CHRTYPE, "pipe": tarfile.FIFOTYPE}.items():
        odd = {**good, train: _header(train, kind, link="/etc/passwd")}
        yield f"a {name}", tar_of(odd), "train is not in the archive"


def _large_headers() -> Iterator[tuple[str, bytes, str]]:
    """Headers that take memory before a member is looked at."""
    long_name = _header("x", tarfile.GNUTYPE_LONGNAME, 1500 * MB).tobuf() + bytes(64 * MB)
    yield "a name of gigabytes", gzip.compress(long_name, 1), "a header of 1572864000 bytes"
    kinds = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGLINK)
    for kind in kinds:
        packed = gzip.compress(_header("x", kind, 1 << 20).tobuf() + bytes(4 * MB), 1)
        yield f"a header {kind!r} of a megabyte", packed, "a header of 1048576 bytes"
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):  # tarfile reads the second by itself
        first = _header("x", tarfile.GNUTYPE_LONGNAME, 100).tobuf() + bytes(512)
        packed = gzip.compress(first + _header("x", kind, 1 << 20).tobuf() + bytes(4 * MB), 1)
        yield f"a header {kind!r} behind another", packed, "a header of 1048576 bytes"


def tars() -> Iterator[tuple[str, bytes, str]]:
    """Archives of CIFAR-100."""
    yield from _other_kinds()
    yield from _large_headers()
    good, train = cifar_members(), "cifar-100-python/train"
    large = _header(train, size=500 * MB).tobuf() + bytes(10_240)
    yield "a member of 500 MB", large, "too many for CIFAR|not a readable tar"
    yield "a file of zeros that is not there", _sparse(train, 399 * MB), "is a sparse file"
    back = bytearray(_header("x").tobuf())
    back[124:136] = b"\xff" * 11 + b"\x00"
    yield "a negative size", bytes(back) + bytes(10_240), "not a readable tar|is not in the archive"
    yield "many members", gzip.compress(_header("x").tobuf() * 3000), "more than 1000 members"
    labels = b"C\x06labels" + b"N" + b"C\x0bfine_labels" + DOUBLED_LIST
    doubled = pickled(b"}(" + labels + b"C\x04datah\x01u")
    yield "labels that double", tar_of({**good, train: doubled}), "not in CIFAR's official format"
    code = pickle.dumps({b"data": print}, 2)
    yield "a call", tar_of({**good, train: code}), "refused"
    short = pickle.dumps({b"data": np.zeros((0, 3072), np.uint8), b"fine_labels": []}, 2)
    yield "no images", tar_of({**good, train: short}), "has no images"


def zips() -> Iterator[tuple[str, bytes, str]]:
    """Archives of Tiny ImageNet."""
    good, root = tiny_members(), "tiny-imagenet-200/"

    def with_member(name: str, content: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
        return zip_of({**good, f"{root}{name}": content}, method)

    for name, method in (("bzip2", zipfile.ZIP_BZIP2), ("lzma", zipfile.ZIP_LZMA)):
        yield f"a bomb of {name}", zip_of(good, method), "of a kind that is not read"
    large = with_member("wnids.txt", bytes(64 * MB), zipfile.ZIP_DEFLATED)
    yield "a file of 64 MB", large, "has more than 4194304 bytes"
    image, lists = "train/n01/images/n01_0.PNG", "val/val_annotations.txt"
    huge, small = with_member(image, png(30_000, 30_000)), with_member(image, png(9, 3))
    yield "an image of gigabytes", huge, "not a readable image"
    yield "another size", small, "expected 64 x 64|not a readable image"
    for lines in (b"../../../../etc/passwd\tn01\n", b"/etc/passwd\tn01\n"):
        yield f"a path {lines[:9]}", with_member(lists, lines), "is not there"
    yield "a line without a class", with_member(lists, b"x" * MB), "has no label"
    yield "no text", with_member("wnids.txt", b"\xff\xfe"), "lists 0 classes"
    yield "a line of a megabyte", with_member("wnids.txt", b"n" * MB), "lists 1 classes"
    locked = bytearray(zip_of(good))
    for place in (at for at in range(len(locked)) if locked[at : at + 4] == b"PK\x01\x02"):
        locked[place + 8] |= 1
    yield "a password", bytes(locked), "of a kind that is not read"
