"""Conversion there and back, with the same bits; and what is not what it is said to be."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from conftest import run_program

import models
from common.errors import UserError
from common.safetensors_files import own_metadata
from models.weights.names import layouts
from tools.convert_weights import convert


def _arrays(model) -> dict[str, np.ndarray]:
    """Random values by timm's names for all parameters and buffers; no variance is negative."""
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.random(value.shape, dtype="float32") for name, value in model.state_dict().items()
    }
    return layouts.to_timm(model, arrays)


@pytest.mark.parametrize(
    ("name", "fields", "ending"),
    [
        ("vit_ti_32", {"num_classes": 11}, "safetensors"),
        ("vit_ti_32", {"num_classes": 11}, "pdparams"),
        ("deit_ti_distilled", {"image_size": 96, "num_classes": 3}, "safetensors"),
        ("cait_xxs_24", {"image_size": 80}, "pdparams"),
        ("swin_ti", {}, "safetensors"),
        ("resnet_18", {"num_classes": 2}, "pdparams"),
    ],
)
def test_there_and_back(tmp_path, name, fields, ending):
    """Head, input size and every value stay."""
    theirs = _arrays(models.create(name, **fields))
    models.write_arrays(tmp_path / "theirs.pth", theirs, None)
    ours, back = tmp_path / f"ours.{ending}", tmp_path / "back.pth"
    assert convert(name, "timm", str(tmp_path / "theirs.pth"), ours) == ([], "ours")
    assert convert(name, "ours", str(ours), back) == ([], "timm")
    assert back.read_bytes() == (tmp_path / "theirs.pth").read_bytes()
    model = models.create(name, **fields)
    assert sorted(models.load_weights(model, ours).loaded) == sorted(model.state_dict())


def test_what_the_file_tells(tmp_path):
    model = models.create("vit_n_8", image_size=32)
    models.write_arrays(tmp_path / "theirs.pth", _arrays(model), None)
    convert("vit_n_8", "timm", str(tmp_path / "theirs.pth"), tmp_path / "ours.safetensors")
    _, metadata = models.read_arrays(tmp_path / "ours.safetensors")
    own = own_metadata(metadata, "file")
    assert own["model"] == "vit_n_8"
    assert models.input_stats("vit_n_8", str(tmp_path / "ours.safetensors")) == models.input_stats(
        "vit_n_8"
    )


def test_ppim_to_timm(tmp_path):
    """A file as Paddle writes it, with Swin's buffers, which timm's models do not have."""
    from ppim.models import swin_ti

    source = swin_ti(class_dim=5)
    paddle.save(source.state_dict(), str(tmp_path / "ppim.pdparams"))
    left_out, style = convert(
        "swin_ti", "ppim", str(tmp_path / "ppim.pdparams"), tmp_path / "timm.pth"
    )
    assert style == "timm"
    assert left_out
    assert all(name.endswith(("relative_position_index", "attn_mask")) for name in left_out)
    arrays, _ = models.read_arrays(tmp_path / "timm.pth")
    assert (arrays["head.fc.weight"] == source.head.weight.numpy().T).all()
    merged = source.layers[0].downsample.reduction.weight.numpy().T
    assert (arrays["layers.1.downsample.reduction.weight"] == merged).all()


def test_a_source_that_it_is_not(tmp_path):
    model = models.create("vit_n_8", image_size=32)
    models.write_arrays(tmp_path / "theirs.pth", _arrays(model), None)
    with pytest.raises(UserError, match="has the names and the layout of timm, not of ours"):
        convert("vit_n_8", "ours", str(tmp_path / "theirs.pth"), tmp_path / "out.safetensors")
    with pytest.raises(UserError, match="do not belong to the model"):
        convert("swin_ti", "timm", str(tmp_path / "theirs.pth"), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_the_command(tmp_path):
    models.write_arrays(
        tmp_path / "theirs.pth", _arrays(models.create("vit_n_8", image_size=32)), None
    )
    words = ["-m", "tools.convert_weights", "--model", "vit_n_8", "--source", "timm"]
    done = run_program(
        *words, "--input", str(tmp_path / "theirs.pth"), "--output", str(tmp_path / "o.safetensors")
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "o.safetensors: names and layout: ours" in done.stdout
    same = str(tmp_path / "theirs.pth")
    done = run_program(*words, "--input", same, "--output", same)
    assert (done.returncode, "is an input, which would be lost" in done.stderr) == (2, True)
    done = run_program(
        *words, "--input", str(tmp_path / "none.pth"), "--output", str(tmp_path / "o.safetensors")
    )
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: {tmp_path}/none.pth: no such weights file"
    done = run_program(
        *words, "--input", str(tmp_path / "theirs.pth"), "--output", str(tmp_path / "o.onnx")
    )
    assert (done.returncode, "weights are written as" in done.stderr) == (2, True)
