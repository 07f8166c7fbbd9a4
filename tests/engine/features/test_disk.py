"""Features in the folder of a run: the same bits as in memory, and nothing but whole files."""

from __future__ import annotations

import errno
import os
import shutil

import pytest
from feature_runs import StopAfter, disk_config, run, watched_rows
from PIL import Image

from common.errors import UserError
from engine.commands import single_run
from models.fast.loops import blas
from program import exits


@pytest.fixture
def on_disk(painted):
    return disk_config(painted)


@pytest.fixture
def rows(monkeypatch):
    return watched_rows(monkeypatch)


def test_features_on_the_disk(on_disk, tmp_path, capsys, rows):
    """The bits are those of features in memory; a resumed run computes nothing again."""
    folder = tmp_path / "disk"
    assert single_run.train(on_disk, folder, stop=StopAfter(5)) == exits.STOPPED
    assert "in the folder of the run" in capsys.readouterr().out
    names = [f"{name}.{kind}" for name in _ON_DISK for kind in ("float32", "safetensors")]
    assert sorted(path.name for path in (folder / "features").iterdir()) == names
    assert sum(count for count in rows if count > 1) == 2 * 29 + 7
    rows.clear()
    found = run(on_disk, folder)
    assert sum(count for count in rows if count > 1) == 15  # test images
    assert not (folder / "features").exists()
    whole = run(on_disk, tmp_path / "memory", **{"train.cache_gb": 1.0})
    assert found[1] == whole[1]
    assert all((found[0][name] == array).all() for name, array in whole[0].items())


_ON_DISK = ("train_0", "train_1", "val_0")


def _other_byte(path):
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "train_1.safetensors").unlink(),  # the pass was killed
        lambda folder: (folder / "train_1.float32").unlink(),
        lambda folder: _other_byte(folder / "train_1.float32"),
        lambda folder: os.truncate(folder / "train_1.float32", 1000),
        lambda folder: (folder / "train_1.safetensors").write_bytes(b"broken"),
        lambda folder: shutil.copy(folder / "train_0.safetensors", folder / "train_1.safetensors"),
    ],
)
def test_what_is_not_whole_is_computed_again(on_disk, tmp_path, rows, spoil):
    folder = tmp_path / "disk"
    single_run.train(on_disk, folder, stop=StopAfter(5))
    rows.clear()
    spoil(folder / "features")
    found = run(on_disk, folder)
    assert sum(count for count in rows if count > 1) == 29 + 15
    whole = run(on_disk, tmp_path / "memory", **{"train.cache_gb": 1.0})
    assert all((found[0][name] == array).all() for name, array in whole[0].items())


def test_other_pixels_are_other_features(on_disk, painted, tmp_path, rows):
    """The names and the labels are the same: a resumed run would not notice."""
    folder = tmp_path / "disk"
    single_run.train(on_disk, folder, stop=StopAfter(5))
    rows.clear()
    for path in sorted((painted / "train").rglob("*.png")):
        Image.open(path).transpose(Image.Transpose.ROTATE_180).save(path)
    run(on_disk, folder)
    assert sum(count for count in rows if count > 1) == 2 * 29 + 7 + 15


def test_another_precision_gives_other_features(on_disk, tmp_path, rows, monkeypatch):
    """A run may go on with a processor that has bfloat16."""
    if not blas.HAS_BFLOAT16:
        pytest.skip("this processor has no bfloat16")
    on_disk.train.amp = "bf16"
    monkeypatch.setattr(blas, "HAS_BFLOAT16", False)
    folder = tmp_path / "disk"
    single_run.train(on_disk, folder, stop=StopAfter(5))
    rows.clear()
    monkeypatch.setattr(blas, "HAS_BFLOAT16", True)
    run(on_disk, folder)
    assert sum(count for count in rows if count > 1) == 2 * 29 + 7 + 15


def test_a_disk_without_room(on_disk, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"train.cache_disk_gb: .*train_0.float32 can't be written"):
        single_run.train(on_disk, tmp_path / "disk")
    assert not [*(tmp_path / "disk" / "features").iterdir()]
