"""Files that a hostile author would write: by name, what they are called, their bytes, and what is
said of them.

Each would run code, leave its folder, or take gigabytes, if a reader took it at its word. An empty
message: the file can be read, and takes no more memory than it should.
"""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from hostile import cifar_members, stored_config, tar_of, tiny_members, zip_of
from PIL import Image

_MB = 1 << 20


# Pieces of pickles. A memo is written by `q` and read by `h`.
def _text(value: str | bytes) -> bytes:
    value = value if isinstance(value, bytes) else value.encode()
    return b"X" + struct.pack("<I", len(value)) + value


def _pickle(body: bytes) -> bytes:
    return b"\x80\x04" + body + b"."


_A = _text("a")
_ZEROS = b"B" + struct.pack("<I", _MB) + bytes(_MB)  # a megabyte of bytes
_LIST = b"]q\x01(" + b"K\x00" * 100_000 + b"e0"  # a list of 100,000, in memo 1
_TUPLE, _ORDERED = b"c__builtin__\ntuple\nq\x02", b"ccollections\nOrderedDict\nq\x02"
_RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
_BIG = (
    b"cnumpy\ndtype\n"
    + _text("f4")
    + b"\x85R(K\x03"
    + _text(">")
    + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
_DOUBLED_LIST = b"]q\x01" + b"".join(
    b"0](h\x01h\x01eq\x01" for _ in range(60)
)  # 2^60 ways lead to the innermost
_DOUBLED_TUPLE = b")q\x01" + b"".join(b"0h\x01h\x01\x86q\x01" for _ in range(60))


def _shared_arrays(count: int) -> bytes:
    """Arrays of the same bytes, which are in the order of another machine."""
    begin = _ZEROS + b"q\x030" + _BIG + b"q\x040"
    one = _RECONSTRUCT + b"(K\x01" + b"J" + struct.pack("<i", _MB // 4) + b"\x85h\x04\x89h\x03tb"
    return begin + b"](" + one * count + b"e"


def _pickles() -> Iterator[tuple[str, bytes, str]]:
    yield "a memo of gigabytes", _pickle(b"Nr" + struct.pack("<I", 0x7FFFFFFF)), "holds a NoneType"
    yield "a frame of exabytes", _pickle(b"\x95" + struct.pack("<Q", 1 << 60)), "not a readable"
    yield (
        "bytes that do not come",
        _pickle(b"\x8e" + struct.pack("<Q", 1 << 34) + b"x"),
        "not a readable",
    )
    yield (
        "a bytearray that does not come",
        _pickle(b"\x96" + struct.pack("<Q", 3 << 30) + b"x"),
        "not a readable",
    )
    yield (
        "text that does not come",
        _pickle(b"\x8d" + struct.pack("<Q", 1 << 34) + b"x"),
        "not a readable",
    )
    yield (
        "copies of a tuple",
        _pickle(_LIST + _TUPLE + b"h\x01\x85R" + b"h\x02h\x01\x85R" * 2000),
        "makes a tuple",
    )
    pairs = b"]q\x01(" + b"K\x01N\x86" * 3000 + b"e0"
    copies = _pickle(pairs + _ORDERED + b"](" + b"h\x02h\x01\x85R" * 3000 + b"e")
    yield "copies of a dict", copies, "far more of its content"
    encode = b"c_codecs\nencode\nq\x020" + _text(b"a" * _MB) + b"q\x01" + _text("latin1") + b"q\x03"
    yield (
        "copies of text",
        _pickle(encode + b"](" + b"h\x02h\x01h\x03\x86R" * 5000 + b"e"),
        "far more of its content",
    )
    yield "arrays that share bytes", _pickle(_shared_arrays(4000)), "far more of its content"
    states = _LIST + b"cnumpy\nndarray\n0" + b"](" + (_RECONSTRUCT + b"h\x01b") * 2000 + b"e"
    yield "copies of a state", _pickle(states), "far more of its content"
    yield "a key that is deep", _pickle(b"})" + b"\x85" * 150_000 + b"Ns"), "a key that is neither"
    yield "a key that doubles", _pickle(b"}" + _DOUBLED_TUPLE + b"Ns"), "a key that is neither"
    yield (
        "a set that doubles",
        _pickle(b"\x8f(" + _DOUBLED_TUPLE + b"\x90"),
        "a key that is neither",
    )
    yield (
        "a dtype that doubles",
        _pickle(_DOUBLED_LIST + b"cnumpy\ndtype\nh\x01\x85R"),
        "a dtype without a name",
    )
    yield (
        "a shape that doubles",
        _pickle(_RECONSTRUCT + b"(K\x01" + _DOUBLED_TUPLE + _BIG + b"\x89C\x04abcdtb"),
        "refused",
    )
    yield "millions of sets", _pickle(b"\x8f" * 200_100), "more than 200000 steps"
    yield "a deep list", _pickle(b"]" * 50_000 + b"a" * 49_999), "not a readable"
    yield "a name of megabytes", _pickle(b"c" + b"a" * _MB + b"\nb\n"), "refused"
    yield "escape codes", _pickle(b"c\x1b[31mos\nsystem\n"), r"\?\[31mos.system"
    yield (
        "another way to call",
        _pickle(b"(S'touch /tmp/x'\nios\nsystem\n"),
        "not a readable|refused",
    )


def _tensor(key: str, count: int, name: str, kind: str = "Float") -> bytes:
    """A part of a pickle: a tensor of two values of a storage, by name."""
    storage = (
        _text("storage") + b"ctorch\n" + kind.encode() + b"Storage\n" + _text(key) + _text("cpu")
    )
    body = (
        _text(name)
        + b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + storage
        + b"J"
        + struct.pack("<i", count)
        + b"tQ"
    )
    return body + b"K\x00(K\x02t(K\x01t\x89}tR"


def _torch(pickled: bytes, members: dict[str, bytes]) -> bytes:
    return zip_of({"a/data.pkl": pickled, "a/version": b"3\n", **members})


def _torches() -> Iterator[tuple[str, bytes, str]]:
    values = {"a/data/0": bytes(4 * _MB)}
    for kind, count in (("Float", _MB), ("BFloat16", 2 * _MB)):
        many = (
            b"\x80\x02}("
            + b"".join(_tensor("0", count, f"w{i}", kind) for i in range(1500))
            + b"u."
        )
        yield f"a {kind} storage of many", _torch(many, values), ""
    apart = (
        b"\x80\x02}("
        + b"".join(_tensor("0", count, f"w{count}") for count in range(2, 1500))
        + b"u."
    )
    yield (
        "a storage of many sizes",
        _torch(apart, {"a/data/0": bytes(100)}),
        "storages are cut short",
    )
    key = (
        _DOUBLED_LIST
        + b"0("
        + _text("storage")
        + b"ctorch\nFloatStorage\nh\x01"
        + _text("cpu")
        + b"K\x02tQ"
    )
    yield "a key of a storage that doubles", _torch(_pickle(key), values), "no plain storage"
    yield (
        "an identity that doubles",
        _torch(_pickle(_DOUBLED_TUPLE + b"Q"), values),
        "not a readable|refused",
    )
    yield (
        "a table of contents",
        zip_of({f"{i:0200d}": b"" for i in range(12_000)}),
        "table of contents",
    )
    yield "many members", zip_of({f"{i}": b"" for i in range(20_001)}), "20001 members"


def _lying_zip(size: int) -> bytes:
    """An archive whose table says another size than its member has."""
    content = bytearray(zip_of({"w.npy": bytes(100)}))
    table = content.rindex(b"PK\x01\x02")
    content[table + 24 : table + 28] = struct.pack("<I", size)
    return bytes(content)


def _npy(shape: str, descr: str = "'<f4'", size: int = 16) -> bytes:
    header = (
        f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode()
        + b"\n"
    )
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(size)


def _npzs() -> Iterator[tuple[str, bytes, str]]:
    shapes = {"huge": "(1000000000000,)", "large": "(500000000,)", "too small": "(2,)"}
    for name, shape in {**shapes, "negative": "(-4,)", "twice negative": "(-1, -4)"}.items():
        yield f"a {name} shape", zip_of({"w.npy": _npy(shape)}), "no array of numbers"
    for name, descr in (
        ("objects", "'|O'"),
        ("fields", "[('a', '<f4')]"),
        ("nothing", "'|V0'"),
        ("text", "'<U4'"),
    ):
        yield f"values of {name}", zip_of({"w.npy": _npy("(4,)", descr)}), "no array of numbers"
    pickled = _npy("(1,)", "'|O'", 0) + pickle.dumps([print], 2)
    yield "pickled objects", zip_of({"w.npy": pickled}), "no array of numbers"
    for name, method in (("bzip2", zipfile.ZIP_BZIP2), ("lzma", zipfile.ZIP_LZMA)):
        yield (
            f"a bomb of {name}",
            zip_of({"w.npy": bytes(_MB)}, method),
            "of a kind that is not read",
        )
    yield (
        "a deflated bomb",
        zip_of({"w.npy": bytes(64 * _MB)}, zipfile.ZIP_DEFLATED),
        "says that it unpacks to",
    )
    yield "a table that lies", _lying_zip(0xFFFFFFF0), "says that it unpacks to"
    yield (
        "paths that lead out",
        zip_of({"../../w.npy": _npy("(4,)"), "/etc/w.npy": _npy("(4,)")}),
        "",
    )


def _safetensors(header: object, size: int = 16, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(size)


def _tensors() -> Iterator[tuple[str, bytes, str]]:
    def one(shape, begin=0, end=16, dtype="F32"):
        return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}

    yield (
        "a header of exabytes",
        _safetensors(b"{}", length=1 << 60),
        "a header of 1152921504606846976",
    )
    yield "a header of more than the file", _safetensors(b"{}", length=40), "a header of 40"
    yield "a header of megabytes", _safetensors(b"{" + b" " * (9 * _MB) + b"}", 0), "a header of"
    for name, header in {
        "overlapping offsets": {"a": one([4]), "b": one([2], 8, 16)},
        "a shape of more": {"a": one([5])},
        "a shape of exabytes": {"a": one([1 << 60])},
        "a shape that wraps round": {"a": one([1 << 32, 1 << 32, 4])},
        "a negative shape": {"a": one([-4])},
        "a fraction of a shape": {"a": one([4.5])},
        "offsets beyond the end": {"a": one([400], 0, 1600)},
        "offsets that run back": {"a": one([4], 16, 0)},
        "a hole": {"a": one([2], 0, 8)},
        "another dtype": {"a": one([4], dtype="F64")},
        "a dtype that is none": {"a": one([4], dtype="O")},
        "a list": [1],
        "numbers for text": {"__metadata__": {"a": 1}, "a": one([4])},
    }.items():
        yield name, _safetensors(header), "not a readable safetensors file"
    yield "a deep header", _safetensors(b"[" * 200_000), "not a readable safetensors file"


def _own(change: dict | None = None, config: object = None, classes: object = ("a", "b")) -> bytes:
    """Weights of this project with another config."""
    config = stored_config(**change or {}).to_dict() if config is None else config
    own = {"format": 1, "model": "vit_n_2", "classes": classes, "config": config}
    tensor = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    return _safetensors(
        {"__metadata__": {"rdrop": own if isinstance(own, str) else json.dumps(own)}, "a": tensor}
    )


def _owns() -> Iterator[tuple[str, bytes, str]]:
    yield "a head of gigabytes", _own({"model.num_classes": 10**9}), "expected the 2 classes"
    yield "an image of a million pixels a side", _own({"model.image_size": 10**6}), "out of range"
    yield "a config that is code", _own(config="__import__('os').system('true')"), "not an object"
    yield "an unknown field", _own(config={"__class__": {"a": 1}}), "does not know"
    yield "a dotted field", _own(config={"model.name": "x"}), "not readable"
    yield (
        "a deep field",
        _own(config={"model": json.loads("[" * 300 + "]" * 300)}),
        "no group of fields",
    )
    yield (
        "a deep group",
        _own(config={"a": json.loads('{"a":' * 300 + "1" + "}" * 300)}),
        "does not know",
    )
    yield "a number of many digits", _own(config={"optim": {"lr": 10**400}}), "expected such as"
    yield "a number that is none", _own(config={"optim": {"lr": float("nan")}}), "expected such as"
    yield (
        "an endless number",
        _own(config={"data": {"eval_crop": float("inf")}}),
        "expected such as",
    )
    yield (
        "a long tuple",
        _own(config={"rdrop": {"drop_rates": ["x"] * 100_000}}),
        "expected such as",
    )
    yield "classes that are none", _own(classes=[1, 2]), "not a list of names"
    deep = {"__metadata__": {"rdrop": "[" * 100_000}}
    yield "deep metadata", _safetensors(deep, 0), "metadata is not readable|holds no arrays"


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def _png(width: int, height: int, *chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"".join(
        [
            _chunk(b"IHDR", header),
            *chunks,
            _chunk(b"IDAT", zlib.compress(bytes(99))),
            _chunk(b"IEND", b""),
        ]
    )
    return b"\x89PNG\r\n\x1a\n" + body


def _images() -> Iterator[tuple[str, str, bytes, str]]:
    for width, height in (
        (30_000, 30_000),
        (2**31 - 1, 2**31 - 1),
        (12_000, 12_000),
        (1, 80_000_000),
        (4, 4000),
    ):
        yield f"{width} x {height} pixels", "image.png", _png(width, height), "not a readable image"
    squeezed = zlib.compress(bytes(100 * _MB), 1)
    yield (
        "a text of 100 MB",
        "image.png",
        _png(9, 9, _chunk(b"zTXt", b"a\0\0" + squeezed)),
        "not a readable image",
    )
    yield (
        "a profile of 100 MB",
        "image.png",
        _png(9, 9, _chunk(b"iCCP", b"a\0\0" + squeezed)),
        "not a readable image",
    )
    yield (
        "chunks of gigabytes",
        "image.png",
        _png(9, 9, struct.pack(">I", 2**31 - 1) + b"tEXt"),
        "not a readable image",
    )
    yield (
        "PostScript",
        "image.png",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) print\n",
        "not a readable image",
    )
    yield (
        "a grid of floats",
        "image.ppm",
        b"Pf\n30000 30000\n-1.0\n" + bytes(99),
        "not a readable image",
    )
    frame = b",\0\0\0\0" + struct.pack("<HH", 65535, 65535) + b"\0\x02\x02L\x01\0;"
    yield (
        "a large frame",
        "image.gif",
        b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff" + frame,
        "not a readable image",
    )
    tags = [
        (256, 4, 1, 60_000),
        (257, 4, 1, 60_000),
        (258, 3, 1, 8),
        (259, 3, 1, 8),
        (262, 3, 1, 1),
        (273, 4, 1, 0),
    ]
    tags += [(277, 3, 1, 1), (278, 4, 1, 60_000), (279, 4, 2**31 - 1, 8)]
    table = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    yield (
        "tags of gigabytes",
        "image.tif",
        b"II*\0\x08\0\0\0" + table + bytes(4),
        "not a readable image",
    )
    other = io.BytesIO()
    Image.new("RGB", (9, 9)).save(other, "PCX")
    yield (
        "a format that data sets do not have",
        "image.png",
        other.getvalue(),
        "not a readable image",
    )
    yield "nothing", "image.jpg", b"", "not a readable image"


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


def _tars() -> Iterator[tuple[str, bytes, str]]:
    good = cifar_members()
    for name in ("../cifar-100-python/train", "/cifar-100-python/train"):
        moved = {name if key.endswith("train") else key: value for key, value in good.items()}
        yield f"a member {name}", tar_of(moved), "train is not in the archive"
    kinds = {
        "link": tarfile.SYMTYPE,
        "hard link": tarfile.LNKTYPE,
        "device": tarfile.CHRTYPE,
        "pipe": tarfile.FIFOTYPE,
    }
    for name, kind in kinds.items():
        odd = {
            **good,
            "cifar-100-python/train": _header("cifar-100-python/train", kind, link="/etc/passwd"),
        }
        yield f"a {name}", tar_of(odd), "train is not in the archive"
    large = _header("cifar-100-python/train", size=500 * _MB)
    yield (
        "a member of 500 MB",
        large.tobuf() + bytes(10_240),
        "too many for CIFAR|not a readable tar",
    )
    text = _header("x", tarfile.GNUTYPE_LONGNAME, 1500 * _MB)
    yield (
        "a name of gigabytes",
        gzip.compress(text.tobuf() + bytes(64 * _MB), 1),
        "a header of 1572864000 bytes",
    )
    for kind in (
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGLINK,
    ):
        text = _header("x", kind, 1 << 20)
        packed = gzip.compress(text.tobuf() + bytes(4 * _MB), 1)
        yield f"a header {kind!r} of a megabyte", packed, "a header of 1048576 bytes"
    for kind in (
        tarfile.GNUTYPE_LONGNAME,
        tarfile.XHDTYPE,
    ):  # of two headers, only the first is looked at by itself
        text = (
            _header("x", tarfile.GNUTYPE_LONGNAME, 100).tobuf()
            + bytes(512)
            + _header("x", kind, 1 << 20).tobuf()
        )
        yield (
            f"a header {kind!r} behind another",
            gzip.compress(text + bytes(4 * _MB), 1),
            "a header of 1048576 bytes",
        )
    yield (
        "a file of zeros that is not there",
        _sparse("cifar-100-python/train", 399 * _MB),
        "is a sparse file",
    )
    back = bytearray(_header("x").tobuf())
    back[124:136] = b"\xff" * 11 + b"\x00"
    yield "a negative size", bytes(back) + bytes(10_240), "not a readable tar|is not in the archive"
    yield "many members", gzip.compress(_header("x").tobuf() * 3000), "more than 1000 members"
    doubled = _pickle(
        b"}(" + b"C\x06labels" + b"N" + b"C\x0bfine_labels" + _DOUBLED_LIST + b"C\x04datah\x01u"
    )
    yield (
        "labels that double",
        tar_of({**good, "cifar-100-python/train": doubled}),
        "not in CIFAR's official format",
    )
    code = pickle.dumps({b"data": print}, 2)
    yield "a call", tar_of({**good, "cifar-100-python/train": code}), "refused"
    short = pickle.dumps({b"data": np.zeros((0, 3072), np.uint8), b"fine_labels": []}, 2)
    yield "no images", tar_of({**good, "cifar-100-python/train": short}), "has no images"


def _zips() -> Iterator[tuple[str, bytes, str]]:
    good, root = tiny_members(), "tiny-imagenet-200/"
    for name, method in (("bzip2", zipfile.ZIP_BZIP2), ("lzma", zipfile.ZIP_LZMA)):
        yield f"a bomb of {name}", zip_of(good, method), "of a kind that is not read"
    yield (
        "a file of 64 MB",
        zip_of({**good, f"{root}wnids.txt": bytes(64 * _MB)}, zipfile.ZIP_DEFLATED),
        "too large",
    )
    image = f"{root}train/n01/images/n01_0.PNG"
    yield (
        "an image of gigabytes",
        zip_of({**good, image: _png(30_000, 30_000)}),
        "not a readable image",
    )
    yield (
        "another size",
        zip_of({**good, image: _png(9, 3)}),
        "expected 64 x 64|not a readable image",
    )
    for lines in (b"../../../../etc/passwd\tn01\n", b"/etc/passwd\tn01\n"):
        yield (
            f"a path {lines[:9]}",
            zip_of({**good, f"{root}val/val_annotations.txt": lines}),
            "can't read",
        )
    yield (
        "a line without a class",
        zip_of({**good, f"{root}val/val_annotations.txt": b"x" * _MB}),
        "not readable",
    )
    yield "no text", zip_of({**good, f"{root}wnids.txt": b"\xff\xfe"}), "not readable"
    yield (
        "a line of a megabyte",
        zip_of({**good, f"{root}wnids.txt": b"n" * _MB}),
        "lists 1 classes",
    )
    locked = bytearray(zip_of(good))
    for place in (at for at in range(len(locked)) if locked[at : at + 4] == b"PK\x01\x02"):
        locked[place + 8] |= 1
    yield "a password", bytes(locked), "of a kind that is not read"


def _texts() -> Iterator[tuple[str, str, bytes, str]]:
    files = ("config.json", "result.json", "stages.json", "pretrained.json", "manifest.json")
    for file in files:
        yield "deep", file, b"[" * 500_000, "not readable"
        yield "2 MB", file, b'"' + b"a" * (2 * _MB) + b'"', "too many"
        yield (
            "many digits",
            file,
            b"[" + b"1" * 100_000 + b"]",
            "not readable|is not|not a whole|^$",
        )
        yield "no text", file, b"\xff\xff", "not readable"
    for content in (b"[]", b"{}", b'{"top1": "x"}', b"3"):
        yield f"{content}", "result.json", content, "is not the result of a run"
    for name in (
        "../../../../etc/passwd",
        "/etc/passwd",
        "/dev/zero",
        "a" * 5000,
        "progress.json/../x",
    ):
        yield (
            f"a file {name[:30]}",
            "manifest.json",
            json.dumps({name: "0" * 64}).encode(),
            "does not name its files",
        )
    needed = {key: [[1]] for key in ["model.safetensors", "optimizer.safetensors", "progress.json"]}
    yield (
        "sums that are none",
        "manifest.json",
        json.dumps(needed).encode(),
        "differs from its checksum",
    )
    for content in (
        b"[]",
        b"{}",
        b'{"step": 3}',
        b'{"step": 2, "best_step": "x"}',
        b'{"step": 2, "seconds": NaN}',
    ):
        yield f"{content}", "progress.json", content, "not a whole checkpoint"
    yield "20 MB", "progress.json", b" " * (20 * _MB), "too many"
    yield (
        "a header of exabytes",
        "model.safetensors",
        _safetensors(b"{}", length=1 << 60),
        "not a readable",
    )
    yield "65 MB", "metrics.jsonl", b"\n" * (65 * _MB), "too many"
    for content in (
        b"[" * 500_000,
        b"[]\n",
        b'{"step": "x"}\n',
        b'{"step": 1, "split": "a%b\\u001b"}',
        b"1" * 9999,
    ):
        yield f"{content[:30]}", "metrics.jsonl", content, ""


def _named(
    file: str, made: Callable[[], Iterator[tuple[str, bytes, str]]]
) -> Callable[[], Iterator[tuple]]:
    return lambda: ((name, file, content, message) for name, content, message in made())


FILES: dict[str, Callable[[], Iterator[tuple[str, str, bytes, str]]]] = {
    "pickles": _named("w.pdparams", _pickles),
    "torch": _named("zip.pth", _torches),
    "npz": _named("w.npz", _npzs),
    "safetensors": _named("w.safetensors", _tensors),
    "metadata": _named("own.safetensors", _owns),
    "tar": _named("cifar-100-python.tar.gz", _tars),
    "zip": _named("tiny-imagenet-200.zip", _zips),
    "images": _images,
    "run": _texts,
}
