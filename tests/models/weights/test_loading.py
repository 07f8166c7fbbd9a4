"""Loading weights: nothing is lost silently, and files that contain code are refused."""

from __future__ import annotations

import os
import pickle

import numpy as np
import paddle
import pytest
from safetensors.numpy import save_file

import models
from common.errors import UserError
from engine.state import run_weights as own_weights
from models.builders import Head
from models.families.swin import Swin
from models.layers.dropout import DropRates
from models.weights.names import layouts


@pytest.fixture
def model():
    return models.create("vit_n_2", num_classes=10)


def _swin(size: int, depths: tuple[int, ...]) -> Swin:
    shape = {"embed_dim": 8, "num_heads": (2, 4, 8)[: len(depths)], "window_size": 2}
    return Swin(size, DropRates(), Head(3), depths=depths, **shape)


def _arrays(model):
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(size=value.shape).astype("float32")
        for name, value in model.state_dict().items()
    }


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


def test_positions_of_grids_that_are_not_square():
    """Positions stay where the number of places is the same: they may be of this very grid."""
    source = models.create("vit_n_8", image_size=32, num_classes=2)
    arrays = own_weights.arrays_of(source)
    for shape in ((16, 64), (64, 16), (24, 40)):
        target = models.create("vit_n_8", image_size=shape, num_classes=2)
        resized = models.assign(target, arrays, "file").resized
        assert resized == (["pos_embed"] if shape == (24, 40) else [])
        assert target(paddle.zeros([1, 3, *shape])).shape == [1, 2]
    wide = models.create("vit_n_8", image_size=(24, 40), num_classes=2)
    assert models.assign(wide, own_weights.arrays_of(wide), "file").resized == []
    with pytest.raises(UserError, match="pos_embed has 16 places: a square grid without places"):
        models.assign(source, own_weights.arrays_of(wide), "file")
    wide = models.create("vit_n_8", image_size=(24, 32), num_classes=2)
    with pytest.raises(UserError, match="pos_embed has 13 places, which is no square grid"):
        models.assign(source, own_weights.arrays_of(wide), "file")


def test_places_of_the_class_token():
    """They are not guessed: a file that has them, or not, is refused where the model differs."""
    plain, without, larger = (
        models.create("vit_n_8", image_size=size, num_classes=2, class_position=placed)
        for size, placed in ((32, True), (32, False), (64, True))
    )
    for model in (plain, without):
        arrays = own_weights.arrays_of(model)
        arrays["pos_embed"] = arrays["pos_embed"][0]  # without the axis of the batch
        models.assign(model, arrays, "file")
    with pytest.raises(UserError, match="17 places, 1 more than a square grid: .*class_position"):
        models.assign(without, own_weights.arrays_of(plain), "file")
    for model in (plain, larger):
        with pytest.raises(UserError, match="16 places: .* without places for the class token"):
            models.assign(model, own_weights.arrays_of(without), "file")
    bad = {**own_weights.arrays_of(plain), "pos_embed": np.zeros(48, np.float32)}
    with pytest.raises(UserError, match=r"pos_embed has shape \[48\]"):
        models.assign(plain, bad, "file")


def test_unplanned_arrays_are_errors(model):
    arrays = _arrays(model)
    with pytest.raises(
        UserError, match="blocks.0.attn.qkv.biass.*did you mean 'blocks.0.attn.qkv.bias'"
    ):
        models.assign(model, {**arrays, "blocks.0.attn.qkv.biass": np.zeros(3, "float32")}, "file")
    missing = {name: value for name, value in arrays.items() if name != "blocks.1.attn.qkv.bias"}
    with pytest.raises(
        UserError, match=r"1 arrays of the model are missing: blocks.1.attn.qkv.bias"
    ):
        models.assign(model, missing, "file")
    with pytest.raises(
        UserError, match=r"1 arrays have other shapes: norm.weight \[5\], the model expects \[48\]"
    ):
        models.assign(model, {**arrays, "norm.weight": np.zeros(5, "float32")}, "file")
    for value in (np.nan, np.inf):
        arrays["norm.weight"][0] = value
        with pytest.raises(UserError, match="norm.weight holds values that are not finite"):
            models.assign(model, arrays, "file")
    with pytest.raises(UserError, match="not finite"):  # in float32
        models.assign(model, {**arrays, "norm.weight": np.full(48, 1e300)}, "file")
    for kind in ("complex64", "U8", "datetime64[s]"):
        with pytest.raises(UserError, match="norm.weight holds .* values, expected numbers"):
            models.assign(model, {**arrays, "norm.weight": np.zeros(48, kind)}, "file")


def test_a_failed_load_changes_nothing(model):
    before = own_weights.arrays_of(model)
    arrays = _arrays(model)
    del arrays["norm.bias"]
    with pytest.raises(UserError):
        models.assign(model, arrays, "file")
    assert all(
        (value == before[name]).all() for name, value in own_weights.arrays_of(model).items()
    )


def test_buffers_of_layers_that_are_not_there(model):
    with pytest.raises(UserError, match="do not belong to the model: foo.num_batches_tracked"):
        models.assign(model, {**_arrays(model), "foo.num_batches_tracked": np.zeros(())}, "file")


def test_negative_variances():
    model = models.create("resnet_18", num_classes=2)
    arrays = own_weights.arrays_of(model)
    arrays["bn1._variance"][3] = -1
    with pytest.raises(UserError, match="bn1._variance holds negative variances"):
        models.assign(model, arrays, "file")


def test_an_array_under_two_names_is_an_error():
    source = _swin(16, (1, 1))
    timm = layouts.to_timm(source, own_weights.arrays_of(source))
    for name, array in (
        ("head.weight", np.zeros((3, 16))),
        ("layers.0.downsample.norm.bias", np.zeros(32)),
    ):
        with pytest.raises(UserError, match=f"{name} is there twice"):
            models.assign(source, {**timm, name: array}, "file")


def test_numbers_that_a_resize_makes_too_large(model):
    arrays = {**_arrays(model), "pos_embed": np.full((1, 26, 48), 3.4e38, "float32")}
    arrays["pos_embed"][:, :14] *= -1  # a step, at which the kernel overshoots
    with pytest.raises(UserError, match="resized: pos_embed holds values that are not finite"):
        models.assign(model, arrays, "file")


def test_a_table_of_another_arrangement_is_refused():
    model = _swin(32, (2, 2))
    arrays = own_weights.arrays_of(model)
    assert not any(name.endswith(model.derived) for name in arrays)  # they follow from the shape
    name = "layers.0.blocks.0.attn.relative_position_index"
    index = dict(model.named_buffers())[name].numpy()
    assert models.assign(model, {**arrays, name: index}, "file").dropped == [name]
    other_window = {**arrays, name: np.zeros([9, 9], "int64")}
    assert models.assign(model, other_window, "file").dropped == [name]
    with pytest.raises(UserError, match="another arrangement"):
        models.assign(model, {**arrays, name: index[::-1]}, "file")


def test_windows_of_another_arrangement_are_refused():
    """Swin-S3 has the same names and depths as Swin.

    But its windows are larger in the third stage than before.
    """
    model = _swin(32, (1, 1, 1))
    arrays = own_weights.arrays_of(model)
    larger = "layers.1.blocks.0.attn.relative_position_bias_table"
    with pytest.raises(UserError, match=r"windows of \[2, 3, 2\], which is not Swin's"):
        models.assign(model, {**arrays, larger: np.zeros((25, 4), "float32")}, "file")


def test_the_original_names_of_swin():
    """Microsoft's files merge patches at the end of a stage, timm's at the beginning of the next.

    Both are read.
    """
    source = _swin(32, (2, 2, 2))
    arrays = own_weights.arrays_of(source)
    transposed = {
        name: a.T if name in layouts._matrices(source) else a for name, a in arrays.items()
    }
    timm = layouts.to_timm(source, arrays)
    assert "layers.2.downsample.norm.weight" in timm
    for found in (transposed, timm):
        target = _swin(32, (2, 2, 2))
        assert len(models.assign(target, found, "file").loaded) == len(arrays)
        assert all(
            (value == arrays[name]).all() for name, value in own_weights.arrays_of(target).items()
        )


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
