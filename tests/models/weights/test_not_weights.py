"""What is not weights is refused by what it is, with what to do, whatever its ending."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save

from common.errors import UserError
from models.weights.formats.stored import read_stored


def _zip(*names: str, content: bytes = b"x") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return file.getvalue()


def _tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model/vit.pth"))
    return file.getvalue()


_LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 346284714\n"
_FILES = {
    "empty": (b"", "it is empty"),
    "lfs": (_LFS.encode(), "Git LFS pointer to a file of 346284714 bytes; run `git lfs pull`"),
    "html": (b"<!DOCTYPE html>\n<html><title>Sign in</title>", r"web page \(HTML\): .Sign in.;"),
    "html without a type": (b"\n <html lang='en'><body>", "web page"),
    "html with a mark": (b"\xef\xbb\xbf<!doctype html><p>", "web page"),
    "html of windows": ("<html><title>Proxy</title>".encode("utf-16"), "web page.*Proxy"),
    "lz4": (b"\x04\x22\x4d\x18" + bytes(100), "compressed by lz4"),
    "lzma": (lzma.compress(b"x" * 100, lzma.FORMAT_ALONE), "compressed by lzma"),
    "few bytes": (b"\x48\x12\0\0", "cut short: it has 4 bytes; get the file again"),
    "xml": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "XML.*AccessDenied"),
    "xml without a head": (b"<Error><Message>Gone</Message></Error>", "XML.*Gone"),
    "error": (b'{"error":"Repository not found","code":404}', "JSON: .Repository not found"),
    "detail": (b'{"detail": "Not allowed"}', "JSON: .Not allowed"),
    "json": (b'{"depth": 4, "width": 48}', "JSON: .depth, width"),
    "config": (b'{"architectures": ["ViT"], "depth": 4}', "config of a model .*give its folder"),
    "pretty json": (json.dumps({"a": 1, "b": [2]}, indent=4).encode(), "JSON: .a, b"),
    "list": (b"[1, 2]", "JSON"),
    "program of paddle in json": (b'{"base_code": {"magic": "pir"}}', "Paddle's program"),
    "text": (b"hello world", "a text: .hello world"),
    "text of china": ("模型权重".encode(), "a text: .模型权重"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5 file, of Keras"),
    "gguf": (b"GGUF\x03\0\0\0" + bytes(100), "GGUF.*get the original weights"),
    "flax": (b"\x82\xa6params\x81\xa8vit/head" + bytes(100), "Flax's msgpack"),
    "onnx": (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:" + bytes(100), "ONNX"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(100), "TensorFlow Lite"),
    "pdiparams": (
        bytes(16) + b"\x0a\0\0\0\x08\x05\x10\x30\x10\x90\x01" + bytes(100),
        r"Paddle's parameters.*give the \.pdparams",
    ),
    "pdmodel": (
        b"\x0a\xfa\x92\x01\x08\x00\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a",
        "Paddle's program",
    ),
    "npy": (b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'}", "a single array of numpy"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(99), "an image"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(99), "an image"),
    "gzip": (gzip.compress(b"x" * 99), "compressed by gzip; unpack it"),
    "tar.gz": (gzip.compress(_tar()), "compressed by gzip, a tar archive; unpack it"),
    "bzip2": (bz2.compress(b"x"), "compressed by bzip2; unpack it"),
    "xz": (lzma.compress(b"x"), "compressed by xz; unpack it"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4" + bytes(99), "7z archive; unpack it"),
    "rar": (b"Rar!\x1a\x07\x01\0" + bytes(99), "RAR archive; unpack it"),
    "tar": (_tar(), "tar archive with model/vit.pth; unpack it"),
    "zip": (_zip("README.md", "w/vit.pth"), "zip archive with README.md, w/vit.pth.*unpack it"),
    "empty zip": (_zip(), "zip archive with nothing"),
    "torchscript": (_zip("a/data.pkl", "a/code/b.py", "a/constants.pkl"), "TorchScript"),
    "pt2": (_zip("a/archive_format", "a/models/model.json"), "torch.export"),
    "keras": (_zip("config.json", "model.weights.h5"), "a model of Keras"),
    "zeros": (bytes(5000), "zero bytes at its beginning"),
    "nothing known": (b"\x01\x02\x03\x99" * 9, "of no kind that is known"),
}


@pytest.mark.parametrize("ending", [".safetensors", ".pth", ".pdparams", ".npz", ""])
@pytest.mark.parametrize("kind", _FILES)
def test_it_is_named(tmp_path, kind, ending):
    content, words = _FILES[kind]
    path = tmp_path / f"given{ending}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"given{ending}: .*{words}") as caught:
        read_stored(path)
    assert "Error" not in str(caught.value).replace("server's error", "")


def test_a_link_whose_file_is_gone(tmp_path):
    (tmp_path / "model.safetensors").symlink_to("../../blobs/abc")
    for path in (tmp_path, tmp_path / "model.safetensors"):
        with pytest.raises(UserError, match=r"link to a file that is not there \(../../blobs/abc"):
            read_stored(path)


def test_a_checkpoint_of_tensorflow(tmp_path):
    table = bytes(range(1, 200)) + struct.pack("<Q", 0xDB4775248B80FB57)
    (tmp_path / "model.ckpt.index").write_bytes(b"\0\0\1" + table)
    (tmp_path / "model.ckpt.data-00000-of-00001").write_bytes(b"\x99\x01\x02" * 99)
    for path, words in zip(sorted(tmp_path.iterdir()), ("a part of", "the index of")):
        with pytest.raises(UserError, match=f"{words} a TensorFlow checkpoint"):
            read_stored(path)


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_how_much_is_there_and_how_much_should_be(tmp_path, share):
    whole = save({"w": np.ones(1000, np.float32)})
    cut = whole[: int(share * len(whole))]
    (tmp_path / "w.bin").write_bytes(cut)
    with pytest.raises(UserError, match=f"cut short: it has {len(cut)} of {len(whole)} bytes"):
        read_stored(tmp_path / "w.bin")


def test_a_wrong_ending_is_said(tmp_path):
    (tmp_path / "w.pth").write_bytes(save({"w": np.ones(3, np.float32)}))
    stored = read_stored(tmp_path / "w.pth")
    assert stored.said == ("its contents are safetensors, whatever its ending .pth says",)
    for name in ("w.safetensors", "w.unknown", "w"):
        (tmp_path / "w.pth").rename(tmp_path / name)
        assert read_stored(tmp_path / name).said == ()
        (tmp_path / name).rename(tmp_path / "w.pth")
