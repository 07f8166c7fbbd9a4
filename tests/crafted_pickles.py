"""Pickles that a hostile author would write, alone and inside PyTorch's files.

Each function yields a name, the bytes of the file, and what is said of it.
"""

import pickle
import struct
from collections.abc import Iterator

from crafted_pieces import DOUBLED_LIST, DOUBLED_TUPLE, MB, pickled, text
from hostile import zip_of

_A = text("a")
_ZEROS = b"B" + struct.pack("<I", MB) + bytes(MB)  # a megabyte of bytes
_LIST = b"]q\x01(" + b"K\x00" * 100_000 + b"e0"  # a list of 100,000, in memo 1
_TUPLE, _ORDERED = b"c__builtin__\ntuple\nq\x02", b"ccollections\nOrderedDict\nq\x02"
_RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
_SWAPPED = b"(K\x03" + text(">") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
_BIG = b"cnumpy\ndtype\n" + text("f4") + b"\x85R" + _SWAPPED  # the dtype of another machine


def _shared_arrays(count: int) -> bytes:
    """Arrays of the same bytes, which are in the order of another machine."""
    begin = _ZEROS + b"q\x030" + _BIG + b"q\x040"
    one = _RECONSTRUCT + b"(K\x01" + b"J" + struct.pack("<i", MB // 4) + b"\x85h\x04\x89h\x03tb"
    return begin + b"](" + one * count + b"e"


def _promised(opcode: bytes, size: int) -> bytes:
    """A value that is said to have `size` bytes, of which one comes."""
    return pickled(opcode + struct.pack("<Q", size) + b"x")


def pickles() -> Iterator[tuple[str, bytes, str]]:
    """Pickles as `.pdparams` files."""
    yield "a memo of gigabytes", pickled(b"Nr" + struct.pack("<I", 0x7FFFFFFF)), "holds a NoneType"
    yield "a frame of exabytes", pickled(b"\x95" + struct.pack("<Q", 1 << 60)), "not a readable"
    yield "bytes that do not come", _promised(b"\x8e", 1 << 34), "not a readable"
    yield "a bytearray that does not come", _promised(b"\x96", 3 << 30), "not a readable"
    yield "text that does not come", _promised(b"\x8d", 1 << 34), "not a readable"
    tuples = _LIST + _TUPLE + b"h\x01\x85R" + b"h\x02h\x01\x85R" * 2000
    yield "copies of a tuple", pickled(tuples), "makes a tuple"
    pairs = b"]q\x01(" + b"K\x01N\x86" * 3000 + b"e0"
    copies = pickled(pairs + _ORDERED + b"](" + b"h\x02h\x01\x85R" * 3000 + b"e")
    yield "copies of a dict", copies, "far more of its content"
    encode = b"c_codecs\nencode\nq\x020" + text(b"a" * MB) + b"q\x01" + text("latin1") + b"q\x03"
    texts = encode + b"](" + b"h\x02h\x01h\x03\x86R" * 5000 + b"e"
    yield "copies of text", pickled(texts), "far more of its content"
    yield "arrays that share bytes", pickled(_shared_arrays(4000)), "far more of its content"
    states = _LIST + b"cnumpy\nndarray\n0" + b"](" + (_RECONSTRUCT + b"h\x01b") * 2000 + b"e"
    yield "copies of a state", pickled(states), "far more of its content"
    yield "a key that is deep", pickled(b"})" + b"\x85" * 150_000 + b"Ns"), "a key that is neither"
    yield "a key that doubles", pickled(b"}" + DOUBLED_TUPLE + b"Ns"), "a key that is neither"
    members = b"\x8f(" + DOUBLED_TUPLE + b"\x90"
    yield "a set that doubles", pickled(members), "a key that is neither"
    dtype = DOUBLED_LIST + b"cnumpy\ndtype\nh\x01\x85R"
    yield "a dtype that doubles", pickled(dtype), "whole pickled object"
    shape = _RECONSTRUCT + b"(K\x01" + DOUBLED_TUPLE + _BIG + b"\x89C\x04abcdtb"
    yield "a shape that doubles", pickled(shape), "a single array"
    yield "millions of sets", pickled(b"\x8f" * 200_100), "more than 200000 steps"
    yield "a deep list", pickled(b"]" * 50_000 + b"a" * 49_999), "holds a list"
    yield "a name of megabytes", pickled(b"c" + b"a" * MB + b"\nb\n"), "whole pickled object"
    yield "escape codes", pickled(b"c\x1b[31mos\nsystem\n"), r"\?\[31mos.system"
    yield from _stand_ins()
    other = b"(S'touch /tmp/x'\nios\nsystem\n"
    yield "another way to call", pickled(other), "not a readable|refused"


def _stand_ins() -> Iterator[tuple[str, bytes, str]]:
    """Classes that are not known, which become inert, and what is done to them."""
    many = pickled(b"".join(b"ca\n%d\n0" % number for number in range(60_000)) + b"N")
    yield "classes of many names", many, "more than 50000 classes"
    kind = b"ca\nb\nq\x02"
    calls = _LIST + kind + b"](" + b"h\x02h\x01\x85R" * 2000 + b"e"
    yield "calls of a stand-in", pickled(calls), "far more of its content"
    made = _LIST + kind + b"](" + b"h\x02h\x01\x85\x81" * 2000 + b"e"
    yield "objects of a stand-in", pickled(made), "far more of its content"
    named = _LIST + kind + b"](" + b"h\x02h\x01\x85}\x92" * 2000 + b"e"
    yield "objects with named arguments", pickled(named), "far more of its content"
    filled = kind + b"(" + (_A + b"K\x01") * 50_000 + b"u(" + _A * 50_000 + b"e}" + b"b"
    yield "a stand-in that is filled", pickled(filled), "whole pickled object"
    array = text("w") + _RECONSTRUCT + b"(K\x01K\x01\x85" + _BIG + b"\x89C\x04abcdtb"
    arguments = text("args") + b"cposix\nsystem\n" + text("touch /tmp/x") + b"\x85R"
    yield "a call next to weights", pickled(b"}(" + array + arguments + b"u"), "asks to run posix"
    beside = text("args") + b"cbuiltins\neval\n" + text("1") + b"\x85R"
    yield "an expression", pickled(b"}(" + array + beside + b"u"), "asks to run builtins.eval"
    beside = text("args") + b"cpathlib\nPath\n" + text("/tmp/x") + b"\x85R"
    yield "a path next to weights", pickled(b"}(" + array + beside + b"u"), ""
    yield from _tensors_within()


def _tensors_within() -> Iterator[tuple[str, bytes, str]]:
    """Storages that are files of PyTorch within a pickle."""
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))

    def whole(count: int, size: int) -> bytes:
        storage = b"\x80\x02(" + _storage(text("0")) + b"\x8a\x08" + struct.pack("<q", count)
        keys = pickle.dumps(["0"], 2) + struct.pack("<q", count)
        return head + storage + b"tQ." + keys + bytes(size)

    def tensor(content: bytes, count: int) -> bytes:
        packed = b"B" + struct.pack("<I", len(content)) + content + b"q\x04"
        storage = b"ctorch.storage\n_load_from_bytes\nq\x05" + packed + b"\x85R"
        shape = b"(J" + struct.pack("<i", count) + b"t"
        rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n("
        return rebuild + storage + b"K\x00" + shape + b"(K\x01t\x89}tR"

    one = text("w") + tensor(whole(2, 8), 2)
    yield "a tensor within", pickled(b"}" + one + b"s"), ""
    yield (
        "a tensor that is cut",
        pickled(b"}" + text("w") + tensor(whole(2, 7), 2) + b"s"),
        "cut short",
    )
    huge = tensor(whole(1 << 40, 8), 2)
    yield "a tensor of terabytes", pickled(b"}" + text("w") + huge + b"s"), "cut short"
    again = b"](" + tensor(whole(MB // 4, MB), 2) + b"h\x05h\x04\x85R" * 4000 + b"e"
    yield "a tensor that repeats", pickled(again), "far more of its content"


def _storage(key: bytes, kind: bytes = b"Float") -> bytes:
    return text("storage") + b"ctorch\n" + kind + b"Storage\n" + key + text("cpu")


def _tensor(count: int, name: str, kind: bytes = b"Float") -> bytes:
    """A part of a pickle: by name, a tensor of two values of storage 0, which has `count`."""
    body = text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n((" + _storage(text("0"), kind)
    return body + b"J" + struct.pack("<i", count) + b"tQ" + b"K\x00(K\x02t(K\x01t\x89}tR"


def _typed(size: int, name: str, dtype: bytes) -> bytes:
    """As `_tensor`, of a storage of bytes and a tensor that names its type."""
    storage = text("storage") + b"ctorch.storage\nUntypedStorage\n" + text("0") + text("cpu")
    body = text(name) + b"ctorch._utils\n_rebuild_tensor_v3\n((" + storage
    body += b"J" + struct.pack("<i", size) + b"tQ" + b"K\x00(K\x02t(K\x01t\x89}"
    return body + b"ctorch\n" + dtype + b"\ntR"


def _torch(content: bytes, members: dict[str, bytes]) -> bytes:
    return zip_of({"a/data.pkl": content, "a/version": b"3\n", **members})


def _dict(tensors: Iterator[bytes]) -> bytes:
    return b"\x80\x02}(" + b"".join(tensors) + b"u."


def torches() -> Iterator[tuple[str, bytes, str]]:
    """PyTorch's zip archives."""
    values = {"a/data/0": bytes(4 * MB)}
    for kind, count in (("Float", MB), ("BFloat16", 2 * MB)):
        many = _dict(_tensor(count, f"w{i}", kind.encode()) for i in range(1500))
        yield f"a {kind} storage of many", _torch(many, values), ""
    apart = _dict(_tensor(count, f"w{count}") for count in range(2, 1500))
    few = {"a/data/0": bytes(100)}
    yield "a storage of many sizes", _torch(apart, few), "cut short, or damaged"
    types = [
        "float8_e4m3fn",
        "float8_e5m2",
        "float8_e4m3fnuz",
        "float8_e5m2fnuz",
        "bfloat16",
        "float16",
    ]
    every = _dict(_typed(4 * MB, f"{t}{i}", t.encode()) for i in range(9) for t in types)
    yield "a storage of many types", _torch(every, values), ""
    key = DOUBLED_LIST + b"0(" + _storage(b"h\x01") + b"K\x02tQ"
    yield "a key of a storage that doubles", _torch(pickled(key), values), "no plain storage"
    identity = pickled(DOUBLED_TUPLE + b"Q")
    yield "an identity that doubles", _torch(identity, values), "not a readable|refused"
    long_names = {f"{i:0200d}": b"" for i in range(12_000)}
    yield "a table of contents", zip_of(long_names), "table of contents"
    yield "many members", zip_of({f"{i}": b"" for i in range(20_001)}), "20001 members"
