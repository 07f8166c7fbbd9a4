"""Both formats of PyTorch's weights files are read without PyTorch; crafted files are refused."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from models.weights.formats.array_files import read_arrays
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


@pytest.mark.parametrize(
    "name", ["zip.pth", "legacy.pth", "zip_state.pth", "legacy_state.pth", "plain.pkl"]
)
def test_files_that_pytorch_wrote(name):
    """Both formats: a dict of tensors, and a model in the training state of a wrapped model.

    The last is a plain pickle of tensors.
    """
    arrays, metadata = read_arrays(_GOLDEN / name)
    assert metadata == {}
    assert arrays.keys() == _EXPECTED.keys()
    for key, expected in _EXPECTED.items():
        assert arrays[key].dtype == expected.dtype
        assert arrays[key].shape == expected.shape
        assert (arrays[key] == expected).all()


def test_the_older_format_in_another_protocol(tmp_path):
    content = (_GOLDEN / "legacy.pth").read_bytes()
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=4)
    (tmp_path / "w.pth").write_bytes(magic + content[content.index(b".") + 1 :])
    assert read_arrays(tmp_path / "w.pth")[0].keys() == _EXPECTED.keys()


def _zip(path, members: dict[str, bytes], compression=zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


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
        (_tensor(6, 0, (10**12,), (0,)), "more than the file holds"),
        (_tensor(6, 0, (-1, -6), (1, 1)), "does not fit its storage"),
        (_tensor(5, 0, (2,), (1,)), "cut short"),
        (_tensor(10**15, 0, (2,), (1,)), "cut short"),
        (_tensor(6, 0, (2,), (1,), _STORAGE.replace(b"Float", b"Quint")), "not run"),
        (_tensor(6, 0, (2,), (1,), _STORAGE.replace(b"FloatStorage", b"load")), "not run"),
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
        ({"a/data.pkl": pickle.dumps({"w": 3}, 2)}, "no weights: its entries are w"),
        ({"a/data.pkl": pickle.dumps({3: _BASE}, 2)}, "no weights: its entries are 3"),
        ({"a/data.pkl": pickle.dumps({"w": _BASE}, 2), "a/byteorder": b"big"}, "big-endian"),
        ({"a/data.pkl": _tensor(6, 0, (2, 3), (3, 1))}, "w: cut short, or damaged: storage 0"),
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
    with pytest.raises(UserError, match="more than the file holds"):
        read_arrays(tmp_path / "w.pth")


@pytest.mark.slow
def test_torch_reads_what_is_written(tmp_path):
    torch = pytest.importorskip("torch")
    arrays = {name: np.asarray(array) for name, array in _EXPECTED.items()}
    write_torch(tmp_path / "w.pth", arrays)
    found = torch.load(tmp_path / "w.pth", weights_only=True)
    for name, expected in arrays.items():
        assert found[name].numpy().dtype == expected.dtype
        assert (found[name].numpy() == expected).all()
