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
from models.weights.formats import stored
from models.weights.formats.array_files import read_arrays, write_arrays

_BASE = np.arange(24, dtype=np.float32)
_GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("ending", ["safetensors", "pdparams", "pth", "pt"])
def test_what_is_written_is_read_and_equal_weights_are_equal_files(tmp_path, ending):
    arrays = {
        "transposed": _BASE.reshape(4, 6).T,
        "half": _BASE[:2].astype(np.float16),
        "count": np.asarray(np.int64(7)),
        "empty": np.zeros((0, 2), np.float32),
    }
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
    with pytest.raises(UserError, match=r"folder.pth: the folder is empty"):
        read_arrays(tmp_path / "folder.pth")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(stored, "unpickle", refuse)
    with pytest.raises(UserError, match=r"w.pdparams: can't be read .Permission denied."):
        read_arrays(tmp_path / "w.pdparams")


class _Call:
    """A pickle that calls a function when it is read."""

    def __init__(self, function, *arguments):
        self.how = function, arguments

    def __reduce__(self):
        return self.how


def _evil(witness) -> dict[str, bytes]:
    """Returns files by ending; each writes the witness if it is read as its ending suggests."""
    call = _Call(os.system, f"touch {witness}")
    whole = pickle.dumps({"w": call}, 2)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("archive/data.pkl", whole)
        members.writestr("archive/version", b"3\n")
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


def _slices(**changes) -> dict:
    """Returns what Paddle writes of an array that is too large for pickle's protocol 2."""
    whole = np.arange(12, dtype=np.float32)
    slices = {f"a.weight@@.{i}": part for i, part in enumerate(np.split(whole, 3))}
    told = {"OriginShape": (3, 4), "slices": list(slices), **changes}
    return {**slices, "b.bias": whole, "UnpackBigParamInfor@@": {"a.weight": told}}


@pytest.mark.parametrize("nested", [False, True])
def test_an_array_of_paddle_in_slices(tmp_path, nested):
    content = {"model": _slices()} if nested else _slices()
    (tmp_path / "w.pdparams").write_bytes(pickle.dumps(content, protocol=2))
    arrays, _ = read_arrays(tmp_path / "w.pdparams")
    assert arrays.keys() == {"a.weight", "b.bias"}
    np.testing.assert_array_equal(arrays["a.weight"], np.arange(12).reshape(3, 4))


@pytest.mark.parametrize(
    "changes",
    [
        {"OriginShape": (3, 1 << 40)},
        {"OriginShape": "3"},
        {"slices": ["b.bias", "none"]},
        {"slices": ["b.bias"] * 3},
        {"slices": []},
    ],
)
def test_slices_that_do_not_belong_together(tmp_path, changes):
    (tmp_path / "w.pdparams").write_bytes(pickle.dumps(_slices(**changes), protocol=2))
    with pytest.raises(UserError, match="slices"):
        read_arrays(tmp_path / "w.pdparams")
