"""Loading weights: nothing is lost in silence, and files that carry code are refused."""

from __future__ import annotations

import os
import pickle

import numpy as np
import paddle
import pytest
from safetensors.numpy import save_file

import models
from common.errors import UserError
from engine import weights as own_weights


@pytest.fixture
def model():
    return models.create("vit_n_2", num_classes=10)


def _arrays(model):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=value.shape).astype("float32") for name, value in model.state_dict().items()}


@pytest.mark.parametrize("suffix", [".pdparams", ".safetensors"])
def test_both_formats(model, tmp_path, suffix):
    other = models.create("vit_n_2", num_classes=10)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pdparams":
        paddle.save(other.state_dict(), str(path))
    else:
        save_file(own_weights.arrays_of(other), str(path))
    report = models.load_weights(model, path)
    assert len(report.loaded) == len(model.state_dict())
    for name, value in other.state_dict().items():
        assert (model.state_dict()[name].numpy() == value.numpy()).all()


def test_another_head_is_dropped_and_reported(tmp_path):
    source, target = models.create("vit_n_2", num_classes=7), models.create("vit_n_2", num_classes=10)
    before = target.head.weight.numpy()
    report = models.assign(target, own_weights.arrays_of(source), "file")
    assert report.dropped == ["head.weight", "head.bias"]
    assert report.initialised == ["head.weight", "head.bias"]
    assert "dropped head.weight" in report.summary()
    assert (target.head.weight.numpy() == before).all()


def test_positions_are_resized_and_special_tokens_kept():
    for name, special in (("deit_ti", 1), ("deit_ti_distilled", 2)):
        source, target = (
            models.create(name, image_size=32, num_classes=2),
            models.create(name, image_size=64, num_classes=2),
        )
        arrays = own_weights.arrays_of(source)
        arrays["pos_embed"][:, special:] = 3.0  # a constant stays one in any interpolation
        report = models.assign(target, arrays, "file")
        assert report.resized == ["pos_embed"]
        positions = target.pos_embed.numpy()
        assert (positions[:, :special] == arrays["pos_embed"][:, :special]).all()
        np.testing.assert_allclose(positions[:, special:], 3.0, rtol=1e-6)


def test_resized_positions_follow_the_grid():
    """A ramp along the rows stays a ramp along the rows."""
    ramp = np.repeat(np.arange(8.0), 8).reshape(1, 64, 1).astype("float32")
    positions = np.concatenate([np.full((1, 1, 1), -5, "float32"), ramp], axis=1)
    bigger = models.weights.resize_positions(positions, 1 + 16 * 16, 1, "file")[0, 1:, 0].reshape(16, 16)
    assert np.allclose(bigger, bigger[:, :1], atol=1e-5)
    np.testing.assert_allclose(np.diff(bigger[4:12:2, 0]), 1.0, atol=1e-4)


def test_unplanned_arrays_are_errors(model):
    arrays = _arrays(model)
    with pytest.raises(UserError, match="blocks.0.attn.qkv.biass.*did you mean 'blocks.0.attn.qkv.bias'"):
        models.assign(model, {**arrays, "blocks.0.attn.qkv.biass": np.zeros(3, "float32")}, "file")
    missing = {name: value for name, value in arrays.items() if name != "blocks.1.attn.qkv.bias"}
    with pytest.raises(UserError, match=r"1 arrays of the model are missing, first blocks.1.attn.qkv.bias"):
        models.assign(model, missing, "file")
    with pytest.raises(UserError, match="norm.weight has shape"):
        models.assign(model, {**arrays, "norm.weight": np.zeros(5, "float32")}, "file")
    arrays["norm.weight"][0] = np.nan
    with pytest.raises(UserError, match="not finite"):
        models.assign(model, arrays, "file")


def test_a_failed_load_changes_nothing(model):
    before = own_weights.arrays_of(model)
    arrays = _arrays(model)
    del arrays["norm.bias"]
    with pytest.raises(UserError):
        models.assign(model, arrays, "file")
    assert all((value == before[name]).all() for name, value in own_weights.arrays_of(model).items())


def test_ppim_names_use_paddles_cache(tmp_path, monkeypatch):
    """A file that Paddle has downloaded is found under the name that Paddle gave it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    source = models.create("deit_ti")
    from ppim.models.deit import urls

    folder = tmp_path / ".cache/paddle/hapi/weights"
    folder.mkdir(parents=True)
    assert not models.is_local("deit_ti")
    paddle.save(source.state_dict(), str(folder / urls["deit_ti"].rsplit("/", 1)[-1]))
    assert models.is_local("deit_ti")
    report = models.load_weights(models.create("deit_ti", num_classes=100), "deit_ti")
    assert report.dropped == ["head.weight", "head.bias"]
    with pytest.raises(UserError, match="did you mean 'deit_ti'"):
        models.load_weights(source, "deit_tiny")


class _Evil:
    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_code_in_a_weights_file_does_not_run(model, tmp_path):
    path, witness = tmp_path / "evil.pdparams", tmp_path / "ran"
    path.write_bytes(pickle.dumps({"norm.weight": _Evil(f"touch {witness}")}))
    with pytest.raises(UserError, match="refused"):
        models.load_weights(model, path)
    assert not witness.exists()


@pytest.mark.parametrize("name", ["broken.pdparams", "broken.safetensors", "broken.txt"])
def test_broken_files(model, tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04nonsense")
    with pytest.raises(UserError, match="broken"):
        models.load_weights(model, tmp_path / name)
    with pytest.raises(UserError, match="no such weights file"):
        models.load_weights(model, tmp_path / "absent.safetensors")
