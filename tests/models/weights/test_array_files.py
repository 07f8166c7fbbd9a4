"""Weights files are read without PyTorch, without running their content, and never in part."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from common.errors import UserError
from models.weights.formats import array_files
from models.weights.formats.array_files import read_arrays, write_arrays
from models.weights.formats.torch_writer import write_torch

_BASE = np.arange(24, dtype=np.float32)
_GOLDEN = Path(__file__).parents[1] / "golden"
_EXPECTED = {  # what tests/models/golden.py saved with PyTorch
    "transposed": _BASE.reshape(4, 6).T,
    "part": _BASE[5:9],
    "brain": _BASE[:3],
    "half": _BASE[:2].astype(np.float16),
    "count": np.int64(7),
    "parameter": _BASE.reshape(2, 3, 4),
    "empty": np.zeros((0, 2), np.float32),
}


@pytest.mark.parametrize("name", ["zip", "legacy", "zip_state", "legacy_state"])
def test_files_that_pytorch_wrote(name):
    """Both formats: a dict of tensors, and a model in the training state of a wrapped model."""
    arrays, metadata = read_arrays(_GOLDEN / f"{name}.pth")
    assert metadata == {}
    assert arrays.keys() == _EXPECTED.keys()
    for key, expected in _EXPECTED.items():
        assert arrays[key].dtype == expected.dtype
        assert arrays[key].shape == expected.shape
        assert (arrays[key] == expected).all()


@pytest.mark.parametrize("ending", ["safetensors", "pdparams", "pth", "pt"])
def test_what_is_written_is_read_and_equal_weights_are_equal_files(tmp_path, ending):
    arrays = {name: np.asarray(array) for name, array in _EXPECTED.items() if name != "brain"}
    for name in "ab":
        write_arrays(
            tmp_path / f"{name}.{ending}",
            arrays,
            {"model": "x"} if ending == "safetensors" else None,
        )
    assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
    found, _ = read_arrays(tmp_path / f"a.{ending}")
    for name, expected in arrays.items():
        assert found[name].dtype == expected.dtype
        assert found[name].shape == expected.shape
        assert (found[name] == expected).all()


def test_brain_floats_in_safetensors(tmp_path):
    bits = (_BASE.view(np.uint32) >> 16).astype(np.uint16)
    places = {"w": ("BF16", [4, 6], [0, 48]), "v": ("F32", [2], [48, 56])}
    named = {
        name: dict(zip(("dtype", "shape", "data_offsets"), place)) for name, place in places.items()
    }
    header = json.dumps(named).encode()
    content = struct.pack("<Q", len(header)) + header + bits.tobytes() + _BASE[:2].tobytes()
    (tmp_path / "w.safetensors").write_bytes(content)
    arrays, _ = read_arrays(tmp_path / "w.safetensors")
    assert (arrays["w"] == _BASE.reshape(4, 6)).all()
    assert (arrays["v"] == _BASE[:2]).all()


def test_the_moving_average_of_a_training_state_comes_first(tmp_path):
    state = {"state_dict": {"w": _BASE}, "model_ema": {"w": _BASE + 1}, "step": 3}
    (tmp_path / "state.pdparams").write_bytes(pickle.dumps(state, 4))
    assert (read_arrays(tmp_path / "state.pdparams")[0]["w"] == _BASE + 1).all()


def test_a_place_that_can_not_be_written_to(tmp_path):
    with pytest.raises(UserError, match="can't be written"):
        write_arrays("/proc/nowhere/w.safetensors", {"w": _BASE}, {})
    with pytest.raises(UserError, match="weights are written as"):
        write_arrays(tmp_path / "w.onnx", {"w": _BASE}, {})


def test_numbers_are_arrays_and_folders_are_no_files(tmp_path, monkeypatch):
    (tmp_path / "w.pdparams").write_bytes(pickle.dumps({"w": np.float32(3)}, 4))
    assert read_arrays(tmp_path / "w.pdparams")[0]["w"].shape == ()
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(UserError, match="no such weights file"):
        read_arrays(tmp_path / "folder.pth")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(array_files, "unpickle_arrays", refuse)
    with pytest.raises(UserError, match=r"w.pdparams: can't be read .Permission denied."):
        read_arrays(tmp_path / "w.pdparams")


class _Call:
    """A pickle that calls a function when it is read."""

    def __init__(self, function, *arguments):
        self.how = function, arguments

    def __reduce__(self):
        return self.how


def _zip(path, members: dict[str, bytes], compression=zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _evil(witness) -> dict[str, bytes]:
    """Returns files by ending; each writes the witness if it is read as its ending suggests."""
    call = _Call(os.system, f"touch {witness}")
    whole = pickle.dumps({"w": call}, 2)
    archive = io.BytesIO()
    _zip(archive, {"archive/data.pkl": whole, "archive/version": b"3\n"})
    legacy = b"".join(
        pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}, {"w": call})
    )
    numpy = io.BytesIO()
    np.savez(numpy, w=np.array([call], object), allow_pickle=True)
    return {
        "pdparams": whole,
        "pth": archive.getvalue(),
        "pt": legacy,
        "bin": whole,
        "npz": numpy.getvalue(),
    }


@pytest.mark.parametrize("ending", ["pdparams", "pth", "pt", "bin", "npz"])
def test_code_does_not_run(tmp_path, ending):
    witness, path = tmp_path / "ran", tmp_path / f"evil.{ending}"
    path.write_bytes(_evil(witness)[ending])
    with pytest.raises(UserError) as caught:
        read_arrays(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not witness.exists()


# A storage with the key "0".
_STORAGE = b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"


def _tensor(
    count: int,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    storage: bytes = _STORAGE,
) -> bytes:
    """Returns a pickle of one tensor of PyTorch's."""

    def number(value):
        return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)

    def row(values):
        return b"(" + b"".join(map(number, values)) + b"t"

    body = (
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage"
        + storage
    )
    return body + number(count) + b"tQ" + number(offset) + row(shape) + row(strides) + b"\x89}tRs."


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (_tensor(6, 0, (2, 3), (3, 1)), ""),
        (_tensor(6, 0, (3, 3), (3, 1)), "does not fit its storage"),
        (_tensor(6, 4, (3,), (1,)), "does not fit its storage"),
        (_tensor(6, -1, (3,), (1,)), "does not fit its storage"),
        (_tensor(6, 2, (3,), (-1,)), "does not fit its storage"),
        (_tensor(6, 0, (6, 2), (1, 0)), "does not fit its storage"),
        (_tensor(6, 0, (2, 3), (3,)), "does not fit its storage"),
        (_tensor(6, 0, (10**12,), (0,)), "more than the file has"),
        (_tensor(6, 0, (-1, -6), (1, 1)), "does not fit its storage"),
        (_tensor(5, 0, (2,), (1,)), "cut short"),
        (_tensor(10**15, 0, (2,), (1,)), "cut short"),
        (_tensor(6, 0, (2,), (1,), _STORAGE.replace(b"Float", b"Quint")), "refused"),
        (_tensor(6, 0, (2,), (1,), _STORAGE.replace(b"FloatStorage", b"load")), "refused"),
        (_tensor(6, 0, (2,), (1,), _STORAGE[:-9] + b"X\x03\x00\x00\x00cpu"), "not a readable"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit(tmp_path, pickled, message):
    path = tmp_path / "w.pth"
    _zip(path, {"a/data.pkl": pickled, "a/version": b"3\n", "a/data/0": _BASE[:6].tobytes()})
    if not message:
        assert (read_arrays(path)[0]["w"] == _BASE[:6].reshape(2, 3)).all()
        return
    with pytest.raises(UserError, match=message):
        read_arrays(path)


@pytest.mark.parametrize("count", [5, 6, 7])
def test_a_storage_of_another_size_than_its_tensors_say(tmp_path, count):
    """In files from before PyTorch 1.6, sizes are written twice."""
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
    tail = pickle.dumps(["0"], 2) + count.to_bytes(8, "little") + _BASE[:count].tobytes()
    (tmp_path / "w.pth").write_bytes(head + _tensor(6, 0, (2, 3), (3, 1)) + tail)
    if count == 6:
        assert (read_arrays(tmp_path / "w.pth")[0]["w"] == _BASE[:6].reshape(2, 3)).all()
        return
    with pytest.raises(UserError, match="has another size"):
        read_arrays(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a/version": b"3\n"}, "not the weights of a model"),
        ({"a/data.pkl": b"", "b/data.pkl": b""}, "not the weights of a model"),
        ({"a/data.pkl": b"", "a/code/model.py": b""}, "TorchScript"),
        ({"a/data.pkl": pickle.dumps([1, 2], 2)}, "holds a list, expected a dict"),
        ({"a/data.pkl": pickle.dumps({}, 2)}, "holds no arrays"),
        ({"a/data.pkl": pickle.dumps({"w": 3}, 2)}, "'w' is a int, expected an array"),
        ({"a/data.pkl": pickle.dumps({3: _BASE}, 2)}, "3 is no name of an array"),
        ({"a/data.pkl": pickle.dumps({"w": _BASE}, 2), "a/byteorder": b"big"}, "big-endian"),
        ({"a/data.pkl": _tensor(6, 0, (2, 3), (3, 1))}, "not a readable PyTorch file .KeyError"),
    ],
)
def test_archives_that_are_none_of_pytorchs(tmp_path, members, message):
    _zip(tmp_path / "w.pth", members)
    with pytest.raises(UserError, match=message):
        read_arrays(tmp_path / "w.pth")


def test_archives_that_unpack_to_more_than_weights_do(tmp_path):
    pickled = _tensor(10**7, 0, (10**7,), (1,))
    _zip(
        tmp_path / "w.pth",
        {"a/data.pkl": pickled, "a/data/0": bytes(4 * 10**7)},
        zipfile.ZIP_DEFLATED,
    )
    with pytest.raises(UserError, match="compressed"):
        read_arrays(tmp_path / "w.pth")
    np.savez_compressed(tmp_path / "w.npz", w=np.zeros(10**7))
    with pytest.raises(UserError, match="unpacks to"):
        read_arrays(tmp_path / "w.npz")


def test_a_storage_that_many_tensors_share_can_not_fill_the_memory(tmp_path):
    one = _tensor(6, 0, (2, 3), (3, 1))[3:-2]
    many = b"\x80\x02}" + b"s".join(
        one.replace(b"X\x01\x00\x00\x00w", b"X\x02\x00\x00\x00w%c" % (65 + i)) for i in range(50)
    )
    _zip(tmp_path / "w.pth", {"a/data.pkl": many + b"s.", "a/data/0": _BASE[:6].tobytes()})
    assert len(read_arrays(tmp_path / "w.pth")[0]) == 50  # as tied weights do
    huge = np.zeros(10**5, np.float32)
    many = many.replace(
        b"\x8a\x09" + (6).to_bytes(9, "little"), b"\x8a\x09" + huge.size.to_bytes(9, "little")
    )
    many = many.replace((2).to_bytes(9, "little"), (huge.size // 3).to_bytes(9, "little"))
    _zip(tmp_path / "w.pth", {"a/data.pkl": many + b"s.", "a/data/0": huge.tobytes()})
    with pytest.raises(UserError, match="more than the file has"):
        read_arrays(tmp_path / "w.pth")


@pytest.mark.parametrize(
    "ending", ["safetensors", "pdparams", "pth", "pt", "bin", "npz", "onnx", ""]
)
@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04nonsense", b"PK\x03\x04", b"<html>404</html>" * 9]
)
def test_files_that_are_none(tmp_path, ending, content):
    path = tmp_path / f"broken.{ending}".rstrip(".")
    path.write_bytes(content)
    with pytest.raises(UserError, match="broken") as caught:
        read_arrays(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", ["safetensors", "pdparams", "pth", "npz", "legacy"])
def test_files_that_are_cut_short(tmp_path, ending):
    """At every length: an error, never a part of the weights."""
    path = tmp_path / f"w.{ending if ending != 'legacy' else 'pth'}"
    arrays = {"a": _BASE.reshape(4, 6), "b": _BASE[:3]}
    if ending == "legacy":
        path.write_bytes((_GOLDEN / "legacy.pth").read_bytes())
    elif ending == "npz":
        np.savez(path, **arrays)
    else:
        write_arrays(path, arrays, None)
    whole = path.read_bytes()
    read_arrays(path)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            read_arrays(path)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.data(),
    name=st.sampled_from(["zip.pth", "legacy.pth", "w.npz", "w.safetensors", "w.pdparams"]),
)
def test_flipped_bytes_are_an_error_or_arrays(tmp_path, data, name):
    whole = _whole(name, tmp_path)
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    path = tmp_path / f"flipped-{name}"
    path.write_bytes(bytes(whole))
    with contextlib.suppress(UserError):
        assert all(isinstance(array, np.ndarray) for array in read_arrays(path)[0].values())


def _whole(name: str, folder) -> bytearray:
    path = _GOLDEN / name
    if not path.exists():
        path = folder / name
        arrays = {"a": _BASE.reshape(4, 6), "b": _BASE[:3]}
        if name.endswith("npz"):
            np.savez(path, **arrays)
        elif name.endswith("safetensors"):
            save_file(arrays, str(path))
        else:
            write_arrays(path, arrays, None)
    return bytearray(path.read_bytes())


@pytest.mark.slow
def test_torch_reads_what_is_written(tmp_path):
    torch = pytest.importorskip("torch")
    arrays = {name: np.asarray(array) for name, array in _EXPECTED.items()}
    write_torch(tmp_path / "w.pth", arrays)
    found = torch.load(tmp_path / "w.pth", weights_only=True)
    for name, expected in arrays.items():
        assert found[name].numpy().dtype == expected.dtype
        assert (found[name].numpy() == expected).all()
