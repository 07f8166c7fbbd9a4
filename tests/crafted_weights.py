"""Weights files without pickles that a hostile author would write: numpy's and safetensors.

Each function yields a name, the bytes of the file, and what is said of it.
"""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Iterator

from crafted_pieces import MB, safetensors
from hostile import stored_config, zip_of

_UNREADABLE = "not a readable safetensors file"


def _lying_zip(size: int) -> bytes:
    """An archive whose table states another size than its member has."""
    content = bytearray(zip_of({"w.npy": bytes(100)}))
    table = content.rindex(b"PK\x01\x02")
    content[table + 24 : table + 28] = struct.pack("<I", size)
    return bytes(content)


def _npy(shape: str, descr: str = "'<f4'", size: int = 16) -> bytes:
    fields = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    header = fields.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(size)


def npzs() -> Iterator[tuple[str, bytes, str]]:
    """Archives of numpy."""
    shapes = {"huge": "(1000000000000,)", "large": "(500000000,)", "too small": "(2,)"}
    for name, shape in {**shapes, "negative": "(-4,)", "twice negative": "(-1, -4)"}.items():
        yield f"a {name} shape", zip_of({"w.npy": _npy(shape)}), "no array of numbers"
    types = {"objects": "'|O'", "fields": "[('a', '<f4')]", "nothing": "'|V0'", "text": "'<U4'"}
    for name, descr in types.items():
        yield f"values of {name}", zip_of({"w.npy": _npy("(4,)", descr)}), "no array of numbers"
    pickled = _npy("(1,)", "'|O'", 0) + pickle.dumps([print], 2)
    yield "pickled objects", zip_of({"w.npy": pickled}), "no array of numbers"
    for name, method in (("bzip2", zipfile.ZIP_BZIP2), ("lzma", zipfile.ZIP_LZMA)):
        bomb = zip_of({"w.npy": bytes(MB)}, method)
        yield f"a bomb of {name}", bomb, "of a kind that is not read"
    bomb = zip_of({"w.npy": bytes(64 * MB)}, zipfile.ZIP_DEFLATED)
    yield "a deflated bomb", bomb, "says that it unpacks to"
    yield "a table that lies", _lying_zip(0xFFFFFFF0), "says that it unpacks to"
    outside = zip_of({"../../w.npy": _npy("(4,)"), "/etc/w.npy": _npy("(4,)")})
    yield "paths that lead out", outside, ""


def tensors() -> Iterator[tuple[str, bytes, str]]:
    """Files of safetensors."""

    def one(shape, begin=0, end=16, dtype="F32"):
        return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}

    exabytes = safetensors(b"{}", length=1 << 60)
    yield "a header of exabytes", exabytes, "a header of 1152921504606846976"
    yield "a header of more than the file", safetensors(b"{}", length=40), "a header of 40"
    yield "a header of megabytes", safetensors(b"{" + b" " * (9 * MB) + b"}", 0), "a header of"
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
        "numbers for text": {"__metadata__": {"a": 1}, "a": one([4])},
    }.items():
        yield name, safetensors(header), _UNREADABLE
    yield "a list", safetensors([1]), "of no kind that is known"
    yield "a deep header", safetensors(b"[" * 200_000), "of no kind that is known"
    yield "a deep header in braces", safetensors(b'{"a":' * 200_000), _UNREADABLE
    quantised = safetensors({"a": one([4], dtype="F8_E8M0")})
    yield "values that make sense with scales only", quantised, "quantised"


def _own(change: dict | None = None, config: object = None, classes: object = ("a", "b")) -> bytes:
    """Weights of this project with another config."""
    config = stored_config(**change or {}).to_dict() if config is None else config
    own = {"format": 1, "model": "vit_n_2", "classes": classes, "config": config}
    tensor = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    return safetensors({"__metadata__": {"rdrop": json.dumps(own)}, "a": tensor})


def owns() -> Iterator[tuple[str, bytes, str]]:
    """Files of safetensors with this project's metadata."""
    yield "a head of gigabytes", _own({"model.num_classes": 10**9}), "expected the 2 classes"
    yield "an image of a million pixels a side", _own({"model.image_size": 10**6}), "out of range"
    yield "a config that is code", _own(config="__import__('os').system('true')"), "not an object"
    yield "an unknown field", _own(config={"__class__": {"a": 1}}), "does not know"
    yield "a dotted field", _own(config={"model.name": "x"}), "not readable"
    nested = {"model": json.loads("[" * 300 + "]" * 300)}
    yield "a deep field", _own(config=nested), "no group of fields"
    nested = {"a": json.loads('{"a":' * 300 + "1" + "}" * 300)}
    yield "a deep group", _own(config=nested), "does not know"
    yield "a number of many digits", _own(config={"optim": {"lr": 10**400}}), "expected such as"
    yield "a number that is none", _own(config={"optim": {"lr": float("nan")}}), "expected such as"
    endless = {"data": {"eval_crop": float("inf")}}
    yield "an endless number", _own(config=endless), "expected such as"
    rates = {"rdrop": {"drop_rates": ["x"] * 100_000}}
    yield "a long tuple", _own(config=rates), "expected such as"
    yield "classes that are none", _own(classes=[1, 2]), "not a list of names"
    deep = {"__metadata__": {"rdrop": "[" * 100_000}}
    yield "deep metadata", safetensors(deep, 0), "metadata is not readable|holds no arrays"
