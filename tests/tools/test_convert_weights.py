"""Conversion there and back, with the same bits; and what is not what it is said to be."""

from __future__ import annotations

import json

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


def test_the_official_rdrop_code_and_back(tmp_path):
    """Its names are in `tests/models/weights/names_by_hand.py`, too; no value changes."""
    theirs = _arrays(models.create("vit_n_8", image_size=32, num_classes=11))
    models.write_arrays(tmp_path / "timm.pth", theirs, None)
    official, ours = tmp_path / "cifar_checkpoint.bin", tmp_path / "ours.safetensors"
    assert convert("vit_n_8", "any", str(tmp_path / "timm.pth"), official, "rdrop") == ([], "rdrop")
    arrays, _ = models.read_arrays(official)
    query = arrays["transformer.encoder.layer.3.attn.query.weight"]
    assert (query == theirs["blocks.3.attn.qkv.weight"][:48]).all()
    assert (arrays["head.bias"] == theirs["head.bias"]).all()
    assert len(arrays) == len(theirs) + 4 * 4  # four blocks, two more weights and biases each
    assert convert("vit_n_8", "any", str(official), ours) == ([], "ours")
    assert convert("vit_n_8", "ours", str(ours), tmp_path / "back.pth") == ([], "timm")
    assert (tmp_path / "back.pth").read_bytes() == (tmp_path / "timm.pth").read_bytes()


def test_what_the_official_rdrop_code_lacks(tmp_path):
    theirs = _arrays(models.create("deit_ti_distilled", image_size=32, num_classes=2))
    models.write_arrays(tmp_path / "timm.pth", theirs, None)
    words = ("deit_ti_distilled", "any", str(tmp_path / "timm.pth"), tmp_path / "out.bin", "rdrop")
    with pytest.raises(UserError, match=r"plain ViTs alone, and no name for dist_token, head_dist"):
        convert(*words)
    assert not (tmp_path / "out.bin").exists()


def _written(folder, **fields) -> dict[str, np.ndarray]:
    """Writes a small ViT of timm's form into a folder; returns its arrays."""
    arrays = _arrays(models.create("vit_n_8", num_classes=5, image_size=32, **fields))
    models.write_arrays(folder / "model.safetensors", arrays, None)
    return arrays


def test_what_no_array_shows_is_kept(tmp_path):
    """The activation and the oblong grid that `config.json` states go into the metadata."""
    arrays = _written(tmp_path, layer_scale=1e-5)
    config = {"model_type": "vit", "hidden_size": 48, "hidden_act": "quick_gelu"}
    sides = {"image_size": [16, 64], "num_attention_heads": 6, "layer_norm_eps": 1e-6}
    (tmp_path / "config.json").write_text(json.dumps({**config, **sides}))
    (tmp_path / "ours").mkdir()
    ours = str(tmp_path / "ours" / "w.safetensors")
    convert("vit_n_8", "any", str(tmp_path), tmp_path / "ours" / "w.safetensors")
    parts = {"layer_scale": 1.0, "activation": "quick_gelu", "heads": 6}
    model = models.create("vit_n_8", num_classes=5, image_size=32, **parts)
    assert "from 2 x 8 to 4 x 4 places" in models.load_weights(model, ours).summary()
    np.testing.assert_array_equal(model.norm.weight.numpy(), arrays["norm.weight"])
    plain = models.create("vit_n_8", num_classes=5, image_size=32, layer_scale=1.0)
    with pytest.raises(UserError, match=r"activation=quick_gelu here .*its metadata says"):
        models.load_weights(plain, ours)


def test_one_of_two_models_is_converted(tmp_path):
    first, second = _written(tmp_path), _written(tmp_path)
    pair = {"Student": first, "Teacher": {name: one + 1 for name, one in second.items()}}
    flat = {f"{word}.{name}": one for word, arrays in pair.items() for name, one in arrays.items()}
    models.write_arrays(tmp_path / "pair.pdparams", flat, None)
    output = tmp_path / "out.pth"
    convert("vit_n_8", "any", f"{tmp_path / 'pair.pdparams'}#Teacher", output)
    found, _ = models.read_arrays(output)
    np.testing.assert_array_equal(found["norm.bias"], pair["Teacher"]["norm.bias"])
