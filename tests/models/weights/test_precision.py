"""Numbers of every precision are read exactly, or refused by name."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from common.errors import UserError
from common.number_formats import decode
from models.weights.formats.stored import read_outline, read_stored

_BYTES = np.arange(256, dtype=np.uint8)


def _safetensors(path, dtype: str, shape, content: bytes) -> None:
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, len(content)]}
    header = json.dumps({"w": entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + content)


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("float8_e4m3fn", {0: 0, 1: 2**-9, 0x38: 1, 0xC0: -2, 0x7E: 448, 0x7F: np.nan}),
        ("float8_e5m2", {0: 0, 1: 2**-16, 0x3C: 1, 0xC0: -2, 0x7B: 57344, 0x7C: np.inf}),
        ("float8_e4m3fnuz", {0: 0, 1: 2**-10, 0x40: 1, 0xC8: -2, 0x7F: 240, 0x80: np.nan}),
        ("float8_e5m2fnuz", {0: 0, 1: 2**-17, 0x40: 1, 0xC4: -2, 0x7F: 57344, 0x80: np.nan}),
    ],
)
def test_float8(tmp_path, dtype, values):
    found = decode(_BYTES, dtype)
    assert found.dtype == np.float32
    for byte, value in values.items():
        assert np.array_equal(found[byte], np.float32(value), equal_nan=True)
    name = dtype.replace("float8", "F8").upper().removesuffix("FN")
    _safetensors(tmp_path / "w.safetensors", name, [4, 64], _BYTES.tobytes())
    stored = read_stored(tmp_path / "w.safetensors")
    assert np.array_equal(stored.arrays["w"], found.reshape(4, 64), equal_nan=True)
    assert f"its {dtype} values were read as float32" in stored.said


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz"])
def test_float8_is_as_pytorch_has_it(tmp_path, dtype):
    torch = pytest.importorskip("torch")
    values = torch.arange(256, dtype=torch.uint8).view(getattr(torch, f"float8_{dtype}"))
    torch.save({"w": values}, tmp_path / "w.pth")
    found = read_stored(tmp_path / "w.pth").arrays["w"]
    assert np.array_equal(found, values.float().numpy(), equal_nan=True)


def _torch_zip(path, dtype: bytes, content: bytes) -> None:
    """A tensor that names its type, as PyTorch writes those of types without a storage class."""

    def text(value: bytes) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value

    count = b"K" + bytes([len(content)])
    pickled = (
        b"\x80\x02}" + text(b"w") + b"ctorch._utils\n_rebuild_tensor_v3\n((" + text(b"storage")
        + b"ctorch.storage\nUntypedStorage\n" + text(b"0") + text(b"cpu") + count + b"tQK\x00"
        + count + b"\x85K\x01\x85\x89}ctorch\n" + dtype + b"\ntRs."
    )  # fmt: skip
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/data/0", content)


def test_tensors_that_name_their_type(tmp_path):
    _torch_zip(tmp_path / "w.pth", b"float8_e5m2", b"\x3c\xc0")
    assert read_stored(tmp_path / "w.pth").arrays["w"].tolist() == [1, -2]
    _torch_zip(tmp_path / "w.pth", b"float8_e8m0fnu", b"\x3c\xc0")
    with pytest.raises(UserError, match="w.pth: holds no weights|no array of numbers"):
        read_stored(tmp_path / "w.pth")


def test_bits_of_bfloat16_in_pickles_and_npz(tmp_path):
    values = np.array([1, -2.5, 3e38], np.float32)
    bits = (values.view(np.uint32) >> 16).astype(np.uint16)
    expected = (bits.astype(np.uint32) << 16).view(np.float32)
    (tmp_path / "w.pdparams").write_bytes(pickle.dumps({"w": bits}, 4))
    np.savez(tmp_path / "w.npz", w=bits)
    np.savez(tmp_path / "void.npz", w=bits.view("V2"))
    for name in ("w.pdparams", "w.npz", "void.npz"):
        stored = read_stored(tmp_path / name)
        assert (stored.arrays["w"] == expected).all()
        assert any("bfloat16" in said for said in stored.said)
        assert read_outline(tmp_path / name).arrays["w"].dtype == np.float32


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_floats_stay_as_they_are(tmp_path, dtype):
    array = np.array([1 / 3, 7], dtype)
    save_file({"w": array}, str(tmp_path / "w.safetensors"))
    (tmp_path / "w.pdparams").write_bytes(pickle.dumps({"w": array}, 4))
    np.savez(tmp_path / "w.npz", w=array)
    for path in sorted(tmp_path.iterdir()):
        found = read_stored(path).arrays["w"]
        assert (found.dtype, found.tolist()) == (array.dtype, array.tolist())


def test_float8_with_scales(tmp_path):
    """The values make sense with their scales only; LayerScale is none of these."""
    for names, refused in (("w.scale", True), ("w.scale_weight", True), ("layer_scale", False)):
        entries = {
            "w": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]},
            names: {"dtype": "F32", "shape": [], "data_offsets": [4, 8]},
        }
        header = json.dumps(entries).encode()
        path = tmp_path / "w.safetensors"
        path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
        if refused:
            with pytest.raises(UserError, match="quantised"):
                read_stored(path)
        else:
            assert len(read_stored(path).arrays) == 2


@pytest.mark.parametrize(
    "names",
    [
        ["a.qweight", "a.qzeros", "a.scales", "a.g_idx"],
        ["a.weight", "a.weight_scale"],
        ["a.weight", "a.weight_scale_inv"],
        ["a.weight", "a.SCB"],
        ["a.weight", "a.weight.absmax", "a.weight.quant_map"],
        ["a.weight", "a.weight.quant_state.bitsandbytes__nf4"],
        ["a._packed_params._packed_params"],
        ["a.scale", "a.zero_point", "a.weight"],
        ["a.weight._data", "a.weight._scale"],
    ],
)
def test_quantised_weights_are_refused_by_their_names(tmp_path, names):
    save_file({name: np.ones(3, np.float32) for name in names}, str(tmp_path / "w.safetensors"))
    for read in (read_stored, read_outline):
        with pytest.raises(UserError, match="quantised weights are not read .a."):
            read(tmp_path / "w.safetensors")


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "bool"])
def test_whole_numbers_are_no_weights(tmp_path, dtype):
    np.savez(tmp_path / "w.npz", **{"blocks.0.weight": np.ones((2, 2), dtype)})
    with pytest.raises(UserError, match="whole numbers .*quantised"):
        read_stored(tmp_path / "w.npz")
    index = {"relative_position_index": np.ones((2, 2), "int64"), "count": np.int64(3)}
    np.savez(tmp_path / "w.npz", w=np.ones(3), mask=np.ones((2, 2), bool), **index)
    assert len(read_stored(tmp_path / "w.npz").arrays) == 4


@pytest.mark.parametrize("dtype", ["F4", "F8_E8M0", "F6_E2M3"])
def test_formats_that_make_sense_with_scales_only(tmp_path, dtype):
    _safetensors(tmp_path / "w.safetensors", dtype, [8], bytes(8))
    with pytest.raises(UserError, match=f"w has {dtype} values: quantised"):
        read_stored(tmp_path / "w.safetensors")


def test_a_type_of_numpys_that_only_a_library_has(tmp_path):
    """As `ml_dtypes` pickles an array of bfloat16."""
    bits = np.array([0x3F80, 0xC000], np.uint16)
    pickled = io.BytesIO()
    pickle.dump({"w": bits}, pickled, 2)
    old = b"cnumpy\ndtype\n"
    content = pickled.getvalue()
    assert old in content
    begin = content.index(old) + len(old)
    end = content.index(b"R", begin)
    arguments = b"(cml_dtypes\nbfloat16\n\x89\x88t"
    (tmp_path / "w.pdparams").write_bytes(content[:begin] + arguments + content[end:])
    assert read_stored(tmp_path / "w.pdparams").arrays["w"].tolist() == [1, -2]
